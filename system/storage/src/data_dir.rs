//! A member's data directory: its layout, its lock, its label.
//!
//! ```text
//! D/lock       held with flock while the process runs; names its process id
//! D/meta       the label (see `meta`): written last, so it says that everything else is there
//! D/learned    who the members were when this one learned who it is, if it was added later
//! D/log/       segments of the replicated log
//! D/state/     the state engine's own files
//! ```
//!
//! The lock is the kernel's, so it vanishes with the process, however it dies. The label is
//! written after the log was created: a directory with a label and no log has lost it, and a
//! directory with a log and no label was never a member, so it may start over.

use crate::disk::{DiskError, DiskOp};
use crate::meta::{Meta, MetaError};
use crate::real_disk::RealDisk;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// An open, locked data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    disk: RealDisk,
    /// Holds the lock as long as it is open.
    _lock: File,
}

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The file system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The label is damaged or another's.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// Another process has it open.
    #[error(
        "data directory {path} is in use by process {process}: stop that process, or start with \
         another --data-dir"
    )]
    InUse {
        /// The directory.
        path: String,
        /// The process id that the lock file names, or "unknown".
        process: String,
    },
}

impl DataDir {
    /// Creates the directory if need be (mode 0700), and locks it against any other process.
    pub fn open(path: impl AsRef<Path>) -> Result<DataDir, DataDirError> {
        let path = path.as_ref().to_path_buf();
        create_private(&path)?;
        let lock = lock(&path)?;
        for part in ["log", "state"] {
            create_private(&path.join(part))?;
        }
        let disk = RealDisk::open(&path)?;
        // The names of the parts must be durable before anything in them is.
        crate::disk::Disk::sync_dir(&disk)?;
        if let Some(parent) = path.canonicalize().ok().and_then(|p| p.parent().map(PathBuf::from)) {
            sync_parent(&parent)?;
        }
        Ok(DataDir { path, disk, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk that the directory's own files are on.
    pub fn disk(&self) -> &RealDisk {
        &self.disk
    }

    /// The label, or `None` when the directory was never initialised.
    pub fn meta(&self) -> Result<Option<Meta>, DataDirError> {
        Ok(Meta::load(&self.disk)?)
    }

    /// Writes the label. Create the log first: the label says that it exists.
    pub fn store_meta(&self, meta: &Meta) -> Result<(), DataDirError> {
        Ok(meta.store(&self.disk)?)
    }

    /// The label, after checking that it names this cluster and member.
    pub fn meta_of(&self, cluster: u64, member: u64) -> Result<Option<Meta>, DataDirError> {
        let meta = self.meta()?;
        if let Some(meta) = &meta {
            meta.check(&self.disk, cluster, member)?;
        }
        Ok(meta)
    }

    /// The disk that the log's segments are on.
    pub fn log_disk(&self) -> Result<RealDisk, DataDirError> {
        Ok(RealDisk::open(self.path.join("log"))?)
    }

    /// The directory for the state engine.
    pub fn state_path(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Removes what an initialisation that was cut short left behind: log segments without a
    /// label. They were never acknowledged to anyone, because a member speaks only once it has a
    /// label.
    ///
    /// # Panics
    /// When there is a label: then the log is somebody's data.
    pub fn discard_unlabelled_log(&self) -> Result<(), DataDirError> {
        assert!(self.meta()?.is_none(), "a labelled log is never discarded");
        let disk = self.log_disk()?;
        for name in crate::disk::Disk::list(&disk)? {
            crate::disk::Disk::remove(&disk, &name)?;
        }
        Ok(crate::disk::Disk::sync_dir(&disk)?)
    }

    /// The permission bits, when others than the owner may read or write the directory: worth a
    /// warning at start.
    pub fn permissions_too_open(&self) -> Option<u32> {
        let mode = std::fs::metadata(&self.path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
}

/// The bytes that the file system of a directory still has for us; `None` where nobody can tell.
pub fn free_bytes(directory: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A number from the operating system's dice, for a new directory's incarnation.
pub fn random_incarnation() -> Result<u64, DiskError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| error(DiskOp::Read, path, source))?;
    Ok(u64::from_le_bytes(bytes))
}

fn error(op: DiskOp, path: &Path, source: io::Error) -> DiskError {
    DiskError::new(op, path.display().to_string(), source)
}

fn create_private(path: &Path) -> Result<(), DiskError> {
    let result = DirBuilder::new().recursive(true).mode(0o700).create(path);
    result.map_err(|source| error(DiskOp::Create, path, source))
}

fn sync_parent(path: &Path) -> Result<(), DiskError> {
    let result = File::open(path).and_then(|directory| directory.sync_all());
    result.map_err(|source| error(DiskOp::SyncDirectory, path, source))
}

fn lock(directory: &Path) -> Result<File, DataDirError> {
    let path = directory.join("lock");
    let fail = |source: io::Error| DataDirError::from(error(DiskOp::Lock, &path, source));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(fail)?;
    let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let read = (&file).take(32).read_to_string(&mut holder);
            let named = read.is_ok() && holder.trim().parse::<u32>().is_ok();
            let process = if named { holder.trim().to_owned() } else { "unknown".to_owned() };
            let path = directory.display().to_string();
            return Err(DataDirError::InUse { path, process });
        }
        Err(errno) => return Err(fail(errno.into())),
    }
    file.set_len(0).map_err(fail)?;
    file.seek(SeekFrom::Start(0)).map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(file)
}
