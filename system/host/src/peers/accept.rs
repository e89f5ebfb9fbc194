//! Peers that come to us.

use super::compare::{self, Evidence};
use super::stream::{PeerStream, host_of};
use super::{GREETING_TIMEOUT, Identity, Known, KnownPeer, malformed, read_frame};
use crate::half_open::{HalfOpen, Place};
use crate::inbox::{Inbox, ReadWaiter};
use crate::roster::{Roster, address_of};
use crate::stats::Stats;
use bytes::BytesMut;
use quorate_base::{Input, NodeId};
use quorate_node::learning::{Teaching, teaches};
use quorate_node::{Door, Request, Visitor};
use quorate_raft as raft;
use quorate_tls::PeerCertificate;
use quorate_wire::hello::{Answer, Hello, Purpose, get_hello, put_answer};
use quorate_wire::peer::{PROTOCOL, get_frame, get_tagged, put_framed};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tracing::{debug, warn};

/// What a member is told that was removed.
pub fn removed(name: &str, id: NodeId, cluster: u64) -> String {
    format!(
        "member {name} ({id}) was removed from cluster {cluster:x} and takes no part in it any more: \
         remove its data directory; to bring the machine back, add it as a new member (quorate \
         member add) and start it with an empty directory"
    )
}

/// What a connection is read into; a frame that is longer grows it.
const READ_BUFFER: usize = 256 << 10;

/// Connections that have not said hello yet; the oldest makes place for the newest.
const MAX_HALF_OPEN: usize = 256;

/// What a greeting is read into.
const GREETING_BUFFER: usize = 4 << 10;

/// Decides who may talk to this member.
pub struct Acceptor {
    /// Who we are.
    pub identity: Identity,
    /// Who may come.
    pub roster: Rc<Roster>,
    /// Whom we remember.
    pub known: Arc<Known>,
    /// Where their messages go.
    pub inbox: Arc<Inbox>,
    /// Where what they say is counted.
    pub stats: Arc<Stats>,
    /// What it can say about its state.
    pub evidence: Evidence,
    /// False while this member itself is not sure that it may take part.
    pub open: Cell<bool>,
    /// How many connections each peer speaks on; more than one while it reconnects.
    pub speaking: RefCell<BTreeMap<NodeId, usize>>,
}

