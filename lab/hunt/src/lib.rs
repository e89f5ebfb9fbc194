//! The search for a bad seed, and everything that makes one legible.
//!
//! A simulator finds out *that* a promise was broken. Whoever has to mend it asks other questions: is
//! it still broken without half of the faults, who spoke to whom before it happened, what did the
//! member know by then? This crate answers them, and adds no judgement of its own: what is right and
//! wrong is decided in `quorate-sim`.
//!
//! # From a seed to a picture
//!
//! - [`hunt`] runs the worlds of a range of seeds on all cores until one breaks a promise.
//! - [`shrink`] takes faults away from it for as long as the same promise is broken.
//! - [`recipe`] names any such world in one line: `raft/5/17 keep=3,9 loss=0 chaos=4200ms`. A recipe is
//!   all that it takes to see the world again; reports, pages and the command line speak in recipes.
//! - [`film`] is what a recipe comes to when it is played: every event, with its causal past.
//! - [`story`] tells it in lines, [`page`] draws it as a space-time diagram in a file of its own,
//!   [`shiviz`] writes it for another tool, [`report`] puts it all in a directory.
//! - [`scenario`] holds worlds that are worth looking at, with what there is to be seen in them.
//!
//! # Determinism
//!
//! All of it follows from the recipe, down to the last byte of a page. Threads only decide which seeds
//! are tried at the same time: [`hunt`] reports the smallest failing seed that it came to.
//!
//! # Deliberately absent
//!
//! A format for worlds that outlives a release: what a seed means changes with the simulator, and a
//! report says which one wrote it. Networks in pages: they load nothing and tell nobody.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod bands;
pub mod clocks;
pub mod film;
pub mod hunt;
pub mod page;
pub mod property;
pub mod recipe;
pub mod report;
pub mod scenario;
pub mod shiviz;
pub mod shrink;
pub mod story;
