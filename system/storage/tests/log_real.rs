//! The log and the data directory on a real file system: what an operator can do to them.

use bytes::Bytes;
use quorate_storage::{
    DataDir, DataDirError, Disk, EntryId, Log, LogError, LogOptions, Meta, MetaError, ReadError,
    RealDisk, Record, Recovered,
};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

const SEGMENT: u64 = 64 << 10;

fn options() -> LogOptions {
    LogOptions::with_segments(7, SEGMENT)
}

fn open(directory: &Path) -> Result<(Log<RealDisk>, Recovered), LogError> {
    Log::open(RealDisk::open(directory).expect("the directory is there"), options())
}

fn entries(first_index: u64, term: u64, payloads: &[&[u8]]) -> Record {
    let entries = payloads.iter().map(|p| (term, Bytes::copy_from_slice(p))).collect();
    Record::Entries { group: 1, first_index, entries }
}

fn payloads(log: &Log<RealDisk>, group: u64) -> Vec<Bytes> {
    log.reader().entries(group).map(|entry| entry.expect("readable").payload).collect()
}

/// A log of several segments, synced, with its end marked.
fn long_log(directory: &Path) -> u64 {
    let (mut log, _) = open(directory).expect("a first start");
    for index in 1..=300 {
        log.append(&[entries(index, 1, &[&[index as u8; 600]])]).expect("written");
        log.sync().expect("synced");
    }
    log.maintain().expect("marked");
    300
}

#[test]
fn everything_comes_back_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = Bytes::from_static(b"three members");
    {
        let (mut log, recovered) = open(directory.path()).expect("a first start");
        assert!(recovered.groups.is_empty());
        log.append(&[
            Record::Vote { group: 1, term: 3, vote: Some(2) },
            entries(1, 2, &[b"a", b"b", b"c"]),
            Record::Commit { group: 1, index: 1 },
            Record::Vote { group: 2, term: 9, vote: None },
            Record::Snapshot { group: 2, index: 40, term: 8, config: config.clone() },
        ])
        .expect("written");
        // Replacing the uncommitted suffix, then compacting what is committed.
        log.append(&[
            entries(2, 3, &[b"B"]),
            Record::Compact { group: 1, index: 1, term: 2, config: None },
        ])
        .expect("written");
        log.sync().expect("synced");
    }
    let (log, recovered) = open(directory.path()).expect("a restart");
    let one = &recovered.groups[&1];
    assert_eq!((one.term, one.vote, one.commit), (3, Some(2), 1));
    assert_eq!((one.prefix, one.first_index()), (EntryId { index: 1, term: 2 }, 2));
    assert_eq!(one.last, EntryId { index: 2, term: 3 });
    assert_eq!(payloads(&log, 1), [Bytes::from_static(b"B")]);
    let two = &recovered.groups[&2];
    assert_eq!((two.term, two.vote, two.commit), (9, None, 40));
    assert_eq!((two.last, &two.config), (EntryId { index: 40, term: 8 }, &config));
    assert_eq!(payloads(&log, 2), Vec::<Bytes>::new());

    let reader = log.reader();
    assert!(matches!(reader.read(1, 1, 2, 9), Err(ReadError::Compacted { first: 2, .. })));
    assert!(matches!(reader.read(1, 2, 4, 9), Err(ReadError::Beyond { last: 2, .. })));
    assert!(matches!(reader.read(5, 1, 2, 9), Err(ReadError::UnknownGroup { group: 5 })));
    assert_eq!(reader.bounds(2), Some((41, 40)));
}

