//! Fan-out: every put goes to every watcher.
//!
//! Each watcher has a stream of its own. A value carries the moment at which its put was sent, so the lag is the time
//! from there to the event in the watcher's hands: replication, disk, apply and delivery together. Events are counted
//! until a second after the last put; what a slow system still owes then is missing from its count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use quorate_wire::etcd::etcdserverpb::watch_request::RequestUnion;
use quorate_wire::etcd::etcdserverpb::{
    PutRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::bench::connection::Connection;
use crate::bench::dataset::{Dice, Keys, PREFIX, PREFIX_END, Values, stamp_of};
use crate::bench::failure::{Failure, Result, rpc_failure};
use crate::bench::lines::Effort;
use crate::bench::load::{self, Client, Extent, Snapshot, Step};
use crate::bench::report::{Figure, Figures};
use crate::bench::testbed::Testbed;

/// Watchers of all keys.
const WATCHERS: usize = 64;

/// Time for the last events to arrive.
const DRAIN: Duration = Duration::from_secs(1);

/// What all watchers count together.
struct Audience {
    epoch: Instant,
    counting: AtomicBool,
    lags: Mutex<Histogram<u64>>,
}

/// Measures one round: watchers first, then the load, then the drain.
pub async fn measure(testbed: &Testbed, writers: usize, effort: &Effort) -> Result<Figures> {
    let audience = Arc::new(Audience {
        epoch: Instant::now(),
        counting: AtomicBool::new(true),
        lags: Mutex::new(load::histogram()),
    });
    let mut watchers = open_watchers(testbed, &audience).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let clients = writer_clients(testbed, writers, &audience, &sent).await?;
    let pids = testbed.cluster.pids();
    let before = Snapshot::take(&pids)?;
    // No warm-up: every event of the load counts, so that sent and delivered can be compared.
    let extent = Extent::Timed { warm_up: Duration::ZERO, measured: effort.measured };
    let puts = load::run(clients, extent, &pids).await?;
    tokio::time::sleep(DRAIN).await;
    audience.counting.store(false, Ordering::Relaxed);
    let after = Snapshot::take(&pids)?;
    if let Some(ended) = watchers.try_join_next() {
        return Err(Failure::Wrong(format!("a watcher ended early: {ended:?}")));
    }
    watchers.abort_all();
    let lags = audience.lags.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let window = after.since(&before, lags);
    let events = window.operations as f64;
    let owed = (sent.load(Ordering::Relaxed) * WATCHERS as u64) as f64;
    let mut figures = Figures::default();
    figures.set(Figure::Events, events);
    figures.set(Figure::PutRate, puts.operations as f64 / puts.elapsed.as_secs_f64());
    figures.set(Figure::Delivered, 100.0 * events / owed.max(1.0));
    let milliseconds = |quantile| window.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    figures.set(Figure::LagP50, milliseconds(0.5));
    figures.set(Figure::LagP99, milliseconds(0.99));
    let per_event = |time: Duration| time.as_secs_f64() * 1e6 / events.max(1.0);
    figures.set(Figure::ServerTimePerEvent, per_event(window.server_time()));
    figures.set(Figure::GeneratorTimePerEvent, per_event(window.generator_time));
    Ok(figures)
}

/// Opens the watchers round robin over the connections; each has been confirmed when this returns.
async fn open_watchers(
    testbed: &Testbed,
    audience: &Arc<Audience>,
) -> Result<JoinSet<std::result::Result<(), Status>>> {
    let connections = testbed.connect().await?;
    let mut watchers = JoinSet::new();
    for watcher in 0..WATCHERS {
        let connection = &connections[watcher % connections.len()];
        let (requests, receiver) = mpsc::channel(1);
        let create = WatchCreateRequest {
            key: PREFIX.into(),
            range_end: PREFIX_END.into(),
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let queued = requests.send(request).await;
        queued.map_err(|_| Failure::Wrong("the watch request was not taken".into()))?;
        let stream = connection.watch().watch(ReceiverStream::new(receiver)).await;
        let mut stream = stream.map_err(rpc_failure("open a watch stream"))?.into_inner();
        let first = stream.message().await.map_err(rpc_failure("create a watcher"))?;
        if !first.as_ref().is_some_and(|first| first.created && !first.canceled) {
            return Err(Failure::Wrong(format!("a watcher was not created: {first:?}")));
        }
        watchers.spawn(listen(stream, requests, Arc::clone(audience)));
    }
    Ok(watchers)
}

/// Counts events until the stream ends. The sender of requests is held, because dropping it would half-close the stream.
async fn listen(
    mut stream: Streaming<WatchResponse>,
    requests: mpsc::Sender<WatchRequest>,
    audience: Arc<Audience>,
) -> std::result::Result<(), Status> {
    let mut newest = 0;
    while let Some(answer) = stream.message().await? {
        if answer.canceled {
            return Err(Status::cancelled(answer.cancel_reason));
        }
        let now = load::microseconds(audience.epoch.elapsed());
        if !audience.counting.load(Ordering::Relaxed) {
            continue;
        }
        let mut lags = audience.lags.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &answer.events {
            let pair = event.kv.as_ref().ok_or_else(|| Status::data_loss("an event of no key"))?;
            if pair.mod_revision <= newest {
                return Err(Status::data_loss(format!(
                    "revision {} arrived after {newest}",
                    pair.mod_revision
                )));
            }
            newest = pair.mod_revision;
            let sent = stamp_of(&pair.value).ok_or_else(|| Status::data_loss("a short value"))?;
            lags.saturating_record(now.saturating_sub(sent));
        }
    }
    drop(requests);
    Err(Status::unavailable("the watch stream was closed"))
}

/// Puts values that carry the moment of sending.
struct StampedPutter {
    kv: KvClient<Connection>,
    keys: Keys,
    count: usize,
    values: Arc<Values>,
    dice: Dice,
    audience: Arc<Audience>,
    sent: Arc<AtomicU64>,
}

async fn writer_clients(
    testbed: &Testbed,
    writers: usize,
    audience: &Arc<Audience>,
    sent: &Arc<AtomicU64>,
) -> Result<Vec<StampedPutter>> {
    let connections = testbed.connect().await?;
    let writer = |client: usize| StampedPutter {
        kv: connections[client % connections.len()].kv(),
        keys: testbed.keys.clone(),
        count: testbed.shape.keys,
        values: Arc::clone(&testbed.values),
        dice: Dice::new(client as u64),
        audience: Arc::clone(audience),
        sent: Arc::clone(sent),
    };
    Ok((0..writers).map(writer).collect())
}

impl Client for StampedPutter {
    async fn perform(&mut self) -> std::result::Result<Step, Status> {
        let key = self.keys.get(self.dice.below(self.count));
        let stamp = load::microseconds(self.audience.epoch.elapsed());
        let (value, _) = self.values.next_stamped(stamp);
        self.kv.put(PutRequest { key, value, ..PutRequest::default() }).await?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(Step::Done)
    }
}
