//! What is counted about calls: one shard per thread that serves clients, so that no two cores
//! write the same line of memory; a reader adds them up.

use crate::trace::{Current, Span, Tracer};
use http::HeaderMap;
use prost_reflect::DescriptorPool;
use quorate_host::slow::SlowLog;
use quorate_host::stats::{Counter, Histogram};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::Code;

/// One method of one service.
#[derive(Debug)]
pub struct Method {
    /// `package.Service`.
    pub service: String,
    /// The method's name.
    pub name: String,
    /// `unary`, `client_stream`, `server_stream` or `bidi_stream`.
    pub kind: &'static str,
    /// The label of `etcd_server_request_duration_seconds`, for the calls that etcd measures so.
    pub request_type: Option<String>,
}

/// Every method that clients can call, by its path.
#[derive(Debug)]
pub struct Catalogue {
    /// In the order of their descriptors.
    pub methods: Vec<Method>,
    by_path: HashMap<String, usize>,
}

impl Catalogue {
    /// The methods of all services of a pool.
    pub fn of(pool: &DescriptorPool) -> Arc<Catalogue> {
        let mut methods = Vec::new();
        let mut by_path = HashMap::new();
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                by_path.insert(path, methods.len());
                methods.push(Method {
                    service: service.full_name().to_owned(),
                    name: method.name().to_owned(),
                    kind: match (method.is_client_streaming(), method.is_server_streaming()) {
                        (false, false) => "unary",
                        (true, false) => "client_stream",
                        (false, true) => "server_stream",
                        (true, true) => "bidi_stream",
                    },
                    request_type: request_type(service.full_name(), method.name()),
                });
            }
        }
        Arc::new(Catalogue { methods, by_path })
    }

    /// The number of the method at this path.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }
}

/// etcd names requests after the fields of its log entries.
fn request_type(service: &str, method: &str) -> Option<String> {
    match (service, method) {
        ("etcdserverpb.KV", "Compact") => Some("Compaction".to_owned()),
        ("etcdserverpb.KV", "Range" | "Put" | "DeleteRange" | "Txn")
        | ("etcdserverpb.Lease", "LeaseGrant" | "LeaseRevoke")
        | ("etcdserverpb.Maintenance", "Alarm") => Some(method.to_owned()),
        ("etcdserverpb.Auth", name) if name.starts_with("Auth") => Some(name.to_owned()),
        ("etcdserverpb.Auth", name) => Some(format!("Auth{name}")),
        _ => None,
    }
}

/// How many status codes gRPC has.
pub const CODES: usize = 17;

/// The bounds of `grpc_server_handling_seconds`, in milliseconds: the defaults of Prometheus'
/// libraries.
const HANDLING_MILLIS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// What is counted about one method.
#[derive(Debug)]
pub struct MethodCalls {
    /// Calls begun.
    pub started: Counter,
    /// Calls ended, by their code.
    pub handled: [Counter; CODES],
    /// Messages that came.
    pub received: Counter,
    /// Messages that went.
    pub sent: Counter,
    /// How long requests took that ended well, and those that did not.
    pub requests: [Histogram; 2],
    /// How long calls took, however they ended. Only filled when metrics are extensive.
    pub handling: Histogram,
}

impl MethodCalls {
    fn new() -> MethodCalls {
        let millisecond = Duration::from_millis(1);
        MethodCalls {
            started: Counter::default(),
            handled: Default::default(),
            received: Counter::default(),
            sent: Counter::default(),
            requests: [Histogram::doubling(millisecond, 14), Histogram::doubling(millisecond, 14)],
            handling: Histogram::with_bounds(HANDLING_MILLIS.map(Duration::from_millis).to_vec()),
        }
    }
}

/// What one thread counts.
#[derive(Debug)]
pub struct CallMetrics {
    /// The methods, in the order of `calls`.
    pub catalogue: Arc<Catalogue>,
    /// By method.
    pub calls: Vec<MethodCalls>,
    /// Bytes of messages that came.
    pub received_bytes: Counter,
    /// Bytes of messages that went.
    pub sent_bytes: Counter,
    extensive: bool,
    slow: SlowLog,
    tracer: Option<Arc<Tracer>>,
}

