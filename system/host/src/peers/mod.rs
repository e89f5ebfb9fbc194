//! Talking to the other members: one framed stream per direction, a second one for bulk.
//!
//! Everything here runs on the core's thread, so that a message goes from the socket to consensus
//! and back without waking another one.

mod accept;
mod admit;
mod compare;
mod known;
mod learn;
mod levels;
mod link;
mod stream;

pub use accept::{Acceptor, removed, serve};
pub use admit::admit;
pub use compare::{Evidence, ask};
pub use known::{Known, KnownPeer};
pub use learn::{Newcomer, learn, others};
pub use levels::{LEVEL, needed};
pub use link::Link;
pub use stream::{PeerStream, PeerTls};

use bytes::BytesMut;
use quorate_base::NodeId;
use quorate_wire::binary::Malformed;
use quorate_wire::hello::{Hello, Purpose};
use quorate_wire::peer::{PROTOCOL, get_frame};
use std::io;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a connection and its greeting may take.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a greeting or its answer: both come from somebody of whom nothing is known yet.
const MAX_GREETING: usize = 256 << 10;

/// A silent network is noticed after so long: bytes that nobody acknowledges end the connection, so
/// that a healed link is used again within seconds instead of after TCP's own minutes.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(3);

/// Who this member is, as it tells its peers.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Derived from the initial configuration.
    pub cluster: u64,
    /// This member.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where its clients reach it.
    pub client_urls: Vec<String>,
    /// Where its peers reach it: those who have not heard of it must be able to answer.
    pub peer_urls: Vec<String>,
    /// This life of its data directory.
    pub incarnation: u64,
    /// How it secures what it says and hears.
    pub tls: Option<PeerTls>,
}

impl Identity {
    fn hello(&self, to: NodeId, purpose: Purpose) -> Hello {
        Hello {
            protocol: PROTOCOL,
            release: levels::build(),
            cluster: self.cluster,
            from: self.id,
            to,
            incarnation: self.incarnation,
            purpose,
            name: self.name.clone(),
            client_urls: self.client_urls.clone(),
            peer_urls: self.peer_urls.clone(),
        }
    }
}

/// Another member, as the configuration names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// Its name in the initial configuration.
    pub name: String,
    /// Where it listens, as `host:port`; tried in order.
    pub addresses: Vec<String>,
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let millis = UNACKNOWLEDGED_TIMEOUT.as_millis() as u32;
    rustix::net::sockopt::set_tcp_user_timeout(stream, millis)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(stream, Duration::from_secs(2))?;
    rustix::net::sockopt::set_tcp_keepintvl(stream, Duration::from_secs(1))?;
    Ok(())
}

fn malformed(error: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Reads until one whole frame has arrived; what came after it stays in `buffer`.
async fn read_frame(stream: &mut PeerStream, buffer: &mut BytesMut) -> io::Result<bytes::Bytes> {
    loop {
        if let Some(body) = get_frame(buffer).map_err(malformed)? {
            return Ok(body);
        }
        if buffer.len() > MAX_GREETING {
            return Err(malformed(Malformed { what: "a greeting of this length" }));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
