//! The log thread of a replica.

use super::machine::Machine;
use super::{GROUP, Job, Replica, Writing};
use crate::oracles::Violation;
use crate::swarm::Sabotage;
use crate::world::World;
use quorate_base::{Input, NodeId};
use quorate_raft as raft;
use quorate_storage::{Log, LogError, needs_sync, to_record};
use std::time::Duration;

/// It takes whatever gathered, unless it is at work.
pub(super) fn write<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) {
    let replica = world.host_mut(node);
    let Some(up) = replica.up.as_mut() else { return };
    if up.writing.is_some() || up.writes.is_empty() {
        return;
    }
    let writes = std::mem::take(&mut up.writes);
    let last = writes.last().expect("there are writes").0;
    let sync = writes.iter().any(|(_, write)| needs_sync(write));
    let (mut reached, mut newest) = (None, None);
    for (_, write) in &writes {
        match write {
            raft::Write::Append(entries) => {
                let first = entries.first().expect("an append has entries").index;
                // What it replaces is not promised any more, though the sync is yet to come.
                replica.promised = replica.promised.min(first - 1);
                replica.written.append(entries);
                reached = entries.last().map(|entry| entry.index);
            }
            raft::Write::Snapshot(meta) => {
                replica.promised = replica.promised.min(meta.last.index);
                replica.written.restart(meta.last.index);
                up.replaced = None;
                reached = Some(meta.last.index);
            }
            raft::Write::Vote { term, vote } => newest = Some((*term, vote.map(|node| node.0))),
            raft::Write::Commit(_) | raft::Write::Compact(_) => {}
        }
    }
    up.writing = Some(Writing { last, reached, vote: newest, sync });
    let records: Vec<_> = writes.into_iter().map(|(_, w)| to_record(GROUP, w)).collect();
    let outcome = up.log.append(&records);
    let sync_us = if sync { 150 * replica.disk.slowness() } else { 0 };
    let took = replica.disk.take_latency_us() + sync_us;
    if survives(world, node, outcome) {
        let took = Duration::from_micros(took + world.dice.below(took + 1));
        world.plan_job(node, took, Job::LogDone);
    }
}

/// It is done with a batch.
pub(super) fn done<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) {
    let sabotage = world.plan.sabotage;
    let tidy = world.dice.below(8) == 0;
    let replica = world.host_mut(node);
    let up = replica.up.as_mut().expect("only the living write");
    let Writing { last, reached, vote, sync } = up.writing.take().expect("a batch is under way");
    if sync {
        if sabotage == Sabotage::IgnoreSyncs {
            replica.disk.ignore_next_sync();
        }
        let outcome = up.log.sync();
        if outcome.is_ok() {
            let reached = reached.unwrap_or(replica.promised);
            replica.promised = up.replaced.map_or(reached, |last| last.min(reached));
            replica.promised_vote = vote.unwrap_or(replica.promised_vote);
        }
        if !survives(world, node, outcome) {
            return;
        }
        if sabotage != Sabotage::ReleaseEarly {
            world.feed(node, Input::Durable(last));
        }
    }
    let up = world.host_mut(node).up.as_mut().expect("still alive");
    if tidy && up.writes.is_empty() {
        let outcome = up.log.maintain().map(|_| ());
        if !survives(world, node, outcome) {
            return;
        }
    }
    write(world, node);
}

/// A failure of the log is the end of the process; one that the world did not cause is a bug.
fn survives<M: Machine>(
    world: &mut World<Replica<M>>,
    node: NodeId,
    outcome: Result<(), LogError>,
) -> bool {
    let Err(error) = outcome else { return true };
    let caused = matches!(error, LogError::Disk(_) | LogError::Full(_));
    let excused = caused || world.member(node).damaged;
    if excused {
        // What a failed sync left in the cache is worth nothing.
        let power = world.dice.below(2) == 0;
        world.crash(node, power, "its log stopped");
    } else {
        world.fail(Violation::new("log-goes-on", format!("{node}: {error}")));
    }
    false
}

/// Flips a bit somewhere in the log: only where recovery can tell, since the log states that damage
/// to the newest, unproven batch looks like a crash. False when it found no such place.
pub(super) fn rot<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) -> bool {
    let (at, mask) = (world.dice.next_u64(), 1 << world.dice.below(8));
    let bytes = world.plan.segment_bytes;
    let replica = world.host(node);
    let Some((name, offset)) = replica.disk.any_byte(at) else { return false };
    let tried = replica.disk.platter();
    if offset >= tried.file_len(&name) {
        return false;
    }
    tried.flip(&name, offset, mask);
    let told = match Log::open(tried, replica.options(bytes)) {
        Err(_) => true,
        Ok((_, recovered)) => {
            let group = recovered.groups.get(&GROUP);
            let held = group.map_or((0, 0), |group| (group.last.index, group.term));
            let cut = recovered.report.cut.is_some();
            held.0 >= replica.promised && held.1 >= replica.promised_vote.0 && !cut
        }
    };
    if told {
        replica.disk.flip(&name, offset, mask);
        world.member_mut(node).damaged = true;
    }
    told
}
