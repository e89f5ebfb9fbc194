//! From clocks to a decision: which bad pattern there is, if any.

use crate::causal::frame::{Clocks, Extra, Frame, Order, sources};
use crate::causal::patterns::{Conflict, Index};
use crate::graph::{Edge, Graph, Scratch, Step};
use crate::limits::Meter;
use crate::registers::{INITIAL, Registers};
use crate::verdict::Reason;

/// A bad pattern, with what it takes to explain it.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// A read is in its own past.
    CyclicCo(Vec<(u32, Link, u32)>),
    /// The initial value was read, with a write in the past.
    WriteCoInitRead(Conflict),
    /// A value was read, with a later one in the past.
    WriteCoRead(Conflict),
    /// Readers disagree on the order of concurrent writes.
    CyclicCf(Vec<(u32, Link, u32)>),
    /// One session cannot order what it saw.
    CyclicHb(i64, Vec<(u32, Link, u32)>),
    /// One session, given its own order of writes, read the initial value after a write.
    WriteHbInitRead(i64, Conflict),
}

/// Why one node comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The session did it first.
    Session,
    /// The other read its write.
    ReadFrom,
    /// Somebody had it in the past and read the other one's write.
    Conflict,
}

impl Link {
    const ALL: [Link; 3] = [Link::Session, Link::ReadFrom, Link::Conflict];

    fn of(label: u32) -> Link {
        Link::ALL[label as usize]
    }
}

/// A history under judgement.
pub(crate) struct Case<'a> {
    pub registers: &'a Registers<'a>,
    pub frame: Frame,
    pub index: Index,
    pub clocks: Clocks,
}

impl<'a> Case<'a> {
    /// Computes the causal order; `Err` with the cycle if there is one.
    pub(crate) fn new(
        registers: &'a Registers<'a>,
        order: Order,
        meter: &Meter,
    ) -> Result<Result<Case<'a>, Pattern>, Reason> {
        let frame = Frame::new(registers, order);
        let Some(clocks) = Clocks::compute(registers, &frame, &Extra::default(), meter)? else {
            let steps =
                cycle(registers.txns.len(), &order_edges(registers, &frame, &Extra::default()));
            return Ok(Err(Pattern::CyclicCo(steps.expect("there is one"))));
        };
        let index = Index::new(registers, &frame);
        Ok(Ok(Case { registers, frame, index, clocks }))
    }

    /// Weak causal consistency (CC): WriteCOInitRead, WriteCORead. With `conflicts`, what readers want ordered is collected for causal
    /// convergence.
    pub(crate) fn weak(
        &self,
        mut conflicts: Option<&mut Vec<Edge>>,
        meter: &Meter,
    ) -> Result<Option<Pattern>, Reason> {
        if let Some(pattern) = self.initial_reads() {
            return Ok(Some(pattern));
        }
        let (registers, frame, clocks) = (self.registers, &self.frame, &self.clocks);
        let mut maxima = vec![0; frame.chains.len()];
        for (at, &read) in self.index.by_key.iter().enumerate() {
            let write = registers.writes[read as usize];
            if at % 4096 == 0 {
                meter.check(conflicts.as_ref().map_or(0, |edges| edges.capacity() * 32))?;
            }
            let readers = self.index.readers(registers, read, write.key);
            if readers.is_empty() {
                continue;
            }
            let mut bad = None;
            self.index.conflicts(
                registers,
                frame,
                clocks,
                (read, write.key),
                readers,
                &mut maxima,
                |other| {
                    let node = registers.writes[other as usize].txn;
                    if clocks.precedes(frame, write.txn, node) {
                        bad = Some(other);
                        return false;
                    }
                    if let Some(edges) = conflicts.as_deref_mut()
                        && !clocks.precedes(frame, node, write.txn)
                    {
                        edges.push((node, write.txn, Link::Conflict as u32));
                    }
                    true
                },
            );
            if let Some(other) = bad {
                return Ok(Some(Pattern::WriteCoRead(self.conflict(read, write.key, other))));
            }
        }
        Ok(None)
    }

    /// Causal convergence (CCv): CC, and CyclicCF.
    pub(crate) fn convergent(&self, meter: &Meter) -> Result<Option<Pattern>, Reason> {
        let mut edges = Vec::new();
        if let Some(pattern) = self.weak(Some(&mut edges), meter)? {
            return Ok(Some(pattern));
        }
        if edges.is_empty() {
            return Ok(None);
        }
        edges.extend(order_edges(self.registers, &self.frame, &Extra::default()));
        meter.check(edges.len() * 20)?;
        Ok(cycle(self.registers.txns.len(), &edges).map(Pattern::CyclicCf))
    }

    fn initial_reads(&self) -> Option<Pattern> {
        let mut maxima = vec![0; self.frame.chains.len()];
        for key in 0..self.registers.txns.keys.len() as u32 {
            let readers = self.index.readers(self.registers, INITIAL, key);
            if readers.is_empty() {
                continue;
            }
            let mut bad = None;
            let (registers, frame, clocks) = (self.registers, &self.frame, &self.clocks);
            let value = (INITIAL, key);
            self.index.conflicts(registers, frame, clocks, value, readers, &mut maxima, |other| {
                bad = Some(other);
                false
            });
            if let Some(other) = bad {
                return Some(Pattern::WriteCoInitRead(self.conflict(INITIAL, key, other)));
            }
        }
        None
    }

    fn conflict(&self, read: u32, key: u32, other: u32) -> Conflict {
        let readers = self.index.readers(self.registers, read, key);
        let reader = self.index.witness(&self.frame, &self.clocks, key, other, readers);
        Conflict { other, read, reader: reader.expect("one of them has it") }
    }

    /// A shortest path in the causal order.
    pub(crate) fn path(&self, from: u32, to: u32) -> Vec<(u32, Link, u32)> {
        let edges = order_edges(self.registers, &self.frame, &Extra::default());
        let graph = Graph::new(self.registers.txns.len(), &edges);
        let mut budget = u64::MAX;
        let steps = graph.walk(
            (from, 0),
            to,
            1,
            |_, _| Some(0),
            |_| true,
            &mut Scratch::default(),
            &mut budget,
        );
        steps.map_or_else(Vec::new, |steps| links(from, &steps))
    }
}

