//! Leases as a member sees them: a table on every member, a clock on the leader.
//!
//! Every member mirrors which leases exist, so that whoever is elected can start the clock at once.
//! The leader's clock ([`Lessor`]) decides when a lease has expired and asks for its revocation
//! through the log, naming its term: an entry that a deposed leader decided has no effect
//! (trap B7).

use crate::message::{Ask, LeaseChange};
use quorate_base::Instant;
use quorate_store::{Action, Lease, Lessor, Renewal};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The clock of a leader in one term.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Clock {
    term: u64,
    lessor: Lessor,
    /// Leases whose checkpoint is being cleared, so that it is asked for once.
    clearing: BTreeSet<i64>,
}

/// See the module's essay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leases {
    table: BTreeMap<i64, Lease>,
    clock: Option<Clock>,
    /// What a new leader adds to every lease: nobody could renew during the election, and for so
    /// long a deposed leader may have gone on to renew.
    extend: Duration,
    /// Clearing checkpoints that wait for the end of the turn.
    clears: Vec<i64>,
}

impl Leases {
    /// No leases, no clock.
    pub fn new(extend: Duration) -> Leases {
        Leases { table: BTreeMap::new(), clock: None, extend, clears: Vec::new() }
    }

    /// Applying changed a lease.
    pub fn change(&mut self, now: Instant, change: LeaseChange) {
        match change {
            LeaseChange::Granted { id, ttl } => {
                self.table.insert(id, Lease { id, ttl, remaining: 0 });
                if let Some(clock) = &mut self.clock {
                    clock.lessor.granted(now, id, ttl);
                }
            }
            LeaseChange::Revoked { id } => {
                self.table.remove(&id);
                if let Some(clock) = &mut self.clock {
                    clock.lessor.revoked(id);
                    clock.clearing.remove(&id);
                }
            }
            LeaseChange::Checkpointed { id, remaining } => {
                if let Some(lease) = self.table.get_mut(&id) {
                    lease.remaining = remaining;
                }
                if let Some(clock) = &mut self.clock {
                    clock.lessor.checkpointed(id, remaining);
                    clock.clearing.remove(&id);
                }
            }
            LeaseChange::Reset { leases } => {
                self.table = leases.into_iter().map(|lease| (lease.id, lease)).collect();
                if let Some(term) = self.clock.as_ref().map(|clock| clock.term) {
                    self.lead(now, term);
                }
            }
        }
    }

    /// This member leads `term` and has applied all that came before: the clock starts, with the
    /// full time for every lease, and with those that would end together spread out.
    pub fn lead(&mut self, now: Instant, term: u64) {
        let lessor = Lessor::rebuild(now, self.table.values().copied(), self.extend);
        self.clock = Some(Clock { term, lessor, clearing: BTreeSet::new() });
    }

    /// This member leads no more: another clock counts.
    pub fn follow(&mut self) {
        self.clock = None;
        self.clears.clear();
    }

    /// Answers a question as the leader, in seconds; `None` while it must wait for something to be
    /// applied: what its predecessors left (see [`Leases::lead`]), the end of an expired lease (contract item 57), or a checkpoint that would shorten
    /// a renewed one.
    pub fn ask(&mut self, now: Instant, ask: Ask) -> Option<i64> {
        let clock = self.clock.as_mut()?;
        match ask {
            Ask::CaughtUp(_) => unreachable!("the group answers this one"),
            Ask::Remaining(id) => {
                Some(clock.lessor.time_to_live(now, id).map_or(-1, |(_, left)| left))
            }
            Ask::Renew(id) => match clock.lessor.renew(now, id) {
                Renewal::Renewed { ttl } => Some(ttl),
                Renewal::Unknown => Some(0),
                Renewal::Expiring => None,
                Renewal::Clear { ttl: _ } => {
                    if clock.clearing.insert(id) {
                        self.clears.push(id);
                    }
                    None
                }
            },
        }
    }

    /// Something proposed was refused, perhaps a checkpoint that was to be cleared: the next renewal
    /// asks for it again.
    pub fn refused(&mut self) {
        if let Some(clock) = &mut self.clock {
            clock.clearing.clear();
        }
    }

    /// What the leader wants in the log now.
    pub fn poll(&mut self, now: Instant) -> Vec<Action> {
        let Some(clock) = &mut self.clock else { return Vec::new() };
        let clears = std::mem::take(&mut self.clears);
        if clears.is_empty() && clock.lessor.next_timeout().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let due = clock.lessor.poll(now);
        let term = clock.term;
        let revoke = |id| Action::LeaseRevoke { id, term: Some(term) };
        let mut actions: Vec<Action> = due.expired.into_iter().map(revoke).collect();
        let mut remaining: Vec<(i64, i64)> = clears.into_iter().map(|id| (id, 0)).collect();
        remaining.extend(due.checkpoints);
        if !remaining.is_empty() {
            actions.push(Action::LeaseCheckpoint { term, remaining });
        }
        actions
    }

    /// When to poll if nothing else happens first.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.clock.as_ref()?.lessor.next_timeout()
    }

    /// The ids of all leases, first to expire first where the clock is (contract item 60).
    pub fn ids(&self) -> Vec<i64> {
        match &self.clock {
            Some(clock) => clock.lessor.by_expiry().collect(),
            None => self.table.keys().copied().collect(),
        }
    }
}

impl LeaseChange {
    /// What a command that succeeded, in an entry of this term, did to the table of leases: for
    /// whoever applies, to tell in [`Request::Applied`](crate::Request::Applied).
    pub fn note(action: &Action, entry_term: u64, changes: &mut Vec<LeaseChange>) {
        match action {
            Action::LeaseGrant { id, ttl } => {
                changes.push(LeaseChange::Granted { id: *id, ttl: *ttl });
            }
            Action::LeaseRevoke { id, term } => {
                if term.is_none_or(|term| term == entry_term) {
                    changes.push(LeaseChange::Revoked { id: *id });
                }
            }
            Action::LeaseCheckpoint { term, remaining } => {
                if *term == entry_term {
                    let change = |(id, remaining): &(i64, i64)| LeaseChange::Checkpointed {
                        id: *id,
                        remaining: *remaining,
                    };
                    changes.extend(remaining.iter().map(change));
                }
            }
            Action::Put(_)
            | Action::Delete(_)
            | Action::Txn(_)
            | Action::Compact { .. }
            | Action::Alarm { .. }
            | Action::Guard(_)
            | Action::Member(_)
            | Action::Auth(_)
            | Action::Downgrade(_)
            | Action::AuditCheckpoint { .. } => {}
        }
    }
}
