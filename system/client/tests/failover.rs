//! The client against members that misbehave on purpose: unreachable, unavailable, closing streams.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_client::etcd::etcdserverpb::kv_server::{Kv, KvServer};
use quorate_client::etcd::etcdserverpb::watch_request::RequestUnion;
use quorate_client::etcd::etcdserverpb::watch_server::{Watch, WatchServer};
use quorate_client::etcd::etcdserverpb::*;
use quorate_client::etcd::mvccpb::{Event, KeyValue};
use quorate_client::{Client, Error, Options, Outcome};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

/// A member that fails its first calls, and ends each watch stream after one event.
#[derive(Clone, Default)]
struct Member {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Calls that are still to fail with Unavailable.
    failures: usize,
    ranges: usize,
    puts: usize,
    /// Start revisions of the watches made.
    watched_from: Vec<i64>,
}

impl Member {
    fn failing(failures: usize) -> Self {
        let state = State { failures, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn count<T>(&self, count: impl FnOnce(&mut State) -> T) -> T {
        count(&mut self.state.lock().expect("not poisoned"))
    }

    fn fail_or<T: Default>(&self) -> Result<Response<T>, Status> {
        self.count(|state| {
            if state.failures == 0 {
                return Ok(Response::new(T::default()));
            }
            state.failures -= 1;
            Err(Status::unavailable("etcdserver: leader changed"))
        })
    }

    /// Serves on a free port of the loopback interface and tells the endpoint.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let endpoint = listener.local_addr().expect("address").to_string();
        let router = tonic::transport::Server::builder()
            .add_service(KvServer::new(self.clone()))
            .add_service(WatchServer::new(self.clone()));
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(router.serve_with_incoming(incoming));
        endpoint
    }
}

/// An endpoint at which nobody listens, as long as the socket is kept.
fn nobody() -> (tokio::net::TcpSocket, String) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bind");
    let address = socket.local_addr().expect("address").to_string();
    (socket, address)
}

fn client(endpoints: Vec<String>, timeout: Duration) -> Client {
    let request_timeout = Some(timeout);
    Client::new(Options { endpoints, request_timeout, ..Options::default() }).expect("settings")
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Kv for Member {
    type RangeStreamStream = Answers<RangeStreamResponse>;

    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        self.count(|state| state.ranges += 1);
        self.fail_or()
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.count(|state| state.puts += 1);
        self.fail_or()
    }

    async fn range_stream(
        &self,
        _: Request<RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }

    async fn delete_range(
        &self,
        _: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        Err(Status::failed_precondition("etcdserver: not leader"))
    }

    /// Never answers.
    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        std::future::pending().await
    }

    async fn compact(
        &self,
        _: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        Err(Status::out_of_range("etcdserver: mvcc: required revision has been compacted"))
    }
}

#[tonic::async_trait]
impl Watch for Member {
    type WatchStream = Answers<WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        assert_eq!(request.metadata().get("hasleader").expect("asked for"), "true");
        let first = request.into_inner().next().await.expect("a request")?;
        let Some(RequestUnion::CreateRequest(create)) = first.request_union else {
            return Err(Status::invalid_argument("the first request makes a watcher"));
        };
        self.count(|state| state.watched_from.push(create.start_revision));
        let next = if create.start_revision == 0 { 11 } else { create.start_revision };
        let header = Some(ResponseHeader { revision: 10, ..ResponseHeader::default() });
        let created = WatchResponse { header, created: true, ..WatchResponse::default() };
        let pair = KeyValue { mod_revision: next, ..KeyValue::default() };
        let events = vec![Event { kv: Some(pair), ..Event::default() }];
        let event = WatchResponse { header, events, ..WatchResponse::default() };
        let mut answers = vec![Ok(created), Ok(event)];
        match next {
            // Two ways to lose a stream, and one to end a watcher for good.
            11 => {}
            12 => answers.push(Err(Status::unavailable("etcdserver: no leader"))),
            _ => answers.push(Err(Status::permission_denied("etcdserver: permission denied"))),
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }
}

