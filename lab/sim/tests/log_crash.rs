//! The shipped log over the simulated disk, against a naive model, crashed at every turn.
//!
//! The property: what recovery reports (facts and every entry) equals the model after some record
//! of the history, at or after the last one that was synced. Crashes come between operations and
//! in the middle of any effect, including those of recovery itself.

use bytes::Bytes;
use quorate_base::Dice;
use quorate_sim::disk::SimDisk;
use quorate_storage::{
    DiskOp, EntryId, GroupId, Log, LogError, LogOptions, ReadError, Record, Recovered,
};
use std::collections::BTreeMap;

const IDENTITY: u64 = 0x1d;
const SEGMENT: u64 = 16 << 10;

fn options() -> LogOptions {
    LogOptions::with_segments(IDENTITY, SEGMENT)
}

/// What a log must remember of one group, kept in the most obvious way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Group {
    term: u64,
    vote: Option<u64>,
    commit: u64,
    prefix: EntryId,
    config: Bytes,
    entries: BTreeMap<u64, (u64, Bytes)>,
}

impl Group {
    fn last(&self) -> EntryId {
        let last = self.entries.last_key_value();
        last.map_or(self.prefix, |(index, (term, _))| EntryId { index: *index, term: *term })
    }
}

type Model = BTreeMap<GroupId, Group>;

fn apply(model: &mut Model, record: &Record) {
    match record {
        Record::Vote { group, term, vote } => {
            let group = model.entry(*group).or_default();
            (group.term, group.vote) = (*term, *vote);
        }
        Record::Entries { group, first_index, entries } => {
            let group = model.entry(*group).or_default();
            group.entries.split_off(first_index);
            for (index, entry) in (*first_index..).zip(entries) {
                group.entries.insert(index, entry.clone());
            }
        }
        Record::Commit { group, index } => {
            let group = model.entry(*group).or_default();
            group.commit = group.commit.max(*index);
        }
        Record::Snapshot { group, index, term, config } => {
            let group = model.entry(*group).or_default();
            group.entries.clear();
            group.prefix = EntryId { index: *index, term: *term };
            group.commit = *index;
            group.config = config.clone();
        }
        Record::Compact { group, index, term, config } => {
            let group = model.entry(*group).or_default();
            if *index > group.prefix.index {
                group.entries = group.entries.split_off(&(index + 1));
                group.prefix = EntryId { index: *index, term: *term };
                group.commit = group.commit.max(*index);
                group.config = config.clone().unwrap_or(group.config.clone());
            }
        }
    }
}

/// The recovered log, read in full, as a model.
fn read_back(log: &Log<SimDisk>, recovered: &Recovered) -> Result<Model, ReadError> {
    let mut model = Model::new();
    for (&id, facts) in &recovered.groups {
        let mut group = Group {
            term: facts.term,
            vote: facts.vote,
            commit: facts.commit,
            prefix: facts.prefix,
            config: facts.config.clone(),
            entries: BTreeMap::new(),
        };
        for entry in log.reader().entries(id) {
            let entry = entry?;
            group.entries.insert(entry.index, (entry.term, entry.payload));
        }
        assert_eq!(group.last(), facts.last, "group {id}: entries end where the facts say");
        model.insert(id, group);
    }
    Ok(model)
}

