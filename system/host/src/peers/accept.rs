//! Peers that come to us.

use super::{GREETING_TIMEOUT, Identity, Known, KnownPeer, malformed, read_frame, tune};
use crate::inbox::Inbox;
use crate::roster::Roster;
use crate::stats::Stats;
use bytes::BytesMut;
use quorate_base::{Input, NodeId};
use quorate_node::Request;
use quorate_raft as raft;
use quorate_wire::hello::{Answer, Hello, Purpose, get_hello, put_answer};
use quorate_wire::peer::{PROTOCOL, get_frame, get_tagged, put_framed};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
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
    /// False while this member itself is not sure that it may take part.
    pub open: Cell<bool>,
    /// How many connections each peer speaks on; more than one while it reconnects.
    pub speaking: RefCell<BTreeMap<NodeId, usize>>,
}

/// Accepts peers for as long as the core lives.
pub async fn serve(listener: TcpListener, acceptor: Rc<Acceptor>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let acceptor = acceptor.clone();
                tokio::task::spawn_local(async move {
                    if let Err(error) = acceptor.receive(stream).await {
                        debug!(%from, "peer connection ended: {error}");
                    }
                });
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
    async fn receive(&self, mut stream: TcpStream) -> io::Result<()> {
        tune(&stream)?;
        let mut buffer = BytesMut::with_capacity(READ_BUFFER);
        let greeting = read_frame(&mut stream, &mut buffer);
        let body = tokio::time::timeout(GREETING_TIMEOUT, greeting).await??;
        let hello = get_hello(body).map_err(malformed)?;
        let answer = self.judge(&hello);
        let mut out = BytesMut::new();
        put_framed(&mut out, |out| put_answer(out, &answer));
        stream.write_all(&out).await?;
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
        if hello.purpose == Purpose::Learn && self.open.get() {
            let members = self.roster.members(&self.known.all());
            return Answer::Cluster { cluster: me.cluster, members };
        }
        if hello.cluster != me.cluster {
            return refused(format!(
                "cluster ID mismatch: {} belongs to cluster {:x}, the other member to {:x}: check \
                 --initial-cluster and --initial-cluster-token, or give it a data directory of \
                 its own",
                me.name, me.cluster, hello.cluster
            ));
        }
        if self.roster.is_out(hello.from) {
            return Answer::Removed { why: removed(&hello.name, hello.from, me.cluster) };
        }
        let known = self.roster.knows(hello.from);
        if hello.to == me.id && !known && !hello.peer_urls.is_empty() {
            self.roster.meet(hello.from, &hello.name, &hello.peer_urls);
        } else if hello.to != me.id || !known {
            return refused(format!(
                "member {} looks for {} at the address of {} ({}): check --initial-cluster",
                hello.from, hello.to, me.name, me.id
            ));
        }
        let known = self.known.incarnation(hello.from);
        let other = known.filter(|known| *known != hello.incarnation);
        if hello.purpose == Purpose::Probe {
            return self.welcome(other);
        }
        if !self.open.get() {
            return refused(format!("{} is still asking whether it may take part", me.name));
        }
        let peer = KnownPeer {
            incarnation: hello.incarnation,
            name: hello.name.clone(),
            client_urls: hello.client_urls.clone(),
        };
        match self.known.remember(hello.from, peer) {
            Ok(true) => self.welcome(None),
            Ok(false) => refused(format!(
                "{} took part with another data directory before and would vote twice",
                hello.name
            )),
            Err(error) => refused(format!("{} cannot remember peers: {error}", me.name)),
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
        mut stream: TcpStream,
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
