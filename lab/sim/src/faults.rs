//! Everything that can go wrong on purpose, and when it does: a list, drawn before a world begins.
//!
//! Since the list is data, a seed that failed can be tried again without this or that part of it:
//! whoever looks for the smallest story that still fails removes [`Strike`]s and lowers rates.
//!
//! What needs the moment to be known (who leads right then) is decided when it strikes, from the
//! world's dice: removing one strike changes what follows it, as any other change would.

use quorate_base::{Dice, NodeId};
use quorate_storage::DiskOp;
use std::time::Duration;

/// Whom a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// This one.
    Node(NodeId),
    /// Whoever leads by then; else the node named.
    Leader(NodeId),
}

/// What happens to the leader that hands over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handover {
    /// Nothing.
    Plain,
    /// It hears nothing more: it goes on to lead, for all that it knows, while its successor commits.
    Deaf,
    /// What it says to its successor is held back for a while: the call to campaign comes late.
    Held,
}

/// One kind of trouble. Those with a duration end when their strike's `lasts` is over.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Each variant's line tells of its fields.
pub enum Fault {
    /// Those in the set of bits are cut off from the others; or only what they say is lost.
    Partition { side: u64, one_way: bool },
    /// One node hears nothing, or is not heard, or both (asymmetric, half-open).
    Isolate { target: Target, hears: bool, speaks: bool },
    /// What is sent to a node is held back, then arrives at once.
    Clog { target: Target },
    /// What a node says takes so many times longer.
    SlowLinks { target: Target, factor: u32 },
    /// A node ends; so many times again as soon as it is up.
    Crash { target: Target, power: bool, again: u32 },
    /// All end at once.
    CrashAll { power: bool },
    /// A node ends between two of its effects: after so many more writes, sends and events.
    CrashSoon { target: Target, effects: u64 },
    /// A node stands still.
    Pause { target: Target },
    /// A node does everything so many times slower.
    Slow { target: Target, factor: u64 },
    /// The power of a node fails in the middle of the disk's so-manieth next operation.
    Torn { target: Target, effects: u64 },
    /// One operation fails with EIO, after so many of its kind that succeed.
    Eio { target: Target, op: DiskOp, after: u64 },
    /// No space is left on a disk.
    Full { target: Target },
    /// A byte at rest changes.
    Rot { target: Target },
    /// A write lands elsewhere.
    Misdirect { target: Target },
    /// A disk is so many times slower.
    SlowDisk { target: Target, factor: u64 },
    /// A node ends and comes back with an empty disk under its old name.
    Wipe { target: Target },
    /// A clock jumps.
    Jump { target: Target, micros: i64 },
    /// A clock goes wrong by so many millionths.
    Drift { target: Target, millionths: i64 },
    /// A clock stops.
    Stop { target: Target },
    /// Timers fire late.
    LateTimers { target: Target, late: Duration },
    /// The leader is asked to hand over.
    Transfer { to: NodeId, how: Handover },
}

/// A fault with its time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Strike {
    /// When, after the world's beginning.
    pub at: Duration,
    /// How long it lasts, where it lasts.
    pub lasts: Duration,
    /// What.
    pub fault: Fault,
}

/// The kinds of faults that worlds draw from, by name: what a report counts and a user may exclude.
pub const KINDS: [&str; 20] = [
    "partition",
    "isolate",
    "clog",
    "slow links",
    "crash",
    "crash all",
    "crash soon",
    "pause",
    "slow",
    "torn",
    "eio",
    "full",
    "rot",
    "misdirect",
    "slow disk",
    "wipe",
    "clock jump",
    "clock drift",
    "clock stop",
    "late timers",
];

/// Draws the strikes of one world.
pub struct Draw<'a> {
    /// The dice of the plan.
    pub dice: &'a mut Dice,
    /// Members.
    pub nodes: u64,
    /// How long things go wrong.
    pub chaos: Duration,
    /// Crashes take the power in some worlds only.
    pub power: bool,
}

