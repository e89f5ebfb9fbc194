//! The world: one queue of events, one clock that jumps from one to the next, one fate.

use crate::disk::SimDisk;
use crate::machine::{App, Machine};
use crate::network::Network;
use crate::oracles::{Oracles, Violation};
use crate::process::{Job, Process};
use crate::swarm::{ELECTION_TIMEOUT, Plan, Sabotage};
use crate::trace::{self, Trace, What, Why};
use quorate_base::{Dice, Input, Instant, NodeId};
use quorate_raft as raft;
use quorate_storage::DiskOp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time between two looks of the nemesis.
const NEMESIS: Duration = Duration::from_millis(100);

/// Within so many election timeouts of peace somebody must lead.
const LEADER_WITHIN: u32 = 12;
/// Within so many all clients must have finished and all members agree.
const REST_WITHIN: u32 = 60;

/// More events than any seed needs: beyond this the world runs in circles.
const MOST_EVENTS: u64 = 3_000_000;

/// Something that will happen. Those with a `life` concern one life of a member only.
#[allow(missing_docs)]
pub enum Event<M: Machine> {
    /// A message arrives.
    Deliver { from: NodeId, to: NodeId, id: u64, message: M::Message },
    /// A core turns.
    Turn { node: NodeId, life: u64 },
    /// A log thread is done.
    LogDone { node: NodeId, life: u64 },
    /// A state machine applies.
    Apply { node: NodeId, life: u64 },
    /// A state is synced.
    StateSynced { node: NodeId, life: u64 },
    /// A bulk thread is done.
    Bulk { node: NodeId, life: u64, job: Job },
    /// A member comes back.
    Restart { node: NodeId },
    /// Something may go wrong now.
    Nemesis,
    /// All wires are whole again.
    Mend,
    /// From now on nothing goes wrong.
    Peace,
    /// It is a client's turn.
    Client(u64),
}

/// A world. See the crate's essay.
pub struct World<M: Machine> {
    /// What was drawn.
    pub plan: Plan,
    /// The only clock.
    pub now: Instant,
    /// What is decided on the way.
    pub dice: Dice,
    /// The members.
    pub members: BTreeMap<NodeId, Process<M>>,
    /// The judges of consensus.
    pub oracles: Oracles,
    /// The clients, and their judges.
    pub load: M::Load,
    /// The diary.
    pub trace: Trace,
    /// When peace began.
    pub peace: Option<Instant>,
    /// How often things happened that a swarm of worlds must reach.
    pub counts: BTreeMap<&'static str, u64>,
    /// The first broken promise.
    pub broken: Option<Violation>,
    network: Network,
    queue: BTreeMap<(Instant, u64), Event<M>>,
    scheduled: u64,
    sent: u64,
    led_in_peace: bool,
}

impl<M: Machine> World<M> {
    /// A world before its first moment.
    pub fn new(plan: Plan) -> World<M> {
        let mut dice = Dice::new(plan.seed);
        let network = Network::new(&plan, dice.fork(1));
        let load = M::load(&plan, &mut dice);
        let mut members = BTreeMap::new();
        for id in 1..=plan.nodes {
            let disk = SimDisk::new(dice.fork(id).next_u64());
            let slowness = dice.between(1, plan.slow_disk);
            members.insert(NodeId(id), Process::new(disk, M::app(&plan, &load), slowness));
        }
        World {
            now: Instant(0),
            members,
            oracles: Oracles::default(),
            load,
            trace: Trace::default(),
            peace: None,
            counts: BTreeMap::new(),
            broken: None,
            network,
            queue: BTreeMap::new(),
            scheduled: 0,
            sent: 0,
            led_in_peace: false,
            dice,
            plan,
        }
    }

    /// Runs until the first broken promise or until all is said and done.
    pub fn run(&mut self) {
        for node in self.nodes() {
            self.schedule(self.now, Event::Restart { node });
        }
        for client in 0..self.plan.clients {
            let at = self.now + Duration::from_micros(self.dice.below(2_000_000));
            self.schedule(at, Event::Client(client));
        }
        self.schedule(self.now + NEMESIS, Event::Nemesis);
        self.schedule(self.now + self.plan.chaos, Event::Peace);
        for _ in 0..MOST_EVENTS {
            let Some(((at, _), event)) = self.queue.pop_first() else { break };
            assert!(at >= self.now, "time goes back");
            self.now = at;
            self.happen(event);
            if self.broken.is_some() || self.is_over() {
                return;
            }
        }
        self.fail(Violation::new("liveness", "the world runs in circles".into()));
    }

