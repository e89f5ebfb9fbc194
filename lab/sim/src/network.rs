//! Wires between nodes: what is sent may arrive never, late, twice, and in any order.
//!
//! Each direction of each pair of nodes is a link of its own, with its own faults:
//!
//! | fault | how | what it models |
//! |---|---|---|
//! | loss, doubling, lateness | rates, drawn for each message | a bad network; late ones may reach a later life of either side |
//! | reordering | delays are drawn per message | packets on many paths |
//! | cut | [`Network::cut`] | a broken direction; both make a partition, one an asymmetric or half-open link |
//! | clog | [`Network::clog`] | nothing arrives until it is unclogged, then all at once |
//! | capacity | [`Rates::capacity`] | so many messages under way, the next ones overflow |
//! | slow | [`Network::slow`] | a factor on the delay of one direction |
//! | corruption | [`Rates::corrupt`] | a flipped bit; the checksum that every frame carries tells |
//!
//! A cut takes what is on its way, if it is still there when the message would arrive. Worlds
//! exchange values and no bytes: a corrupted message is refused here as [`Why::Corrupt`], as the
//! checksum of the shipped frames does; that they do is tested with the shipped codec, by
//! `quorate-wire`, over every single flipped bit.
//!
//! In a synchronous system there is a bound on delays that everybody may rely on: see
//! [`System::Synchronous`].

use crate::latency::Latency;
use crate::topology::Topology;
use crate::trace::Why;
use quorate_base::{Dice, NodeId};
use std::time::Duration;

/// What may be assumed of the time that a message takes (Dwork, Lynch, Stockmeyer, "Consensus in the
/// Presence of Partial Synchrony", 1988).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// Nothing.
    Asynchronous,
    /// No message takes longer than this, whatever its latency model and the faults say; what would
    /// take longer is a timing fault, and only happens with a chance of its own, in a million.
    Synchronous {
        /// The bound.
        bound: Duration,
        /// Chance of a timing fault: such a message takes up to eight times the bound.
        violations: u32,
    },
}

/// Chances in a million, for every message on every link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Lost.
    pub loss: u32,
    /// Doubled.
    pub doubled: u32,
    /// Very late: 0.1 to 8 seconds.
    pub late: u32,
    /// Damaged.
    pub corrupt: u32,
    /// Messages under way on one link before it overflows; 0 for no limit.
    pub capacity: u32,
}

impl Rates {
    /// Nothing is lost, doubled, late or damaged.
    pub const NONE: Rates = Rates { loss: 0, doubled: 0, late: 0, corrupt: 0, capacity: 0 };
}

/// One direction between two nodes.
#[derive(Clone, Debug)]
struct Link {
    hops: Option<u32>,
    cuts: u32,
    clogs: u32,
    slowness: u32,
    under_way: u32,
}

/// All wires.
#[derive(Clone, Debug)]
pub struct Network {
    dice: Dice,
    nodes: u64,
    links: Vec<Link>,
    rates: Rates,
    latency: Latency,
    system: System,
    /// Something may go wrong: saves the dice for each message in the good times.
    stormy: bool,
}

/// The fate of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It arrives once.
    Once(Duration),
    /// It arrives twice.
    Twice(Duration, Duration),
    /// It does not.
    Never(Why),
}

impl Network {
    /// Whole wires with these faults.
    pub fn new(
        topology: &Topology,
        rates: Rates,
        latency: Latency,
        system: System,
        dice: Dice,
    ) -> Network {
        let nodes = topology.nodes();
        let pairs = (1..=nodes).flat_map(|a| (1..=nodes).map(move |b| (NodeId(a), NodeId(b))));
        let link = |(a, b)| Link {
            hops: topology.hops(a, b),
            cuts: 0,
            clogs: 0,
            slowness: 1,
            under_way: 0,
        };
        let links = pairs.map(link).collect();
        let stormy = rates != Rates::NONE;
        Network { dice, nodes, links, rates, latency, system, stormy }
    }

    fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        let at = (from.0 - 1) * self.nodes + to.0 - 1;
        &mut self.links[at as usize]
    }

    /// What becomes of a message that is sent now.
    pub fn fate(&mut self, from: NodeId, to: NodeId) -> Fate {
        let link = self.link(from, to);
        let (slowness, under_way) = (link.slowness, link.under_way);
        let Some(hops) = link.hops else { return Fate::Never(Why::Cut) };
        if !self.stormy {
            return Fate::Once(self.delay(hops, slowness));
        }
        if self.rates.capacity > 0 && under_way >= self.rates.capacity {
            return Fate::Never(Why::Overflow);
        }
        if self.dice.chance(self.rates.loss) {
            return Fate::Never(Why::Dropped);
        }
        if self.dice.chance(self.rates.corrupt) {
            return Fate::Never(Why::Corrupt);
        }
        let first = self.delay(hops, slowness);
        if self.dice.chance(self.rates.doubled) {
            return Fate::Twice(first, self.delay(hops, slowness));
        }
        Fate::Once(first)
    }

    fn delay(&mut self, hops: u32, slowness: u32) -> Duration {
        let late = self.stormy && self.rates.late > 0 && self.dice.chance(self.rates.late);
        let delay = if late {
            Duration::from_millis(self.dice.between(100, 8_000))
        } else {
            let dice = &mut self.dice;
            let delay: Duration = (0..hops.max(1)).map(|_| self.latency.draw(dice)).sum();
            delay * slowness
        };
        match self.system {
            System::Asynchronous => delay,
            System::Synchronous { bound, violations } => {
                if violations > 0 && self.dice.chance(violations) {
                    bound + bound * self.dice.between(1, 7) as u32
                } else {
                    delay.min(bound)
                }
            }
        }
    }

    /// A copy set out.
    pub fn sets_out(&mut self, from: NodeId, to: NodeId) {
        self.link(from, to).under_way += 1;
    }

    /// A copy arrived, or would have.
    pub fn arrives(&mut self, from: NodeId, to: NodeId) {
        self.link(from, to).under_way -= 1;
    }

    /// True while nothing gets from one to the other.
    pub fn is_cut(&mut self, from: NodeId, to: NodeId) -> bool {
        self.link(from, to).cuts > 0
    }

    /// True while what gets from one to the other is held back.
    pub fn is_clogged(&mut self, from: NodeId, to: NodeId) -> bool {
        self.link(from, to).clogs > 0
    }

    /// Cuts one direction. Cuts are counted: it is whole when each is mended. True when it was whole.
    pub fn cut(&mut self, from: NodeId, to: NodeId) -> bool {
        let link = self.link(from, to);
        link.cuts += 1;
        link.cuts == 1
    }

    /// Mends one cut. True when the direction is whole now.
    pub fn mend(&mut self, from: NodeId, to: NodeId) -> bool {
        let link = self.link(from, to);
        // Peace may have mended it already.
        let was = link.cuts;
        link.cuts = was.saturating_sub(1);
        was == 1
    }

    /// Clogs (or unclogs) one direction; counted as cuts are. True when that changed it.
    pub fn clog(&mut self, from: NodeId, to: NodeId, on: bool) -> bool {
        let link = self.link(from, to);
        let was = link.clogs;
        link.clogs = if on { was + 1 } else { was.saturating_sub(1) };
        (was > 0) != (link.clogs > 0)
    }

    /// Multiplies the delay of one direction; 1 is as it was.
    pub fn slow(&mut self, from: NodeId, to: NodeId, factor: u32) {
        self.link(from, to).slowness = factor;
    }

    /// The directions that are cut.
    pub fn broken(&self) -> Vec<(NodeId, NodeId)> {
        let cut = self.links.iter().enumerate().filter(|(_, link)| link.cuts > 0);
        let name = |at: u64| (NodeId(at / self.nodes + 1), NodeId(at % self.nodes + 1));
        cut.map(|(at, _)| name(at as u64)).collect()
    }

    /// From now on wires are good: nothing cut, clogged, lost, doubled or very late.
    pub fn calm(&mut self) {
        for link in &mut self.links {
            (link.cuts, link.clogs, link.slowness) = (0, 0, 1);
        }
        self.rates = Rates::NONE;
        self.stormy = false;
        if let System::Synchronous { violations, .. } = &mut self.system {
            *violations = 0;
        }
    }
}
