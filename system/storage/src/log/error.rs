//! How the log fails, and what each failure means for the process.
//!
//! The question that a host asks about an error is always the same: may I go on? For every error
//! that [`crate::Log::append`], [`crate::Log::sync`] and [`crate::Log::maintain`] return, except
//! [`LogError::TooLarge`], the answer is no: the process must exit and come back through
//! recovery, which trusts nothing that it cannot prove. Errors of reading leave the log as it was.

use crate::WITHOUT_ITS_DATA;
use crate::disk::DiskError;
use crate::log::record::GroupId;

/// Bytes that are not what was once synced. Never repaired in silence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "corruption in {file} at offset {offset}: {problem}; this member's log cannot be trusted any \
     more: {WITHOUT_ITS_DATA}"
)]
pub struct Corruption {
    /// The damaged file.
    pub file: String,
    /// Where in the file the damage was noticed, in bytes.
    pub offset: u64,
    /// What was expected and what was there.
    pub problem: String,
}

/// An error of the log's writer or of its recovery.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refused an operation. Fatal: what is durable is unknown until recovery.
    #[error("the log stops: {0}")]
    Disk(#[source] DiskError),
    /// The disk is full. Fatal as well, but the cure is space: nothing acknowledged is lost.
    #[error("the log stops because the disk is full: {0}; free some space and start again")]
    Full(#[source] DiskError),
    /// An earlier call failed; this log accepts nothing any more. Fatal.
    #[error("the log stopped earlier and the process must exit: {cause}")]
    Poisoned {
        /// The first error.
        cause: String,
    },
    /// Synced bytes are damaged or gone.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The segment belongs to another data directory.
    #[error(
        "{file} belongs to another data directory (log identity {found:016x}, expected \
         {expected:016x}); start with the directory that this log was written in"
    )]
    Foreign {
        /// The segment's file.
        file: String,
        /// The identity that the segment carries.
        found: u64,
        /// The identity of this data directory.
        expected: u64,
    },
    /// The segment was written in a format that this build does not read.
    #[error(
        "{file} has log format {found}; this build reads format {supported}: use the release that wrote it"
    )]
    Format {
        /// The segment's file.
        file: String,
        /// The format that the segment carries.
        found: u16,
        /// The format that this build reads.
        supported: u16,
    },
    /// The data directory was initialised, but its log is gone.
    #[error(
        "the log in {directory} is missing although the data directory was initialised: put it \
         back; if it is lost, {WITHOUT_ITS_DATA}"
    )]
    Missing {
        /// Where the segments should be.
        directory: String,
    },
    /// A single entry or configuration is larger than the format allows. Nothing was written,
    /// and the log goes on.
    #[error("{what} of group {group} has {size} bytes; the log takes at most {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Whose it is.
        group: GroupId,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl From<DiskError> for LogError {
    fn from(error: DiskError) -> LogError {
        if error.is_full() { LogError::Full(error) } else { LogError::Disk(error) }
    }
}

impl LogError {
    /// True when the process must exit: the log has poisoned itself.
    pub fn is_fatal(&self) -> bool {
        match self {
            LogError::Disk(_) | LogError::Full(_) | LogError::Poisoned { .. } => true,
            LogError::Corrupt(_) | LogError::Missing { .. } => true,
            LogError::Foreign { .. } | LogError::Format { .. } => true,
            LogError::TooLarge { .. } => false,
        }
    }
}

/// An error of [`crate::LogReader`]. None of them changes the log.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log never heard of this group.
    #[error("the log has no group {group}")]
    UnknownGroup {
        /// The group asked for.
        group: GroupId,
    },
    /// The entries are no longer in the log: the follower needs a snapshot.
    #[error("entry {index} of group {group} is compacted: the log starts at {first}")]
    Compacted {
        /// The group asked for.
        group: GroupId,
        /// The index asked for.
        index: u64,
        /// The first index that the log still has.
        first: u64,
    },
    /// The entries are not in the log yet.
    #[error("entry {index} of group {group} is not in the log: it ends at {last}")]
    Beyond {
        /// The group asked for.
        group: GroupId,
        /// The index asked for.
        index: u64,
        /// The last index of the log.
        last: u64,
    },
    /// The disk refused to read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The bytes read are not those that were written.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The writer failed; what is in memory may not be on the disk, so nothing is served.
    #[error("the log stopped and the process must exit: {cause}")]
    Poisoned {
        /// The writer's first error.
        cause: String,
    },
}
