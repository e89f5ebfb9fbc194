//! Where a call spent its time, told to a collector of OpenTelemetry.
//!
//! Every call of a client is a span, under the name and the attributes that etcd's have: the call's path, its service and
//! method, and the code that it ended with. A caller that sends `traceparent` (W3C Trace Context) sees the span below its
//! own, and decides whether it is recorded; of the others, so many of a million are. Below a recorded call there is a
//! span for what takes time in it: the way through the log and the state ([`child`]), and the read index.
//!
//! What is not recorded costs a look at one header. What is, is put into a bounded queue, which a thread of its own
//! empties towards the collector ([`export`]): a collector that is slow or gone loses spans and delays no call.
//!
//! The collector is spoken to by the messages of `opentelemetry.proto` in [`proto`], not by the OpenTelemetry libraries:
//! see docs/decisions/0002-traces-without-a-library.md.

mod context;
mod export;
mod proto;

use context::{Ids, Remote};
use export::Queue;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tonic::Code;

/// Spans are recorded of so many in this many calls, at most.
pub const PER_MILLION: u32 = 1_000_000;

/// Where spans go, and which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceOptions {
    /// The collector, `host:port`; it is spoken to by gRPC in the clear, as by etcd.
    pub collector: String,
    /// The attribute `service.name` of every span.
    pub service_name: String,
    /// The attribute `service.instance.id`; empty is none.
    pub instance_id: String,
    /// Calls without a parent that are recorded, of a million. Those with one follow their parent.
    pub sampling_per_million: u32,
}

/// Records spans.
#[derive(Debug)]
pub struct Tracer {
    ids: Ids,
    /// A trace is recorded when its lower 63 bits are less than this.
    threshold: u64,
    queue: Arc<Queue>,
    thread: std::sync::Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What a span is attached to, and what a span is below.
#[derive(Clone, Debug)]
struct Place {
    trace: u128,
    span: u64,
    state: String,
}

/// A finished span.
#[derive(Debug)]
struct Finished {
    place: Place,
    parent: u64,
    name: String,
    is_call: bool,
    start: SystemTime,
    took: Duration,
    attributes: Vec<(&'static str, Value)>,
    is_error: bool,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// A span under way; it ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    tracer: Arc<Tracer>,
    began: Instant,
    span: Option<Finished>,
}

tokio::task_local! {
    /// The recorded call that this task works for.
    static CURRENT: Current;
}

/// What children of a call need to know of it.
#[derive(Clone, Debug)]
pub struct Current {
    tracer: Arc<Tracer>,
    place: Place,
}

impl Tracer {
    /// Starts the thread that exports.
    ///
    /// # Errors
    /// When the address is none or no thread can be started.
    pub fn start(options: &TraceOptions) -> Result<Arc<Tracer>, String> {
        let queue = Arc::new(Queue::default());
        let thread = export::start(options, queue.clone())?;
        let share = u128::from(options.sampling_per_million.min(PER_MILLION));
        let threshold = ((share << 63) / u128::from(PER_MILLION)) as u64;
        let thread = std::sync::Mutex::new(Some(thread));
        Ok(Arc::new(Tracer { ids: Ids::new(), threshold, queue, thread }))
    }

    /// The span of a call that begins, if it is to be recorded.
    pub fn call(
        self: &Arc<Tracer>,
        service: &str,
        method: &str,
        headers: &http::HeaderMap,
        peer: Option<SocketAddr>,
    ) -> Option<Span> {
        let remote = Remote::of(headers);
        let (trace, parent, state) = match remote {
            Some(remote) if !remote.sampled => return None,
            Some(remote) => (remote.trace, remote.span, remote.state),
            None if self.threshold == 0 => return None,
            None => (self.ids.trace(), 0, String::new()),
        };
        if parent == 0 && (trace as u64) >> 1 >= self.threshold {
            return None;
        }
        let place = Place { trace, span: self.ids.span(), state };
        let mut span = self.begin(place, parent, format!("{service}/{method}"), true);
        span.attribute("rpc.system", Value::Text("grpc".to_owned()));
        span.attribute("rpc.service", Value::Text(service.to_owned()));
        span.attribute("rpc.method", Value::Text(method.to_owned()));
        if let Some(peer) = peer {
            span.attribute("network.peer.address", Value::Text(peer.ip().to_string()));
            span.attribute("network.peer.port", Value::Number(peer.port().into()));
        }
        Some(span)
    }

    fn begin(self: &Arc<Tracer>, place: Place, parent: u64, name: String, is_call: bool) -> Span {
        let span = Finished {
            place,
            parent,
            name,
            is_call,
            start: SystemTime::now(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            is_error: false,
        };
        Span { tracer: self.clone(), began: Instant::now(), span: Some(span) }
    }

    /// Sends what is left, for a while, and ends the thread.
    pub fn stop(&self) {
        self.queue.close();
        let thread = self.thread.lock().expect("no holder of this lock panics").take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Span {
    /// Adds an attribute.
    pub fn attribute(&mut self, name: &'static str, value: Value) {
        self.span.as_mut().expect("not ended").attributes.push((name, value));
    }

    /// The code that a call ended with. As in OpenTelemetry's conventions for servers, what the client did wrong is no
    /// error of the span.
    pub fn ends_with(&mut self, code: Code) {
        self.attribute("rpc.grpc.status_code", Value::Number(code as i64));
        let is_error = match code {
            Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::Ok
            | Code::Cancelled
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unauthenticated => false,
        };
        self.span.as_mut().expect("not ended").is_error = is_error;
    }

    /// What children of this span need to know.
    pub fn current(&self) -> Current {
        let place = self.span.as_ref().expect("not ended").place.clone();
        Current { tracer: self.tracer.clone(), place }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.took = self.began.elapsed();
            self.tracer.queue.push(span);
        }
    }
}

/// Runs a future on behalf of a recorded call, or of none.
pub async fn within<F: Future>(current: Option<Current>, future: F) -> F::Output {
    match current {
        None => future.await,
        Some(current) => CURRENT.scope(current, future).await,
    }
}

/// A span below the recorded call that this task works for; `None` when it works for none.
pub fn child(name: &str) -> Option<Span> {
    let below = |current: &Current| {
        let Place { trace, span: parent, state } = current.place.clone();
        let place = Place { trace, span: current.tracer.ids.span(), state };
        current.tracer.begin(place, parent, name.to_owned(), false)
    };
    CURRENT.try_with(below).ok()
}
