//! Is there one order of all transactions in which every read sees the last write? The search, with a memory of dead ends.
//!
//! Deciding this is NP-complete (Papadimitriou 1979; Gibbons and Korach 1997), and most histories are easy: a depth-first search that
//! follows the order of invocations finds an order at once. Three things keep it from wandering. What is known about the order beforehand
//! (sessions, time, dependencies, see [`saturate`](super::saturate)) is a graph that it follows. A transaction that writes nothing
//! is taken as soon as it can be, since that never hurts. A value that still has readers and that nobody can write again is
//! not replaced. Dead ends (what was done, and the value of each key) are remembered as hashes of 128 bits.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::access::{MicroKind, NONE, Quick, Txns};
use crate::graph::Graph;
use crate::limits::Meter;
use crate::verdict::Reason;

/// What the search says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An order that explains everything.
    Order(Vec<u32>),
    /// There is none. How many were in order when the search had come furthest, and what kept the next ones out.
    Stuck { placed: usize, next: Vec<Blocked> },
    /// It was not found within the patience.
    GaveUp,
}

/// Why a transaction could not be next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub txn: u32,
    pub key: u32,
    /// The value of the key.
    pub now: u32,
    pub why: Why,
}

/// What is wrong with the value that a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The transaction read this one instead.
    Reads(u32),
    /// The transaction was refused because of another one.
    Refused,
    /// Somebody still has to read it.
    Replaces,
    /// The transaction contradicts itself.
    Impossible,
}

/// What takes part in a search.
pub(crate) struct Problem<'a> {
    pub txns: &'a Txns,
    /// Transactions that must be in the order.
    pub required: &'a [bool],
    /// Transactions that may be in it.
    pub optional: &'a [bool],
    /// What comes before what. Nodes beyond the transactions are helpers that stand for nothing themselves.
    pub order: &'a Graph,
    /// After how many dead ends to give up.
    pub patience: usize,
}

/// Searches.
///
/// # Errors
///
/// The limits.
pub(crate) fn search(problem: &Problem, meter: &Meter) -> Result<Found, Reason> {
    let mut search = Search::new(problem);
    search.run(meter)
}

/// A version: a key with a value, by number.
type Version = u32;

/// What a transaction needs and does.
#[derive(Clone, Debug, Default)]
struct Step {
    needs: Vec<(u32, Version)>,
    /// A compare-and-set that was refused: the key holds anything but this.
    avoids: Vec<(u32, Version)>,
    writes: Vec<(u32, Version)>,
    /// It contradicts itself.
    impossible: bool,
}

/// A taken step: what it replaced is on the trail.
struct Frame {
    node: u32,
    /// Nothing else needs to be tried in its place.
    forced: bool,
}

