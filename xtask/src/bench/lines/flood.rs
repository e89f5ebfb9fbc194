//! Clients that behave badly: how much of the others' throughput is left, and what a member's memory grows by.
//!
//! Each round measures healthy clients twice on the same cluster, without and then with the flood, so that what is kept
//! is a ratio of two windows that are seconds apart. The floods are those that brought servers down: connections that never
//! finish their handshake (CVE-2026-73500), watchers that do not read while values of a megabyte are written
//! (etcd#16839), and ranges of 64 MiB whose answers nobody takes.

use std::time::Duration;

use bytes::Bytes;
use quorate_wire::etcd::etcdserverpb::watch_request::RequestUnion;
use quorate_wire::etcd::etcdserverpb::{
    PutRequest, RangeRequest, RangeResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use super::Effort;
use crate::bench::connection::Connection;
use crate::bench::cpu;
use crate::bench::failure::{Failure, Result, io_failure, rpc_failure};
use crate::bench::load::{self, Window};
use crate::bench::report::{Figure, Figures};
use crate::bench::testbed::Testbed;

/// What the badly behaved clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Connect and say nothing.
    Silent,
    /// Watch and do not read.
    Watch,
    /// Ask for much and do not read.
    Range,
}

/// Silent connections, all to one member.
const SILENT: usize = 10_000;

/// Watch streams that nobody reads.
const WATCHERS: usize = 20;

/// Large ranges that nobody reads.
const RANGES: usize = 32;

/// Keys with a large value, and the value's bytes.
const LARGE: usize = 64;
const LARGE_BYTES: usize = 1 << 20;

/// Where they lie, apart from the healthy clients' keys.
const PLACE: &str = "flood/";
const PLACE_END: &str = "flood0";

/// Time between two writes of a large value.
const WRITE_PAUSE: Duration = Duration::from_millis(100);

