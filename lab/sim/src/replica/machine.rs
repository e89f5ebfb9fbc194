//! What a world must know of the machines that run in it.
//!
//! A [`Machine`] is a protocol with Raft at its heart: Raft itself, or the router that a server
//! runs. An [`App`] is its state machine: an actor of its own, which applies committed entries when
//! it gets to it and loses, at a crash, what it has not synced.

use super::Replica;
use crate::host::Wake;
use crate::swarm::Plan;
use crate::world::World;
use bytes::Bytes;
use quorate_base::{Dice, Instant, NodeId, Protocol};
use quorate_raft::{self as raft, Entry, LogId, Membership, Raft, SnapshotMeta};

/// A piece of state on its way to a peer.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The applied index of the pinned state.
    pub index: u64,
    /// Where the next piece begins.
    pub next: Bytes,
    /// The bytes.
    pub data: Bytes,
    /// True for the last one.
    pub done: bool,
}

/// What became of a piece that arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    /// It is stored; more is to come.
    UpTo(Bytes),
    /// It belongs to a stream whose beginning was not seen.
    Stray,
    /// It was the last: the state is whole and durable, and waits for [`App::switch`].
    Whole,
}

/// A state machine.
pub trait App: Sized {
    /// What a batch leaves for the machine and its clients.
    type News: Default;

    /// Index and term of the last entry applied.
    fn applied(&self) -> (u64, u64);
    /// The newest configuration that was applied; `None` before any change.
    fn config(&self) -> Option<Membership>;
    /// Applies the next entry.
    fn apply(&mut self, entry: &Entry, news: &mut Self::News);
    /// Applies the next entry wrongly, as a bug in one member's apply would; by default it has none.
    fn misapply(&mut self, entry: &Entry, news: &mut Self::News) {
        self.apply(entry, news);
    }
    /// Ends a batch: what was applied is visible, all of it or nothing.
    fn publish(&mut self, news: &mut Self::News);
    /// Everything published so far is to become durable; it is when [`App::finish_sync`] is called.
    fn begin_sync(&mut self);
    /// The sync under way is done.
    fn finish_sync(&mut self);
    /// A crash now leaves this index or a later one.
    fn synced(&self) -> u64;
    /// The state after a crash.
    fn crash(self, dice: &mut Dice) -> Self;
    /// The piece that follows `after`, of a state pinned for `to` (empty: pin anew).
    fn piece(&mut self, to: NodeId, after: &Bytes, bytes: usize) -> Piece;
    /// Takes a piece of the state that will replace this one.
    fn store(&mut self, meta: &SnapshotMeta, after: &Bytes, next: &Bytes, data: &Bytes) -> Stored;
    /// Switches to the whole state, durably.
    fn switch(&mut self, news: &mut Self::News) -> LogId;
    /// A fingerprint of the published state: equal on all members at the same applied index.
    fn hash(&self) -> u64;
    /// The fingerprints of all indices since the last call, if it keeps any: what members of the
    /// product compare.
    fn fingerprints(&mut self) -> Vec<(u64, u64)> {
        Vec::new()
    }
    /// Whether counting everything gives the fingerprint that was kept up.
    fn is_sound(&self) -> bool {
        true
    }
}

/// What a machine tells its host.
pub enum Told<E> {
    /// Apply these.
    Committed(Vec<Entry>),
    /// Consensus wants a log read or a piece of state.
    Serve(raft::Event),
    /// Something for the clients.
    Other(E),
}

/// A protocol that can live in a world.
pub trait Machine: Protocol + Sized {
    /// Its state machine.
    type App: App;
    /// The clients of the world, and what judges them.
    type Load;
    /// What its host keeps in memory beside it.
    type Side: Default;
    /// One that is added later asks, too, whether it is new.
    const ASKS_WHEN_ADDED: bool = false;

