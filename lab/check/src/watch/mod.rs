//! Watches: were watchers told what happened, all of it, once, and in order?
//!
//! The history is the log of changes, as it was agreed on, and what each watcher was told. Every line is an event of the
//! shared format; `process` is the watcher (0 for the log), `type` is of no matter. In JSON:
//!
//! ```json
//! {"process":0,"type":"ok","f":"log","value":{"rev":2,"events":[{"type":"put","key":"a","value":"1"}]}}
//! {"process":1,"type":"ok","f":"watch","value":{"key":"a","range_end":"b","start":2,"rev":1,"prev_kv":true,"filters":["nodelete"]}}
//! {"process":1,"type":"ok","f":"events","value":{"rev":2,"events":[{"type":"put","key":"a","value":"1","mod":2,"create":2,"prev":null}]}}
//! {"process":1,"type":"ok","f":"progress","value":{"rev":2}}
//! ```
//!
//! | `f` | `value` |
//! |---|---|
//! | `log` | a revision and its events. Revisions go up; the log begins with an empty store |
//! | `compact` | `rev`: nothing is known of revisions below (a previous value may be missing) |
//! | `watch` | what is asked: `key`, `range_end` (absent or empty: the key alone; a zero byte: all from `key` on), `start` (0: after `rev`, the revision at creation), `prev_kv`, `filters` (`noput`, `nodelete`) |
//! | `events` | a response: `events` with `type`, `key`, `value`, `mod`, and `create` and `prev` (`value`, `mod`) where asked for; `fragment: true` if more of it follows |
//! | `progress` | a bookmark: everything up to `rev` was told |
//! | `cancel` | the server ended the watch |
//! | `drained` | the client waited: everything up to `rev` should have been told |
//!
//! A process that opens another watch leaves its last one. Nine guarantees are checked, those of etcd's robustness tests:
//!
//! | guarantee | an answer breaks it if |
//! |---|---|
//! | ordered | a revision is told after a higher one, or anything after the end |
//! | unique | an event is told twice |
//! | reliable | an event was left out between two that were told, or before the client had waited; or never happened |
//! | atomic | a revision is told in two responses that are not fragments of one |
//! | resumable | an event was left out between the revision asked for and the first told |
//! | bookmarkable | an event at or below a bookmark had not been told before it, or is told after it |
//! | prev-kv | the previous value is not what the log says, or is missing though asked for |
//! | is-create | the create revision is not what the log says |
//! | filter | the event is outside the range or of a kind that was filtered |

mod format;
mod judge;

use crate::history::History;
use crate::limits::{Meter, Options};
use crate::verdict::{HistoryError, Refusal, Report, Verdict};
use judge::{Broken, Judge};

/// What a breach takes: its words, most of all.
const BREACH_BYTES: usize = 200;

/// Judges what watchers were told against the log.
///
/// # Errors
///
/// At the line that is not of the format above, or is out of place.
pub fn watch(history: &History, options: &Options) -> Result<Report, HistoryError> {
    let meter = Meter::start(options);
    let (log, watchers) = format::read(history)?;
    let mut broken: Vec<Broken> = Vec::new();
    let mut within = Ok(());
    for watcher in &watchers {
        // A watcher holds a number and a mark for each change.
        let bytes = log.events.len() * 16 + broken.len() * BREACH_BYTES;
        within = meter.check(bytes);
        if within.is_err() {
            break;
        }
        Judge::new(&log, watcher, &mut broken).run();
    }
    let verdict = match (refusal(history, &broken), within) {
        (Some(refusal), _) => Verdict::No(refusal),
        (None, Err(reason)) => Verdict::Unknown(reason),
        (None, Ok(())) => Verdict::Yes,
    };
    let mut report = Report::new(verdict);
    report.figures.push(("changes", log.events.len() as u64));
    report.figures.push(("watchers", watchers.len() as u64));
    let lines: usize = watchers.iter().map(|watcher| watcher.lines.len()).sum();
    report.figures.push(("responses", lines as u64));
    Ok(report)
}

/// Tells the first breach of each guarantee in full.
fn refusal(history: &History, broken: &[Broken]) -> Option<Refusal> {
    let first = broken.first()?;
    let mut names: Vec<&str> = Vec::new();
    let mut evidence = Vec::new();
    let mut events = Vec::new();
    for breach in broken {
        if names.contains(&breach.guarantee) {
            continue;
        }
        names.push(breach.guarantee);
        let position = history.events[breach.place].position;
        let place = if position.line == 0 { String::new() } else { format!(" ({position})") };
        evidence.push(format!("{}: {}{place}", breach.guarantee, breach.sentence));
        events.push(breach.place);
    }
    evidence.push(format!("{} breaches in all", broken.len()));
    Some(Refusal {
        property: first.guarantee.to_string(),
        summary: format!("watches are not {}", names.join(", ")),
        evidence,
        events,
    })
}
