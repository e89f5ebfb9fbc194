//! A leader whose own disk hangs hands over (gray failure, traps.md B21).
//!
//! Such a leader looks well to everyone: its beacons go out, its followers store what it sends, and
//! the commit index moves without its own copy. But it gives out no entry that its own disk has
//! not, so every client that it serves waits, and no election comes to the rescue. Nobody else
//! can see that, so it has to leave by itself.
//!
//! It goes when one sync has lasted an election timeout *and* a voter is durable beyond it. Without
//! such a voter all disks are slow, and an election would add an outage to a wait. What it
//! cannot do is judge a disk that is only slower than the others': then each sync ends in time, and
//! leaving would be a matter of taste.

use crate::leader::Leader;
use crate::node::{Raft, State};
use quorate_base::{Instant, NodeId, Out, Ticket, mutant};

/// The write that a leader's disk has been busy with, as seen at its beacons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slow {
    ticket: Ticket,
    since: Instant,
}

impl Leader {
    /// The voter that is durable furthest, if that is beyond `stable`.
    fn ahead_of(&self, stable: u64, is_voter: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let voters = self.peers.iter().filter(|(id, _)| is_voter(**id));
        let (best, peer) = voters.max_by_key(|(_, peer)| peer.matched)?;
        (peer.matched > stable).then_some(*best)
    }
}

impl Raft {
    /// Looks at the disk once a beacon.
    pub(crate) fn leave_a_hung_disk(&mut self, now: Instant, out: &mut Out<Raft>) {
        let (oldest, stable) = (self.log.oldest_write(), self.log.stable());
        let patience = self.config.election_timeout;
        let State::Leader(leader) = &mut self.state else { return };
        let Some(ticket) = oldest else {
            leader.slow = None;
            return;
        };
        let seen = leader.slow.filter(|slow| slow.ticket == ticket);
        let slow = *leader.slow.insert(seen.unwrap_or(Slow { ticket, since: now }));
        let hung = now.since(slow.since) >= patience && leader.transfer_target().is_none();
        if !hung || mutant!(RAFT_121_HUNG_LEADER_STAYS) {
            return;
        }
        if let Some(to) = leader.ahead_of(stable, |id| self.log.quorum().is_voter(id)) {
            self.transfer(now, to, out);
        }
    }
}
