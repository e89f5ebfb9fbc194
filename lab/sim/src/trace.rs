//! What happened in a world: a hash of all of it, and the events themselves for whoever asks.
//!
//! Every world hashes everything that happens, so that two runs can be compared by one number. The
//! events are kept only when a recorder is attached ([`Trace::attach`], [`Trace::keep_newest`]), and
//! their labels are formatted only then: a world that runs for speed never builds a string.
//!
//! # Reading a recording
//!
//! An [`Event`] says when, at which node, and what ([`What`]). Events are in the order in which they
//! happened; those of one node are that node's own order. Each message has a number that is given
//! when it is sent and named again when it is delivered, doubled or lost, so that happened-before
//! follows from the recording alone: an event comes after the one before it on its node, and a
//! delivery after its send. Vector clocks are one pass over the events ([`Event::message`] tells the
//! pairs; a copy of a doubled message carries the number of the original). Clients are not nodes:
//! their calls name the member that they talk to, and belong to that member's line.
//!
//! A crash ends the line of a node and a restart begins it anew: what a node heard before its crash
//! it may have forgotten, but nothing that it did after the restart happened before the crash.

use quorate_base::{Instant, NodeId};
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Why a message did not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// The dice of its link.
    Dropped,
    /// Its link was cut when it would have arrived.
    Cut,
    /// The receiver was down.
    Down,
    /// More was under way on its link than fits.
    Overflow,
    /// It was damaged on the way and its checksum told.
    Corrupt,
    /// The sender is to leave out what it says (an omission fault).
    Omitted,
}

/// What a clock did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClockFault {
    /// It jumps by so many microseconds, forward or back.
    Jump(i64),
    /// It goes wrong by so many millionths, fast or slow.
    Drift(i64),
    /// It stops.
    Stop,
    /// It is right again in its pace (not in what it shows).
    Steady,
    /// Timers fire so many microseconds late.
    Late(u64),
}

/// What a disk did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DiskFault {
    /// The power fails in the middle of an operation.
    Torn,
    /// A read, a write or a sync will answer EIO.
    Eio,
    /// There is no space, or there is again.
    Full(bool),
    /// A byte at rest changed.
    Rot,
    /// A write went elsewhere.
    Misdirected,
    /// It is so many times slower; 1 is as it was.
    Slow(u64),
    /// Everything on it is gone.
    Wiped,
}

/// What a client heard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Heard {
    /// It happened, and this is the answer.
    Ok,
    /// It did not happen.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// One thing that happened. The variants are the kinds of a picture: see [`What::kind`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // Each variant's line tells of its fields.
pub enum What {
    /// The node sends message number `message`.
    Send { message: u64, to: NodeId },
    /// The network doubles it.
    Duplicate { message: u64, to: NodeId },
    /// It arrives at the node.
    Deliver { message: u64, from: NodeId },
    /// It does not arrive at the node.
    Lose { message: u64, from: NodeId, why: Why },
    /// The node ends; with its power, what was not synced may be lost.
    Crash { power: bool },
    /// It is up again.
    Restart,
    /// It does nothing until it resumes.
    Pause,
    /// It goes on.
    Resume,
    /// It works so many times slower.
    Slow { factor: u64 },
    /// One direction of a link breaks.
    Cut { from: NodeId, to: NodeId },
    /// One direction of a link is whole again.
    Mend { from: NodeId, to: NodeId },
    /// The node holds what arrives by this direction back (true) or lets it go (false).
    Clog { from: NodeId, to: NodeId, on: bool },
    /// The node leads or follows in this term.
    Role { leads: bool, term: u64, leader: Option<NodeId> },
    /// The cluster knows a new entry to be committed; the node is the first to know.
    Commit { index: u64, term: u64 },
    /// The node has applied everything up to here.
    Apply { index: u64 },
    /// The node installed a state.
    Install { index: u64 },
    /// A client asks the node.
    Call { client: u64, operation: u64 },
    /// A client has its answer from the node.
    Return { client: u64, operation: u64, heard: Heard },
    /// The node's disk misbehaves.
    Disk(DiskFault),
    /// The node's clock misbehaves.
    Clock(ClockFault),
    /// From now on nothing goes wrong.
    Peace,
    /// A promise is broken.
    Violation,
    /// Something worth a word.
    Note,
}

