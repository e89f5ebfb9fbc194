//! Watchers: they lose their member again and again, and go on behind the last revision they saw.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::history::History;
use crate::support::api::event::EventType;
use crate::support::api::{Event, WatchCreateRequest, WatchResponse};
use crate::support::*;

/// The longest that opening a watch may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A member that says nothing for so long may be cut off: the watcher tries another.
const SILENCE: Duration = Duration::from_millis(800);
/// The pause before the next member is tried.
const PAUSE: Duration = Duration::from_millis(50);

/// What one watcher saw.
#[derive(Default)]
pub struct Seen {
    /// The last revision.
    pub last: i64,
    /// How many revisions: if none is missing and none came twice, as many as there were.
    pub revisions: i64,
    /// How often it had to go on with another member.
    pub resumed: u64,
}

/// Watches all keys from the first revision on, until it saw the revision in `target`.
pub async fn follow(
    id: usize,
    endpoints: Vec<String>,
    history: Arc<History>,
    mut target: watch::Receiver<Option<i64>>,
) -> Seen {
    let mut seen = Seen { last: 1, ..Seen::default() };
    for turn in id.. {
        let url = &endpoints[turn % endpoints.len()];
        let client = Client::patient(url, PATIENCE);
        let create = WatchCreateRequest {
            range_end: vec![0].into(),
            start_revision: seen.last + 1,
            ..watch_key([0])
        };
        if let Ok(mut watching) = Watching::open_raw(&client, create, &[]).await {
            // The end of this life of the watch is whatever comes first: silence, an error, or
            // having seen everything.
            while let Ok(Ok(Some(response))) = timeout(SILENCE, watching.next_or_error()).await {
                take(&mut seen, response, id, &history);
                if reached(&mut target, seen.last) {
                    return seen;
                }
            }
        }
        if reached(&mut target, seen.last) {
            return seen;
        }
        seen.resumed += 1;
        tokio::time::sleep(PAUSE).await;
    }
    unreachable!("there are always more turns")
}

fn reached(target: &mut watch::Receiver<Option<i64>>, last: i64) -> bool {
    target.borrow_and_update().is_some_and(|target| last >= target)
}

/// Takes the events of one response, revision by revision.
fn take(seen: &mut Seen, response: WatchResponse, id: usize, history: &History) {
    let who = format!("watcher {id}");
    assert!(!response.canceled, "{who} was cancelled: {response:?}");
    let at = |event: &Event| event.kv.as_ref().expect("an event has a pair").mod_revision;
    for revision in response.events.chunk_by(|a, b| at(a) == at(b)) {
        let now = at(&revision[0]);
        assert!(now > seen.last, "{who} saw revision {now} after {}", seen.last);
        // Every revision is some key's, and all keys are watched.
        assert_eq!(now, seen.last + 1, "{who} missed what came after {}", seen.last);
        history.saw(now, revision.iter().map(shown).collect(), &who);
        (seen.last, seen.revisions) = (now, seen.revisions + 1);
    }
}

fn shown(event: &Event) -> String {
    let kv = event.kv.as_ref().expect("an event has a pair");
    match event.r#type() {
        EventType::Put => format!("{}={}", text(&kv.key), text(&kv.value)),
        EventType::Delete => format!("-{}", text(&kv.key)),
    }
}
