//! The search for a linearization.
//!
//! Wing and Gong (1993) look for an order of the operations that respects real time and that the object could have
//! gone through, one operation after another: any operation may be next that was invoked before the first completion
//! among those that are left. Lowe (2017) adds the list of calls and returns with constant-time undo, and remembers
//! configurations (which operations are linearized, in which state), since what lies beyond one does not depend on the
//! way to it.
//!
//! Four reductions make it near-linear on most histories. None changes a verdict; each is an exchange argument:
//!
//! 1. *Pure operations first.* A read that is possible in the present state is linearized at once: moving it to the
//!    front of any linearization of the rest changes no state.
//! 2. *Twins.* Of operations with the same argument and answer that may be next, only the one that completes first is
//!    tried: in a linearization that takes the other first, the two may be swapped.
//! 3. *Unknown operations are no part of the list.* They are optional and never end, so they are counted per kind and
//!    taken in the order of their starts (they are twins), last of all candidates, and only if they change the state
//!    to one that somebody may see ([`Spec::is_worth_reaching`]). Chains of them are tried the shortest first (see
//!    `unknown.rs`).
//! 4. *Dominance.* A configuration is dropped if one with the same completed operations and the same state was entered
//!    having spent at most as many unknown operations of each kind: those not spent may still never happen.

use std::collections::{HashMap, VecDeque};

use super::links::{Entry, Links};
use super::seen::{MixBuilder, Seen, States};
use super::spec::{Item, NEVER, Spec};
use crate::limits::{Gauge, Meter};
use crate::verdict::Reason;

mod unknown;

/// How many configurations are entered between two looks at the limits.
const STEPS_PER_CHECK: u64 = 1024;

/// Marks a step that is a kind of unknown operation instead of a completed operation.
const UNKNOWN: u32 = 1 << 31;

/// What a chain that waits takes: a vector of a few numbers, and the allocator's share.
const CHAIN_BYTES: usize = 64;

/// Unknown operations of a kind are counted in a byte; more of them are treated as another kind, which costs time only.
const SPENT_MAX: usize = 255;

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A linearization: places in the items, in order. Unknown operations that are missing never happened.
    Linearizable(Vec<usize>),
    /// There is none.
    Impossible,
    /// A limit stopped it.
    Stopped(Stop),
}

/// Why a search stopped early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The judge's limits.
    Limit(Reason),
    /// The bound on configurations that this search was given.
    Steps,
}

/// What a search may use.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// The judge's limits.
    pub meter: &'a Meter,
    /// Bytes that other searches hold at the same time: the memory limit is divided by this number.
    pub share: usize,
    /// The most configurations to enter.
    pub steps: u64,
    /// Told about completed operations as the search gets deeper.
    pub gauge: Option<&'a Gauge>,
}

/// Unknown operations with the same argument, by start.
struct Class {
    class: u32,
    items: Vec<u32>,
}

/// Sequences of unknown operations to try from a configuration, the shortest first. Kinds are places in `unknown`.
#[derive(Default)]
struct Chains {
    /// The kinds that may be used, once they are known.
    kinds: Option<Vec<u32>>,
    queue: VecDeque<Vec<u32>>,
}

/// A configuration on the way.
struct Frame {
    state: u32,
    /// How long the trail was before the step into this configuration; the low and high mark then.
    trail: usize,
    low: u32,
    high: u32,
    /// Where its candidates begin; they end where those of the next frame begin.
    candidates: usize,
    /// The first completion among what is left: only what was invoked before may be next.
    deadline: u32,
    /// The unknown operations to try after the candidates, once they are asked for. `None` for a frame that was
    /// entered through a chain: the frame below goes on with it.
    chains: Option<Chains>,
}

