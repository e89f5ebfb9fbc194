//! What a member tells of itself under `/metrics`, under etcd's names, so that dashboards and alert
//! rules written for etcd work.
//!
//! Counting is cheap and happens everywhere ([`calls`], `quorate_host::stats`); the page is put
//! together when somebody asks. What etcd measures and Quorate does not have (bbolt's rebalancing,
//! Go's garbage collector) is left out, not made up.

pub mod calls;
pub mod member;
mod process;
pub mod text;

use crate::front::Front;
use crate::health::{HealthCounts, PROBES};
use crate::trace::Tracer;
use calls::{CODES, CallMetrics, Catalogue, MethodCalls};
use prost_reflect::DescriptorPool;
use quorate_host::stats::{Counter, Histogram, Observed};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use text::{Kind, Page};
use tonic::Code;

/// A count that is kept of each method.
type OfMethod = fn(&MethodCalls) -> &Counter;

/// Everything that is counted above the host.
pub struct Metrics {
    /// Probes.
    pub health: HealthCounts,
    catalogue: Arc<Catalogue>,
    /// One per thread that serves clients.
    shards: Vec<Arc<CallMetrics>>,
    extensive: bool,
}

impl Metrics {
    /// Metrics of a member with so many threads for clients.
    pub fn new(
        threads: usize,
        extensive: bool,
        slow_request: Duration,
        tracer: Option<&Arc<Tracer>>,
    ) -> Arc<Metrics> {
        let mut pool = DescriptorPool::decode(quorate_wire::etcd::DESCRIPTOR_SET)
            .expect("committed, and read by a test");
        pool.decode_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .expect("a library's own descriptors are well-formed");
        let catalogue = Catalogue::of(&pool);
        let tracer = || tracer.cloned();
        let shard = |_| CallMetrics::new(catalogue.clone(), extensive, slow_request, tracer());
        let shards = (0..threads).map(shard).collect();
        Arc::new(Metrics { health: HealthCounts::default(), catalogue, shards, extensive })
    }

    /// Where one thread counts its calls.
    pub fn shard(&self, thread: usize) -> Arc<CallMetrics> {
        self.shards[thread].clone()
    }

    /// The page.
    pub fn page(&self, front: &Front) -> String {
        let mut page = Page::default();
        member::write(&mut page, &front.service);
        self.write_probes(&mut page);
        self.write_calls(&mut page);
        write_front(&mut page, front);
        process::write(&mut page);
        page.finish()
    }

    fn write_probes(&self, page: &mut Page) {
        let health = &self.health;
        let help = "The total number of successful health checks";
        page.counter("etcd_server_health_success", help, &health.well);
        let help = "The total number of failed health checks";
        page.counter("etcd_server_health_failures", help, &health.ill);
        let each = || {
            PROBES.iter().zip(&health.checks).flat_map(|((list, checks), counts)| {
                checks.iter().zip(counts).map(move |(check, counts)| (*list, check.name(), counts))
            })
        };
        let name = "etcd_server_healthcheck";
        page.metric(name, Kind::Gauge, "The result of each kind of healthcheck.");
        for (list, check, counts) in each() {
            if counts.well.get() + counts.ill.get() > 0 {
                let last = u8::from(counts.last.load(Ordering::Relaxed));
                page.sample(name, &[("name", check), ("type", list)], last);
            }
        }
        let name = "etcd_server_healthchecks_total";
        page.metric(name, Kind::Counter, "The total number of each kind of healthcheck.");
        for (list, check, counts) in each() {
            for (status, counter) in [("success", &counts.well), ("error", &counts.ill)] {
                if counter.get() > 0 {
                    let labels = [("name", check), ("status", status), ("type", list)];
                    page.sample(name, &labels, counter.get());
                }
            }
        }
    }

    /// The sum of a counter over all threads.
    fn sum(&self, method: usize, counter: impl Fn(&MethodCalls) -> &Counter) -> u64 {
        self.shards.iter().map(|shard| counter(&shard.calls[method]).get()).sum()
    }

    fn merged(&self, method: usize, histogram: impl Fn(&MethodCalls) -> &Histogram) -> Observed {
        let mut all = self.shards.iter().map(|shard| histogram(&shard.calls[method]).get());
        let mut sum = all.next().expect("there is a thread that serves clients");
        all.for_each(|more| sum.merge(&more));
        sum
    }

