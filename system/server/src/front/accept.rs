//! One thread's connections: accepted, bounded, served, drained.

use super::Front;
use super::dispatch::Connection;
use super::listen::{Accepting, Listener, Serves};
use super::stream::{Begun, Stream, Version};
use crate::identity::PeerIdentity;
use crate::metrics::calls::CallMetrics;
use crate::services::Services;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use quorate_host::half_open::Place;
use quorate_tls::PeerCertificate;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tonic::transport::server::TcpConnectInfo;

/// Open calls have so long to end after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(3);

/// A pause after a failed accept: out of descriptors, most likely, and somebody has to leave first.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// What a client may send before it is read, in one call and on one connection.
///
/// The library ends a connection, with every watch and lease on it, when too many *small* frames wait to be read: each
/// costs up to 256 bytes of a budget that is half of the connection's window, and nothing else sets it. A client that renews
/// ten thousand leases at once, or creates as many watchers, sends just such frames. So the window of a call, which makes
/// its sender wait, must be used up well before the budget: 128 KiB of messages of 15 bytes take 2 of 8 MiB.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Calls of one connection that their client may give up before they were looked at. One more ends the connection: whoever
/// opens and resets streams without end (CVE-2023-44487) costs at most so many of about a kilobyte each. The library's 20
/// are too few: a client whose thousands of calls reach their deadline together is no attacker, and with its connection it
/// would lose its watches and every other call.
const GIVEN_UP_UNREAD: usize = 65_536;

/// What one thread needs to serve.
pub struct Thread {
    /// What it shares with the others.
    pub front: Arc<Front>,
    /// The gRPC services.
    pub services: Arc<Services>,
    /// Where it counts calls.
    pub calls: Arc<CallMetrics>,
    /// Where it accepts.
    pub listeners: Vec<Listener>,
    /// Becomes true when it is time to end.
    pub stopped: watch::Receiver<bool>,
}

/// What the connections of one thread share.
struct Server {
    front: Arc<Front>,
    services: Arc<Services>,
    calls: Arc<CallMetrics>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    stopped: watch::Receiver<bool>,
}

impl Thread {
    /// Serves until it is told to stop, and then until the open calls have ended or [`DRAIN`] is
    /// over.
    ///
    /// # Errors
    /// The sockets could not be used.
    pub async fn run(self) -> Result<(), String> {
        let Thread { front, services, calls, listeners, mut stopped } = self;
        let server = Arc::new(Server {
            http1: http1(&front),
            http2: http2(&front),
            stopped: stopped.clone(),
            front,
            services,
            calls,
        });
        let (alive, mut all_ended) = tokio::sync::mpsc::channel::<()>(1);
        let mut accepting = tokio::task::JoinSet::new();
        for listener in listeners {
            let (serves, is_secure) = (listener.serves, listener.is_secure);
            let socket = listener.into_tokio().map_err(|error| error.to_string())?;
            accepting.spawn(server.clone().accept(socket, serves, is_secure, alive.clone()));
        }
        drop(stopped.wait_for(|stopped| *stopped).await);
        // The sockets close first, so that new clients are refused and do not wait in vain.
        accepting.shutdown().await;
        drop(alive);
        // Watch streams never end by themselves: after the drain they are cut.
        drop(tokio::time::timeout(DRAIN, all_ended.recv()).await);
        Ok(())
    }
}

fn http1(front: &Front) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(front.options.handshake_timeout);
    builder
}

fn http2(front: &Front) -> http2::Builder<TokioExecutor> {
    let options = &front.options;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_pending_accept_reset_streams(GIVEN_UP_UNREAD)
        .keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout);
    builder
}

/// Counts a connection for as long as it lives.
struct Open(Arc<Front>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    async fn accept(
        self: Arc<Self>,
        socket: Accepting,
        serves: Serves,
        is_secure: bool,
        alive: tokio::sync::mpsc::Sender<()>,
    ) {
        let mut fails = false;
        loop {
            let stream = match socket.accept().await {
                Ok(stream) => {
                    fails = false;
                    stream
                }
                Err(error) => {
                    // Said once, and again after a client was accepted.
                    if !std::mem::replace(&mut fails, true) {
                        tracing::warn!("cannot accept clients: {error}");
                    }
                    tokio::time::sleep(AFTER_FAILURE).await;
                    continue;
                }
            };
            let open = Open(self.front.clone());
            let limit = self.front.options.max_connections;
            if self.front.open.fetch_add(1, Ordering::Relaxed) >= limit {
                tracing::debug!("refused a client: {limit} connections are open, the limit");
                continue;
            }
            let place = self.front.half_open.enter();
            let number = place.number();
            let (server, alive) = (self.clone(), alive.clone());
            let task = tokio::spawn(async move {
                server.serve(stream, serves, is_secure, place).await;
                drop((open, alive));
            });
            self.front.half_open.tell(number, task.abort_handle());
        }
    }

    /// The handshakes.
    async fn greet(
        &self,
        stream: Stream,
        is_secure: bool,
    ) -> io::Result<(Begun, Version, Option<PeerCertificate>)> {
        if !is_secure {
            let (begun, version) = Begun::read(stream).await?;
            return Ok((begun, version, None));
        }
        let tls = self.front.tls.as_ref().expect("a secure socket comes with its certificate");
        let (stream, certificate) = tls.accept(stream).await?;
        let (begun, version) = Begun::read(Stream::Tls(Box::new(stream))).await?;
        Ok((begun, version, certificate))
    }

    /// One connection from its first byte to its last.
    async fn serve(&self, stream: Stream, serves: Serves, is_secure: bool, place: Place) {
        let patience = self.front.options.handshake_timeout;
        let (local_addr, remote_addr) = stream.addresses();
        let greeting = tokio::time::timeout(patience, self.greet(stream, is_secure));
        let (stream, version, certificate) = match greeting.await {
            Ok(Ok(greeted)) => greeted,
            // Only worth a line where somebody looks for it: a flood would fill the log.
            Ok(Err(error)) => {
                return tracing::debug!(client = ?remote_addr, "rejected a client: {error}");
            }
            Err(_) => return tracing::debug!(client = ?remote_addr, "a client said nothing"),
        };
        let common_name = certificate.and_then(|certificate| certificate.common_name());
        let mut connection = Connection {
            front: self.front.clone(),
            services: self.services.clone(),
            calls: self.calls.clone(),
            serves,
            is_secure,
            identity: common_name.map(|common_name| PeerIdentity { common_name }),
            addresses: TcpConnectInfo { local_addr, remote_addr },
            half_open: None,
        };
        let mut stopped = self.stopped.clone();
        let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
        let mut stop = pin!(stop);
        // How a connection ends says something about the client, and nothing to this member.
        match version {
            Version::One => {
                // Half open until the head of its first request is there.
                connection.half_open = Some(Arc::new(std::sync::Mutex::new(Some(place))));
                let served = self.http1.serve_connection(TokioIo::new(stream), connection);
                let mut served = pin!(served);
                tokio::select! {
                    _ = served.as_mut() => return,
                    () = stop.as_mut() => served.as_mut().graceful_shutdown(),
                }
                drop(served.await);
            }
            Version::Two => {
                drop(place);
                let served = self.http2.serve_connection(TokioIo::new(stream), connection);
                let mut served = pin!(served);
                tokio::select! {
                    _ = served.as_mut() => return,
                    () = stop.as_mut() => served.as_mut().graceful_shutdown(),
                }
                drop(served.await);
            }
        }
    }
}
