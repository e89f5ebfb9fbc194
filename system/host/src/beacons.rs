//! How long a leader's beacons are on their way: from the moment that one leaves to the turn in which
//! its answer is heard, so that a busy peer shows as well as a slow network.

use crate::stats::Stats;
use quorate_base::{Input, NodeId};
use quorate_node::{Message, Node, Tagged};
use quorate_raft as raft;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The newest beacon to each peer that has no answer yet.
pub struct Beacons {
    under_way: BTreeMap<NodeId, (u64, Instant)>,
    stats: Arc<Stats>,
}

impl Beacons {
    /// None so far.
    pub fn new(stats: Arc<Stats>) -> Beacons {
        Beacons { under_way: BTreeMap::new(), stats }
    }

    /// A message leaves, or would if there were a way to its peer.
    pub fn leaves(&mut self, to: NodeId, message: &Tagged<Message>, has_a_way: bool) {
        let Message::Raft(raft::Message::Heartbeat { round, .. }) = message.body else { return };
        if has_a_way {
            self.under_way.insert(to, (round, Instant::now()));
        } else {
            self.stats.lost_beacons.count();
        }
    }

    /// What came in for a turn.
    pub fn heard(&mut self, inputs: &[Input<Node>]) {
        for input in inputs {
            let Input::Received { from, message } = input else { continue };
            let Message::Raft(raft::Message::HeartbeatReply { round, .. }) = message.body else {
                continue;
            };
            // The answer to an older round says nothing about the newest one.
            if let Some((_, left)) = self.under_way.get(from).filter(|(newest, _)| *newest == round)
            {
                self.stats.peer(*from).round_trip.observe(left.elapsed());
                self.under_way.remove(from);
            }
        }
    }
}