    /// The clients of a new world.
    fn load(plan: &Plan, dice: &mut Dice) -> Self::Load;
    /// An empty state machine.
    fn app(plan: &Plan, load: &Self::Load) -> Self::App;
    /// A machine as it comes up.
    fn build(plan: &Plan, id: NodeId, restored: raft::Restored, dice: Dice, now: Instant) -> Self;
    /// Its consensus, to look at.
    fn raft(&self) -> &Raft;
    /// What consensus wants written.
    fn write(write: Self::Write) -> raft::Write;
    /// The same, to look at.
    fn consensus_write(write: &Self::Write) -> &raft::Write;
    /// What of a message is consensus.
    fn consensus(message: &Self::Message) -> Option<&raft::Message>;
    /// A few words for the trace.
    fn describe(message: &Self::Message) -> String;
    /// A number that differs for messages that differ.
    fn digest(message: &Self::Message) -> u64;
    /// Asks consensus for something.
    fn request(request: raft::Request) -> Self::Request;
    /// The state machine has applied up to `index`.
    fn applied(index: u64, news: &mut <Self::App as App>::News) -> Self::Request;
    /// The state machine holds everything up to `index` durably.
    fn synced(plan: &Plan, index: u64) -> Option<Self::Request>;
    /// Sorts an event.
    fn sort(event: Self::Event) -> Told<Self::Event>;

    /// The machine said something to its clients.
    fn heard(world: &mut World<Replica<Self>>, node: NodeId, event: Self::Event);
    /// A batch was published.
    fn published(world: &mut World<Replica<Self>>, node: NodeId, news: <Self::App as App>::News);
    /// A member came up: its state machine may have something to tell.
    fn started(world: &mut World<Replica<Self>>, node: NodeId);
    /// A member went down, and with it whatever its clients waited for.
    fn ended(world: &mut World<Replica<Self>>, node: NodeId);
    /// A member is about to come up. Answers who voted before any change; nobody for one that was added
    /// later, which learns that from the log or a snapshot.
    ///
    /// # Errors
    /// When it must wait or stay down.
    fn come_up(world: &mut World<Replica<Self>>, node: NodeId) -> Result<Membership, Wake<Self>> {
        let founders = world.plan.founders;
        let first = (1..=founders).map(NodeId).filter(|_| node.0 <= founders);
        Ok(Membership::of(first))
    }
    /// Whom an empty directory asks before it votes.
    fn contacts(world: &World<Replica<Self>>, node: NodeId) -> Vec<NodeId> {
        world.nodes().filter(|other| *other != node).collect()
    }
    /// Whether a member says what it remembers of others: a newcomer that itself still asks does.
    fn answers(world: &World<Replica<Self>>, node: NodeId) -> bool {
        world.is_up(node)
    }
    /// A turn is over: the host looks at what is new.
    fn turned(_world: &mut World<Replica<Self>>, _node: NodeId) {}
    /// Whether there is a way from one member to another.
    fn speaks_to(_world: &World<Replica<Self>>, _from: NodeId, _to: NodeId) -> bool {
        true
    }
    /// Whether a member listens to another one.
    fn hears(_world: &mut World<Replica<Self>>, _node: NodeId, _from: NodeId) -> bool {
        true
    }
    /// Whether a node is a member of the cluster by now, or still.
    fn belongs(_world: &World<Replica<Self>>, _node: NodeId) -> bool {
        true
    }
    /// Whom a strike at this node hits.
    fn stand_in(_world: &World<Replica<Self>>, node: NodeId) -> NodeId {
        node
    }
    /// What the machine planned for itself is due.
    fn due(_world: &mut World<Replica<Self>>, _node: NodeId, _number: u64) {}
    /// It is a client's turn.
    fn tick(world: &mut World<Replica<Self>>, client: u64);
    /// True when all clients have what they wanted.
    fn finished(world: &World<Replica<Self>>) -> bool;
    /// A last look at everything, after the members came to rest.
    fn scan(world: &mut World<Replica<Self>>);
}
