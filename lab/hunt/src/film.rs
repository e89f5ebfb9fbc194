//! What a plan comes to: worlds of either kind, played with or without a recorder.

use crate::bands::Bands;
use crate::clocks::{self, Clock};
use crate::recipe::Kind;
use quorate_base::Instant;
use quorate_node::Node;
use quorate_raft::Raft;
use quorate_sim::host::Host;
use quorate_sim::oracles::Violation;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::Plan;
use quorate_sim::trace::{Event, What};
use quorate_sim::world::World;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic;
use std::sync::Once;
use std::time::Duration;

/// How a world ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// Over everything that happened.
    pub trace: u64,
    /// How long it lasted, in its own time.
    pub virtual_time: Duration,
    /// Events that the world's queue gave out.
    pub happened: u64,
    /// Entries committed.
    pub committed: u64,
    /// How often things happened that a swarm of worlds must reach.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Everything that happened in a world.
#[derive(Clone, Debug)]
pub struct Film {
    /// Which code ran.
    pub kind: Kind,
    /// What was planned.
    pub plan: Plan,
    /// All events, in order.
    pub events: Vec<Event>,
    /// What each of them could know.
    pub clocks: Vec<Option<Clock>>,
    /// What lasted: leadership, crashes, partitions.
    pub bands: Bands,
    /// How it ended.
    pub ending: Ending,
}

impl Film {
    /// A film of these events.
    pub fn new(kind: Kind, plan: Plan, events: Vec<Event>, ending: Ending) -> Film {
        let clocks = clocks::clocks(&events, plan.nodes);
        let end = Instant(ending.virtual_time.as_nanos() as u64);
        let bands = Bands::of(&events, plan.nodes, end);
        Film { kind, plan, events, clocks, bands, ending }
    }

    /// Where the broken promise is among the events.
    pub fn violation(&self) -> Option<usize> {
        self.events.iter().position(|event| event.what == What::Violation)
    }
}

thread_local! {
    static IN_WORLD: Cell<bool> = const { Cell::new(false) };
}

/// Runs a world without a panic's words on standard error: a failed assertion inside a world is a
/// broken promise and is told as one. Other threads' panics are told as ever.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IN_WORLD.get() {
                before(info);
            }
        }));
    });
    IN_WORLD.set(true);
    let result = act();
    IN_WORLD.set(false);
    result
}

/// Plays a plan for its ending only: fast.
pub fn run(kind: Kind, plan: Plan) -> Ending {
    match kind {
        Kind::Raft => play::<Replica<Raft>>(plan, false).0,
        Kind::Server | Kind::Members => play::<Replica<Node>>(plan, false).0,
    }
}

/// Plays a plan and keeps every event.
pub fn record(kind: Kind, plan: Plan) -> Film {
    let (ending, events) = match kind {
        Kind::Raft => play::<Replica<Raft>>(plan.clone(), true),
        Kind::Server | Kind::Members => play::<Replica<Node>>(plan.clone(), true),
    };
    Film::new(kind, plan, events, ending)
}

fn play<H: Host>(plan: Plan, keep: bool) -> (Ending, Vec<Event>) {
    let mut world: World<H> = World::new(plan);
    if keep {
        world.trace.attach();
    }
    quietly(|| runner::run_world(&mut world));
    let mut events = world.trace.take();
    if let Some(violation) = &world.broken
        && keep
        && !events.iter().any(|event| event.what == What::Violation)
    {
        // A failed assertion ends the world before it can write that down.
        let label = violation.to_string();
        events.push(Event { at: world.now, node: None, what: What::Violation, label });
    }
    let ending = Ending {
        trace: world.trace.hash(),
        virtual_time: world.now.since(Instant(0)),
        happened: world.happened(),
        committed: H::progress(&world),
        counts: std::mem::take(&mut world.counts),
        violation: world.broken.take(),
    };
    (ending, events)
}
