//! One HTTP/2 connection, with nothing between it and the generated clients.
//!
//! tonic's own `Channel` reconnects, buffers requests in a queue in front of the connection and adds a user agent; each
//! layer costs an allocation or a hop between tasks per call. A load generator on the same cores as the servers must
//! not spend their time, and must not hide a broken connection either: this service hands a request to hyper's
//! connection task and nothing else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::uri::Uri;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use quorate_wire::etcd::etcdserverpb::lease_client::LeaseClient;
use quorate_wire::etcd::etcdserverpb::watch_client::WatchClient;
use tokio::net::TcpStream;
use tonic::body::Body;
use tower::Service;

use super::failure::{Failure, Result};

/// Connections of the load generator, spread round robin over the members.
pub const CONNECTIONS: usize = 8;

/// Flow-control window of a stream. HTTP/2's own 64 KiB would make the generator, not the server, the bound on a
/// watcher: it is half a millisecond's worth of events.
const STREAM_WINDOW: u32 = 4 << 20;

/// Flow-control window of a connection.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Largest answer accepted; a page of a thousand keys is far below.
const ANSWER_LIMIT: usize = 64 << 20;

/// A connection to one member; clones share it.
#[derive(Clone)]
pub struct Connection {
    sender: http2::SendRequest<Body>,
    origin: Uri,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(address: &str) -> Result<Self> {
        let failed = |reason: String| Failure::Connect { address: address.into(), reason };
        let stream =
            TcpStream::connect(address).await.map_err(|error| failed(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(error.to_string()))?;
        // The task ends with the connection; the calls in flight get the error.
        tokio::spawn(connection);
        let origin = Uri::builder().scheme("http").authority(address).path_and_query("/").build();
        let origin = origin.map_err(|error| failed(error.to_string()))?;
        Ok(Self { sender, origin })
    }

    /// Connects as soon as somebody listens, trying every millisecond.
    pub async fn open_eagerly(address: &str, patience: Duration) -> Result<Self> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::open(address).await {
                Ok(connection) => return Ok(connection),
                Err(failure) if Instant::now() >= deadline => return Err(failure),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// Opens the load generator's connections, round robin over the addresses.
    pub async fn open_all(addresses: &[String]) -> Result<Vec<Self>> {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for address in addresses.iter().cycle().take(CONNECTIONS) {
            connections.push(Self::open(address).await?);
        }
        Ok(connections)
    }

    /// A client of the key-value service.
    pub fn kv(&self) -> KvClient<Self> {
        KvClient::with_origin(self.clone(), self.origin.clone())
            .max_decoding_message_size(ANSWER_LIMIT)
    }

    /// A client of the watch service.
    pub fn watch(&self) -> WatchClient<Self> {
        WatchClient::with_origin(self.clone(), self.origin.clone())
            .max_decoding_message_size(ANSWER_LIMIT)
    }

    /// A client of the lease service.
    pub fn lease(&self) -> LeaseClient<Self> {
        LeaseClient::with_origin(self.clone(), self.origin.clone())
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}
