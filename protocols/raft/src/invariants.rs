//! What must hold in one member after every step. What must hold over a cluster is in the lab.

use crate::Role;
use crate::node::{Raft, State};
use quorate_base::mutant;

impl Raft {
    /// Stops the process rather than go on from a state that cannot be.
    ///
    /// Names as in the TLA+ specification of Raft where it has them: `commitIndex`, `matchIndex`.
    pub(crate) fn check(&mut self) {
        if mutant::guards_sleep() {
            return;
        }
        self.log.check();
        let last = self.log.last().index;
        assert!(self.log.applied() <= self.emitted, "applied what was not given out");
        assert!(self.emitted <= self.commit, "gave out what is not committed");
        assert!(self.commit <= last, "commitIndex beyond the log");
        assert!(self.agreed <= last, "agreed on what does not exist");
        assert!(self.log.last().term <= self.term, "an entry from the future");

        // Monotonic: currentTerm, commitIndex (trap 24), and each entry is given out once.
        let now = (self.term, self.commit, self.emitted);
        let (term, commit, emitted) = self.before;
        assert!(
            now.0 >= term && now.1 >= commit && now.2 >= emitted,
            "{:?} -> {now:?}",
            self.before
        );
        self.before = now;

        let me = self.config.id;
        match &self.state {
            State::Follower => assert_ne!(self.leader, Some(me), "follows itself"),
            State::PreCandidate(_) => assert_eq!(self.leader, None, "asks though it has a leader"),
            State::Candidate(_) => {
                assert_eq!(self.vote, Some(me), "a candidate votes for itself");
                assert_eq!(self.leader, None, "campaigns though it has a leader");
            }
            State::Leader(leader) => {
                assert_eq!(self.leader, Some(me));
                assert_eq!(self.vote, Some(me), "leads without its own vote");
                assert_eq!(self.log.last().term, self.term, "a term opens with an entry");
                for peer in leader.peers.values() {
                    peer.check(last, self.config.max_inflight_appends);
                }
            }
        }
        if self.role() != Role::Follower {
            assert!(self.may_stand() || self.is_leader(), "only voters campaign (trap 18)");
            assert!(!self.is_finishing_install(), "campaigns while its state is being replaced");
        }
        if cfg!(debug_assertions) {
            self.log.check_deep();
        }
    }
}