impl CallMetrics {
    /// A shard in which nothing has been counted. Unary calls that take longer than `slow` are
    /// warned of; `tracer` records the spans of calls.
    pub fn new(
        catalogue: Arc<Catalogue>,
        extensive: bool,
        slow: Duration,
        tracer: Option<Arc<Tracer>>,
    ) -> Arc<CallMetrics> {
        let calls = catalogue.methods.iter().map(|_| MethodCalls::new()).collect();
        let (received_bytes, sent_bytes) = (Counter::default(), Counter::default());
        let slow = SlowLog::new(slow);
        Arc::new(CallMetrics {
            catalogue,
            calls,
            received_bytes,
            sent_bytes,
            extensive,
            slow,
            tracer,
        })
    }
}

/// A call that is under way; counts itself as ended when it is dropped.
pub struct Call {
    shard: Arc<CallMetrics>,
    method: usize,
    begun: Instant,
    code: Option<Code>,
    span: Option<Span>,
}

impl Call {
    /// Counts a call as begun, and begins its span if it is to have one. `None` for a method that is in no catalogue.
    pub fn begin(
        shard: &Arc<CallMetrics>,
        path: &str,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
    ) -> Option<Call> {
        let method = shard.catalogue.find(path)?;
        shard.calls[method].started.count();
        let span = shard.tracer.as_ref().and_then(|tracer| {
            let Method { service, name, .. } = &shard.catalogue.methods[method];
            tracer.call(service, name, headers, peer)
        });
        Some(Call { shard: shard.clone(), method, begun: Instant::now(), code: None, span })
    }

    /// The call ends with this code.
    pub fn ends_with(&mut self, code: Code) {
        self.code = Some(code);
    }

    /// What is done on behalf of this call belongs below its span, if it has one.
    pub fn current(&self) -> Option<Current> {
        self.span.as_ref().map(Span::current)
    }

    /// A counter of what its client sends.
    pub fn received(&self) -> MessageCounter {
        MessageCounter::new(self.shard.clone(), self.method, true)
    }

    /// A counter of what its client gets.
    pub fn sent(&self) -> MessageCounter {
        MessageCounter::new(self.shard.clone(), self.method, false)
    }
}

impl Call {
    fn warn(&self, took: Duration, code: Code) {
        if let Some(unsaid) = self.shard.slow.warns() {
            let method = &self.shard.catalogue.methods[self.method];
            let method = format!("{}/{}", method.service, method.name);
            tracing::warn!(%method, ?took, ?code, unsaid, "slow request");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Whoever goes away before the end has cancelled it.
        let code = self.code.unwrap_or(Code::Cancelled);
        if let Some(span) = &mut self.span {
            span.ends_with(code);
        }
        let calls = &self.shard.calls[self.method];
        calls.handled[code as i32 as usize % CODES].count();
        let method = &self.shard.catalogue.methods[self.method];
        let measured = method.request_type.is_some();
        if measured || self.shard.extensive {
            let took = self.begun.elapsed();
            // A call of Lock waits as long as the lock is held, which says nothing about us.
            if measured && self.shard.slow.is_slow(took) {
                self.warn(took, code);
            }
            if measured {
                calls.requests[usize::from(code != Code::Ok)].observe(took);
            }
            if self.shard.extensive {
                calls.handling.observe(took);
            }
        }
    }
}

/// Bytes of the prefix of a message: a flag and a length.
const PREFIX: usize = 5;

/// Counts the messages in a body as its pieces pass by.
pub struct MessageCounter {
    shard: Arc<CallMetrics>,
    method: usize,
    received: bool,
    prefix: [u8; PREFIX],
    /// How much of `prefix` is filled.
    filled: usize,
    /// Bytes of the present message that are still to come.
    left: usize,
}

impl MessageCounter {
    fn new(shard: Arc<CallMetrics>, method: usize, received: bool) -> MessageCounter {
        MessageCounter { shard, method, received, prefix: [0; PREFIX], filled: 0, left: 0 }
    }