#[test]
fn large_entries_and_large_appends_fit() {
    let directory = tempfile::tempdir().expect("a directory");
    let big = Bytes::from(vec![5; 2 << 20]);
    let many: Vec<_> = (0..4000).map(|n| (1, Bytes::from(vec![n as u8; 300]))).collect();
    {
        let (mut log, _) = open(directory.path()).expect("a first start");
        let one = Record::Entries { group: 1, first_index: 1, entries: vec![(1, big.clone())] };
        log.append(&[one]).expect("a record of 2 MiB in segments of 64 KiB");
        log.append(&[Record::Entries { group: 1, first_index: 2, entries: many.clone() }])
            .expect("an append over many segments");
        log.sync().expect("synced");
        let huge = Bytes::from(vec![0; (16 << 20) + 1]);
        let huge = Record::Entries { group: 1, first_index: 4002, entries: vec![(1, huge)] };
        let refused = log.append(&[huge]).expect_err("too large");
        assert!(matches!(refused, LogError::TooLarge { .. }) && !refused.is_fatal());
        log.append(&[entries(4002, 1, &[b"goes on"])]).and_then(|()| log.sync()).expect("goes on");
    }
    let (log, _) = open(directory.path()).expect("a restart");
    let read = payloads(&log, 1);
    assert_eq!(read.len(), 4002);
    assert_eq!(read[0], big);
    assert!(read[1..4001].iter().zip(&many).all(|(found, (_, want))| found == want));
}

#[test]
fn a_truncated_log_is_corruption() {
    for (name, keep) in [(1, SEGMENT - 1), (2, 10), (2, 0), (3, SEGMENT / 2)] {
        let directory = tempfile::tempdir().expect("a directory");
        long_log(directory.path());
        let path = directory.path().join(format!("{name:016}.seg"));
        let file = fs::OpenOptions::new().write(true).open(&path).expect("the segment is there");
        file.set_len(keep).expect("truncated");
        let error = open(directory.path()).err().expect("refused");
        let message = error.to_string();
        assert!(matches!(error, LogError::Corrupt(_)), "{message}");
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains(quorate_storage::WITHOUT_ITS_DATA), "{message}");
    }
}

#[test]
fn a_flipped_byte_in_the_middle_is_corruption_that_names_the_place() {
    let directory = tempfile::tempdir().expect("a directory");
    long_log(directory.path());
    let newest = fs::read_dir(directory.path()).expect("listed").map(|e| e.expect("entry").path());
    let newest = newest.filter(|p| p.extension().is_some_and(|e| e == "seg")).max().expect("some");
    for path in [directory.path().join("0000000000000002.seg"), newest] {
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).expect("opened");
        let mut byte = [0];
        file.read_exact_at(&mut byte, 2000).expect("read");
        file.write_all_at(&[byte[0] ^ 0x10], 2000).expect("flipped");
        let error = open(directory.path()).err().expect("refused").to_string();
        assert!(error.contains("corruption in") && error.contains("at offset"), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
        file.write_all_at(&byte, 2000).expect("flipped back");
        open(directory.path()).expect("whole again");
    }
}

#[test]
fn missing_segments_are_noticed() {
    for gone in [1, 3] {
        let directory = tempfile::tempdir().expect("a directory");
        long_log(directory.path());
        fs::remove_file(directory.path().join(format!("{gone:016}.seg"))).expect("removed");
        let error = open(directory.path()).err().expect("refused");
        assert!(error.to_string().contains("missing"), "{error}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(directory.path()).expect("opened");
    let error = Log::open(disk, LogOptions { must_exist: true, ..options() }).err();
    assert!(matches!(error, Some(LogError::Missing { .. })));
}

#[test]
fn another_directorys_segments_are_foreign() {
    let directory = tempfile::tempdir().expect("a directory");
    long_log(directory.path());
    let disk = RealDisk::open(directory.path()).expect("opened");
    let error = Log::open(disk, LogOptions { identity: 8, ..options() }).err().expect("refused");
    assert!(matches!(error, LogError::Foreign { found: 7, expected: 8, .. }), "{error}");
}

#[test]
fn readers_on_other_threads_see_a_log_while_it_grows_and_shrinks() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut log, _) = open(directory.path()).expect("a first start");
    let reader = log.reader();
    let follower = std::thread::spawn(move || {
        let mut seen = 0;
        let mut next = 1;
        while next <= 3000 {
            let Some((first, last)) = reader.bounds(1) else { continue };
            next = next.max(first);
            match reader.read(1, next, last + 1, 10_000) {
                Ok(read) => {
                    for entry in read {
                        assert_eq!(entry.index, next);
                        assert_eq!(entry.payload, vec![entry.index as u8; 200]);
                        next += 1;
                        seen += 1;
                    }
                }
                Err(ReadError::Compacted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        seen
    });
    for index in 1..=3000u64 {
        log.append(&[entries(index, 1, &[&[index as u8; 200]])]).expect("written");
        if index % 50 == 0 {
            // The follower lags; what it has not read may be compacted and recycled under it.
            let prefix = index - 40;
            log.append(&[Record::Compact { group: 1, index: prefix, term: 1, config: None }])
                .expect("written");
            log.sync().expect("synced");
            log.maintain().expect("maintained");
        }
    }
    assert!(follower.join().expect("the follower is well") >= 40);
    assert!(log.stats().released > 5);
}

#[test]
#[should_panic(expected = "a vote is never taken back")]
fn a_second_vote_in_a_term_does_not_reach_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut log, _) = open(directory.path()).expect("a first start");
    let vote = |vote| Record::Vote { group: 1, term: 1, vote };
    // Both in one call: the rules hold within a batch too.
    let _never = log.append(&[vote(Some(1)), vote(Some(2))]);
}

#[test]
#[should_panic(expected = "everything up to 2 is committed")]
fn a_committed_entry_is_never_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut log, _) = open(directory.path()).expect("a first start");
    log.append(&[entries(1, 1, &[b"a", b"b"]), Record::Commit { group: 1, index: 2 }])
        .expect("written");
    let _never = log.append(&[entries(2, 2, &[b"B"])]);
}

