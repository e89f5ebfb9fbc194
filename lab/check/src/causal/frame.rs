//! Which transactions form chains, and the causal past of each as a clock over the chains.
//!
//! The causal order is the smallest transitive order that holds the reads-from relation and the order of sessions, or the part
//! of it that a session guarantee speaks of (Brzezinski, Sobaniec and Wawrzyniak 2004: the four guarantees together are causal
//! consistency). A *chain* is a set of nodes that this order puts one after the other, so that the past of a node meets each chain in
//! a beginning of it, and is written down as one number a chain. Nodes of one chain share a row of numbers until
//! something new comes in from outside, and so rows are few.

use std::collections::HashSet;

use crate::access::{NONE, Quick};
use crate::graph::{Edge, Graph};
use crate::limits::Meter;
use crate::registers::{INITIAL, Registers};
use crate::verdict::Reason;

/// How many numbers of clocks are written between two looks at the limits, at most: four megabytes of them.
const NUMBERS_PER_CHECK: usize = 1 << 20;

/// Which pairs of operations of one session keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// All of them: causal consistency.
    Causal,
    /// Reads: monotonic reads.
    Reads,
    /// Reads, and writes: monotonic writes, seen by monotonic readers.
    ReadsAndWrites,
    /// Reads, writes, and writes before reads: all but writes follow reads (pipelined RAM).
    Pipelined,
    /// Reads, and reads before writes: writes follow reads, seen by monotonic readers.
    ReadsBeforeWrites,
}

/// Nodes (transactions that took part) in chains.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Per node: its chain, or [`NONE`] if it is in none.
    pub chain: Vec<u32>,
    /// Per node: its place in its chain.
    pub index: Vec<u32>,
    /// Per node: a node of another chain of the session that comes before it, or [`NONE`].
    pub across: Vec<u32>,
    /// Chains as lists of nodes.
    pub chains: Vec<Vec<u32>>,
}

impl Frame {
    /// Lays the nodes out. With [`Order::Causal`] nodes are whole transactions; the other orders tell reads from writes, and want
    /// flattened ones.
    pub(crate) fn new(registers: &Registers, order: Order) -> Frame {
        let txns = registers.txns;
        let count = txns.len();
        let mut frame = Frame {
            chain: vec![NONE; count],
            index: vec![0; count],
            across: vec![NONE; count],
            chains: Vec::new(),
        };
        let mut sessions: std::collections::HashMap<i64, Session> =
            std::collections::HashMap::new();
        for node in 0..count as u32 {
            if !registers.present[node as usize] {
                continue;
            }
            let process = txns.txns[node as usize].process;
            let session = sessions.entry(process).or_default();
            let writes = order != Order::Causal && !registers.writes_of(node).is_empty();
            frame.place(node, session, writes, order);
        }
        frame
    }

    fn place(&mut self, node: u32, session: &mut Session, writes: bool, order: Order) {
        let in_chain = !writes || matches!(order, Order::ReadsAndWrites | Order::Pipelined);
        let (own, other) = if writes {
            (&mut session.writes, session.reads)
        } else {
            (&mut session.reads, session.writes)
        };
        let needs_other = match order {
            Order::Causal | Order::Reads | Order::ReadsAndWrites => false,
            Order::Pipelined => !writes,
            Order::ReadsBeforeWrites => writes,
        };
        if let Some(chain) = other.filter(|_| needs_other) {
            self.across[node as usize] = *self.chains[chain].last().expect("chains have nodes");
        }
        if in_chain {
            let chain = *own.get_or_insert_with(|| {
                self.chains.push(Vec::new());
                self.chains.len() - 1
            });
            self.chain[node as usize] = chain as u32;
            self.index[node as usize] = self.chains[chain].len() as u32;
            self.chains[chain].push(node);
        }
    }

    /// The node before it in its chain.
    pub(crate) fn before(&self, node: u32) -> Option<u32> {
        let chain = self.chain[node as usize];
        let index = self.index[node as usize];
        (chain != NONE && index > 0).then(|| self.chains[chain as usize][index as usize - 1])
    }
}

/// The chains of a session.
#[derive(Default)]
struct Session {
    reads: Option<usize>,
    writes: Option<usize>,
}

/// The causal past of every node.
#[derive(Debug)]
pub(crate) struct Clocks {
    /// How many numbers a row has: one a chain.
    width: usize,
    rows: Vec<u32>,
    /// Per node: its row.
    row: Vec<u32>,
    /// All nodes, each after its past.
    pub order: Vec<u32>,
}

impl Clocks {
    /// Computes all pasts. `extra` are edges beside those of the frame and of reads-from, sorted by target. `Ok(None)`: the order has a
    /// cycle.
    ///
    /// # Errors
    ///
    /// The limits.
    pub(crate) fn compute(
        registers: &Registers,
        frame: &Frame,
        extra: &Extra,
        meter: &Meter,
    ) -> Result<Option<Clocks>, Reason> {
        let Some(order) = topological(registers, frame, extra) else { return Ok(None) };
        let width = frame.chains.len();
        let mut clocks =
            Clocks { width, rows: vec![0; width], row: vec![0; registers.txns.len()], order };
        // A row may be as long as there are nodes: it is the numbers that were written since the last look that count.
        let mut looked = 0;
        for at in 0..clocks.order.len() {
            if at % 4096 == 0 || clocks.rows.len() - looked > NUMBERS_PER_CHECK {
                looked = clocks.rows.len();
                meter.check((looked + clocks.row.len() * 4) * 4)?;
            }
            let node = clocks.order[at];
            clocks.row[node as usize] = frame.before(node).map_or(0, |b| clocks.row[b as usize]);
            let mut own = false;
            for past in sources(registers, frame, extra, node) {
                clocks.join(frame, node, past, &mut own);
            }
        }
        Ok(Some(clocks))
    }