/// A random record that keeps the rules, and with which a careless log would go wrong.
fn random_record(dice: &mut Dice, model: &Model) -> Record {
    // Group 1 is busy, the others less and less so.
    let group = 1 + dice.below(4).min(dice.below(4));
    let state = model.get(&group).cloned().unwrap_or_default();
    let last = state.last();
    match dice.below(20) {
        0..2 => {
            let term = state.term + dice.below(3);
            let keep = term == state.term && state.vote.is_some();
            let vote = if keep { state.vote } else { Some(dice.below(3)).filter(|v| *v > 0) };
            Record::Vote { group, term, vote }
        }
        2..4 => Record::Commit { group, index: dice.between(state.commit, last.index) },
        4..7 if last.index > state.prefix.index => {
            let index = dice.between(state.prefix.index + 1, last.index);
            let term = state.entries[&index].0;
            let told = dice.below(2) == 0;
            let config = told.then(|| Bytes::from(format!("config at {index}")));
            Record::Compact { group, index, term, config }
        }
        7 => {
            let index = dice.between(state.commit.max(1), last.index + 20);
            let term = last.term + dice.below(2);
            let config = Bytes::from(format!("snapshot at {index}"));
            Record::Snapshot { group, index, term, config }
        }
        _ => {
            // Mostly at the end; sometimes replacing what is not committed, in a new term.
            let replace = dice.below(6) == 0;
            let low = state.commit + 1;
            let first_index =
                if replace { dice.between(low, last.index + 1) } else { last.index + 1 };
            let term = last.term + u64::from(replace);
            let count = dice.between(1, 5);
            let entries = (0..count).map(|_| {
                let bytes = dice.below(300) as usize;
                (term, Bytes::from(vec![dice.next_u64() as u8; bytes]))
            });
            Record::Entries { group, first_index, entries: entries.collect() }
        }
    }
}

/// One seed's life: a log, its history since the last reopening, and what was synced of it.
struct Life {
    disk: SimDisk,
    dice: Dice,
    log: Log<SimDisk>,
    /// The model after each record; the first is what was recovered.
    history: Vec<Model>,
    /// Index into the history: everything up to here must survive.
    synced: usize,
    counts: Counts,
}

#[derive(Default, Debug)]
struct Counts {
    crashes: u64,
    rolls: u64,
    released: u64,
    cuts: u64,
    lost: u64,
    rewritten: u64,
}

impl Life {
    fn new(seed: u64) -> Life {
        let disk = SimDisk::new(seed);
        let (log, recovered) = Log::open(disk.clone(), options()).expect("a first start");
        assert!(recovered.groups.is_empty());
        let dice = Dice::new(seed ^ 0xabcdef);
        let (history, counts) = (vec![Model::new()], Counts::default());
        Life { disk, dice, log, history, synced: 0, counts }
    }

    fn newest(&self) -> &Model {
        self.history.last().expect("the history is never empty")
    }

    /// One random operation. An error is the simulated power failure.
    fn step(&mut self) -> Result<(), LogError> {
        match self.dice.below(10) {
            0..6 => {
                let records = self.random_batch();
                self.log.append(&records)?;
                self.check_some_read();
            }
            6..9 => {
                self.log.sync()?;
                self.synced = self.history.len() - 1;
            }
            _ => {
                let done = self.log.maintain()?;
                self.counts.rewritten += done.rewritten.len() as u64;
            }
        }
        Ok(())
    }

    /// Random records, noted in the history before they are written: a write that is interrupted
    /// may still have happened.
    fn random_batch(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        for _ in 0..self.dice.between(1, 6) {
            let mut model = self.newest().clone();
            let record = random_record(&mut self.dice, &model);
            apply(&mut model, &record);
            self.history.push(model);
            records.push(record);
        }
        records
    }

    /// Reads a random range of a random group and compares it with the model.
    fn check_some_read(&mut self) {
        let groups: Vec<GroupId> = self.newest().keys().copied().collect();
        let group = groups[self.dice.below(groups.len() as u64) as usize];
        let model = self.newest()[&group].clone();
        if model.entries.is_empty() {
            return;
        }
        let (low, high) = (model.prefix.index + 1, model.last().index);
        let from = self.dice.between(low, high);
        let to = self.dice.between(from, high) + 1;
        let budget = self.dice.below(2000) as usize;
        let read = self.log.reader().read(group, from, to, budget).expect("the range is there");
        assert!(!read.is_empty() && read.len() as u64 <= to - from);
        for (index, entry) in (from..).zip(&read) {
            let want = &model.entries[&index];
            assert_eq!((entry.index, entry.term, &entry.payload), (index, want.0, &want.1));
        }
    }

    /// Mostly the power; sometimes the process alone, whose successor then sees what no disk has.
    fn lose_power_or_process(&mut self) {
        if self.dice.below(3) == 0 { self.disk.restart() } else { self.disk.crash() }
    }

