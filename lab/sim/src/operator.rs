//! The operator of a simulated cluster: machines are added, promoted, removed and replaced while everything
//! else goes wrong.
//!
//! Changes go the way that an operator's go: asked of some member, which lists the members as it knows them
//! and refuses what its strict checks refuse, retried elsewhere with the same operation id, given up without
//! knowing what became of it. An id is used once: a machine whose disk is lost, or that was removed, never
//! comes back, and another one takes its place; now and then the operator tries all the same, and must be
//! refused. It is hard on the cluster and not stupid: it takes a disk away only when the cluster can bear
//! that, and then changes nothing else until that member is out.
//!
//! More often than not a new machine gets the address of one that was removed. It takes care that nobody else begins
//! with an empty directory there: a machine that does not know yet who it is, or has lost that, is switched off before
//! another one gets its address. One that knows is left to run, or to come back, and must be refused; in peace
//! it is switched off.

use crate::client::server;
use crate::host::Host;
use crate::replica::Replica;
use crate::replica::machine::Machine;
use crate::server::members::{self, greet, is_settled, listed, name, row};
use crate::server::newcomers;
use crate::server::places::{Places, place, url, urls};
use crate::server::{PATIENCE, ServerWorld, ask, number};
use bytes::Bytes;
use quorate_base::{Instant, NodeId};
use quorate_node::learning::Listing;
use quorate_node::strict::{self, Seen, Unsafe};
use quorate_node::{Node, Request};
use quorate_store::{Action, Caller, Command, Member, MemberAction, MemberChange, OpId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most members at a time.
const MOST: usize = 6;
/// Learners at a time.
const MAX_LEARNERS: u64 = 2;
/// Mean time between two looks of the operator, in milliseconds.
const PAUSE_MS: u64 = 300;
/// Without an answer for so long it asks elsewhere.
const IMPATIENCE: Duration = Duration::from_millis(2_000);

/// A change that was asked for and has no answer yet.
#[derive(Clone, Debug)]
struct Asked {
    id: OpId,
    payload: Bytes,
    at: NodeId,
    since: Instant,
}

/// See the module's essay.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    next: Instant,
    seq: u64,
    waiting: Option<Asked>,
    /// Machines that were started after the first ones, and whom each was told of.
    told: BTreeMap<NodeId, Vec<NodeId>>,
    /// Whose disk is lost and who is not out yet.
    lost: Option<NodeId>,
    /// Who heard that it was removed.
    farewells: BTreeSet<NodeId>,
    /// Who is reached where.
    pub places: Places,
    /// Lists that newcomers keep on their disks, by number.
    listings: Vec<Listing>,
}

impl Operator {
    /// Whom a machine was told of when it was started, if it was.
    pub fn told(&self, node: NodeId) -> Option<&[NodeId]> {
        self.told.get(&node).map(Vec::as_slice)
    }

    /// A list, under the number that stands for it on a disk.
    pub fn shelve(&mut self, listing: Listing) -> u64 {
        self.listings.push(listing);
        self.listings.len() as u64 - 1
    }

    /// The list with this number.
    pub fn listing(&self, number: u64) -> &Listing {
        &self.listings[number as usize]
    }

    /// A member heard that it was removed.
    pub fn say_farewell(&mut self, node: NodeId) {
        self.farewells.insert(node);
    }

    /// Whether a member heard that it was removed.
    pub fn said_farewell(&self, node: NodeId) -> bool {
        self.farewells.contains(&node)
    }
}

/// True when nothing is left to do for the operator.
pub fn is_done(world: &ServerWorld) -> bool {
    let operator = &world.load.operator;
    let idle = operator.waiting.is_none() && operator.lost.is_none();
    !world.plan.changes || idle && is_settled(world) && members::all_removed_know(world)
}

