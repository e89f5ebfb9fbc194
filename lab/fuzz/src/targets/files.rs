//! Files that a disk, an operator or another program may have changed.

use std::io::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;
use quorate_host::backup::{BLOCK, BackupFile, MAGIC};
use quorate_host::etcd::EtcdFile;
use quorate_sim::disk::SimDisk;
use quorate_storage::{Disk as _, Log, LogOptions, Record};
use quorate_store::MemEngine;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::store::some_chunks;
use crate::Target;
use crate::source::Source;

const GROUP: u64 = 1;

/// A log whose files were changed at some places: three bytes of place and one of change, again and again.
pub const LOG_SEGMENTS: Target = Target {
    name: "log_segments",
    reads: "the segments of a log, in recovery",
    words: &[],
    seeds: || vec![Vec::new(), vec![0, 0, 9, 1], vec![0, 2, 0, 0xff, 0, 2, 1, 0xff]],
    run: |input| {
        let (disk, written) = a_log();
        let disk = disk.fork();
        let mut source = Source::new(input);
        let files = disk.list().expect("a simulated directory");
        while !source.is_empty() {
            let (place, mask) = (source.offset(), source.byte());
            let name = &files[place % files.len()];
            let length = disk.file_len(name);
            if length > 0 {
                disk.flip(name, (place / files.len()) as u64 % length, mask);
            }
        }
        let Ok((log, _recovered)) = Log::open(disk, options()) else { return };
        // What a log still gives out after damage is what was written, in its place.
        for entry in log.reader().entries(GROUP).map_while(Result::ok) {
            let wanted = written.get((entry.index - 1) as usize);
            assert_eq!(wanted, Some(&(entry.term, entry.payload)), "entry {}", entry.index);
        }
    },
};

/// A backup of ours. The checksum at its end is made right again, or nothing behind it would be read.
pub const BACKUP_FILE: Target = Target {
    name: "backup_file",
    reads: "the file of a backup",
    words: &[],
    seeds: || vec![a_backup()],
    run: |input| {
        let mut sealed = input.to_vec();
        sealed.resize(input.len().next_multiple_of(BLOCK), 0);
        sealed.extend_from_slice(&Sha256::digest(&sealed));
        for bytes in [input, &sealed] {
            let file = on_disk(bytes);
            let Ok(mut backup) = BackupFile::open(file.path()) else { continue };
            let _ = backup.verify(&mut |_, _| true);
            let _ = backup.summary(&mut |_, _| true);
        }
    },
};

/// A snapshot of etcd, which is a file of bbolt, as real etcd wrote it and then changed at some places. Inputs that are
/// long are whole files.
pub const ETCD_FILE: Target = Target {
    name: "etcd_file",
    reads: "a snapshot of etcd",
    words: &[],
    seeds: || {
        vec![vec![0], vec![1], vec![1, 0, 0x10, 4, 0xff], vec![0, 0, 0x20, 9, 1, 0, 0x40, 9, 1]]
    },
    run: |input| {
        const FILES: [&[u8]; 2] = [
            include_bytes!("../../../../system/host/tests/fixtures/etcd-3.4.db"),
            include_bytes!("../../../../system/host/tests/fixtures/etcd-3.7.db"),
        ];
        let mut source = Source::new(input);
        let mut bytes = FILES[source.below(FILES.len())].to_vec();
        while !source.is_empty() {
            let (place, change) = (source.offset(), source.byte());
            let place = place % bytes.len();
            bytes[place] ^= change;
        }
        for bytes in [&bytes[..], input] {
            let file = on_disk(bytes);
            let Ok(mut snapshot) = EtcdFile::open(file.path()) else { continue };
            let _ = snapshot.verify(&mut |_, _| true);
            let _ = snapshot.contents(&mut |_, _| true);
            let _ = snapshot.import(MemEngine::new(), &mut |_, _| true);
        }
    },
};

fn options() -> LogOptions {
    LogOptions::with_segments(7, 4096)
}

/// Term and payload of every entry of a log, from index 1 on.
type Written = Vec<(u64, Bytes)>;

/// A log of several segments, made once, and what is in it.
fn a_log() -> &'static (SimDisk, Written) {
    static LOG: OnceLock<(SimDisk, Written)> = OnceLock::new();
    LOG.get_or_init(|| {
        let disk = SimDisk::new(1);
        let (mut log, _) = Log::open(disk.clone(), options()).expect("an empty directory");
        let mut written = Written::new();
        for index in 1..=60_u64 {
            let term = 1 + index / 20;
            let payload = Bytes::from(vec![index as u8; 30 + index as usize * 3]);
            let entries = vec![(term, payload.clone())];
            let vote = Record::Vote { group: GROUP, term, vote: Some(2) };
            let records = [
                vote,
                Record::Entries { group: GROUP, first_index: index, entries },
                Record::Commit { group: GROUP, index: index - 1 },
            ];
            log.append(&records).expect("a simulated disk has room");
            log.sync().expect("a simulated disk that nobody broke");
            written.push((term, payload));
        }
        (disk, written)
    })
}

fn a_backup() -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    for chunk in some_chunks() {
        file.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
        file.extend_from_slice(&chunk);
    }
    file.resize(file.len().next_multiple_of(BLOCK), 0);
    let sum = Sha256::digest(&file);
    file.extend_from_slice(&sum);
    file
}

/// A file that is gone when it is dropped.
fn on_disk(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for a temporary file");
    file
}
