//! Answers that are made while their client takes them: slowly, not at all, or not to the end.
//!
//! The clients here read HTTP/2's frames themselves, with small windows, so that a test decides what
//! was taken; a gRPC library takes a whole message as fast as it can.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, Request};
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::floods::{MIB, PATIENCE, gauge, memory};
use crate::harness::api::{PutRequest, RangeRequest, RangeResponse};
use crate::harness::*;

/// HTTP/2's smallest window that any library uses.
const WINDOW: u32 = 65_535;

/// Longer than a server holds anything for a client that does not read.
const LONG: Duration = Duration::from_secs(11);

/// An answer on its way.
struct Reader {
    body: Body,
    taken: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// Closing it ends the connection.
    _channel: tonic::transport::Channel,
}

impl Reader {
    /// Asks, on a connection of its own, and takes nothing.
    async fn ask(url: &str, request: &RangeRequest) -> Reader {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL of the harness");
        let endpoint =
            endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let mut channel = endpoint.connect().await.expect("connected");
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len()).expect("a small request").to_be_bytes();
        let body = Full::from([&[0], &length[..], &message].concat());
        let request = Request::post(format!("{url}/etcdserverpb.KV/Range"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let request = request.body(Body::new(body)).expect("a request");
        std::future::poll_fn(|context| channel.poll_ready(context)).await.expect("ready");
        let answer = channel.call(request).await.expect("the head of an answer");
        let refusal = Status::from_header_map(answer.headers());
        assert!(refusal.is_none(), "{refusal:?}");
        let (body, taken) = (answer.into_body(), Vec::new());
        Reader { body, taken, trailers: None, _channel: channel }
    }

    /// Takes the next piece; false at the end.
    async fn take(&mut self) -> bool {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
        match frame.expect("a piece in time") {
            None => false,
            Some(frame) => {
                match frame.expect("the connection stays").into_data() {
                    Ok(data) => self.taken.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                }
                true
            }
        }
    }

    /// Takes until it has so many bytes.
    async fn take_up_to(&mut self, bytes: usize) {
        while self.taken.len() < bytes {
            assert!(self.take().await, "ended after {} of {bytes} bytes", self.taken.len());
        }
    }

    /// Takes the rest, at most so many bytes a second.
    async fn take_the_rest(&mut self, speed: f64) -> Status {
        let (begun, first) = (Instant::now(), self.taken.len());
        while self.take().await {
            let due = Duration::from_secs_f64((self.taken.len() - first) as f64 / speed);
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        }
        let trailers = self.trailers.as_ref().expect("an answer ends with its status");
        Status::from_header_map(trailers).expect("a status")
    }

    /// The one message, whole.
    fn message(&self) -> RangeResponse {
        let length: [u8; 4] = self.taken[1..5].try_into().expect("four bytes");
        assert_eq!(self.taken.len(), 5 + u32::from_be_bytes(length) as usize);
        RangeResponse::decode(&self.taken[5..]).expect("it decodes")
    }
}

/// Bytes that no compression makes smaller and no other key has.
fn noise(seed: usize, bytes: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let words = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    });
    words.take(bytes / 4).flat_map(u32::to_le_bytes).collect()
}

async fn fill(client: &Client, prefix: &str, count: usize, bytes: usize) {
    for i in 0..count {
        client.put(put(format!("{prefix}{i:04}"), noise(i, bytes))).await.unwrap();
    }
}

