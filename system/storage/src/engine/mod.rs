//! The state engine: where the applied state of a keyspace lies.
//!
//! **Promise.** One writer puts and deletes bytes in one ordered space and publishes; each publish
//! is an atomic step and returns a [`View`] that stays as it is for as long as it is held, on any
//! thread. After a crash that loses or tears everything not yet synced, the engine opens exactly at
//! some published state, at or after the last sync; [`LsmEngine::mark`] says which. It keeps no
//! journal: the replicated log is the truth and is kept until [`LsmEngine::synced`] covers it.
//!
//! **How.** Recent writes lie in a [memtable](memtable), versioned by batch. When it is full, or when
//! a sync was asked for, it is sealed at the end of a publish together with the mark of that
//! publish; a thread writes it to a sorted table, syncs the table, and switches the manifest to it.
//! That switch is the sync, and the only way anything reaches the disk, so nothing half-written is
//! ever read. Another thread merges tables. The tables, their manifest and their merges are those of
//! the `lsm-tree` crate; the memtable and the views are ours, for the reasons measured in
//! docs/decisions/0001-state-engine.md:
//!
//! - its reads and writes share a lock that a flush holds over several fsyncs; ours take none;
//! - a long-held snapshot there keeps every later memtable in memory; a view here keeps only the
//!   memtables and tables of its own moment, which costs disk and at most a few memtables;
//! - a key rewritten often made its range reads slow, and a view or a publish cost allocations.
//!
//! **Memory** is bounded by [`Options`], whatever the size of a batch: about three memtables, the cache, and the pinned part of
//! indexes and filters. **Pressure**: when flushes or merges fall behind, publishes are delayed by
//! milliseconds each, and wait only when four memtables are full; [`Stats`] tells the longest.
//!
//! **Left out, and what it costs.** Large values lie in the tables beside small ones, so a merge
//! rewrites them (a value is at most 1.5 MiB). Keys are at most [`MAX_KEY_BYTES`] long, a limit of
//! the table format; the store must refuse longer ones. Deletes are remembered until a merge reaches
//! the last level; when they are a tenth of all entries a merge is forced.
//!
//! [`Generations`] switches between whole engines, to install a leader's snapshot.

mod error;
mod generations;
mod lsm;
mod memtable;
mod merge;
mod merging;
mod sorted;
mod state;
mod tables;
mod worker;

pub use error::StateError;
pub use generations::{Generations, OpenGeneration};
pub use lsm::{LsmEngine, Stats};
pub use state::View;

/// The longest key, in bytes; the shortest is one byte. Longer keys are a broken caller.
pub const MAX_KEY_BYTES: usize = 65_535;

/// Where the engine keeps its own mark. No caller may use it.
pub(crate) const MARK_KEY: &[u8] = b"\xffquorate/mark";

/// What an engine may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// A memtable is sealed when it holds about this many bytes. Up to four exist at once.
    pub memtable_bytes: usize,
    /// Memory for blocks of tables.
    pub cache_bytes: u64,
    /// How large merged tables become. Smaller tables make smaller merges and more files.
    pub table_bytes: u64,
}

impl Options {
    /// For a member that shares a small machine: with a million keys of 64 + 256 bytes it stays
    /// below 150 MB of anonymous memory.
    pub const fn small() -> Options {
        Options { memtable_bytes: 16 << 20, cache_bytes: 32 << 20, table_bytes: 16 << 20 }
    }
}
