//! Watchers, and readers that ask nobody: they see every change, and must see each once, in order, and nothing go back.
//!
//! A watcher begins with one member and goes on with another when it loses it, behind the last revision that it saw; the
//! client library does that, so both are judged. There are four kinds: everything with previous values, everything but
//! deletions, one range, one key. After the storm each asks how far it is until it has been told of everything.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_check::history::{Event, History, Kind, Value};
use quorate_client::etcd::etcdserverpb::watch_create_request::FilterType;
use quorate_client::etcd::etcdserverpb::{RangeRequest, WatchCreateRequest, WatchResponse};
use quorate_client::etcd::mvccpb;
use quorate_client::etcd::mvccpb::event::EventType;
use quorate_client::{FROM_KEY, Watcher, prefix_end};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::client::{PATIENCE, connect, revision};
use super::journal::{Changes, Journal, Log, map, text, write_event};

/// How long watchers may take after the storm until they have seen everything.
const CATCH_UP: Duration = Duration::from_secs(30);
/// The pause between two questions of a watcher about how far it is.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// The pause between two reads of one reader.
const READ_PAUSE: Duration = Duration::from_millis(10);
/// How long reading the whole log from one member may take.
const LOG_LIMIT: Duration = Duration::from_secs(120);

/// What the watchers were told.
#[derive(Default)]
pub struct Told(Mutex<Vec<Event>>);

impl Told {
    fn add(&self, process: i64, f: &str, value: Value) {
        let event = Event::new(process, Kind::Ok, f, value);
        self.0.lock().expect("no holder of this lock panics").push(event);
    }

    /// How many answers there were.
    pub fn count(&self) -> usize {
        self.0.lock().expect("no holder of this lock panics").len()
    }

    /// The log with everything that watchers were told, as a history of its own, written to a file as well.
    pub fn history(&self, log: &Log, path: &Path) -> std::io::Result<History> {
        let line = |(revision, changes): (&i64, &Changes)| {
            let events = changes.iter().map(|(key, value)| match value {
                Some(value) => {
                    map([("type", text("put")), ("key", text(&**key)), ("value", text(&**value))])
                }
                None => map([("type", text("delete")), ("key", text(&**key))]),
            });
            let value =
                map([("rev", Value::Int(*revision)), ("events", Value::List(events.collect()))]);
            Event::new(0, Kind::Ok, "log", value)
        };
        let mut events: Vec<Event> = log.iter().map(line).collect();
        events.append(&mut self.0.lock().expect("no holder of this lock panics"));
        let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
        events.iter().try_for_each(|event| write_event(&mut out, event))?;
        std::io::Write::flush(&mut out)?;
        Ok(History::new(events))
    }
}

/// What a watcher asks for.
fn request(id: usize, prefix: &str, start: i64) -> (WatchCreateRequest, Value) {
    let (key, end) = match id % 4 {
        2 => (format!("{prefix}l"), Some(format!("{prefix}m"))),
        3 => (format!("{prefix}r0"), None),
        _ => (prefix.to_owned(), Some(text_of(&prefix_end(prefix.as_bytes())))),
    };
    let (prev_kv, no_delete) = (id.is_multiple_of(2), id % 4 == 1);
    let filters = if no_delete { vec![text("nodelete")] } else { vec![] };
    let asked = map([
        ("key", text(&*key)),
        ("range_end", end.as_deref().map_or(Value::Nil, text)),
        ("start", Value::Int(start)),
        ("rev", Value::Int(start - 1)),
        ("prev_kv", Value::Bool(prev_kv)),
        ("filters", Value::List(filters)),
    ]);
    let request = WatchCreateRequest {
        key: key.into(),
        range_end: end.unwrap_or_default().into(),
        start_revision: start,
        progress_notify: true,
        prev_kv,
        filters: if no_delete { vec![FilterType::Nodelete.into()] } else { vec![] },
        ..WatchCreateRequest::default()
    };
    (request, asked)
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Watches from a revision on until it was told of everything up to the revision in `target`, or has waited for that in
/// vain. Returns how often it had to begin anew.
pub async fn follow(
    id: usize,
    endpoints: Vec<String>,
    prefix: String,
    start: i64,
    told: Arc<Told>,
    target: watch::Receiver<Option<i64>>,
) -> Result<(), String> {
    let process = i64::try_from(id + 1).expect("there are few watchers");
    let client = connect(&endpoints, PATIENCE)?;
    let (mut next, mut deadline) = (start, None);
    loop {
        let (request, asked) = request(id, &prefix, next);
        let Ok(mut watching) = client.watch(request).await else {
            sleep(ASK_AGAIN).await;
            if is_late(&mut deadline, &target) {
                return Err(format!("watcher {process} could not go on from revision {next}"));
            }
            continue;
        };
        told.add(process, "watch", asked);
        while let Some(answer) = listen(&mut watching, &target).await {
            if let Some(answer) = answer {
                let Some(seen) = take(&told, process, &answer) else { break };
                next = next.max(seen + 1);
                if target.borrow().is_some_and(|target| next > target) {
                    return Ok(());
                }
            }
            if is_late(&mut deadline, &target) {
                let target = target.borrow().unwrap_or_default();
                told.add(process, "drained", map([("rev", Value::Int(target))]));
                return Ok(());
            }
        }
    }
}

/// Whether it has had its time since the target was known.
fn is_late(deadline: &mut Option<Instant>, target: &watch::Receiver<Option<i64>>) -> bool {
    if target.borrow().is_none() {
        return false;
    }
    Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + CATCH_UP)
}

