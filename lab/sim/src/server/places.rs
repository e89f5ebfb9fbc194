//! Which machine is reached under an address: addresses outlive machines.
//!
//! An operator gives a new machine the address of one that was removed, and the old one may run on, or come back:
//! then whoever came up last has the address (a floating one was moved; on one host the other's port was taken while it
//! was down), and the other speaks without being reached until it has it again. Nobody is reached who is looked
//! for at an address of somebody else: the product's door says so ([`quorate_node::Door::Mistaken`]).

use super::ServerWorld;
use quorate_base::NodeId;
use std::collections::BTreeMap;

/// Who has which address: an address is the number of the machine that had it first.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Of machines that have another address than their first one.
    moved: BTreeMap<NodeId, u64>,
    /// Whoever came up last with an address that more than one has.
    holders: BTreeMap<u64, NodeId>,
}

impl Places {
    /// The address of a machine.
    pub fn of(&self, node: NodeId) -> u64 {
        self.moved.get(&node).copied().unwrap_or(node.0)
    }

    /// A machine is started with an address that may be another one's.
    pub fn assign(&mut self, node: NodeId, place: u64) {
        if place != node.0 {
            self.moved.insert(node, place);
        }
    }

    fn is_shared(&self, place: u64) -> bool {
        self.moved.values().any(|moved| *moved == place)
    }
}

/// An address as a URL.
pub fn url(place: u64) -> String {
    format!("http://m{place}:1")
}

/// The address in a URL.
pub fn place(urls: &[String]) -> Option<u64> {
    urls.first()?.strip_prefix("http://m")?.strip_suffix(":1")?.parse().ok()
}

/// The URLs of a machine.
pub fn urls(world: &ServerWorld, node: NodeId) -> [String; 1] {
    [url(world.load.operator.places.of(node))]
}

/// A machine listens at its address from now on.
pub fn take(world: &mut ServerWorld, node: NodeId) {
    let place = world.load.operator.places.of(node);
    if !world.load.operator.places.is_shared(place) {
        return;
    }
    if holder(world, place).is_some_and(|other| other != node) {
        world.count("addresses taken over");
        world.note(Some(node), &format!("it has the address of m{place} now"));
    }
    world.load.operator.places.holders.insert(place, node);
}

/// Who is reached at an address, if anybody.
pub fn holder(world: &ServerWorld, place: u64) -> Option<NodeId> {
    let places = &world.load.operator.places;
    let listens = |node: &NodeId| super::members::answers(world, *node);
    if !places.is_shared(place) {
        return Some(NodeId(place)).filter(listens);
    }
    let last = places.holders.get(&place).copied().filter(listens);
    let others = || world.nodes().find(|node| places.of(*node) == place && listens(node));
    last.or_else(others)
}