#[tokio::test]
async fn ranges_that_nobody_reads_cost_little_and_keep_nobody_out() {
    // Etcd has no bound.
    if Kind::current() == Kind::Etcd {
        return;
    }
    const READERS: usize = 32;
    const VALUES: usize = 16;
    let cluster = Cluster::single(&["--quota-backend-bytes", "-1"]).await;
    let (url, process) = (cluster.endpoint(0).to_owned(), cluster.process_id(0));
    let client = cluster.client().await;
    fill(&client, "large/", VALUES, MIB as usize).await;
    let whole = client.range(prefix("large/")).await.unwrap();
    let before = memory(process, "VmRSS:");

    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        let url = url.clone();
        asking.spawn(async move { Reader::ask(&url, &prefix("large/")).await });
    }
    let surveyed = "quorate_answers_surveyed_total";
    let (mut readers, mut worst, mut most) = (Vec::new(), Duration::ZERO, 0);
    while readers.len() < READERS {
        let begun = Instant::now();
        client.put(put("k", "v")).await.expect("others are served");
        worst = worst.max(begun.elapsed());
        most = most.max(memory(process, "VmRSS:"));
        while let Some(reader) = asking.try_join_next() {
            readers.push(reader.expect("no reader panics"));
        }
    }
    let grown = most.saturating_sub(before);
    println!("{READERS} unread answers of {VALUES} MiB: {grown} bytes more, a put took {worst:?}");
    assert!(worst < PATIENCE, "a put took {worst:?} under the flood");
    assert!(grown < 96 * MIB, "{grown} bytes for {READERS} unread answers of {VALUES} MiB");

    // How long an answer of the newest revision is, is known without reading it.
    assert_eq!(gauge(&url, surveyed).await, 0.0);

    // One that goes away in the middle gives back what it held, long before it would be taken from
    // it.
    let held = gauge(&url, "quorate_answer_bytes").await;
    assert!(held > 0.0, "an answer under way has room");
    readers.truncate(READERS / 2);
    eventually("half of the room is given back", LONG / 3, async || {
        gauge(&url, "quorate_answer_bytes").await <= held / 2.0
    })
    .await;
    // Those that stay and do not read hold nothing after a while, and can still read on.
    eventually("unread answers hold no room", 2 * LONG, async || {
        gauge(&url, "quorate_answer_bytes").await == 0.0
    })
    .await;
    for reader in readers.iter_mut().take(2) {
        assert_eq!(reader.take_the_rest(f64::INFINITY).await.code(), Code::Ok);
        let message = reader.message();
        assert_eq!((message.kvs.len(), message.count), (VALUES, VALUES as i64));
        assert!(message.kvs == whole.kvs, "the bytes differ");
    }
    drop(readers);
    eventually("nothing is held in the end", PATIENCE, async || {
        gauge(&url, "quorate_answer_bytes").await == 0.0
    })
    .await;
}

/// What is asked for in the test of slow readers: values of all sizes.
async fn variety(client: &Client) -> RangeResponse {
    for i in 0..600 {
        let value = noise(i, [0, 40, 3_000, 900, 70_000, 15_000][i % 6]);
        client.put(put(format!("slow/{i:04}"), value)).await.unwrap();
    }
    client.put(put("slow/0300x", noise(7, 1_400_000))).await.unwrap();
    client.range(prefix("slow/")).await.unwrap()
}

