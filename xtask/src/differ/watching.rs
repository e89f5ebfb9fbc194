//! The streams of watchers of one side, and what they have said, watcher by watcher.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_wire::etcd::etcdserverpb::watch_client::WatchClient;
use quorate_wire::etcd::etcdserverpb::watch_request::RequestUnion;
use quorate_wire::etcd::etcdserverpb::{WatchRequest, WatchResponse};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::counts::Counts;
use super::execute::{Called, LARGEST};
use super::translate::Numbers;

/// Requests that may wait for the server on one stream.
const WAITING: usize = 16;

/// What every watcher of one stream was told, in order, masked; -1 is the stream itself.
pub type Told = BTreeMap<i64, Vec<String>>;

/// What was told, and how.
#[derive(Default)]
struct Book {
    told: Told,
    /// Whether the revisions of answers with events count: see the module [`super`].
    headers: bool,
    /// The watcher and the revision of an answer that is to be continued.
    unfinished: Option<(i64, i64)>,
    /// Answers that were to be continued.
    fragments: u64,
    ended: bool,
}

/// One stream.
pub struct Stream {
    sender: mpsc::Sender<WatchRequest>,
    book: Arc<Mutex<Book>>,
    reader: JoinHandle<()>,
}

impl Stream {
    /// Opens a stream with its first request: a server may hold back its headers until it has something to say.
    pub async fn open(
        channel: Called,
        numbers: Arc<Mutex<Numbers>>,
        headers: bool,
        first: RequestUnion,
    ) -> Stream {
        let (sender, receiver) = mpsc::channel(WAITING);
        let book = Arc::new(Mutex::new(Book { headers, ..Book::default() }));
        let written = Arc::clone(&book);
        let reader = tokio::spawn(async move {
            let end = read(channel, receiver, &numbers, &written).await;
            let mut book = lock(&written);
            book.told.entry(-1).or_default().push(format!("the stream ended: {end}"));
            book.ended = true;
        });
        let stream = Stream { sender, book, reader };
        stream.send(first).await;
        stream
    }

    /// Sends a request. A stream that has ended takes none, which its book says.
    pub async fn send(&self, request: RequestUnion) {
        let _ = self.sender.send(WatchRequest { request_union: Some(request) }).await;
    }

    /// What was told so far.
    pub fn told(&self) -> Told {
        lock(&self.book).told.clone()
    }

    /// Whether two streams were told the same.
    pub fn agrees(&self, other: &Stream) -> bool {
        // Always etcd's first, and nobody else holds two.
        let own = lock(&self.book);
        own.told == lock(&other.book).told
    }

    /// Whether a cancel of a watcher has an answer: it stands, or ended by itself and was not cancelled since.
    pub fn can_cancel(&self, id: i64) -> bool {
        let book = lock(&self.book);
        let told = book.told.get(&id).map(Vec::as_slice).unwrap_or_default();
        let last = told
            .iter()
            .rev()
            .find(|entry| entry.contains("created: true") || entry.contains("canceled: true"));
        id >= 0
            && last.is_some_and(|entry| !entry.contains("canceled: true") || is_compacted(entry))
    }

    /// How many entries a watcher has.
    pub fn entries(&self, id: i64) -> usize {
        lock(&self.book).told.get(&id).map_or(0, Vec::len)
    }

    /// Whether the server has ended it.
    pub fn has_ended(&self) -> bool {
        lock(&self.book).ended
    }

    /// How many answers to creations have come.
    pub fn created(&self) -> usize {
        let book = lock(&self.book);
        book.told.values().flatten().filter(|entry| entry.contains("created: true")).count()
    }

    /// Whether there is a watcher that was cancelled because its start is compacted, and that its client has not cancelled
    /// since. As long as there is, etcd tells no progress on this stream: it waits for the watcher that is gone.
    pub fn has_compacted(&self) -> bool {
        let ended = |told: &Vec<String>| {
            told.iter().fold(false, |ended, entry| {
                if entry.contains("canceled: true") { is_compacted(entry) } else { ended }
            })
        };
        lock(&self.book).told.values().any(ended)
    }

    /// How many notices of progress on request have come.
    pub fn progress(&self) -> usize {
        let book = lock(&self.book);
        book.told
            .get(&-1)
            .map_or(0, |told| told.iter().filter(|entry| entry.starts_with("progress")).count())
    }

    /// Counts what was told.
    pub fn count(&self, counts: &mut Counts) {
        let book = lock(&self.book);
        counts.add("told: part of an answer that is split", book.fragments);
        for entry in book.told.values().flatten() {
            counts.add(kind(entry), 1);
        }
    }
}

fn is_compacted(entry: &str) -> bool {
    entry.contains("canceled: true") && !entry.contains("compact_revision: 0,")
}

/// What an entry of a book is.
fn kind(entry: &str) -> &'static str {
    if entry.starts_with("progress") {
        "told: progress"
    } else if entry.starts_with("Event") {
        "told: event"
    } else if is_compacted(entry) {
        "told: cancelled, the start is compacted"
    } else if entry.contains("created: true, canceled: true") {
        "told: refused"
    } else if entry.contains("canceled: true") {
        "told: cancelled"
    } else if entry.contains("created: true") {
        "told: created"
    } else {
        "told: the stream ended"
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads a stream to its end and says how it ended.
async fn read(
    channel: Called,
    receiver: mpsc::Receiver<WatchRequest>,
    numbers: &Mutex<Numbers>,
    book: &Mutex<Book>,
) -> String {
    let mut client = WatchClient::new(channel).max_decoding_message_size(LARGEST);
    let answers = client.watch(ReceiverStream::new(receiver)).await;
    let mut answers = match answers {
        Ok(answers) => answers.into_inner(),
        Err(status) => return format!("{:?}: {}", status.code(), status.message()),
    };
    loop {
        match answers.message().await {
            Ok(Some(mut answer)) => {
                lock(numbers).watch_in(&mut answer);
                lock(book).note(answer);
            }
            Ok(None) => return "by the server".into(),
            Err(status) => return format!("{:?}: {}", status.code(), status.message()),
        }
    }
}

impl Book {
    /// Writes an answer down: events one by one, everything else as it stands, notices of progress once for a revision.
    fn note(&mut self, mut answer: WatchResponse) {
        let revision = answer.header.map_or(0, |header| header.revision);
        let events = std::mem::take(&mut answer.events);
        let unfinished = self.unfinished.take();
        let told = self.told.entry(answer.watch_id).or_default();
        if unfinished.is_some_and(|unfinished| unfinished != (answer.watch_id, revision)) {
            told.push("the rest of an answer that was split did not come next".into());
        }
        if answer.fragment {
            self.unfinished = Some((answer.watch_id, revision));
            self.fragments += 1;
        }
        for event in &events {
            let changed = event.kv.as_ref().map_or(0, |pair| pair.mod_revision);
            if self.headers {
                told.push(format!("{event:?} in an answer of {revision}"));
            } else {
                told.push(format!("{event:?}"));
            }
            if changed > revision {
                told.push(format!("it came in an answer of {revision}, which is before it"));
            }
        }
        if answer.created || answer.canceled {
            told.push(format!("{answer:?}"));
        } else if events.is_empty() {
            let notice = format!("progress at {revision}");
            if told.last() != Some(&notice) {
                told.push(notice);
            }
        }
    }
}

/// Nobody panics while holding one of these; if somebody did, what they hold is still whole.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
