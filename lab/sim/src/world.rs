//! The world: one queue of events, one clock that jumps from one to the next, one fate.

mod nemesis;
mod turns;
mod wires;

use crate::clock::Clock;
use crate::host::{Host, MessageOf, Wake};
use crate::network::Network;
use crate::oracles::Violation;
use crate::queue::Queue;
use crate::swarm::{ELECTION_TIMEOUT, Plan};
use crate::topology::Topology;
use crate::trace::{self, Trace, What};
use quorate_base::{Dice, Input, Instant, NodeId, Turn};
use std::collections::BTreeMap;
use std::time::Duration;

/// Within so many election timeouts of peace somebody must lead, where anybody leads.
const LEADER_WITHIN: u32 = 12;
/// Within so many all clients must have finished and all nodes agree.
const REST_WITHIN: u32 = 60;
/// More events per second of chaos than any seed needs: beyond this the world runs in circles.
const MOST_EVENTS_PER_SECOND: u64 = 150_000;
/// What a member that is down waits before it comes back, at most.
const DOWN_MS: u64 = 1_500;

/// Something that will happen. What concerns one life of a node names it.
enum Event<H: Host> {
    Deliver { from: NodeId, to: NodeId, id: u64, message: MessageOf<H> },
    Turn { node: NodeId, life: u64 },
    Timer { node: NodeId, life: u64 },
    Job { node: NodeId, life: u64, job: H::Job },
    Wake { node: NodeId, life: u64 },
    Strike(usize),
    Over(usize, Option<NodeId>),
    Churn { node: NodeId, life: u64 },
    Rejoin(NodeId),
    Peace,
    Client(u64),
}

/// A node, up or down.
pub struct Member<H: Host> {
    /// What surrounds its protocol.
    pub host: H,
    /// The running protocol.
    pub turn: Option<Turn<H::Protocol>>,
    /// Rises with every crash: what was planned in an earlier life has no effect.
    pub life: u64,
    /// What it knows of time.
    pub clock: Clock,
    /// It is down for good.
    pub gone: bool,
    /// Its disk rots, misplaced a write or was replaced: it may have to go.
    pub damaged: bool,
    inbox: Vec<Input<H::Protocol>>,
    turn_at: Option<Instant>,
    timer_at: Option<Instant>,
    paused_until: Option<Instant>,
    slowness: u64,
    /// It ends after so many more effects.
    effects_left: Option<u64>,
    crashes_again: u32,
}

/// A message that a clogged link holds back.
struct Held<H: Host> {
    from: NodeId,
    to: NodeId,
    id: u64,
    message: MessageOf<H>,
}

/// A world. See the crate's essay.
pub struct World<H: Host> {
    /// What was drawn.
    pub plan: Plan,
    /// The world's own time.
    pub now: Instant,
    /// What is decided on the way.
    pub dice: Dice,
    /// Judges over the cluster.
    pub oracles: H::Oracles,
    /// The clients, and their judges.
    pub load: H::Load,
    /// The diary.
    pub trace: Trace,
    /// When peace began.
    pub peace: Option<Instant>,
    /// How often things happened that a swarm of worlds must reach.
    pub counts: BTreeMap<&'static str, u64>,
    /// The first broken promise.
    pub broken: Option<Violation>,
    members: Vec<Member<H>>,
    network: Network,
    queue: Queue<Event<H>>,
    held: Vec<Held<H>>,
    sent: u64,
    happened: u64,
    led_in_peace: bool,
    /// Who is to take over, and since when.
    successor: Option<(NodeId, Instant)>,
}

impl<H: Host> World<H> {
    /// A world before its first moment, in which everybody is wired to everybody.
    pub fn new(plan: Plan) -> World<H> {
        let topology = Topology::mesh(plan.nodes);
        World::with_topology(plan, &topology)
    }

    /// A world with these wires.
    ///
    /// # Panics
    /// When the plan has another number of nodes.
    pub fn with_topology(plan: Plan, topology: &Topology) -> World<H> {
        assert_eq!(plan.nodes, topology.nodes(), "a topology of all nodes");
        let mut dice = Dice::new(plan.seed);
        let (rates, forked) = (plan.rates.clone(), dice.fork(1));
        let network = Network::new(topology, rates, plan.latency, plan.system, forked);
        let load = H::load(&plan, &mut dice);
        let mut members = Vec::new();
        for _ in 0..plan.nodes {
            let offset = Duration::from_micros(dice.below(plan.offset.as_micros() as u64 + 1));
            members.push(Member {
                host: H::new(&plan, &load, &mut dice),
                turn: None,
                life: 0,
                clock: Clock::new(offset),
                gone: false,
                damaged: false,
                inbox: Vec::new(),
                turn_at: None,
                timer_at: None,
                paused_until: None,
                slowness: 1,
                effects_left: None,
                crashes_again: 0,
            });
        }
        World {
            now: Instant(0),
            oracles: H::Oracles::default(),
            load,
            trace: Trace::default(),
            peace: None,
            counts: BTreeMap::new(),
            broken: None,
            members,
            network,
            queue: Queue::default(),
            held: Vec::new(),
            sent: 0,
            happened: 0,
            led_in_peace: false,
            successor: None,
            dice,
            plan,
        }
    }