    /// Crashes and reopens, with further crashes inside recovery, then checks the property.
    fn crash_and_check(&mut self) {
        let stats = self.log.stats();
        self.counts.rolls += stats.rolls;
        self.counts.released += stats.released;
        self.counts.crashes += 1;
        self.lose_power_or_process();
        let (log, recovered) = loop {
            if self.dice.below(3) == 0 {
                self.disk.crash_after(self.dice.between(1, 6));
            }
            match Log::open(self.disk.clone(), options()) {
                Ok(opened) => break opened,
                Err(error) => {
                    assert!(!self.disk.powered(), "only a power failure stops recovery: {error}");
                    self.lose_power_or_process();
                }
            }
        };
        if !self.disk.powered() {
            // The fuse burnt down in the very last effect; go round again.
            return self.crash_and_check();
        }
        let model = read_back(&log, &recovered).expect("what is recovered is readable");
        let found = self.history.iter().rposition(|state| *state == model);
        let found = found.unwrap_or_else(|| panic!("no prefix of the history: {model:#?}"));
        assert!(found >= self.synced, "record {found} recovered, {} was synced", self.synced);
        self.counts.lost += (self.history.len() - 1 - found) as u64;
        self.counts.cuts += u64::from(recovered.report.cut.is_some());
        self.history = vec![model];
        self.synced = 0;
        self.log = log;
    }
}

#[test]
fn recovery_gives_a_prefix_that_holds_everything_synced() {
    let mut total = Counts::default();
    for seed in 0..120 {
        let mut life = Life::new(seed);
        for _ in 0..8 {
            if life.dice.below(4) > 0 {
                life.disk.crash_after(life.dice.between(1, 120));
            }
            for _ in 0..120 {
                if let Err(error) = life.step() {
                    assert!(error.is_fatal());
                    assert!(!life.disk.powered(), "seed {seed}: {error}");
                    break;
                }
            }
            life.crash_and_check();
        }
        total.crashes += life.counts.crashes;
        total.rolls += life.counts.rolls;
        total.released += life.counts.released;
        total.cuts += life.counts.cuts;
        total.lost += life.counts.lost;
        total.rewritten += life.counts.rewritten;
    }
    println!("{total:?}");
    // The test is awake only if the interesting things happened.
    assert!(total.crashes >= 960);
    assert!(total.rolls > 1000 && total.released > 500, "{total:?}");
    assert!(total.cuts > 50 && total.lost > 1000 && total.rewritten > 10, "{total:?}");
}

#[test]
fn a_crash_at_every_single_effect_of_one_story() {
    // Count the effects of an undisturbed run first, then fail at each of them in turn.
    let run = |fuse: Option<u64>| -> u64 {
        let mut life = Life::new(77);
        let start = life.disk.effects();
        if let Some(fuse) = fuse {
            life.disk.crash_after(fuse);
        }
        for _ in 0..150 {
            if life.step().is_err() {
                break;
            }
        }
        let effects = life.disk.effects() - start;
        life.crash_and_check();
        effects
    };
    let effects = run(None);
    assert!(effects > 100, "a story of {effects} effects");
    for fuse in 1..=effects {
        run(Some(fuse));
    }
}

/// One entry of group 1, term 1.
fn entry(index: u64, byte: u8, bytes: usize) -> Record {
    let entries = vec![(1, Bytes::from(vec![byte; bytes]))];
    Record::Entries { group: 1, first_index: index, entries }
}

fn fresh(seed: u64) -> (SimDisk, Log<SimDisk>) {
    let disk = SimDisk::new(seed);
    let (log, _) = Log::open(disk.clone(), options()).expect("a first start");
    (disk, log)
}

/// The last index of group 1 after reopening, zero when nothing is there.
fn last_index(recovered: &Recovered) -> u64 {
    recovered.groups.get(&1).map_or(0, |group| group.last.index)
}

