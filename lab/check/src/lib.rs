//! Judges of histories: was what the clients saw allowed by what the system promises?
//!
//! A *history* is what clients observed: for each operation the moment it was invoked, and the moment and the content
//! of its completion, if any came. A *judge* decides whether the history could have come from a system that keeps a
//! named promise (linearizability of a register, causal consistency, serializable transactions, …). Judges know
//! nothing of Quorate: they read histories of any system, from files in the formats of [`read`] or from memory.
//!
//! # Layout
//!
//! - [`history`]: events, values, and pairing of invocations with completions.
//! - [`read`]: the formats. Every error has a line and a column.
//! - [`verdict`]: yes, no with the reason, or unknown with the reason; what a judge reports.
//! - [`limits`]: bounds on time and memory, and the gauge that a progress bar reads.
//! - [`model`]: the registry of judges by name. A judge that is in the registry is on the command line.
//! - [`linear`]: linearizability of single objects.
//! - [`sequential`]: sequential consistency.
//! - [`causal`]: causal consistency and the session guarantees.
//! - [`txn`]: isolation of transactions, on lists and on registers.
//! - [`watch`]: what watchers were told, against the log.
//! - [`converge`], [`counter`]: states of replicas, and bounds of counters.
//!
//! # Caveats
//!
//! A verdict is about the history, not about the system: a history without a violation proves nothing about the next
//! one. Deciding linearizability is NP-complete (Gibbons and Korach 1997), so every judge works within limits, and
//! answers [`Verdict::Unknown`](verdict::Verdict::Unknown) with the reason when they do not suffice. It never guesses.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod access;
pub mod causal;
pub mod converge;
pub mod counter;
mod graph;
pub mod history;
pub mod limits;
pub mod linear;
pub mod model;
mod pairs;
pub mod read;
mod registers;
pub mod sequential;
pub mod txn;
pub mod verdict;
pub mod watch;
