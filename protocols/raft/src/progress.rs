//! What a leader knows about one follower, and how fast it may talk to it.
//!
//! Three ways of sending, as in etcd: **probe** (one append, then wait: the leader does not know
//! where the logs agree), **replicate** (pipelined, at most a window of appends unacknowledged) and
//! **snapshot** (the entries that the follower needs are gone; chunks of state, one at a time).
//!
//! Invariants: `matched < next`; `matched` never goes back (trap 23); in the window, indexes ascend
//! and lie above `matched`.

use crate::Canon;
use crate::snapshot::Stream;
use quorate_base::{Instant, mutant};
use std::collections::VecDeque;

/// Beats (heartbeat intervals) without progress after which an answering follower is taken to have
/// missed what was sent: at least one whole interval has passed since.
const PATIENCE_BEATS: u32 = 2;

/// Beats without progress after which a follower that takes the state, or what came after it, holds
/// no entries back any more: a minute of the usual beats.
const HOLD_BEATS: u32 = 600;

/// How a leader sends to one follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// One append at a time until one is accepted.
    Probe {
        /// One is under way.
        sent: bool,
    },
    /// Many appends at a time.
    Replicate,
    /// Chunks of state.
    Snapshot(Box<Stream>),
}

/// See the module's essay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Progress {
    /// Everything up to here is durable there and equal to the leader's log.
    pub(crate) matched: u64,
    /// The next entry to send.
    pub(crate) next: u64,
    pub(crate) flow: Flow,
    /// Last index of each unacknowledged append, ascending.
    window: VecDeque<u64>,
    /// The greatest index that any message of this term led this follower to.
    led_to: u64,
    /// `(index, round)`: the read round that was current when this index was first sent. An
    /// acknowledgement of the index was therefore given after that round began (trap 37: an
    /// index sent a second time proves nothing new, so only the first sending is remembered).
    proofs: VecDeque<(u64, u64)>,
    /// The newest read round at which this follower is known to have followed.
    pub(crate) round: u64,
    /// A read of the log on disk is under way for this index.
    pub(crate) reading: Option<u64>,
    /// The newest commit index that an append told it.
    pub(crate) commit_told: u64,
    /// When it last spoke in this term.
    pub(crate) heard_at: Instant,
    /// Beats since something was sent without an acknowledgement.
    stalled: u32,
    /// Losses in a row: snapshot chunks are large and their installation may take long, so they
    /// are sent again ever more rarely.
    losses: u32,
    /// The end of the log when a stream of state ended: until the follower holds that, compaction
    /// would lead to another stream.
    owes: Option<u64>,
    /// Beats since the follower was last known to hold more.
    idle_beats: u32,
}

impl Progress {
    /// A follower about which a new leader knows nothing: it tries the end of its own log.
    pub(crate) fn new(next: u64, now: Instant) -> Progress {
        Progress {
            matched: 0,
            next,
            flow: Flow::Probe { sent: false },
            window: VecDeque::new(),
            led_to: 0,
            proofs: VecDeque::new(),
            round: 0,
            reading: None,
            commit_told: 0,
            heard_at: now,
            stalled: 0,
            losses: 0,
            owes: None,
            idle_beats: 0,
        }
    }

    /// An append up to `last` leaves while `round` is the current read round.
    pub(crate) fn sent(&mut self, last: u64, has_entries: bool, round: u64) {
        match &mut self.flow {
            Flow::Probe { sent } => {
                *sent = true;
                self.stalled = 0;
            }
            Flow::Replicate if has_entries => {
                if self.window.is_empty() {
                    self.stalled = 0;
                }
                self.window.push_back(last);
                self.next = last + 1;
            }
            Flow::Replicate | Flow::Snapshot(_) => {}
        }
        self.led(last, round);
    }

    /// Some message that leads the follower to `index` leaves while `round` is current.
    pub(crate) fn led(&mut self, index: u64, round: u64) {
        if index > self.led_to {
            self.led_to = index;
            self.proofs.push_back((index, round));
        }
    }