impl What {
    /// The kind's name, in lower case: for filters and legends.
    pub fn kind(&self) -> &'static str {
        match self {
            What::Send { .. } => "send",
            What::Duplicate { .. } => "duplicate",
            What::Deliver { .. } => "deliver",
            What::Lose { .. } => "lose",
            What::Crash { .. } => "crash",
            What::Restart => "restart",
            What::Pause => "pause",
            What::Resume => "resume",
            What::Slow { .. } => "slow",
            What::Cut { .. } => "cut",
            What::Mend { .. } => "mend",
            What::Clog { .. } => "clog",
            What::Role { .. } => "role",
            What::Commit { .. } => "commit",
            What::Apply { .. } => "apply",
            What::Install { .. } => "install",
            What::Call { .. } => "call",
            What::Return { .. } => "return",
            What::Disk(_) => "disk",
            What::Clock(_) => "clock",
            What::Peace => "peace",
            What::Violation => "violation",
            What::Note => "note",
        }
    }
}

/// One event of a recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When, on the world's own clock.
    pub at: Instant,
    /// At which node; nothing for what concerns the world.
    pub node: Option<NodeId>,
    /// What.
    pub what: What,
    /// A few words for people: of a message, what it says.
    pub label: String,
}

impl Event {
    /// The number of the message that this event is about.
    pub fn message(&self) -> Option<u64> {
        match self.what {
            What::Send { message, .. }
            | What::Duplicate { message, .. }
            | What::Deliver { message, .. }
            | What::Lose { message, .. } => Some(message),
            What::Crash { .. }
            | What::Restart
            | What::Pause
            | What::Resume
            | What::Slow { .. }
            | What::Cut { .. }
            | What::Mend { .. }
            | What::Clog { .. }
            | What::Role { .. }
            | What::Commit { .. }
            | What::Apply { .. }
            | What::Install { .. }
            | What::Call { .. }
            | What::Return { .. }
            | What::Disk(_)
            | What::Clock(_)
            | What::Peace
            | What::Violation
            | What::Note => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}us ", self.at.0 / 1_000)?;
        let node = self.node.map_or("world".to_owned(), |node| node.to_string());
        match self.what {
            What::Send { message, to } => write!(f, "{node} sends #{message} to {to}")?,
            What::Duplicate { message, to } => write!(f, "{node}'s #{message} to {to} is doubled")?,
            What::Deliver { message, from } => write!(f, "{from} -> {node} #{message}")?,
            What::Lose { message, from, why } => {
                write!(f, "{from} -x {node} #{message} ({why:?})")?;
            }
            What::Role { leads, term, leader } => {
                let role = if leads { "leads" } else { "follows" };
                write!(f, "{node} {role} in term {term}")?;
                if let Some(leader) = leader.filter(|_| !leads) {
                    write!(f, " under {leader}")?;
                }
            }
            What::Cut { from, to } => write!(f, "cut {from} -> {to}")?,
            What::Mend { from, to } => write!(f, "mend {from} -> {to}")?,
            What::Commit { index, term } => write!(f, "{node} commits {index} of term {term}")?,
            What::Apply { index } => write!(f, "{node} has applied up to {index}")?,
            What::Install { index } => write!(f, "{node} installs the state at {index}")?,
            What::Call { client, operation } => {
                write!(f, "client {client} asks {node}, operation {operation}")?;
            }
            What::Return { client, operation, heard } => {
                write!(f, "client {client} hears {heard:?} of operation {operation} from {node}")?;
            }
            What::Disk(fault) => write!(f, "{node} disk {fault:?}")?,
            What::Clock(fault) => write!(f, "{node} clock {fault:?}")?,
            What::Crash { power: true } => write!(f, "{node} crashes and loses its power")?,
            What::Clog { from, to, on } => write!(f, "clog {from} -> {to}: {on}")?,
            What::Crash { power: false }
            | What::Restart
            | What::Pause
            | What::Resume
            | What::Slow { .. }
            | What::Peace
            | What::Violation
            | What::Note => write!(f, "{node} {}", self.what.kind())?,
        }
        if self.label.is_empty() { Ok(()) } else { write!(f, ": {}", self.label) }
    }
}

