//! Wires between members: what is sent may arrive never, late, twice, and in any order.
//!
//! Each direction of a link is cut on its own. A message that is on its way when the link is cut
//! is lost if the cut is still there when it would arrive. A very late one may reach a later life
//! of its receiver.

use crate::swarm::Plan;
use quorate_base::{Dice, NodeId};
use std::collections::BTreeSet;
use std::time::Duration;

/// All wires.
#[derive(Clone, Debug)]
pub struct Network {
    dice: Dice,
    cut: BTreeSet<(NodeId, NodeId)>,
    loss: u32,
    doubled: u32,
    late: u32,
    delay_us: u64,
}

impl Network {
    /// Whole wires with the plan's faults.
    pub fn new(plan: &Plan, dice: Dice) -> Network {
        Network {
            dice,
            cut: BTreeSet::new(),
            loss: plan.loss,
            doubled: plan.doubled,
            late: plan.late,
            delay_us: plan.delay_us,
        }
    }

    /// How long each copy of a message takes; empty when it is lost.
    pub fn fates(&mut self) -> Vec<Duration> {
        if self.dice.chance(self.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.dice.chance(self.doubled));
        (0..copies).map(|_| self.delay()).collect()
    }

    fn delay(&mut self) -> Duration {
        if self.dice.chance(self.late) {
            return Duration::from_millis(self.dice.between(100, 8_000));
        }
        // The sum of two: mostly near the mean, so that reordering is common and not the rule.
        let half = self.delay_us;
        Duration::from_micros(20 + self.dice.below(half) + self.dice.below(half))
    }

    /// True while nothing gets from one to the other.
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    /// Mends all wires; loss and delay stay.
    pub fn mend(&mut self) {
        self.cut.clear();
    }

    /// From now on wires are good: nothing lost, doubled or very late.
    pub fn calm(&mut self) {
        self.mend();
        (self.loss, self.doubled, self.late) = (0, 0, 0);
    }
}
