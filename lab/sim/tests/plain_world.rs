//! Two small protocols in worlds of their own: a rumour that must reach everybody, and Bracha's
//! reliable broadcast, which must not let liars split the honest.

use quorate_base::{Dice, Input, Instant, NodeId, Out, Protocol};
use quorate_sim::byzantine::{AmongLiars, Liar, Lie, Mutable};
use quorate_sim::latency::Latency;
use quorate_sim::network::System;
use quorate_sim::oracles::Violation;
use quorate_sim::plain::{Plain, PlainWorld, Subject, Waking};
use quorate_sim::runner;
use quorate_sim::swarm::{Plan, Sabotage};
use quorate_sim::topology::Topology;
use quorate_sim::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The greatest number that anybody was told spreads to random peers, for ever. It is durable before
/// it is passed on.
#[derive(Clone, Debug)]
struct Gossip {
    nodes: u64,
    greatest: u64,
    dice: Dice,
    next: Instant,
}

const PERIOD: Duration = Duration::from_millis(50);

impl Gossip {
    fn learn(&mut self, number: u64, out: &mut Out<Gossip>) {
        if number > self.greatest {
            self.greatest = number;
            out.write(number);
        }
    }
}

impl Protocol for Gossip {
    type Message = u64;
    type Request = u64;
    type Write = u64;
    type Event = ();

    fn step(&mut self, now: Instant, input: Input<Gossip>, out: &mut Out<Gossip>) {
        match input {
            Input::Received { message, .. } => self.learn(message, out),
            Input::Request(number) => self.learn(number, out),
            Input::Durable(_) => {}
            Input::Timeout => {
                self.next = now + PERIOD;
                let to = NodeId(1 + self.dice.below(self.nodes));
                out.send_after(out.last_ticket(), to, self.greatest);
            }
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        Some(self.next)
    }
}

impl Subject for Gossip {
    /// The greatest number so far.
    type Load = u64;

    fn load(_plan: &Plan, _dice: &mut Dice) -> u64 {
        0
    }

    fn wake(_plan: &Plan, waking: Waking<'_, Gossip>) -> Gossip {
        let greatest = waking.journal.iter().copied().max().unwrap_or(0);
        Gossip { nodes: waking.nodes, greatest, dice: waking.dice, next: waking.now }
    }

    fn heard(_world: &mut PlainWorld<Gossip>, _node: NodeId, _event: ()) {}

    fn tick(world: &mut PlainWorld<Gossip>, client: u64) {
        if world.peace.is_none() {
            world.plan_client(client, Duration::from_millis(700));
        }
        let node = NodeId(1 + world.dice.below(world.plan.nodes));
        if world.is_up(node) {
            world.load += 1;
            world.feed(node, Input::Request(world.load));
        }
    }

    fn judge(world: &PlainWorld<Gossip>, node: NodeId) -> Result<(), Violation> {
        let known = world.protocol(node).map_or(0, |gossip| gossip.greatest);
        let durable = world.host(node).durable().iter().copied().max().unwrap_or(0);
        if durable <= known && known <= world.load {
            return Ok(());
        }
        let detail = format!("{node} knows {known}, {durable} is durable, {} was told", world.load);
        Err(Violation::new("no-rumour-from-nowhere", detail))
    }

    fn is_finished(world: &PlainWorld<Gossip>) -> bool {
        let known = |node| world.protocol(node).map(|gossip| gossip.greatest);
        let all: BTreeSet<Option<u64>> = world.nodes().map(known).collect();
        all.len() == 1 && all.first().is_some_and(Option::is_some)
    }
}

#[test]
fn a_rumour_reaches_everybody_over_any_topology_under_any_faults() {
    let mut traces = BTreeSet::new();
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let topology = match seed % 6 {
            0 => Topology::mesh(9),
            1 => Topology::ring(9),
            2 => Topology::star(9),
            3 => Topology::tree(9, 2),
            4 => Topology::random(9, 100_000, &mut dice),
            _ => Topology::parse("1 2\n2 3\n3 4\n4 5\n5 6\n6 7\n7 8\n8 9\n9 1\n1 5").unwrap(),
        };
        let plan = Plan { clients: 2, ..Plan::draw(seed, 9, Sabotage::None) };
        let run = || {
            let mut world: World<Plain<Gossip>> = World::with_topology(plan.clone(), &topology);
            runner::run_world(&mut world);
            assert_eq!(world.broken, None, "seed {seed}");
            assert!(world.load > 3, "it was told something");
            world.trace.hash()
        };
        let hash = run();
        assert_eq!(hash, run(), "seed {seed} tells two stories");
        assert!(traces.insert(hash), "two seeds tell one story");
    }
}

