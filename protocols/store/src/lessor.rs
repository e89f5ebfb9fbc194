//! When leases expire: the leader's business, and only while it leads.
//!
//! The state says which leases exist ([`Lease`]); this says until when they live, by the leader's
//! clock. It is built anew at each election, so it never outlives a term, and every revoke that
//! comes of it carries that term: once the leader is deposed they have no effect.
//!
//! - A new leader gives every lease an election timeout more, plus what it had left at its last
//!   checkpoint or all of its time, and spreads those that would expire together (item 59).
//! - Expired leases come out of [`Lessor::poll`] at 1,000 per second at most. From then on they
//!   cannot be renewed (item 57); if the revoke got lost, they come again after [`RETRY`].
//! - Long leases are checkpointed every [`CHECKPOINT`], so that a change of leader does not give
//!   them their whole time again (etcd#15247). A renewal of a lease with a checkpoint must clear it
//!   in the log first: else a new leader would expire it early.
//!
//! Clocks may differ in rate between leaders; only spans of one clock are ever compared.

use crate::Lease;
use quorate_base::{Instant, mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Leases that may come out of [`Lessor::poll`] per second; a poll after a pause may give up to a
/// tenth of that at once.
pub const REVOKES_PER_SECOND: u32 = 1_000;
/// The time between two checkpoints of a lease.
pub const CHECKPOINT: Duration = Duration::from_secs(300);
/// After this an expired lease that still exists is given out again.
pub const RETRY: Duration = Duration::from_secs(3);
/// Checkpoints in one poll.
const CHECKPOINTS_PER_POLL: usize = 1_000;
/// Expiries per second that a new leader plans for: fewer than may be revoked, so that it gets
/// ahead of those that expire meanwhile.
const PLANNED_PER_SECOND: u32 = 750;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    ttl: i64,
    /// When it expires; once expired, when it is given out again.
    due: Instant,
    expired: bool,
    /// When its remaining time is to be written down; `None` for a short lease.
    checkpoint: Option<Instant>,
    /// What the state has written down, or is about to; 0 for nothing.
    recorded: i64,
}

/// What became of a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    /// It lives for `ttl` seconds from now.
    Renewed {
        /// As granted.
        ttl: i64,
    },
    /// It lives on, but a checkpoint says less: propose one with a remaining time of 0, and answer
    /// with `ttl` when that is applied and [`Lessor::checkpointed`] was told.
    Clear {
        /// As granted.
        ttl: i64,
    },
    /// It expired and is being revoked: wait for that, then answer a TTL of 0.
    Expiring,
    /// There is none: answer a TTL of 0.
    Unknown,
}

/// What is to be proposed now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// Leases to revoke, with the leader's term.
    pub expired: Vec<i64>,
    /// Ids and remaining seconds to checkpoint, with the leader's term.
    pub checkpoints: Vec<(i64, i64)>,
}

/// The clock of all leases, at the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lessor {
    leases: BTreeMap<i64, Entry>,
    by_due: BTreeSet<(Instant, i64)>,
    by_checkpoint: BTreeSet<(Instant, i64)>,
    /// When the next expired lease may be given out.
    pace: Instant,
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

/// Whole seconds, rounded up, so that what is left is never written down as nothing.
fn ceil_seconds(duration: Duration) -> i64 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(whole).unwrap_or(i64::MAX)
}

impl Lessor {
    /// Takes over as leader at `now`: `leases` from the state, `extend` the election timeout, in
    /// which nobody could be renewed.
    pub fn rebuild(
        now: Instant,
        leases: impl IntoIterator<Item = Lease>,
        extend: Duration,
    ) -> Lessor {
        let mut planned: Vec<(Instant, Lease)> = leases
            .into_iter()
            .map(|lease| {
                let left = if lease.remaining > 0 { lease.remaining } else { lease.ttl };
                if mutant!(LEASE_310_SHORT_AFTER_ELECTION) {
                    return (now + seconds(left / 2), lease);
                }
                (now + extend + seconds(left), lease)
            })
            .collect();
        planned.sort();
        let mut lessor = Lessor {
            leases: BTreeMap::new(),
            by_due: BTreeSet::new(),
            by_checkpoint: BTreeSet::new(),
            pace: now,
        };
        // Piled-up expiries move apart: later, never earlier. A second's worth may stay together.
        let gap = Duration::from_secs(1) / PLANNED_PER_SECOND;
        let mut free = now;
        for (wanted, lease) in planned {
            free = (free + gap).max(wanted - Duration::from_secs(1));
            lessor.insert(now, lease, wanted.max(free));
        }
        lessor
    }

