//! A directory of the operating system as a [`Disk`].
//!
//! Positioned reads and writes on shared descriptors, fdatasync for contents and fsync of the
//! directory for names. Nothing is memory-mapped: a failing disk must become an error value, not
//! a signal, and page-cache write-back must stay under our control.

use crate::disk::{Disk, DiskError, DiskOp};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Zeros are written in pieces of this many bytes when a file is preallocated.
const ZEROS_PIECE: usize = 1 << 20;

/// A real directory. Clones are handles on the same directory.
#[derive(Clone, Debug)]
pub struct RealDisk {
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Kept open so that syncing names cannot fail for want of descriptors.
    file: File,
}

/// An open file of a [`RealDisk`].
#[derive(Clone, Debug)]
pub struct RealFile {
    inner: Arc<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    /// The path under which the file was opened, for messages only: renames do not change it.
    path: PathBuf,
    file: File,
}

impl RealDisk {
    /// Opens an existing directory.
    pub fn open(path: impl AsRef<Path>) -> Result<RealDisk, DiskError> {
        let path = path.as_ref().to_path_buf();
        match File::open(&path) {
            Ok(file) => Ok(RealDisk { directory: Arc::new(Directory { path, file }) }),
            Err(source) => Err(DiskError::new(DiskOp::Open, path.display().to_string(), source)),
        }
    }

    /// The directory's path.
    pub fn directory(&self) -> &Path {
        &self.directory.path
    }

    fn error(&self, op: DiskOp, name: &str, source: io::Error) -> DiskError {
        DiskError::new(op, self.path(name), source)
    }

    fn wrap(&self, name: &str, file: File) -> RealFile {
        RealFile { inner: Arc::new(OpenFile { path: self.directory.path.join(name), file }) }
    }
}

impl RealFile {
    fn error(&self, op: DiskOp, source: io::Error) -> DiskError {
        DiskError::new(op, self.inner.path.display().to_string(), source)
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn path(&self, name: &str) -> String {
        self.directory.path.join(name).display().to_string()
    }

    fn create(&self, name: &str) -> Result<RealFile, DiskError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.directory.path.join(name))
            .map_err(|source| self.error(DiskOp::Create, name, source))?;
        Ok(self.wrap(name, file))
    }

    fn open(&self, name: &str) -> Result<RealFile, DiskError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.directory.path.join(name))
            .map_err(|source| self.error(DiskOp::Open, name, source))?;
        Ok(self.wrap(name, file))
    }

    fn len(&self, file: &RealFile) -> Result<u64, DiskError> {
        match file.inner.file.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(source) => Err(file.error(DiskOp::Length, source)),
        }
    }

    fn read_at(&self, file: &RealFile, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let result = file.inner.file.read_exact_at(buffer, offset);
        result.map_err(|source| file.error(DiskOp::Read, source))
    }

    fn write_at(&self, file: &RealFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let result = file.inner.file.write_all_at(bytes, offset);
        result.map_err(|source| file.error(DiskOp::Write, source))
    }

    fn sync(&self, file: &RealFile) -> Result<(), DiskError> {
        file.inner.file.sync_data().map_err(|source| file.error(DiskOp::Sync, source))
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        let result = self.directory.file.sync_all();
        result.map_err(|source| self.error(DiskOp::SyncDirectory, "", source))
    }

    fn allocate(&self, file: &RealFile, length: u64) -> Result<(), DiskError> {
        let mut offset = self.len(file)?;
        if offset >= length {
            return Ok(());
        }
        let fail = |source: io::Error| file.error(DiskOp::Allocate, source);
        reserve(&file.inner.file, offset, length - offset).map_err(fail)?;
        // Reserved extents still read as "unwritten" in the file system's books, and the first
        // write to each would change those books: only real zeros make later syncs cheap.
        let zeros = vec![0u8; ZEROS_PIECE];
        while offset < length {
            let piece = usize::try_from(length - offset).unwrap_or(ZEROS_PIECE).min(ZEROS_PIECE);
            file.inner.file.write_all_at(&zeros[..piece], offset).map_err(fail)?;
            offset += piece as u64;
        }
        file.inner.file.sync_all().map_err(fail)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let directory = &self.directory.path;
        let result = std::fs::rename(directory.join(from), directory.join(to));
        result.map_err(|source| self.error(DiskOp::Rename, from, source))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let result = std::fs::remove_file(self.directory.path.join(name));
        result.map_err(|source| self.error(DiskOp::Remove, name, source))
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let fail = |source: io::Error| self.error(DiskOp::List, "", source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory.path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_file() {
                // A name that is not UTF-8 is not one of ours; nothing here would open it.
                if let Ok(name) = entry.file_name().into_string() {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Asks the file system for the space before the zeros are written, so that a full disk is
/// noticed before 64 MiB of zeros made it worse. File systems that cannot reserve just skip it.
fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, length) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) | Err(rustix::io::Errno::NOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
