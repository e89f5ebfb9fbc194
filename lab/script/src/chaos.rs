//! Random schedules from a seed: first everything that can go wrong, then peace, then the question
//! whether the cluster lives.

use crate::world::World;
use quorate_base::{Dice, Input, Instant, NodeId};
use quorate_raft::{Config, Request};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a schedule may do.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// Members of the group.
    pub nodes: u64,
    /// Random steps before peace.
    pub steps: u64,
    /// Promises leave before the disk agrees: must be caught.
    pub broken_host: bool,
    /// Keep a trace.
    pub tracing: bool,
}

/// How a schedule ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Broken promises; empty when all is well.
    pub violations: Vec<String>,
    /// Entries committed in all.
    pub committed: usize,
    /// How often each kind of thing happened: messages by their name, writes, events.
    pub counts: BTreeMap<&'static str, u64>,
    /// What happened, newest last; empty unless asked for.
    pub trace: Vec<String>,
}

impl Chaos {
    /// Runs one seed.
    pub fn run(&self, seed: u64) -> Outcome {
        let mut dice = Dice::new(seed);
        let config = Config {
            id: NodeId(0),
            election_timeout: Duration::from_millis(1000),
            heartbeat_interval: Duration::from_millis(100),
            max_append_bytes: 64 + dice.below(1000) as usize,
            max_inflight_appends: 1 + dice.below(6) as usize,
            max_cached_bytes: 300 + dice.below(4000) as usize,
            max_held_entries: 40,
        };
        let mut world = World::new(self.nodes, config, seed);
        world.broken_host = self.broken_host;
        world.tracing = self.tracing;
        let weights = Weights::roll(&mut dice);
        let mut counter = 0;
        for _ in 0..self.steps {
            self.step(&mut world, &mut dice, &weights, &mut counter);
            if !world.oracle.violations.is_empty() {
                return outcome(world);
            }
        }
        if !self.broken_host {
            self.demand_life(&mut world, &mut counter);
        }
        outcome(world)
    }

    fn step(&self, world: &mut World, dice: &mut Dice, weights: &Weights, counter: &mut u64) {
        let node = NodeId(1 + dice.below(self.nodes));
        match weights.pick(dice) {
            Act::Deliver => deliver_some(world, dice),
            Act::Drop => {
                if !world.wire.is_empty() {
                    let at = dice.below(world.wire.len() as u64) as usize;
                    world.wire.remove(at);
                }
            }
            Act::Double => {
                if !world.wire.is_empty() {
                    let at = dice.below(world.wire.len() as u64) as usize;
                    let letter = world.wire[at].clone();
                    world.wire.push_back(letter);
                }
            }
            Act::Time => {
                world.now = Instant(world.now.0 + dice.below(120_000_000));
                world.fire_due();
            }
            Act::Propose => {
                let target = world.leader().filter(|_| dice.below(4) > 0).unwrap_or(node);
                let burst = 1 + dice.below(5);
                let proposals = (0..burst).map(|_| {
                    *counter += 1;
                    Input::Request(Request::Propose(format!("v{counter}").into()))
                });
                let proposals = proposals.collect();
                world.feed(target, proposals);
            }
            Act::Read => {
                *counter += 1;
                world.feed(node, vec![Input::Request(Request::Read { token: *counter })]);
            }
            Act::Disk => {
                let held = world.machine(node).disk.held;
                if held && dice.below(2) == 0 {
                    world.sync(node, 1);
                } else {
                    world.hold_disk(node, !held);
                }
            }
            Act::App => {
                // Held less often than released: a state machine that stands still fills the memory.
                let held = world.machine(node).app.held;
                world.hold_app(node, !held && dice.below(2) == 0);
            }
            Act::Crash => crash(world, dice, node, self.broken_host),
            Act::Restart => {
                if world.raft(node).is_none() {
                    world.restart(node);
                }
            }
            Act::Cut => cut(world, dice, self.nodes),
            Act::Heal => world.cut.clear(),
            Act::Compact => {
                let index = world.machine(node).app.applied();
                world.compact(node, index.saturating_sub(dice.below(4)));
            }
            Act::Transfer => {
                if let Some(leader) = world.leader() {
                    world.feed(leader, vec![Input::Request(Request::Transfer { to: node })]);
                }
            }
            Act::Campaign => world.feed(node, vec![Input::Request(Request::Campaign)]),
        }
    }

