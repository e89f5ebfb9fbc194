//! State in chunks, for a follower whose entries the log has forgotten.
//!
//! Stop and wait, per follower: the leader's host produces the chunk after a position of a pinned
//! state, the follower's host stores it, and the acknowledgement names the position to go on from.
//! Positions are opaque here. What was lost is sent again when a follower answers beacons but not
//! the chunk.
//!
//! - A receiver that does not know a chunk's start asks from the start: it restarted, or the
//!   stream's leader or state changed.
//! - A state at or below the receiver's commit index is not installed, but acknowledged as matched
//!   (trap 51).
//! - From the last chunk's arrival until its host has switched, a receiver takes neither entries
//!   nor another state, and gives nothing out: the host is replacing what they would be applied to
//!   (traps 50, 53).

use crate::node::{Raft, State};
use crate::progress::Flow;
use crate::{Event, LogId, Message, SnapshotMeta, Write};
use bytes::Bytes;
use quorate_base::{Instant, NodeId, Out, mutant};

/// The body of [`Message::SnapshotChunk`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    pub(crate) meta: SnapshotMeta,
    pub(crate) after: Bytes,
    pub(crate) next: Bytes,
    pub(crate) data: Bytes,
    pub(crate) done: bool,
}

/// The sending side, for one follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stream {
    /// What is being sent; known from the first chunk on.
    meta: Option<SnapshotMeta>,
    /// The position that the host was asked to continue from.
    asked: Option<Bytes>,
    /// The chunk that waits for its acknowledgement.
    sent: Option<Chunk>,
}

impl Stream {
    /// Begins a stream: the host pins its newest state.
    pub(crate) fn open(to: NodeId, out: &mut Out<Raft>) -> Stream {
        let mut stream = Stream { meta: None, asked: None, sent: None };
        stream.ask(to, Bytes::new(), out);
        stream
    }

    fn ask(&mut self, to: NodeId, after: Bytes, out: &mut Out<Raft>) {
        if after.is_empty() {
            self.meta = None;
        }
        self.sent = None;
        self.asked = Some(after.clone());
        out.event(Event::ChunkNeeded { to, after });
    }

    pub(crate) fn awaits_follower(&self) -> bool {
        self.sent.is_some()
    }

    /// The index of the state that is being sent, once it is known.
    pub(crate) fn pinned(&self) -> Option<u64> {
        self.meta.as_ref().map(|meta| meta.last.index)
    }

    /// True when the follower already holds all that this stream would bring.
    pub(crate) fn is_behind(&self, matched: u64) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.last.index <= matched)
    }

    /// Sends the unacknowledged chunk again.
    pub(crate) fn resend(&self, term: u64, to: NodeId, out: &mut Out<Raft>) {
        if let Some(Chunk { meta, after, next, data, done }) = self.sent.clone() {
            out.send(to, Message::SnapshotChunk { term, meta, after, next, data, done });
        }
    }
}

/// The receiving side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Install {
    /// Whose stream it is, in which term: positions of another pin would not fit.
    source: (u64, NodeId),
    meta: SnapshotMeta,
    /// Everything up to here is stored.
    cursor: Bytes,
    /// The end of the chunk that is with the host.
    storing: Option<Bytes>,
    /// The last chunk is with the host, which is switching to the new state.
    pub(crate) finishing: bool,
}

impl Raft {
    pub(crate) fn is_finishing_install(&self) -> bool {
        self.install.as_ref().is_some_and(|install| install.finishing)
    }

    /// The leader's host produced a chunk.
    #[allow(clippy::too_many_arguments)] // The fields of one request.
    pub(crate) fn on_chunk_read(
        &mut self,
        to: NodeId,
        index: u64,
        after: Bytes,
        next: Bytes,
        data: Bytes,
        done: bool,
        out: &mut Out<Raft>,
    ) {
        let State::Leader(leader) = &mut self.state else { return };
        let round = leader.reads.round;
        let Some(peer) = leader.peers.get_mut(&to) else { return };
        let Flow::Snapshot(stream) = &mut peer.flow else { return };
        if stream.asked.as_ref() != Some(&after) {
            return;
        }
        assert!(index <= self.emitted, "state at {index}, given out {}", self.emitted);
        if after.is_empty() {
            stream.meta = self.log.term_at(index).map(|term| SnapshotMeta {
                last: LogId { term, index },
                membership: self.log.roster().at(index).1.clone(),
            });
        }
        match stream.meta.clone() {
            Some(meta) if meta.last.index == index => {
                stream.asked = None;
                stream.sent = Some(Chunk { meta, after, next, data, done });
                stream.resend(self.term, to, out);
                peer.chunk_moved();
                peer.led(index, round);
            }
            // The pin was lost, or is so old that its term was forgotten: pin anew.
            Some(_) | None => stream.ask(to, Bytes::new(), out),
        }
    }

