//! What the clients did and saw, in the order of real time: as a history for the judges, as lines on disk, and as
//! samples for the picture.
//!
//! One lock orders all events, so the order of the history is real time, which is what judges of linearizability go by.
//! A write whose answer did not come stays open, and its client goes on under a new number. When everything is over, the
//! log of changes tells which of those took effect, and at which revision ([`Journal::resolve`]): then they are completed
//! at the very end, which claims nothing about when they happened, and leaves the judge nothing to guess.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use quorate_check::history::{Event, History, Kind, NEMESIS, Value};
use serde_json::json;
use tokio::sync::watch;

/// How an operation ended, for the picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It was answered.
    Answered,
    /// It was refused, and certainly did nothing.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One operation in the picture.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it ended, in milliseconds since the beginning.
    pub at: u32,
    /// How long it took, in microseconds.
    pub took: u32,
    /// How it ended.
    pub ending: Ending,
}

/// One revision of the log of changes: the keys that it put (with their values) or deleted.
pub type Changes = Vec<(String, Option<String>)>;
/// All changes by revision.
pub type Log = BTreeMap<i64, Changes>;

/// An operation that is under way.
#[derive(Debug)]
pub struct Begun {
    process: i64,
    f: &'static str,
    key: Value,
    since: Instant,
}

#[derive(Default)]
struct Inner {
    events: Vec<Event>,
    samples: Vec<Sample>,
    lines: Option<BufWriter<File>>,
    trouble: Option<io::Error>,
}

/// See the module's essay.
pub struct Journal {
    begun: Instant,
    inner: Mutex<Inner>,
    processes: AtomicI64,
    acknowledged: AtomicU64,
    stop: watch::Sender<bool>,
}

impl Journal {
    /// An empty journal that also writes to a file; the store is at this revision now.
    pub fn new(path: &Path, revision: i64) -> io::Result<Journal> {
        let lines = Some(BufWriter::new(File::create(path)?));
        let journal = Journal {
            begun: Instant::now(),
            inner: Mutex::new(Inner { lines, ..Inner::default() }),
            processes: AtomicI64::new(0),
            acknowledged: AtomicU64::new(0),
            stop: watch::Sender::new(false),
        };
        journal.note("start", map([("revision", Value::Int(revision))]));
        Ok(journal)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }

