//! The four session guarantees (Terry and others, Session Guarantees for Weakly Consistent Replicated Data, 1994), one at a time.
//!
//! Each guarantee is a part of the order of sessions that must hold, together with reads-from, in one order of all writes:
//!
//! - *read your writes*: writes before reads. What a session wrote is known to its later reads.
//! - *monotonic reads*: reads before reads. What a read knew, later reads of the session know.
//! - *monotonic writes*: writes before writes. Who sees a write sees those that its session made before.
//! - *writes follow reads*: reads before writes. Who sees a write sees what its session had read before.
//!
//! # Caveats
//!
//! The last two are promises about what observers see, and an observer whose own reads jump back and forth sees nothing wrong: with
//! single reads they cannot be refuted. They are therefore judged together with monotonic reads. A history that breaks monotonic reads
//! alone gets the answer "unknown" for them.

use std::collections::HashMap;

use crate::causal::frame::Order;
use crate::causal::patterns::Conflict;
use crate::causal::search::{Case, Link, Pattern, cycle};
use crate::graph::Edge;
use crate::limits::Meter;
use crate::registers::{INITIAL, Registers};
use crate::verdict::Reason;

/// A part of causal consistency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guarantee {
    ReadYourWrites,
    MonotonicReads,
    MonotonicWrites,
    WritesFollowReads,
    /// All but writes follow reads.
    Pipelined,
}

/// Judges a guarantee. With a pattern comes the case that explains it, where there is one.
pub(crate) fn decide<'a>(
    registers: &'a Registers<'a>,
    guarantee: Guarantee,
    meter: &Meter,
) -> Result<Option<(Pattern, Option<Case<'a>>)>, Reason> {
    let order = match guarantee {
        Guarantee::ReadYourWrites => {
            return Ok(read_your_writes(registers).map(|pattern| (pattern, None)));
        }
        Guarantee::MonotonicReads => Order::Reads,
        Guarantee::MonotonicWrites => Order::ReadsAndWrites,
        Guarantee::WritesFollowReads => Order::ReadsBeforeWrites,
        Guarantee::Pipelined => Order::Pipelined,
    };
    let found = convergent(registers, order, meter)?;
    let observed = matches!(guarantee, Guarantee::MonotonicWrites | Guarantee::WritesFollowReads);
    if found.is_some() && observed && convergent(registers, Order::Reads, meter)?.is_some() {
        return Err(Reason::Undecidable(
            "the history breaks monotonic reads, without which nobody can tell what order others' writes took"
                .to_string(),
        ));
    }
    Ok(found)
}

fn convergent<'a>(
    registers: &'a Registers<'a>,
    order: Order,
    meter: &Meter,
) -> Result<Option<(Pattern, Option<Case<'a>>)>, Reason> {
    match Case::new(registers, order, meter)? {
        Err(pattern) => Ok(Some((pattern, None))),
        Ok(case) => Ok(case.convergent(meter)?.map(|pattern| (pattern, Some(case)))),
    }
}

/// Own earlier writes to the key of a read come before the write that it saw. Since they have no order among themselves here, helper
/// nodes stand for "the first n writes of this session to this key".
fn read_your_writes(registers: &Registers) -> Option<Pattern> {
    let txns = registers.txns;
    let mut helpers = txns.len() as u32;
    let mut own: HashMap<(i64, u32), Own> = HashMap::new();
    let mut edges = Vec::new();
    for node in (0..txns.len() as u32).filter(|node| registers.present[*node as usize]) {
        let process = txns.txns[node as usize].process;
        for read in registers.reads_of(node) {
            let Some(own) = own.get_mut(&(process, read.key)) else { continue };
            if read.write == INITIAL {
                let other = own.writes.last().expect("it has some").0;
                return Some(Pattern::WriteCoInitRead(Conflict {
                    other,
                    read: INITIAL,
                    reader: node,
                }));
            }
            own.precede(registers, read.write, &mut edges);
        }
        for write in registers.writes_of(node) {
            let own = own.entry((process, registers.writes[write as usize].key)).or_default();
            edges.push((node, helpers, LINK));
            if let Some((_, before)) = own.writes.last() {
                edges.push((*before, helpers, LINK));
            }
            own.writes.push((write, helpers));
            helpers += 1;
        }
    }
    let steps = cycle(helpers as usize, &edges)?;
    Some(Pattern::CyclicCf(without_helpers(&steps, txns.len() as u32)))
}

const LINK: u32 = Link::Conflict as u32;

/// The writes of a session to a key: each with the helper that stands for it and those before.
#[derive(Default)]
struct Own {
    writes: Vec<(u32, u32)>,
    /// For an own write that was read when newer ones existed: up to where those were dealt with.
    overtaken: HashMap<u32, usize>,
}

impl Own {
    /// All of them but itself come before the write that was read.
    fn precede(&mut self, registers: &Registers, read: u32, edges: &mut Vec<Edge>) {
        let node = |write: u32| registers.writes[write as usize].txn;
        let Ok(place) = self.writes.binary_search_by_key(&read, |(write, _)| *write) else {
            edges.extend(self.writes.last().map(|(_, helper)| (*helper, node(read), LINK)));
            return;
        };
        if place > 0 {
            edges.push((self.writes[place - 1].1, node(read), LINK));
        }
        let done = self.overtaken.entry(read).or_insert(place + 1);
        for (newer, _) in &self.writes[*done..] {
            edges.push((node(*newer), node(read), LINK));
        }
        *done = self.writes.len();
    }
}

/// Steps between operations alone.
fn without_helpers(steps: &[(u32, Link, u32)], count: u32) -> Vec<(u32, Link, u32)> {
    let nodes: Vec<u32> =
        steps.iter().map(|(from, _, _)| *from).filter(|node| *node < count).collect();
    let next = |place: usize| nodes[(place + 1) % nodes.len()];
    nodes.iter().enumerate().map(|(place, node)| (*node, Link::Conflict, next(place))).collect()
}
