//! The replicated log on disk: one log for all consensus groups, one write and one sync per batch.
//!
//! # Promise
//!
//! What [`Log::append`] took is durable once the next [`Log::sync`] returned `Ok`. After a crash,
//! [`Log::open`] gives back a prefix of the sequence of batches that were appended: at least
//! everything synced, and nothing out of order. Damage to synced bytes is an error that names the
//! place, never a shorter log.
//!
//! # How
//!
//! *Segments.* The log is a row of preallocated files ([`segment`]), each holding batches
//! ([`batch`]) of records ([`record`]). Preallocated means written with zeros: a sync then has no
//! file size and no block map to write, only data. A file is recycled once nothing in it is
//! needed; since every batch carries its segment's epoch and a sequence number, stale bytes are
//! never taken for new ones.
//!
//! *Rolling.* When a batch does not fit, the old segment is synced, a spare file gets an opening
//! batch that repeats the durable facts of every group ([`state`]), is synced, renamed to its
//! place, and the directory is synced. Hence every segment but the newest is durable to its
//! stated end, and each segment alone tells term, vote, commit, prefix and configuration of every
//! group: older segments are kept for their entries only, and one idle group cannot pin them for
//! ever ([`maintain`]).
//!
//! *The torn tail.* Only the newest segment can end in the middle of a batch. Each batch header
//! says up to where the segment was synced when the batch was written. A bad batch at or beyond
//! the greatest such offset was never acknowledged: it is cut, with everything after it. A bad
//! batch below is corruption. Since the newest batch has no successor to vouch for it, `maintain`
//! adds an empty batch when the log comes to rest ([`recover`] tells the rest).
//!
//! *Failures.* A failed write or sync is final (Rebello et al., USENIX ATC 2020: after a failed
//! fsync the kernel may call the pages clean although they never reached the disk). The log
//! poisons itself and the process must exit. For the same reason recovery writes the unproven
//! tail again before it trusts it: a page that is right in the cache may be wrong on the disk.
//!
//! # What is left out, and what that costs
//!
//! * Loss of the newest segment *file*, or rot in the very last batch before an idle mark, looks
//!   like a crash: a group then relies on its quorum. A manifest of segments would narrow it.
//! * No compression and no encryption: entries are opaque, and both belong above or below.
//! * A batch is atomic, an [`Log::append`] of more than 256 KiB is not: it is several batches, in
//!   order. Raft needs order only.
//! * Offsets are 32 bits in the index, so a segment stays below 4 GiB.

mod batch;
mod error;
mod index;
mod maintain;
mod reader;
mod record;
mod recover;
mod replay;
mod segment;
mod state;
mod window;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{Corruption, LogError, ReadError};
pub use maintain::{Maintenance, Pin};
pub use reader::{Entry, LogEntries, LogReader};
pub use record::{GroupId, MAX_PAYLOAD_BYTES, Record};
pub use recover::{Cut, Recovered, RecoveredGroup, RecoveryReport};
pub use state::EntryId;
pub use writer::{Log, LogStats};

/// The settings of a log. A log may be reopened with others; the identity alone must stay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// The data directory's random incarnation; every batch carries it.
    pub identity: u64,
    /// True when the log must exist: an empty directory is then an error and not a first start.
    pub must_exist: bool,
    /// Bytes per segment file. A batch that does not fit gets a segment of its own size.
    pub segment_bytes: u64,
    /// How many empty files to keep ready, recycled or prepared.
    pub spare_segments: usize,
    /// How many bytes of a spare one call of [`Log::maintain`] allocates at most.
    pub prepare_bytes: u64,
    /// When more than this many bytes of segments are kept, small groups that pin the oldest
    /// segment are rewritten forward.
    pub retain_bytes: u64,
    /// The oldest segment is rewritten forward when at most this much of it is needed, in bytes.
    pub rewrite_bytes: u64,
}

impl LogOptions {
    /// The settings of a server: segments of 64 MiB, one spare, rewriting beyond 256 MiB.
    pub fn new(identity: u64) -> LogOptions {
        LogOptions::with_segments(identity, 64 << 20)
    }

    /// Settings scaled to another segment size, in bytes.
    ///
    /// # Panics
    /// When it is below 4 KiB or not below 4 GiB.
    pub fn with_segments(identity: u64, segment_bytes: u64) -> LogOptions {
        assert!((4 << 10..1 << 32).contains(&segment_bytes), "segments of {segment_bytes} bytes");
        LogOptions {
            identity,
            must_exist: false,
            segment_bytes,
            spare_segments: 1,
            prepare_bytes: 1 << 20,
            retain_bytes: 4 * segment_bytes,
            rewrite_bytes: segment_bytes / 8,
        }
    }
}