#[test]
fn a_failed_sync_is_final_and_its_pages_are_not_trusted() {
    let mut unproven_survived = 0;
    for seed in 0..60 {
        let (disk, mut log) = fresh(seed);
        log.append(&[entry(1, 1, 3000)]).expect("written");
        log.sync().expect("synced");
        disk.fail_next(DiskOp::Sync, 0);
        log.append(&[entry(2, 2, 3000)]).expect("written");
        let error = log.sync().expect_err("the sync fails");
        assert!(error.is_fatal() && matches!(error, LogError::Disk(_)), "{error}");
        // Poisoned: neither a retry nor anything else gets through.
        assert!(matches!(log.sync(), Err(LogError::Poisoned { .. })));
        assert!(matches!(log.append(&[entry(3, 3, 10)]), Err(LogError::Poisoned { .. })));
        assert!(matches!(log.maintain(), Err(LogError::Poisoned { .. })));
        let read = log.reader().read(1, 1, 2, 100);
        assert!(matches!(read, Err(ReadError::Poisoned { .. })));

        // The process restarts; the cache still shows entry 2, and the kernel calls it clean.
        let (_, recovered) = Log::open(disk.clone(), options()).expect("a restart");
        assert_eq!(last_index(&recovered), 2);
        assert!(recovered.report.rewritten > 0);
        // Recovery told its host about entry 2, so from now on no power failure may lose it.
        disk.crash();
        let (_, recovered) = Log::open(disk, options()).expect("a restart after power loss");
        assert_eq!(last_index(&recovered), 2, "seed {seed}");
        unproven_survived += 1;
    }
    assert_eq!(unproven_survived, 60);
}

#[test]
fn a_disk_whose_sync_lies_loses_acknowledged_entries_and_the_check_sees_it() {
    let lost = (0..40).filter(|seed| {
        let (disk, mut log) = fresh(*seed);
        disk.ignore_next_sync();
        log.append(&[entry(1, 1, 3000)]).expect("written");
        log.sync().expect("the disk says so");
        disk.crash();
        let (_, recovered) = Log::open(disk, options()).expect("opens");
        last_index(&recovered) < 1
    });
    // If lies were never noticed, the crash model would be asleep.
    assert!(lost.count() > 5);
}

#[test]
fn failed_writes_and_reads_name_what_failed() {
    let (disk, mut log) = fresh(1);
    disk.fail_next(DiskOp::Write, 0);
    let error = log.append(&[entry(1, 1, 10)]).expect_err("the write fails");
    assert!(error.to_string().contains("cannot write simulated/0000000000000001.seg"), "{error}");
    assert!(matches!(log.sync(), Err(LogError::Poisoned { .. })));
    let (mut log, _) = Log::open(disk.clone(), options()).expect("a restart");
    log.append(&[entry(1, 1, 10)]).expect("written");
    // A failed read of a follower's entries leaves the writer alone.
    disk.fail_next(DiskOp::Read, 0);
    assert!(matches!(log.reader().read(1, 1, 2, 100), Err(ReadError::Disk(_))));
    assert_eq!(log.reader().read(1, 1, 2, 100).expect("read").len(), 1);
    log.sync().expect("synced");
    // A failed read during recovery is an error, and no reason to think that the log ended.
    disk.fail_next(DiskOp::Read, 1);
    assert!(matches!(Log::open(disk.clone(), options()), Err(LogError::Disk(_))));
    let (_, recovered) = Log::open(disk, options()).expect("a restart");
    assert_eq!(last_index(&recovered), 1);
}

#[test]
fn a_full_disk_stops_the_log_and_space_brings_it_back() {
    for spare_bytes in [0, 1000, SEGMENT - 1] {
        let (disk, mut log) = fresh(1);
        disk.set_space(Some(disk.used_bytes() + spare_bytes));
        // Preparing ahead is refused softly.
        assert!(log.maintain().expect("no accident").space_short);
        let mut index = 0;
        let error = loop {
            match log.append(&[entry(index + 1, 7, 900)]).and_then(|()| log.sync()) {
                Ok(()) => index += 1,
                Err(error) => break error,
            }
        };
        assert!(index > 10, "preallocated space was used up first, not {index} entries");
        assert!(matches!(error, LogError::Full(_)), "{error}");
        assert!(error.to_string().contains("disk is full"), "{error}");
        disk.crash();
        disk.set_space(None);
        let (mut log, recovered) = Log::open(disk, options()).expect("a restart");
        assert!(last_index(&recovered) >= index, "acknowledged entries are there");
        let next = last_index(&recovered) + 1;
        log.append(&[entry(next, 7, 900)]).and_then(|()| log.sync()).expect("goes on");
    }
}

