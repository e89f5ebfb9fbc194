//! From a history to a report: parts, cores, limits.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::search::{Bounds, Outcome, Search, Stop};
use super::spec::{Object, Part};
use crate::history::{History, Operation};
use crate::limits::{Meter, Options};
use crate::verdict::{HistoryError, Reason, Refusal, Report, Verdict};

/// From this many operations on, parts are judged on several threads; below, starting them costs more than it saves.
const OPERATIONS_PER_THREAD: usize = 2_000;

/// What became of a part.
#[derive(Clone, Debug)]
enum Ruling {
    Linearizable,
    Refused,
    Undecided(Reason),
}

/// Judges a history of one kind of object.
///
/// # Errors
///
/// At the event that no such object has, or where the history's events do not pair.
pub fn judge<S: Object>(history: &History, options: &Options) -> Result<Report, HistoryError> {
    let meter = Meter::start(options);
    let operations = history.operations()?;
    let parts = S::read(history, &operations)?;
    let count: usize = parts.iter().map(|part| part.items.len()).sum();
    options.gauge.start(count as u64);
    let court = Court { parts: &parts, meter, options, configurations: AtomicUsize::new(0) };
    let rulings = court.rule(count);
    let verdict = court.verdict(&rulings, history, &operations);
    let figures = vec![
        ("operations", count as u64),
        ("parts", parts.len() as u64),
        ("configurations", court.configurations.load(Ordering::Relaxed) as u64),
    ];
    Ok(Report { verdict, figures, page: None })
}

struct Court<'a, S: Object> {
    parts: &'a [Part<S>],
    meter: Meter,
    options: &'a Options,
    configurations: AtomicUsize,
}

impl<S: Object> Court<'_, S> {
    /// Rules on the parts in order. What comes after the first refused part may be missing.
    fn rule(&self, count: usize) -> Vec<Option<Ruling>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(self.parts.len()).min(count / OPERATIONS_PER_THREAD).max(1);
        let rulings = Mutex::new(vec![None; self.parts.len()]);
        let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let work = || {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= self.parts.len() || place > refused.load(Ordering::Relaxed) {
                    return;
                }
                let ruling = self.decide(&self.parts[place], threads);
                if matches!(ruling, Ruling::Refused) {
                    refused.fetch_min(place, Ordering::Relaxed);
                }
                rulings.lock().expect("no judge panics with the lock")[place] = Some(ruling);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        rulings.into_inner().expect("no judge panics with the lock")
    }

    fn decide(&self, part: &Part<S>, share: usize) -> Ruling {
        let count = part.items.len() as u64;
        if let Some(is_linearizable) = part.spec.shortcut(&part.items) {
            self.options.gauge.add(count);
            return if is_linearizable { Ruling::Linearizable } else { Ruling::Refused };
        }
        let gauge = Some(&*self.options.gauge);
        let bounds = Bounds { meter: &self.meter, share, steps: u64::MAX, gauge };
        let mut search = Search::new(&part.spec, &part.items, bounds);
        let outcome = search.run();
        self.options.gauge.add(count.saturating_sub(search.told() as u64));
        self.configurations.fetch_add(search.configurations(), Ordering::Relaxed);
        match outcome {
            Outcome::Linearizable(_) => Ruling::Linearizable,
            Outcome::Impossible => Ruling::Refused,
            Outcome::Stopped(Stop::Limit(reason)) => Ruling::Undecided(reason),
            Outcome::Stopped(Stop::Steps) => unreachable!("the steps were not bounded"),
        }
    }

    /// One refused part refuses the history, also where others are undecided.
    fn verdict(
        &self,
        rulings: &[Option<Ruling>],
        history: &History,
        operations: &[Operation],
    ) -> Verdict {
        let is_refused = |ruling: &Option<Ruling>| matches!(ruling, Some(Ruling::Refused));
        if let Some(place) = rulings.iter().position(is_refused) {
            return Verdict::No(self.refusal(&self.parts[place], history, operations));
        }
        let reason = rulings.iter().flatten().find_map(|ruling| match ruling {
            Ruling::Undecided(reason) => Some(reason.clone()),
            Ruling::Linearizable | Ruling::Refused => None,
        });
        reason.map_or(Verdict::Yes, Verdict::Unknown)
    }

    fn refusal(&self, part: &Part<S>, _history: &History, operations: &[Operation]) -> Refusal {
        let events = part.items.iter().map(|item| operations[item.operation].start).collect();
        let about = if part.key.is_nil() { String::new() } else { format!(" on key {}", part.key) };
        Refusal {
            property: "linearizability".to_owned(),
            summary: format!("no order of the operations{about} explains all answers"),
            evidence: Vec::new(),
            events,
        }
    }
}
