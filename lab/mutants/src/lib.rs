//! Puts every bug of the table back, one at a time, and demands that a judge finds it.
//!
//! A laboratory that never found anything proves nothing: perhaps there is nothing to find, perhaps it
//! is blind. So the bugs that others shipped are kept as *mutants* ([`quorate_base::mutant`]), and
//! this crate runs worlds with one of them switched on until somebody notices. It counts as noticed
//! only when a judge names the property that breaks. An assertion inside of the product does not
//! count (the guards that would get in first sleep), nor a panic, nor a world that never ends.
//!
//! # Where a mutant is looked for
//!
//! In [arenas](arena::Arena), cheap ones first, each up to a number of seeds:
//!
//! 1. **schedules**: five members of consensus alone, an adversarial order of steps;
//! 2. **raft worlds**: five members of the shipped consensus on the shipped log over simulated
//!    disks and wires, judged by the properties of the Raft paper;
//! 3. **server worlds**: three whole members with clients, judged by a naive store;
//! 4. **stories**: the golden story of the mutant's trap, which expects what the mutant breaks. Some
//!    bugs cost only time or messages, and no judge of results can see them; their story can.
//!
//! Beside them stands `lab/model`, which must find five of them by exploring all small worlds.
//!
//! The number of seeds that it took goes into `docs/mutants.md`, which the binary of this crate
//! writes. Every mutant is also looked for where it must not be: the same seeds without it are clean.
//!
//! # Why a crate of its own
//!
//! It is the only one that switches mutants on, and it does nothing in a build without them.
//! `cargo xtask mutants` builds it with `--cfg quorate_mutants` in a target directory of its own.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(quorate_mutants)]
pub mod arena;
#[cfg(quorate_mutants)]
pub mod hunt;
#[cfg(quorate_mutants)]
pub mod story;
#[cfg(quorate_mutants)]
pub mod table;
