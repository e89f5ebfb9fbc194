//! All worlds, not some: small clusters explored to the end, and theorems shown as runs.
//!
//! A simulator draws worlds from seeds and sees what is likely. This crate visits *every* state that a
//! small cluster of the shipped [`Raft`](quorate_raft::Raft) can reach within [bounds](Bounds), and
//! checks the promises of the Raft paper in each. What it finds is the shortest way to it, told as a
//! story. When it finds nothing, nothing is there: within the bounds, and as far as the model goes.
//!
//! # The model
//!
//! - **Members** are `Turn<Raft>`, the code that ships. A member takes one step at a time: it absorbs,
//!   its disk takes what it wrote, and the promises that waited for that leave. It may crash in
//!   between, when any number of these writes, the oldest, are on the disk and what waited for no more
//!   than these has left; it restarts from the disk.
//! - **Wires** hold everything that was ever sent. Each letter may arrive at any time, any number of
//!   times, or never: loss, duplication and reordering without a bound. Only answers that their
//!   receiver can but ignore, now and for ever, are taken off. (A bag of letters with a limit, from
//!   which arrivals remove, has *more* states: it tells apart what was lost from what is late.)
//! - **Time** is free: each step of a member happens when all its timers are due and its leader is
//!   stale. A member may campaign at any moment. Pre-vote and stickiness are taken as passed: they
//!   exist for liveness, and safety must not depend on them.
//! - **Proposals** go to any leader.
//! - **Members** leave where the bounds let them: any leader is told at any moment to let any voter go,
//!   itself too, by joint consensus; where there is a learner, it takes the place once it has caught up.
//!
//! A state is what remains when names, times, dice and tickets are taken out of all that
//! ([`quorate_raft::Raft`]'s `canonical`); worlds that differ only in who is called what are one state.
//! Visited states are kept as 128-bit fingerprints: with 10⁸ states, the chance that any two share one
//! is about 10⁻²³.
//!
//! # What is checked
//!
//! See [`invariants`]. One of them looks a step ahead: nobody who lacks what is committed *could* be
//! elected. So a bug shows a term before it does damage, and terms up to three show what would take
//! a fourth to happen.
//!
//! # Mutants
//!
//! A checker that finds nothing must be shown to be able to. In builds that carry mutants
//! ([`quorate_base::mutant`]) the same exploration is run with a bug of others put back, and must end in a
//! counterexample that names the broken property.
//!
//! # Theorems
//!
//! [`theorems`] holds what no protocol can do, each as a run that anybody can look at: an
//! asynchronous network in which no leader is ever elected, a failure detector that must be wrong,
//! and the two sides of a partition.
//!
//! # Left out
//!
//! Disks that are slower than the next step: what a leader sends while its own disk is at work. Beats
//! and the repetitions that they bring (a lost append is sent again only by the next leader),
//! reads, snapshots, handovers and compaction: the simulator has them. Liveness: nothing here says that
//! something must happen.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod act;
mod explore;
mod fingerprint;
pub mod invariants;
mod member;
pub mod theorems;
mod walk;
mod world;

pub use act::{Act, Cause};
pub use explore::{Counterexample, Report, explore, explore_while};
pub use invariants::Broken;
pub use walk::walk;
pub use world::{Bounds, World};
