//! An empty disk asks before it votes: the product's rule, without its sockets.
//!
//! Each member remembers, from the first message on, which life of its data directory every other
//! one lives (`system/host/src/peers/known.rs`). One that comes up with an empty directory waits for
//! answers from `n - q + 1` others (`admit.rs`) and stays down for good when one of them remembers
//! it: it may have promised a vote or a copy that it has forgotten (traps.md B29).

use super::Replica;
use super::machine::{App, Machine};
use crate::disk::SimDisk;
use crate::host::Wake;
use crate::swarm::Sabotage;
use crate::world::World;
use quorate_base::NodeId;
use quorate_node::newcomer::answers_needed;
use std::time::Duration;

/// Replaces the disk of a member that is down by an empty one.
pub(super) fn wipe<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) {
    if world.is_up(node) {
        return;
    }
    let fresh = M::app(&world.plan, &world.load);
    let seed = world.dice.next_u64();
    let nodes = world.plan.nodes as usize;
    let replica = world.host_mut(node);
    replica.disk = SimDisk::new(seed);
    replica.disk.set_slowness(replica.slowness);
    let held = replica.promised.max(replica.app.synced());
    replica.app = fresh;
    replica.lost = Some((held, std::mem::take(&mut replica.written)));
    (replica.promised, replica.promised_vote, replica.began) = (0, (0, None), false);
    replica.incarnation += 1;
    replica.known = vec![0; nodes];
}

/// What a member with an empty directory must do; nothing for one that may come up.
pub(super) fn ask<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) -> Option<Wake<M>> {
    let replica = world.host(node);
    // The first members are new, and know it.
    let first = replica.incarnation == 1 && node.0 <= world.plan.founders;
    let fresh = replica.incarnation == 1 && !M::ASKS_WHEN_ADDED;
    if replica.began || first || fresh || world.plan.sabotage == Sabotage::SkipAdmission {
        return None;
    }
    let incarnation = replica.incarnation;
    let others = M::contacts(world, node);
    let needed = answers_needed(others.len() + 1);
    let (mut answered, mut remembered) = (0, false);
    for other in others {
        let reached = M::answers(world, other)
            && M::speaks_to(world, node, other)
            && world.is_joined(node, other)
            && world.is_joined(other, node)
            && !world.stands_still(other);
        if reached && M::hears(world, other, node) {
            let known = world.host(other).known[node.0 as usize - 1];
            remembered |= known != 0 && known != incarnation;
            answered += 1;
        }
    }
    if remembered {
        world.count("empty disks refused");
        world.note(Some(node), "it is told that it belonged already: it must not vote again");
        return Some(Wake::Never);
    }
    (answered < needed).then_some(Wake::Later(Duration::from_millis(100)))
}
