//! One strong group as a member sees it: consensus, and what a server needs around it.
//!
//! Around [`Raft`] this adds what makes a member useful to clients wherever they connect:
//!
//! - **Proposals** are kept until they are seen applied. A follower forwards them to the leader, and
//!   forwards them again when the leader changes or stays silent. A doubled copy is harmless: the
//!   applier refuses an operation id that it has seen. So a request outlives its leader.
//! - **Reads** of one turn share one read index; a lost round is asked again with a new token.
//! - **Leases** are counted down by the leader alone ([`crate::leases`]); other members forward
//!   their questions.
//! - **Members**: the leader brings the group's configuration to what the applied table of members
//!   says ([`crate::seats`]).
//! - **Log compaction** follows what the state engine holds durably, less a tail for slow followers.
//!
//! Left out: a proposal is bounded in number and time by the host, which says [`Request::Forget`].

mod waiting;

use crate::leases::Leases;
use crate::message::{Ask, Config, Event, LeaseChange, Message, Request};
use crate::seats::Seats;
use bytes::Bytes;
use quorate_base::{Dice, Input, Instant, NodeId, Out, Protocol, Ticket};
use quorate_raft::{self as raft, Raft, Role};
use std::collections::BTreeMap;
use std::time::Duration;

/// A local command on its way into the log.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Proposal {
    payload: Bytes,
    /// When it was last handed to a leader; `None` when the next one gets it.
    sent: Option<Instant>,
}

/// Local reads that share one read index.
#[derive(Clone, PartialEq, Eq, Debug)]
struct ReadRound {
    tokens: Vec<(u64, Instant)>,
    sent: Instant,
}

/// A local lease question.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Question {
    ask: Ask,
    asked: Instant,
    sent: Option<Instant>,
}

/// A question (ours or a peer's) that the leader must answer from a newer state or after a revoke.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Held {
    from: Option<NodeId>,
    token: u64,
    ask: Ask,
    applied: u64,
    since: Instant,
}

/// Entries that stay for slow followers even where the disk is nearly full: a follower that missed a moment must
/// not need the whole state.
const TRIMMED: u64 = 50;

/// A strong group. See the module's essay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Strong {
    config: Config,
    raft: Raft,
    leader: Option<NodeId>,
    role: Role,
    term: u64,
    applied: u64,
    proposals: BTreeMap<u64, Proposal>,
    /// How many proposals wait to be sent: the common case of none costs no scan.
    unsent: Vec<u64>,
    waiting_reads: Vec<(u64, Instant)>,
    read_rounds: BTreeMap<u64, ReadRound>,
    next_round: u64,
    questions: BTreeMap<u64, Question>,
    unsent_questions: Vec<u64>,
    held: Vec<Held>,
    leases: Leases,
    seats: Seats,
    /// A new leader's clock starts when this index is applied: until then it does not know all
    /// leases.
    lead_from: Option<u64>,
    /// Answers to peers' questions, gathered during a turn.
    told: BTreeMap<NodeId, Vec<(u64, i64)>>,
    /// When to look for what stayed without an answer.
    look_again: Option<Instant>,
    synced: u64,
}

impl Strong {
    /// A member that wakes up with what its disk held.
    pub fn new(config: Config, restored: raft::Restored, dice: Dice, now: Instant) -> Strong {
        let applied = restored.applied;
        let raft = Raft::new(config.raft.clone(), restored, dice, now);
        // So long a deposed leader may go on to renew: it looks at its quorum once a heartbeat.
        let extend = config.raft.election_timeout + config.raft.heartbeat_interval;
        let leases = Leases::new(extend);
        Strong {
            raft,
            leader: None,
            role: Role::Follower,
            term: 0,
            applied,
            proposals: BTreeMap::new(),
            unsent: Vec::new(),
            waiting_reads: Vec::new(),
            read_rounds: BTreeMap::new(),
            next_round: 1,
            questions: BTreeMap::new(),
            unsent_questions: Vec::new(),
            held: Vec::new(),
            leases,
            seats: Seats::default(),
            lead_from: None,
            told: BTreeMap::new(),
            look_again: None,
            synced: 0,
            config,
        }
    }

    /// The consensus below, to look at.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Local commands that are not yet known to be applied.
    pub fn pending_proposals(&self) -> usize {
        self.proposals.len()
    }

    /// After so long without an answer a question is asked again: half an election timeout, long
    /// enough for a healthy leader's disk, short enough to be ready for the next one.
    fn retry_after(&self) -> Duration {
        self.config.raft.election_timeout / 2
    }

