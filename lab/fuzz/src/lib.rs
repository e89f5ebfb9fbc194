//! Bytes that nobody wrote on purpose, for everything that reads bytes.
//!
//! A [`Target`] is a plain function of bytes that may do anything but panic, hang, or contradict itself: what it decodes
//! must encode to something that decodes alike, and where a simple model of the answer exists, the answer must be the
//! model's. [`drive`] feeds it: first what is known to be interesting (the target's own seeds, made by the encoders, and
//! the files of `corpus/TARGET`, inputs that once failed), then mutations of those from a seed, the same on every machine.
//!
//! What this is not: a fuzzer led by coverage. That needs instrumentation which stable Rust does not offer without a
//! runtime in C. In its place the seeds are whole, valid values of every kind, and mutations are made by people's
//! experience of what breaks readers: lengths, counts, ends, and pieces of two inputs joined. The targets have the
//! signature that such fuzzers want, so one may be put in front of them.
//!
//! `cargo xtask fuzz TARGET --for 10m` runs one for longer; `tests/replay.rs` runs each briefly.

pub mod drive;
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
    /// Inputs that mean something.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads one input. Panics when something is wrong.
    pub run: fn(&[u8]),
}

/// The target with this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}
