//! The smallest part of a history that still cannot be linearized.
//!
//! Leaving operations out is not sound in general: without its write, a read of any value looks wrong. So an operation
//! is not left out but *freed*: a pure one (a read) is forgotten, and any other may take effect at any time, or never.
//! Every linearization of the whole history is one of the freed history. If therefore a history in which all but a few
//! operations are free has no linearization, the whole has none, and those few are the reason: no matter where the
//! others are put.
//!
//! Freeing is monotone, so three steps suffice, all of them bounded: the shortest beginning of the history that fails
//! is found by bisection (what is open at its end becomes optional); then ever smaller runs of operations are freed,
//! reads before writes; last, one at a time, until no single operation can be freed. A trial that exceeds its bounds
//! counts as one that did not fail, so the result may be larger than necessary, never wrong.

use super::search::{Bounds, Outcome, Search};
use super::spec::{Item, NEVER, Object};
use crate::limits::Meter;

/// Configurations that a trial may enter. Most trials need fewer than there are operations.
const STEPS: u64 = 20_000;

/// How often single operations are gone through.
const ROUNDS: usize = 4;

/// Frees as much as possible of a history that cannot be linearized. Returns the places of the items that are the
/// reason, and the moment at which the failing beginning ends.
pub fn shrink<S: Object>(spec: &S, items: &[Item<S::Op>], meter: &Meter) -> (Vec<usize>, u32) {
    let mut trial = Trial { spec, items, meter, kept: vec![true; items.len()], cut: NEVER };
    trial.cut_short();
    let pure: Vec<usize> =
        (0..items.len()).filter(|place| spec.is_pure(&items[*place].op)).collect();
    trial.free_runs(&pure);
    trial.free_runs(&(0..items.len()).collect::<Vec<_>>());
    for _ in 0..ROUNDS {
        if !trial.free_each() {
            break;
        }
    }
    let kept = (0..items.len()).filter(|place| trial.is_kept(*place));
    (kept.collect(), trial.cut)
}

struct Trial<'a, S: Object> {
    spec: &'a S,
    items: &'a [Item<S::Op>],
    meter: &'a Meter,
    kept: Vec<bool>,
    /// Nothing from here on is looked at.
    cut: u32,
}

impl<S: Object> Trial<'_, S> {
    fn is_kept(&self, place: usize) -> bool {
        let item = &self.items[place];
        let says_nothing = item.end >= self.cut && self.spec.is_pure(&item.op);
        self.kept[place] && item.start < self.cut && !says_nothing
    }

    /// The history with everything free that is not kept.
    fn items(&self) -> Vec<Item<S::Op>> {
        let mut items = Vec::new();
        for (place, item) in self.items.iter().enumerate() {
            if item.start >= self.cut {
                break;
            }
            if self.is_kept(place) {
                let end = if item.end < self.cut { item.end } else { NEVER };
                items.push(Item { end, ..item.clone() });
            } else if !self.spec.is_pure(&item.op) {
                items.push(Item { start: 0, end: NEVER, ..item.clone() });
            }
        }
        items.sort_by_key(|item| item.start);
        items
    }

    fn fails(&self) -> bool {
        let items = self.items();
        let mut spec = self.spec.clone();
        spec.learn(&items);
        if let Some(is_linearizable) = spec.shortcut(&items) {
            return !is_linearizable;
        }
        let bounds = Bounds { meter: self.meter, share: 1, steps: STEPS, gauge: None };
        self.meter.check(0).is_ok()
            && Search::new(&spec, &items, bounds).run() == Outcome::Impossible
    }

    /// Finds the shortest beginning that fails.
    fn cut_short(&mut self) {
        let mut ends: Vec<u32> =
            self.items.iter().filter(|item| item.is_known()).map(|item| item.end + 1).collect();
        ends.sort_unstable();
        let (mut passes, mut fails) = (0, ends.len());
        while passes < fails {
            let middle = (passes + fails) / 2;
            self.cut = ends[middle];
            if self.fails() {
                fails = middle;
            } else {
                passes = middle + 1;
            }
        }
        self.cut = ends.get(fails).copied().unwrap_or(NEVER);
    }

    /// Frees runs of the given items, long ones first, and the oldest first among those.
    fn free_runs(&mut self, places: &[usize]) {
        let mut length = places.len() / 2;
        while length > 1 {
            let kept: Vec<usize> =
                places.iter().copied().filter(|place| self.is_kept(*place)).collect();
            for run in kept.chunks(length) {
                self.free(run);
            }
            length /= 2;
        }
    }

    /// Frees single operations, the oldest first. Whether one was freed.
    fn free_each(&mut self) -> bool {
        let mut has_freed = false;
        for place in 0..self.items.len() {
            if self.is_kept(place) {
                has_freed |= self.free(&[place]);
            }
        }
        has_freed
    }

    fn free(&mut self, run: &[usize]) -> bool {
        run.iter().for_each(|place| self.kept[*place] = false);
        let still_fails = self.fails();
        run.iter().for_each(|place| self.kept[*place] = !still_fails);
        still_fails
    }
}