    fn insert(&mut self, now: Instant, lease: Lease, due: Instant) {
        let long = seconds(lease.ttl) > CHECKPOINT;
        let checkpoint = long.then_some(now + CHECKPOINT);
        let Lease { id, ttl, remaining: recorded } = lease;
        self.by_due.insert((due, id));
        self.by_checkpoint.extend(checkpoint.map(|at| (at, id)));
        let entry = Entry { ttl, due, expired: false, checkpoint, recorded };
        self.leases.insert(id, entry);
    }

    /// A lease was granted: the command was applied.
    pub fn granted(&mut self, now: Instant, id: i64, ttl: i64) {
        self.revoked(id);
        self.insert(now, Lease { id, ttl, remaining: 0 }, now + seconds(ttl));
    }

    /// A lease is gone: the command was applied. Unknown ones are passed over.
    pub fn revoked(&mut self, id: i64) {
        if let Some(entry) = self.leases.remove(&id) {
            self.by_due.remove(&(entry.due, id));
            if let Some(at) = entry.checkpoint {
                self.by_checkpoint.remove(&(at, id));
            }
        }
    }

    /// A checkpoint was applied.
    pub fn checkpointed(&mut self, id: i64, remaining: i64) {
        if let Some(entry) = self.leases.get_mut(&id) {
            entry.recorded = remaining;
        }
    }

    /// A client asks that its lease live on.
    pub fn renew(&mut self, now: Instant, id: i64) -> Renewal {
        let Some(entry) = self.leases.get_mut(&id) else { return Renewal::Unknown };
        // Its time may be over before a poll noticed: then it is too late all the same.
        let late = entry.expired || entry.due <= now;
        if late && !mutant!(LEASE_311_LATE_RENEWAL) {
            return Renewal::Expiring;
        }
        self.by_due.remove(&(entry.due, id));
        // Never earlier than before: a predecessor that did not know yet that it was deposed may
        // have renewed the lease just after this clock began, which its extra time covers.
        entry.due = entry.due.max(now + seconds(entry.ttl));
        self.by_due.insert((entry.due, id));
        let ttl = entry.ttl;
        if let Some(at) = &mut entry.checkpoint {
            self.by_checkpoint.remove(&(*at, id));
            *at = now + CHECKPOINT;
            self.by_checkpoint.insert((*at, id));
        }
        if entry.recorded > 0 { Renewal::Clear { ttl } } else { Renewal::Renewed { ttl } }
    }

    /// Seconds as granted, and seconds left (0 when it expired); `None` when there is no such
    /// lease.
    pub fn time_to_live(&self, now: Instant, id: i64) -> Option<(i64, i64)> {
        let entry = self.leases.get(&id)?;
        let left = if entry.expired { Duration::ZERO } else { entry.due.since(now) };
        // Whole seconds begun, as etcd rounds: a fresh lease shows all of its time.
        Some((entry.ttl, ceil_seconds(left).min(entry.ttl.max(1))))
    }

    /// All ids, first to expire first (contract item 60).
    pub fn by_expiry(&self) -> impl Iterator<Item = i64> + '_ {
        self.by_due.iter().map(|(_, id)| *id)
    }

    /// When to poll next, if nothing else happens first.
    pub fn next_timeout(&self) -> Option<Instant> {
        let due = self.by_due.first().map(|(at, _)| (*at).max(self.pace));
        let checkpoint = self.by_checkpoint.first().map(|(at, _)| *at);
        due.into_iter().chain(checkpoint).min()
    }

    /// What is to be proposed at `now`.
    pub fn poll(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        let step = Duration::from_secs(1) / REVOKES_PER_SECOND;
        self.pace = self.pace.max(now - step * (REVOKES_PER_SECOND / 10 - 1));
        while self.pace <= now {
            let Some((at, id)) = self.by_due.first().copied().filter(|(at, _)| *at <= now) else {
                break;
            };
            self.pace = self.pace + step;
            self.by_due.remove(&(at, id));
            let entry = self.leases.get_mut(&id).expect("queued leases exist");
            entry.expired = true;
            entry.due = now + RETRY;
            self.by_due.insert((entry.due, id));
            due.expired.push(id);
        }
        while due.checkpoints.len() < CHECKPOINTS_PER_POLL {
            let Some((at, id)) = self.by_checkpoint.first().copied().filter(|(at, _)| *at <= now)
            else {
                break;
            };
            self.by_checkpoint.remove(&(at, id));
            let entry = self.leases.get_mut(&id).expect("queued leases exist");
            entry.checkpoint = (!entry.expired).then_some(now + CHECKPOINT);
            if let Some(next) = entry.checkpoint {
                self.by_checkpoint.insert((next, id));
                let left = ceil_seconds(entry.due.since(now));
                // Noted now, not when it is applied: a renewal in between must clear it, or the
                // checkpoint, which is already on its way, would cut the renewed lease short.
                entry.recorded = left;
                due.checkpoints.push((id, left));
            }
        }
        due
    }
}
