//! Runs seeds on all cores until one breaks a promise.
//!
//! Seeds are handed out in order, one at a time. When one fails, no more are handed out, and those
//! under way are finished: of the seeds that failed the smallest is reported. Over a range that is the
//! smallest failing seed of all, whatever the number of threads.

use crate::film;
use crate::recipe::{Kind, Recipe};
use quorate_sim::oracles::Violation;
use quorate_sim::swarm::Sabotage;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One seed in so many is run twice: a world that goes another way the second time proves nothing the first time.
const TWICE: u64 = 20;

/// What is looked through.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Which code runs.
    pub kind: Kind,
    /// Members.
    pub nodes: u64,
    /// Which seeds.
    pub seeds: Range<u64>,
    /// No seed is begun after so long.
    pub lasts: Option<Duration>,
    /// Worlds at the same time.
    pub threads: usize,
    /// A bug on purpose.
    pub sabotage: Sabotage,
}

/// What the hunt came to so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Seeds that ended.
    pub seeds: u64,
    /// Their own time.
    pub virtual_time: Duration,
    /// Events of their queues.
    pub events: u64,
    /// Entries committed.
    pub committed: u64,
    /// Faults that struck: what schedules held, and leaders struck while they were young.
    pub faults: u64,
    /// In how many of them each thing happened that a swarm must reach.
    pub marks: BTreeMap<&'static str, u64>,
}

/// A hunt under way, to look at from another thread.
#[derive(Debug)]
pub struct Gauge {
    began: Instant,
    tally: Mutex<Tally>,
    stop: AtomicBool,
}

impl Default for Gauge {
    fn default() -> Gauge {
        Gauge { began: Instant::now(), tally: Mutex::default(), stop: AtomicBool::new(false) }
    }
}

impl Gauge {
    /// What it came to so far.
    pub fn read(&self) -> Tally {
        self.tally.lock().expect("nobody panics while adding").clone()
    }

    /// How long it has lasted.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Begins no more seeds, and shrinks no further.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// True once it was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A seed that broke a promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// How to see it again.
    pub recipe: Recipe,
    /// What was broken.
    pub violation: Violation,
    /// When, in its own time.
    pub at: Duration,
}

/// Hunts. `gauge` counts along and can end it.
pub fn hunt(hunt: &Hunt, gauge: &Gauge) -> Option<Found> {
    let next = AtomicU64::new(hunt.seeds.start);
    let found: Mutex<Option<Found>> = Mutex::new(None);
    let over = AtomicBool::new(false);
    let work = || {
        while !over.load(Ordering::Relaxed) && !gauge.is_stopped() {
            if hunt.lasts.is_some_and(|lasts| gauge.elapsed() >= lasts) {
                return;
            }
            // Stays at the end: counted on, the number would begin again at 0 some day, or at once near its end.
            let Ok(seed) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| {
                (seed < hunt.seeds.end).then(|| seed + 1)
            }) else {
                return;
            };
            if let Some(fresh) = try_seed(hunt, seed, gauge) {
                over.store(true, Ordering::Relaxed);
                let mut found = found.lock().expect("nobody panics while comparing");
                if found.as_ref().is_none_or(|known| seed < known.recipe.seed) {
                    *found = Some(fresh);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..hunt.threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    found.into_inner().expect("nobody panics while comparing")
}

fn try_seed(hunt: &Hunt, seed: u64, gauge: &Gauge) -> Option<Found> {
    let recipe = Recipe { sabotage: hunt.sabotage, ..Recipe::new(hunt.kind, hunt.nodes, seed) };
    let plan = recipe.plan().expect("a whole seed keeps all of its strikes");
    let strikes = plan.schedule.iter().map(|strike| strike.at).collect::<Vec<_>>();
    let again = seed.is_multiple_of(TWICE).then(|| plan.clone());
    let mut ending = film::run(hunt.kind, plan);
    let at = ending.virtual_time;
    if let Some(plan) = again {
        let second = film::run(hunt.kind, plan).trace;
        if second != ending.trace && ending.violation.is_none() {
            let detail =
                format!("the second run's trace is {second:016x}, not {:016x}", ending.trace);
            ending.violation = Some(Violation::new("determinism", detail));
        }
    }
    let mut tally = gauge.tally.lock().expect("nobody panics while adding");
    tally.seeds += 1;
    tally.virtual_time += at;
    tally.events += ending.happened;
    tally.committed += ending.committed;
    tally.faults += strikes.iter().filter(|strike| **strike <= at).count() as u64;
    tally.faults += ending.counts.get("churned leaders").copied().unwrap_or(0);
    for mark in ending.counts.keys() {
        *tally.marks.entry(mark).or_default() += 1;
    }
    Some(Found { recipe, violation: ending.violation?, at })
}
