//! Any protocol in a world: what it writes goes to a journal, and nothing else surrounds it.
//!
//! Gossip, counters that merge, broadcasts, agreement among liars: a [`Subject`] says how it wakes
//! up from its journal, what its clients ask, and what must hold. The world does the rest: wires of
//! any [topology](crate::topology), latencies, a [system](crate::network::System) with or without a
//! bound on them, crashes with and without the power, pauses, clocks. Nodes are active, faulty or
//! recovering ([`Standing`]); liars are made by wrapping a protocol in
//! [`Liar`](crate::byzantine::Liar).
//!
//! The journal is a disk without its troubles: a sync takes a while, and a power failure keeps
//! everything that was synced and any prefix of the rest.

use crate::host::{EventOf, Host, MessageOf, Wake, WriteOf};
use crate::oracles::Violation;
use crate::swarm::Plan;
use crate::trace::Mixer;
use crate::world::World;
use quorate_base::{Dice, Input, Instant, NodeId, Protocol, Ticket};
use std::hash::Hasher;
use std::time::Duration;

/// A world of one protocol.
pub type PlainWorld<P> = World<Plain<P>>;

/// What a node finds when it wakes up.
pub struct Waking<'a, P: Protocol> {
    /// Its name.
    pub node: NodeId,
    /// How many there are.
    pub nodes: u64,
    /// Everything that was durable, oldest first.
    pub journal: &'a [P::Write],
    /// Dice of its own.
    pub dice: Dice,
    /// What its clock shows.
    pub now: Instant,
}

/// A protocol that can be a subject of experiments.
pub trait Subject: Protocol + Sized {
    /// The clients and what they know; also where a subject keeps what its judges need.
    type Load;

    /// The clients of a new world.
    fn load(plan: &Plan, dice: &mut Dice) -> Self::Load;
    /// A node comes up.
    fn wake(plan: &Plan, waking: Waking<'_, Self>) -> Self;
    /// It said something to its host.
    fn heard(world: &mut PlainWorld<Self>, node: NodeId, event: Self::Event);
    /// It is a client's turn; it plans its own next one.
    fn tick(world: &mut PlainWorld<Self>, client: u64);
    /// What must hold after each turn of a node.
    fn judge(world: &PlainWorld<Self>, node: NodeId) -> Result<(), Violation>;
    /// In peace: true when everything is as it should be in the end.
    fn is_finished(world: &PlainWorld<Self>) -> bool;
}

/// What a node does right now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It takes part.
    Active,
    /// It is down, or stands still.
    Faulty,
    /// It is up again and has not yet been through a whole election timeout of its life.
    Recovering,
}

/// What surrounds it: a journal.
pub struct Plain<P: Protocol> {
    journal: Vec<P::Write>,
    /// So many of the journal survive a power failure.
    durable: usize,
    /// The newest ticket in the journal, and up to which one a sync is under way.
    written: Ticket,
    syncing: Option<(Ticket, usize)>,
    woke: Instant,
}

/// The journal's sync is done.
pub struct Synced;

/// How long a sync takes at most.
const SYNC_US: u64 = 2_000;
/// For so long a node that woke up counts as recovering.
const RECOVERS_WITHIN: Duration = Duration::from_secs(1);

impl<P: Protocol> Plain<P> {
    /// What would be there after a power failure right now.
    pub fn durable(&self) -> &[P::Write] {
        &self.journal[..self.durable]
    }
}

impl<P: Subject> World<Plain<P>> {
    /// What a node does right now.
    pub fn standing(&self, node: NodeId) -> Standing {
        if !self.is_up(node) || self.stands_still(node) {
            Standing::Faulty
        } else if self.now.since(self.host(node).woke) < RECOVERS_WITHIN {
            Standing::Recovering
        } else {
            Standing::Active
        }
    }
}

fn sync<P: Subject>(world: &mut PlainWorld<P>, node: NodeId) {
    let took = Duration::from_micros(1 + world.dice.below(SYNC_US));
    let host = world.host_mut(node);
    if host.syncing.is_none() && host.durable < host.journal.len() {
        host.syncing = Some((host.written, host.journal.len()));
        world.plan_job(node, took, Synced);
    }
}

impl<P: Subject> Host for Plain<P> {
    type Protocol = P;
    type Job = Synced;
    type Load = P::Load;
    type Oracles = ();

    fn load(plan: &Plan, dice: &mut Dice) -> P::Load {
        P::load(plan, dice)
    }

    fn new(_plan: &Plan, _load: &P::Load, _dice: &mut Dice) -> Plain<P> {
        Plain {
            journal: Vec::new(),
            durable: 0,
            written: Ticket(0),
            syncing: None,
            woke: Instant(0),
        }
    }

    fn wake(world: &mut World<Self>, node: NodeId) -> Wake<P> {
        let dice = world.dice.fork(node.0);
        let now = world.member(node).clock.show(world.now);
        world.host_mut(node).woke = world.now;
        let journal = &world.host(node).journal;
        let waking = Waking { node, nodes: world.plan.nodes, journal, dice, now };
        Wake::Up(P::wake(&world.plan, waking))
    }

    fn fall(world: &mut World<Self>, node: NodeId, power: bool) {
        let unsynced = world.host(node).journal.len() - world.host(node).durable;
        let kept = if power { world.dice.below(unsynced as u64 + 1) as usize } else { unsynced };
        let host = world.host_mut(node);
        host.journal.truncate(host.durable + kept);
        // Whoever comes up reads it all and counts on it: recovery syncs what it found.
        host.durable = host.journal.len();
        (host.written, host.syncing) = (Ticket(0), None);
    }

    fn turned(world: &mut World<Self>, node: NodeId) {
        let verdict = P::judge(world, node);
        world.judge(verdict);
    }

    fn persist(world: &mut World<Self>, node: NodeId, writes: Vec<(Ticket, WriteOf<Self>)>) {
        let host = world.host_mut(node);
        for (ticket, write) in writes {
            host.written = ticket;
            host.journal.push(write);
        }
        sync(world, node);
    }

    fn hear(world: &mut World<Self>, node: NodeId, event: EventOf<Self>) {
        P::heard(world, node, event);
    }

    fn job(world: &mut World<Self>, node: NodeId, Synced: Synced) {
        let host = world.host_mut(node);
        let (ticket, length) = host.syncing.take().expect("a sync is under way");
        host.durable = length;
        world.feed(node, Input::Durable(ticket));
        sync(world, node);
    }

    fn digest(message: &MessageOf<Self>) -> u64 {
        let mut mixer = Mixer::default();
        mixer.write(format!("{message:?}").as_bytes());
        mixer.finish()
    }

    fn describe(message: &MessageOf<Self>) -> String {
        format!("{message:?}")
    }

    fn has_leaders() -> bool {
        false
    }

    fn tick(world: &mut World<Self>, client: u64) {
        P::tick(world, client);
    }

    fn is_finished(world: &World<Self>) -> bool {
        P::is_finished(world)
    }
}