#[test]
fn a_misdirected_write_is_noticed() {
    for shift in [-4096, 4096, 64, 512] {
        let (disk, mut log) = fresh(2);
        for index in 1..=6 {
            log.append(&[entry(index, 1, 1500)]).and_then(|()| log.sync()).expect("synced");
        }
        disk.misdirect_next(None, shift);
        for index in 7..=9 {
            log.append(&[entry(index, 1, 1500)]).and_then(|()| log.sync()).expect("synced");
        }
        let error = Log::open(disk, options()).err().expect("damage is not a shorter log");
        assert!(matches!(error, LogError::Corrupt(_)), "shift {shift}: {error}");
    }
}

#[test]
fn every_flipped_byte_is_noticed_or_harmless() {
    let (disk, mut log) = fresh(3);
    let mut index = 0;
    while log.stats().rolls < 2 {
        index += 1;
        let vote = Record::Vote { group: 2, term: index, vote: Some(1) };
        log.append(&[entry(index, 1, 700), vote]).and_then(|()| log.sync()).expect("synced");
    }
    index += 1;
    log.append(&[entry(index, 1, 700)]).and_then(|()| log.sync()).expect("synced");
    log.maintain().expect("marks the end");
    let before = {
        let (log, recovered) = Log::open(disk.fork(), options()).expect("opens");
        read_back(&log, &recovered).expect("readable")
    };
    let names = ["0000000000000001.seg", "0000000000000002.seg", "0000000000000003.seg"];
    let (mut noticed, mut harmless) = (0, 0);
    for name in names {
        for offset in (0..SEGMENT).step_by(13) {
            let disk = disk.fork();
            disk.flip(name, offset, 1 << (offset % 8));
            match Log::open(disk, options()) {
                Ok((log, recovered)) => {
                    let after = read_back(&log, &recovered).expect("readable");
                    assert_eq!(after, before, "flip at {offset} of {name}");
                    harmless += 1;
                }
                Err(LogError::Corrupt(corruption)) => {
                    assert!(corruption.file.ends_with(name), "{corruption} for {name}");
                    noticed += 1;
                }
                Err(error) => panic!("flip at {offset} of {name}: {error}"),
            }
        }
    }
    // Harmless flips hit padding and the unused end of segments.
    assert!(noticed > 1000 && harmless > 50, "{noticed} noticed, {harmless} harmless");
}

#[test]
fn a_flip_in_an_unproven_tail_is_cut() {
    let (disk, mut log) = fresh(4);
    log.append(&[entry(1, 1, 100)]).and_then(|()| log.sync()).expect("synced");
    let end = log.stats().bytes;
    log.append(&[entry(2, 2, 100)]).expect("written");
    log.append(&[entry(3, 3, 100)]).expect("written, on top of the one that tears");
    let bytes = disk.contents("0000000000000001.seg");
    let start = bytes.windows(100).position(|bytes| bytes == [2; 100]).expect("entry 2 is there");
    assert!(start as u64 > end);
    disk.flip("0000000000000001.seg", start as u64, 0x40);
    let (mut log, recovered) = Log::open(disk.clone(), options()).expect("a torn tail opens");
    assert_eq!(last_index(&recovered), 1);
    let cut = recovered.report.cut.expect("the cut is reported");
    assert_eq!(cut.batches, 2);
    // New entries of the same size fill the gap; the old entry 3 must not follow on.
    log.append(&[entry(2, 9, 100)]).and_then(|()| log.sync()).expect("synced");
    let (log, recovered) = Log::open(disk, options()).expect("opens");
    assert_eq!(last_index(&recovered), 2, "entry 3 came back from the dead");
    let read = log.reader().read(1, 2, 3, 1000).expect("readable");
    assert_eq!(read[0].payload, vec![9; 100]);
}