#[test]
fn in_a_synchronous_system_no_message_is_later_than_its_bound() {
    let bound = Duration::from_millis(3);
    for violations in [0, 200_000] {
        let system = System::Synchronous { bound, violations };
        let latency = Latency::LogNormal { median: 2_000, sigma: 1_500 };
        let calm = Plan::calm(5, 4, Duration::from_secs(20));
        let plan = Plan { clients: 1, system, latency, ..calm };
        let recording = runner::record::<Plain<Gossip>>(plan);
        let mut sent = BTreeMap::new();
        let mut longest = Duration::ZERO;
        for event in recording.events {
            match (event.message(), event.what.kind()) {
                (Some(message), "send") => {
                    sent.insert(message, event.at);
                }
                (Some(message), "deliver") => longest = longest.max(event.at.since(sent[&message])),
                (_, _) => {}
            }
        }
        assert!(longest > Duration::from_millis(2));
        assert_eq!(longest > bound, violations > 0, "the longest took {longest:?}");
    }
}

/// What node 1 says, to be delivered by all honest nodes or by none, and the same by all (Bracha,
/// "Asynchronous Byzantine Agreement Protocols", 1987), with `n > 3f`.
#[derive(Clone, Debug)]
struct Broadcast {
    id: NodeId,
    nodes: u64,
    said: bool,
    echoed: bool,
    ready: bool,
    delivered: Option<u8>,
    echoes: BTreeMap<u8, BTreeSet<NodeId>>,
    readies: BTreeMap<u8, BTreeSet<NodeId>>,
    next: Option<Instant>,
    /// A bug on purpose: it echoes whatever and counts on fewer.
    hasty: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Word {
    Send(u8),
    Echo(u8),
    Ready(u8),
}

impl Broadcast {
    fn all(&self, word: &Word, out: &mut Out<Broadcast>) {
        (1..=self.nodes).for_each(|to| out.send(NodeId(to), word.clone()));
    }

    fn hear(&mut self, from: NodeId, word: Word, out: &mut Out<Broadcast>) {
        let faulty = (self.nodes - 1) / 3;
        let echo_quorum = if self.hasty { 1 } else { (self.nodes + faulty) / 2 + 1 };
        let ready_quorum = if self.hasty { 1 } else { 2 * faulty + 1 };
        match word {
            Word::Send(value) if from == NodeId(1) && !self.echoed => {
                self.echoed = true;
                self.all(&Word::Echo(value), out);
            }
            Word::Send(_) => {}
            Word::Echo(value) => {
                self.echoes.entry(value).or_default().insert(from);
            }
            Word::Ready(value) => {
                self.readies.entry(value).or_default().insert(from);
            }
        }
        let reached = |votes: &BTreeMap<u8, BTreeSet<NodeId>>, quorum: u64| {
            let full = votes.iter().find(|(_, from)| from.len() as u64 >= quorum);
            full.map(|(value, _)| *value)
        };
        let calls = reached(&self.echoes, echo_quorum).or(reached(&self.readies, faulty + 1));
        if let Some(value) = calls.filter(|_| !self.ready) {
            self.ready = true;
            self.all(&Word::Ready(value), out);
        }
        if let Some(value) =
            reached(&self.readies, ready_quorum).filter(|_| self.delivered.is_none())
        {
            self.delivered = Some(value);
            out.event(value);
        }
    }
}

impl Protocol for Broadcast {
    type Message = Word;
    type Request = ();
    type Write = ();
    type Event = u8;

