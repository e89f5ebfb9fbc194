//! The watch that a client keeps beside its questions.
//!
//! It is looked at now and then, so that it falls behind the ring, and behind compactions; it is
//! dropped now and then, and when its member goes, and resumed elsewhere from where it was.

use crate::client::server;
use crate::server::ServerWorld;
use quorate_base::{Dice, NodeId};
use quorate_store::{Cursor, Event, KeyRange, Polled, Watch};

/// Bytes of events in one poll of a watch.
const WATCH_BUDGET: usize = 600;

/// A watch and where it is.
#[derive(Clone, Debug)]
pub struct Watching {
    range: KeyRange,
    /// Everything below this revision was given.
    pub next: i64,
    open: Option<(NodeId, Cursor<Event>)>,
    /// It looks once in so many turns.
    lazy: u64,
}

impl Watching {
    /// A watch of `range` from the first revision on.
    pub fn new(range: KeyRange, dice: &mut Dice) -> Watching {
        Watching { range, next: 1, open: None, lazy: dice.between(1, 60) }
    }

    /// A member is gone, and with it the connection.
    pub fn disconnect(&mut self, node: NodeId) {
        if self.open.as_ref().is_some_and(|(member, _)| *member == node) {
            self.open = None;
        }
    }
}

/// Takes a watch forward: over the member that it is open at, or another one from where it was.
pub fn watch(world: &mut ServerWorld, at: usize) {
    let lazy = world.load.clients[at].watching.lazy;
    if world.peace.is_none() && world.dice.below(lazy) > 0 {
        return;
    }
    if world.dice.below(30) == 0 {
        world.load.clients[at].watching.open = None;
    }
    let mut watching = world.load.clients[at].watching.clone();
    if watching.open.is_none() {
        let Some(member) = server(world) else { return };
        let watch = Watch { range: watching.range.clone(), ..Watch::default() };
        let current = world.host(member).app.view.revision();
        watching.open = Some((member, Cursor::new(watch, watching.next, current)));
        world.count("watches opened");
        if watching.next > 1 {
            world.count("watches resumed");
        }
    }
    let (member, cursor) = watching.open.as_mut().expect("opened above");
    let app = &world.host(*member).app;
    let polled = cursor.poll(&app.view, &app.ring, &Event::clone, WATCH_BUDGET);
    match polled.expect("memory does not fail") {
        Polled::Compacted { revision } => {
            // What it missed is gone for good; it was told so.
            watching.next = revision.max(watching.next);
            watching.open = None;
            world.count("watches compacted");
        }
        Polled::Batch(batch) => {
            let (node, range, from) = (*member, &watching.range, watching.next);
            let events = batch.events.iter().map(|delivery| &delivery.encoded);
            let verdict = world.load.history.watched(node, range, from, batch.next, events);
            watching.next = batch.next;
            world.judge(verdict);
        }
    }
    world.load.clients[at].watching = watching;
}