/// A search over the operations of one part.
pub struct Search<'a, S: Spec> {
    spec: &'a S,
    items: &'a [Item<S::Op>],
    bounds: Bounds<'a>,
    /// Completed operations by start: places in the items. "Operation 5" is the fifth of these.
    known: Vec<u32>,
    /// For each completed operation its class; twins share one.
    class: Vec<u32>,
    unknown: Vec<Class>,
    spent: Vec<u8>,
    links: Links,
    states: States<S::State>,
    seen: Seen,
    /// Which completed operations are linearized: all below `low`, none from `high` on.
    done: Vec<u64>,
    low: u32,
    high: u32,
    /// Steps so far, in order.
    trail: Vec<u32>,
    frames: Vec<Frame>,
    candidates: Vec<u32>,
    /// For each class the last `stamp` under which it was a candidate, and where among the candidates.
    stamps: Vec<(u64, usize)>,
    steps: u64,
    stamp: u64,
    deepest: usize,
    key: Vec<u64>,
    /// How many chains wait in all frames.
    queued: usize,
    /// Whether no configuration was entered from the last one.
    is_leaf: bool,
    partials: Option<Partials>,
}

/// The longest partial linearizations that a failing search met: for each item the longest one that contains it.
#[derive(Clone, Debug, Default)]
pub struct Partials {
    /// Sequences of places in the items, each once.
    pub sequences: Vec<Vec<usize>>,
    longest: Vec<usize>,
}

impl<'a, S: Spec> Search<'a, S> {
    /// Prepares a search; items must be sorted by start.
    pub fn new(spec: &'a S, items: &'a [Item<S::Op>], bounds: Bounds<'a>) -> Search<'a, S> {
        assert!(items.is_sorted_by_key(|item| item.start), "items come in the order of starts");
        let mut classes: HashMap<&S::Op, u32, MixBuilder> = HashMap::default();
        let (mut known, mut class, mut unknown) = (Vec::new(), Vec::new(), Vec::<Class>::new());
        let mut open: HashMap<u32, usize, MixBuilder> = HashMap::default();
        for (place, item) in items.iter().enumerate() {
            let fresh = classes.len() as u32;
            let number = *classes.entry(&item.op).or_insert(fresh);
            if item.is_known() {
                known.push(place as u32);
                class.push(number);
                continue;
            }
            if spec.is_pure(&item.op) {
                continue;
            }
            let kind = open.get(&number).copied();
            let kind = kind.filter(|kind| unknown[*kind].items.len() < SPENT_MAX);
            let kind = kind.unwrap_or_else(|| {
                unknown.push(Class { class: number, items: Vec::new() });
                open.insert(number, unknown.len() - 1);
                unknown.len() - 1
            });
            unknown[kind].items.push(place as u32);
        }
        assert!(known.len() < UNKNOWN as usize, "completed operations are counted in 31 bits");
        let interval = |place: &u32| (items[*place as usize].start, items[*place as usize].end);
        let links = Links::new(&known.iter().map(interval).collect::<Vec<_>>());
        Search {
            spec,
            items,
            bounds,
            class,
            spent: vec![0; unknown.len()],
            links,
            states: States::new(),
            seen: Seen::new(unknown.len()),
            done: vec![0; known.len() / 64 + 1],
            stamps: vec![(0, 0); classes.len()],
            known,
            unknown,
            low: 0,
            high: 0,
            trail: Vec::new(),
            frames: Vec::new(),
            candidates: Vec::new(),
            steps: 0,
            stamp: 0,
            deepest: 0,
            key: Vec::new(),
            queued: 0,
            is_leaf: false,
            partials: None,
        }
    }

    /// Keeps the longest partial linearizations while searching.
    pub fn recording(mut self) -> Search<'a, S> {
        let longest = vec![0; self.items.len()];
        self.partials = Some(Partials { sequences: Vec::new(), longest });
        self
    }

    /// How many configurations were remembered.
    pub fn configurations(&self) -> usize {
        self.seen.len()
    }

    /// The longest partial linearizations, if they were recorded.
    pub fn into_partials(self) -> Partials {
        let mut partials = self.partials.unwrap_or_default();
        let Partials { sequences, longest } = &mut partials;
        // A sequence that was the longest once may have been surpassed for all of its items.
        sequences.retain(|sequence| sequence.iter().any(|item| longest[*item] == sequence.len()));
        partials
    }