    /// When it all began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Asks everybody to end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether everybody is to end.
    pub fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Resolves when everybody is to end.
    pub async fn until_stopped(&self) {
        // The sender lives as long as `self`.
        let _ = self.stop.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// A number for a client that nobody else has.
    pub fn process(&self) -> i64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// How many operations were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Something that no client did.
    pub fn note(&self, f: &str, value: Value) {
        let mut inner = self.lock();
        let event = self.stamped(Event::new(NEMESIS, Kind::Info, f, value));
        inner.add(event);
    }

    fn stamped(&self, mut event: Event) -> Event {
        event.time = Some(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        event
    }

    /// A client asks.
    pub fn invoke(&self, process: i64, f: &'static str, key: Value, value: Value) -> Begun {
        let mut inner = self.lock();
        let event = Event { key: key.clone(), ..Event::new(process, Kind::Invoke, f, value) };
        inner.add(self.stamped(event));
        Begun { process, f, key, since: Instant::now() }
    }

    /// The answer came.
    pub fn answered(&self, begun: Begun, value: Value) {
        self.finish(&begun, Ending::Answered, Some((Kind::Ok, value)));
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }

    /// It certainly did nothing.
    pub fn refused(&self, begun: Begun, why: &str) {
        self.finish(&begun, Ending::Refused, Some((Kind::Fail, Value::Str(why.into()))));
    }

    /// Nobody knows what it did: it stays open.
    pub fn unknown(&self, begun: Begun) {
        self.finish(&begun, Ending::Unknown, None);
    }

    fn finish(&self, begun: &Begun, ending: Ending, completion: Option<(Kind, Value)>) {
        let took = u32::try_from(begun.since.elapsed().as_micros()).unwrap_or(u32::MAX);
        let mut inner = self.lock();
        let at = u32::try_from(self.begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        inner.samples.push(Sample { at, took, ending });
        if let Some((kind, value)) = completion {
            let key = begun.key.clone();
            let event = Event { key, ..Event::new(begun.process, kind, begun.f, value) };
            inner.add(self.stamped(event));
        }
    }

    /// Completes what was left open, as the log of changes tells it. Call it when nobody asks any more.
    pub fn resolve(&self, log: &Log) {
        let mut inner = self.lock();
        for event in resolved(&inner.events, log) {
            inner.add(self.stamped(event));
        }
    }

    /// The history with the samples, once everything is on disk.
    ///
    /// # Errors
    /// The first write of a line that failed.
    pub fn finish_all(&self) -> io::Result<(History, Vec<Sample>)> {
        let mut inner = self.lock();
        if let Some(trouble) = inner.trouble.take() {
            return Err(trouble);
        }
        if let Some(mut lines) = inner.lines.take() {
            lines.flush()?;
        }
        let events = std::mem::take(&mut inner.events);
        Ok((History::new(events), std::mem::take(&mut inner.samples)))
    }

    /// How many operations ended in each way so far: answered, refused, unknown.
    pub fn counts(&self) -> [u64; 3] {
        let inner = self.lock();
        let mut counts = [0; 3];
        for sample in &inner.samples {
            counts[sample.ending as usize] += 1;
        }
        counts
    }
}

impl Inner {
    fn add(&mut self, event: Event) {
        if let Some(lines) = &mut self.lines
            && let Err(error) = write_event(lines, &event)
        {
            self.trouble.get_or_insert(error);
        }
        self.events.push(event);
    }
}

/// What an open write would have changed: the key, and the value if it is a put.
fn effect(event: &Event) -> Option<(String, Option<String>)> {
    let text = |value: &Value| value.as_name().map(str::to_owned);
    match &*event.f {
        "put" => Some((text(&event.key)?, Some(text(&event.value)?))),
        "delete" => Some((text(&event.key)?, None)),
        "txn" => match event.value.get("then")?.as_list()?.first()?.as_list()? {
            [_, key, value] => Some((text(key)?, Some(text(value)?))),
            _ => None,
        },
        _ => None,
    }
}

/// Completions of the operations that are open. A revision that somebody was answered is nobody else's.
fn resolved(events: &[Event], log: &Log) -> Vec<Event> {
    let mut open: BTreeMap<i64, &Event> = BTreeMap::new();
    let mut claimed = BTreeSet::new();
    for event in events.iter().filter(|event| event.process != NEMESIS) {
        match event.kind {
            Kind::Invoke => drop(open.insert(event.process, event)),
            Kind::Ok | Kind::Fail | Kind::Info => {
                let invoke = open.remove(&event.process);
                if event.kind == Kind::Ok && invoke.is_some_and(|invoke| wrote(invoke, event)) {
                    claimed.extend(event.value.get("revision").and_then(Value::as_int));
                }
            }
        }
    }
    let mut free: BTreeMap<(String, Option<String>), VecDeque<i64>> = BTreeMap::new();
    for (revision, changes) in log.iter().filter(|(revision, _)| !claimed.contains(*revision)) {
        for change in changes {
            free.entry(change.clone()).or_default().push_back(*revision);
        }
    }
    // Of several that are alike (deletions of one key) the first to be asked is as good as any.
    let mut open: Vec<(i64, &Event)> = open.into_iter().collect();
    open.sort_by_key(|(_, invoke)| invoke.time);
    let complete = |(process, invoke): (i64, &Event)| {
        let change = effect(invoke);
        let at = change.and_then(|change| free.get_mut(&change)?.pop_front());
        let (kind, value) = match (at, &*invoke.f) {
            (None, _) => (Kind::Fail, Value::Str("it never happened".into())),
            (Some(at), "delete") => {
                (Kind::Ok, map([("revision", Value::Int(at)), ("deleted", Value::Int(1))]))
            }
            (Some(at), "txn") => {
                (Kind::Ok, map([("revision", Value::Int(at)), ("succeeded", Value::Bool(true))]))
            }
            (Some(at), _) => (Kind::Ok, map([("revision", Value::Int(at))])),
        };
        Event { key: invoke.key.clone(), ..Event::new(process, kind, &invoke.f, value) }
    };
    open.into_iter().map(complete).collect()
}

/// Whether an answered operation made its revision.
pub fn wrote(invoke: &Event, answer: &Event) -> bool {
    match &*invoke.f {
        "put" => true,
        "delete" => answer.value.get("deleted").and_then(Value::as_int) != Some(0),
        "txn" => answer.value.get("succeeded") == Some(&Value::Bool(true)),
        _ => false,
    }
}

/// What an answered operation must have left in the log: its revision and its change.
pub fn promised(invoke: &Event, answer: &Event) -> Option<(i64, (String, Option<String>))> {
    let revision = answer.value.get("revision").and_then(Value::as_int)?;
    wrote(invoke, answer).then_some(())?;
    Some((revision, effect(invoke)?))
}

/// A map for the judges, in order.
pub fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter().map(|(name, value)| (Value::Str(name.into()), value));
    let mut map = Value::Map(entries.collect());
    map.put_in_order();
    map
}

/// A text for the judges.
pub fn text(text: impl Into<Box<str>>) -> Value {
    Value::Str(text.into())
}

/// One line of a history, as `quorate check` reads it.
pub fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    let kind = match event.kind {
        Kind::Invoke => "invoke",
        Kind::Ok => "ok",
        Kind::Fail => "fail",
        Kind::Info => "info",
    };
    let process = if event.process == NEMESIS { json!("nemesis") } else { json!(event.process) };
    let mut line = json!({"process": process, "type": kind, "f": &*event.f});
    // What is not there is not said: a transaction has no key, and few events have a time.
    for (name, value) in [("key", &event.key), ("value", &event.value)] {
        if !value.is_nil() || name == "value" {
            line[name] = plain(value);
        }
    }
    if let Some(time) = event.time {
        line["time"] = json!(time);
    }
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil => json!(null),
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Number(text) | Value::Str(text) | Value::Keyword(text) => json!(text),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => {
            let named = |(key, value): &(Value, Value)| {
                (key.as_name().unwrap_or_default().to_owned(), plain(value))
            };
            serde_json::Value::Object(entries.iter().map(named).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(directory: &Path) -> Journal {
        Journal::new(&directory.join("history.jsonl"), 1).unwrap()
    }

    fn log(changes: &[(i64, &str, Option<&str>)]) -> Log {
        let change = |(revision, key, value): &(i64, &str, Option<&str>)| {
            (*revision, vec![((*key).to_owned(), value.map(str::to_owned))])
        };
        changes.iter().map(change).collect()
    }

    #[test]
    fn what_stayed_open_is_completed_as_the_log_tells() {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal(directory.path());
        let lost = journal.invoke(0, "put", text("a"), text("x"));
        journal.unknown(lost);
        let never = journal.invoke(1, "put", text("a"), text("y"));
        journal.unknown(never);
        let deleted = journal.invoke(2, "delete", text("a"), Value::Nil);
        journal.answered(deleted, map([("revision", Value::Int(3)), ("deleted", Value::Int(1))]));
        let gone = journal.invoke(3, "delete", text("a"), Value::Nil);
        journal.unknown(gone);
        // The deletion at 3 is the third client's; nobody else's.
        journal.resolve(&log(&[(2, "a", Some("x")), (3, "a", None)]));
        let (history, samples) = journal.finish_all().unwrap();
        let ends: Vec<_> = history.events.iter().rev().take(3).map(|event| event.kind).collect();
        assert_eq!(ends, [Kind::Fail, Kind::Fail, Kind::Ok]);
        assert_eq!(samples.len(), 4);
        // What was written reads back as the same history, and is accepted.
        let bytes = std::fs::read(directory.path().join("history.jsonl")).unwrap();
        let read = quorate_check::read::read_bytes(&bytes, None).unwrap();
        assert_eq!(read.operations().unwrap().len(), 4);
        let model = quorate_check::model::find("etcd").unwrap();
        for history in [&read, &history] {
            let report = (model.check)(history, &quorate_check::limits::Options::default());
            assert_eq!(report.unwrap().verdict, quorate_check::verdict::Verdict::Yes);
        }
    }
}
