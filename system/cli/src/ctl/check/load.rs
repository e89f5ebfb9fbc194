//! The load of both checks: puts from many connections, and what became of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_client::Client;
use quorate_client::etcd::etcdserverpb::PutRequest;
use tokio::time::Instant;

/// How long one write may take before it counts as an error.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// When the next write is due.
pub trait Schedule: Send + 'static {
    /// The time of the next write; `None` when there is no other.
    fn next(&mut self, now: Instant) -> Option<Instant>;
}

/// So many a second until a time comes. What was due while nobody was free is left out.
pub struct Rate {
    /// Between two writes.
    pub interval: Duration,
    /// The next one.
    pub due: Instant,
    /// None at or after it.
    pub end: Instant,
}

impl Schedule for Rate {
    fn next(&mut self, now: Instant) -> Option<Instant> {
        let slot = self.due.max(now);
        self.due = slot + self.interval;
        (slot < self.end).then_some(slot)
    }
}

/// So many, as fast as they go.
pub struct Count(pub usize);

impl Schedule for Count {
    fn next(&mut self, now: Instant) -> Option<Instant> {
        self.0 = self.0.checked_sub(1)?;
        Some(now)
    }
}

/// What became of the writes.
#[derive(Debug, Default)]
pub struct Report {
    /// Seconds that each answered one took.
    latencies: Vec<f64>,
    /// Errors, with how often each came.
    pub errors: BTreeMap<String, usize>,
    /// All of it took so long.
    total: Duration,
}

impl Report {
    /// Answered writes a second.
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.total.as_secs_f64().max(f64::EPSILON)
    }

    /// Seconds of the slowest write.
    pub fn slowest(&self) -> f64 {
        self.latencies.iter().copied().fold(0.0, f64::max)
    }

    /// Standard deviation of the writes' seconds.
    pub fn deviation(&self) -> f64 {
        let count = self.latencies.len().max(1) as f64;
        let mean = self.latencies.iter().sum::<f64>() / count;
        (self.latencies.iter().map(|took| (took - mean).powi(2)).sum::<f64>() / count).sqrt()
    }

    /// Says what went wrong; false if nothing did.
    pub fn print_errors(&self) -> bool {
        if self.errors.is_empty() {
            return false;
        }
        println!("FAIL: too many errors");
        self.errors.iter().for_each(|(error, count)| println!("FAIL: ERROR({error}) -> {count}"));
        true
    }
}

/// Random keys of a length under a prefix, as etcdctl makes them: a number and zeros.
pub struct Keys {
    prefix: Vec<u8>,
    length: usize,
    state: u64,
}

impl Keys {
    /// Keys that no earlier run made.
    pub fn new(prefix: &str, length: usize) -> Keys {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let state = time.as_nanos() as u64 ^ (u64::from(std::process::id()) << 40);
        Keys { prefix: prefix.as_bytes().to_vec(), length, state }
    }

    fn next(&mut self) -> Bytes {
        // splitmix64
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        let mut key = self.prefix.clone();
        while word >= 0x80 {
            key.push(word as u8 | 0x80);
            word >>= 7;
        }
        key.push(word as u8);
        key.resize(self.prefix.len() + self.length, 0);
        key.into()
    }
}

/// Puts pairs as they come due, each connection one at a time.
pub async fn run(
    clients: &[Client],
    schedule: impl Schedule,
    keys: Keys,
    value_bytes: usize,
    bar: &ProgressBar,
    per_write: u64,
) -> Report {
    let shared = Arc::new(Mutex::new((schedule, keys, Report::default())));
    let value = Bytes::from(vec![0; value_bytes]);
    let began = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for client in clients {
        let (client, shared, value, bar) =
            (client.clone(), shared.clone(), value.clone(), bar.clone());
        workers.spawn(async move {
            loop {
                let (due, key) = {
                    let mut shared = shared.lock().expect("nothing panics with the lock held");
                    let Some(due) = shared.0.next(Instant::now()) else { return };
                    (due, shared.1.next())
                };
                tokio::time::sleep_until(due).await;
                let request = PutRequest { key, value: value.clone(), ..PutRequest::default() };
                let sent = Instant::now();
                let answer = client.put(request).await;
                let took = sent.elapsed().as_secs_f64();
                bar.inc(per_write);
                let mut shared = shared.lock().expect("nothing panics with the lock held");
                match answer {
                    Ok(_) => shared.2.latencies.push(took),
                    Err(error) => *shared.2.errors.entry(error.to_string()).or_default() += 1,
                }
            }
        });
    }
    while workers.join_next().await.is_some() {}
    let mut shared = shared.lock().expect("nothing panics with the lock held");
    let mut report = std::mem::take(&mut shared.2);
    report.total = began.elapsed();
    report
}

/// A bar on standard error, if that is a terminal.
pub fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{pos} / {len} [{bar:50}] {percent}% {elapsed}");
    bar.with_style(style.expect("the template is right"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_does_not_make_up_for_what_was_missed() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let interval = Duration::from_millis(10);
        let mut rate = Rate { interval, due: start, end: at(100) };
        assert_eq!(rate.next(start), Some(start));
        assert_eq!(rate.next(start), Some(at(10)), "slots are given out ahead");
        assert_eq!(rate.next(at(60)), Some(at(60)), "those at 20 to 50 are gone");
        assert_eq!(rate.next(at(60)), Some(at(70)));
        assert_eq!(rate.next(at(100)), None);
        let mut count = Count(1);
        assert_eq!((count.next(start), count.next(start)), (Some(start), None));
    }

    #[test]
    fn keys_are_long_and_all_different() {
        let mut keys = Keys::new("/p/", 256);
        let some: std::collections::BTreeSet<Bytes> = (0..1_000).map(|_| keys.next()).collect();
        assert_eq!(some.len(), 1_000);
        assert!(some.iter().all(|key| key.len() == 259 && key.starts_with(b"/p/")));
    }

    #[test]
    fn figures_are_of_what_was_answered() {
        let report = Report {
            latencies: vec![0.1, 0.3],
            errors: BTreeMap::new(),
            total: Duration::from_secs(2),
        };
        assert_eq!(report.per_second(), 1.0);
        assert_eq!(report.slowest(), 0.3);
        assert!((report.deviation() - 0.1).abs() < 1e-9);
    }
}