    fn write_calls(&self, page: &mut Page) {
        let total = |counter: fn(&CallMetrics) -> &Counter| {
            self.shards.iter().map(|shard| counter(shard).get()).sum::<u64>()
        };
        page.single(
            "etcd_network_client_grpc_received_bytes_total",
            Kind::Counter,
            "The total number of bytes received from grpc clients.",
            total(|shard| &shard.received_bytes),
        );
        page.single(
            "etcd_network_client_grpc_sent_bytes_total",
            Kind::Counter,
            "The total number of bytes sent to grpc clients.",
            total(|shard| &shard.sent_bytes),
        );
        self.write_requests(page);
        let counters: [(&str, &str, OfMethod); 3] = [
            ("grpc_server_started_total", "Total number of RPCs started on the server.", |calls| {
                &calls.started
            }),
            (
                "grpc_server_msg_received_total",
                "Total number of RPC stream messages received on the server.",
                |calls| &calls.received,
            ),
            (
                "grpc_server_msg_sent_total",
                "Total number of gRPC stream messages sent by the server.",
                |calls| &calls.sent,
            ),
        ];
        for (name, help, counter) in counters {
            page.metric(name, Kind::Counter, help);
            for (number, method) in self.catalogue.methods.iter().enumerate() {
                page.sample(name, &labels(method, None), self.sum(number, counter));
            }
        }
        self.write_handled(page);
    }

    fn write_handled(&self, page: &mut Page) {
        let name = "grpc_server_handled_total";
        let help =
            "Total number of RPCs completed on the server, regardless of success or failure.";
        page.metric(name, Kind::Counter, help);
        for (number, method) in self.catalogue.methods.iter().enumerate() {
            for code in 0..CODES {
                let count = self.sum(number, |calls| &calls.handled[code]);
                page.sample(name, &labels(method, Some(code_name(code))), count);
            }
        }
        if self.extensive {
            let name = "grpc_server_handling_seconds";
            let help = "Histogram of response latency (seconds) of gRPC that had been \
                        application-level handled by the server.";
            page.metric(name, Kind::Histogram, help);
            for (number, method) in self.catalogue.methods.iter().enumerate() {
                let observed = self.merged(number, |calls| &calls.handling);
                page.buckets(name, &labels(method, None), &observed);
            }
        }
    }

    fn write_requests(&self, page: &mut Page) {
        let name = "etcd_server_request_duration_seconds";
        let help = "Response latency distribution in seconds for each type.";
        page.metric(name, Kind::Histogram, help);
        for (number, method) in self.catalogue.methods.iter().enumerate() {
            let Some(kind) = &method.request_type else { continue };
            for (place, success) in [(0, "true"), (1, "false")] {
                let observed = self.merged(number, |calls| &calls.requests[place]);
                if observed.count() > 0 {
                    page.buckets(name, &[("success", success), ("type", kind)], &observed);
                }
            }
        }
        let name = "etcd_server_client_requests_total";
        let help = "The total number of client requests per client version.";
        page.metric(name, Kind::Counter, help);
        for (kind, is_unary) in [("stream", false), ("unary", true)] {
            let methods = self.catalogue.methods.iter().enumerate();
            let of_kind = methods.filter(|(_, method)| (method.kind == "unary") == is_unary);
            let count: u64 =
                of_kind.map(|(number, _)| self.sum(number, |calls| &calls.started)).sum();
            let labels = [("client_api_version", "unknown"), ("type", kind)];
            page.sample(name, &labels, count);
        }
    }
}

/// The labels of a sample about one method; the code comes first, as in the alphabet.
fn labels<'a>(method: &'a calls::Method, code: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let of_code = code.map(|code| ("grpc_code", code));
    let of_method = [
        ("grpc_method", method.name.as_str()),
        ("grpc_service", method.service.as_str()),
        ("grpc_type", method.kind),
    ];
    of_code.into_iter().chain(of_method).collect()
}

/// A code under the name that Go gives to it.
fn code_name(code: usize) -> &'static str {
    match Code::from(i32::try_from(code).expect("there are seventeen")) {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// Names of our own: what stands at the sockets, which etcd does not tell.
fn write_front(page: &mut Page, front: &Front) {
    let (open, half_open, pushed_out) = front.connections();
    let help = "Client connections that are open, half-open ones included.";
    page.single("quorate_client_connections", Kind::Gauge, help, open);
    let help = "Client connections whose handshakes are not finished.";
    page.single("quorate_client_connections_half_open", Kind::Gauge, help, half_open);
    let help = "Half-open client connections that were ended to make place for newer ones.";
    page.single("quorate_client_connections_pushed_out_total", Kind::Counter, help, pushed_out);
    let help = "Bytes of large answers that are in memory.";
    let held = front.service.budget.held();
    page.single("quorate_answer_bytes", Kind::Gauge, help, held);
    let help = "Large answers that were read as a whole before their first byte, to learn how long they are.";
    page.counter("quorate_answers_surveyed_total", help, &front.service.surveys);
    let help = "How often those who wait for a lock, or for news of an election, were woken.";
    page.counter("quorate_line_wakes_total", help, &front.service.line_wakes);
    let help =
        "How often the log of changes was read for watchers that are behind the newest events.";
    page.counter("quorate_watch_log_reads_total", help, front.service.host.feed().log_reads());
}
