//! Members that come and go, at the simulator's wires: the product's rules, asked where its host asks.
//!
//! | in the product | here |
//! |---|---|
//! | the sockets dial the contacts of [`Roster`] | a message to anybody else is not carried |
//! | whoever connects stands at [`Roster::open`] | so does every message that arrives |
//! | a member that hears that it was removed ends | it crashes, and its supervisor starts it again |
//! | a directory says who its member is ([`newcomer`]) | its state does, at every start |
//! | a newcomer asks the members that it was told of | the same: [`newcomers`](super::newcomers) |
//! | an address leads to whoever listens there | the same: [`places`](super::places) |
//!
//! Removed members are not helped: they go on until somebody tells them.

use super::newcomers::{self, Asking};
use super::places::{self, holder, place, urls};
use crate::host::Wake;
use crate::oracles::expect;
use crate::replica::machine::{App, Machine};
use crate::replica::{Job, Replica};
use crate::server::{ServerWorld, ask};
use quorate_base::NodeId;
use quorate_node::newcomer::{Standing, standing};
use quorate_node::{Door, FAREWELL, Node, Request, Roster, Visitor, seats};
use quorate_raft::Membership;
use quorate_store::{Member, Members};
use std::sync::Arc;

/// What the product's threads keep of members while the process lives.
#[derive(Default)]
pub struct Side {
    roster: Option<Roster>,
    /// The table that the core was told last.
    told: Option<Arc<Members>>,
    /// It knows that it was removed, and ends soon.
    ends: bool,
    /// What it does to learn who it is.
    pub(super) asking: Asking,
}

/// The number of the job that ends a member that knows that it was removed.
pub(super) const END: u64 = u64::MAX;

/// The row of a machine that listens at these addresses.
pub fn row(node: NodeId, learner: bool, peer_urls: Vec<String>) -> Member {
    let (name, client_urls) = (String::new(), Vec::new());
    Member { id: node.0, name, peer_urls, client_urls, learner }
}

/// The name under which a member publishes itself.
pub fn name(node: NodeId) -> String {
    format!("m{}", node.0)
}

/// The members that the cluster begins with.
fn founders(world: &ServerWorld) -> Vec<Member> {
    let founder = |id| row(NodeId(id), false, vec![places::url(id)]);
    let named = |id| Member { name: name(NodeId(id)), ..founder(id) };
    (1..=world.plan.founders).map(named).collect()
}

/// All members, as this one would list them.
pub fn listed(world: &ServerWorld, node: NodeId) -> Vec<Member> {
    let table = world.host(node).app.view.members();
    if !table.is_empty() {
        return table.present().cloned().collect();
    }
    let roster = world.host(node).side.roster.as_ref();
    roster.map(|roster| roster.first().to_vec()).unwrap_or_default()
}

/// A member comes up, or must not.
pub(super) fn come_up(world: &mut ServerWorld, node: NodeId) -> Result<Membership, Wake<Node>> {
    let app = &world.host(node).app;
    let (table, config) = (app.view.members().clone(), app.config());
    let first = || (1..=world.plan.founders).map(NodeId);
    let (members, voters) = match standing(node.0, &table, config.as_ref()) {
        Standing::Removed => {
            world.count("removed members kept down");
            world.note(Some(node), "its own state says that it was removed");
            world.load.operator.say_farewell(node);
            return Err(Wake::Never);
        }
        Standing::Member { members, founders, .. } => (members, founders),
        Standing::Untold if node.0 <= world.plan.founders => {
            (founders(world), Membership::of(first()))
        }
        Standing::Untold => (newcomers::learn(world, node)?.members, Membership::default()),
    };
    let side = &mut world.host_mut(node).side;
    if side.roster.replace(Roster::new(node, members, table)).is_none() {
        places::take(world, node);
    }
    Ok(voters)
}

/// The member is up: what its host's threads say first.
pub(super) fn started(world: &mut ServerWorld, node: NodeId) {
    let app = &world.host(node).app;
    let agreed = app.config().is_some_and(|config| !config.contains(node));
    let out = agreed && app.view.members().is_removed(node.0);
    let verdict = expect(!out, "removed-stay-out", || {
        format!("{node} comes up though its own state says that it was removed")
    });
    world.judge(verdict);
    tell(world, node);
}

/// The core hears of every new table.
pub(super) fn tell(world: &mut ServerWorld, node: NodeId) {
    let host = world.host_mut(node);
    let table = host.app.view.members().clone();
    let told = host.side.told.replace(table.clone());
    if told.is_some_and(|told| Arc::ptr_eq(&told, &table)) {
        return;
    }
    if let Some(seats) = seats(&table) {
        world.feed(node, ask(Request::Members(seats)));
    }
}

/// After a turn the sockets follow the table and consensus, and a member that was removed ends.
pub(super) fn follow(world: &mut ServerWorld, node: NodeId) {
    let (members, _) = world.split_mut();
    let member = &mut members[node.0 as usize - 1];
    let Some(turn) = &member.turn else { return };
    let raft = turn.protocol().raft();
    let Replica { app, side, .. } = &mut member.host;
    let Some(roster) = &mut side.roster else { return };
    roster.follow(app.view.members(), raft);
    if raft.is_removed() && !side.ends {
        side.ends = true;
        world.plan_job(node, FAREWELL, Job::Own(END));
    }
}

