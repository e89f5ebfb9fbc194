//! Bounds on a judge's time and memory, and what a progress bar may look at meanwhile.
//!
//! A judge asks [`Meter::check`] every few thousand steps, with the bytes that it holds. Looking at the clock costs
//! tens of nanoseconds, so the caller decides how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::txn::level::Level;
use crate::verdict::Reason;

/// How far a judge has come, readable from another thread. The unit is the judge's own (operations, mostly).
#[derive(Debug, Default)]
pub struct Gauge {
    done: AtomicU64,
    total: AtomicU64,
}

impl Gauge {
    /// Done and total; the total is 0 until the judge knows it.
    pub fn read(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// Starts over with a new total.
    pub fn start(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// More is done.
    pub fn add(&self, more: u64) {
        self.done.fetch_add(more, Ordering::Relaxed);
    }
}

/// What a judge may use and should produce.
#[derive(Clone, Debug)]
pub struct Options {
    /// Wall time for the decision. `None`: no bound.
    pub time: Option<Duration>,
    /// Bytes for the search (not for the history itself). `None`: no bound.
    pub memory: Option<usize>,
    /// Whether to look for the smallest evidence of a refusal, which may take longer than the refusal.
    pub explain: bool,
    /// Whether to draw a page.
    pub page: bool,
    /// The isolation level that judges of transactions hold the history against.
    pub level: Level,
    /// Where to say how far it has come.
    pub gauge: Arc<Gauge>,
}

impl Default for Options {
    /// One minute, 2 GiB, no page, strict serializability.
    fn default() -> Options {
        let (time, memory) = (Some(Duration::from_secs(60)), Some(2 << 30));
        Options {
            time,
            memory,
            explain: true,
            page: false,
            level: Level::default(),
            gauge: Arc::default(),
        }
    }
}

/// Steps between two looks at the clock: some milliseconds of the simplest ones.
const STEPS_PER_CHECK: u64 = 1 << 22;

/// A running judge's account of its limits.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    started: Instant,
    time: Option<Duration>,
    memory: Option<usize>,
}

impl Meter {
    /// Starts the clock.
    pub fn start(options: &Options) -> Meter {
        Meter { started: Instant::now(), time: options.time, memory: options.memory }
    }

    /// Counts steps of work that holds nothing worth counting, and looks at the clock once in a while.
    ///
    /// # Errors
    ///
    /// The time limit.
    pub fn step(&self, taken: &mut u64, steps: usize) -> Result<(), Reason> {
        *taken += steps as u64;
        if *taken < STEPS_PER_CHECK {
            return Ok(());
        }
        *taken = 0;
        self.check(0)
    }

    /// Whether the search may go on, holding this many bytes.
    ///
    /// # Errors
    ///
    /// The limit that is exceeded.
    pub fn check(&self, bytes: usize) -> Result<(), Reason> {
        if let Some(limit) = self.memory.filter(|limit| bytes > *limit) {
            return Err(Reason::Memory { limit });
        }
        match self.time.filter(|limit| self.started.elapsed() > *limit) {
            Some(limit) => Err(Reason::Time { limit }),
            None => Ok(()),
        }
    }
}