impl Draw<'_> {
    /// Each kind is in about half of the worlds (those that may end a member for good in one of
    /// eight), with a number of strikes of its own, small ones as likely as large ones.
    pub fn schedule(&mut self) -> Vec<Strike> {
        let mut strikes = Vec::new();
        for kind in KINDS {
            let (one_in, most) = frequency(kind);
            if self.dice.below(one_in) > 0 {
                continue;
            }
            let seconds = self.chaos.as_secs().max(1);
            let most = (most * seconds / 20).max(1) >> self.dice.below(3);
            for _ in 0..self.dice.between(1, most.max(1)) {
                let fault = self.fault(kind);
                strikes.push(self.strike(fault));
            }
        }
        if self.dice.below(8) > 0 {
            let most = 18 * self.chaos.as_secs().max(1) / 20;
            for _ in 0..self.dice.between(4, most.max(4)) {
                let how = [Handover::Plain, Handover::Plain, Handover::Deaf, Handover::Held];
                let how = how[self.dice.below(4) as usize];
                let to = self.node();
                strikes.push(self.strike(Fault::Transfer { to, how }));
            }
        }
        strikes.sort_by_key(|strike| strike.at);
        strikes
    }

    fn strike(&mut self, fault: Fault) -> Strike {
        let at = Duration::from_micros(self.dice.below(self.chaos.as_micros() as u64));
        let slow = matches!(
            fault,
            Fault::Full { .. } | Fault::SlowDisk { .. } | Fault::Drift { .. } | Fault::Slow { .. }
        );
        let apart =
            matches!(fault, Fault::Partition { .. } | Fault::Isolate { .. } | Fault::Pause { .. });
        let longest = if slow {
            8_000
        } else if apart {
            5_000
        } else {
            3_000
        };
        Strike { at, lasts: Duration::from_millis(self.dice.between(20, longest)), fault }
    }

    fn node(&mut self) -> NodeId {
        NodeId(1 + self.dice.below(self.nodes))
    }

    /// The leader as often as any: most traps are about it.
    fn target(&mut self) -> Target {
        let node = self.node();
        if self.dice.below(2) == 0 { Target::Leader(node) } else { Target::Node(node) }
    }

    fn power(&mut self) -> bool {
        self.power && self.dice.below(3) > 0
    }

    fn fault(&mut self, kind: &str) -> Fault {
        let target = self.target();
        match kind {
            "partition" => {
                let side = self.dice.next_u64();
                Fault::Partition { side, one_way: self.dice.below(3) == 0 }
            }
            "isolate" => {
                let (hears, speaks) =
                    [(false, true), (true, false), (false, false)][self.dice.below(3) as usize];
                Fault::Isolate { target, hears, speaks }
            }
            "clog" => Fault::Clog { target },
            "slow links" => Fault::SlowLinks { target, factor: self.dice.between(2, 200) as u32 },
            "crash" => {
                let again =
                    if self.dice.below(6) == 0 { self.dice.between(1, 6) as u32 } else { 0 };
                Fault::Crash { target, power: self.power(), again }
            }
            "crash all" => Fault::CrashAll { power: self.power() },
            "crash soon" => Fault::CrashSoon { target, effects: self.dice.below(30) },
            "pause" => Fault::Pause { target },
            "slow" => Fault::Slow { target, factor: self.dice.between(5, 100) },
            _ => self.disk_or_clock(kind, target),
        }
    }

    fn disk_or_clock(&mut self, kind: &str, target: Target) -> Fault {
        let dice = &mut *self.dice;
        match kind {
            "torn" => Fault::Torn { target, effects: 1 + dice.below(6) },
            "eio" => {
                let op = [DiskOp::Sync, DiskOp::Write, DiskOp::Read][dice.below(3) as usize];
                Fault::Eio { target, op, after: dice.below(4) }
            }
            "full" => Fault::Full { target },
            "rot" => Fault::Rot { target },
            "misdirect" => Fault::Misdirect { target },
            "slow disk" => Fault::SlowDisk { target, factor: dice.between(5, 100) },
            "wipe" => Fault::Wipe { target },
            "clock jump" => {
                let far = dice.between(1_000, 3_000_000) as i64;
                Fault::Jump { target, micros: if dice.below(2) == 0 { far } else { -far } }
            }
            "clock drift" => {
                let much = dice.between(100, 500_000) as i64;
                let millionths = if dice.below(2) == 0 { much } else { -much };
                Fault::Drift { target, millionths }
            }
            "clock stop" => Fault::Stop { target },
            "late timers" => {
                Fault::LateTimers { target, late: Duration::from_millis(dice.between(1, 2_000)) }
            }
            unknown => unreachable!("no kind of fault is called {unknown}"),
        }
    }
}

/// In one of how many worlds, and how often within 20 seconds at most.
fn frequency(kind: &str) -> (u64, u64) {
    match kind {
        "partition" => (2, 24),
        "crash" => (2, 40),
        "crash soon" | "torn" | "isolate" => (3, 20),
        "crash all" => (4, 3),
        "eio" => (4, 6),
        "rot" | "misdirect" | "wipe" => (8, 1),
        "clock jump" | "clock drift" | "clock stop" | "full" | "slow" => (4, 4),
        _ => (3, 8),
    }
}