/// The order of sessions as far as the frame keeps it, reads-from, and the extra edges (as conflicts).
pub(crate) fn order_edges(registers: &Registers, frame: &Frame, extra: &Extra) -> Vec<Edge> {
    let none = Extra::default();
    let mut edges = Vec::new();
    for node in 0..registers.txns.len() as u32 {
        if !registers.present[node as usize] {
            continue;
        }
        if let Some(before) = frame.before(node) {
            edges.push((before, node, Link::Session as u32));
        }
        for source in sources(registers, frame, &none, node) {
            let across = frame.across[node as usize] == source;
            let link = if across { Link::Session } else { Link::ReadFrom };
            edges.push((source, node, link as u32));
        }
    }
    edges.extend(extra.edges().map(|(from, to)| (from, to, Link::Conflict as u32)));
    edges
}

/// A short cycle of a graph, if there is one: the shortest through some edge of the first component that holds one.
pub(crate) fn cycle(nodes: usize, edges: &[Edge]) -> Option<Vec<(u32, Link, u32)>> {
    let graph = Graph::new(nodes, edges);
    let component = graph.cycles(|_| true).into_iter().min_by_key(Vec::len)?;
    let mut scratch = Scratch::default();
    let mut budget = 20_000_000;
    let mut best: Option<(u32, Vec<Step>)> = None;
    for node in component.iter().take(200) {
        let found =
            graph.walk((*node, 0), *node, 1, |_, _| Some(0), |_| true, &mut scratch, &mut budget);
        let Some(steps) = found else { continue };
        if best.as_ref().is_none_or(|(_, least)| steps.len() < least.len()) {
            best = Some((*node, steps));
        }
    }
    let (start, steps) = best?;
    Some(links(start, &steps))
}

fn links(start: u32, steps: &[Step]) -> Vec<(u32, Link, u32)> {
    let mut from = start;
    let mut links = Vec::with_capacity(steps.len());
    for (label, to) in steps {
        links.push((from, Link::of(*label), *to));
        from = *to;
    }
    links
}