/// Accepts peers for as long as the core lives.
pub async fn serve(listener: TcpListener, acceptor: Rc<Acceptor>) {
    let half_open = HalfOpen::new(MAX_HALF_OPEN);
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let acceptor = acceptor.clone();
                let place = half_open.enter();
                let number = place.number();
                let task = tokio::task::spawn_local(async move {
                    if let Err(error) = acceptor.receive(stream, place).await {
                        debug!(%from, "peer connection ended: {error}");
                    }
                });
                half_open.tell(number, task.abort_handle());
            }
            Err(error) => {
                // Out of descriptors, most likely: those who wait in the queue can wait a little.
                warn!("cannot accept a peer: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

impl Acceptor {
    async fn receive(&self, stream: TcpStream, place: Place) -> io::Result<()> {
        // Small until it is known who comes: anybody can open a connection.
        let mut buffer = BytesMut::with_capacity(GREETING_BUFFER);
        let greeting = async {
            let accepted = PeerStream::accept(stream, self.identity.tls.as_ref());
            let (mut stream, certificate) = accepted.await?;
            let body = read_frame(&mut stream, &mut buffer).await?;
            Ok::<_, io::Error>((stream, certificate, body))
        };
        let greeted = tokio::time::timeout(GREETING_TIMEOUT, greeting).await?;
        let (mut stream, certificate, body) = greeted?;
        drop(place);
        let hello = get_hello(body).map_err(malformed)?;
        let answer = match self.speaks_for_another(&hello, certificate.as_ref()) {
            Some(why) => Answer::Refused { why },
            None => match self.judge(&hello) {
                Answer::Cluster { cluster, .. } => self.teach(hello.from, cluster).await,
                answer @ (Answer::Welcome { .. }
                | Answer::Refused { .. }
                | Answer::Removed { .. }) => answer,
            },
        };
        let mut out = BytesMut::new();
        put_framed(&mut out, |out| put_answer(out, &answer));
        stream.write_all(&out).await?;
        stream.flush().await?;
        match answer {
            Answer::Refused { why } => {
                warn!(from = %hello.from, release = %hello.release, "refused a peer: {why}");
                Ok(())
            }
            Answer::Removed { why } => {
                warn!(from = %hello.from, release = %hello.release, "refused a peer: {why}");
                Ok(())
            }
            Answer::Cluster { .. } => Ok(()),
            Answer::Welcome { .. } => match hello.purpose {
                Purpose::Probe | Purpose::Learn => Ok(()),
                Purpose::Compare => compare::answer(&self.evidence, stream, buffer).await,
                Purpose::Bulk => self.hear(hello.from, stream, buffer).await,
                Purpose::Messages => {
                    *self.speaking.borrow_mut().entry(hello.from).or_default() += 1;
                    let ended = self.hear(hello.from, stream, buffer).await;
                    self.stopped_speaking(hello.from);
                    ended
                }
            },
        }
    }

    /// Why the certificate behind a hello does not vouch for its sender, if it does not: it must
    /// name the host of one of the sender's peer URLs, so that whoever holds one member's key cannot
    /// speak for another.
    fn speaks_for_another(
        &self,
        hello: &Hello,
        certificate: Option<&PeerCertificate>,
    ) -> Option<String> {
        let tls = self.identity.tls.as_ref().filter(|tls| tls.check_names)?;
        let certificate = certificate.filter(|_| tls.server.verifies())?;
        // Who only asks what the cluster is speaks for nobody: any good certificate will do.
        let addresses = self.addresses_of(hello).filter(|_| hello.purpose != Purpose::Learn)?;
        if addresses.iter().any(|address| certificate.is_valid_for(host_of(address))) {
            return None;
        }
        Some(format!(
            "the certificate of {} names none of the hosts of that member's peer URLs ({}): give it \
             a certificate for one of them",
            hello.name,
            addresses.join(", ")
        ))
    }

    /// Where the sender of a hello is reached: as this member knows it, or, of a member that nobody
    /// has told us of yet, as it says itself. `None` for who will be refused anyway.
    fn addresses_of(&self, hello: &Hello) -> Option<Vec<String>> {
        let known = self.roster.addresses(hello.from);
        known.or_else(|| {
            let told = hello.peer_urls.iter().map(|url| address_of(url));
            Some(told.collect::<Vec<_>>()).filter(|told| !told.is_empty())
        })
    }

    /// Whether the sender of this hello may talk to us, and why not.
    fn judge(&self, hello: &Hello) -> Answer {
        let refused = |why: String| Answer::Refused { why };
        let me = &self.identity;
        if hello.protocol != PROTOCOL {
            return refused(format!(
                "{} speaks peer protocol {PROTOCOL} (release {}), the other member {} (release \
                 {}): run releases that speak the same version",
                me.name,
                crate::RELEASE,
                hello.protocol,
                hello.release
            ));
        }
        if hello.purpose == Purpose::Learn {
            return match teaches(self.open.get(), hello.from) {
                Teaching::Refuse => refused(self.not_yet()),
                Teaching::AtOnce | Teaching::AfterRead => {
                    Answer::Cluster { cluster: me.cluster, members: Vec::new() }
                }
            };
        }
        if hello.cluster != me.cluster {
            return refused(format!(
                "cluster ID mismatch: {} belongs to cluster {:x}, the other member to {:x}: check \
                 --initial-cluster and --initial-cluster-token, or give it a data directory of \
                 its own",
                me.name, me.cluster, hello.cluster
            ));
        }
        let (name, peer_urls) = (&hello.name, &hello.peer_urls);
        let visitor = Visitor { from: hello.from, to: hello.to, name, peer_urls };
        match self.roster.open(visitor) {
            Door::Open => {}
            Door::Removed => {
                return Answer::Removed { why: removed(&hello.name, hello.from, me.cluster) };
            }
            Door::Mistaken => {
                return refused(format!(
                    "member {} looks for {} at the address of {} ({}): check --initial-cluster",
                    hello.from, hello.to, me.name, me.id
                ));
            }
        }
        let known = self.known.incarnation(hello.from);
        let other = known.filter(|known| *known != hello.incarnation);
        if hello.purpose == Purpose::Probe {
            return self.welcome(other);
        }
        if !self.open.get() {
            return refused(self.not_yet());
        }
        let peer = KnownPeer {
            incarnation: hello.incarnation,
            name: hello.name.clone(),
            client_urls: hello.client_urls.clone(),
        };
        match self.known.remember(hello.from, peer) {
            Ok(true) => {
                self.known.note_build(hello.from, &hello.release);
                self.welcome(None)
            }
            Ok(false) => refused(format!(
                "{} took part with another data directory before and would vote twice",
                hello.name
            )),
            Err(error) => refused(format!("{} cannot remember peers: {error}", me.name)),
        }
    }

    fn not_yet(&self) -> String {
        format!("{} is still asking whether it may take part", self.identity.name)
    }

    /// Who belongs to the cluster, for a newcomer that looks for itself among them: see [`teaches`].
    async fn teach(&self, from: NodeId, cluster: u64) -> Answer {
        let (waiter, turn): (ReadWaiter, _) = oneshot::channel();
        match teaches(self.open.get(), from) {
            Teaching::AfterRead => self.inbox.read(waiter),
            Teaching::AtOnce => drop(waiter.send(Ok(()))),
            Teaching::Refuse => return Answer::Refused { why: self.not_yet() },
        }
        match tokio::time::timeout(GREETING_TIMEOUT, turn).await {
            Ok(Ok(Ok(()))) => {
                let members = self.roster.members(&self.evidence.members(), &self.known.all());
                Answer::Cluster { cluster, members }
            }
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => {
                let name = &self.identity.name;
                Answer::Refused { why: format!("{name} hears no leader: it may be behind") }
            }
        }
    }

    fn welcome(&self, known: Option<u64>) -> Answer {
        let Identity { incarnation, name, client_urls, .. } = self.identity.clone();
        Answer::Welcome { incarnation, known, name, client_urls }
    }

    /// Consensus is told when the last connection of a peer has ended: if it was the leader's, an
    /// election need not wait.
    fn stopped_speaking(&self, peer: NodeId) {
        let mut speaking = self.speaking.borrow_mut();
        let left = speaking.get_mut(&peer).expect("counted when it began");
        *left -= 1;
        if *left == 0 {
            self.inbox.request(Request::Raft(raft::Request::Unreachable { peer }));
        }
    }

    /// Passes on what a peer says until it stops.
    async fn hear(
        &self,
        from: NodeId,
        mut stream: PeerStream,
        mut buffer: BytesMut,
    ) -> io::Result<()> {
        let mut heard = Vec::new();
        let stats = self.stats.peer(from);
        loop {
            while let Some(body) = get_frame(&mut buffer).map_err(malformed)? {
                let message = get_tagged(body).map_err(malformed)?;
                heard.push(Input::Received { from, message });
            }
            if !heard.is_empty() {
                self.inbox.extend(heard.drain(..));
            }
            if self.roster.is_out(from) {
                // It will ask again, and hear why.
                return Ok(());
            }
            buffer.reserve(READ_BUFFER / 4);
            let count = stream.read_buf(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            stats.received_bytes.add(count as u64);
        }
    }
}