    /// The next piece of the body.
    pub fn pass(&mut self, mut piece: &[u8]) {
        let (mut messages, mut bytes) = (0, 0);
        while !piece.is_empty() {
            if self.left > 0 {
                let part = self.left.min(piece.len());
                piece = &piece[part..];
                self.left -= part;
                continue;
            }
            let part = (PREFIX - self.filled).min(piece.len());
            self.prefix[self.filled..self.filled + part].copy_from_slice(&piece[..part]);
            self.filled += part;
            piece = &piece[part..];
            if self.filled == PREFIX {
                let length = u32::from_be_bytes(self.prefix[1..].try_into().expect("four bytes"));
                (self.left, self.filled) = (length as usize, 0);
                messages += 1;
                bytes += u64::from(length);
            }
        }
        let calls = &self.shard.calls[self.method];
        if self.received {
            calls.received.add(messages);
            self.shard.received_bytes.add(bytes);
        } else {
            calls.sent.add(messages);
            self.shard.sent_bytes.add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> Arc<CallMetrics> {
        let pool = DescriptorPool::decode(quorate_wire::etcd::DESCRIPTOR_SET).expect("decodes");
        CallMetrics::new(Catalogue::of(&pool), true, Duration::ZERO, None)
    }

    fn begin(shard: &Arc<CallMetrics>, path: &str) -> Option<Call> {
        Call::begin(shard, path, &HeaderMap::new(), None)
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let body = [&[0u8, 0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0, 0], &[0, 0, 0, 1, 0], &[7; 256]];
        let body = body.concat();
        for size in [1, 2, 5, 7, 300] {
            let shard = shard();
            let call = begin(&shard, "/etcdserverpb.KV/Put").expect("known");
            let mut counter = call.sent();
            body.chunks(size).for_each(|piece| counter.pass(piece));
            assert_eq!(shard.sent_bytes.get(), 259, "in pieces of {size}");
            assert_eq!(shard.calls[call.method].sent.get(), 3);
            assert_eq!(shard.calls[call.method].received.get(), 0);
        }
    }

    #[test]
    fn a_call_that_is_dropped_was_cancelled() {
        let shard = shard();
        drop(begin(&shard, "/etcdserverpb.KV/Range"));
        let mut call = begin(&shard, "/etcdserverpb.KV/Range").expect("known");
        call.ends_with(Code::Ok);
        let method = call.method;
        drop(call);
        let calls = &shard.calls[method];
        assert_eq!(calls.started.get(), 2);
        assert_eq!(calls.handled[Code::Cancelled as usize].get(), 1);
        assert_eq!(calls.handled[Code::Ok as usize].get(), 1);
        assert_eq!(calls.requests.each_ref().map(|seen| seen.get().count()), [1, 1]);
        assert_eq!(calls.handling.get().count(), 2);
        assert!(begin(&shard, "/etcdserverpb.KV/Nothing").is_none());
    }

    #[test]
    fn the_catalogue_names_etcds_methods() {
        let shard = shard();
        let find = |path| &shard.catalogue.methods[shard.catalogue.find(path).expect(path)];
        assert_eq!(find("/etcdserverpb.Watch/Watch").kind, "bidi_stream");
        assert_eq!(find("/etcdserverpb.KV/RangeStream").kind, "server_stream");
        let kind = |path| find(path).request_type.clone();
        assert_eq!(kind("/etcdserverpb.KV/Compact").as_deref(), Some("Compaction"));
        assert_eq!(kind("/etcdserverpb.Auth/UserAdd").as_deref(), Some("AuthUserAdd"));
        assert_eq!(kind("/etcdserverpb.Maintenance/Status"), None);
    }
}
