//! Which revision may be forgotten by itself: etcd's `--auto-compaction-*`.
//!
//! By number: the newest so many revisions are kept. By time: everything that was current within
//! the period is kept. A revision carries no time, so this machine samples the revision as time
//! passes and compacts to the newest sample that is at least a period old: never less than
//! the period is kept, and at most a tenth of it more, and the time between two compactions.
//!
//! Every member samples, the leader alone acts. A new leader so knows the past as well as the old
//! one did, where a sampler that begins with the leadership would begin to keep anew.

use quorate_base::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// How much of the past is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// The newest so many revisions, at least 1.
    Revisions(i64),
    /// What was current so long ago or less.
    Period(Duration),
}

/// The time between two compactions by number of revisions, as in etcd.
const BY_NUMBER: Duration = Duration::from_secs(5 * 60);

/// The longest time between two compactions by time, as in etcd.
const BY_TIME: Duration = Duration::from_secs(60 * 60);

/// Samples within the shorter of the period and [`BY_TIME`].
const SAMPLES: u32 = 10;

/// Says when to compact, and to which revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retainer {
    retention: Retention,
    /// What the revision was when, oldest first.
    samples: VecDeque<(Instant, i64)>,
    /// The time of the last compaction that was due; the first counts from the start.
    last: Option<Instant>,
}

impl Retainer {
    /// A machine that has seen nothing.
    pub fn new(retention: Retention) -> Retainer {
        Retainer { retention, samples: VecDeque::new(), last: None }
    }

    /// The time between two compactions.
    fn interval(&self) -> Duration {
        match self.retention {
            Retention::Revisions(_) => BY_NUMBER,
            Retention::Period(period) => period.min(BY_TIME),
        }
    }

    /// How often [`Retainer::observe`] should be called; more often does no harm.
    pub fn pace(&self) -> Duration {
        (self.interval() / SAMPLES).max(Duration::from_millis(1))
    }

    /// The revision now is `revision`, and everything before `compacted` is gone already. Returns
    /// what to compact to, if that is due; the machine does not ask for it again before the next
    /// interval, done or not.
    pub fn observe(&mut self, now: Instant, revision: i64, compacted: i64) -> Option<i64> {
        self.sample(now, revision);
        let last = *self.last.get_or_insert(now);
        if now.since(last) < self.interval() {
            return None;
        }
        self.last = Some(now);
        let target = match self.retention {
            Retention::Revisions(kept) => revision.saturating_sub(kept),
            Retention::Period(period) => {
                let old = |(at, _): &&(Instant, i64)| now.since(*at) >= period;
                self.samples.iter().take_while(old).last()?.1
            }
        };
        (target > compacted.max(0)).then_some(target)
    }

    fn sample(&mut self, now: Instant, revision: i64) {
        let Retention::Period(period) = self.retention else { return };
        let due = self.samples.back().is_none_or(|(at, _)| now.since(*at) >= self.pace());
        if due {
            self.samples.push_back((now, revision));
        }
        // The newest that is old enough is needed, those before it are not.
        while self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= period) {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000;

    #[test]
    fn by_number_the_newest_are_kept() {
        let mut retainer = Retainer::new(Retention::Revisions(10));
        let mut at = |minutes: u64, revision, compacted| {
            retainer.observe(Instant::from_millis(minutes * 60 * SECOND), revision, compacted)
        };
        assert_eq!(at(0, 100, -1), None, "nothing is due at the start");
        assert_eq!(at(4, 200, -1), None);
        assert_eq!(at(5, 200, -1), Some(190));
        assert_eq!(at(6, 300, 190), None, "the next is due at ten");
        assert_eq!(at(10, 200, 190), None, "nothing new to forget");
        assert_eq!(at(15, 5, -1), None, "fewer than are kept");
    }

    /// At every moment: what was current a period ago is kept, and in the end all but it is gone.
    #[test]
    fn by_time_a_period_is_kept_and_little_more() {
        for period in [10, 600, 3_600, 20_000] {
            let mut retainer = Retainer::new(Retention::Period(Duration::from_secs(period)));
            let (mut compacted, mut compactions) = (-1, 0);
            for second in 0..period * 4 {
                // The revision is the second, so that the age of a revision is known.
                let now = Instant::from_millis(second * SECOND);
                if let Some(target) = retainer.observe(now, second as i64 + 1, compacted) {
                    assert!(second as i64 + 1 - target >= period as i64, "too young");
                    assert!(target > compacted, "it goes forward");
                    let late = period.min(3_600) / 10 + 1;
                    assert!(second as i64 + 1 - target <= (period + late) as i64, "kept too long");
                    (compacted, compactions) = (target, compactions + 1);
                }
                assert!(retainer.samples.len() as u64 <= 12 * (period / 3_600 + 1));
            }
            assert!(compactions >= 2, "{period}: {compactions}");
        }
    }
}
