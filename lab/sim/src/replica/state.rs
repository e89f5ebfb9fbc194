//! The state machine of a replica, its bulk thread, and what the judges see of both.

use super::machine::{App, Machine, Stored};
use super::{GROUP, Job, Replica};
use crate::oracles::Violation;
use crate::oracles::config::{in_force, is_quorum};
use crate::swarm::Sabotage;
use crate::trace::What;
use crate::world::World;
use quorate_base::{Input, NodeId};
use quorate_raft::{self as raft, Entry};
use std::collections::BTreeSet;
use std::time::Duration;

/// Looks at a member after a turn, and at all of them for what it says is committed.
pub(super) fn judge_step<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) {
    let (members, oracles) = world.split();
    let member = &members[node.0 as usize - 1];
    let Some(turn) = &member.turn else { return };
    let app = &member.host.app;
    match oracles.stepped(node, turn.protocol().raft(), app.applied().0, app.synced()) {
        Ok(None) => {}
        Ok(Some((index, term))) => {
            world.log(node, What::Commit { index, term });
            judge_quorum(world, node, index, term);
        }
        Err(violation) => world.fail(violation),
    }
}

/// What is committed is durable on a majority: by what their logs were told, always; by opening
/// their platters, which is dear, now and then, and always where the eyes themselves are tested.
fn judge_quorum<M: Machine>(world: &mut World<Replica<M>>, by: NodeId, index: u64, term: u64) {
    let open = match world.plan.sabotage {
        Sabotage::IgnoreSyncs => true,
        Sabotage::None
        | Sabotage::ReleaseEarly
        | Sabotage::SkipDedup
        | Sabotage::SkipReadIndex
        | Sabotage::SkipAdmission
        | Sabotage::Misapply => world.dice.below(1_024) == 0,
    };
    let bytes = world.plan.segment_bytes;
    let (members, _) = world.split();
    let holds = |replica: &Replica<M>, damaged: bool| {
        let told = replica.holds(index, term);
        told && (!open || damaged || replica.would_hold(bytes, index, term))
    };
    let holders = members.iter().enumerate();
    let holders = holders.filter(|(_, member)| holds(&member.host, member.damaged));
    let holders: BTreeSet<NodeId> = holders.map(|(at, _)| NodeId(at as u64 + 1)).collect();
    let raft = members[by.0 as usize - 1].turn.as_ref().expect("it has just turned").protocol();
    if !in_force(raft.raft(), index).iter().any(|config| is_quorum(config, &holders)) {
        let detail = format!("entry {index} of term {term} is durable on {holders:?} only");
        world.fail(Violation::new("committed-on-quorum", detail));
    }
}

/// The state machine gets to it when it gets to it.
pub(super) fn plan_apply<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) {
    let after = Duration::from_micros(10 + world.dice.below(2 * world.plan.apply_us));
    let Some(up) = &mut world.host_mut(node).up else { return };
    if !up.applying && (up.whole || !up.committed.is_empty()) {
        up.applying = true;
        world.plan_job(node, after, Job::Apply);
    }
}

/// A batch of entries, or the switch to a state that arrived.
pub(super) fn apply<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) {
    let most = world.dice.between(1, 30);
    let mut news = <M::App as App>::News::default();
    let misapplies = world.plan.sabotage == Sabotage::Misapply && node == NodeId(2);
    let up = world.host_mut(node).up.as_mut().expect("only the living apply");
    up.applying = false;
    if up.committed.is_empty() {
        switch(world, node, &mut news);
    } else {
        let mut judged = Ok(());
        for _ in 0..most {
            let (members, oracles) = world.split_mut();
            let host = &mut members[node.0 as usize - 1].host;
            let up = host.up.as_mut().expect("only the living apply");
            let Some(entry) = up.committed.pop_front() else { break };
            judged = judged.and(oracles.applying(node, &entry));
            if misapplies && entry.index.is_multiple_of(16) {
                host.app.misapply(&entry, &mut news);
            } else {
                host.app.apply(&entry, &mut news);
            }
            // Batches end differently on each member; fingerprints are compared where all end.
            if entry.index.is_multiple_of(8) {
                break;
            }
        }
        world.host_mut(node).app.publish(&mut news);
        world.judge(judged);
    }
    let (index, _) = world.host(node).app.applied();
    world.log(node, What::Apply { index });
    let taken = world.host_mut(node).app.fingerprints();
    let judged = world.oracles.fingerprints(node, &taken);
    world.judge(judged);
    if index.is_multiple_of(8) {
        let sound = world.host(node).app.is_sound();
        let judged = world.oracles.sound(node, index, sound);
        world.judge(judged);
        let hash = world.host(node).app.hash();
        let judged = world.oracles.state(node, index, hash);
        world.judge(judged);
    }
    let request = M::applied(index, &mut news);
    world.feed(node, Input::Request(request));
    M::published(world, node, news);
    plan_sync(world, node);
    plan_apply(world, node);
}