/// A member that knows that it was removed ends, whoever told it.
pub(super) fn end(world: &mut ServerWorld, node: NodeId) {
    world.load.operator.say_farewell(node);
    if world.is_up(node) {
        world.count("removed members ended");
        world.crash(node, false, "it was removed");
    }
}

/// Whether there is a connection from one member to another: the one that it dials is the one that it reaches.
pub(super) fn speaks_to(world: &ServerWorld, from: NodeId, to: NodeId) -> bool {
    let roster = world.host(from).side.roster.as_ref();
    let Some(contact) = roster.and_then(|roster| roster.contacts().get(&to)) else { return false };
    let place = place(&contact.peer_urls).filter(|_| world.plan.changes);
    place.and_then(|place| holder(world, place)).is_none_or(|other| other == to)
}

/// Whether a member lets another one in; one that was removed is told.
pub(super) fn hears(world: &mut ServerWorld, node: NodeId, from: NodeId) -> bool {
    visit(world, node, from, node)
}

/// Whether a member lets in somebody who looks for `to` at its address.
fn visit(world: &mut ServerWorld, node: NodeId, from: NodeId, to: NodeId) -> bool {
    let (name, peer_urls) = (&name(from), &urls(world, from));
    let visitor = Visitor { from, to, name, peer_urls };
    let Some(roster) = &mut world.host_mut(node).side.roster else { return false };
    match roster.open(visitor) {
        Door::Open => true,
        Door::Mistaken => {
            world.count("strangers refused");
            false
        }
        Door::Removed => {
            world.count("removed members refused");
            if world.is_joined(node, from) {
                end(world, from);
            }
            false
        }
    }
}

/// A member dials its contacts again: one that was removed hears it now, though it has nothing to say.
pub fn greet(world: &mut ServerWorld, node: NodeId) {
    for (to, place) in contacts(world, node) {
        let Some(other) = holder(world, place) else { continue };
        let reached = world.is_up(node)
            && world.is_up(other)
            && !world.stands_still(other)
            && !world.stands_still(node)
            && world.is_joined(node, other);
        if reached && other != node {
            visit(world, other, node, to);
        }
    }
}

/// Everybody whom a member dials, and where.
fn contacts(world: &ServerWorld, node: NodeId) -> Vec<(NodeId, u64)> {
    let Some(roster) = &world.host(node).side.roster else { return Vec::new() };
    let contacts = roster.contacts().iter();
    contacts.filter_map(|(id, contact)| Some((*id, place(&contact.peer_urls)?))).collect()
}

/// Those of them who vote.
pub(super) fn electors(world: &ServerWorld, node: NodeId) -> Vec<NodeId> {
    let roster = world.host(node).side.roster.as_ref();
    roster.map(|roster| roster.electors().into_iter().collect()).unwrap_or_default()
}

/// One that runs, or that listens while it asks the others whether it may.
pub(super) fn answers(world: &ServerWorld, node: NodeId) -> bool {
    world.is_up(node) || !world.member(node).gone && world.host(node).side.roster.is_some()
}

/// Whether the log says that a machine is a member.
pub(super) fn belongs(world: &ServerWorld, node: NodeId) -> bool {
    let present = world.load.history.members().ids();
    if present.is_empty() { node.0 <= world.plan.founders } else { present.contains(&node.0) }
}

/// Whether all is as the table says, in the configuration that the leader knows agreed upon.
pub fn is_settled(world: &ServerWorld) -> bool {
    use crate::host::Host;
    let Some(leader) = <Replica<Node> as Host>::leader(world) else { return false };
    let Some(node) = world.protocol(leader) else { return false };
    let raft = node.raft();
    let wanted = world.load.history.members();
    let mut voters: Vec<NodeId> = wanted.voters().into_iter().map(NodeId).collect();
    if wanted.ids().is_empty() {
        voters = (1..=world.plan.founders).map(NodeId).collect();
    }
    let config = Membership::of(voters);
    let own = raft.term_at(raft.commit()) == Some(raft.term());
    own && *raft.membership() == config && *raft.committed_membership() == config
}

/// In peace every removed member that can reach one that belongs hears that it was removed.
pub fn all_removed_know(world: &ServerWorld) -> bool {
    world.load.history.members().removed().iter().all(|id| {
        let node = NodeId(*id);
        let there = |other: &NodeId| belongs(world, *other) && world.is_up(*other);
        let reaches = contacts(world, node).iter().any(|(other, _)| there(other));
        !world.is_up(node) || !reaches || world.load.operator.said_farewell(node)
    })
}

/// Somebody to strike: a machine that was never started, or whose time is over, is no target.
pub(super) fn stand_in(world: &ServerWorld, node: NodeId) -> NodeId {
    if !world.plan.changes || belongs(world, node) {
        return node;
    }
    let there: Vec<NodeId> = world.nodes().filter(|node| belongs(world, *node)).collect();
    there.get(node.0 as usize % there.len().max(1)).copied().unwrap_or(node)
}

/// The product's rule for who serves clients: a member that votes. Serializable reads are for everybody.
pub fn serves(world: &ServerWorld, node: NodeId) -> bool {
    world.protocol(node).is_some_and(|machine| machine.raft().membership().is_voter(node))
}
