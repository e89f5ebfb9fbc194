//! What no protocol can do, shown on one that would.
//!
//! An impossibility result is a recipe: whatever the protocol, here is the schedule that defeats it. Each
//! module follows one recipe against the shipped Raft, for as long as it is asked to, and reports
//! what happened in numbers:
//!
//! - [`flp`]: no leader for ever, though every message arrives (Fischer, Lynch, Paterson 1985);
//! - [`detector`]: a failure detector that finds every crash suspects the living (Chandy, Toueg 1996);
//! - [`cap`]: what the two sides of a partition answer (Gilbert, Lynch 2002).
//!
//! None of them shows a bug. They show where the limits lie that time-outs, quorums and refusals exist
//! to live with.

pub mod cap;
pub mod detector;
pub mod flp;

use quorate_base::NodeId;
use quorate_raft::Config;
use std::time::Duration;

/// A member's configuration with this election timeout; beats come ten times as often.
fn config(election_timeout: Duration) -> Config {
    Config {
        id: NodeId(0),
        election_timeout,
        heartbeat_interval: election_timeout / 10,
        max_append_bytes: 1 << 20,
        max_inflight_appends: 16,
        max_cached_bytes: 1 << 20,
        max_held_entries: 1_000,
    }
}