    pub(crate) fn on_snapshot_ack(
        &mut self,
        from: NodeId,
        last: LogId,
        cursor: Bytes,
        out: &mut Out<Raft>,
    ) {
        let State::Leader(leader) = &mut self.state else { return };
        let peer = leader.peers.get_mut(&from).expect("the caller found it");
        let Flow::Snapshot(stream) = &mut peer.flow else { return };
        // While the host works on the next chunk, an answer is an echo of an earlier one.
        let Some(sent) = &stream.sent else { return };
        if sent.meta.last != last {
            return;
        }
        if sent.after == cursor && !cursor.is_empty() {
            // It asks for what is already on its way; if that was lost, a later beacon tells.
            return;
        }
        stream.ask(from, cursor, out);
        peer.chunk_moved();
    }

    /// A chunk arrives.
    pub(crate) fn on_chunk(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        chunk: Chunk,
        out: &mut Out<Raft>,
    ) {
        let stands = matches!(self.state, State::PreCandidate(_) | State::Candidate(_));
        if stands && mutant!(RAFT_20_CANDIDATE_REFUSES_SNAPSHOT) {
            return;
        }
        if !self.follow(now, from, term, out) {
            // Any answer of the newer term ends the old leader's reign.
            return out.send(from, Message::HeartbeatReply { term: self.term, round: 0 });
        }
        if self.is_finishing_install() {
            return;
        }
        let last = chunk.meta.last;
        if last.index > self.commit && self.log.holds(last) {
            // All of it is here already: knowing that it is committed is enough.
            self.agreed = self.agreed.max(last.index);
            self.commit_up_to(last.index);
        }
        if last.index <= self.commit {
            self.install = None;
            self.agreed = self.agreed.max(self.commit);
            self.ack_due = true;
            return;
        }
        self.take_chunk(from, chunk, out);
    }

    fn take_chunk(&mut self, from: NodeId, chunk: Chunk, out: &mut Out<Raft>) {
        let Chunk { meta, after, next, data, done } = chunk;
        let source = (self.term, from);
        let known = self.install.as_ref();
        let known = known.filter(|known| known.source == source && known.meta.last == meta.last);
        let cursor = known.map(|install| install.cursor.clone());
        let storing = known.is_some_and(|install| install.storing.is_some());
        if cursor.as_ref().map_or(!after.is_empty(), |cursor| *cursor != after) {
            let (term, last) = (self.term, meta.last);
            let cursor = cursor.unwrap_or_default();
            return out.send(from, Message::SnapshotAck { term, last, cursor });
        }
        if storing {
            return;
        }
        self.install = Some(Install {
            source,
            meta: meta.clone(),
            cursor: after.clone(),
            storing: Some(next.clone()),
            finishing: done,
        });
        out.event(Event::InstallChunk { meta, after, next, data, done });
    }

    /// The host stored a chunk that was not the last.
    pub(crate) fn on_chunk_stored(&mut self, last: LogId, cursor: Bytes, out: &mut Out<Raft>) {
        let Some(install) = &mut self.install else { return };
        // An answer about a chunk of an earlier stream moves nothing.
        let expected = install.storing.as_ref() == Some(&cursor) && install.meta.last == last;
        if !expected || install.finishing {
            return;
        }
        install.cursor = cursor.clone();
        install.storing = None;
        let (term, source) = install.source;
        if term == self.term && self.leader == Some(source) {
            out.send(source, Message::SnapshotAck { term, last, cursor });
        }
    }

    /// The host has switched to the new state: the log follows.
    pub(crate) fn on_installed(&mut self, last: LogId, out: &mut Out<Raft>) {
        let install = self.install.take().filter(|install| install.finishing);
        let meta = install.map(|install| install.meta);
        let meta = meta.filter(|meta| meta.last == last);
        let meta = meta.unwrap_or_else(|| panic!("{last:?} was not being installed"));
        assert!(last.index > self.commit, "installing {last:?} undoes commit {}", self.commit);
        self.write_log(out);
        let membership = meta.membership.clone();
        let ticket = out.write(Write::Snapshot(meta));
        self.log.reset(last, membership, ticket);
        self.commit = last.index;
        self.emitted = last.index;
        self.agreed = last.index;
        // Whoever leads now holds everything that was committed: it may know (paper 5.4).
        self.ack_due = self.leader.is_some_and(|leader| leader != self.config.id);
    }
}
