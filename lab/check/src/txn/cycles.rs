//! Which kinds of cycles a dependency graph holds, and a short one of each.
//!
//! One pass of Tarjan's algorithm over everything finds the components that hold cycles; a healthy history has none, and is
//! done. In each component the kinds are looked for from the strongest evidence to the weakest: dependencies alone, then with
//! the order of processes, then with real time, so that a cycle is never blamed on time when it needs none. Within a scope,
//! G0 and G1c are decided exactly by components of the graph without anti-dependencies. The others need a search from each
//! anti-dependency; where there are too many, the judge looks at some and says so.

use crate::graph::{Graph, Scratch, Step};
use crate::limits::Meter;
use crate::txn::deps::{Dep, Deps};
use crate::txn::findings::{Evidence, Findings};
use crate::txn::level::{Anomaly, Scope};
use crate::verdict::Reason;

/// Searches of one kind in one component.
const STARTS: usize = 400;

/// Steps of all searches together. About a second.
const BUDGET: u64 = 60_000_000;

/// Adds the cycles of the graph to what was found.
///
/// # Errors
///
/// The time limit.
pub(crate) fn search(deps: &Deps, findings: &mut Findings, meter: &Meter) -> Result<(), Reason> {
    let graph = deps.graph();
    meter.check(graph.nodes() * 32 + deps.edges.len() * 24)?;
    let components = graph.cycles(|_| true);
    if components.is_empty() {
        return Ok(());
    }
    let mut search =
        Search { deps, graph: &graph, findings, scratch: Scratch::default(), budget: BUDGET };
    for scope in [Scope::Plain, Scope::Process, Scope::Realtime] {
        search.scope(scope, &components);
        meter.check(0)?;
    }
    Ok(())
}

struct Search<'a> {
    deps: &'a Deps,
    graph: &'a Graph,
    findings: &'a mut Findings,
    scratch: Scratch,
    budget: u64,
}

/// Whether a scope knows of an order that is no dependency.
fn is_order(dep: Dep, scope: Scope) -> bool {
    match dep {
        Dep::Ww | Dep::Wr | Dep::Rw | Dep::Via => false,
        Dep::Process => scope >= Scope::Process,
        Dep::RwProcess | Dep::RwRealtime => false,
        Dep::Realtime => scope >= Scope::Realtime,
    }
}

/// Whether a step is an anti-dependency in a scope. The second half over a helper is not counted again.
fn is_anti(dep: Dep, scope: Scope) -> bool {
    match dep {
        Dep::Rw => true,
        Dep::RwProcess => scope >= Scope::Process,
        Dep::RwRealtime => scope >= Scope::Realtime,
        Dep::Ww | Dep::Wr | Dep::Process | Dep::Realtime | Dep::Via => false,
    }
}

/// The kinds of cycles as automata over steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Write dependencies.
    G0,
    /// Write and read dependencies.
    G1c,
    /// No anti-dependency beside the first step.
    Single,
    /// No two anti-dependencies in a row; state 1 after one.
    Nonadjacent,
    /// Anything.
    G2,
}

impl Shape {
    fn anomaly(self, scope: Scope) -> Anomaly {
        match self {
            Shape::G0 => Anomaly::G0(scope),
            Shape::G1c => Anomaly::G1c(scope),
            Shape::Single => Anomaly::GSingle(scope),
            Shape::Nonadjacent => Anomaly::GNonadjacent(scope),
            Shape::G2 => Anomaly::G2Item(scope),
        }
    }

    /// Which edges a cycle of this kind begins with, in a search that begins with one.
    fn begins(self, dep: Dep, scope: Scope) -> bool {
        match self {
            Shape::G0 => dep == Dep::Ww,
            Shape::G1c => dep == Dep::Wr,
            Shape::Single | Shape::Nonadjacent | Shape::G2 => is_anti(dep, scope),
        }
    }

