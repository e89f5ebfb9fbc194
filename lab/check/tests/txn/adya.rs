//! Adya's conditions for lists, by definition: every pair of transactions, every kind of edge, closures of small matrices.

use quorate_check::history::{History, Operation, Outcome, Value};
use quorate_check::txn::level::Level;

/// An append: transaction, key, element, whether it is the transaction's last to the key.
struct Append {
    txn: usize,
    key: Value,
    element: Value,
    last: bool,
}

/// A read by a committed transaction.
struct Read {
    txn: usize,
    key: Value,
    list: Vec<Value>,
    /// What the transaction did to the key before: `None` for nothing, else what it must have read, or how that must end.
    own: Option<Result<Vec<Value>, Vec<Value>>>,
    /// Whether it had appended to the key before, and does so later.
    appended: bool,
    appends: bool,
}

pub struct Adya {
    ww: Vec<u32>,
    wr: Vec<u32>,
    rw: Vec<u32>,
    process: Vec<u32>,
    realtime: Vec<u32>,
    uncommitted: bool,
    committed: bool,
    snapshot: bool,
}

impl Adya {
    pub fn new(history: &History) -> Adya {
        let operations = history.operations().expect("well-formed");
        let (appends, reads) = accesses(history, &operations);
        let none = vec![0; operations.len()];
        let mut adya = Adya {
            ww: none.clone(),
            wr: none.clone(),
            rw: none.clone(),
            process: none.clone(),
            realtime: none,
            uncommitted: true,
            committed: true,
            snapshot: true,
        };
        let mut present: Vec<bool> =
            operations.iter().map(|one| one.outcome == Outcome::Ok).collect();
        let mut keys: Vec<&Value> = appends.iter().map(|append| &append.key).collect();
        keys.extend(reads.iter().map(|read| &read.key));
        keys.sort();
        keys.dedup();
        for append in &appends {
            let seen = reads.iter().any(|read| {
                let longest = longest(&reads, &read.key);
                read.key == append.key && longest.contains(&append.element)
            });
            present[append.txn] |= seen && operations[append.txn].outcome == Outcome::Unknown;
        }
        for key in keys {
            adya.key(key, &appends, &reads, &operations, &present);
        }
        adya.orders(history, &operations, &present);
        adya
    }

    /// Everything about one key.
    fn key(
        &mut self,
        key: &Value,
        appends: &[Append],
        reads: &[Read],
        operations: &[Operation],
        present: &[bool],
    ) {
        let appends: Vec<&Append> = appends.iter().filter(|append| append.key == *key).collect();
        let writer = |element: &Value| appends.iter().find(|append| append.element == *element);
        let order = longest(reads, key);
        for (place, element) in order.iter().enumerate() {
            self.uncommitted &= writer(element).is_some() && !order[..place].contains(element);
        }
        let is_ok = |element: &Value| {
            writer(element).is_some_and(|append| operations[append.txn].outcome != Outcome::Fail)
        };
        let mut installed: Vec<&Append> = Vec::new();
        for element in order.iter().filter(|element| is_ok(element)) {
            let append = writer(element).expect("somebody appended it");
            if !installed.iter().any(|other| other.element == append.element) {
                installed.push(append);
            }
        }
        for pair in installed.windows(2) {
            edge(&mut self.ww, pair[0].txn, pair[1].txn);
        }
        let hidden: Vec<&&Append> = appends
            .iter()
            .filter(|append| present[append.txn] && !order.contains(&append.element))
            .collect();
        for append in &hidden {
            if let Some(tail) = installed.last() {
                edge(&mut self.ww, tail.txn, append.txn);
            }
        }
        let mut updates: Vec<(usize, usize)> = Vec::new();
        for read in reads.iter().filter(|read| read.key == *key) {
            self.snapshot &= match &read.own {
                None => true,
                Some(Ok(exact)) => read.list == *exact,
                Some(Err(end)) => read.list.ends_with(end),
            };
            if !order.starts_with(&read.list) {
                self.committed = false;
                continue;
            }
            let aborted = |element: &&Value| {
                writer(element)
                    .is_some_and(|append| operations[append.txn].outcome == Outcome::Fail)
            };
            self.committed &= !read.list.iter().any(|element| aborted(&element));
            if read.appended {
                continue;
            }
            let own = appends.iter().filter(|append| append.txn == read.txn);
            self.snapshot &= !own.clone().any(|append| read.list.contains(&append.element));
            if let Some(append) = read.list.last().filter(|last| is_ok(last)).and_then(writer) {
                self.committed &= append.last || append.txn == read.txn;
                edge(&mut self.wr, append.txn, read.txn);
            }
            let next = order[read.list.len()..].iter().find(|element| is_ok(element));
            match next.and_then(writer) {
                Some(append) => edge(&mut self.rw, read.txn, append.txn),
                None => hidden.iter().for_each(|append| edge(&mut self.rw, read.txn, append.txn)),
            }
            if read.appends {
                let version = read.list.len();
                self.snapshot &= !updates.iter().any(|(v, txn)| *v == version && *txn != read.txn);
                updates.push((version, read.txn));
            }
        }
    }