    fn request(&mut self, now: Instant, request: Request, out: &mut Out<Self>) {
        match request {
            Request::Propose { seq: 0, payload } => {
                self.raft_step(now, Input::Request(raft::Request::Propose(payload)), out)
            }
            Request::Propose { seq, payload } => {
                self.unsent.push(seq);
                self.proposals.insert(seq, Proposal { payload, sent: None });
            }
            Request::Forget { seq } => {
                self.proposals.remove(&seq);
            }
            Request::Read { token } => self.waiting_reads.push((token, now)),
            Request::Ask { token, ask } => {
                self.unsent_questions.push(token);
                self.questions.insert(token, Question { ask, asked: now, sent: None });
            }
            Request::ListLeases { token } => {
                out.event(Event::Leases { token, ids: self.leases.ids() });
            }
            Request::Applied { index, answered, leases } => {
                self.on_applied(now, index, answered, leases, out);
            }
            Request::Synced { index } => {
                assert!(index <= self.applied, "synced {index} beyond applied {}", self.applied);
                self.synced = self.synced.max(index);
                self.compact(now, self.config.catchup_entries, out);
            }
            Request::Trim => self.compact(now, TRIMMED.min(self.config.catchup_entries), out),
            Request::Members(seats) => self.seats.want(seats),
            Request::Raft(request) => self.raft_step(now, Input::Request(request), out),
        }
    }

    /// Forgets the log that the durable state makes needless, but for so many entries.
    fn compact(&mut self, now: Instant, keep: u64, out: &mut Out<Self>) {
        let index = self.synced.saturating_sub(keep);
        if index > 0 {
            self.raft_step(now, Input::Request(raft::Request::Compact { index }), out);
        }
    }

    fn on_applied(
        &mut self,
        now: Instant,
        index: u64,
        answered: Vec<u64>,
        leases: Vec<LeaseChange>,
        out: &mut Out<Self>,
    ) {
        assert!(index >= self.applied, "applied went back from {} to {index}", self.applied);
        self.applied = index;
        for seq in answered {
            self.proposals.remove(&seq);
        }
        for change in leases {
            self.leases.change(now, change);
        }
        self.start_clock(now);
        self.raft_step(now, Input::Request(raft::Request::Applied { index }), out);
        self.answer_held(now, out);
    }

    /// Starts a new leader's lease clock once it has applied what came before its election.
    fn start_clock(&mut self, now: Instant) {
        if self.lead_from.is_some_and(|index| index <= self.applied) {
            self.lead_from = None;
            self.leases.lead(now, self.term);
        }
    }

    /// Runs one input through consensus and reacts to what it says.
    fn raft_step(&mut self, now: Instant, input: Input<Raft>, out: &mut Out<Self>) {
        let mut inner = Out::after(out.last_ticket());
        self.raft.step(now, input, &mut inner);
        self.carry(now, inner, out);
    }

    /// Moves what consensus said into our own words.
    fn carry(&mut self, now: Instant, mut inner: Out<Raft>, out: &mut Out<Self>) {
        let mut news = Vec::new();
        out.absorb(
            &mut inner,
            Message::Raft,
            |write| write,
            |event, events| match event {
                raft::Event::Committed(entries) => events.push(Event::Committed(entries)),
                event @ (raft::Event::Status { .. }
                | raft::Event::ReadReady { .. }
                | raft::Event::ReadDropped(_)
                | raft::Event::NotLeader(_)
                | raft::Event::ChangeRefused { .. }) => news.push(event),
                event @ (raft::Event::ReadLog { .. }
                | raft::Event::ChunkNeeded { .. }
                | raft::Event::ChunksDone { .. }
                | raft::Event::InstallChunk { .. }) => events.push(Event::Raft(event)),
            },
        );
        for event in news {
            match event {
                raft::Event::Status { role, term, leader } => {
                    self.on_status(now, role, term, leader, out);
                }
                raft::Event::ReadReady { token, index } => {
                    if let Some(round) = self.read_rounds.remove(&token) {
                        let tokens = round.tokens.into_iter().map(|(token, _)| token).collect();
                        out.event(Event::ReadReady { tokens, index });
                    }
                }
                raft::Event::ReadDropped(tokens) => {
                    for token in tokens {
                        if let Some(round) = self.read_rounds.remove(&token) {
                            self.waiting_reads.extend(round.tokens);
                        }
                    }
                }
                // Whoever proposed it keeps it and tries again; nothing of it is in any log.
                // What the lease clock wanted itself, it will want again.
                raft::Event::NotLeader(_) => self.leases.refused(),
                // Whoever wants a change looks at the hurdle first.
                raft::Event::ChangeRefused { .. } => {}
                raft::Event::Committed(_)
                | raft::Event::ReadLog { .. }
                | raft::Event::ChunkNeeded { .. }
                | raft::Event::ChunksDone { .. }
                | raft::Event::InstallChunk { .. } => unreachable!("passed on above"),
            }
        }
    }