    fn happen(&mut self, event: Event<M>) {
        match event {
            Event::Deliver { from, to, id, message } => self.deliver(from, to, id, message),
            Event::Turn { node, life } if self.lives(node, life) => self.turn(node),
            Event::LogDone { node, life } if self.lives(node, life) => self.log_done(node),
            Event::Apply { node, life } if self.lives(node, life) => self.apply(node),
            Event::StateSynced { node, life } if self.lives(node, life) => self.state_synced(node),
            Event::Bulk { node, life, job } if self.lives(node, life) => self.bulk(node, job),
            Event::Turn { .. }
            | Event::LogDone { .. }
            | Event::Apply { .. }
            | Event::StateSynced { .. }
            | Event::Bulk { .. } => {}
            Event::Restart { node } => self.restart(node),
            Event::Nemesis => self.nemesis(),
            Event::Mend => {
                self.network.mend();
                self.note("all links are whole");
            }
            Event::Peace => self.make_peace(),
            Event::Client(client) => M::tick(self, client),
        }
    }

    /// Lets something happen later.
    pub fn schedule(&mut self, at: Instant, event: Event<M>) {
        self.scheduled += 1;
        self.queue.insert((at, self.scheduled), event);
    }

    fn lives(&self, node: NodeId, life: u64) -> bool {
        let process = &self.members[&node];
        process.life == life && process.up.is_some()
    }