    fn orders(&mut self, history: &History, operations: &[Operation], present: &[bool]) {
        let process = |one: &Operation| history.events[one.start].process;
        for (a, one) in operations.iter().enumerate().filter(|(a, _)| present[*a]) {
            for (b, other) in operations.iter().enumerate().filter(|(b, _)| present[*b]) {
                if process(one) == process(other) && a < b {
                    edge(&mut self.process, a, b);
                }
                if one.precedes(other) {
                    edge(&mut self.realtime, a, b);
                }
            }
        }
    }

    /// Whether the level's conditions hold.
    pub fn keeps(&self, level: Level) -> bool {
        let dependencies = union(&self.ww, &self.wr);
        let committed = self.uncommitted && self.committed && acyclic(&dependencies);
        match level {
            Level::ReadUncommitted => self.uncommitted && acyclic(&self.ww),
            Level::ReadCommitted => committed,
            Level::SnapshotIsolation => committed && self.snapshot(&dependencies),
            Level::StrongSessionSnapshotIsolation => {
                committed && self.snapshot(&union(&dependencies, &self.process))
            }
            Level::StrongSnapshotIsolation => {
                let ordered = union(&dependencies, &union(&self.process, &self.realtime));
                committed && self.snapshot(&ordered)
            }
            Level::RepeatableRead => {
                committed && self.snapshot && acyclic(&union(&dependencies, &self.rw))
            }
            Level::Serializable | Level::StrongSessionSerializable | Level::StrictSerializable => {
                panic!("those are decided by trying every order")
            }
        }
    }

    /// No cycle in which every anti-dependency comes after something else.
    fn snapshot(&self, dependencies: &[u32]) -> bool {
        let mut composed = dependencies.to_vec();
        for (a, row) in dependencies.iter().enumerate() {
            for middle in (0..dependencies.len()).filter(|middle| row >> middle & 1 == 1) {
                composed[a] |= self.rw[middle];
            }
        }
        self.snapshot && acyclic(&composed)
    }
}

fn longest(reads: &[Read], key: &Value) -> Vec<Value> {
    let lists = reads.iter().filter(|read| read.key == *key).map(|read| &read.list);
    lists.max_by_key(|list| list.len()).cloned().unwrap_or_default()
}

fn edge(relation: &mut [u32], from: usize, to: usize) {
    if from != to {
        relation[from] |= 1 << to;
    }
}

fn union(one: &[u32], other: &[u32]) -> Vec<u32> {
    one.iter().zip(other).map(|(a, b)| a | b).collect()
}

fn acyclic(relation: &[u32]) -> bool {
    let mut closed = relation.to_vec();
    for middle in 0..closed.len() {
        for a in 0..closed.len() {
            if closed[a] >> middle & 1 == 1 {
                closed[a] |= closed[middle];
            }
        }
    }
    closed.iter().enumerate().all(|(node, row)| row >> node & 1 == 0)
}

fn accesses(history: &History, operations: &[Operation]) -> (Vec<Append>, Vec<Read>) {
    let (mut appends, mut reads) = (Vec::new(), Vec::new());
    for (txn, operation) in operations.iter().enumerate() {
        let ok = operation.outcome == Outcome::Ok;
        let place = if ok { operation.end.expect("completed") } else { operation.start };
        let micros: Vec<(bool, Value, Value)> = history.events[place]
            .value
            .as_list()
            .expect("a list")
            .iter()
            .map(|micro| {
                let parts = micro.as_list().expect("a micro-operation");
                (parts[0].as_name() == Some("append"), parts[1].clone(), parts[2].clone())
            })
            .collect();
        for (at, (is_append, key, value)) in micros.iter().enumerate() {
            let same = |micro: &&(bool, Value, Value)| micro.1 == *key;
            let later = micros[at + 1..].iter().filter(same).any(|micro| micro.0);
            if *is_append {
                let (key, element) = (key.clone(), value.clone());
                appends.push(Append { txn, key, element, last: !later });
                continue;
            }
            if !ok {
                continue;
            }
            let list = |value: &Value| value.as_list().unwrap_or(&[]).to_vec();
            let earlier: Vec<_> = micros[..at].iter().filter(same).collect();
            let mut own: Option<Result<Vec<Value>, Vec<Value>>> = None;
            for (is_append, _, value) in &earlier {
                own = Some(match (is_append, own) {
                    (false, _) => Ok(list(value)),
                    (true, None) => Err(vec![value.clone()]),
                    (true, Some(Ok(mut exact))) => {
                        exact.push(value.clone());
                        Ok(exact)
                    }
                    (true, Some(Err(mut end))) => {
                        end.push(value.clone());
                        Err(end)
                    }
                });
            }
            let appended = earlier.iter().any(|micro| micro.0);
            let (key, list) = (key.clone(), list(value));
            reads.push(Read { txn, key, list, own, appended, appends: later });
        }
    }
    (appends, reads)
}