    fn on_status(
        &mut self,
        now: Instant,
        role: Role,
        term: u64,
        leader: Option<NodeId>,
        out: &mut Out<Self>,
    ) {
        let was_leader = self.role == Role::Leader;
        let is_leader = role == Role::Leader;
        let changed = leader != self.leader || term != self.term;
        (self.role, self.term, self.leader) = (role, term, leader);
        if is_leader && (!was_leader || changed) {
            self.leases.follow();
            self.lead_from = Some(self.raft.last_id().index);
            self.start_clock(now);
        }
        if was_leader && !is_leader {
            self.leases.follow();
            self.lead_from = None;
            // Peers ask the next leader themselves; our own questions are still in `questions`.
            self.held.clear();
        }
        if changed {
            // Whatever was handed to another leader is handed to this one at once.
            self.proposals.values_mut().for_each(|proposal| proposal.sent = None);
            self.questions.values_mut().for_each(|question| question.sent = None);
            self.unsent = self.proposals.keys().copied().collect();
            self.unsent_questions = self.questions.keys().copied().collect();
        }
        out.event(Event::Status { role, term, leader });
    }

    fn received(&mut self, now: Instant, from: NodeId, message: Message, out: &mut Out<Self>) {
        match message {
            Message::Raft(message) => {
                self.raft_step(now, Input::Received { from, message }, out);
            }
            Message::Forward(payloads) => {
                for payload in payloads {
                    let propose = raft::Request::Propose(payload);
                    self.raft_step(now, Input::Request(propose), out);
                }
            }
            Message::Ask { applied, asks } => {
                if self.role != Role::Leader {
                    return;
                }
                for (token, ask) in asks {
                    let since = now;
                    self.answer(now, Held { from: Some(from), token, ask, applied, since }, out);
                }
            }
            Message::Told(answers) => {
                for (token, seconds) in answers {
                    if self.questions.remove(&token).is_some() {
                        out.event(Event::Told { token, seconds });
                    }
                }
            }
        }
    }

    /// Answers a lease question as the leader, or holds it until it can be answered.
    fn answer(&mut self, now: Instant, held: Held, out: &mut Out<Self>) {
        assert_eq!(self.role, Role::Leader, "only the leader counts down leases");
        // A leader that hears no quorum may be deposed: what it promised, its successor's clock,
        // which gives an election timeout more than it must, would not know (etcd#15247).
        let early = self.applied < held.applied || !self.raft.hears_quorum(now);
        let seconds = match held.ask {
            _ if early => None,
            Ask::CaughtUp(id) => Some(i64::from(self.raft.is_caught_up(NodeId(id)))),
            Ask::Renew(_) | Ask::Remaining(_) => self.leases.ask(now, held.ask),
        };
        match (seconds, held.from) {
            (None, _) => self.held.push(held),
            (Some(seconds), Some(from)) => {
                self.told.entry(from).or_default().push((held.token, seconds));
            }
            (Some(seconds), None) => {
                if self.questions.remove(&held.token).is_some() {
                    out.event(Event::Told { token: held.token, seconds });
                }
            }
        }
    }

    fn answer_held(&mut self, now: Instant, out: &mut Out<Self>) {
        for held in std::mem::take(&mut self.held) {
            self.answer(now, held, out);
        }
    }

    fn timeout(&mut self, now: Instant, out: &mut Out<Self>) {
        self.raft_step(now, Input::Timeout, out);
        if self.look_again.is_some_and(|at| at <= now) {
            self.look_again = None;
            self.give_up(now, out);
            self.mark_overdue(now);
        }
    }
}

impl Protocol for Strong {
    type Message = Message;
    type Request = Request;
    type Write = raft::Write;
    type Event = Event;

    fn step(&mut self, now: Instant, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Received { from, message } => self.received(now, from, message, out),
            Input::Request(request) => self.request(now, request, out),
            Input::Durable(Ticket(ticket)) => {
                self.raft_step(now, Input::Durable(Ticket(ticket)), out);
            }
            Input::Timeout => self.timeout(now, out),
        }
    }

    fn settle(&mut self, now: Instant, out: &mut Out<Self>) {
        self.settle_proposals(now, out);
        self.settle_reads(now, out);
        self.settle_questions(now, out);
        if self.role == Role::Leader {
            // What waited for a word from a quorum may have its answer now.
            self.answer_held(now, out);
            for action in self.leases.poll(now) {
                out.event(Event::Act(action));
            }
            self.settle_members(now, out);
        }
        let mut inner = Out::after(out.last_ticket());
        self.raft.settle(now, &mut inner);
        self.carry(now, inner, out);
        if self.look_again.is_none() && self.is_waiting() {
            self.look_again = Some(now + self.retry_after() / 4);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let leases = if self.role == Role::Leader { self.leases.next_timeout() } else { None };
        [self.raft.next_timeout(), leases, self.look_again].into_iter().flatten().min()
    }
}
