//! One HTTP/2 connection, with nothing between it and the generated clients.
//!
//! tonic's own `Channel` reconnects, queues requests in front of the connection and starts a task per request body; each
//! costs an allocation or a hop between tasks per call. A load generator on the same cores as the servers must not spend
//! their time, and must not hide a broken connection either: this service writes a request straight into the HTTP/2
//! connection and waits for the answer, in the client's own task.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::uri::Uri;
use http::{HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use quorate_wire::etcd::etcdserverpb::auth_client::AuthClient;
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use quorate_wire::etcd::etcdserverpb::lease_client::LeaseClient;
use quorate_wire::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_wire::etcd::etcdserverpb::watch_client::WatchClient;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::body::Body;
use tower::Service;

use super::access::Access;
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
    sender: SendRequest<Bytes>,
    origin: Uri,
    /// Shown with every call.
    token: Option<HeaderValue>,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(address: &str, access: &Access) -> Result<Self> {
        let failed = |reason: String| Failure::Connect { address: address.into(), reason };
        let stream =
            TcpStream::connect(address).await.map_err(|error| failed(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
        let sender = match &access.tls {
            None => greet(stream).await,
            Some(tls) => {
                let (host, _) = address.rsplit_once(':').unwrap_or((address, ""));
                let stream = tls.connect(host, stream).await;
                greet(stream.map_err(|error| failed(error.to_string()))?).await
            }
        };
        let sender = sender.map_err(|error| failed(error.to_string()))?;
        let origin = Uri::builder().scheme(access.scheme()).authority(address).path_and_query("/");
        let origin = origin.build().map_err(|error| failed(error.to_string()))?;
        Ok(Self { sender, origin, token: access.token.clone() })
    }

    /// Connects as soon as somebody listens, trying every millisecond.
    pub async fn open_eagerly(address: &str, access: &Access, patience: Duration) -> Result<Self> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::open(address, access).await {
                Ok(connection) => return Ok(connection),
                Err(failure) if Instant::now() >= deadline => return Err(failure),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// Opens the load generator's connections, round robin over the addresses.
    pub async fn open_all(addresses: &[String], access: &Access) -> Result<Vec<Self>> {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for address in addresses.iter().cycle().take(CONNECTIONS) {
            connections.push(Self::open(address, access).await?);
        }
        Ok(connections)
    }

    /// Where calls go.
    pub fn origin(&self) -> Uri {
        self.origin.clone()
    }

    /// A client of the key-value service.
    pub fn kv(&self) -> KvClient<Self> {
        KvClient::with_origin(self.clone(), self.origin.clone())
            .max_decoding_message_size(ANSWER_LIMIT)
    }

    /// A client of the auth service.
    pub fn auth(&self) -> AuthClient<Self> {
        AuthClient::with_origin(self.clone(), self.origin.clone())
    }

    /// A client of the maintenance service.
    pub fn maintenance(&self) -> MaintenanceClient<Self> {
        MaintenanceClient::with_origin(self.clone(), self.origin.clone())
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

/// Begins HTTP/2 on a stream.
async fn greet<S>(stream: S) -> std::result::Result<SendRequest<Bytes>, h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .enable_push(false)
        .handshake(stream)
        .await?;
    // The task ends with the connection; the calls in flight get the error.
    tokio::spawn(connection);
    Ok(sender)
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Answer>;
    type Error = h2::Error;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Self::Response, h2::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<std::result::Result<(), h2::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        if let Some(token) = &self.token {
            head.headers.insert("token", token.clone());
        }
        let sent = self.sender.send_request(Request::from_parts(head, ()), false);
        Box::pin(async move {
            let (response, stream) = sent?;
            let mut delivery = Delivery { body, stream, held: None };
            // The body of a unary call is whole at once. Only a stream of requests goes on for longer than this poll.
            let first = poll_fn(|context| Poll::Ready(Pin::new(&mut delivery).poll(context)));
            match first.await {
                Poll::Ready(delivered) => delivered?,
                Poll::Pending => drop(tokio::spawn(delivery)),
            }
            Ok(response.await?.map(|stream| Answer { stream, step: AnswerStep::Data }))
        })
    }
}

/// Hands the frames of a request body to the connection.
struct Delivery {
    body: Body,
    stream: SendStream<Bytes>,
    /// A frame that waits to see whether it is the last one, so that the end of the stream needs no frame of its own.
    held: Option<Bytes>,
}

impl Future for Delivery {
    type Output = std::result::Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Pending => {
                    if let Some(held) = this.held.take() {
                        this.stream.send_data(held, false)?;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // gRPC clients send no trailers.
                    let Ok(data) = frame.into_data() else { continue };
                    if let Some(held) = this.held.replace(data) {
                        this.stream.send_data(held, false)?;
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    this.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(None) => {
                    let last = this.held.take().unwrap_or_default();
                    return Poll::Ready(this.stream.send_data(last, true));
                }
            }
        }
    }
}

/// The body of an answer as it arrives.
pub struct Answer {
    stream: RecvStream,
    step: AnswerStep,
}

/// What of an answer is still to come.
enum AnswerStep {
    Data,
    Trailers,
    Nothing,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, h2::Error>>> {
        loop {
            match self.step {
                AnswerStep::Data => match ready!(self.stream.poll_data(context)) {
                    Some(Ok(data)) => {
                        self.stream.flow_control().release_capacity(data.len())?;
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Some(Err(error)) => {
                        self.step = AnswerStep::Nothing;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => self.step = AnswerStep::Trailers,
                },
                AnswerStep::Trailers => {
                    let trailers = ready!(self.stream.poll_trailers(context));
                    self.step = AnswerStep::Nothing;
                    return Poll::Ready(trailers.transpose().map(|map| map.map(Frame::trailers)));
                }
                AnswerStep::Nothing => return Poll::Ready(None),
            }
        }
    }
}