    /// Searches.
    pub fn run(&mut self) -> Outcome {
        let initial = self.number(self.spec.initial());
        let root = self.frame(initial);
        if self.descend(root, 0) {
            return self.linearization();
        }
        while let Some(frame) = self.frames.last() {
            let (state, from) = (frame.state, frame.candidates);
            if self.candidates.len() == from
                && let Some(chain) = self.next_chain()
            {
                if self.try_chain(chain) {
                    return self.linearization();
                }
                if let Some(stop) = self.look_at_limits() {
                    return Outcome::Stopped(stop);
                }
                continue;
            }
            if self.candidates.len() == from {
                // Nothing new was entered from here: a way ends.
                if std::mem::take(&mut self.is_leaf) {
                    self.note_partial();
                }
                let frame = self.frames.pop().expect("it was just looked at");
                self.queued -= frame.chains.as_ref().map_or(0, |chains| chains.queue.len());
                self.undo(&frame);
                continue;
            }
            let candidate = self.candidates.pop().expect("there is at least one");
            let Some(next) = self.spec.step(self.states.get(state), self.op(candidate)) else {
                continue;
            };
            let next = self.number(next);
            let frame = self.frame(next);
            self.take(candidate);
            if self.descend(frame, 0) {
                return self.linearization();
            }
            if let Some(stop) = self.look_at_limits() {
                return Outcome::Stopped(stop);
            }
        }
        Outcome::Impossible
    }

    fn number(&mut self, state: S::State) -> u32 {
        self.states.number(state, |state| self.spec.heap_bytes(state))
    }

    /// The frame of a configuration that is about to be entered.
    fn frame(&self, state: u32) -> Frame {
        let (trail, low, high) = (self.trail.len(), self.low, self.high);
        let candidates = self.candidates.len();
        Frame { state, trail, low, high, candidates, deadline: NEVER, chains: None }
    }

