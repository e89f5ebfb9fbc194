//! What a strong register answers on each side of a partition, and when.
//!
//! Gilbert and Lynch ("Brewer's Conjecture and the Feasibility of Consistent, Available, Partition-tolerant
//! Web Services", SIGACT News 2002): while a network is partitioned, a linearizable register cannot
//! answer every request on both sides. The shipped Raft chooses: the side with a majority answers after an
//! election, the other refuses. [`partition`] cuts a leader and a minority off and measures both, in the
//! virtual time of a network without delay: all of it is waiting for timers.

use super::config;
use quorate_base::{Input, NodeId};
use quorate_raft::Request;
use quorate_script::World;
use std::time::Duration;

/// What one side answered, counted from the cut.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Side {
    /// Members on it.
    pub members: usize,
    /// When it had a leader that could commit; `None` for never.
    pub leads_after: Option<Duration>,
    /// When a write was acknowledged.
    pub writes_after: Option<Duration>,
    /// When a linearizable read was answered.
    pub reads_after: Option<Duration>,
    /// When a client that wrote or read was told no.
    pub refuses_after: Option<Duration>,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How long the cut lasted.
    pub lasted: Duration,
    /// The side of the old leader.
    pub minority: Side,
    /// The other side.
    pub majority: Side,
    /// When, after the links were whole again, all members held the same state.
    pub agrees_after: Option<Duration>,
    /// The write that the minority took and never acknowledged is in nobody's state.
    pub unacknowledged_is_gone: bool,
}

const TICK: Duration = Duration::from_millis(5);
const LEADER: NodeId = NodeId(1);

/// Cuts a leader and the largest minority off for so long; `members` at least three, the election
/// timeout one second.
pub fn partition(members: u64, lasted: Duration) -> Report {
    assert!(members >= 3, "{members} members cannot be parted into a minority and a majority");
    let mut world = World::new(members, config(Duration::from_secs(1)), 3);
    world.tracing = false;
    world.feed(LEADER, vec![Input::Request(Request::Campaign)]);
    world.settle_wire();
    world.advance(world.now + Duration::from_millis(500), true);
    let few = (members - 1) / 2;
    for a in 1..=few {
        for b in few + 1..=members {
            world.cut.extend([(NodeId(a), NodeId(b)), (NodeId(b), NodeId(a))]);
        }
    }
    let cut_at = world.now;
    world.feed(LEADER, vec![propose("minority"), Input::Request(Request::Read { token: 1 })]);
    let mut minority = Side { members: few as usize, ..Side::default() };
    let mut majority = Side { members: (members - few) as usize, ..Side::default() };
    while world.now < cut_at + lasted {
        world.advance(world.now + TICK, true);
        let after = world.now.since(cut_at);
        look_at_minority(&mut world, &mut minority, after);
        look_at_majority(&mut world, &mut majority, after, few);
    }
    world.cut.clear();
    let (healed_at, mut agrees_after) = (world.now, None);
    while agrees_after.is_none() && world.now < healed_at + Duration::from_secs(10) {
        world.advance(world.now + TICK, true);
        agrees_after = agree(&world, &majority).then(|| world.now.since(healed_at));
    }
    assert_eq!(world.oracle.violations, Vec::<String>::new());
    let unacknowledged_is_gone = world.machines.values().all(|machine| !holds(machine, "minority"));
    Report { lasted, minority, majority, agrees_after, unacknowledged_is_gone }
}

fn propose(value: &'static str) -> Input<quorate_raft::Raft> {
    Input::Request(Request::Propose(value.into()))
}

fn holds(machine: &quorate_script::Machine, value: &str) -> bool {
    machine.app.state.iter().any(|entry| entry.payload == value.as_bytes())
}

/// True once every member has applied all that was committed, the majority's write included.
fn agree(world: &World, majority: &Side) -> bool {
    let all = world.oracle.committed.len();
    let wrote = majority.writes_after.is_some();
    world
        .machines
        .values()
        .all(|machine| machine.app.state.len() == all && (!wrote || holds(machine, "majority")))
}

fn look_at_minority(world: &mut World, side: &mut Side, after: Duration) {
    let machine = world.machine(LEADER);
    let wrote = holds(machine, "minority");
    let read = machine.reads.get(&1).copied();
    side.writes_after = side.writes_after.or(wrote.then_some(after));
    side.reads_after = side.reads_after.or(read.flatten().map(|_| after));
    if read == Some(None) && side.refuses_after.is_none() {
        side.refuses_after = Some(after);
    }
}

/// Once somebody leads here, a client writes; what it wrote being applied is its acknowledgement.
fn look_at_majority(world: &mut World, side: &mut Side, after: Duration, few: u64) {
    let here = |id: &NodeId| id.0 > few;
    let mut here = world.running().into_iter().filter(here);
    let leader = here.rfind(|id| world.raft(*id).is_some_and(|raft| raft.is_leader()));
    let Some(leader) = leader else { return };
    if side.leads_after.is_none() {
        side.leads_after = Some(after);
        let read = Input::Request(Request::Read { token: 2 });
        world.feed(leader, vec![propose("majority"), read]);
        world.settle_wire();
    }
    let machine = world.machine(leader);
    let (wrote, read) = (holds(machine, "majority"), machine.reads.get(&2).copied().flatten());
    side.writes_after = side.writes_after.or(wrote.then_some(after));
    side.reads_after = side.reads_after.or(read.map(|_| after));
}
