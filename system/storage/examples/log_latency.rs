//! Measures one append and sync of the log: `cargo run --release -p quorate-storage --example
//! log_latency -- DIRECTORY`. The directory must be on the disk that is to be measured.
//!
//! Each line is a batch size, with segments that are preallocated with zeros as shipped, and with
//! sparse ones, whose blocks the file system must find during the first sync that needs them.

use bytes::Bytes;
use quorate_storage::{Disk, DiskError, Log, LogError, LogOptions, RealDisk, RealFile, Record};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3000;
const PAYLOAD_BYTES: usize = 200;

/// A real disk that reserves a length, and no blocks.
#[derive(Clone)]
struct Sparse(RealDisk);

impl Disk for Sparse {
    type File = RealFile;
    fn path(&self, name: &str) -> String {
        self.0.path(name)
    }
    fn create(&self, name: &str) -> Result<RealFile, DiskError> {
        self.0.create(name)
    }
    fn open(&self, name: &str) -> Result<RealFile, DiskError> {
        self.0.open(name)
    }
    fn len(&self, file: &RealFile) -> Result<u64, DiskError> {
        self.0.len(file)
    }
    fn read_at(&self, file: &RealFile, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.0.read_at(file, offset, buffer)
    }
    fn write_at(&self, file: &RealFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write_at(file, offset, bytes)
    }
    fn sync(&self, file: &RealFile) -> Result<(), DiskError> {
        self.0.sync(file)
    }
    fn sync_dir(&self) -> Result<(), DiskError> {
        self.0.sync_dir()
    }
    fn allocate(&self, file: &RealFile, length: u64) -> Result<(), DiskError> {
        // One byte at the end sets the length and leaves a hole in front of it.
        self.0.write_at(file, length - 1, &[0])?;
        self.0.sync(file)
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

fn measure<D: Disk>(name: &str, disk: D, batch: usize) -> Result<(), LogError> {
    let (mut log, _) = Log::open(disk, LogOptions::new(1))?;
    let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
    let mut first_index = 1;
    let (mut appends, mut totals) = (Duration::ZERO, Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        let entries = vec![(1, payload.clone()); batch];
        let records = [Record::Entries { group: 0, first_index, entries }];
        let start = Instant::now();
        log.append(&records)?;
        appends += start.elapsed();
        log.sync()?;
        totals.push(start.elapsed());
        // As a host does between batches: else the next segment is allocated inside an append.
        log.maintain()?;
        first_index += batch as u64;
    }
    totals.sort();
    println!(
        "{name:>12}, batch {batch:>4} x {PAYLOAD_BYTES} B: append mean {:?}, append + sync p50 \
         {:?}, p99 {:?}, max {:?}",
        appends / ROUNDS as u32,
        totals[ROUNDS / 2],
        totals[ROUNDS * 99 / 100],
        totals[ROUNDS - 1],
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args().nth(1).ok_or("usage: log_latency DIRECTORY")?;
    for round in 0..2 {
        for batch in [1, 64, 256] {
            for sparse in [false, true] {
                let path = format!("{parent}/{round}-{batch}-{sparse}");
                std::fs::create_dir_all(&path)?;
                let disk = RealDisk::open(&path)?;
                if sparse {
                    measure("sparse", Sparse(disk), batch)?;
                } else {
                    measure("preallocated", disk, batch)?;
                }
                std::fs::remove_dir_all(&path)?;
            }
        }
    }
    Ok(())
}