    /// Runs until the first broken promise or until all is said and done.
    pub fn run(&mut self) {
        for node in self.nodes() {
            self.queue.push(self.now, Event::Wake { node, life: 0 });
        }
        for client in 0..self.plan.clients {
            let at = self.now + Duration::from_micros(self.dice.below(2_000_000));
            self.queue.push(at, Event::Client(client));
        }
        for at in 0..self.plan.schedule.len() {
            self.queue.push(Instant(0) + self.plan.schedule[at].at, Event::Strike(at));
        }
        self.queue.push(self.now + self.plan.chaos, Event::Peace);
        let most = MOST_EVENTS_PER_SECOND * (self.plan.chaos.as_secs() + 80);
        while self.happened < most {
            let Some((at, event)) = self.queue.pop() else { return self.rest() };
            assert!(at >= self.now, "time goes back");
            self.now = at;
            self.happened += 1;
            self.happen(event);
            if self.broken.is_some() || (self.peace.is_some() && self.is_over()) {
                return;
            }
        }
        self.fail(Violation::new("liveness", "the world runs in circles".into()));
    }

    /// Nothing will ever happen again: all is well, or it never will be.
    fn rest(&mut self) {
        for _ in 0..2 {
            if self.is_over() {
                return;
            }
            self.now = self.now + ELECTION_TIMEOUT * (REST_WITHIN + 1);
        }
        if self.broken.is_none() && !self.is_over() {
            self.fail(Violation::new("liveness", "nothing happens any more".into()));
        }
    }

    fn happen(&mut self, event: Event<H>) {
        match event {
            Event::Deliver { from, to, id, message } => self.deliver(from, to, id, message),
            Event::Turn { node, life } => {
                let now = self.now;
                let member = self.member_mut(node);
                if member.life == life && member.turn_at == Some(now) {
                    self.take_turn(node, None, false);
                }
            }
            Event::Timer { node, life } => self.timer(node, life),
            Event::Job { node, life, job } => {
                if self.member(node).life != life || self.member(node).turn.is_none() {
                    return;
                }
                match self.paused(node) {
                    Some(until) => self.queue.push(until, Event::Job { node, life, job }),
                    None => H::job(self, node, job),
                }
            }
            Event::Wake { node, life } => {
                if self.member(node).life == life {
                    self.wake(node);
                }
            }
            Event::Strike(at) => self.strike(at),
            Event::Over(at, node) => self.over(at, node),
            Event::Churn { node, life } => {
                if self.peace.is_none() && self.member(node).life == life {
                    self.count("churned leaders");
                    self.churn(node);
                }
            }
            Event::Rejoin(node) => self.rejoin(node),
            Event::Peace => self.make_peace(),
            Event::Client(client) => H::tick(self, client),
        }
    }

    /// Things that happened: events of the queue.
    pub fn happened(&self) -> u64 {
        self.happened
    }

