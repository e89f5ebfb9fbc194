//! A disk that somebody may slow down or hang while the member runs: `--chaos-disk`, for experiments.
//!
//! A file says how the disk is. While it is missing, empty or `ok`, nothing is added. A number is so
//! many milliseconds that every sync takes longer. `hang` is a sync that does not come back until
//! the file says something else. What was asked for is really done then: a disk that lies is
//! another experiment, and this one must not cost a single acknowledged write.
//!
//! The file is read at every sync, which costs microseconds where a sync costs hundreds; without
//! the flag none of this is there.

use quorate_storage::{Disk, DiskError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often a disk that hangs looks whether it still does, and the grain of a long delay.
const LOOK: Duration = Duration::from_millis(5);

/// Like the disk in it, and late.
#[derive(Clone)]
pub struct Delayed<D> {
    disk: D,
    told: Arc<PathBuf>,
}

/// How a disk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Health {
    Late(Duration),
    Hung,
}

fn health(text: &str) -> Health {
    match text.trim() {
        "hang" => Health::Hung,
        // What cannot be read slows nothing: the file may be in the middle of being written.
        other => Health::Late(Duration::from_millis(other.parse().unwrap_or(0))),
    }
}

impl<D> Delayed<D> {
    /// A disk whose syncs are as late as the file says.
    pub fn new(disk: D, told: PathBuf) -> Delayed<D> {
        Delayed { disk, told: Arc::new(told) }
    }

    fn health(&self) -> Health {
        std::fs::read_to_string(&*self.told)
            .map_or(Health::Late(Duration::ZERO), |text| health(&text))
    }

    /// Waits as long as the disk is to be late, which may change meanwhile.
    fn linger(&self) {
        let mut waited = Duration::ZERO;
        loop {
            match self.health() {
                Health::Late(delay) if waited >= delay => return,
                Health::Late(delay) => {
                    let step = (delay - waited).min(LOOK);
                    std::thread::sleep(step);
                    waited += step;
                }
                Health::Hung => std::thread::sleep(LOOK),
            }
        }
    }
}

impl<D: Disk> Disk for Delayed<D> {
    type File = D::File;

    fn path(&self, name: &str) -> String {
        self.disk.path(name)
    }

    fn create(&self, name: &str) -> Result<Self::File, DiskError> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> Result<Self::File, DiskError> {
        self.disk.open(name)
    }

    fn len(&self, file: &Self::File) -> Result<u64, DiskError> {
        self.disk.len(file)
    }

    fn read_at(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.disk.read_at(file, offset, buffer)
    }

    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.write_at(file, offset, bytes)
    }

    fn sync(&self, file: &Self::File) -> Result<(), DiskError> {
        self.linger();
        self.disk.sync(file)
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.linger();
        self.disk.sync_dir()
    }

    fn allocate(&self, file: &Self::File, length: u64) -> Result<(), DiskError> {
        self.linger();
        self.disk.allocate(file, length)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_file_says_how_late_a_sync_is() {
        assert_eq!(health("250\n"), Health::Late(Duration::from_millis(250)));
        assert_eq!(health("hang"), Health::Hung);
        for healthy in ["ok", "", "soon", "0"] {
            assert_eq!(health(healthy), Health::Late(Duration::ZERO), "{healthy:?}");
        }
    }

    #[test]
    fn a_sync_hangs_until_the_file_says_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let told = directory.path().join("told");
        let disk = quorate_storage::RealDisk::open(directory.path()).unwrap();
        let disk = Delayed::new(disk, told.clone());
        let file = disk.create("file").unwrap();
        disk.sync(&file).unwrap();
        std::fs::write(&told, "30").unwrap();
        let begun = Instant::now();
        disk.sync(&file).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(30));
        std::fs::write(&told, "hang").unwrap();
        let other = disk.clone();
        let hanging = std::thread::spawn(move || other.sync(&file).is_ok());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!hanging.is_finished(), "it came back");
        std::fs::remove_file(&told).unwrap();
        assert!(hanging.join().unwrap());
    }
}
