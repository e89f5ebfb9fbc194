//! Linearizability, judged four ways.
//!
//! The judge's search takes short cuts: reductions, and decisions without a search. Each is compared on small random
//! histories with [`plain`], the textbook search without any of them, and that one on tiny histories with [`brute`],
//! which tries all orders. An order that is claimed to be a linearization is replayed.

mod brute;
mod compare;
mod files;
mod histories;
mod plain;
mod random;