struct Search<'a> {
    problem: &'a Problem<'a>,
    steps: Vec<Step>,
    /// By node: how many nodes before it are not done.
    waits: Vec<u32>,
    /// Nodes with nothing before them, by rank: helpers first, then by number.
    ready: BTreeSet<(bool, u32)>,
    /// By key: the version that it holds.
    now: Vec<Version>,
    /// By version: readers and writers that are not done.
    readers: Vec<u32>,
    writers: Vec<u32>,
    left: usize,
    hash: u128,
    dead: HashSet<u128, Quick>,
    frames: Vec<Frame>,
    trail: Vec<(u32, Version)>,
    furthest: (usize, Vec<Blocked>),
    /// By version: its value.
    values: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem<'a>) -> Search<'a> {
        let nodes = problem.order.nodes();
        let keys = problem.txns.keys.len();
        let mut versions = Versions { numbers: HashMap::with_hasher(Quick::default()) };
        // The initial values come first: version k is the initial one of key k.
        for key in 0..keys as u32 {
            versions.number(key, NONE);
        }
        let takes_part = |node: u32| {
            let at = node as usize;
            at >= problem.txns.len() || problem.required[at] || problem.optional[at]
        };
        let mut steps = vec![Step::default(); nodes];
        for node in (0..problem.txns.len() as u32).filter(|node| takes_part(*node)) {
            steps[node as usize] = step(problem.txns, node, &mut versions);
        }
        let mut search = Search {
            problem,
            steps,
            waits: vec![0; nodes],
            ready: BTreeSet::new(),
            now: (0..keys as u32).collect(),
            readers: vec![0; versions.numbers.len()],
            writers: vec![0; versions.numbers.len()],
            left: problem.required.iter().filter(|required| **required).count(),
            hash: 0,
            dead: HashSet::with_hasher(Quick::default()),
            frames: Vec::new(),
            trail: Vec::new(),
            furthest: (0, Vec::new()),
            values: versions.values(),
        };
        for node in 0..nodes as u32 {
            for (_, to) in problem.order.from(node) {
                search.waits[*to as usize] += 1;
            }
            search.count(node, 1);
        }
        for node in (0..nodes as u32).filter(|node| takes_part(*node)) {
            if search.waits[node as usize] == 0 {
                search.ready.insert(search.rank(node));
            }
        }
        search
    }

    /// Counts readers and writers of versions up or down.
    fn count(&mut self, node: u32, by: i32) {
        let step = &self.steps[node as usize];
        // An optional transaction need not happen: nobody waits for its reads.
        if self.problem.required.get(node as usize).is_some_and(|required| *required) {
            for (_, version) in &step.needs {
                let count = &mut self.readers[*version as usize];
                *count = count.wrapping_add_signed(by);
            }
        }
        for (_, version) in &step.writes {
            let count = &mut self.writers[*version as usize];
            *count = count.wrapping_add_signed(by);
        }
    }

    fn rank(&self, node: u32) -> (bool, u32) {
        ((node as usize) < self.problem.txns.len(), node)
    }

    fn run(&mut self, meter: &Meter) -> Result<Found, Reason> {
        let mut after: Option<(bool, u32)> = None;
        let mut looks = 0u64;
        loop {
            if self.left == 0 {
                let txns = self.problem.txns.len() as u32;
                let order = self.frames.iter().map(|frame| frame.node).filter(|node| *node < txns);
                return Ok(Found::Order(order.collect()));
            }
            let dead = after.is_none() && !self.dead.is_empty() && self.dead.contains(&self.hash);
            let next = if dead { None } else { self.next(after, &mut looks) };
            if looks >= 4096 {
                looks = 0;
                meter.check(self.dead.len() * 40)?;
            }
            if let Some(node) = next {
                self.take(node);
                after = None;
                continue;
            }
            if self.frames.len() > self.furthest.0 || self.furthest.1.is_empty() {
                let blocked = self.ready.iter().filter_map(|(_, node)| self.blocked(*node));
                self.furthest = (self.frames.len(), blocked.take(64).collect());
            }
            if !dead {
                self.dead.insert(self.hash);
            }
            if self.dead.len() > self.problem.patience {
                return Ok(Found::GaveUp);
            }
            loop {
                let Some(frame) = self.frames.pop() else {
                    let (placed, next) = std::mem::take(&mut self.furthest);
                    return Ok(Found::Stuck { placed, next });
                };
                self.undo(frame.node);
                if !frame.forced {
                    after = Some(self.rank(frame.node));
                    break;
                }
                self.dead.insert(self.hash);
            }
        }
    }

    /// The next node that can be taken, beginning after the one that was tried last.
    fn next(&self, after: Option<(bool, u32)>, looks: &mut u64) -> Option<u32> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.ready.range((from, Unbounded)).map(|(_, node)| *node).find(|node| {
            *looks += 1;
            self.can_take(*node)
        })
    }

    fn can_take(&self, node: u32) -> bool {
        self.blocked(node).is_none()
    }

    /// What keeps a transaction from being next.
    fn blocked(&self, node: u32) -> Option<Blocked> {
        let step = &self.steps[node as usize];
        let now = |key: u32| self.now[key as usize];
        let value = |version: Version| self.values[version as usize];
        let because = |key: u32, why| Some(Blocked { txn: node, key, now: value(now(key)), why });
        if step.impossible {
            return because(step.needs.first().or(step.writes.first())?.0, Why::Impossible);
        }
        if let Some((key, version)) = step.needs.iter().find(|(key, v)| now(*key) != *v) {
            return because(*key, Why::Reads(value(*version)));
        }
        if let Some((key, _)) = step.avoids.iter().find(|(key, v)| now(*key) == *v) {
            return because(*key, Why::Refused);
        }
        let (key, _) = step.writes.iter().find(|(key, _)| {
            let replaced = now(*key);
            let required = self.problem.required[node as usize];
            let own = u32::from(required && step.needs.contains(&(*key, replaced)));
            self.readers[replaced as usize] != own && self.writers[replaced as usize] == 0
        })?;
        because(*key, Why::Replaces)
    }

    fn take(&mut self, node: u32) {
        self.ready.remove(&self.rank(node));
        let forced = self.steps[node as usize].writes.is_empty();
        self.frames.push(Frame { node, forced });
        self.count(node, -1);
        for place in 0..self.steps[node as usize].writes.len() {
            let (key, version) = self.steps[node as usize].writes[place];
            let old = std::mem::replace(&mut self.now[key as usize], version);
            self.trail.push((key, old));
            self.hash ^= mix(key, old) ^ mix(key, version);
        }
        self.hash ^= mix(u32::MAX, node);
        self.left -= usize::from(self.problem.required.get(node as usize).is_some_and(|r| *r));
        for place in 0..self.problem.order.from(node).len() {
            let (_, to) = self.problem.order.from(node)[place];
            self.waits[to as usize] -= 1;
            if self.waits[to as usize] == 0 {
                self.ready.insert(self.rank(to));
            }
        }
    }

    fn undo(&mut self, node: u32) {
        for (_, to) in self.problem.order.from(node) {
            if self.waits[*to as usize] == 0 {
                self.ready.remove(&self.rank(*to));
            }
            self.waits[*to as usize] += 1;
        }
        self.left += usize::from(self.problem.required.get(node as usize).is_some_and(|r| *r));
        self.hash ^= mix(u32::MAX, node);
        for _ in 0..self.steps[node as usize].writes.len() {
            let (key, old) = self.trail.pop().expect("what was taken is on the trail");
            let version = std::mem::replace(&mut self.now[key as usize], old);
            self.hash ^= mix(key, old) ^ mix(key, version);
        }
        self.count(node, 1);
        self.ready.insert(self.rank(node));
    }
}