fn switch<M: Machine>(
    world: &mut World<Replica<M>>,
    node: NodeId,
    news: &mut <M::App as App>::News,
) {
    let host = world.host_mut(node);
    let up = host.up.as_mut().expect("only the living apply");
    assert!(up.whole, "there was something to do");
    up.whole = false;
    let last = host.app.switch(news);
    if host.written.get(last.index) != Some(last.term) {
        up.replaced = Some(last.index);
        host.promised = host.promised.min(last.index);
    }
    world.count("snapshots");
    world.log(node, What::Install { index: last.index });
    world.feed(node, Input::Request(M::request(raft::Request::Installed { last })));
}

fn plan_sync<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) {
    let every = world.plan.sync_every;
    let host = world.host_mut(node);
    let Some(up) = &mut host.up else { return };
    if !up.state_syncing && host.app.applied().0 >= host.app.synced() + every {
        up.state_syncing = true;
        host.app.begin_sync();
        let took = Duration::from_micros(world.dice.between(100, 50_000));
        world.plan_job(node, took, Job::StateSynced);
    }
}

/// A sync of the state is done.
pub(super) fn synced<M: Machine>(world: &mut World<Replica<M>>, node: NodeId) {
    let host = world.host_mut(node);
    host.app.finish_sync();
    let index = host.app.synced();
    host.up.as_mut().expect("only the living sync").state_syncing = false;
    if let Some(request) = M::synced(&world.plan, index) {
        world.feed(node, Input::Request(request));
    }
}

/// The bulk thread does one thing after the other, in the order in which it was asked, also when it
/// is slow or slow no more.
pub(super) fn plan_bulk<M: Machine>(
    world: &mut World<Replica<M>>,
    node: NodeId,
    event: raft::Event,
) {
    let slowness = world.slowness(node);
    let took = Duration::from_micros(world.dice.between(50, 3_000) * slowness);
    let now = world.now;
    let Some(up) = &mut world.host_mut(node).up else { return };
    up.bulk_free = up.bulk_free.max(now) + took;
    let at = up.bulk_free;
    world.plan_job_at(node, at, Job::Bulk(event));
}

/// It is done with something.
pub(super) fn bulk<M: Machine>(world: &mut World<Replica<M>>, node: NodeId, event: raft::Event) {
    let bytes = world.plan.chunk_bytes;
    if matches!(event, raft::Event::ReadLog { .. }) {
        world.count("log reads");
    }
    let host = world.host_mut(node);
    let up = host.up.as_mut().expect("only the living read");
    let answer = match event {
        raft::Event::ReadLog { to, from, max_bytes } => {
            let reader = up.log.reader();
            let end = reader.bounds(GROUP).map_or(0, |(_, last)| last) + 1;
            // Compacted meanwhile, or damaged: an empty answer leads to a snapshot.
            let found = reader.read(GROUP, from, end, max_bytes).unwrap_or_default();
            let entry = |e: quorate_storage::Entry| Entry {
                index: e.index,
                term: e.term,
                payload: e.payload,
            };
            raft::Request::LogRead { to, entries: found.into_iter().map(entry).collect() }
        }
        raft::Event::ChunkNeeded { to, after } => {
            let piece = host.app.piece(to, &after, bytes);
            let (index, next, data, done) = (piece.index, piece.next, piece.data, piece.done);
            raft::Request::Chunk { to, index, after, next, data, done }
        }
        raft::Event::ChunksDone { .. } => return,
        raft::Event::InstallChunk { meta, after, next, data, done: _ } => {
            let last = meta.last;
            match host.app.store(&meta, &after, &next, &data) {
                Stored::UpTo(cursor) => raft::Request::ChunkStored { last, cursor },
                Stored::Stray => raft::Request::ChunkStored { last, cursor: Default::default() },
                Stored::Whole => {
                    up.whole = true;
                    return plan_apply(world, node);
                }
            }
        }
        raft::Event::Committed(_)
        | raft::Event::Status { .. }
        | raft::Event::ReadReady { .. }
        | raft::Event::ReadDropped(_)
        | raft::Event::NotLeader(_)
        | raft::Event::ChangeRefused { .. } => unreachable!("sorted elsewhere"),
    };
    world.feed(node, Input::Request(M::request(answer)));
}