#[test]
fn an_idle_group_does_not_pin_the_log() {
    let (disk, mut log) = fresh(5);
    let idle: Vec<_> = (0..5u8).map(|n| (1, Bytes::from(vec![n; 50]))).collect();
    log.append(&[Record::Entries { group: 9, first_index: 1, entries: idle.clone() }])
        .expect("written");
    let bound = options().retain_bytes + 2 * SEGMENT;
    let mut rewritten = 0;
    for index in 1..=600 {
        log.append(&[entry(index, 1, 700)]).and_then(|()| log.sync()).expect("synced");
        if index % 10 == 0 {
            let compact = Record::Compact { group: 1, index, term: 1, config: None };
            log.append(&[compact]).expect("written");
            rewritten += log.maintain().expect("maintained").rewritten.len();
            assert!(log.retained_bytes() <= bound, "{} bytes kept", log.retained_bytes());
        }
    }
    assert!(rewritten > 0, "the idle group was copied forward");
    log.sync().expect("synced");
    disk.crash();
    let (log, recovered) = Log::open(disk, options()).expect("opens");
    assert_eq!(recovered.groups[&9].last.index, 5);
    let read = log.reader().read(9, 1, 6, 10_000).expect("readable");
    assert_eq!(read.into_iter().map(|e| (e.term, e.payload)).collect::<Vec<_>>(), idle);
}

#[test]
fn a_large_pin_is_told_and_rewritten_on_request() {
    let (_, mut log) = fresh(6);
    let payload = Bytes::from(vec![1; 1000]);
    for index in 1..=8 {
        let entries = vec![(1, payload.clone())];
        log.append(&[Record::Entries { group: 9, first_index: index, entries }]).expect("written");
    }
    for index in 1..=200 {
        log.append(&[entry(index, 1, 700)]).and_then(|()| log.sync()).expect("synced");
    }
    log.append(&[Record::Compact { group: 1, index: 200, term: 1, config: None }])
        .expect("written");
    assert_eq!(log.maintain().expect("maintained").rewritten, vec![]);
    let pins = log.pinned_by();
    assert_eq!(pins.len(), 1);
    assert_eq!(pins[0].group, 9);
    assert!((8000..9000).contains(&pins[0].bytes), "{pins:?}");
    log.rewrite(9).expect("rewritten");
    assert!(log.release().expect("released") > 5);
    assert_eq!(log.reader().read(9, 1, 9, 100_000).expect("readable").len(), 8);
}

#[test]
fn garbage_is_refused_without_panic_or_wild_allocation() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let (disk, mut log) = fresh(seed);
        for index in 1..=40 {
            log.append(&[entry(index, 1, 500)]).and_then(|()| log.sync()).expect("synced");
        }
        drop(log);
        let name = format!("{:016}.seg", dice.between(1, 4));
        let bytes = if dice.below(2) == 0 {
            let length = dice.below(3 * SEGMENT) as usize;
            (0..length).map(|_| dice.next_u64() as u8).collect()
        } else {
            // A good segment, with a stretch of noise in it.
            let mut bytes = disk.contents("0000000000000001.seg");
            let from = dice.below(SEGMENT) as usize;
            for byte in bytes.iter_mut().skip(from).take(dice.below(200) as usize + 1) {
                *byte = dice.next_u64() as u8;
            }
            bytes
        };
        disk.plant(&name, &bytes);
        match Log::open(disk, options()) {
            Ok((log, recovered)) => {
                // Noise behind the synced end, or behind a stated end, is nobody's data.
                let model = read_back(&log, &recovered).expect("readable");
                assert_eq!(model[&1].entries.len(), 40, "seed {seed}");
            }
            Err(error) => assert!(matches!(error, LogError::Corrupt(_)), "seed {seed}: {error}"),
        }
    }
}
