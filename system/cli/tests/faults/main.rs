//! Faults survived, on real processes.
//!
//! Two kinds of tests. In [`storm`], three members serve a checked workload while they are killed,
//! stopped and cut off from each other, the leader most of all, and in the end all at once; nothing
//! acknowledged may be missing, no revision may go back, and no watcher may miss or see twice. In
//! [`disks`] and [`space`], one member finds its data directory copied, damaged, emptied, in use,
//! or its disk full: it must say so in one clear sentence, and the other two go on with everything.
//! [`formats`] opens what earlier releases wrote.
//!
//! ```text
//! cargo test -p quorate --test faults
//! QUORATE_FAULTS_SECONDS=3600 cargo test -p quorate --test faults storm -- --nocapture
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `QUORATE_FAULTS_SECONDS` | how long the storm goes on after each fault was there once | 20 |
//! | `QUORATE_FAULTS_SEED` | chooses the order of faults; real processes still differ | the clock |
//!
//! Members reach each other through the relays that `quorate up` uses too: a relay swallows one
//! direction of one link in silence, anywhere, without root.

mod disks;
mod formats;
mod history;
mod links;
mod nemesis;
mod readers;
mod space;
mod storm;
mod story;
#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the contract's tests, which need other parts of it"
)]
mod support;
mod verdict;
mod watchers;
mod writers;

#[path = "../../src/up/relay.rs"]
#[allow(dead_code, reason = "shared with `quorate up`, which also tells what is cut")]
mod relay;
