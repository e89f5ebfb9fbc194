//! A member comes up with what its disk holds, or does not: what it has synced must be there.

use super::machine::Machine;
use super::{Replica, Terms, Up};
use crate::disk::SimDisk;
use crate::host::Wake;
use crate::oracles::Violation;
use crate::trace::What;
use crate::world::World;
use quorate_base::{Dice, Instant, NodeId};
use quorate_raft as raft;
use quorate_storage::Log;
use std::collections::VecDeque;
use std::time::Duration;

/// The log could be opened: the member is up, unless it holds less than it promised.
pub(super) fn rise<M: Machine>(
    world: &mut World<Replica<M>>,
    node: NodeId,
    log: Log<SimDisk>,
    restored: raft::Restored,
    torn: bool,
    (dice, now): (Dice, Instant),
) -> Wake<M> {
    let damaged = world.member(node).damaged;
    let replica = world.host_mut(node);
    replica.began = true;
    let (last, promised) = (restored.last_index, replica.promised);
    let (commit, applied) = (restored.commit, restored.applied);
    let (term, vote) = replica.promised_vote;
    let same_vote = restored.term > term
        || restored.term == term && (vote.is_none() || restored.vote.map(|node| node.0) == vote);
    if (last < promised || !same_vote) && damaged {
        world.count("undetectable losses");
        world.note(Some(node), "it lost what it had synced and cannot know: it is taken out");
        return Wake::Never;
    }
    if last < promised {
        let detail = format!("{node} comes up with entries to {last}, synced {promised}");
        world.fail(Violation::new("synced-writes-survive", detail));
        return Wake::Never;
    }
    if !same_vote {
        let (now, of) = (restored.term, restored.vote);
        let detail = format!("{node} comes up in term {now} with {of:?}, synced {term}, {vote:?}");
        world.fail(Violation::new("synced-writes-survive", detail));
        return Wake::Never;
    }
    replica.promised = last;
    replica.promised_vote = (restored.term, restored.vote.map(|node| node.0));
    replica.written = Terms::recovered(&restored);
    replica.up = Some(Up {
        log,
        writes: Vec::new(),
        writing: None,
        committed: VecDeque::new(),
        applying: false,
        whole: false,
        replaced: None,
        state_syncing: false,
        bulk_free: Instant(0),
    });
    if torn {
        world.count("torn tails");
    }
    let content = last << 40 ^ commit << 20 ^ applied;
    world.trace.add(world.now, Some(node), What::Note, content, || {
        format!("recovered: last {last}, commit {commit}, applied {applied}")
    });
    Wake::Up(M::build(&world.plan, node, restored, dice, now))
}

/// The log could not be opened: who may be blamed for that?
pub(crate) fn stay_down<M: Machine>(
    world: &mut World<Replica<M>>,
    node: NodeId,
    struck: u64,
    error: &str,
) -> Wake<M> {
    let damaged = world.member(node).damaged;
    let disk = &world.host(node).disk;
    let excused = !disk.powered() || disk.struck() > struck || disk.is_limited();
    if excused {
        // The power failed again, or the disk, during recovery; or there is no space for it.
        disk.crash();
        world.count("crashes in recovery");
        world.note(Some(node), "it crashes while it recovers");
        return Wake::Later(Duration::from_millis(50));
    }
    if damaged {
        world.count("halts for damage");
        world.note(Some(node), &format!("it refuses to come up: {error}"));
        return Wake::Never;
    }
    let detail = format!("{node} cannot come up: {error}");
    world.fail(Violation::new("recovery-after-any-crash", detail));
    Wake::Never
}
