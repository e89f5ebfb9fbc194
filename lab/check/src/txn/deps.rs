//! The dependency graph of transactions: what must come before what, and why.
//!
//! Nodes below the number of transactions are transactions. Others are *helpers*: points in time, which let n transactions
//! before a moment precede m after it with n + m edges instead of n × m (the transitive reduction of real time), and sets of
//! writers, which do the same for anti-dependencies. Only transactions that took part are given edges: committed ones, and
//! those of unknown outcome whose writes were seen.

use std::collections::HashSet;

use crate::access::{NONE, Quick, Txns};
use crate::graph::{Edge, Graph, Step};
use crate::history::Outcome;

/// What an edge stands for. The number is part of the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dep {
    /// A write dependency: the target's version replaced the source's.
    Ww,
    /// A read dependency: the target read the source's version.
    Wr,
    /// An anti-dependency: the target replaced the version that the source read.
    Rw,
    /// The same process did the source first.
    Process,
    /// The source had completed before the target was invoked.
    Realtime,
    /// From a helper: the second half of an anti-dependency.
    Via,
    /// An anti-dependency if versions follow the order of a process.
    RwProcess,
    /// An anti-dependency if versions follow real time.
    RwRealtime,
}

impl Dep {
    const ALL: [Dep; 8] = [
        Dep::Ww,
        Dep::Wr,
        Dep::Rw,
        Dep::Process,
        Dep::Realtime,
        Dep::Via,
        Dep::RwProcess,
        Dep::RwRealtime,
    ];

    /// The kind in a label.
    pub(crate) fn of(label: u32) -> Dep {
        Dep::ALL[(label >> SHIFT) as usize]
    }

    fn label(self, slot: u32) -> u32 {
        let slot = if slot == NONE { MASK } else { slot };
        assert!(slot <= MASK, "a history of that size does not fit the labels");
        (self as u32) << SHIFT | slot
    }
}

const SHIFT: u32 = 29;
const MASK: u32 = (1 << SHIFT) - 1;

/// A version that a transaction installed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub key: u32,
    pub value: u32,
    /// The value that it replaced as far as known, or [`NONE`].
    pub before: u32,
}

/// Edges as they are collected.
#[derive(Debug)]
pub(crate) struct Deps {
    pub edges: Vec<Edge>,
    pub slots: Vec<Slot>,
    /// Transactions and helpers.
    pub nodes: u32,
    txns: u32,
    /// Which transactions took part.
    pub present: Vec<bool>,
}

impl Deps {
    /// Without edges; the committed transactions are present.
    pub(crate) fn new(txns: &Txns) -> Deps {
        let count = txns.len() as u32;
        let present = txns.txns.iter().map(|txn| txn.outcome == Outcome::Ok).collect();
        let edges = Vec::with_capacity(txns.micro_count() * 2);
        Deps { edges, slots: Vec::new(), nodes: count, txns: count, present }
    }

    /// Adds an edge between different transactions; a loop says nothing.
    pub(crate) fn add(&mut self, from: u32, to: u32, dep: Dep, slot: u32) {
        if from != to {
            self.edges.push((from, to, dep.label(slot)));
        }
    }

    /// Remembers a version, for explanations.
    pub(crate) fn slot(&mut self, key: u32, value: u32, before: u32) -> u32 {
        self.slots.push(Slot { key, value, before });
        self.slots.len() as u32 - 1
    }

    /// A new helper node.
    pub(crate) fn helper(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    /// Whether a node is a transaction.
    pub(crate) fn is_txn(&self, node: u32) -> bool {
        node < self.txns
    }

    /// Anti-dependencies from every reader of a version to every writer of a later one. Readers that write the key themselves are few
    /// and get edges of their own, so that none depends on itself; the others share a helper.
    pub(crate) fn anti(&mut self, readers: &[u32], writers: &[(u32, u32)], dep: Dep) {
        if readers.len() * writers.len() <= readers.len() + writers.len() + 8 {
            for reader in readers {
                for (writer, slot) in writers {
                    self.add(*reader, *writer, dep, *slot);
                }
            }
            return;
        }
        let writing: HashSet<u32, Quick> = writers.iter().map(|(writer, _)| *writer).collect();
        let (mixed, pure): (Vec<u32>, Vec<u32>) =
            readers.iter().partition(|reader| writing.contains(reader));
        for reader in mixed {
            for (writer, slot) in writers {
                self.add(reader, *writer, dep, *slot);
            }
        }
        if pure.is_empty() {
            return;
        }
        let helper = self.helper();
        for reader in pure {
            self.add(reader, helper, dep, NONE);
        }
        for (writer, slot) in writers {
            self.add(helper, *writer, Dep::Via, *slot);
        }
    }

    /// Adds the order of each process and of real time.
    pub(crate) fn add_orders(&mut self, txns: &Txns) {
        let mut last: std::collections::HashMap<i64, u32> = std::collections::HashMap::new();
        // What ends at a place of the history.
        let mut ends = vec![NONE; txns.events];
        for (number, txn) in txns.txns.iter().enumerate() {
            let number = number as u32;
            if !self.present[number as usize] {
                continue;
            }
            if let Some(before) = last.insert(txn.process, number) {
                self.add(before, number, Dep::Process, NONE);
            }
            if txn.outcome == Outcome::Ok {
                ends[txn.end as usize] = number;
            }
        }
        self.add_time(txns, &ends);
    }

    /// A chain of moments. A transaction that ends points to the next moment, and the last moment before an invocation points to it.
    fn add_time(&mut self, txns: &Txns, ends: &[u32]) {
        let mut moment = NONE;
        let mut ended: Vec<u32> = Vec::new();
        let mut place = 0;
        for (number, txn) in txns.txns.iter().enumerate() {
            if !self.present[number] {
                continue;
            }
            while place < txn.start as usize {
                if ends[place] != NONE {
                    ended.push(ends[place]);
                }
                place += 1;
            }
            if !ended.is_empty() {
                let next = self.helper();
                if moment != NONE {
                    self.add(moment, next, Dep::Realtime, NONE);
                }
                for before in ended.drain(..) {
                    self.add(before, next, Dep::Realtime, NONE);
                }
                moment = next;
            }
            if moment != NONE {
                self.add(moment, number as u32, Dep::Realtime, NONE);
            }
        }
    }

    /// The graph.
    pub(crate) fn graph(&self) -> Graph {
        Graph::new(self.nodes as usize, &self.edges)
    }

    /// Steps between transactions alone: what went over helpers becomes one step, with the kind of its first half and the version of the
    /// last. The walk begins and ends at a transaction.
    pub(crate) fn direct(&self, steps: &[Step]) -> Vec<(Dep, Option<Slot>, u32)> {
        let mut direct = Vec::new();
        let mut open: Option<Dep> = None;
        for &(label, to) in steps {
            let dep = *open.get_or_insert(Dep::of(label));
            if self.is_txn(to) {
                let slot = self.slots.get((label & MASK) as usize).copied();
                direct.push((dep, slot, to));
                open = None;
            }
        }
        assert!(open.is_none(), "the walk ends at a transaction");
        direct
    }
}
