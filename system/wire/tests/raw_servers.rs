//! The servers with encoded answers, called over a real connection by the generated clients: what arrives must be the
//! message that the generated server would have sent.

use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use prost::Message;
use quorate_wire::codec::Piecewise;
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use quorate_wire::etcd::etcdserverpb::kv_server::Kv;
use quorate_wire::etcd::etcdserverpb::watch_client::WatchClient;
use quorate_wire::etcd::etcdserverpb::*;
use quorate_wire::etcd::mvccpb::event::EventType;
use quorate_wire::etcd::mvccpb::{Event, KeyValue};
use quorate_wire::flow::Flow;
use quorate_wire::range_raw::{RawKv, RawKvServer, RawRangeResponse};
use quorate_wire::raw::{KeyValueRef, append_range_kv, append_watch_event};
use quorate_wire::watch_raw::{RawWatch, RawWatchResponse, RawWatchServer};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// Answers that do not depend on the request.
struct Canned;

/// Pair number `n`; large enough that a hundred of them exceed every initial buffer.
fn pair(n: i64) -> KeyValue {
    KeyValue {
        key: format!("key-{n:04}").into(),
        create_revision: n,
        mod_revision: n + 1,
        version: 2,
        value: vec![b'v'; 200].into(),
        lease: 0,
    }
}

fn borrowed(pair: &KeyValue) -> KeyValueRef<'_> {
    KeyValueRef {
        key: &pair.key,
        create_revision: pair.create_revision,
        mod_revision: pair.mod_revision,
        version: pair.version,
        value: &pair.value,
        lease: pair.lease,
    }
}

fn header() -> ResponseHeader {
    ResponseHeader { cluster_id: u64::MAX, member_id: 7, revision: 99, raft_term: 3 }
}

fn whole_range() -> RangeResponse {
    let kvs = (0..100).map(pair).collect();
    RangeResponse { header: Some(header()), kvs, more: true, count: 1_000 }
}

fn raw_range() -> RawRangeResponse {
    let mut pieces = Vec::new();
    for page in 0..4 {
        let mut piece = BytesMut::new();
        (page * 25..page * 25 + 25).for_each(|n| append_range_kv(borrowed(&pair(n)), &mut piece));
        pieces.push(piece.freeze());
    }
    RawRangeResponse { head: RangeResponse { kvs: Vec::new(), ..whole_range() }, kvs: pieces }
}

fn whole_watch() -> WatchResponse {
    let events = (0..50).map(|n| Event {
        r#type: EventType::Delete as i32,
        kv: Some(pair(n)),
        prev_kv: (n % 2 == 0).then(|| pair(n)),
    });
    WatchResponse {
        header: Some(header()),
        watch_id: 4,
        events: events.collect(),
        ..WatchResponse::default()
    }
}

fn raw_watch() -> RawWatchResponse {
    let mut pieces = Vec::new();
    for n in 0..50 {
        let mut piece = BytesMut::new();
        let pair = pair(n);
        let before = (n % 2 == 0).then(|| borrowed(&pair));
        append_watch_event(EventType::Delete, borrowed(&pair), before, &mut piece);
        pieces.push(piece.freeze());
    }
    RawWatchResponse { head: WatchResponse { events: Vec::new(), ..whole_watch() }, events: pieces }
}

