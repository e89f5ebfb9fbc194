//! Everything that stands between a client's socket and a service.
//!
//! One port serves gRPC, the JSON gateway and the pages. A connection is accepted, has a while to
//! finish its handshakes ([`quorate_host::half_open`], [`accept`]), and then every request goes one of two ways:
//! gRPC to the services' own router, untouched but for counting ([`dispatch`], [`observed`]), and
//! everything else to the [`pages`] and the gateway. The gateway calls the same router in process,
//! so that a service that is registered there has its JSON by itself.
//!
//! Each thread has its own runtime and accepts on every socket; what threads share is a [`Front`].

pub mod accept;
mod answer;
mod dispatch;
pub mod kept;
pub mod listen;
mod observed;
mod pages;
mod stream;

pub use observed::Sent;

use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::service::Service;
use quorate_host::half_open::HalfOpen;
use quorate_tls::ServerTls;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// How connections and requests are taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrontOptions {
    /// Streams of one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Silence after which an HTTP/2 client is pinged; `None` never pings.
    pub keepalive_interval: Option<Duration>,
    /// How long it may take to answer a ping.
    pub keepalive_timeout: Duration,
    /// Connections of this member.
    pub max_connections: usize,
    /// Connections whose handshakes are not finished.
    pub max_half_open: usize,
    /// How long the handshakes and the head of an HTTP/1 request may take.
    pub handshake_timeout: Duration,
    /// Bytes of a request, before it is decoded.
    pub max_message_bytes: usize,
    /// Serve the JSON gateway.
    pub gateway: bool,
    /// Origins whose pages may call; `*` is any.
    pub cors: Vec<String>,
    /// Names under which this member may be called in the clear; `*` is any.
    pub hosts: Vec<String>,
}

/// What all threads that serve clients share.
pub struct Front {
    /// The services' common ground.
    pub service: Arc<Service>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    options: FrontOptions,
    tls: Option<ServerTls>,
    gateway: Gateway,
    half_open: HalfOpen,
    open: AtomicUsize,
}

impl Front {
    /// A front before its first client. `tls` is there if any socket is secure.
    pub fn new(
        service: Arc<Service>,
        metrics: Arc<Metrics>,
        options: FrontOptions,
        tls: Option<ServerTls>,
    ) -> Arc<Front> {
        Arc::new(Front {
            tls,
            service,
            metrics,
            gateway: Gateway::new(options.max_message_bytes),
            half_open: HalfOpen::new(options.max_half_open),
            open: AtomicUsize::new(0),
            options,
        })
    }

    /// Connections that are open, half-open ones, and those that were pushed out.
    pub fn connections(&self) -> (usize, usize, u64) {
        let open = self.open.load(std::sync::atomic::Ordering::Relaxed);
        (open, self.half_open.count(), self.half_open.pushed_out())
    }
}
