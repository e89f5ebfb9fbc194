//! Warnings about what took long, few enough to be read.
//!
//! Slowness comes in crowds: when a disk stalls, every request under way is slow. One line in a
//! second says as much as a thousand, as long as it says how many it stands for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds between two warnings.
const PAUSE: u64 = 1_000;

/// Decides which slow thing is worth a line. Any number of threads may use it.
#[derive(Debug)]
pub struct SlowLog {
    limit: Duration,
    begun: Instant,
    /// Milliseconds after `begun` before which nothing is said.
    next: AtomicU64,
    unsaid: AtomicU64,
}

impl SlowLog {
    /// Slow is what takes longer than `limit`; zero warns of nothing.
    pub fn new(limit: Duration) -> SlowLog {
        let (next, unsaid) = (AtomicU64::new(0), AtomicU64::new(0));
        SlowLog { limit, begun: Instant::now(), next, unsaid }
    }

    /// Whether something that took so long is slow.
    pub fn is_slow(&self, took: Duration) -> bool {
        !self.limit.is_zero() && took > self.limit
    }

    /// Whether to warn of something slow now, and of how many before that nobody was warned of.
    pub fn warns(&self) -> Option<u64> {
        let now = self.begun.elapsed().as_millis() as u64;
        let next = self.next.load(Ordering::Relaxed);
        let order = Ordering::Relaxed;
        if now < next || self.next.compare_exchange(next, now + PAUSE, order, order).is_err() {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_stands_for_a_crowd() {
        let log = SlowLog::new(Duration::from_millis(10));
        assert!(!log.is_slow(Duration::from_millis(10)));
        assert!(log.is_slow(Duration::from_millis(11)));
        assert_eq!(log.warns(), Some(0));
        assert_eq!([log.warns(), log.warns()], [None, None]);
        log.next.store(0, Ordering::Relaxed);
        assert_eq!(log.warns(), Some(2));
        assert!(!SlowLog::new(Duration::ZERO).is_slow(Duration::from_secs(100)), "switched off");
    }
}