    /// Puts a node and its past into the past of another one.
    fn join(&mut self, frame: &Frame, node: u32, past: u32, own: &mut bool) {
        let (into, from) = (self.row[node as usize] as usize, self.row[past as usize] as usize);
        let width = self.width;
        let chain = frame.chain[past as usize];
        let seen = |row: &[u32]| chain == NONE || row[chain as usize] > frame.index[past as usize];
        let (a, b) = (into * width, from * width);
        let is_new = !seen(&self.rows[a..a + width])
            || (from != into && (0..width).any(|at| self.rows[b + at] > self.rows[a + at]));
        if !is_new {
            return;
        }
        // The row is the chain's until the node needs its own.
        let mut into = into;
        if !*own {
            self.rows.extend_from_within(a..a + width);
            into = self.rows.len() / width - 1;
            self.row[node as usize] = into as u32;
            *own = true;
        }
        let (low, high) = self.rows.split_at_mut(into * width);
        let row = &mut high[..width];
        for (mine, theirs) in row.iter_mut().zip(&low[b..b + width]) {
            *mine = (*mine).max(*theirs);
        }
        if chain != NONE {
            let mine = &mut row[chain as usize];
            *mine = (*mine).max(frame.index[past as usize] + 1);
        }
    }

    /// How many nodes of a chain are in the past of a node.
    pub(crate) fn past(&self, frame: &Frame, node: u32, chain: u32) -> u32 {
        if frame.chain[node as usize] == chain {
            return frame.index[node as usize];
        }
        self.rows[self.row[node as usize] as usize * self.width + chain as usize]
    }

    /// Takes the past of a node into a row of maxima.
    pub(crate) fn raise(&self, frame: &Frame, node: u32, maxima: &mut [u32]) {
        let start = self.row[node as usize] as usize * self.width;
        for (most, count) in maxima.iter_mut().zip(&self.rows[start..start + self.width]) {
            *most = (*most).max(*count);
        }
        let chain = frame.chain[node as usize];
        if chain != NONE {
            let most = &mut maxima[chain as usize];
            *most = (*most).max(frame.index[node as usize]);
        }
    }

    /// Whether one node is in the past of another. Only for nodes in chains.
    pub(crate) fn precedes(&self, frame: &Frame, one: u32, other: u32) -> bool {
        let chain = frame.chain[one as usize];
        chain != NONE && self.past(frame, other, chain) > frame.index[one as usize]
    }
}

/// Edges beside those of the frame and of reads-from. New ones wait until they are sealed.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    known: HashSet<(u32, u32), Quick>,
    edges: Vec<Edge>,
    /// Backwards: from targets to sources.
    sealed: Graph,
}

impl Extra {
    /// Adds an edge. Whether it is new.
    pub(crate) fn add(&mut self, from: u32, to: u32) -> bool {
        let is_new = self.known.insert((from, to));
        if is_new {
            self.edges.push((to, from, 0));
        }
        is_new
    }

    /// Makes all edges count.
    pub(crate) fn seal(&mut self, nodes: usize) {
        self.sealed = Graph::new(nodes, &self.edges);
    }

    /// How many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.edges.len() * 40
    }

    fn into(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let steps = if self.sealed.nodes() == 0 { &[] } else { self.sealed.from(node) };
        steps.iter().map(|(_, source)| *source)
    }

    /// All of them, source and target.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.edges.iter().map(|(to, from, _)| (*from, *to))
    }
}

/// What comes immediately before a node, except the node before it in its chain.
pub(crate) fn sources<'a>(
    registers: &'a Registers,
    frame: &'a Frame,
    extra: &'a Extra,
    node: u32,
) -> impl Iterator<Item = u32> + 'a {
    let across = Some(frame.across[node as usize]).filter(|across| *across != NONE);
    let writers = registers
        .reads_of(node)
        .iter()
        .filter(|read| read.write != INITIAL)
        .map(|read| registers.writes[read.write as usize].txn);
    across.into_iter().chain(writers).chain(extra.into(node))
}

/// Every node after what comes before it; `None` if that cannot be. Each chain is walked until it has to wait for a node of another.
fn topological(registers: &Registers, frame: &Frame, extra: &Extra) -> Option<Vec<u32>> {
    let count = registers.txns.len();
    let mut done = vec![false; count];
    let mut order = Vec::with_capacity(count);
    // Who waits for a node: a list through `next`, by node.
    let mut waiting = vec![NONE; count];
    let mut next = vec![NONE; count];
    let mut present = 0;
    let mut ready: Vec<u32> = Vec::new();
    for node in (0..count as u32).rev() {
        if registers.present[node as usize] {
            present += 1;
            if frame.before(node).is_none() {
                ready.push(node);
            }
        }
    }
    while let Some(node) = ready.pop() {
        let missing = sources(registers, frame, extra, node).find(|source| !done[*source as usize]);
        if let Some(missing) = missing {
            next[node as usize] = waiting[missing as usize];
            waiting[missing as usize] = node;
            continue;
        }
        done[node as usize] = true;
        order.push(node);
        let mut waiter = waiting[node as usize];
        while waiter != NONE {
            ready.push(waiter);
            waiter = next[waiter as usize];
        }
        let chain = frame.chain[node as usize];
        if chain != NONE {
            let place = frame.index[node as usize] as usize + 1;
            ready.extend(frame.chains[chain as usize].get(place));
        }
    }
    (order.len() == present).then_some(order)
}