    fn advance(self, state: u8, dep: Dep, scope: Scope) -> Option<u8> {
        if dep == Dep::Via {
            return Some(state);
        }
        if is_anti(dep, scope) {
            return match self {
                Shape::G0 | Shape::G1c | Shape::Single => None,
                Shape::Nonadjacent => (state == 0).then_some(1),
                Shape::G2 => Some(0),
            };
        }
        let plain = match self {
            Shape::G0 => dep == Dep::Ww,
            Shape::G1c | Shape::Single | Shape::Nonadjacent | Shape::G2 => {
                matches!(dep, Dep::Ww | Dep::Wr)
            }
        };
        (plain || is_order(dep, scope)).then_some(0)
    }
}

impl Search<'_> {
    /// One scope: first the components in which there are cycles at all, then the kinds.
    fn scope(&mut self, scope: Scope, components: &[Vec<u32>]) {
        let graph = self.graph;
        let mut inside = vec![u32::MAX; graph.nodes()];
        for (number, component) in components.iter().enumerate() {
            for node in component {
                inside[*node as usize] = number as u32;
            }
        }
        let cyclic =
            |shape: Shape| graph.cycles(|label| shape.advance(0, Dep::of(label), scope).is_some());
        for shape in [Shape::G0, Shape::G1c] {
            for component in cyclic(shape) {
                let whole = inside[component[0] as usize];
                self.kind(shape, scope, whole, &component);
            }
        }
        for component in cyclic(Shape::G2) {
            let whole = inside[component[0] as usize];
            for shape in [Shape::Single, Shape::Nonadjacent, Shape::G2] {
                if self.kind(shape, scope, whole, &component) {
                    break;
                }
            }
        }
    }

    /// Looks for a shortest cycle of a shape in a component. Whether there is one, now or in a narrower scope.
    fn kind(&mut self, shape: Shape, scope: Scope, whole: u32, component: &[u32]) -> bool {
        let anomaly = shape.anomaly(scope);
        if self.findings.cycle_known(whole, anomaly) {
            return true;
        }
        let mut inside = std::collections::HashSet::new();
        inside.extend(component.iter().copied());
        let mut best: Option<(u32, Vec<Step>)> = None;
        let mut starts = 0;
        for node in component {
            for &(label, to) in self.graph.from(*node) {
                if !shape.begins(Dep::of(label), scope) || !inside.contains(&to) {
                    continue;
                }
                starts += 1;
                if starts > STARTS || self.budget == 0 {
                    self.findings.incomplete |= best.is_none();
                    break;
                }
                let Some(rest) = self.walk(shape, scope, to, *node) else { continue };
                if best.as_ref().is_none_or(|(_, steps)| rest.len() + 1 < steps.len()) {
                    let mut steps = vec![(label, to)];
                    steps.extend(rest);
                    best = Some((*node, steps));
                }
            }
        }
        let Some((start, steps)) = best else { return false };
        let (start, steps) = self.at_transaction(start, steps);
        let direct = self.deps.direct(&steps);
        self.findings.cycle(whole, anomaly, || Evidence::Cycle(start, direct));
        true
    }

    /// The way back from the end of a first step.
    fn walk(&mut self, shape: Shape, scope: Scope, from: u32, to: u32) -> Option<Vec<Step>> {
        let states = if shape == Shape::Nonadjacent { 2 } else { 1 };
        let first = states - 1;
        self.graph.walk(
            (from, first),
            to,
            states,
            |state, label| shape.advance(state, Dep::of(label), scope),
            |state| state == 0,
            &mut self.scratch,
            &mut self.budget,
        )
    }

    /// Turns a cycle so that it begins at a transaction.
    fn at_transaction(&self, start: u32, mut steps: Vec<Step>) -> (u32, Vec<Step>) {
        if self.deps.is_txn(start) {
            return (start, steps);
        }
        let place = steps.iter().position(|(_, to)| self.deps.is_txn(*to));
        let place = place.expect("helpers alone make no cycle");
        let begin = steps[place].1;
        steps.rotate_left(place + 1);
        (begin, steps)
    }
}
