//! Causal promises by their definitions over small relations: matrices, closures, no clocks.

use std::collections::BTreeMap;

use quorate_check::history::{History, Outcome, Value};

/// A relation: row `a` has bit `b` if `a` comes before `b`.
type Relation = Vec<u32>;

fn has(order: &Relation, a: usize, b: usize) -> bool {
    order[a] >> b & 1 == 1
}

/// Reads and writes of one node.
#[derive(Clone, Debug, Default)]
struct Node {
    process: i64,
    /// Key and writer; `None`: the initial value.
    reads: Vec<(Value, Option<usize>)>,
    writes: Vec<Value>,
}

/// Which pairs of one session are ordered.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub write_read: bool,
    pub read_read: bool,
    pub write_write: bool,
    pub read_write: bool,
}

/// All of them.
pub const ALL: Parts =
    Parts { write_read: true, read_read: true, write_write: true, read_write: true };

/// A history of single reads and writes with unique values.
pub struct Plain {
    nodes: Vec<Node>,
    /// A read of a value that nobody wrote.
    pub has_thin_air: bool,
}

impl Plain {
    pub fn new(history: &History) -> Plain {
        let operations = history.operations().expect("well-formed");
        let mut writers: BTreeMap<(Value, Value), usize> = BTreeMap::new();
        let mut read_values = Vec::new();
        let mut nodes = Vec::new();
        let mut has_thin_air = false;
        for operation in operations.iter().filter(|one| one.outcome != Outcome::Fail) {
            let invoke = &history.events[operation.start];
            let known = operation.outcome == Outcome::Ok;
            let mut node = Node { process: invoke.process, ..Node::default() };
            if &*invoke.f == "write" {
                node.writes.push(invoke.key.clone());
                writers.insert((invoke.key.clone(), invoke.value.clone()), nodes.len());
            } else if known {
                let answer = &history.events[operation.end.expect("completed")].value;
                read_values.push((nodes.len(), invoke.key.clone(), answer.clone()));
            }
            nodes.push(node);
        }
        for (place, key, value) in read_values {
            let writer = writers.get(&(key.clone(), value.clone())).copied();
            has_thin_air |= writer.is_none() && !value.is_nil();
            nodes[place].reads.push((key, writer));
        }
        Plain { nodes, has_thin_air }
    }

    fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Reads-from and the chosen parts of session order, closed.
    fn causal(&self, parts: Parts) -> Relation {
        let mut order = vec![0; self.count()];
        for (a, one) in self.nodes.iter().enumerate() {
            for (b, other) in self.nodes.iter().enumerate().skip(a + 1) {
                let kept = match (one.writes.is_empty(), other.writes.is_empty()) {
                    (false, true) => parts.write_read,
                    (true, true) => parts.read_read,
                    (false, false) => parts.write_write,
                    (true, false) => parts.read_write,
                };
                order[a] |= u32::from(kept && one.process == other.process) << b;
            }
        }
        for (b, node) in self.nodes.iter().enumerate() {
            for (_, writer) in &node.reads {
                if let Some(a) = writer {
                    order[*a] |= 1 << b;
                }
            }
        }
        close(&mut order);
        order
    }

    fn writes<'a>(&'a self, key: &'a Value) -> impl Iterator<Item = usize> + 'a {
        (0..self.count()).filter(move |node| self.nodes[*node].writes.contains(key))
    }

    fn reads(&self) -> impl Iterator<Item = (usize, &Value, Option<usize>)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.flat_map(|(node, it)| it.reads.iter().map(move |(key, writer)| (node, key, *writer)))
    }

    /// CC.
    pub fn weak(&self) -> bool {
        let order = self.causal(ALL);
        acyclic(&order) && self.consistent(&order)
    }

    fn consistent(&self, order: &Relation) -> bool {
        self.reads().all(|(reader, key, writer)| {
            self.writes(key)
                .filter(|other| has(order, *other, reader) && Some(*other) != writer)
                .all(|other| match writer {
                    None => false,
                    Some(writer) => !has(order, writer, other),
                })
        })
    }

    /// CCv, over a part of session order.
    pub fn convergent(&self, parts: Parts) -> bool {
        let order = self.causal(parts);
        let mut all = order.clone();
        for (reader, key, writer) in self.reads() {
            for other in self.writes(key).filter(|other| has(&order, *other, reader)) {
                match writer {
                    None => return false,
                    Some(writer) if writer != other => all[other] |= 1 << writer,
                    Some(_) => {}
                }
            }
        }
        close(&mut all);
        acyclic(&all)
    }

    /// CM: the happened-before of every single operation.
    pub fn memory(&self) -> bool {
        let order = self.causal(ALL);
        self.weak() && (0..self.count()).all(|last| self.own_order(&order, last))
    }

    fn own_order(&self, order: &Relation, last: usize) -> bool {
        let inside = |node: usize| node == last || has(order, node, last);
        let mut before = vec![0; self.count()];
        let mask: u32 = (0..self.count()).filter(|node| inside(*node)).map(|node| 1 << node).sum();
        for node in (0..self.count()).filter(|node| inside(*node)) {
            before[node] = order[node] & mask;
        }
        let own = |node: usize| {
            node == last
                || (has(order, node, last) && self.nodes[node].process == self.nodes[last].process)
        };
        loop {
            let old = before.clone();
            for (reader, key, writer) in self.reads().filter(|(reader, _, _)| own(*reader)) {
                for other in self.writes(key).filter(|other| has(&old, *other, reader)) {
                    match writer {
                        None => return false,
                        Some(writer) if writer != other => before[other] |= 1 << writer,
                        Some(_) => {}
                    }
                }
            }
            close(&mut before);
            if before == old {
                return acyclic(&before);
            }
        }
    }
}

fn close(order: &mut Relation) {
    for middle in 0..order.len() {
        for a in 0..order.len() {
            if has(order, a, middle) {
                order[a] |= order[middle];
            }
        }
    }
}

fn acyclic(order: &Relation) -> bool {
    (0..order.len()).all(|node| !has(order, node, node))
}