    /// Peace: all links, disks and members work. Within ten election timeouts there must be a
    /// leader, a proposal must commit, a read must be answered, and all members must be equal.
    fn demand_life(&self, world: &mut World, counter: &mut u64) {
        world.cut.clear();
        for id in world.machines.keys().copied().collect::<Vec<_>>() {
            if world.raft(id).is_none() {
                world.restart(id);
            }
            world.hold_disk(id, false);
            world.hold_app(id, false);
        }
        world.advance(world.now + Duration::from_secs(10), true);
        let Some(leader) = world.leader() else {
            return world.oracle.violations.push("liveness: no leader in peace".into());
        };
        *counter += 2;
        let (value, token) = (*counter, *counter + 1);
        let before = world.oracle.committed.len();
        world.feed(leader, vec![Input::Request(Request::Propose(format!("last{value}").into()))]);
        let reader = NodeId(1 + value % self.nodes);
        world.feed(reader, vec![Input::Request(Request::Read { token })]);
        world.advance(world.now + Duration::from_secs(3), true);
        if world.oracle.committed.len() != before + 1 {
            world.oracle.violations.push("liveness: a proposal did not commit in peace".into());
        }
        if world.machine(reader).reads.get(&token).copied().flatten().is_none() {
            world.oracle.violations.push("liveness: a read was not answered in peace".into());
        }
        let states: Vec<usize> =
            world.machines.values().map(|machine| machine.app.state.len()).collect();
        let all = world.oracle.committed.len();
        if states.iter().any(|applied| *applied != all) {
            let what = format!("liveness: members applied {states:?} of {all} in peace");
            world.oracle.violations.push(what);
        }
        if world.machines.values().any(|machine| machine.app.state != world.oracle.committed) {
            world.oracle.violations.push("convergence: states differ".into());
        }
    }
}

fn deliver_some(world: &mut World, dice: &mut Dice) {
    for _ in 0..=dice.below(8) {
        if world.wire.is_empty() {
            return;
        }
        // Mostly in order, sometimes not.
        let span = if dice.below(4) == 0 { world.wire.len() as u64 } else { 1 };
        if let Some(letter) = world.wire.remove(dice.below(span) as usize) {
            world.deliver(letter);
        }
    }
}

fn crash(world: &mut World, dice: &mut Dice, node: NodeId, broken: bool) {
    if world.raft(node).is_none() {
        return;
    }
    let pending = world.machine(node).disk.pending.len() as u64;
    let survivors = if broken { 0 } else { dice.below(pending + 1) as usize };
    world.crash(node, survivors);
}

fn cut(world: &mut World, dice: &mut Dice, nodes: u64) {
    let side: Vec<bool> = (0..nodes).map(|_| dice.below(2) == 0).collect();
    let one_way = dice.below(3) == 0;
    world.cut.clear();
    for a in 1..=nodes {
        for b in 1..=nodes {
            let apart = side[a as usize - 1] && !side[b as usize - 1];
            let apart = apart || (!one_way && side[b as usize - 1] && !side[a as usize - 1]);
            if apart {
                world.cut.insert((NodeId(a), NodeId(b)));
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Deliver,
    Drop,
    Double,
    Time,
    Propose,
    Read,
    Disk,
    App,
    Crash,
    Restart,
    Cut,
    Heal,
    Compact,
    Transfer,
    Campaign,
}

/// How likely each act is in this seed. Each fault is left out in some seeds: all faults always on
/// hides bugs.
#[derive(Debug)]
struct Weights(Vec<(Act, u64)>);

impl Weights {
    fn roll(dice: &mut Dice) -> Weights {
        let mut some = |act: Act, most: u64| (act, dice.below(2) * (1 + dice.below(most)));
        Weights(vec![
            (Act::Deliver, 60),
            (Act::Time, 20),
            (Act::Propose, 8),
            (Act::Restart, 4),
            (Act::Heal, 2),
            some(Act::Read, 8),
            some(Act::Drop, 8),
            some(Act::Double, 6),
            some(Act::Disk, 12),
            some(Act::App, 3),
            some(Act::Crash, 3),
            some(Act::Cut, 3),
            some(Act::Compact, 4),
            some(Act::Transfer, 2),
            some(Act::Campaign, 2),
        ])
    }

    fn pick(&self, dice: &mut Dice) -> Act {
        let total: u64 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut at = dice.below(total);
        for (act, weight) in &self.0 {
            if at < *weight {
                return *act;
            }
            at -= weight;
        }
        unreachable!("the weights add up to {total}")
    }
}

fn outcome(world: World) -> Outcome {
    Outcome {
        committed: world.oracle.committed.len(),
        violations: world.oracle.violations,
        counts: world.counts,
        trace: world.trace,
    }
}
