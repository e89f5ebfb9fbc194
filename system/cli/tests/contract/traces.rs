//! `--enable-distributed-tracing`: spans of calls at a collector of OpenTelemetry.
//!
//! The collector here knows the few fields of OTLP that it looks at by their numbers, and etcd's own exporter (the
//! OpenTelemetry libraries of Go) is read by the same code when these tests judge a real etcd.

use std::time::Duration;

use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;
use tonic::codegen::{BoxFuture, Context, Poll, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};

use crate::harness::api::CompactionRequest;
use crate::harness::http::send;
use crate::harness::*;

/// The longest that a span may take to arrive: etcd gathers them for five seconds.
const LIMIT: Duration = Duration::from_secs(20);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
}

/// `key=value` of each attribute.
fn told(attributes: &[Attribute]) -> Vec<String> {
    let one = |attribute: &Attribute| {
        let value = attribute.value.clone().unwrap_or_default();
        let value = value.text.or(value.number.map(|number| number.to_string()));
        format!("{}={}", attribute.key, value.unwrap_or_default())
    };
    attributes.iter().map(one).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes spans and hands them on.
#[derive(Clone)]
struct Collector(mpsc::UnboundedSender<Export>);

impl NamedService for Collector {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl UnaryService<Export> for Collector {
    type Response = ();
    type Future = BoxFuture<tonic::Response<()>, tonic::Status>;

    fn call(&mut self, request: Request<Export>) -> Self::Future {
        let _ = self.0.send(request.into_inner());
        Box::pin(async { Ok(tonic::Response::new(())) })
    }
}

impl Service<http::Request<tonic::body::Body>> for Collector {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            assert!(request.uri().path().ends_with("TraceService/Export"), "{}", request.uri());
            let codec: tonic_prost::ProstCodec<(), Export> = tonic_prost::ProstCodec::default();
            Ok(Grpc::new(codec).unary(this, request).await)
        })
    }
}

/// A collector on a port of its own, and what it gets.
async fn collector() -> (String, Spans) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, got) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder().add_service(Collector(sender));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, Spans { got, seen: Vec::new(), resource: Vec::new() })
}

/// Spans as they come.
struct Spans {
    got: mpsc::UnboundedReceiver<Export>,
    seen: Vec<Span>,
    resource: Vec<String>,
}

impl Spans {
    /// The first span that fits, once it is there.
    async fn find(&mut self, what: &str, fits: impl Fn(&Span) -> bool) -> Span {
        loop {
            if let Some(span) = self.seen.iter().find(|span| fits(span)) {
                return span.clone();
            }
            let more = tokio::time::timeout(LIMIT, self.got.recv()).await;
            let Ok(Some(more)) = more else { panic!("no {what} among {:#?}", self.seen) };
            for spans in more.resource_spans {
                self.resource = told(&spans.resource.unwrap_or_default().attributes);
                self.seen.extend(spans.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
    }
}

fn traced<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request
}

fn flags(address: &str) -> Vec<String> {
    vec![
        "--enable-distributed-tracing".to_owned(),
        format!("--distributed-tracing-address={address}"),
        "--distributed-tracing-service-name=store".to_owned(),
        "--distributed-tracing-instance-id=one".to_owned(),
    ]
}

#[tokio::test]
async fn a_call_is_a_span_below_its_callers() {
    let (address, mut spans) = collector().await;
    let flags = flags(&address);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let cluster = Cluster::single(&flags).await;
    let client = cluster.client().await;
    // Nobody asks for these to be recorded: by default, only what has a recorded parent is.
    client.write("unknown", "1").await;
    client.kv().put(traced(put("refused", "1"), "00")).await.unwrap();
    client.kv().put(traced(put("a", "1"), "01")).await.unwrap();
    client.kv().range(traced(get("a"), "01")).await.unwrap();

    let call = spans.find("span of the put", |span| span.name == "etcdserverpb.KV/Put").await;
    assert_eq!((&hex(&call.trace)[..], &hex(&call.parent)[..]), (TRACE, PARENT));
    assert_eq!(call.kind, 2, "a server's");
    assert!(call.start > 1_500_000_000_000_000_000 && call.end > call.start, "{call:?}");
    let attributes = told(&call.attributes);
    assert!(attributes.iter().any(|it| it.starts_with("rpc.system")), "{attributes:?}");
    let says = |name: &str, value: &str| spans.resource.contains(&format!("{name}={value}"));
    assert!(
        says("service.name", "store") && says("service.instance.id", "one"),
        "{:?}",
        spans.resource
    );

    let range = spans.find("span of the range", |it| it.name == "etcdserverpb.KV/Range").await;
    assert_eq!(hex(&range.trace), TRACE);
    let puts = spans.seen.iter().filter(|span| span.name.ends_with("/Put")).count();
    assert_eq!(puts, 1, "what came before the range came before it");
    if Kind::current() == Kind::Etcd {
        return;
    }
    for wanted in [
        "rpc.service=etcdserverpb.KV",
        "rpc.method=Put",
        "rpc.grpc.status_code=0",
        "rpc.system=grpc",
    ] {
        assert!(attributes.iter().any(|it| it == wanted), "{wanted} in {attributes:?}");
    }
    let written = spans.find("child of the put", |span| span.parent == call.id).await;
    assert_eq!((&written.name[..], written.kind), ("log and apply", 1));
    assert_eq!(written.trace, call.trace);
    assert!(written.start >= call.start, "{written:?} in {call:?}");
    let asked = spans.find("child of the range", |span| span.parent == range.id).await;
    assert_eq!(asked.name, "read index");
    // The gateway's callers are callers too.
    let parent = format!("00-{TRACE}-00000000000000ff-01");
    let body = r#"{"key":"Zm9v","value":"YmFy"}"#;
    let answer =
        send(cluster.endpoint(0), "POST", "/v3/kv/put", &[("traceparent", &parent)], body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    spans.find("span of the gateway", |span| hex(&span.parent) == "00000000000000ff").await;
}

#[tokio::test]
async fn a_share_of_the_calls_without_a_parent_is_recorded_and_the_end_loses_none() {
    let (address, mut spans) = collector().await;
    let mut flags = flags(&address);
    flags.push("--distributed-tracing-sampling-rate=1000000".to_owned());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let cluster = Cluster::single(&flags).await;
    let client = cluster.client().await;
    // The way to the collector stands when the member is asked to stop: that leaves it a second.
    client.read("a").await;
    spans.find("span of the read", |span| span.name == "etcdserverpb.KV/Range").await;
    client.write("a", "1").await;
    let error = client.kv().compact(CompactionRequest { revision: 99, ..Default::default() }).await;
    assert_eq!(error.unwrap_err().code(), Code::OutOfRange);
    // What is there when it is asked to stop is told before it ends.
    cluster.signal(0, rustix::process::Signal::TERM);
    let call = spans.find("span of the put", |span| span.name == "etcdserverpb.KV/Put").await;
    assert!(call.parent.is_empty() && call.trace.iter().any(|byte| *byte != 0), "{call:?}");
    let refused = |span: &Span| span.name == "etcdserverpb.KV/Compact";
    let refused = spans.find("span of the compaction", refused).await;
    let code = format!("rpc.grpc.status_code={}", Code::OutOfRange as i32);
    if Kind::current() == Kind::Quorate {
        assert!(told(&refused.attributes).contains(&code), "{refused:?}");
    }
    assert_ne!(refused.trace, call.trace, "calls that nobody joined are traces of their own");
}