struct Versions {
    numbers: HashMap<(u32, u32), Version, Quick>,
}

impl Versions {
    fn values(&self) -> Vec<u32> {
        let mut values = vec![NONE; self.numbers.len()];
        for ((_, value), version) in &self.numbers {
            values[*version as usize] = *value;
        }
        values
    }

    fn number(&mut self, key: u32, value: u32) -> Version {
        let next = self.numbers.len() as u32;
        *self.numbers.entry((key, value)).or_insert(next)
    }
}

/// What a transaction needs from others, and what it leaves.
fn step(txns: &Txns, node: u32, versions: &mut Versions) -> Step {
    let mut step = Step::default();
    for micro in txns.micros(node) {
        let key = micro.key;
        let own = step.writes.iter().position(|(written, _)| *written == key);
        match micro.kind {
            MicroKind::Write(value) => {
                let version = versions.number(key, value);
                match own {
                    Some(place) => step.writes[place].1 = version,
                    None => step.writes.push((key, version)),
                }
            }
            MicroKind::Value(value) => {
                let version = versions.number(key, value);
                match own {
                    Some(place) => step.impossible |= step.writes[place].1 != version,
                    None => {
                        let other = |need: &(u32, Version)| need.0 == key && need.1 != version;
                        step.impossible |= step.needs.iter().any(other);
                        if !step.needs.contains(&(key, version)) {
                            step.needs.push((key, version));
                        }
                    }
                }
            }
            MicroKind::Not(value) => step.avoids.push((key, versions.number(key, value))),
            MicroKind::Append(_) | MicroKind::List(_, _) | MicroKind::Unknown => {}
        }
    }
    step
}

/// 128 bits for a pair of numbers (two rounds of splitmix64).
fn mix(one: u32, other: u32) -> u128 {
    let seed = u64::from(one) << 32 | u64::from(other);
    let half = |salt: u64| {
        let mut bits = seed.wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    };
    u128::from(half(0x243F_6A88_85A3_08D3)) << 64 | u128::from(half(0x1319_8A2E_0370_7344))
}
