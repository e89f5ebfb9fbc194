//! Transactions on registers: the order of versions is known in part.
//!
//! Where written values are unique, a read tells whose version it saw. Which version replaced which is inferred as in Elle
//! (Kingsbury and Alvaro, VLDB 2020, section 5):
//!
//! - the initial value comes before every other;
//! - what a transaction read of a key comes before what it wrote to it;
//! - for levels that keep the order of sessions or of time: versions of a key follow the order of the process that wrote
//!   them, or real time. Those anti-dependencies count in these scopes only.

use std::collections::HashMap;

use crate::access::NONE;
use crate::registers::{Flaw, INITIAL, Registers};
use crate::txn::deps::{Dep, Deps};
use crate::txn::findings::{Evidence, Findings};
use crate::txn::level::Anomaly;

/// Finds everything but cycles, and collects the dependencies.
pub(crate) fn analyse(registers: &Registers, findings: &mut Findings) -> Deps {
    flaws(registers, findings);
    let mut deps = Deps::new(registers.txns);
    deps.present.clone_from(&registers.present);
    let versions = Versions::collect(registers);
    for (place, write) in registers.writes.iter().enumerate() {
        let before = match versions.replaced[place] {
            NONE | INITIAL_READ => NONE,
            read => registers.writes[read as usize].value,
        };
        let slot = deps.slot(write.key, write.value, before);
        assert_eq!(slot as usize, place, "the slot of a write is its place");
    }
    for read in registers.reads.iter().filter(|read| read.write != INITIAL) {
        deps.add(registers.writes[read.write as usize].txn, read.txn, Dep::Wr, read.write);
    }
    versions.order(registers, &mut deps);
    versions.lost_updates(registers, findings);
    by_process(registers, &versions, &mut deps);
    by_time(registers, &versions, &mut deps);
    deps
}

fn flaws(registers: &Registers, findings: &mut Findings) {
    for flawed in &registers.flawed {
        let (anomaly, other) = match flawed.flaw {
            Flaw::Phantom => (Anomaly::Phantom, None),
            Flaw::Aborted(writer) => (Anomaly::G1a, Some(writer)),
            Flaw::Replaced(writer) => (Anomaly::G1b, Some(writer)),
            Flaw::Internal => (Anomaly::Internal, None),
        };
        findings.add(anomaly, || {
            let txns = other.into_iter().chain([flawed.txn]).collect();
            Evidence::Sentence(registers.tell(flawed), txns)
        });
    }
}

/// A write replaced the initial value, as far as its transaction saw.
const INITIAL_READ: u32 = NONE - 1;

/// What is known of versions.
struct Versions {
    /// Per write: the write that its transaction had read of the key, [`INITIAL_READ`], or [`NONE`] if it had read nothing.
    replaced: Vec<u32>,
    /// Per write: who read it. Per key, after the writes: who read the initial value.
    readers: Vec<Vec<u32>>,
    /// Per write, and per key: the writes that directly replaced it as far as is known.
    next: Vec<Vec<u32>>,
}

impl Versions {
    fn collect(registers: &Registers) -> Versions {
        let (writes, keys) = (registers.writes.len(), registers.txns.keys.len());
        let mut versions = Versions {
            replaced: vec![NONE; writes],
            readers: vec![Vec::new(); writes + keys],
            next: vec![Vec::new(); writes + keys],
        };
        let slot = |read: u32, key: u32| {
            if read == INITIAL { writes + key as usize } else { read as usize }
        };
        for read in &registers.reads {
            let readers = &mut versions.readers[slot(read.write, read.key)];
            if readers.last() != Some(&read.txn) {
                readers.push(read.txn);
            }
        }
        for (place, write) in registers.writes.iter().enumerate() {
            if !registers.present[write.txn as usize] {
                continue;
            }
            let reads = registers.reads_of(write.txn).iter();
            for read in reads.filter(|read| read.key == write.key) {
                let initial = read.write == INITIAL;
                versions.replaced[place] = if initial { INITIAL_READ } else { read.write };
                versions.next[slot(read.write, read.key)].push(place as u32);
            }
            if versions.replaced[place] == NONE {
                versions.next[writes + write.key as usize].push(place as u32);
            }
        }
        versions
    }

