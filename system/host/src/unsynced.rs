//! A disk whose syncs do nothing: `--unsafe-no-fsync`, for tests that must notice it.

use quorate_storage::{Disk, DiskError, RealDisk};

/// Like the real disk, without its promise.
#[derive(Clone)]
pub struct Unsynced(pub RealDisk);

impl Disk for Unsynced {
    type File = <RealDisk as Disk>::File;

    fn path(&self, name: &str) -> String {
        self.0.path(name)
    }

    fn create(&self, name: &str) -> Result<Self::File, DiskError> {
        self.0.create(name)
    }

    fn open(&self, name: &str) -> Result<Self::File, DiskError> {
        self.0.open(name)
    }

    fn len(&self, file: &Self::File) -> Result<u64, DiskError> {
        self.0.len(file)
    }

    fn read_at(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.0.read_at(file, offset, buffer)
    }

    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write_at(file, offset, bytes)
    }

    fn sync(&self, _file: &Self::File) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn allocate(&self, file: &Self::File, length: u64) -> Result<(), DiskError> {
        self.0.allocate(file, length)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.0.remove(name)
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.0.list()
    }
}
