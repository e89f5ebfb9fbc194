//! What can happen next.

use crate::world::{Bounds, World};
use quorate_base::NodeId;
use quorate_script::show;

/// What happens. Members are named by their place, letters by theirs on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// A member asks for votes; a leader resigns first.
    Campaign(u8),
    /// A leader is given a value.
    Propose(u8),
    /// A leader is told to let a voter go, the second; a learner takes its place where there is one.
    Change(u8, u8),
    /// A letter arrives, perhaps not for the last time.
    Deliver(u8),
    /// Nothing, to a member that then crashes.
    Idle(u8),
}

/// One step of a world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Act {
    /// What happens.
    pub cause: Cause,
    /// The member that it happens to crashes before its disk is done: so many of the writes that the
    /// step asked for had reached it. It starts again.
    pub crash: Option<u8>,
}

impl Act {
    /// The act in so few bits that a hundred million fit into memory.
    pub(crate) fn pack(self) -> u16 {
        let (kind, at) = match self.cause {
            Cause::Campaign(at) => (0, at),
            Cause::Propose(at) => (1, at),
            Cause::Deliver(at) => (2, at),
            Cause::Idle(at) => (3, at),
            Cause::Change(at, gone) => (4, at << 4 | gone),
        };
        let crash = self.crash.map_or(0, |survivors| survivors + 1);
        assert!(crash < 32, "{self:?} does not fit");
        kind << 13 | u16::from(at) << 5 | u16::from(crash)
    }

    /// The act that was packed.
    pub(crate) fn unpack(packed: u16) -> Act {
        let (at, crash) = ((packed >> 5) as u8, (packed & 31) as u8);
        let cause = match packed >> 13 {
            0 => Cause::Campaign(at),
            1 => Cause::Propose(at),
            2 => Cause::Deliver(at),
            3 => Cause::Idle(at),
            4 => Cause::Change(at >> 4, at & 15),
            other => unreachable!("kind {other} was never packed"),
        };
        Act { cause, crash: crash.checked_sub(1) }
    }

    /// The act in words, told of the world before it.
    pub(crate) fn tell(self, world: &World) -> String {
        let name = |at: u8| NodeId(u64::from(at) + 1);
        let letter = |at: u8| {
            let letter = world.letter(at);
            format!("{} ← {} {}", letter.to, letter.from, show::message(&letter.message))
        };
        let cause = match self.cause {
            Cause::Campaign(at) => format!("{} campaigns", name(at)),
            Cause::Propose(at) => format!("{} is given a value", name(at)),
            Cause::Deliver(at) => letter(at),
            Cause::Idle(at) => format!("{} does nothing", name(at)),
            Cause::Change(at, gone) => format!("{} is told to let {} go", name(at), name(gone)),
        };
        match self.crash {
            None => cause,
            Some(0) => format!("{cause}, crashes before its disk has any of it, and restarts"),
            Some(1) => format!("{cause}, crashes when its disk has the first write, and restarts"),
            Some(survivors) => {
                format!("{cause}, crashes when its disk has {survivors} writes, and restarts")
            }
        }
    }
}

/// Everything that can cause the next step, within the bounds.
pub(crate) fn causes(world: &World, bounds: &Bounds, out: &mut Vec<Cause>) {
    out.clear();
    for (at, member) in world.members().enumerate() {
        let at = at as u8;
        let raft = member.raft();
        if raft.is_leader() && world.proposed() < bounds.proposals {
            out.push(Cause::Propose(at));
        }
        if raft.is_leader() && world.changed() < bounds.changes {
            let leavers = (0..bounds.members).filter(|gone| world.may_change(at, *gone));
            out.extend(leavers.map(|gone| Cause::Change(at, gone)));
        }
        if raft.term() < u64::from(bounds.terms) {
            out.push(Cause::Campaign(at));
        }
        if member.crashes < bounds.crashes {
            out.push(Cause::Idle(at));
        }
    }
    let letters = u8::try_from(world.letters()).expect("fewer letters than a byte counts");
    out.extend((0..letters).map(Cause::Deliver));
}
