//! One member: the shipped protocol, its disk, and a clock that is always late.

use quorate_base::{Dice, Input, Instant, NodeId, Turn};
use quorate_raft::{Canon, Config, Event, Membership, Message, Raft, Request, Role, Write};
use quorate_script::{Disk, Platter};
use std::time::Duration;

const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// The clock moves so far with each step that every timer is due and every leader stale.
const STEP: Duration = Duration::from_secs(10);

/// See the module's essay.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: NodeId,
    pub turn: Turn<Raft>,
    pub disk: Disk,
    pub crashes: u8,
    /// A number that members of the same canonical bytes share, whatever anybody is called.
    pub signature: u64,
    now: Instant,
}

/// What a step leaves behind for the world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub sends: Vec<(NodeId, Message)>,
    pub writes: Vec<Write>,
    /// How many of the writes were said at once by the first turn: where a crash may come between.
    pub at_once: usize,
}

impl Member {
    /// A member of a new cluster.
    pub fn new(id: NodeId, membership: &Membership, entries_at_once: bool) -> Member {
        let disk = Disk::new(Platter::new(membership.clone()));
        let now = Instant(0);
        let turn = start(id, &disk, now, entries_at_once);
        let mut member = Member { id, turn, disk, crashes: 0, signature: 0, now };
        member.sign();
        member
    }

    pub fn raft(&self) -> &Raft {
        self.turn.protocol()
    }

    /// Absorbs inputs; then the disk takes what was written, and what is committed is applied, until
    /// nothing is left to do. With `survivors` the member is about to crash: the first turn has said
    /// its writes, so many of them, the oldest, are on the disk, and what waited for these, or for
    /// nothing, leaves.
    pub fn step(&mut self, inputs: Vec<Input<Raft>>, survivors: Option<u8>) -> Said {
        self.now = self.now + STEP;
        let mut said = Said::default();
        let mut inputs = inputs;
        while !inputs.is_empty() {
            let batch = self.turn.absorb(self.now, std::mem::take(&mut inputs));
            if said.at_once == 0 && said.writes.is_empty() {
                said.at_once = batch.writes.len();
            }
            said.writes.extend(batch.writes.iter().map(|(_, write)| write.clone()));
            said.sends.extend(batch.sends);
            self.disk.pending.extend(batch.writes);
            if let Some(survivors) = survivors {
                let reached = self.disk.sync(usize::from(survivors));
                let told = reached.map(Input::Durable);
                said.sends.extend(self.turn.absorb(self.now, told).sends);
                break;
            }
            for event in batch.events {
                if let Event::Committed(entries) = event {
                    let index = entries.last().expect("never empty").index;
                    inputs.push(Input::Request(Request::Applied { index }));
                }
            }
            let all = self.disk.pending.len();
            inputs.extend(self.disk.sync(all).map(Input::Durable));
        }
        if survivors.is_none() {
            self.sign();
        }
        said
    }

    /// What makes this member ask for votes. A leader has heard nobody and resigns first; pre-votes
    /// of all others are taken as granted.
    pub fn campaign(&self) -> Vec<Input<Raft>> {
        let term = self.raft().term() + 1;
        let resigns = self.raft().is_leader().then_some(Input::Timeout);
        let voters = self.raft().membership().members();
        let voters = voters.iter().filter(|voter| self.raft().membership().is_voter(**voter));
        let granted = voters.filter(|voter| **voter != self.id).map(|from| {
            let message = Message::PreVoteReply { term, granted: true };
            Input::Received { from: *from, message }
        });
        let ask = resigns.into_iter().chain([Input::Request(Request::Campaign)]);
        ask.chain(granted).collect()
    }

    /// Loses what is not durable and starts again.
    pub fn crash(&mut self, entries_at_once: bool) {
        self.disk.crash(0);
        self.crashes += 1;
        self.turn = start(self.id, &self.disk, self.now, entries_at_once);
        self.sign();
    }

    /// True when a letter can change nothing here any more, now or later: the answer to a question
    /// of a term in which this member neither stands nor leads. A refused vote, which can only make a
    /// candidate give up, is taken for lost.
    pub fn is_dead(&self, message: &Message) -> bool {
        let raft = self.raft();
        let past = |term: u64, role: Role| {
            term < raft.term() || (term == raft.term() && raft.role() != role)
        };
        match message {
            Message::VoteReply { granted: false, .. } => true,
            Message::VoteReply { term, granted: true } => past(*term, Role::Candidate),
            Message::Appended { term, .. } | Message::AppendRefused { term, .. } => {
                past(*term, Role::Leader)
            }
            Message::PreVote { .. } => true,
            Message::PreVoteReply { .. }
            | Message::Vote { .. }
            | Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::SnapshotChunk { .. }
            | Message::SnapshotAck { .. }
            | Message::TimeoutNow { .. } => false,
        }
    }

    /// This member's canonical bytes. Nothing waits for the disk between two steps.
    pub fn canonical(&self, name: &impl Fn(NodeId) -> u64, out: &mut Canon) {
        assert!(self.disk.pending.is_empty() && self.turn.gated().next().is_none());
        self.raft().canonical(self.now + STEP, name, out);
        out.number(u64::from(self.crashes));
        let platter = &self.disk.platter;
        out.number(platter.term);
        out.name(platter.vote, name);
        out.number(platter.commit);
        out.number(platter.entries.len() as u64);
        for entry in &platter.entries {
            out.number(entry.term);
            out.blob(crate::world::anonymous(&entry.payload));
        }
    }

    fn sign(&mut self) {
        let mut out = Canon::default();
        let me = self.id;
        self.canonical(&|node| if node == me { 1 } else { 2 }, &mut out);
        self.signature = crate::fingerprint::fingerprint(out.bytes()) as u64;
    }
}

fn start(id: NodeId, disk: &Disk, now: Instant, entries_at_once: bool) -> Turn<Raft> {
    let config = Config {
        id,
        election_timeout: ELECTION_TIMEOUT,
        heartbeat_interval: ELECTION_TIMEOUT / 10,
        max_append_bytes: if entries_at_once { 1 << 20 } else { 1 },
        max_inflight_appends: 4,
        max_cached_bytes: 1 << 20,
        max_held_entries: 1_000,
    };
    Turn::new(Raft::new(config, disk.platter.restored(0), Dice::new(id.0), now))
}