/// A world's diary.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: Mixer,
    events: u64,
    kept: Option<VecDeque<Event>>,
    most: Option<usize>,
}

impl Trace {
    /// Keeps every event from now on.
    pub fn attach(&mut self) {
        (self.kept, self.most) = (Some(VecDeque::new()), None);
    }

    /// Keeps the newest events only, so many.
    pub fn keep_newest(&mut self, most: usize) {
        (self.kept, self.most) = (Some(VecDeque::new()), Some(most));
    }

    /// Adds an event. `content` is what of it is not in `what`, as a number for the hash; `label`
    /// is asked for only when somebody records.
    pub fn add(
        &mut self,
        at: Instant,
        node: Option<NodeId>,
        what: What,
        content: u64,
        label: impl FnOnce() -> String,
    ) {
        self.hash.write_u64(at.0 ^ node.map_or(0, |node| node.0 << 56) ^ content.rotate_left(20));
        what.hash(&mut self.hash);
        self.events += 1;
        if let Some(kept) = &mut self.kept {
            if self.most.is_some_and(|most| kept.len() >= most) {
                kept.pop_front();
            }
            kept.push_back(Event { at, node, what, label: label() });
        }
    }

    /// The hash over everything so far: equal for two worlds in which the same happened.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What was kept, oldest first; the recorder stays attached and begins anew.
    pub fn take(&mut self) -> Vec<Event> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default().into()
    }
}

/// A hasher that says the same on every machine and build of one release: a multiply and a shift
/// for each eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mixer(u64);

impl Mixer {
    /// The digest of a value.
    pub fn of(value: &impl Hash) -> u64 {
        let mut mixer = Mixer::default();
        value.hash(&mut mixer);
        mixer.finish()
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
    }

    fn write_u64(&mut self, word: u64) {
        // The multiplier of Steele and Vigna's tables ("Computationally easy, spectrally good
        // multipliers", 2021); the rotation lets high bits reach low ones.
        self.0 = (self.0 ^ word).wrapping_mul(0xd134_2543_de82_ef95).rotate_left(23) ^ word;
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
}

/// The digest of bytes, continued from an earlier one.
pub fn hash(state: u64, bytes: &[u8]) -> u64 {
    let mut mixer = Mixer(state);
    mixer.write(bytes);
    mixer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(keep: bool) -> Trace {
        let mut trace = Trace::default();
        if keep {
            trace.attach();
        }
        let (one, two) = (NodeId(1), NodeId(2));
        trace.add(Instant(1), Some(one), What::Send { message: 1, to: two }, 7, || "hi".into());
        trace
            .add(Instant(2), Some(two), What::Deliver { message: 1, from: one }, 7, || "hi".into());
        trace
    }

    #[test]
    fn recording_changes_no_hash_and_labels_are_asked_for_only_then() {
        assert_eq!(told(true).hash(), told(false).hash());
        let mut trace = Trace::default();
        trace.add(Instant(1), None, What::Peace, 0, || unreachable!("nobody records"));
        assert_eq!(trace.events(), 1);
    }

    #[test]
    fn each_part_of_an_event_changes_the_hash() {
        let hash = |at, node: u64, what, content| {
            let mut trace = Trace::default();
            trace.add(Instant(at), Some(NodeId(node)), what, content, String::new);
            trace.hash()
        };
        let base = hash(1, 1, What::Pause, 0);
        for other in [
            hash(2, 1, What::Pause, 0),
            hash(1, 2, What::Pause, 0),
            hash(1, 1, What::Resume, 0),
            hash(1, 1, What::Pause, 1),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_recording_pairs_sends_and_deliveries() {
        let events = told(true).take();
        assert_eq!(events[0].message(), events[1].message());
        assert_eq!(events[1].to_string(), "         0us n1 -> n2 #1: hi");
    }
}