/// The operator looks at the cluster now and then.
pub fn tick(world: &mut ServerWorld) {
    if !world.plan.changes || world.now < world.load.operator.next {
        return;
    }
    let pause = Duration::from_millis(1 + world.dice.below(2 * PAUSE_MS));
    world.load.operator.next = world.now + pause;
    start_machines(world);
    publish(world);
    let some = NodeId(1 + world.dice.below(world.plan.nodes));
    greet(world, some);
    if world.peace.is_some() {
        switch_off(world);
    }
    let lost = world.load.operator.lost;
    if lost.is_some_and(|node| world.load.history.members().removed().contains(&node.0)) {
        world.count("lost members replaced");
        world.load.operator.lost = None;
    }
    match world.load.operator.waiting.clone() {
        Some(asked) => wait(world, asked),
        None if world.peace.is_some() => finish(world),
        None => choose(world),
    }
}

/// Every machine that was added is started, and started again with the members that there are by then if
/// it could not find out who it is: those of the table, and those who were removed and are still waited for. (Nobody
/// else may know who they are, when all who are left are new.)
fn start_machines(world: &mut ServerWorld) {
    let there: Vec<NodeId> = world.load.history.members().ids().into_iter().map(NodeId).collect();
    let removed = world.load.history.members().removed().iter().map(|id| NodeId(*id));
    let leaving: Vec<NodeId> = removed.filter(|old| !is_out(world, *old)).collect();
    let founders = world.plan.founders;
    for node in there.iter().copied().filter(|node| node.0 > founders) {
        let others = there.iter().chain(&leaving).copied().filter(|other| *other != node).collect();
        if world.load.operator.told.insert(node, others).is_some() {
            continue;
        }
        world.note(Some(node), "the operator starts this machine");
        let row = world.load.history.members().get(node.0).expect("it belongs");
        let at = place(&row.peer_urls).expect("an address of this world");
        world.load.operator.places.assign(node, at);
        if at != node.0 {
            world.count("addresses used again");
        }
    }
}

/// A member that finds itself in the table without a name publishes it, as the product's server does.
fn publish(world: &mut ServerWorld) {
    for node in world.nodes().collect::<Vec<_>>() {
        let table = world.host(node).app.view.members().clone();
        let unnamed = table.get(node.0).is_some_and(|me| me.name.is_empty());
        if unnamed && world.is_up(node) && world.dice.below(4) == 0 {
            let change =
                MemberChange::Publish { id: node.0, name: name(node), client_urls: Vec::new() };
            let (initial, max_learners) = (Vec::new(), 0);
            let action = Action::Member(MemberAction { change, initial, max_learners });
            let command = Command::new(OpId::default(), action);
            let payload = world.load.commands.encode(command, 0);
            world.feed(node, ask(Request::Propose { seq: 0, payload }));
        }
    }
}

/// A change is under way: has it an answer, and if not, how much longer?
fn wait(world: &mut ServerWorld, asked: Asked) {
    if world.load.history.done(asked.id).is_some() {
        world.load.operator.waiting = None;
    } else if world.now.since(asked.since) > IMPATIENCE {
        if world.peace.is_none() && world.dice.below(4) == 0 {
            world.count("changes given up");
            world.load.operator.waiting = None;
            let seq = number(asked.id);
            return world.feed(asked.at, ask(Request::Forget { seq }));
        }
        if let Some(at) = server(world) {
            submit(world, at, asked.id, asked.payload);
        }
    }
}

/// In peace the operator only brings to an end what is begun.
fn finish(world: &mut ServerWorld) {
    let wanted = world.load.history.members().clone();
    let learner = wanted.ids().into_iter().find(|id| !wanted.voters().contains(id));
    let change = match (world.load.operator.lost, learner) {
        (Some(node), _) => MemberChange::Remove { id: node.0 },
        (None, Some(id)) if !world.plan.promotes => MemberChange::Promote { id },
        (None, _) => return,
    };
    if let Some(at) = server(world) {
        request(world, at, change);
    }
}

