//! No leader, for as many steps as you like, and every message arrives.
//!
//! Fischer, Lynch and Paterson ("Impossibility of Distributed Consensus with One Faulty Process", JACM
//! 1985) prove that in a system without clocks, whatever the protocol, some schedule keeps it undecided
//! for ever though every message is delivered and every member takes steps. The adversary below is such a
//! schedule for Raft. It has two rules:
//!
//! 1. a timer fires only when nothing is under way, and then every member's does;
//! 2. of what is under way, the questions come before the answers, and what belongs to the earlier phase
//!    before what belongs to the later one.
//!
//! So all members find each other electable, all vote for themselves before the first vote request
//! arrives, and every request is refused. Nothing is lost, nothing waits for longer than a round, and the
//! terms climb.
//!
//! Raft does not pretend otherwise: it is safe on any schedule and live only when time behaves, and
//! random waits make schedules like this one improbable (paper 9.3). [`fair`] is the same cluster with
//! the messages in the order in which they were sent.

use super::config;
use quorate_base::{Input, NodeId, Protocol};
use quorate_raft::{Message, Role};
use quorate_script::{Letter, World};
use std::collections::VecDeque;
use std::time::Duration;

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Steps taken: timers and deliveries.
    pub steps: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Timers that fired.
    pub timeouts: u64,
    /// The newest term.
    pub term: u64,
    /// The longest that any message waited, in steps.
    pub longest_wait: u64,
    /// Messages under way at the end.
    pub under_way: usize,
    /// The first leader, and at which step.
    pub leader: Option<(NodeId, u64)>,
}

/// Runs the adversary for at least so many steps, and until nothing is under way.
pub fn adversary(members: u64, steps: u64) -> Report {
    run(members, steps, true, next_for_nobody)
}

/// The same members with messages in the order in which they were sent, and timers that fire one at a
/// time, when their random waits are over; ends with the first leader.
pub fn fair(members: u64, steps: u64) -> Report {
    run(members, steps, false, |_waiting| 0)
}

/// Which of the waiting letters the adversary delivers.
fn next_for_nobody(waiting: &VecDeque<(u64, Letter)>) -> usize {
    let phase = |message: &Message| match message {
        Message::PreVote { .. } => 0,
        Message::PreVoteReply { .. } => 1,
        Message::Vote { .. } => 2,
        Message::VoteReply { .. } => 3,
        Message::Append { .. }
        | Message::Appended { .. }
        | Message::AppendRefused { .. }
        | Message::Heartbeat { .. }
        | Message::HeartbeatReply { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. }
        | Message::SnapshotChunk { .. }
        | Message::SnapshotAck { .. }
        | Message::TimeoutNow { .. } => 4,
    };
    let first = waiting.iter().enumerate().min_by_key(|(at, (_, l))| (phase(&l.message), *at));
    first.map_or(0, |(at, _)| at)
}

fn run(
    members: u64,
    steps: u64,
    all_timers: bool,
    pick: impl Fn(&VecDeque<(u64, Letter)>) -> usize,
) -> Report {
    let mut world = World::new(members, config(Duration::from_secs(1)), 1);
    world.tracing = false;
    let mut waiting: VecDeque<(u64, Letter)> = VecDeque::new();
    let (mut step, mut delivered, mut timeouts, mut longest_wait) = (0, 0, 0, 0);
    let mut leader = None;
    while leader.is_none() && (step < steps || !waiting.is_empty()) {
        if waiting.is_empty() {
            // In an asynchronous system nobody can say that a timer is not due.
            let next = world.next_timeout().expect("members wait for something");
            let late = Duration::from_secs(if all_timers { 2 } else { 0 });
            world.now = world.now.max(next) + late;
            for id in world.running() {
                let due = world.raft(id).and_then(Protocol::next_timeout);
                if due.is_some_and(|at| at <= world.now) {
                    timeouts += 1;
                    step += 1;
                    world.feed(id, vec![Input::Timeout]);
                }
            }
        } else {
            let (sent, letter) = waiting.remove(pick(&waiting)).expect("picked among them");
            longest_wait = longest_wait.max(step - sent);
            delivered += 1;
            step += 1;
            world.deliver(letter);
        }
        waiting.extend(world.wire.drain(..).map(|letter| (step, letter)));
        let leads = |id: &NodeId| world.role(*id) == Some(Role::Leader);
        leader = world.running().into_iter().find(leads).map(|id| (id, step));
    }
    assert_eq!(world.oracle.violations, Vec::<String>::new(), "safe on any schedule");
    let terms = world.running().into_iter().filter_map(|id| world.raft(id).map(|raft| raft.term()));
    let term = terms.max().unwrap_or(0);
    Report {
        steps: step,
        delivered,
        timeouts,
        term,
        longest_wait,
        under_way: waiting.len(),
        leader,
    }
}
