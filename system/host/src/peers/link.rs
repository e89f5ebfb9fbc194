//! The way to one peer: frames gather in a buffer during a turn and leave with one system call.

use super::stream::{PeerStream, poll_send};
use super::{GREETING_TIMEOUT, Identity, Known, KnownPeer, Peer, malformed, read_frame};
use crate::fatal::Fatal;
use crate::stats::PeerStats;
use bytes::BytesMut;
use quorate_node::{Message, Tagged};
use quorate_wire::hello::{Answer, Purpose, get_answer, put_hello};
use quorate_wire::peer::{put_frame, put_framed};
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;
use tracing::{info, warn};

/// More than this is not kept for a peer that does not read: it counts as lost, which every
/// protocol bears.
const MAX_BUFFERED: usize = 64 << 20;

/// Least and most time between attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// An outgoing stream that comes back by itself.
pub struct Link {
    peer: Peer,
    purpose: Purpose,
    stream: RefCell<Option<PeerStream>>,
    buffer: RefCell<BytesMut>,
    /// Set when the socket took less than there was.
    blocked: Notify,
    broken: Cell<bool>,
    /// Somebody waits until the socket takes more, and writes then.
    waiting: Cell<bool>,
    stats: Arc<PeerStats>,
}

impl Link {
    /// A link that is not connected yet; [`run`](Link::run) connects it.
    pub fn new(peer: Peer, purpose: Purpose, stats: Arc<PeerStats>) -> Rc<Link> {
        Rc::new(Link {
            peer,
            purpose,
            stream: RefCell::new(None),
            buffer: RefCell::new(BytesMut::new()),
            blocked: Notify::new(),
            broken: Cell::new(false),
            waiting: Cell::new(false),
            stats,
        })
    }

    /// Adds a message to what leaves at the next flush. Without a connection it is lost.
    pub fn queue(&self, message: &Tagged<Message>) {
        let mut buffer = self.buffer.borrow_mut();
        if self.stream.borrow().is_some() && buffer.len() < MAX_BUFFERED {
            put_frame(&mut buffer, message);
        } else {
            self.stats.lost.count();
        }
    }

    /// Hands everything queued to the socket, as far as it takes it.
    pub fn flush(&self) {
        // While the socket is full, whoever waits for it also writes: its wake-up must not be lost.
        if self.waiting.get() || self.buffer.borrow().is_empty() {
            return;
        }
        if self.poll_flush(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.waiting.set(true);
            self.blocked.notify_one();
        }
    }

    /// Writes until nothing is left, or the stream has broken.
    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<()> {
        let (mut buffer, mut stream) = (self.buffer.borrow_mut(), self.stream.borrow_mut());
        let Some(stream) = stream.as_mut() else { return Poll::Ready(()) };
        let before = buffer.len();
        let sent = poll_send(stream, &mut buffer, context);
        self.stats.sent_bytes.add((before - buffer.len()) as u64);
        match sent {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) => {
                self.broken.set(true);
                self.blocked.notify_one();
                Poll::Ready(())
            }
        }
    }

    /// Resolves when the stream has ended: nothing is ever said this way.
    fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = stream.as_mut() else { return Poll::Ready(()) };
        let mut nothing = [0u8; 64];
        loop {
            let mut nothing = ReadBuf::new(&mut nothing);
            match Pin::new(&mut *stream).poll_read(context, &mut nothing) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !nothing.filled().is_empty() => {}
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
            }
        }
    }

    /// True while messages have a way to go.
    pub fn is_connected(&self) -> bool {
        self.stream.borrow().is_some()
    }

    /// Connects, again and again, for as long as the core lives.
    pub async fn run(self: Rc<Self>, identity: Identity, known: Arc<Known>, fatal: Fatal) {
        let mut backoff = BACKOFF.0;
        let mut last_trouble = String::new();
        loop {
            let greeting = greet(&self.peer, &identity, self.purpose);
            let trouble = match tokio::time::timeout(GREETING_TIMEOUT, greeting).await {
                Ok(Ok((_, Answer::Removed { why }))) => return fatal.stop(why),
                Ok(Ok((stream, answer))) => match self.check(answer, &known) {
                    Ok(()) => {
                        info!(peer = %self.peer.name, purpose = ?self.purpose, "connected");
                        (backoff, last_trouble) = (BACKOFF.0, String::new());
                        self.carry(stream).await;
                        "the connection ended".to_owned()
                    }
                    Err(why) => why,
                },
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if trouble != last_trouble {
                warn!(peer = %self.peer.name, purpose = ?self.purpose, "not connected: {trouble}");
                last_trouble = trouble;
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    fn check(&self, answer: Answer, known: &Known) -> Result<(), String> {
        let (incarnation, name, client_urls) = match answer {
            Answer::Refused { why } | Answer::Removed { why } => return Err(why),
            Answer::Cluster { .. } => return Err("an answer to another question".to_owned()),
            Answer::Welcome { incarnation, name, client_urls, .. } => {
                (incarnation, name, client_urls)
            }
        };
        let peer = KnownPeer { incarnation, name, client_urls };
        match known.remember(self.peer.id, peer) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{} has lost its data directory", self.peer.name)),
            Err(error) => Err(format!("cannot remember {}: {error}", self.peer.name)),
        }
    }

    /// Keeps a connection until it ends.
    async fn carry(&self, stream: PeerStream) {
        *self.stream.borrow_mut() = Some(stream);
        self.broken.set(false);
        self.waiting.set(false);
        loop {
            tokio::select! {
                () = self.blocked.notified() => {
                    if self.broken.get() {
                        break;
                    }
                    // A stream that ends while it is full fails to be written to.
                    std::future::poll_fn(|context| self.poll_flush(context)).await;
                    self.waiting.set(false);
                    if self.broken.get() {
                        break;
                    }
                }
                () = std::future::poll_fn(|context| self.poll_end(context)) => break,
            }
        }
        *self.stream.borrow_mut() = None;
        self.buffer.borrow_mut().clear();
    }
}

/// Opens a connection and says hello.
pub async fn greet(
    peer: &Peer,
    identity: &Identity,
    purpose: Purpose,
) -> io::Result<(PeerStream, Answer)> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the peer has no address");
    for address in &peer.addresses {
        match PeerStream::open(address, identity.tls.as_ref()).await {
            Ok(mut stream) => {
                let mut out = BytesMut::new();
                put_framed(&mut out, |out| put_hello(out, &identity.hello(peer.id, purpose)));
                stream.write_all(&out).await?;
                stream.flush().await?;
                let mut buffer = BytesMut::new();
                let body = read_frame(&mut stream, &mut buffer).await?;
                return Ok((stream, get_answer(body).map_err(malformed)?));
            }
            Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(last)
}
