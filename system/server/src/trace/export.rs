//! The way of spans to the collector: a bounded queue, and a thread that empties it.

use super::proto::{self, Any, AnyValue, KeyValue};
use super::{Finished, TraceOptions, Value};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};

/// Spans that wait; more are lost.
const WAITING: usize = 2_048;
/// Spans in one message.
const AT_ONCE: usize = 512;
/// A span waits at most so long for others.
const EVERY: Duration = Duration::from_secs(1);
/// A collector has so long to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end of the member waits for the collector.
const AT_THE_END: Duration = Duration::from_secs(1);

/// Finished spans on their way.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<Finished>,
    lost: u64,
    closed: bool,
}

impl Queue {
    /// Adds a span, or loses it when too many wait.
    pub fn push(&self, span: Finished) {
        let mut state = self.lock();
        if state.spans.len() >= WAITING {
            state.lost += 1;
            return;
        }
        state.spans.push(span);
        let is_full = state.spans.len() == AT_ONCE;
        drop(state);
        if is_full {
            self.more.notify_one();
        }
    }

    /// Nothing more comes that matters.
    pub fn close(&self) {
        self.lock().closed = true;
        self.more.notify_one();
    }

    /// Waits for spans: many, or a while. Says how many were lost since, and whether the queue is closed.
    fn take(&self) -> (Vec<Finished>, u64, bool) {
        let is_early = |state: &mut State| state.spans.len() < AT_ONCE && !state.closed;
        let waited = self.more.wait_timeout_while(self.lock(), EVERY, is_early);
        let (mut state, _) = waited.expect("no holder of this lock panics");
        let count = state.spans.len().min(AT_ONCE);
        let spans = state.spans.drain(..count).collect();
        (spans, std::mem::take(&mut state.lost), state.closed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// Starts the thread that sends what is in the queue, until that is closed and empty.
pub fn start(options: &TraceOptions, queue: Arc<Queue>) -> Result<JoinHandle<()>, String> {
    let collector = &options.collector;
    let endpoint = Endpoint::from_shared(format!("http://{collector}"))
        .map_err(|error| format!("{collector:?} is no address of a collector: {error}"))?;
    let endpoint = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let resource = resource(options);
    let work = move || {
        let channel = runtime.block_on(async { endpoint.connect_lazy() });
        let mut works = true;
        loop {
            let (spans, lost, closed) = queue.take();
            let is_last = closed && spans.len() < AT_ONCE;
            if lost > 0 {
                tracing::warn!(
                    "{lost} spans were lost: they came faster than the collector took them"
                );
            }
            if !spans.is_empty() {
                let patience = if closed { AT_THE_END } else { PATIENCE };
                let sent = runtime.block_on(send(&channel, message(&resource, spans), patience));
                // Once for each change: a collector that is away stays so for a while.
                match &sent {
                    Ok(()) if !works => tracing::info!("the collector takes spans again"),
                    Err(error) if works => tracing::warn!("spans are lost: {error}"),
                    Ok(()) | Err(_) => {}
                }
                works = sent.is_ok();
            }
            // Whoever ends does not wait for a collector that is away.
            if is_last || (closed && !works) {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("traces".into()).spawn(work);
    thread.map_err(|error| error.to_string())
}

async fn send(
    channel: &Channel,
    message: proto::ExportRequest,
    patience: Duration,
) -> Result<(), String> {
    let exchange = async {
        let mut client = Grpc::new(channel.clone());
        client
            .ready()
            .await
            .map_err(|error| format!("the collector cannot be reached: {error}"))?;
        let path = http::uri::PathAndQuery::from_static(proto::EXPORT);
        let codec: tonic_prost::ProstCodec<proto::ExportRequest, proto::ExportResponse> =
            tonic_prost::ProstCodec::default();
        let answer = client.unary(tonic::Request::new(message), path, codec).await;
        answer.map(drop).map_err(|status| format!("the collector answers {status}"))
    };
    match tokio::time::timeout(patience, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("the collector does not answer within {patience:?}")),
    }
}

/// Who speaks.
fn resource(options: &TraceOptions) -> proto::Resource {
    let text = |key: &str, value: &str| attribute(key, Value::Text(value.to_owned()));
    let mut attributes = vec![
        text("service.name", &options.service_name),
        text("service.version", env!("CARGO_PKG_VERSION")),
    ];
    if !options.instance_id.is_empty() {
        attributes.push(text("service.instance.id", &options.instance_id));
    }
    proto::Resource { attributes }
}

fn message(resource: &proto::Resource, spans: Vec<Finished>) -> proto::ExportRequest {
    let scope = proto::Scope { name: "quorate".into(), version: env!("CARGO_PKG_VERSION").into() };
    let spans = spans.into_iter().map(span).collect();
    let scope_spans = vec![proto::ScopeSpans { scope: Some(scope), spans }];
    let resource = Some(resource.clone());
    proto::ExportRequest { resource_spans: vec![proto::ResourceSpans { resource, scope_spans }] }
}

fn span(span: Finished) -> proto::Span {
    let nanoseconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_nanos() as u64
    };
    let start = nanoseconds(span.start);
    let parent = if span.parent == 0 { Vec::new() } else { span.parent.to_be_bytes().to_vec() };
    let status = proto::Status { code: proto::ERROR, ..proto::Status::default() };
    proto::Span {
        trace_id: span.place.trace.to_be_bytes().to_vec(),
        span_id: span.place.span.to_be_bytes().to_vec(),
        trace_state: span.place.state,
        parent_span_id: parent,
        name: span.name,
        kind: if span.is_call { proto::SERVER } else { proto::INTERNAL },
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(span.took.as_nanos() as u64),
        attributes: span.attributes.into_iter().map(|(k, value)| attribute(k, value)).collect(),
        status: span.is_error.then_some(status),
        // Recorded, as W3C's flags say it.
        flags: 1,
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => Any::Text(text),
        Value::Number(number) => Any::Number(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