/// What would an operator do next?
fn choose(world: &mut ServerWorld) {
    let Some(at) = server(world) else { return };
    let seen = listed(world, at);
    let wanted = world.load.history.members().clone();
    let voters =
        if wanted.ids().is_empty() { (1..=world.plan.founders).collect() } else { wanted.voters() };
    let many = wanted.ids().len().max(voters.len());
    let lost = world.load.operator.lost;
    let fresh = (world.plan.founders + 1..=world.plan.nodes)
        .find(|id| !wanted.ids().contains(id) && !wanted.removed().contains(id));
    let pick = world.dice.below(12);
    let change = match (lost, fresh) {
        (Some(node), None) => MemberChange::Remove { id: node.0 },
        (Some(node), Some(_)) if pick < 8 => MemberChange::Remove { id: node.0 },
        (Some(_), Some(id)) => add(world, NodeId(id), true),
        (None, Some(id)) if pick < 5 && many < MOST => {
            let learner = world.dice.below(4) > 0;
            add(world, NodeId(id), learner)
        }
        (None, _) if pick < 8 && voters.len() > 1 => match leaver(world, &seen) {
            Some(id) => MemberChange::Remove { id },
            None => return,
        },
        (None, _) if pick == 8 => match seen.iter().find(|member| member.learner) {
            Some(member) => MemberChange::Promote { id: member.id },
            None => return,
        },
        (None, _) if pick == 9 => match wanted.removed().first() {
            Some(id) => MemberChange::Add(row(NodeId(*id), false, urls(world, NodeId(*id)).into())),
            None => return,
        },
        (None, _) => return lose_a_disk(world),
    };
    request(world, at, change);
}

/// A new machine, at an address of its own or at that of one that was removed.
fn add(world: &mut ServerWorld, node: NodeId, learner: bool) -> MemberChange {
    let members = world.load.history.members();
    let used: BTreeSet<u64> =
        members.ids().iter().filter_map(|id| place(&members.get(*id)?.peer_urls)).collect();
    let places = &world.load.operator.places;
    let left = members.removed().iter().map(|id| places.of(NodeId(*id)));
    let is_free = |at: &u64| {
        !used.contains(at) && sharers(world, *at).into_iter().all(|old| is_out(world, old))
    };
    let free: Vec<u64> = left.filter(is_free).collect();
    let pick = world.dice.below(2 * free.len() as u64 + 1) as usize;
    let at = free.get(pick / 2).copied().unwrap_or(node.0);
    for old in sharers(world, at) {
        if newcomers::is_blank(world, old) && old != node {
            world.count("machines switched off");
            world.retire(old);
        }
    }
    MemberChange::Add(row(node, learner, vec![url(at)]))
}

/// True when the removal of a machine has been answered: nobody waits for it any more.
fn is_out(world: &ServerWorld, old: NodeId) -> bool {
    let leader = <Replica<Node> as Host>::leader(world);
    let raft = leader.and_then(|node| world.protocol(node)).map(Machine::raft);
    raft.is_some_and(|raft| {
        !raft.membership().contains(old) && !raft.committed_membership().contains(old)
    })
}

/// Removed machines with this address.
fn sharers(world: &ServerWorld, at: u64) -> Vec<NodeId> {
    let removed = world.load.history.members().removed().iter().map(|id| NodeId(*id));
    removed.filter(|old| world.load.operator.places.of(*old) == at).collect()
}

/// In peace nobody is left to run at an address that was given to another machine.
fn switch_off(world: &mut ServerWorld) {
    for id in world.load.history.members().ids() {
        let at = world.load.operator.places.of(NodeId(id));
        for old in sharers(world, at) {
            if !world.member(old).gone {
                world.crash(old, false, "it is switched off: another machine has its address");
                world.retire(old);
            }
        }
    }
}

/// Who is to go: the leader as often as any. Somebody who was started, and so knows the cluster, must be
/// left to vote: else newcomers could ask nobody who they are.
fn leaver(world: &mut ServerWorld, seen: &[Member]) -> Option<u64> {
    let leader = <Replica<Node> as Host>::leader(world).filter(|_| world.dice.below(3) == 0);
    let any = seen.get(world.dice.below(seen.len().max(1) as u64) as usize);
    let leader = leader.map(|node| node.0).filter(|id| seen.iter().any(|one| one.id == *id));
    let id = leader.or(any.map(|member| member.id))?;
    let stays = |one: &Member| one.id != id && !one.learner && !one.name.is_empty();
    seen.iter().any(stays).then_some(id)
}

