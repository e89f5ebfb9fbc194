//! What the storage asks of a disk, and how a disk may disappoint it.
//!
//! A [`Disk`] is one flat directory of files. The replicated log, its recovery and its garbage
//! collection are written against this trait alone, so that the code that ships is the code that
//! the simulator crashes: [`crate::RealDisk`] keeps a directory of the operating system, and the
//! laboratory's disk keeps a directory in memory that tears, loses and forgets on purpose.
//!
//! The promises are those of POSIX, no more, because anything more would be a promise that real
//! disks break:
//!
//! * A write is durable once [`Disk::sync`] on its file returned `Ok`. Before that, a crash keeps
//!   any subset of its sectors, in any order among other unsynced writes.
//! * A name (created, renamed or removed) is durable once [`Disk::sync_dir`] returned `Ok`.
//! * After a failed sync nobody knows what is on the disk, and a second sync proves nothing: the
//!   kernel may have marked the pages clean (Rebello et al., "Can Applications Recover from fsync
//!   Failures?", USENIX ATC 2020). Callers stop; they never retry.
//!
//! Methods take `&self`: a slow follower is served from another thread than the writer's. That
//! there is one *writer* is promised by the log, whose own methods take `&mut self`.

use std::fmt;
use std::io;

/// A flat directory of files with explicit durability. Clones are handles on the same directory.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file. Clones share the file, and stay valid when it is renamed or removed.
    type File: Clone + Send + Sync + fmt::Debug + 'static;

    /// The full path of a name, for messages.
    fn path(&self, name: &str) -> String;

    /// Creates an empty file. Fails when the name exists. The name is durable after `sync_dir`.
    fn create(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> Result<Self::File, DiskError>;

    /// The length of the file in bytes.
    fn len(&self, file: &Self::File) -> Result<u64, DiskError>;

    /// Fills the whole buffer from `offset`. Fails when the file ends before.
    fn read_at(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;

    /// Writes all bytes at `offset`, growing the file if need be. Durable after `sync`.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes every completed write to the file durable (fdatasync). An error is final.
    fn sync(&self, file: &Self::File) -> Result<(), DiskError>;

    /// Makes every creation, rename and removal in the directory durable.
    fn sync_dir(&self) -> Result<(), DiskError>;

    /// Grows the file to `length` with zeros that are really written and synced, so that a later
    /// `sync` within that length has no metadata to write. Leaves present bytes alone.
    fn allocate(&self, file: &Self::File, length: u64) -> Result<(), DiskError>;

    /// Renames a file, replacing the target if it exists. Atomic; durable after `sync_dir`.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file. Durable after `sync_dir`.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// The names of all files, in ascending order.
    fn list(&self) -> Result<Vec<String>, DiskError>;
}

/// The operation during which a disk failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskOp {
    /// Creating a file.
    Create,
    /// Opening a file.
    Open,
    /// Asking for a length.
    Length,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Making a file durable.
    Sync,
    /// Making names durable.
    SyncDirectory,
    /// Preallocating space.
    Allocate,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Listing the directory.
    List,
    /// Locking the directory against a second process.
    Lock,
}

impl fmt::Display for DiskOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskOp::Create => "create",
            DiskOp::Open => "open",
            DiskOp::Length => "find the length of",
            DiskOp::Read => "read",
            DiskOp::Write => "write",
            DiskOp::Sync => "sync",
            DiskOp::SyncDirectory => "sync the directory",
            DiskOp::Allocate => "allocate space for",
            DiskOp::Rename => "rename",
            DiskOp::Remove => "remove",
            DiskOp::List => "list",
            DiskOp::Lock => "lock",
        })
    }
}

/// A disk operation that failed: what was tried, on which path, and what the system said.
#[derive(Debug, thiserror::Error)]
#[error("cannot {op} {path}: {source}")]
pub struct DiskError {
    /// What was being done.
    pub op: DiskOp,
    /// The file or directory it was done to.
    pub path: String,
    /// The operating system's reason.
    pub source: io::Error,
}

impl DiskError {
    /// An error for `op` on `path`.
    pub fn new(op: DiskOp, path: impl Into<String>, source: io::Error) -> DiskError {
        DiskError { op, path: path.into(), source }
    }

    /// True when the disk (or a quota on it) is full: space, not hardware, is what is missing.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// True when the file does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}
