//! A failure detector must miss a crash or suspect the living.
//!
//! Chandy and Toueg ("Unreliable Failure Detectors for Reliable Distributed Systems", JACM 1996) sort
//! detectors by *completeness* (every crash is suspected in the end) and *accuracy* (the living are not).
//! In a system without bounds on delay no detector has both, and the reason fits into two runs:
//!
//! - in the first the leader crashes;
//! - in the second it lives, and its messages take longer than whatever the detector waits for.
//!
//! Until the detector makes up its mind both look the same to it, so it decides the same. The detector here
//! is the one that ships: a follower that has heard no leader for its wait stops following and asks
//! whether it could be elected. [`dilemma`] takes any timeout and finds the delay that fools it; that
//! the follower cannot tell is shown by comparing the two, bit by bit.
//!
//! Raft needs no accurate detector: a wrong suspicion costs an election, never a committed entry.

use super::config;
use quorate_base::{Instant, NodeId};
use quorate_raft::Role;
use quorate_script::World;
use std::time::Duration;

/// What happened in the two runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The detector's timeout.
    pub timeout: Duration,
    /// How long after the crash the follower suspects its leader.
    pub suspects_crashed_after: Duration,
    /// How long after its last words arrived it suspects a leader that lives.
    pub suspects_living_after: Duration,
    /// How long the messages of the living leader took.
    pub delay: Duration,
    /// The follower was in the same state in both runs at that moment.
    pub indistinguishable: bool,
    /// Messages of the living leader that arrived after all.
    pub late_messages: usize,
    /// A detector with a timeout twice as long suspected nobody at that moment, in neither run: it
    /// had missed the crash so far.
    pub patient_missed: bool,
}

const LEADER: NodeId = NodeId(1);
const FOLLOWER: NodeId = NodeId(2);

/// Runs both, for a detector with this timeout.
///
/// # Panics
/// When the timeout is below ten nanoseconds: no beacon fits ten times into it.
pub fn dilemma(timeout: Duration) -> Report {
    assert!(timeout.as_nanos() >= 10, "a timeout of {timeout:?}");
    let (mut crashed, mut living) = (led(timeout), led(timeout));
    let start = crashed.now;
    crashed.crash(LEADER, 0);
    let found = wait(&mut crashed, start + timeout * 3).expect("every crash is suspected");
    // The living leader beats all the time, and nothing of it arrives before the follower is lost.
    let doubted = wait(&mut living, start + timeout * 3).expect("so is silence");
    let indistinguishable = crashed.raft(FOLLOWER) == living.raft(FOLLOWER);
    assert_eq!(living.role(LEADER), Some(Role::Leader), "the leader lives and leads");
    let mut patient = led(timeout * 2);
    patient.crash(LEADER, 0);
    let since = found.since(start);
    let missed = wait(&mut patient, start + since.min(timeout * 2)).is_none();
    let late: Vec<_> = living.wire.iter().filter(|l| l.from == LEADER).cloned().collect();
    living.wire.retain(|letter| letter.from != LEADER);
    let late_messages = late.len();
    late.into_iter().for_each(|letter| living.deliver(letter));
    Report {
        timeout,
        suspects_crashed_after: since,
        suspects_living_after: doubted.since(start),
        delay: doubted.since(start),
        indistinguishable,
        late_messages,
        patient_missed: missed,
    }
}

/// Three members, the first leads, all have heard it, nothing is under way.
fn led(timeout: Duration) -> World {
    let mut world = World::new(3, config(timeout), 7);
    world.tracing = false;
    let campaign = quorate_base::Input::Request(quorate_raft::Request::Campaign);
    world.feed(LEADER, vec![campaign]);
    world.settle_wire();
    assert_eq!(world.leader(), Some(LEADER));
    world
}

/// Lets time pass until the follower, at whom nothing arrives, suspects its leader; `None` when it
/// has not by then.
fn wait(world: &mut World, until: Instant) -> Option<Instant> {
    while world.role(FOLLOWER) == Some(Role::Follower) {
        let next = world.next_timeout().filter(|at| *at <= until)?;
        world.now = world.now.max(next);
        world.fire_due();
        // The leader goes on with the third member: nothing but what is for the follower is slow.
        let mut slow = Vec::new();
        while let Some(letter) = world.wire.pop_front() {
            if letter.to == FOLLOWER { slow.push(letter) } else { world.deliver(letter) }
        }
        world.wire.extend(slow);
    }
    Some(world.now)
}