/// What the product's server looks at before it takes a change.
fn refused(world: &mut ServerWorld, at: NodeId, change: &MemberChange) -> Result<(), Unsafe> {
    if !world.plan.strict {
        return Ok(());
    }
    let mut seen = Vec::new();
    for member in listed(world, at) {
        let node = NodeId(member.id);
        let near = node == at || world.is_joined(at, node) && world.is_joined(node, at);
        seen.push(Seen::of(&member, near && world.is_up(node) && !world.stands_still(node)));
    }
    match change {
        MemberChange::Add(member) if !member.learner => strict::may_add(&seen),
        MemberChange::Remove { id } => strict::may_remove(&seen, *id),
        MemberChange::Promote { .. } => strict::may_promote(&seen),
        MemberChange::Add(_) | MemberChange::Update { .. } | MemberChange::Publish { .. } => Ok(()),
    }
}

fn request(world: &mut ServerWorld, at: NodeId, change: MemberChange) {
    if refused(world, at, &change).is_err() && world.peace.is_none() {
        return world.count("changes refused as unsafe");
    }
    world.count(match change {
        MemberChange::Add(_) => "members added",
        MemberChange::Remove { .. } => "members removed",
        MemberChange::Promote { .. } => "members promoted by hand",
        MemberChange::Update { .. } | MemberChange::Publish { .. } => "members updated",
    });
    world.note(Some(at), &format!("the operator asks for {change:?}"));
    let initial = listed(world, at);
    world.load.operator.seq += 1;
    let (origin, seq) = (world.plan.clients + 1, world.load.operator.seq);
    let id = OpId { origin, seq, floor: seq };
    let action = Action::Member(MemberAction { change, initial, max_learners: MAX_LEARNERS });
    let command = Command { id, caller: Caller::default(), action };
    let payload = world.load.commands.encode(command, 0);
    submit(world, at, id, payload);
}

fn submit(world: &mut ServerWorld, at: NodeId, id: OpId, payload: Bytes) {
    let since = world.now;
    world.load.operator.waiting = Some(Asked { id, payload: payload.clone(), at, since });
    let seq = number(id);
    world.load.forget_later(since + PATIENCE, at, seq);
    world.feed(at, ask(Request::Propose { seq, payload }));
}

/// Takes the disk of a voter away, where the cluster can bear it: all changes are agreed upon, nothing that was
/// given up can still happen, and a majority is left without that member.
fn lose_a_disk(world: &mut ServerWorld) {
    let operator = &world.load.operator;
    let id = OpId { origin: world.plan.clients + 1, seq: operator.seq, floor: operator.seq };
    let decided = operator.seq == 0 || world.load.history.done(id).is_some();
    let leader = <Replica<Node> as Host>::leader(world);
    let config = leader.and_then(|node| Some(world.protocol(node)?.raft().membership().clone()));
    let Some(config) = config.filter(|_| world.plan.losses && decided && is_settled(world)) else {
        return;
    };
    if config.voters.len() < 3 {
        return;
    }
    let pick = world.dice.below(config.voters.len() as u64) as usize;
    let node = config.voters.iter().nth(pick).copied().expect("fewer than there are");
    // Who founded its cluster alone has nobody to ask: with an empty disk and its first flags it would begin
    // another one, as an etcd would. No rule of the product can help it; its peers refuse to know it.
    let founded_alone = world.plan.founders == 1 && node.0 == 1;
    if world.member(node).gone || founded_alone {
        return;
    }
    world.count("disks lost");
    world.member_mut(node).damaged = true;
    world.load.operator.lost = Some(node);
    world.crash(node, true, "its disk is lost");
    <Replica<Node> as Host>::wipe(world, node);
    world.note(Some(node), "its disk is lost: the operator replaces it");
}