    /// True when no more appends may leave before one is acknowledged.
    pub(crate) fn is_full(&self, max_inflight: usize) -> bool {
        self.window.len() >= max_inflight.max(1)
    }

    /// The follower holds everything up to `matched`. Says whether that is news.
    pub(crate) fn acknowledge(&mut self, matched: u64) -> bool {
        let news = matched > self.matched;
        let back = mutant!(RAFT_23_MATCHED_GOES_BACK);
        self.matched = if back { matched } else { self.matched.max(matched) };
        while self.window.front().is_some_and(|last| *last <= self.matched) {
            self.window.pop_front();
        }
        while self.proofs.front().is_some_and(|(index, _)| *index <= matched) {
            let (_, round) = self.proofs.pop_front().expect("front was just looked at");
            self.round = self.round.max(round);
        }
        if let Flow::Probe { .. } = self.flow
            && self.matched + 1 >= self.next
        {
            self.flow = Flow::Replicate;
        }
        self.next = self.next.max(self.matched + 1);
        if news {
            self.stalled = 0;
            self.losses = 0;
            self.idle_beats = 0;
        }
        self.owes = self.owes.filter(|end| *end > self.matched);
        news
    }

    /// Starts again from `next`, one append at a time.
    pub(crate) fn probe(&mut self, next: u64) {
        self.next = next.max(self.matched + 1);
        self.flow = Flow::Probe { sent: false };
        self.window.clear();
        self.reading = None;
        self.stalled = 0;
    }

    /// Starts sending state instead of entries.
    pub(crate) fn stream(&mut self, stream: Stream) {
        self.flow = Flow::Snapshot(Box::new(stream));
        self.window.clear();
        self.reading = None;
        self.stalled = 0;
        self.losses = 0;
        self.owes = None;
        self.idle_beats = 0;
    }

    /// The stream has brought the follower to where the log, which ends at `last`, can serve it.
    pub(crate) fn streamed(&mut self, last: u64) {
        self.probe(self.matched + 1);
        self.owes = Some(last).filter(|last| *last > self.matched);
    }

    /// The entry after which a compaction must leave all others, so that the state that this
    /// follower takes is the last that it needs. A follower that does not move holds nothing.
    pub(crate) fn holds(&self) -> Option<u64> {
        if self.idle_beats > HOLD_BEATS {
            return None;
        }
        match &self.flow {
            Flow::Snapshot(stream) => stream.pinned(),
            Flow::Probe { .. } | Flow::Replicate => self.owes.map(|_| self.matched),
        }
    }

    /// True when an answer to a refused append at `prev` is not a late one (trap 27).
    pub(crate) fn may_refuse(&self, prev: u64) -> bool {
        if mutant!(RAFT_27_LATE_REFUSAL_REWINDS) {
            return true;
        }
        match &self.flow {
            Flow::Probe { .. } => prev > self.matched && prev + 1 == self.next,
            Flow::Replicate => prev > self.matched && prev < self.next,
            Flow::Snapshot(_) => false,
        }
    }

    /// A beat passes.
    pub(crate) fn beat(&mut self) {
        let waits = match &self.flow {
            Flow::Probe { sent } => *sent,
            Flow::Replicate => !self.window.is_empty(),
            Flow::Snapshot(stream) => stream.awaits_follower(),
        };
        self.stalled = if waits { self.stalled.saturating_add(1) } else { 0 };
        self.idle_beats = self.idle_beats.saturating_add(1);
    }

    /// The follower answers beacons. Says whether what was sent must be taken for lost; the count
    /// starts again.
    pub(crate) fn lost(&mut self) -> bool {
        let patience = match &self.flow {
            Flow::Probe { .. } | Flow::Replicate => PATIENCE_BEATS,
            Flow::Snapshot(_) => PATIENCE_BEATS << self.losses.min(6),
        };
        if self.stalled < patience {
            return false;
        }
        self.stalled = 0;
        self.losses = self.losses.saturating_add(1);
        true
    }

    /// A chunk was acknowledged: the stream moves.
    pub(crate) fn chunk_moved(&mut self) {
        self.stalled = 0;
        self.losses = 0;
        self.idle_beats = 0;
    }