    /// All nodes' names.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<H> {
        (1..=self.members.len() as u64).map(NodeId)
    }

    /// A node.
    pub fn member(&self, node: NodeId) -> &Member<H> {
        &self.members[node.0 as usize - 1]
    }

    /// A node that is down stays down for good.
    pub fn retire(&mut self, node: NodeId) {
        self.member_mut(node).gone = true;
    }

    /// A node, to change.
    pub fn member_mut(&mut self, node: NodeId) -> &mut Member<H> {
        &mut self.members[node.0 as usize - 1]
    }

    /// What surrounds a node.
    pub fn host(&self, node: NodeId) -> &H {
        &self.member(node).host
    }

    /// What surrounds a node, to change.
    pub fn host_mut(&mut self, node: NodeId) -> &mut H {
        &mut self.member_mut(node).host
    }

    /// The protocol of a node that is up.
    pub fn protocol(&self, node: NodeId) -> Option<&H::Protocol> {
        Some(self.member(node).turn.as_ref()?.protocol())
    }

    /// True while a node is up (it may stand still).
    pub fn is_up(&self, node: NodeId) -> bool {
        self.member(node).turn.is_some()
    }

    /// All nodes and the judges, apart.
    pub fn split(&mut self) -> (&[Member<H>], &mut H::Oracles) {
        (&self.members, &mut self.oracles)
    }

    /// All nodes and the judges, apart, both to change.
    pub fn split_mut(&mut self) -> (&mut [Member<H>], &mut H::Oracles) {
        (&mut self.members, &mut self.oracles)
    }

    /// True while a node is paused.
    pub fn stands_still(&self, node: NodeId) -> bool {
        self.paused(node).is_some()
    }

    /// True when what one says can reach the other right now.
    pub fn is_joined(&mut self, from: NodeId, to: NodeId) -> bool {
        !self.network.is_cut(from, to) && !self.network.is_clogged(from, to)
    }

    /// Plans work for this life of a node. Slow nodes take longer.
    pub fn plan_job(&mut self, node: NodeId, after: Duration, job: H::Job) {
        let member = self.member(node);
        let (life, at) = (member.life, self.now + after * member.slowness as u32);
        self.queue.push(at, Event::Job { node, life, job });
    }

    /// Plans work for this life of a node at a moment, however slow it is.
    pub fn plan_job_at(&mut self, node: NodeId, at: Instant, job: H::Job) {
        let life = self.member(node).life;
        self.queue.push(at, Event::Job { node, life, job });
    }

    /// How many times slower than others a node works right now.
    pub fn slowness(&self, node: NodeId) -> u64 {
        self.member(node).slowness
    }

    /// Plans a client's next turn.
    pub fn plan_client(&mut self, client: u64, after: Duration) {
        self.queue.push(self.now + after, Event::Client(client));
    }

    /// A line in the diary.
    pub fn note(&mut self, node: Option<NodeId>, line: &str) {
        let content = trace::hash(0, line.as_bytes());
        self.trace.add(self.now, node, What::Note, content, || line.to_owned());
    }

    /// Something in the diary that needs no words.
    pub fn log(&mut self, node: NodeId, what: What) {
        self.trace.add(self.now, Some(node), what, 0, String::new);
    }

    /// Counts something.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A promise was broken.
    pub fn fail(&mut self, violation: Violation) {
        let content = trace::hash(0, violation.property.as_bytes());
        let label = || violation.to_string();
        self.trace.add(self.now, None, What::Violation, content, label);
        self.broken.get_or_insert(violation);
    }

    /// Takes an oracle's word.
    pub fn judge(&mut self, verdict: Result<(), Violation>) {
        if let Err(violation) = verdict {
            self.fail(violation);
        }
    }

    fn make_peace(&mut self) {
        self.trace.add(self.now, None, What::Peace, 0, String::new);
        self.peace = Some(self.now);
        self.network.calm();
        let nodes: Vec<NodeId> = self.nodes().collect();
        for node in nodes {
            let now = self.now;
            let member = self.member_mut(node);
            (member.slowness, member.effects_left, member.crashes_again) = (1, None, 0);
            // Who stands still goes on when what waits for it comes up again: now.
            member.paused_until = member.paused_until.map(|_| now);
            member.clock.steady(now);
            self.rearm(node);
            if let Some(disk) = self.host(node).disk() {
                disk.heal();
                if !disk.powered() {
                    self.crash(node, false, "its disk had no power");
                }
            }
        }
        self.release_held();
    }

    fn is_over(&mut self) -> bool {
        let Some(peace) = self.peace else { return false };
        if !self.led_in_peace {
            self.led_in_peace = !H::has_leaders() || H::leader(self).is_some();
            if !self.led_in_peace && self.now > peace + ELECTION_TIMEOUT * LEADER_WITHIN {
                let detail = format!("nobody leads after {:?} of peace", self.now.since(peace));
                self.fail(Violation::new("liveness", detail));
            }
            return false;
        }
        if H::is_finished(self) && H::is_at_rest(self) {
            H::scan(self);
            return true;
        }
        if self.now > peace + ELECTION_TIMEOUT * REST_WITHIN {
            let standing = H::standing(self);
            let detail = format!("no rest after {:?} of peace: {standing}", self.now.since(peace));
            self.fail(Violation::new("liveness", detail));
        }
        false
    }

    fn wake(&mut self, node: NodeId) {
        if self.is_up(node) || self.member(node).gone {
            return;
        }
        match H::wake(self, node) {
            Wake::Up(protocol) => {
                let member = self.member_mut(node);
                member.turn = Some(Turn::new(protocol));
                self.log(node, What::Restart);
                H::woken(self, node);
                self.arm(node);
                let soon = self.dice.below(20);
                let member = self.member_mut(node);
                if member.crashes_again > 0 {
                    member.crashes_again -= 1;
                    member.effects_left = Some(soon);
                }
            }
            Wake::Later(after) => {
                let life = self.member(node).life;
                self.queue.push(self.now + after, Event::Wake { node, life });
            }
            Wake::Never => self.member_mut(node).gone = true,
        }
    }
}
