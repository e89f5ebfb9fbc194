//! Registers again: is there a serial order at all?
//!
//! The dependencies that can be inferred for registers are some of those that were there. A history without a cycle of them
//! may still have no serial order, so for serializable levels the search for one follows, with the dependencies as its map. It
//! ends with an order, which proves the level, or with the certainty that there is none, or at the limits.

use crate::access::{MicroKind, Txns};
use crate::graph::{Edge, Graph};
use crate::history::Outcome;
use crate::limits::Meter;
use crate::sequential::search::{Found, Problem, search};
use crate::txn::deps::{Dep, Deps};
use crate::txn::level::{Level, Scope};
use crate::verdict::Reason;

/// Searches for a serial order that keeps what the level keeps.
///
/// # Errors
///
/// The limits.
pub(crate) fn serial_order(
    txns: &Txns,
    deps: &Deps,
    level: Level,
    meter: &Meter,
) -> Result<Found, Reason> {
    let scope = level.scope();
    let keeps = |dep: Dep| match dep {
        Dep::Ww | Dep::Wr | Dep::Rw | Dep::Via => true,
        Dep::Process | Dep::RwProcess => scope >= Scope::Process,
        Dep::Realtime | Dep::RwRealtime => scope >= Scope::Realtime,
    };
    let edges: Vec<Edge> =
        deps.edges.iter().copied().filter(|(_, _, label)| keeps(Dep::of(*label))).collect();
    // What nobody read can only matter to a refused compare-and-set.
    let refusals = (0..txns.len() as u32)
        .any(|txn| txns.micros(txn).iter().any(|micro| matches!(micro.kind, MicroKind::Not(_))));
    let optional: Vec<bool> = txns
        .txns
        .iter()
        .zip(&deps.present)
        .map(|(txn, present)| refusals && !present && txn.outcome == Outcome::Unknown)
        .collect();
    let order = Graph::new(deps.nodes as usize, &edges);
    let (required, optional) = (&deps.present[..], &optional[..]);
    search(&Problem { txns, required, optional, order: &order, patience: usize::MAX }, meter)
}