#[tokio::test]
async fn calls_fail_over_from_dead_endpoints() {
    let member = Member::default();
    let (one, other) = (nobody(), nobody());
    let endpoints = vec![one.1.clone(), member.serve().await, other.1.clone()];
    let client = client(endpoints, Duration::from_secs(10));
    for _ in 0..10 {
        client
            .put(PutRequest::default())
            .await
            .expect("a write that was never sent goes elsewhere");
    }
    assert_eq!(member.count(|state| state.puts), 10);
}

#[tokio::test]
async fn a_write_goes_round_a_member_that_is_held() {
    // The kernel accepts for a process that does not run.
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let held_endpoint = held.local_addr().expect("address").to_string();
    let member = Member::default();
    let client = client(vec![held_endpoint, member.serve().await], Duration::from_secs(20));
    for _ in 0..3 {
        client.put(PutRequest::default()).await.expect("the other member answers");
    }
    assert_eq!(member.count(|state| state.puts), 3);
}

#[tokio::test]
async fn a_write_that_was_sent_somewhere_may_have_happened() {
    let member = Member::default();
    let (_held, dead) = nobody();
    let endpoints = vec![dead, member.serve().await];
    let client = client(endpoints, Duration::from_millis(700));
    // One endpoint is out of reach, the other has the request and never answers.
    let error = client.txn(TxnRequest::default()).await.expect_err("no answer");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn an_unavailable_member_is_asked_again_for_reads_only() {
    let member = Member::failing(3);
    let client = client(vec![member.serve().await], Duration::from_secs(10));
    client.range(RangeRequest::default()).await.expect("the fourth attempt");
    assert_eq!(member.count(|state| state.ranges), 4);

    member.count(|state| state.failures = 1);
    let error = client.put(PutRequest::default()).await.expect_err("a write is not repeated");
    assert!(error.is("etcdserver: leader changed"), "{error}");
    assert_eq!((error.outcome(), member.count(|state| state.puts)), (Outcome::Unknown, 1));
}

#[tokio::test]
async fn a_refusal_is_final_and_says_that_nothing_happened() {
    let member = Member::default();
    let client = client(vec![member.serve().await], Duration::from_secs(10));
    let error = client.compact(CompactionRequest::default()).await.expect_err("compacted");
    assert_eq!(error.code(), Some(tonic::Code::OutOfRange));
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

#[tokio::test]
async fn without_any_member_the_request_was_never_sent() {
    let (_held, endpoint) = nobody();
    let client = client(vec![endpoint.clone()], Duration::from_millis(700));
    let error = client.put(PutRequest::default()).await.expect_err("nobody is there");
    assert!(matches!(error, Error::NotConnected { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(error.to_string().contains(&endpoint), "{error}");
}

#[tokio::test]
async fn a_member_that_does_not_answer_leaves_the_outcome_unknown() {
    let member = Member::default();
    let client = client(vec![member.serve().await], Duration::from_millis(300));
    let error = client.txn(TxnRequest::default()).await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_watcher_resumes_after_the_last_event_until_it_is_refused() {
    let member = Member::default();
    let (_held, dead) = nobody();
    let endpoints = vec![dead, member.serve().await];
    let client = client(endpoints, Duration::from_secs(10));
    let mut watcher = client.watch(WatchCreateRequest::default()).await.expect("created");
    for revision in [11, 12, 13] {
        let answer = watcher.next().await.expect("an answer").expect("not the end");
        let pair = answer.events[0].kv.clone().expect("a pair");
        assert_eq!(pair.mod_revision, revision, "no gap, no event twice");
    }
    let error = watcher.next().await.expect_err("refused");
    assert_eq!(error.code(), Some(tonic::Code::PermissionDenied));
    assert!(watcher.next().await.expect("the end").is_none());
    assert_eq!(member.count(|state| state.watched_from.clone()), [0, 12, 13]);
}

#[tokio::test]
async fn a_watcher_survives_being_polled_and_dropped() {
    let member = Member::default();
    let client = client(vec![member.serve().await], Duration::from_secs(10));
    let mut watcher = client.watch(WatchCreateRequest::default()).await.expect("created");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        tokio::select! {
            biased;
            answer = watcher.next() => {
                let answer = answer.expect("an answer").expect("not the end");
                seen.push(answer.events[0].kv.clone().expect("a pair").mod_revision);
            }
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(seen, [11, 12]);
}