    fn op(&self, operation: u32) -> &'a S::Op {
        &self.items[self.known[operation as usize] as usize].op
    }

    /// Linearizes a candidate next.
    fn take(&mut self, candidate: u32) {
        self.trail.push(candidate);
        if candidate & UNKNOWN != 0 {
            self.spent[(candidate ^ UNKNOWN) as usize] += 1;
            return;
        }
        self.links.lift(candidate);
        self.done[candidate as usize / 64] |= 1 << (candidate % 64);
        self.high = self.high.max(candidate + 1);
        while self.low < self.high && self.done[self.low as usize / 64] >> (self.low % 64) & 1 == 1
        {
            self.low += 1;
        }
    }

    /// Takes back everything since the step into a frame.
    fn undo(&mut self, frame: &Frame) {
        while self.trail.len() > frame.trail {
            let step = self.trail.pop().expect("the trail is longer than the mark");
            if step & UNKNOWN != 0 {
                self.spent[(step ^ UNKNOWN) as usize] -= 1;
            } else {
                self.links.unlift(step);
                self.done[step as usize / 64] &= !(1 << (step % 64));
            }
        }
        (self.low, self.high) = (frame.low, frame.high);
    }

    /// Enters a configuration: takes the pure operations that are possible, and pushes the frame with its candidates
    /// unless it is known to lead nowhere. `chain` is the length of the chain of unknown operations that led here.
    /// True: nothing is left to linearize.
    fn descend(&mut self, mut frame: Frame, chain: usize) -> bool {
        self.steps += 1;
        self.stamp += 1;
        assert!(self.candidates.len() == frame.candidates);
        // The last entry that stays in the list; what follows it is looked at next, also after a lift.
        let mut before = Links::HEAD;
        while let Some(entry) = self.links.after(before) {
            let operation = match self.links.entry(entry) {
                Entry::Call(operation) => operation,
                Entry::Return(operation) => {
                    frame.deadline = self.end_of(operation);
                    break;
                }
            };
            let op = self.op(operation);
            if !self.spec.is_pure(op) {
                self.propose(operation, frame.candidates);
            } else if self.spec.allows(self.states.get(frame.state), op) {
                self.take(operation);
                continue;
            }
            before = entry;
        }
        if frame.deadline == NEVER {
            return true;
        }
        if !self.is_new(frame.state) {
            self.candidates.truncate(frame.candidates);
            self.undo(&frame);
            return false;
        }
        // The first to try is the last.
        let (known, items) = (&self.known, self.items);
        let end = |operation: &u32| items[known[*operation as usize] as usize].end;
        self.candidates[frame.candidates..]
            .sort_by_key(|operation| std::cmp::Reverse(end(operation)));
        // A chain that let something happen ends; another begins here.
        let has_happened = self.trail.len() > frame.trail + chain;
        if !self.unknown.is_empty() && (chain == 0 || has_happened) {
            frame.chains = Some(Chains::default());
        }
        self.frames.push(frame);
        self.is_leaf = true;
        false
    }

    /// Adds a completed operation to the candidates, unless a twin that completes earlier is there.
    fn propose(&mut self, operation: u32, from: usize) {
        let stamp = &mut self.stamps[self.class[operation as usize] as usize];
        if stamp.0 != self.stamp {
            *stamp = (self.stamp, self.candidates.len());
            self.candidates.push(operation);
            return;
        }
        assert!(stamp.1 >= from, "a stamp of this step is about its candidates");
        let at = stamp.1;
        if self.end_of(operation) < self.end_of(self.candidates[at]) {
            self.candidates[at] = operation;
        }
    }

    fn end_of(&self, operation: u32) -> u32 {
        self.items[self.known[operation as usize] as usize].end
    }

    /// Notes the present configuration; false if it is known to lead nowhere.
    fn is_new(&mut self, state: u32) -> bool {
        let low = self.low / 64;
        let high = self.high.div_ceil(64).max(low);
        self.key.clear();
        self.key.push(u64::from(low) | u64::from(state) << 32);
        self.key.extend_from_slice(&self.done[low as usize..high as usize]);
        self.seen.insert(&self.key, &self.spent)
    }

    fn look_at_limits(&mut self) -> Option<Stop> {
        if self.steps > self.bounds.steps {
            return Some(Stop::Steps);
        }
        if !self.steps.is_multiple_of(STEPS_PER_CHECK) {
            return None;
        }
        let deepest = self.low as usize;
        if let Some(gauge) = self.bounds.gauge.filter(|_| deepest > self.deepest) {
            gauge.add((deepest - self.deepest) as u64);
            self.deepest = deepest;
        }
        let bytes = self.seen.bytes() + self.states.bytes() + self.queued * CHAIN_BYTES;
        self.bounds.meter.check(bytes * self.bounds.share).err().map(Stop::Limit)
    }

    /// How many completed operations the gauge was told of.
    pub fn told(&self) -> usize {
        self.deepest
    }

    /// The trail as places in the items.
    fn places(&self) -> Vec<usize> {
        let mut spent = vec![0; self.unknown.len()];
        let place = |step: &u32| {
            if step & UNKNOWN == 0 {
                return self.known[*step as usize] as usize;
            }
            let kind = (step ^ UNKNOWN) as usize;
            spent[kind] += 1;
            self.unknown[kind].items[spent[kind] - 1] as usize
        };
        self.trail.iter().map(place).collect()
    }

    fn linearization(&self) -> Outcome {
        Outcome::Linearizable(self.places())
    }

    /// At a dead end: keeps the way here if it is the longest so far for one of its items.
    fn note_partial(&mut self) {
        if self.partials.is_none() {
            return;
        }
        let places = self.places();
        let Some(partials) = &mut self.partials else { return };
        let mut is_longest = false;
        for place in &places {
            if partials.longest[*place] < places.len() {
                partials.longest[*place] = places.len();
                is_longest = true;
            }
        }
        if is_longest {
            partials.sequences.push(places);
        }
    }
}