    /// The part of a leader's canonical bytes that is about this follower; see `canonical.rs`.
    pub(crate) fn canonical(&self, out: &mut Canon) {
        out.number(self.matched);
        out.number(self.next);
        out.number(self.window.len() as u64);
        self.window.iter().for_each(|last| out.number(*last));
        out.number(self.reading.unwrap_or(0));
        out.number(self.commit_told);
        out.number(u64::from(self.stalled));
        out.number(u64::from(self.losses));
        out.number(self.owes.unwrap_or(0));
        out.number(u64::from(self.idle_beats > HOLD_BEATS));
    }

    /// Appends under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.window.len()
    }

    /// What must hold after every step.
    pub(crate) fn check(&self, last_index: u64, max_inflight: usize) {
        assert!(self.matched < self.next, "{self:?}");
        assert!(self.next <= last_index + 1, "sent more than there is: {self:?}");
        assert!(self.window.len() <= max_inflight.max(1), "flight is unbounded: {self:?}");
        assert!(self.window.front().is_none_or(|last| *last > self.matched), "{self:?}");
        assert!(self.window.back().is_none_or(|last| *last < self.next), "{self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating(matched: u64) -> Progress {
        let mut peer = Progress::new(matched + 1, Instant(0));
        peer.sent(matched, false, 0);
        assert!(peer.acknowledge(matched) && peer.flow == Flow::Replicate);
        peer
    }

    #[test]
    fn an_index_sent_twice_proves_only_its_first_round() {
        // Trap 37: the answer to the first sending must not confirm a read that began before the
        // second.
        let mut peer = replicating(4);
        peer.sent(5, true, 0);
        peer.probe(5);
        peer.sent(5, true, 3);
        peer.acknowledge(5);
        assert_eq!(peer.round, 0);
        peer.sent(6, true, 4);
        peer.acknowledge(6);
        assert_eq!(peer.round, 4);
    }

    #[test]
    fn matched_never_goes_back_and_next_stays_beyond_it() {
        let mut peer = replicating(4);
        peer.sent(5, true, 0);
        peer.sent(6, true, 0);
        assert!(peer.acknowledge(6));
        assert!(!peer.acknowledge(5));
        assert_eq!((peer.matched, peer.next, peer.in_flight()), (6, 7, 0));
        peer.probe(3);
        assert_eq!(peer.next, 7);
        peer.check(6, 2);
    }

    #[test]
    fn refusals_count_only_for_what_is_under_way() {
        let mut peer = replicating(4);
        peer.sent(6, true, 0);
        assert!(!peer.may_refuse(4), "acknowledged");
        assert!(peer.may_refuse(6));
        assert!(!peer.may_refuse(7), "never sent");
        peer.probe(5);
        assert!(!peer.may_refuse(6), "not what is being probed");
    }

    #[test]
    fn who_was_sent_the_state_holds_what_came_after_it_until_it_caught_up_or_stands_still() {
        let mut peer = replicating(4);
        assert_eq!(peer.holds(), None, "a follower that keeps up is served by the usual tail");
        peer.streamed(9);
        assert_eq!(peer.holds(), Some(4));
        peer.acknowledge(7);
        assert_eq!(peer.holds(), Some(7));
        for _ in 0..HOLD_BEATS {
            peer.beat();
        }
        assert_eq!(peer.holds(), Some(7));
        peer.beat();
        assert_eq!(peer.holds(), None, "it stands still");
        peer.acknowledge(8);
        assert_eq!(peer.holds(), Some(8), "and goes on");
        peer.acknowledge(9);
        assert_eq!(peer.holds(), None, "it has come to where the log ended");
    }

    #[test]
    fn loss_needs_a_whole_beat_of_silence() {
        let mut peer = replicating(4);
        peer.beat();
        peer.beat();
        assert!(!peer.lost(), "nothing is under way");
        peer.sent(5, true, 0);
        peer.beat();
        assert!(!peer.lost(), "sent just before the beat");
        peer.beat();
        assert!(peer.lost());
        assert!(!peer.lost(), "told once");
    }
}
