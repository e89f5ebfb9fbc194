//! What a member counts about itself: plain atomics, so that counting costs a request nothing and
//! reading them disturbs nobody.
//!
//! The names that the world sees are the server's business; here each field says what it counts.

use quorate_base::NodeId;
use quorate_store::Action;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations sorted into buckets whose bounds double: the `n`th holds what took at most
/// `first << n`, the last one everything else.
#[derive(Debug)]
pub struct Histogram {
    bounds: Vec<Duration>,
    /// One more than there are bounds. Not cumulative.
    buckets: Vec<AtomicU64>,
    nanos: AtomicU64,
}

impl Histogram {
    /// `count` bounds from `first` on, each twice the one before: what etcd uses nearly everywhere.
    pub fn doubling(first: Duration, count: u32) -> Histogram {
        Histogram::with_bounds((0..count).map(|power| first * 2u32.pow(power)).collect())
    }

    /// With these bounds, in ascending order.
    pub fn with_bounds(bounds: Vec<Duration>) -> Histogram {
        assert!(bounds.is_sorted(), "bounds ascend");
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, buckets, nanos: AtomicU64::new(0) }
    }

    /// Adds one duration.
    pub fn observe(&self, took: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < took);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What was observed so far.
    pub fn get(&self) -> Observed {
        let load = |bucket: &AtomicU64| bucket.load(Ordering::Relaxed);
        Observed {
            bounds: self.bounds.clone(),
            buckets: self.buckets.iter().map(load).collect(),
            sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
        }
    }
}

/// A reading of a [`Histogram`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// Upper bounds, ascending.
    pub bounds: Vec<Duration>,
    /// How many fell into each bucket, the one without a bound last. Not cumulative.
    pub buckets: Vec<u64>,
    /// The sum of all durations.
    pub sum: Duration,
}

impl Observed {
    /// How many were observed.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds the reading of another histogram with the same bounds.
    pub fn merge(&mut self, other: &Observed) {
        assert_eq!(self.bounds, other.bounds, "only like is added to like");
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(mine, more)| *mine += more);
        self.sum += other.sum;
    }
}

/// What is counted about one peer.
#[derive(Debug)]
pub struct PeerStats {
    /// From a leader's beacon to its answer. Only leaders send beacons.
    pub round_trip: Histogram,
    /// Messages that had no way to go.
    pub lost: Counter,
    /// Bytes handed to its socket.
    pub sent_bytes: Counter,
    /// Bytes that came from it.
    pub received_bytes: Counter,
}

impl Default for PeerStats {
    fn default() -> PeerStats {
        PeerStats {
            round_trip: Histogram::doubling(Duration::from_micros(100), 16),
            lost: Counter::default(),
            sent_bytes: Counter::default(),
            received_bytes: Counter::default(),
        }
    }
}

/// What is counted below the services.
#[derive(Debug)]
pub struct Stats {
    /// One sync of the log.
    pub log_sync: Histogram,
    /// One write to the log, before its sync.
    pub log_write: Histogram,
    /// Payload bytes written to the log.
    pub log_bytes: Counter,
    /// One batch made durable in the state engine: a table written and synced.
    pub state_flush: Histogram,
    /// One batch of committed entries applied and published.
    pub apply: Histogram,
    /// Batches that took longer than [`crate::HostOptions::slow_apply`].
    pub slow_applies: Counter,
    /// Commands that ended without an answer, or with the news that there will be none.
    pub failed_proposals: Counter,
    /// Read indexes that no leader gave.
    pub failed_read_indexes: Counter,
    /// Read indexes that took longer than an election.
    pub slow_read_indexes: Counter,
    /// Beacons that had no way to go.
    pub lost_beacons: Counter,
    /// Puts applied, not counting those inside of transactions.
    pub puts: Counter,
    /// Deletes applied.
    pub deletes: Counter,
    /// Transactions applied.
    pub txns: Counter,
    /// Leases granted.
    pub leases_granted: Counter,
    /// Leases revoked, by a client or because their time was over.
    pub leases_revoked: Counter,
    peers: Mutex<BTreeMap<NodeId, std::sync::Arc<PeerStats>>>,
}

impl Default for Stats {
    fn default() -> Stats {
        let millisecond = Duration::from_millis(1);
        Stats {
            log_sync: Histogram::doubling(millisecond, 14),
            log_write: Histogram::doubling(millisecond, 14),
            log_bytes: Counter::default(),
            state_flush: Histogram::doubling(millisecond, 14),
            apply: Histogram::doubling(Duration::from_micros(100), 20),
            slow_applies: Counter::default(),
            failed_proposals: Counter::default(),
            failed_read_indexes: Counter::default(),
            slow_read_indexes: Counter::default(),
            lost_beacons: Counter::default(),
            puts: Counter::default(),
            deletes: Counter::default(),
            txns: Counter::default(),
            leases_granted: Counter::default(),
            leases_revoked: Counter::default(),
            peers: Mutex::default(),
        }
    }
}

impl Stats {
    /// Counts a command that the state took.
    pub fn applied(&self, action: &Action) {
        let counters = [
            (matches!(action, Action::Put(_)), &self.puts),
            (matches!(action, Action::Delete(_)), &self.deletes),
            (matches!(action, Action::Txn(_)), &self.txns),
            (matches!(action, Action::LeaseGrant { .. }), &self.leases_granted),
            (matches!(action, Action::LeaseRevoke { .. }), &self.leases_revoked),
        ];
        if let Some((_, counter)) = counters.iter().find(|(is_it, _)| *is_it) {
            counter.count();
        }
    }

    /// What is counted about this peer; created when it is first asked for.
    pub fn peer(&self, id: NodeId) -> std::sync::Arc<PeerStats> {
        let mut peers = self.peers.lock().expect("no holder of this lock panics");
        peers.entry(id).or_default().clone()
    }

    /// All peers that anything was counted about.
    pub fn peers(&self) -> BTreeMap<NodeId, std::sync::Arc<PeerStats>> {
        self.peers.lock().expect("no holder of this lock panics").clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::doubling(Duration::from_millis(1), 3);
        for micros in [1, 1_000, 1_001, 4_000, 4_001, 90_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let seen = histogram.get();
        assert_eq!(seen.buckets, [2, 1, 1, 2]);
        assert_eq!(seen.count(), 6);
        assert_eq!(seen.sum, Duration::from_micros(100_003));
        let mut twice = seen.clone();
        twice.merge(&seen);
        assert_eq!(twice.buckets, [4, 2, 2, 4]);
    }
}