/// Time between two looks at the members' memory.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Measures one round.
pub async fn measure(
    testbed: &Testbed,
    flood: Flood,
    clients: usize,
    effort: &Effort,
) -> Result<Figures> {
    let _writer = match flood {
        Flood::Silent => None,
        Flood::Watch => Some(write_on(testbed).await?),
        Flood::Range => {
            for number in 0..LARGE {
                put_large(&testbed.cluster.connect(0).await?, number).await?;
            }
            None
        }
    };
    Testbed::settle(&testbed.scratch).await?;
    let before = largest_memory(testbed)?;
    let calm = healthy(testbed, clients, effort).await?;
    let held = begin(testbed, flood).await?;
    let mut peak = 0;
    let under = {
        let load = healthy(testbed, clients, effort);
        let look = async {
            loop {
                if let Ok(memory) = largest_memory(testbed) {
                    peak = peak.max(memory);
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        tokio::select! { window = load => window?, () = look => unreachable!("it never ends") }
    };
    drop(held);
    let rate = |window: &Window| window.operations as f64 / window.elapsed.as_secs_f64();
    let mut figures = Figures::of_window(&under);
    figures.set(Figure::CalmRate, rate(&calm));
    figures.set(Figure::Kept, 100.0 * rate(&under) / rate(&calm).max(1.0));
    figures.set(Figure::RssGrowth, peak.saturating_sub(before) as f64 / f64::from(1 << 20));
    Ok(figures)
}

async fn healthy(testbed: &Testbed, clients: usize, effort: &Effort) -> Result<Window> {
    let putters = testbed.putters(clients).await?;
    load::run(putters, effort.extent(), &testbed.cluster.pids()).await
}

/// Resident bytes of the member that has most.
fn largest_memory(testbed: &Testbed) -> Result<u64> {
    let mut largest = 0;
    for pid in testbed.cluster.pids() {
        largest = largest.max(cpu::memory_of(pid)?.rss);
    }
    Ok(largest)
}

/// What keeps a flood going. Dropped, it ends.
#[derive(Default)]
struct Held {
    _silent: Vec<TcpStream>,
    _watchers: Vec<(Streaming<WatchResponse>, mpsc::Sender<WatchRequest>)>,
    _ranges: Vec<Streaming<RangeResponse>>,
    asking: Vec<AbortHandle>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.asking.iter().for_each(AbortHandle::abort);
    }
}

async fn begin(testbed: &Testbed, flood: Flood) -> Result<Held> {
    let mut held = Held::default();
    match flood {
        Flood::Silent => {
            raise_limit()?;
            let address = &testbed.cluster.members[0].client_address;
            for _ in 0..SILENT {
                let stream = TcpStream::connect(address).await;
                held._silent.push(stream.map_err(io_failure("connect and say nothing"))?);
            }
        }
        Flood::Watch => {
            for number in 0..WATCHERS {
                held._watchers.push(watch(testbed, number).await?);
            }
        }
        Flood::Range => {
            for number in 0..RANGES {
                // Its answer may have to wait for the others, so nobody waits for its beginning.
                let connection = testbed.cluster.connect(number % 3).await?;
                let asking = tokio::spawn(async move {
                    let answer = ask(connection).await;
                    std::future::pending::<()>().await;
                    drop(answer);
                });
                held.asking.push(asking.abort_handle());
            }
        }
    }
    Ok(held)
}

/// A large range whose answer is left where it is.
async fn ask(connection: Connection) -> Result<Streaming<RangeResponse>> {
    let request = RangeRequest {
        key: PLACE.into(),
        range_end: PLACE_END.into(),
        serializable: true,
        ..RangeRequest::default()
    };
    let origin = connection.origin();
    let mut grpc = Grpc::with_origin(connection, origin);
    let failed = |error: h2::Error| Failure::Wrong(error.to_string());
    grpc.ready().await.map_err(failed)?;
    let path = http::uri::PathAndQuery::from_static("/etcdserverpb.KV/Range");
    // As if it were a stream: a call for one answer would read it all.
    let codec = ProstCodec::<RangeRequest, RangeResponse>::default();
    let answer = grpc.server_streaming(tonic::Request::new(request), path, codec).await;
    Ok(answer.map_err(rpc_failure("ask for a large range"))?.into_inner())
}

async fn watch(
    testbed: &Testbed,
    number: usize,
) -> Result<(Streaming<WatchResponse>, mpsc::Sender<WatchRequest>)> {
    let connection = testbed.cluster.connect(number % 3).await?;
    let (requests, receiver) = mpsc::channel(1);
    let create = WatchCreateRequest {
        key: PLACE.into(),
        range_end: PLACE_END.into(),
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let queued = requests.send(request).await;
    queued.map_err(|_| Failure::Wrong("the watch request was not taken".into()))?;
    let stream = connection.watch().watch(ReceiverStream::new(receiver)).await;
    Ok((stream.map_err(rpc_failure("open a watch stream"))?.into_inner(), requests))
}

/// Puts large values, one after the other, until it is dropped.
async fn write_on(testbed: &Testbed) -> Result<Writer> {
    let connection = testbed.cluster.connect(0).await?;
    put_large(&connection, 0).await?;
    let writing = tokio::spawn(async move {
        for number in (0..LARGE).cycle() {
            if put_large(&connection, number).await.is_err() {
                return;
            }
            tokio::time::sleep(WRITE_PAUSE).await;
        }
    });
    Ok(Writer(writing.abort_handle()))
}

struct Writer(AbortHandle);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn put_large(connection: &Connection, number: usize) -> Result<()> {
    let request = PutRequest {
        key: format!("{PLACE}{number:02}").into(),
        value: Bytes::from(vec![b'x'; LARGE_BYTES]),
        ..PutRequest::default()
    };
    connection.kv().put(request).await.map_err(rpc_failure("put a large value"))?;
    Ok(())
}

/// The load generator may open as many files as it is allowed to.
fn raise_limit() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if maximum.is_some_and(|most| most < SILENT as u64 + 500) {
        return Err(Failure::Setup(format!(
            "{SILENT} connections need as many open files, and the limit is {maximum:?}: raise it with ulimit -Hn"
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|error| io_failure("raise the limit of open files")(error.into()))
}
