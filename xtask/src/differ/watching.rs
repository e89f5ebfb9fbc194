//! The streams of watchers of one side, and what they have said, watcher by watcher.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_wire::etcd::etcdserverpb::watch_client::WatchClient;
use quorate_wire::etcd::etcdserverpb::watch_request::RequestUnion;
use quorate_wire::etcd::etcdserverpb::{WatchRequest, WatchResponse};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::translate::Numbers;

/// Requests that may wait for the server on one stream.
const WAITING: usize = 16;

/// What every watcher of one stream was told, in order, masked; -1 is the stream itself.
pub type Told = BTreeMap<i64, Vec<String>>;

/// One stream.
pub struct Stream {
    sender: mpsc::Sender<WatchRequest>,
    told: Arc<Mutex<Told>>,
    reader: JoinHandle<()>,
}

impl Stream {
    /// Opens a stream with its first request: a server may hold back its headers until it has something to say.
    pub async fn open(
        channel: Channel,
        numbers: Arc<Mutex<Numbers>>,
        first: RequestUnion,
    ) -> Stream {
        let (sender, receiver) = mpsc::channel(WAITING);
        let told = Arc::new(Mutex::new(Told::new()));
        let book = Arc::clone(&told);
        let reader = tokio::spawn(async move {
            let end = read(channel, receiver, &numbers, &book).await;
            lock(&book).entry(-1).or_default().push(format!("the stream ended: {end}"));
        });
        let stream = Stream { sender, told, reader };
        stream.send(first).await;
        stream
    }

    /// Sends a request. A stream that has ended takes none, which its book says.
    pub async fn send(&self, request: RequestUnion) {
        let _ = self.sender.send(WatchRequest { request_union: Some(request) }).await;
    }

    /// What was told so far.
    pub fn told(&self) -> Told {
        lock(&self.told).clone()
    }

    /// How many answers to creations have come.
    pub fn created(&self) -> usize {
        let told = lock(&self.told);
        told.values().flatten().filter(|entry| entry.contains("created: true")).count()
    }

    /// Whether a watcher was cancelled because its start is compacted. After that etcd never tells progress on this
    /// stream again: it goes on waiting for the watcher that is gone.
    pub fn has_compacted(&self) -> bool {
        let told = lock(&self.told);
        let ended = |entry: &String| {
            entry.contains("canceled: true") && !entry.contains("compact_revision: 0,")
        };
        told.values().flatten().any(ended)
    }

    /// How many notices of progress on request have come.
    pub fn progress(&self) -> usize {
        let told = lock(&self.told);
        told.get(&-1)
            .map_or(0, |told| told.iter().filter(|entry| entry.starts_with("progress")).count())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads a stream to its end and says how it ended.
async fn read(
    channel: Channel,
    receiver: mpsc::Receiver<WatchRequest>,
    numbers: &Mutex<Numbers>,
    book: &Mutex<Told>,
) -> String {
    let mut client = WatchClient::new(channel);
    let answers = client.watch(ReceiverStream::new(receiver)).await;
    let mut answers = match answers {
        Ok(answers) => answers.into_inner(),
        Err(status) => return format!("{:?}: {}", status.code(), status.message()),
    };
    loop {
        match answers.message().await {
            Ok(Some(mut answer)) => {
                lock(numbers).watch_in(&mut answer);
                note(&mut lock(book), answer);
            }
            Ok(None) => return "by the server".into(),
            Err(status) => return format!("{:?}: {}", status.code(), status.message()),
        }
    }
}

/// Writes an answer down: events one by one, everything else as it stands, notices of progress once for a revision.
fn note(book: &mut Told, mut answer: WatchResponse) {
    let told = book.entry(answer.watch_id).or_default();
    let events = std::mem::take(&mut answer.events);
    told.extend(events.iter().map(|event| format!("{event:?}")));
    if answer.created || answer.canceled {
        told.push(format!("{answer:?}"));
    } else if events.is_empty() {
        let revision = answer.header.map(|header| header.revision);
        let notice = format!("progress at {revision:?}");
        if told.last() != Some(&notice) {
            told.push(notice);
        }
    }
}

/// Nobody panics while holding one of these; if somebody did, what they hold is still whole.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
