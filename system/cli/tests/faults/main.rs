//! Faults survived, on real processes.
//!
//! Four kinds of tests. In [`storm`], three members serve a checked workload while they are killed,
//! stopped and cut off from each other, the leader most of all, and all at once: it is `quorate
//! chaos`, and nothing acknowledged may be missing, no revision may go back, and no watcher may miss
//! or see twice. In [`moving`], members are added, removed and replaced meanwhile. In [`rolling`], members are restarted and upgraded one by one, and no client may
//! notice. In [`disks`] and [`space`], one member finds its data directory copied, damaged, emptied, in use,
//! or its disk full: it must say so in one clear sentence, and the other two go on with everything.
//! In [`corruption`] its state is changed below its checksums, and the comparison of members must find it.
//! [`formats`] opens what earlier releases wrote.
//!
//! ```text
//! cargo test -p quorate --test faults
//! QUORATE_FAULTS_SECONDS=3600 cargo test -p quorate --test faults storm -- --nocapture
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `QUORATE_FAULTS_SECONDS` | how long the storm goes on | 60 |
//! | `QUORATE_FAULTS_SEED` | chooses the order of faults; real processes still differ | the clock |
//! | `QUORATE_OLD_BIN` | the program of an earlier build, to upgrade from | not tested |

mod corruption;
mod disks;
mod formats;
mod moving;
mod quota;
mod rolling;
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
