//! The links between the members of a local cluster, and the knife that cuts them.
//!
//! Each ordered pair of members has a relay on a port of its own: the first member dials it instead of the second, and
//! the relay passes the bytes of that connection on, both ways. In front of each direction stands a gate. While the gate
//! from `a` to `b` is shut, no byte, no connection and no end of a connection gets from `a` to `b`, and nobody is told:
//! connections stay open, new ones are accepted and hear nothing. That is what a network does that loses packets;
//! closing a connection would be news, and members that get news are not being tested.
//!
//! Bytes that were under way are kept, not dropped, because TCP would send them again: when the gate opens they arrive,
//! late and in order. The sender's buffers fill meanwhile, as they would.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Most bytes that are copied at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The relays of a cluster. They live as long as the runtime that they were started in.
pub struct Relays {
    /// By (from, to), counted from 0: whether the gate is shut.
    gates: BTreeMap<(usize, usize), watch::Sender<bool>>,
    /// By (from, to): where `from` reaches `to`.
    routes: BTreeMap<(usize, usize), SocketAddr>,
}

impl Relays {
    /// Starts a relay for each ordered pair of these peer addresses. All gates are open.
    pub async fn start(peers: &[SocketAddr]) -> io::Result<Relays> {
        let members = 0..peers.len();
        let pairs = members.clone().flat_map(|from| members.clone().map(move |to| (from, to)));
        let pairs: Vec<_> = pairs.filter(|(from, to)| from != to).collect();
        let gates = pairs.iter().map(|pair| (*pair, watch::Sender::new(false)));
        let mut relays = Relays { gates: gates.collect(), routes: BTreeMap::new() };
        for (from, to) in pairs {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            relays.routes.insert((from, to), listener.local_addr()?);
            let link = Link {
                target: peers[to],
                forward: relays.gates[&(from, to)].subscribe(),
                backward: relays.gates[&(to, from)].subscribe(),
            };
            tokio::spawn(accept(listener, link));
        }
        Ok(relays)
    }

    /// Where `from` reaches `to`.
    pub fn route(&self, from: usize, to: usize) -> SocketAddr {
        self.routes[&(from, to)]
    }

    /// Shuts or opens the gate from one member to another.
    pub fn set_cut(&self, from: usize, to: usize, cut: bool) {
        self.gates[&(from, to)].send_replace(cut);
    }

    /// The directions that are cut.
    pub fn cuts(&self) -> Vec<(usize, usize)> {
        let shut = self.gates.iter().filter(|(_, gate)| *gate.borrow());
        shut.map(|(pair, _)| *pair).collect()
    }
}

/// One relay: where its connections go, and the gates of both directions.
#[derive(Clone)]
struct Link {
    target: SocketAddr,
    forward: watch::Receiver<bool>,
    backward: watch::Receiver<bool>,
}

async fn accept(listener: TcpListener, link: Link) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(carry(stream, link.clone()))),
            // Out of file descriptors, most likely; others will end in the meantime.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// Carries one connection until both of its directions have ended.
async fn carry(inbound: TcpStream, mut link: Link) {
    // A connection comes about only if packets travel both ways.
    until_open(&mut link.forward).await;
    until_open(&mut link.backward).await;
    let Ok(outbound) = TcpStream::connect(link.target).await else { return };
    // Small messages must not wait for company. Where that fails they are late, no more.
    let _ = inbound.set_nodelay(true);
    let _ = outbound.set_nodelay(true);
    let (from_dialer, to_dialer) = inbound.into_split();
    let (from_target, to_target) = outbound.into_split();
    tokio::join!(
        pump(from_dialer, to_target, link.forward),
        pump(from_target, to_dialer, link.backward)
    );
}

/// Copies one direction while its gate is open, and its end too.
async fn pump(
    mut source: OwnedReadHalf,
    mut sink: OwnedWriteHalf,
    mut gate: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        until_open(&mut gate).await;
        let read = tokio::select! {
            biased;
            _ = gate.wait_for(|shut| *shut) => continue,
            read = source.read(&mut buffer) => read,
        };
        // What arrived in the instant of the cut stays on this side of it.
        until_open(&mut gate).await;
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                if sink.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        }
    }
    // It may be closed already.
    let _ = sink.shutdown().await;
}

