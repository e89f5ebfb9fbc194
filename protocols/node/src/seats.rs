//! Bringing the group to what the table of members says.
//!
//! The table (in the store) is what the operator asked for, and every member applies the same one.
//! Consensus has its own configuration, in its own entries. The leader closes the gap, one change of
//! consensus at a time:
//!
//! - whoever is not in the table any more is removed;
//! - whoever is new becomes a *learner* first, also when it shall vote: it becomes a voter when it has
//!   caught up, so that nobody's majority waits for a member that still copies the log (trap 48);
//! - whoever votes stays while none of those who shall vote has caught up: a group without voters
//!   could never decide anything again;
//! - with `promotes_learners`, a learner that has caught up is put forward for promotion by a command
//!   of its own, so that the table stays the one truth.
//!
//! Nothing is remembered between turns but the wish itself: a new leader looks at the same table and
//! goes on where the one before stopped.

use crate::message::Seat;
use quorate_base::{Instant, NodeId};
use quorate_raft::{Membership, Raft};
use quorate_store::{Action, Member, MemberAction, MemberChange, Members};
use std::collections::BTreeSet;
use std::time::Duration;

/// The seats of a table, as a group is told of them; nothing while there is no table.
pub fn seats(table: &Members) -> Option<Vec<Seat>> {
    let seat = |member: &Member| Seat { id: NodeId(member.id), learner: member.learner };
    (!table.is_empty()).then(|| table.present().map(seat).collect())
}

/// What the table wants, and what was done about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seats {
    wanted: Vec<Seat>,
    /// The learner that was put forward last, and when.
    put_forward: Option<(NodeId, Instant)>,
}

impl Seats {
    /// The table changed.
    pub(crate) fn want(&mut self, seats: Vec<Seat>) {
        self.wanted = seats;
    }

    /// True while something is left to do for a leader.
    pub(crate) fn is_open(&self, raft: &Raft) -> bool {
        let membership = raft.membership();
        let there = |seat: &Seat| match seat.learner {
            true => membership.learners.contains(&seat.id),
            false => membership.voters.contains(&seat.id),
        };
        let members = membership.members();
        !self.wanted.is_empty()
            && (membership.is_joint()
                || members.len() != self.wanted.len()
                || !self.wanted.iter().all(there))
    }

    /// The configuration to enter now, if there is one and consensus can.
    pub(crate) fn next(&self, raft: &Raft) -> Option<Membership> {
        if !raft.is_leader() || !self.is_open(raft) {
            return None;
        }
        let current = raft.membership();
        let mut target = Membership::default();
        for seat in &self.wanted {
            let votes = current.voters.contains(&seat.id) || raft.is_caught_up(seat.id);
            let set =
                if votes && !seat.learner { &mut target.voters } else { &mut target.learners };
            set.insert(seat.id);
        }
        if target.voters.is_empty() {
            // Nobody who shall vote is there yet: those who vote now stay until somebody is.
            target.voters = current.voters.clone();
            target.learners = &target.learners - &target.voters;
        }
        raft.hurdle(&target).is_none().then_some(target)
    }

    /// A learner to put forward for promotion, again after `patience` if nothing came of it.
    pub(crate) fn promote(
        &mut self,
        now: Instant,
        raft: &Raft,
        patience: Duration,
    ) -> Option<Action> {
        let learners = self.wanted.iter().filter(|seat| seat.learner).map(|seat| seat.id);
        let ready: BTreeSet<NodeId> = learners.filter(|id| raft.is_caught_up(*id)).collect();
        let id = *ready.first()?;
        let tried = self.put_forward.filter(|(last, _)| *last == id);
        if tried.is_some_and(|(_, at)| now.since(at) < patience) {
            return None;
        }
        self.put_forward = Some((id, now));
        let change = MemberChange::Promote { id: id.0 };
        Some(Action::Member(MemberAction { change, initial: Vec::new(), max_learners: 0 }))
    }
}