    /// Write dependencies and anti-dependencies that hold at any level.
    fn order(&self, registers: &Registers, deps: &mut Deps) {
        for (version, next) in self.next.iter().enumerate() {
            let writers: Vec<(u32, u32)> =
                next.iter().map(|place| (registers.writes[*place as usize].txn, *place)).collect();
            if let Some(write) = registers.writes.get(version) {
                for (writer, slot) in &writers {
                    deps.add(write.txn, *writer, Dep::Ww, *slot);
                }
            }
            deps.anti(&self.readers[version], &writers, Dep::Rw);
        }
    }

    fn lost_updates(&self, registers: &Registers, findings: &mut Findings) {
        for (version, next) in self.next.iter().enumerate() {
            let mut updates =
                next.iter().filter(|place| self.replaced[**place as usize] != NONE).map(|place| {
                    let write = registers.writes[*place as usize];
                    (write.txn, write.key)
                });
            let Some((first, key)) = updates.next() else { continue };
            for (other, _) in updates.filter(|(other, _)| *other != first) {
                findings.add(Anomaly::LostUpdate, || {
                    let value = registers.writes.get(version).map_or(NONE, |write| write.value);
                    let what = registers.show(key, value);
                    let sentence =
                        format!("T{first} and T{other} both read {what} and both replaced it");
                    Evidence::Sentence(sentence, vec![first, other])
                });
            }
        }
    }
}

/// Versions of a key follow the order of the process that wrote them.
fn by_process(registers: &Registers, versions: &Versions, deps: &mut Deps) {
    let mut last: HashMap<(i64, u32), u32> = HashMap::new();
    for (place, write) in registers.writes.iter().enumerate() {
        if !registers.present[write.txn as usize] {
            continue;
        }
        let process = registers.txns.txns[write.txn as usize].process;
        if let Some(before) = last.insert((process, write.key), place as u32) {
            let readers = &versions.readers[before as usize];
            deps.anti(readers, &[(write.txn, place as u32)], Dep::RwProcess);
        }
    }
}

/// Versions of a key follow real time: each is replaced by those that were invoked after it completed, up to the first of them to complete.
fn by_time(registers: &Registers, versions: &Versions, deps: &mut Deps) {
    let mut keys: Vec<Vec<u32>> = vec![Vec::new(); registers.txns.keys.len()];
    for (place, write) in registers.writes.iter().enumerate() {
        if registers.present[write.txn as usize] {
            keys[write.key as usize].push(place as u32);
        }
    }
    let txn = |place: u32| &registers.txns.txns[registers.writes[place as usize].txn as usize];
    let ended = |place: u32| {
        let is_ok = registers.txns.is_ok(registers.writes[place as usize].txn);
        if is_ok { txn(place).end } else { NONE }
    };
    for places in keys {
        // Transactions are in the order of their invocations, and so are the places.
        let mut least = vec![NONE; places.len() + 1];
        for at in (0..places.len()).rev() {
            least[at] = least[at + 1].min(ended(places[at]));
        }
        for &place in &places {
            let readers = &versions.readers[place as usize];
            let end = ended(place);
            if readers.is_empty() || end == NONE {
                continue;
            }
            let first = places.partition_point(|other| txn(*other).start <= end);
            let writers: Vec<(u32, u32)> = places[first..]
                .iter()
                .take_while(|other| txn(**other).start < least[first])
                .map(|other| (registers.writes[*other as usize].txn, *other))
                .collect();
            deps.anti(readers, &writers, Dep::RwRealtime);
        }
    }
}
