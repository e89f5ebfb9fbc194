//! The shared words of every protocol, and the one driver that runs them.
//!
//! # What a protocol is
//!
//! A protocol is a value. It is told what happened ([`Input`]) and says what to do ([`Output`]); it
//! never does it. It owns no socket, no disk, no clock and no source of randomness: time is an
//! argument ([`Instant`]), dice are a seeded field ([`Dice`]). So one implementation is run on a
//! network, simulated, forked and model-checked, and the same inputs always give the same outputs.
//!
//! # How promises wait for the disk
//!
//! A protocol says [`Out::write`] and gets a [`Ticket`]: a counter of its machine that never
//! repeats. A promise that may leave only when that write is on disk is sent with
//! [`Out::send_after`]; everything else leaves at once with [`Out::send`] (a leader's appends leave
//! in parallel with its own disk: Ongaro's dissertation, section 10.2.1). The safety argument of a
//! follower is then visible in the three lines that write, take the ticket and send.
//!
//! # The driver
//!
//! [`Turn`] absorbs a batch of inputs and returns a [`Batch`]: writes in ticket order, sends that
//! are free to go, and events for the local host. It touches no disk: the host syncs the writes
//! and then feeds [`Input::Durable`] back, which releases what waited. Several absorbs may lie
//! between a batch and its durable; the simulator picks how many, the host takes whatever its log
//! thread took. The ordering rules that ship are the ones that were attacked.
//!
//! The host's four duties, in order:
//! 1. Persist the writes of one machine in ticket order, across batches too.
//! 2. Feed `Durable(t)` only when every write up to `t` is on stable storage.
//! 3. Stop the process when a sync fails; never retry it.
//! 4. Deliver a message at most as often as the network did, and never to another machine.
//!
//! # Left out, and what that costs
//!
//! A gated send may be overtaken by a free one that was said later: protocols that need FIFO
//! channels (Chandy-Lamport) must number them. A Turn does not bound how much is in flight; the
//! host does, by not absorbing.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod dice;
pub mod mutant;
mod out;
mod time;
mod turn;

pub use dice::Dice;
pub use out::{Input, Out, Output, Protocol, Ticket};
pub use time::Instant;
pub use turn::{Batch, Turn};

use std::fmt;

/// Names one machine of a cluster. Chosen once and never given to another machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{:x}", self.0)
    }
}
