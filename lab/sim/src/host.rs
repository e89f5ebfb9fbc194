//! What surrounds a protocol on its node: disks, state machines, clients. The world asks, the host
//! answers.
//!
//! A [`World`] owns time, wires, clocks and fate, and drives [`Turn`](quorate_base::Turn)s. It knows
//! nothing of logs or states: how writes become durable, what events mean, what a crash leaves
//! and what a node finds when it comes back is its host's. There are two:
//!
//! - [`Replica`](crate::replica::Replica): Raft at heart, the shipped log on a simulated disk, a
//!   state machine as an actor of its own. Consensus alone and the whole server are both that.
//! - [`Plain`](crate::plain::Plain): any protocol, with a journal of its writes for a disk.

use crate::disk::SimDisk;
use crate::swarm::Plan;
use crate::world::World;
use quorate_base::{Dice, NodeId, Protocol, Ticket};
use std::time::Duration;

/// The message of a host's protocol.
pub type MessageOf<H> = <<H as Host>::Protocol as Protocol>::Message;
/// The write of a host's protocol.
pub type WriteOf<H> = <<H as Host>::Protocol as Protocol>::Write;
/// The event of a host's protocol.
pub type EventOf<H> = <<H as Host>::Protocol as Protocol>::Event;

/// What became of a node that was to come up.
pub enum Wake<P> {
    /// It is up.
    Up(P),
    /// It tries again.
    Later(Duration),
    /// It stays down for good: it was refused, or what it found cannot be trusted.
    Never,
}

/// See the module's essay. What lives in `self` outlives the process, except for what
/// [`Host::fall`] throws away.
pub trait Host: Sized {
    /// What it hosts.
    type Protocol: Protocol;
    /// Work that it plans for itself; that of an earlier life is lost.
    type Job;
    /// The clients, and what they know.
    type Load;
    /// Judges over the whole cluster.
    type Oracles: Default;

    /// The clients of a new world.
    fn load(plan: &Plan, dice: &mut Dice) -> Self::Load;
    /// A node that was never started.
    fn new(plan: &Plan, load: &Self::Load, dice: &mut Dice) -> Self;
    /// The node comes up.
    fn wake(world: &mut World<Self>, node: NodeId) -> Wake<Self::Protocol>;
    /// The node is up, and its protocol can be fed.
    fn woken(_world: &mut World<Self>, _node: NodeId) {}
    /// The node went down, with or without its power.
    fn fall(world: &mut World<Self>, node: NodeId, power: bool);

    /// A turn wants this written; it is looked at before anything leaves.
    fn wrote(_world: &mut World<Self>, _node: NodeId, _writes: &[(Ticket, WriteOf<Self>)]) {}
    /// A turn is over; nothing that it said has left yet.
    fn turned(_world: &mut World<Self>, _node: NodeId) {}
    /// A message is about to leave; false when nobody carries it there.
    fn sending(
        _world: &mut World<Self>,
        _from: NodeId,
        _to: NodeId,
        _message: &MessageOf<Self>,
    ) -> bool {
        true
    }
    /// A message is about to be heard; false when its sender is turned away.
    fn arriving(_world: &mut World<Self>, _from: NodeId, _to: NodeId) -> bool {
        true
    }
    /// Makes writes durable, in time.
    fn persist(world: &mut World<Self>, node: NodeId, writes: Vec<(Ticket, WriteOf<Self>)>);
    /// The protocol says something to its host.
    fn hear(world: &mut World<Self>, node: NodeId, event: EventOf<Self>);
    /// Planned work is due.
    fn job(world: &mut World<Self>, node: NodeId, job: Self::Job);

    /// A number that differs for messages that differ.
    fn digest(message: &MessageOf<Self>) -> u64;
    /// A message in a few words.
    fn describe(message: &MessageOf<Self>) -> String;

    /// Whom a strike at this node hits: another one where the node takes no part.
    fn stand_in(_world: &World<Self>, node: NodeId) -> NodeId {
        node
    }

    /// Who leads, where somebody does.
    fn leader(_world: &World<Self>) -> Option<NodeId> {
        None
    }
    /// False for a protocol in which nobody ever leads: then peace does not wait for a leader.
    fn has_leaders() -> bool {
        true
    }
    /// Asks a leader to hand over.
    fn transfer(_world: &mut World<Self>, _leader: NodeId, _to: NodeId) {}
    /// The node's disk, where it has one that can fail.
    fn disk(&self) -> Option<&SimDisk> {
        None
    }
    /// A byte at rest changes. False when that would do more than the promise allows for.
    fn rot(_world: &mut World<Self>, _node: NodeId) -> bool {
        false
    }
    /// Everything on the disk of a node that is down is gone.
    fn wipe(_world: &mut World<Self>, _node: NodeId) {}

    /// It is a client's turn.
    fn tick(world: &mut World<Self>, client: u64);
    /// All clients have what they wanted; asked in peace only.
    fn is_finished(world: &World<Self>) -> bool;
    /// Nothing moves any more, as far as a protocol is ever at rest.
    fn is_at_rest(_world: &World<Self>) -> bool {
        true
    }
    /// A last look at everything.
    fn scan(_world: &mut World<Self>) {}
    /// How much got done: committed entries, or whatever a protocol counts.
    fn progress(_world: &World<Self>) -> u64 {
        0
    }
    /// Where everybody stands: for a report.
    fn standing(_world: &World<Self>) -> String {
        String::new()
    }
}