    fn step(&mut self, _now: Instant, input: Input<Broadcast>, out: &mut Out<Broadcast>) {
        match input {
            Input::Received { from, message } => self.hear(from, message, out),
            Input::Timeout => {
                self.next = None;
                if self.id == NodeId(1) && !self.said {
                    self.said = true;
                    self.all(&Word::Send(7), out);
                }
            }
            Input::Request(()) | Input::Durable(_) => {}
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.next
    }
}

impl Mutable for Broadcast {
    fn mutate(message: &Word, dice: &mut Dice) -> Word {
        let value = dice.below(3) as u8;
        match message {
            Word::Send(_) => Word::Send(value),
            Word::Echo(_) => Word::Echo(value),
            Word::Ready(_) => Word::Ready(value),
        }
    }
}

/// The plan's seed says who lies and how; a bug on purpose makes the honest hasty.
fn lie_of(plan: &Plan, node: NodeId) -> Lie {
    let liar = NodeId(1 + plan.seed % plan.nodes);
    let lies = [Lie::Withhold(500_000), Lie::Mutate(700_000), Lie::Equivocate(900_000)];
    if node == liar { lies[(plan.seed / plan.nodes % 3) as usize] } else { Lie::Honest }
}

impl AmongLiars for Broadcast {
    /// What each honest node delivered.
    type Load = BTreeMap<NodeId, u8>;

    fn load(_plan: &Plan, _dice: &mut Dice) -> BTreeMap<NodeId, u8> {
        BTreeMap::new()
    }

    fn lie(plan: &Plan, node: NodeId) -> Lie {
        lie_of(plan, node)
    }

    fn wake(plan: &Plan, waking: Waking<'_, Liar<Broadcast>>) -> Broadcast {
        Broadcast {
            id: waking.node,
            nodes: waking.nodes,
            said: false,
            echoed: false,
            ready: false,
            delivered: None,
            echoes: BTreeMap::new(),
            readies: BTreeMap::new(),
            next: Some(waking.now),
            hasty: plan.sabotage == Sabotage::SkipDedup,
        }
    }

    fn heard(world: &mut PlainWorld<Liar<Broadcast>>, node: NodeId, value: u8) {
        if world.protocol(node).is_some_and(Liar::is_honest) {
            world.load.insert(node, value);
        }
    }

    fn tick(_world: &mut PlainWorld<Liar<Broadcast>>, _client: u64) {}

    fn judge(world: &PlainWorld<Liar<Broadcast>>, _node: NodeId) -> Result<(), Violation> {
        let values: BTreeSet<u8> = world.load.values().copied().collect();
        let sender_lies = lie_of(&world.plan, NodeId(1)) != Lie::Honest;
        let right = values.len() <= 1 && (sender_lies || values.iter().all(|value| *value == 7));
        if right {
            return Ok(());
        }
        Err(Violation::new("agreement-and-validity", format!("delivered: {:?}", world.load)))
    }

    fn is_finished(world: &PlainWorld<Liar<Broadcast>>) -> bool {
        let honest = world.plan.nodes as usize - 1;
        // All or none, unless the sender is honest: then all.
        let done = [0, honest].contains(&world.load.len());
        let sender_lies = lie_of(&world.plan, NodeId(1)) != Lie::Honest;
        done && (sender_lies || world.load.len() == honest)
    }
}

fn broadcast(seed: u64, sabotage: Sabotage) -> Option<Violation> {
    let calm = Plan::calm(seed, 4, Duration::from_secs(2));
    let plan = Plan { sabotage, latency: Latency::Exponential { mean: 5_000 }, ..calm };
    let mut world: World<Plain<Liar<Broadcast>>> = World::new(plan);
    runner::run_world(&mut world);
    world.broken
}

#[test]
fn one_liar_of_four_cannot_split_a_reliable_broadcast() {
    for seed in 0..240 {
        assert_eq!(broadcast(seed, Sabotage::None), None, "seed {seed}");
    }
}

#[test]
fn a_hasty_broadcast_is_split_by_a_liar() {
    let caught = (0..240).find_map(|seed| broadcast(seed, Sabotage::SkipDedup));
    assert_eq!(caught.expect("caught").property, "agreement-and-validity");
}
