//! Bytes that nobody wrote on purpose, for everything that reads bytes.
//!
//! A [`Target`] is a plain function of bytes that may do anything but panic, hang, or contradict itself: what it decodes
//! must encode to something that decodes alike, and where a simple model of the answer exists, the answer must be the
//! model's. [`drive`] feeds it: first what is known to be interesting (the target's own seeds, made by the encoders, and
//! the files of `corpus/TARGET`, inputs that once failed), then mutations of those from a seed, the same on every machine.
//!
//! The seeds are whole, valid values of every kind, and mutations are made by people's experience of what breaks
//! readers: lengths, counts, ends, repetitions, words of a notation, and pieces of two inputs joined. `cargo xtask fuzz`
//! also builds the workspace so that it counts which code runs ([`coverage`]): inputs that reach new code become seeds
//! of their own, and mutations go deep by many small steps. Tests do without, and replay what was kept.
//!
//! `cargo xtask fuzz TARGET --for 10m` runs one for longer; `tests/replay.rs` runs each briefly.

pub mod coverage;
pub mod drive;
mod mutate;
mod source;
mod targets;

pub use targets::TARGETS;

/// Something that reads bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line, and of its directory in `corpus`.
    pub name: &'static str,
    /// What it reads, for people.
    pub reads: &'static str,
    /// Words of what it reads, to be put anywhere; none where it reads no text.
    pub words: &'static [&'static str],
    /// Inputs that mean something.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads one input. Panics when something is wrong.
    pub run: fn(&[u8]),
}

/// The target with this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}