fn meta() -> Meta {
    Meta {
        cluster_id: 0xc1,
        member_id: 0x3e,
        name: "n1".into(),
        created_by: "0.1.0".into(),
        incarnation: 99,
    }
}

#[test]
fn a_data_directory_is_private_locked_and_labelled() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("deep").join("n1");
    let data = DataDir::open(&path).expect("created");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
    assert_eq!(data.permissions_too_open(), None);
    let error = DataDir::open(&path).expect_err("a second opener is refused");
    let process = std::process::id().to_string();
    assert!(matches!(&error, DataDirError::InUse { process: p, .. } if *p == process));
    assert!(error.to_string().contains(&format!("in use by process {process}")), "{error}");

    assert_eq!(data.meta().expect("readable"), None);
    // A log without a label is the leftover of a start that was cut short.
    let (log, _) = Log::open(data.log_disk().expect("opened"), options()).expect("created");
    drop(log);
    data.discard_unlabelled_log().expect("discarded");
    assert_eq!(data.log_disk().expect("opened").list().expect("listed"), Vec::<String>::new());
    data.store_meta(&meta()).expect("labelled");
    assert_eq!(data.meta_of(0xc1, 0x3e).expect("ours"), Some(meta()));
    let other = data.meta_of(0xc2, 0x3e).expect_err("another cluster");
    assert!(other.to_string().contains("belongs to cluster 00000000000000c1"), "{other}");
    let other = data.meta_of(0xc1, 0x3f).expect_err("another member");
    assert!(other.to_string().contains("member 000000000000003e (n1)"), "{other}");
    assert!(quorate_storage::free_bytes(data.path()).expect("known") > 0);
    drop(data);

    let data = DataDir::open(&path).expect("free again");
    assert_eq!(data.meta().expect("readable"), Some(meta()));
    let text = fs::read_to_string(path.join("meta")).expect("text");
    fs::write(path.join("meta"), text.replace("member-id = 00", "member-id = 01")).expect("edited");
    let error = data.meta().expect_err("damaged");
    assert!(matches!(error, DataDirError::Meta(MetaError::Damaged { .. })), "{error}");
}

#[test]
fn another_formats_label_names_the_way_out() {
    let text = meta().render().replace("format = 1", "format = 2");
    let (covered, _) = text.rsplit_once("crc32c = ").expect("a checksum line");
    let text = format!("{covered}crc32c = {:08x}\n", crc32c::crc32c(covered.as_bytes()));
    let error = Meta::parse(&text, "D/meta").expect_err("a newer format");
    assert!(matches!(error, MetaError::OtherFormat { found: 2, .. }));
    assert!(error.to_string().contains("start the release that wrote it"), "{error}");
    assert_eq!(Meta::parse(&meta().render(), "D/meta").expect("ours"), meta());
    let bad = Meta { name: "two\nlines".into(), ..meta() };
    let directory = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(directory.path()).expect("opened");
    assert!(matches!(bad.store(&disk), Err(MetaError::BadName { .. })));
}