impl RawWatch for Canned {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<RawWatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let created = WatchResponse { created: true, ..WatchResponse::default() };
        let answers = request.into_inner().map(move |request| match request?.request_union {
            Some(watch_request::RequestUnion::CreateRequest(_)) => Ok(created.clone().into()),
            Some(watch_request::RequestUnion::ProgressRequest(_)) => Ok(raw_watch()),
            Some(watch_request::RequestUnion::CancelRequest(_)) | None => {
                Err(Status::cancelled("etcdserver: watch canceled"))
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

impl RawKv for Canned {
    async fn raw_range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RawRangeResponse>, Status> {
        let raw = raw_range();
        let mut answer = Response::new(RawRangeResponse::default());
        let (more, fewer) = (Bytes::from_static(b"more"), raw.kvs[..1].to_vec());
        let (announced, pieces) = match &request.get_ref().key[..] {
            b"flow" => (raw.kvs.concat().len(), raw.kvs.into_iter().map(Ok).collect()),
            b"short" => (raw.kvs.concat().len(), fewer.into_iter().map(Ok).collect()),
            b"long" => (raw.kvs[0].len(), [fewer[0].clone(), more].map(Ok).to_vec()),
            b"fails" => {
                let gone = Err(Status::out_of_range("gone"));
                (raw.kvs.concat().len(), vec![Ok(fewer[0].clone()), gone])
            }
            b"endless" => (1 << 32, Vec::new()),
            _ => return Ok(Response::new(raw)),
        };
        let pieces: Vec<Result<Bytes, Status>> = pieces;
        let pieces = Box::pin(tokio_stream::iter(pieces));
        let flow = Flow::new(&raw.head.encode_to_vec(), announced as u64, pieces)?;
        answer.extensions_mut().insert(flow);
        Ok(answer)
    }
}

#[tonic::async_trait]
impl Kv for Canned {
    type RangeStreamStream =
        Pin<Box<dyn Stream<Item = Result<RangeStreamResponse, Status>> + Send>>;

    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        Err(Status::internal("the raw server must answer ranges itself"))
    }

    async fn range_stream(
        &self,
        _: Request<RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let request = request.into_inner();
        let prev_kv = KeyValue { key: request.key, value: request.value, ..KeyValue::default() };
        Ok(Response::new(PutResponse { header: Some(header()), prev_kv: Some(prev_kv) }))
    }

    async fn delete_range(
        &self,
        _: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }

    async fn compact(
        &self,
        _: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }
}

/// Starts the servers on a free port of the loopback interface and connects to them.
async fn connect() -> tonic::transport::Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let canned = Arc::new(Canned);
    let router = tonic::transport::Server::builder()
        .add_service(RawWatchServer::new(Arc::clone(&canned)).max_decoding_message_size(4096))
        .add_service(RawKvServer::new(canned).max_decoding_message_size(4096));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(router.serve_with_incoming(incoming));
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    endpoint.expect("address is a URI").connect().await.expect("connect")
}

#[test]
fn the_pieces_are_the_bytes_of_the_message() {
    let mut bytes = BytesMut::new();
    raw_range().encode_into(&mut bytes);
    assert_eq!(raw_range().encoded_len(), bytes.len());
    // Field order differs (the head's `more` and `count` come before the pairs), the message does not.
    assert_eq!(RangeResponse::decode(bytes.freeze()).expect("decodes"), whole_range());

    let mut bytes = BytesMut::new();
    raw_watch().encode_into(&mut bytes);
    assert_eq!(raw_watch().encoded_len(), bytes.len());
    assert_eq!(bytes.as_ref(), whole_watch().encode_to_vec(), "events are the last field anyway");
}

#[tokio::test]
async fn a_range_arrives_whole_and_other_calls_pass() {
    let mut client = KvClient::new(connect().await);
    let response = client.range(RangeRequest::default()).await.expect("range");
    assert_eq!(response.into_inner(), whole_range());

    let request = PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() };
    let response = client.put(request).await.expect("put").into_inner();
    assert_eq!(response.prev_kv.expect("echo").value, "v");

    let status = client.txn(TxnRequest::default()).await.expect_err("not there");
    assert_eq!(status.code(), tonic::Code::Unimplemented);
}

#[tokio::test]
async fn an_answer_made_while_it_is_sent_is_whole_or_an_error() {
    let mut client = KvClient::new(connect().await);
    let mut ask = async |key: &'static str| {
        client.range(RangeRequest { key: key.into(), ..RangeRequest::default() }).await
    };
    assert_eq!(ask("flow").await.expect("range").into_inner(), whole_range());
    for (key, code) in [
        ("short", tonic::Code::Internal),
        ("long", tonic::Code::Internal),
        ("fails", tonic::Code::OutOfRange),
        ("endless", tonic::Code::ResourceExhausted),
    ] {
        let status = ask(key).await.expect_err(key);
        assert_eq!(status.code(), code, "{key}: {status:?}");
    }
}

#[tokio::test]
async fn a_request_above_the_limit_is_refused() {
    let mut client = KvClient::new(connect().await);
    let request = RangeRequest { key: vec![0; 5000].into(), ..RangeRequest::default() };
    let status = client.range(request).await.expect_err("too large");
    // What every gRPC library but tonic says, and what etcd's clients take for final (item 34).
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
}

#[tokio::test]
async fn a_watch_stream_carries_messages_and_pieces() {
    use watch_request::RequestUnion;
    let mut client = WatchClient::new(connect().await);
    let unions = [
        RequestUnion::CreateRequest(WatchCreateRequest::default()),
        RequestUnion::ProgressRequest(WatchProgressRequest {}),
        RequestUnion::ProgressRequest(WatchProgressRequest {}),
        RequestUnion::CancelRequest(WatchCancelRequest::default()),
    ];
    let requests = unions.map(|union| WatchRequest { request_union: Some(union) });
    let response = client.watch(tokio_stream::iter(requests)).await.expect("watch");
    let mut answers = response.into_inner();
    let created = answers.message().await.expect("answer").expect("not the end");
    assert!(created.created && created.events.is_empty());
    for _ in 0..2 {
        let answer = answers.message().await.expect("answer").expect("not the end");
        assert_eq!(answer, whole_watch());
    }
    let status = answers.message().await.expect_err("cancelled");
    assert_eq!(status.code(), tonic::Code::Cancelled);
}