    /// All members' names.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.members.keys().copied().collect()
    }

    /// A member.
    pub fn process(&mut self, node: NodeId) -> &mut Process<M> {
        self.members.get_mut(&node).expect("a member of this world")
    }

    /// The machine of a member that is up.
    pub fn machine(&self, node: NodeId) -> Option<&M> {
        Some(self.members[&node].up.as_ref()?.turn.protocol())
    }

    /// Who leads the newest term, as far as members that are up believe.
    pub fn leader(&self) -> Option<NodeId> {
        let nodes = self.members.keys().copied();
        let raft = |node| self.machine(node).map(M::raft);
        nodes
            .filter(|n| raft(*n).is_some_and(|r| r.is_leader()))
            .max_by_key(|n| raft(*n).map_or(0, |raft| raft.term()))
    }

    /// A line in the diary.
    pub fn note(&mut self, line: &str) {
        let content = trace::hash(0, line.as_bytes());
        self.trace.add(self.now, None, What::Note, content, || line.to_owned());
    }

    /// Counts something.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A promise was broken.
    pub fn fail(&mut self, violation: Violation) {
        self.note(&format!("BROKEN {violation}"));
        self.broken.get_or_insert(violation);
    }

    /// Takes an oracle's word.
    pub fn judge(&mut self, verdict: Result<(), Violation>) {
        if let Err(violation) = verdict {
            self.fail(violation);
        }
    }

    /// Looks at a member after a step, and at the disks of all for what it says is committed.
    pub fn judge_step(&mut self, node: NodeId) {
        let process = &self.members[&node];
        let Some(up) = &process.up else { return };
        let raft = up.turn.protocol().raft();
        let durable = process.app.synced();
        match self.oracles.stepped(node, raft, process.app.applied().0, durable) {
            Ok(None) => {}
            Ok(Some((index, term))) => {
                self.note(&format!("{node} commits up to {index} of term {term}"));
                // Opening disks is dear: a sample will do, but where the eyes themselves are tested.
                let tested = match self.plan.sabotage {
                    Sabotage::ReleaseEarly | Sabotage::IgnoreSyncs => true,
                    Sabotage::None | Sabotage::SkipDedup | Sabotage::SkipReadIndex => false,
                };
                if tested || self.dice.below(8) == 0 {
                    self.judge_disks(index, term);
                }
            }
            Err(violation) => self.fail(violation),
        }
    }

    fn judge_disks(&mut self, index: u64, term: u64) {
        let bytes = self.plan.segment_bytes;
        let holders = self.members.values().filter(|p| p.holds(bytes, index, term)).count();
        if holders * 2 <= self.members.len() {
            let detail = format!("entry {index} of term {term} is durable on {holders} disks");
            self.fail(Violation::new("committed-on-quorum", detail));
        }
    }

    /// Puts a message on the wires.
    pub fn send(&mut self, from: NodeId, to: NodeId, message: M::Message) {
        self.sent += 1;
        let id = self.sent;
        let what = What::Send { message: id, to };
        self.trace.add(self.now, Some(from), what, 0, || M::describe(&message));
        let fates = self.network.fates();
        if fates.is_empty() {
            let what = What::Lose { message: id, from, why: Why::Dropped };
            self.trace.add(self.now, Some(to), what, 0, String::new);
        }
        for (copy, delay) in fates.into_iter().enumerate() {
            if copy > 0 {
                let what = What::Duplicate { message: id, to };
                self.trace.add(self.now, Some(from), what, 0, String::new);
            }
            let event = Event::Deliver { from, to, id, message: message.clone() };
            self.schedule(self.now + delay, event);
        }
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, id: u64, message: M::Message) {
        let cut = self.network.is_cut(from, to);
        if cut || self.members[&to].up.is_none() {
            let why = if cut { Why::Cut } else { Why::Down };
            let what = What::Lose { message: id, from, why };
            self.trace.add(self.now, Some(to), what, 0, String::new);
            return;
        }
        let what = What::Deliver { message: id, from };
        self.trace.add(self.now, Some(to), what, 0, || M::describe(&message));
        self.feed(to, Input::Received { from, message });
    }

    fn pick(&mut self) -> NodeId {
        NodeId(1 + self.dice.below(self.plan.nodes))
    }

    fn nemesis(&mut self) {
        if self.peace.is_some() {
            return;
        }
        self.schedule(self.now + NEMESIS, Event::Nemesis);
        if self.dice.chance(self.plan.cuts) {
            self.cut();
        }
        if self.dice.chance(self.plan.crashes) {
            self.strike();
        }
        if self.dice.chance(self.plan.transfers)
            && let Some(leader) = self.leader()
        {
            let to = self.pick();
            self.count("transfers");
            self.note(&format!("{leader} is to hand over to {to}"));
            self.feed(leader, Input::Request(M::request(raft::Request::Transfer { to })));
            if self.plan.one_way && self.dice.below(2) == 0 {
                self.deafen(leader);
            }
        }
    }

    /// Lets a leader that hands over hear nothing more: it goes on to lead, for all that it knows,
    /// while its successor commits. Whatever it still answers must not be old.
    fn deafen(&mut self, leader: NodeId) {
        self.nodes().into_iter().for_each(|node| self.network.cut(node, leader));
        self.note(&format!("{leader} hears nothing more"));
        let mend = self.now + Duration::from_millis(self.dice.between(200, 2_000));
        self.schedule(mend, Event::Mend);
    }

    /// Cuts a random set of members off from the others, or single directions.
    fn cut(&mut self) {
        let side = self.dice.next_u64();
        let one_way = self.plan.one_way && self.dice.below(2) == 0;
        for a in self.nodes() {
            for b in self.nodes() {
                let apart = side >> a.0 & 1 < side >> b.0 & 1;
                if a != b && apart {
                    self.network.cut(a, b);
                    if !one_way {
                        self.network.cut(b, a);
                    }
                }
            }
        }
        self.count("cuts");
        let kind = if one_way { "one way" } else { "both ways" };
        self.note(&format!("links are cut {kind}: {:05b}", side >> 1 & 31));
        let mend = self.now + Duration::from_millis(self.dice.between(50, 5_000));
        self.schedule(mend, Event::Mend);
    }

    /// Ends a member, the leader as often as any: now, or in the middle of its disk's work.
    fn strike(&mut self) {
        let anyone = self.pick();
        let node = self.leader().filter(|_| self.dice.below(2) == 0).unwrap_or(anyone);
        let within = 1 + self.dice.below(4);
        let disk = self.members[&node].disk.clone();
        match self.dice.below(5) {
            0 | 1 if self.plan.torn => disk.crash_after(within),
            2 if self.plan.failing_syncs => disk.fail_next(DiskOp::Sync, 0),
            _ if self.dice.below(12) == 0 => {
                self.nodes().into_iter().for_each(|node| self.crash(node, "all at once"));
            }
            _ => self.crash(node, "struck"),
        }
    }

    fn make_peace(&mut self) {
        self.note("peace");
        self.peace = Some(self.now);
        self.network.calm();
        for node in self.nodes() {
            let disk = &self.members[&node].disk;
            disk.heal();
            if !disk.powered() {
                self.crash(node, "its disk had no power");
            }
            self.restart(node);
        }
        let clients = self.plan.clients;
        self.note(&format!("{clients} clients are left to finish"));
    }

    /// True at the end of the liveness phase; false, and broken, when it took too long.
    fn is_over(&mut self) -> bool {
        let Some(peace) = self.peace else { return false };
        let waited = self.now.since(peace);
        self.led_in_peace |= self.leader().is_some();
        if !self.led_in_peace && waited > ELECTION_TIMEOUT * LEADER_WITHIN {
            self.fail(Violation::new("liveness", format!("no leader after {waited:?} of peace")));
        }
        if M::finished(self) && self.is_at_rest() {
            M::scan(self);
            return true;
        }
        if waited > ELECTION_TIMEOUT * REST_WITHIN {
            let why = format!("after {waited:?} of peace: {}", self.standing());
            self.fail(Violation::new("liveness", why));
        }
        false
    }

    fn is_at_rest(&self) -> bool {
        let newest = self.oracles.committed();
        self.members.values().all(|process| {
            let idle = process
                .up
                .as_ref()
                .is_some_and(|up| up.is_idle() && up.turn.protocol().raft().commit() == newest);
            idle && process.app.applied().0 == newest
        })
    }

    fn standing(&self) -> String {
        let mut text =
            format!("finished: {}; committed {};", M::finished(self), { self.oracles.committed() });
        for (node, process) in &self.members {
            let raft = process.up.as_ref().map(|up| up.turn.protocol().raft().status());
            let applied = process.app.applied().0;
            text += &match raft {
                None => format!(" {node} down;"),
                Some(s) => format!(
                    " {node} {:?} t{} {}<={}<={}<={} cached {} peers {:?};",
                    s.role,
                    s.term,
                    s.base.index,
                    applied,
                    s.commit,
                    s.last.index,
                    s.cached_bytes,
                    s.peers
                ),
            };
        }
        text
    }
}
