//! What clients read, of now and of the past, and what it must agree with.

use super::{KEYS, Server, Waiting, call, finish, key, told};
use crate::oracles::expect;
use crate::replica::machine::App;
use crate::server::ask;
use crate::swarm::Sabotage;
use quorate_base::NodeId;
use quorate_node::Request;
use quorate_store::{KeyRange, Range};

pub(super) fn begin_read(world: &mut Server, at: usize, member: NodeId) {
    let range = some_range(world);
    let token = world.load.token();
    let (floor, since) = (world.load.acknowledged, world.now);
    let index = (world.plan.sabotage == Sabotage::SkipReadIndex).then_some(0);
    world.load.clients[at].operation = token;
    call(world, at, member, || format!("read {range:?}"));
    if range.end.is_empty() {
        world.load.journal.read(at, world.now, &range.key);
    }
    world.load.clients[at].waiting =
        Waiting::Read { token, at: member, floor, range, index, since };
    if index.is_some() {
        return answer_read(world, at);
    }
    world.feed(member, ask(Request::Read { token }));
}

fn some_range(world: &mut Server) -> KeyRange {
    match world.dice.below(4) {
        0 => KeyRange::prefix("k"),
        _ => KeyRange::single(key(world.dice.below(KEYS))),
    }
}

/// A read that asks nobody, now or of the past: it may be old, but it must have been true.
pub(super) fn read_stale(world: &mut Server, at: usize, member: NodeId) {
    let range = some_range(world);
    let view = world.host(member).app.view.clone();
    let oldest = view.compacted().max(1);
    let past = world.dice.between(oldest as u64, view.revision() as u64) as i64;
    let revision = if world.dice.below(2) == 0 { 0 } else { past };
    let found = view.range(&Range { range: range.clone(), revision, ..Range::default() });
    let found = found.expect("neither compacted nor in the future");
    let at_revision = if revision == 0 { view.revision() } else { revision };
    let verdict = world.load.history.read(member, &range, at_revision, &found.kvs);
    world.judge(verdict);
    world.count("answers");
    world.load.clients[at].done_in_peace += u32::from(world.peace.is_some());
}

/// The read index of some reads is known.
pub fn admitted(world: &mut Server, node: NodeId, tokens: &[u64], index: u64) {
    for at in 0..world.load.clients.len() {
        if let Waiting::Read { token, index: slot, .. } = &mut world.load.clients[at].waiting
            && tokens.contains(token)
        {
            *slot = Some(index);
            if world.host(node).app.applied().0 >= index {
                answer_read(world, at);
            }
        }
    }
}

pub(super) fn answer_read(world: &mut Server, at: usize) {
    let client = world.load.clients[at].clone();
    let Waiting::Read { at: member, floor, range, .. } = client.waiting else { return };
    let view = world.host(member).app.view.clone();
    let ask = Range { range: range.clone(), ..Range::default() };
    let found = view.range(&ask).expect("the newest revision is always there");
    let revision = view.revision();
    let verdict = expect(revision >= floor, "acknowledged-writes-are-seen", || {
        format!("{member} reads at {revision}, {floor} was acknowledged before")
    });
    let verdict = verdict.and(world.load.history.read(member, &range, revision, &found.kvs));
    world.judge(verdict);
    if range.end.is_empty() {
        world.load.journal.found(at, world.now, revision, found.kvs.first());
    }
    told(world, at, revision);
    finish(world, at, member);
}