/// Another value for some, another life for some, and an end for the rest.
async fn change_everything(client: &Client) {
    for i in 0..600 {
        let key = format!("slow/{i:04}");
        if i % 3 < 2 {
            client.delete(delete(&key)).await.unwrap();
        }
        if i % 3 > 0 {
            client.put(put(&key, format!("other {i}"))).await.unwrap();
        }
    }
    client.put(put("slow/0300y", "was never there")).await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte_as_it_was() {
    // How etcd holds an answer is its own affair; it is not slow enough to tell.
    if Kind::current() == Kind::Etcd {
        return;
    }
    let cluster = Cluster::single(&["--quota-backend-bytes", "-1"]).await;
    let (url, client) = (cluster.endpoint(0).to_owned(), cluster.client().await);
    let before = variety(&client).await;
    let all = prefix("slow/");
    let part = RangeRequest { limit: 400, ..all.clone() };

    // One takes all the time, for longer than a view is held; others stop, and one of them early.
    let mut steady = Reader::ask(&url, &all).await;
    let (mut paused, mut cut) = (Reader::ask(&url, &all).await, Reader::ask(&url, &part).await);
    let mut lost = Reader::ask(&url, &all).await;
    paused.take_up_to(5 << 20).await;
    cut.take_up_to(1 << 20).await;
    let begun = Instant::now();
    let one = gauge(&url, "quorate_answer_bytes").await / 4.0;
    let bytes = before.kvs.iter().map(|kv| kv.value.len()).sum::<usize>();
    let speed = bytes as f64 / (LONG + LONG / 10).as_secs_f64();
    let steadily = tokio::spawn(async move {
        let status = steady.take_the_rest(speed).await;
        (status, steady)
    });
    change_everything(&client).await;
    eventually("those that do not read hold nothing", 2 * LONG, async || {
        gauge(&url, "quorate_answer_bytes").await <= one
    })
    .await;

    // They read on from the history.
    assert_eq!(paused.take_the_rest(f64::INFINITY).await.code(), Code::Ok);
    assert!(paused.message() == before, "an answer that was paused differs");
    assert_eq!(cut.take_the_rest(f64::INFINITY).await.code(), Code::Ok);
    let cut = cut.message();
    assert!(cut.kvs == before.kvs[..400], "an answer with a limit differs");
    assert_eq!((cut.more, cut.count, cut.header), (true, 601, before.header));
    let (status, steady) = steadily.await.unwrap();
    assert_eq!(status.code(), Code::Ok);
    assert!(begun.elapsed() > LONG, "it was to be slow: {:?}", begun.elapsed());
    assert!(steady.message() == before, "an answer that was taken slowly differs");

    // A compaction ends what nobody read, and not what is being read.
    for i in 0..600 {
        client.put(put(format!("slow/{i:04}"), noise(i, 12_000))).await.unwrap();
    }
    let then = client.range(all.clone()).await.unwrap();
    let mut reading = Reader::ask(&url, &all).await;
    reading.take_up_to(1 << 20).await;
    client.delete(delete_prefix("slow/")).await.unwrap();
    client.compact(client.revision().await, true).await.unwrap();
    assert_eq!(reading.take_the_rest(f64::INFINITY).await.code(), Code::Ok);
    assert!(reading.message() == then, "an answer that was under way differs");
    let status = lost.take_the_rest(f64::INFINITY).await;
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    assert_eq!(status.message(), "etcdserver: mvcc: required revision has been compacted");
    let length: [u8; 4] = lost.taken[1..5].try_into().unwrap();
    assert!(lost.taken.len() < 5 + u32::from_be_bytes(length) as usize, "it is no whole message");
}

#[tokio::test]
async fn every_way_to_ask_for_much_gets_the_same_answer() {
    let cluster = Cluster::single(&["--quota-backend-bytes", "-1"]).await;
    let (url, client) = (cluster.endpoint(0).to_owned(), cluster.client().await);
    let lease = client.grant(3_600).await;
    fill(&client, "much/", 40, 200_000).await;
    let old = client.revision().await;
    for i in (0..40).step_by(3) {
        let value = noise(1_000 + i, 150_000);
        client.put(PutRequest { lease, ..put(format!("much/{i:04}"), value) }).await.unwrap();
    }
    client.delete(delete("much/0001")).await.unwrap();
    for first in (0..20_000).step_by(100) {
        let puts = (first..first + 100).map(|i| put(format!("many/{i:0100}"), "v").op());
        client.txn(always(puts.collect::<Vec<_>>())).await.unwrap();
    }
    let asks = [
        prefix("much/"),
        RangeRequest { limit: 20, ..prefix("much/") },
        RangeRequest { limit: 39, ..prefix("much/") },
        RangeRequest { limit: 40, ..prefix("much/") },
        RangeRequest { serializable: true, ..prefix("much/") },
        RangeRequest { revision: old, ..prefix("much/") },
        RangeRequest { revision: old, limit: 30, ..prefix("much/") },
        RangeRequest { sort_order: 1, ..prefix("much/") },
        RangeRequest { keys_only: true, ..prefix("many/") },
        RangeRequest { keys_only: true, limit: 15_000, ..prefix("many/") },
        range("many/", "\0"),
    ];
    for request in asks {
        let mut reader = Reader::ask(&url, &request).await;
        assert_eq!(reader.take_the_rest(f64::INFINITY).await.code(), Code::Ok);
        let answer = reader.message();
        // The same in pages, which are small answers and made another way.
        let revision =
            if request.revision > 0 { request.revision } else { client.revision().await };
        let at_a_time = if request.key == "many/" { 500 } else { 1 };
        let wanted = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        let (mut kvs, mut more, mut key) = (Vec::new(), true, request.key.clone());
        while more && wanted.is_none_or(|wanted| kvs.len() < wanted) {
            let left = wanted.map_or(at_a_time, |wanted| at_a_time.min(wanted - kvs.len()));
            let page = RangeRequest { key, revision, limit: left as i64, ..request.clone() };
            let page = client.range(page).await.unwrap();
            let last = page.kvs.last().expect("a page has a pair");
            key = [&last.key[..], &[0]].concat().into();
            kvs.extend(page.kvs);
            more = page.more;
        }
        assert!(answer.kvs == kvs, "{request:?}");
        let count = RangeRequest { count_only: true, limit: 0, ..request.clone() };
        let count = client.range(count).await.unwrap();
        assert_eq!((answer.more, answer.count), (more, count.count), "{request:?}");
        assert_eq!(answer.header, count.header, "{request:?}");
    }
    // The two of an older revision and all of the keys without their values had to be read to be
    // measured, and nothing else.
    if Kind::current() != Kind::Etcd {
        assert_eq!(gauge(&url, "quorate_answers_surveyed_total").await, 3.0);
    }
}