/// Waits until a gate is open. A gate without an owner never opens again.
async fn until_open(gate: &mut watch::Receiver<bool>) {
    if gate.wait_for(|shut| !*shut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Long enough for bytes to cross loopback, were they to do so.
    const SILENCE: Duration = Duration::from_millis(150);
    const LIMIT: Duration = Duration::from_secs(10);

    async fn listen() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
    }

    /// Two members, a connection from the first to the second, and its far end.
    async fn pair() -> (Relays, TcpListener, TcpStream, TcpStream) {
        let (first, second) = (listen().await, listen().await);
        let peers = [first.local_addr().unwrap(), second.local_addr().unwrap()];
        let relays = Relays::start(&peers).await.unwrap();
        let near = TcpStream::connect(relays.route(0, 1)).await.unwrap();
        let far = timeout(LIMIT, second.accept()).await.unwrap().unwrap().0;
        (relays, second, near, far)
    }

    async fn says(from: &mut TcpStream, text: &str) {
        from.write_all(text.as_bytes()).await.unwrap();
    }

    async fn hears(to: &mut TcpStream, text: &str) {
        let mut buffer = vec![0; text.len()];
        timeout(LIMIT, to.read_exact(&mut buffer)).await.expect("nothing arrived").unwrap();
        assert_eq!(buffer, text.as_bytes());
    }

    async fn hears_nothing(to: &mut TcpStream) {
        let mut byte = [0];
        let heard = timeout(SILENCE, to.read(&mut byte)).await;
        assert!(heard.is_err(), "heard {heard:?} through a cut");
    }

    #[tokio::test]
    async fn bytes_travel_both_ways() {
        let (_relays, _listener, mut near, mut far) = pair().await;
        says(&mut near, "there").await;
        hears(&mut far, "there").await;
        says(&mut far, "back").await;
        hears(&mut near, "back").await;
    }

    #[tokio::test]
    async fn a_cut_direction_is_silent_and_the_other_is_not() {
        let (relays, _listener, mut near, mut far) = pair().await;
        relays.set_cut(0, 1, true);
        assert_eq!(relays.cuts(), [(0, 1)]);
        says(&mut near, "lost?").await;
        hears_nothing(&mut far).await;
        says(&mut far, "back").await;
        hears(&mut near, "back").await;
        relays.set_cut(0, 1, false);
        hears(&mut far, "lost?").await;
        assert_eq!(relays.cuts(), []);
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_news_and_stays_behind_the_cut() {
        let (relays, _listener, near, mut far) = pair().await;
        relays.set_cut(0, 1, true);
        drop(near);
        hears_nothing(&mut far).await;
        relays.set_cut(0, 1, false);
        assert_eq!(timeout(LIMIT, far.read(&mut [0])).await.expect("no end").unwrap(), 0);
    }

    #[tokio::test]
    async fn a_new_connection_is_accepted_and_hears_nothing_until_the_heal() {
        let (relays, listener, _near, _far) = pair().await;
        // Answers cannot travel, so no connection comes about, whatever is said first.
        relays.set_cut(1, 0, true);
        let mut late = TcpStream::connect(relays.route(0, 1)).await.unwrap();
        says(&mut late, "hello").await;
        hears_nothing(&mut late).await;
        assert!(timeout(SILENCE, listener.accept()).await.is_err(), "it got through");
        relays.set_cut(1, 0, false);
        let mut far = timeout(LIMIT, listener.accept()).await.expect("no connection").unwrap().0;
        hears(&mut far, "hello").await;
    }

    #[tokio::test]
    async fn a_member_that_is_down_refuses() {
        let (relays, listener, near, far) = pair().await;
        drop((listener, near, far));
        let mut refused = TcpStream::connect(relays.route(0, 1)).await.unwrap();
        assert_eq!(
            timeout(LIMIT, refused.read(&mut [0])).await.expect("still open").unwrap_or(0),
            0
        );
    }

    #[tokio::test]
    async fn much_arrives_whole() {
        let (_relays, _listener, mut near, mut far) = pair().await;
        let sent: Vec<u8> = (0..4_000_000_u32).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            near.write_all(&sent).await.unwrap();
        });
        let mut received = Vec::new();
        timeout(LIMIT, far.read_to_end(&mut received)).await.expect("no end").unwrap();
        writer.await.unwrap();
        assert!(received == expected, "{} bytes arrived, not the same", received.len());
    }
}
