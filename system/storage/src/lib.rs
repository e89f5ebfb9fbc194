//! Bytes on disk: the replicated log, the data directory that holds it, and the disk beneath.
//!
//! # The parts
//!
//! * [`Disk`] is what the storage asks of a disk, with the promises of POSIX and no more;
//!   [`RealDisk`] keeps them with a directory, the laboratory's simulated disk breaks them.
//! * [`Log`] is one append-only log for all consensus groups of a process: one write and one sync
//!   for whatever arrived, recovery that tells a crash from corruption, segments that are
//!   recycled. It is synchronous and has a single writer; [`LogReader`] reads from any thread.
//! * [`DataDir`] is a member's directory: locked against a second process, and labelled with
//!   cluster, member and format in [`Meta`].
//! * [`to_record`] and [`restore`] are the way from Raft's words to the log's and back.
//!
//! # What is deliberately absent
//!
//! No clock, no async, no thread but the engine's two: the host owns those. No knowledge of Raft
//! in the log itself: entries, votes and configurations are opaque numbers and bytes there. No
//! retry of anything: a disk that failed once is asked again only by a new process, through
//! recovery.

pub mod aside;
pub mod disk;
pub mod engine;
pub mod log;

mod data_dir;
mod meta;
mod raft_log;
mod real_disk;

pub use data_dir::{DataDir, DataDirError, free_bytes, random_incarnation};
pub use disk::{Disk, DiskError, DiskOp};
pub use log::{
    Corruption, Cut, Entry, EntryId, GroupId, Log, LogEntries, LogError, LogOptions, LogReader,
    LogStats, Maintenance, Pin, ReadError, Record, Recovered, RecoveredGroup, RecoveryReport,
};
pub use meta::{FORMAT, Meta, MetaError};
pub use raft_log::{needs_sync, restore, to_record};
pub use real_disk::{RealDisk, RealFile};

/// What an operator can do about a member whose data cannot be trusted: the end of such errors.
pub const WITHOUT_ITS_DATA: &str = "the others go on without this member as long as they are a \
     quorum; to have all members again, begin anew from a backup of one of them (quorate snapshot \
     save, then quorate snapshot restore)";