/// The next answer, or nothing for a while; `None` when this watch is over. Once the end is known, it asks how far it is.
async fn listen(
    watching: &mut Watcher,
    target: &watch::Receiver<Option<i64>>,
) -> Option<Option<WatchResponse>> {
    if target.borrow().is_some() {
        watching.request_progress().await;
    }
    match timeout(ASK_AGAIN, watching.next()).await {
        Ok(Ok(Some(answer))) => Some(Some(answer)),
        Ok(Ok(None) | Err(_)) => None,
        Err(_) => Some(None),
    }
}

/// Writes an answer down; returns the revision up to which it tells everything, or `None` at the end of the watch.
fn take(told: &Told, process: i64, answer: &WatchResponse) -> Option<i64> {
    let now = revision(&answer.header);
    if answer.canceled {
        told.add(process, "cancel", Value::Nil);
        return None;
    }
    if answer.events.is_empty() {
        told.add(process, "progress", map([("rev", Value::Int(now))]));
        return Some(now);
    }
    let events = answer.events.iter().map(shown).collect();
    told.add(process, "events", map([("rev", Value::Int(now)), ("events", Value::List(events))]));
    answer.events.last().and_then(|event| event.kv.as_ref()).map(|kv| kv.mod_revision)
}

fn shown(event: &mvccpb::Event) -> Value {
    let kv = event.kv.clone().unwrap_or_default();
    let before = event.prev_kv.as_ref().map_or(Value::Nil, |kv| {
        map([("value", text(text_of(&kv.value))), ("mod", Value::Int(kv.mod_revision))])
    });
    let (key, at) = (text(text_of(&kv.key)), Value::Int(kv.mod_revision));
    match event.r#type() {
        EventType::Put => map([
            ("type", text("put")),
            ("key", key),
            ("value", text(text_of(&kv.value))),
            ("mod", at),
            ("create", Value::Int(kv.create_revision)),
            ("prev", before),
        ]),
        EventType::Delete => {
            map([("type", text("delete")), ("key", key), ("mod", at), ("prev", before)])
        }
    }
}

/// Twice how often each member was killed, and one more while it is being killed.
#[derive(Default)]
pub struct Lives(Vec<AtomicU64>);

impl Lives {
    /// So many members, each in its first life.
    pub fn new(count: usize) -> Lives {
        Lives((0..count).map(|_| AtomicU64::new(0)).collect())
    }

    /// Its end is near, or over: call it before and after.
    pub fn turn(&self, member: usize) {
        self.0[member].fetch_add(1, Ordering::SeqCst);
    }

    /// Which life of a member this is; nothing while it is being killed, when it may be either.
    fn of(&self, member: usize) -> Option<u64> {
        Some(self.0[member].load(Ordering::SeqCst)).filter(|life| life.is_multiple_of(2))
    }
}

/// Reads whatever one member has, again and again: as long as it lives, that only becomes newer. Returns how often it
/// was answered; the error is what went back.
pub async fn read_alone(
    member: usize,
    url: String,
    journal: Arc<Journal>,
    lives: Arc<Lives>,
) -> Result<u64, String> {
    let client = connect(&[url], PATIENCE)?;
    let (mut answers, mut newest, mut last_life) = (0, 0, None);
    while !journal.stopped() {
        let life = lives.of(member);
        let read = RangeRequest { key: FROM_KEY, serializable: true, ..RangeRequest::default() };
        // Only an answer that certainly came from one life of the member is compared with others.
        if let Ok(answer) = client.range(read).await
            && life.is_some()
            && life == lives.of(member)
        {
            let now = revision(&answer.header);
            if life == last_life && now < newest {
                let name = member + 1;
                return Err(format!(
                    "n{name} answered revision {now} after {newest} (serializable)"
                ));
            }
            (newest, last_life, answers) = (now, life, answers + 1);
        }
        sleep(READ_PAUSE).await;
    }
    Ok(answers)
}

/// All changes of all keys as one member tells them, from the first that is asked for to the last.
pub async fn read_log(endpoint: &str, first: i64, last: i64) -> Result<Log, String> {
    let read = async {
        let client = connect(&[endpoint.to_owned()], PATIENCE)?;
        let request = WatchCreateRequest {
            key: FROM_KEY,
            range_end: FROM_KEY,
            start_revision: first,
            ..WatchCreateRequest::default()
        };
        let mut log = Log::new();
        if first > last {
            return Ok(log);
        }
        let mut watching = client.watch(request).await.map_err(|error| error.to_string())?;
        loop {
            let answer = watching.next().await.map_err(|error| error.to_string())?;
            let Some(answer) = answer.filter(|answer| !answer.canceled) else {
                return Err(format!("{endpoint} ended a watch from revision {first} on"));
            };
            for event in answer.events {
                let value = (event.r#type() == EventType::Put).then_some(());
                let kv = event.kv.unwrap_or_default();
                if kv.mod_revision > last {
                    return Ok(log);
                }
                let change = (text_of(&kv.key), value.map(|()| text_of(&kv.value)));
                log.entry(kv.mod_revision).or_default().push(change);
            }
            if log.keys().next_back() == Some(&last) {
                return Ok(log);
            }
        }
    };
    timeout(LOG_LIMIT, read)
        .await
        .unwrap_or_else(|_| Err(format!("{endpoint} did not tell its log within {LOG_LIMIT:?}")))
}
