//! Transactions that append to lists: the order of versions is read off the lists.
//!
//! Every element is appended once, so a list tells which transactions changed it, and in which order (the *traceability* of
//! Elle, Kingsbury and Alvaro, VLDB 2020, section 4). The longest list that anybody read of a key is taken as the order of
//! its versions; every other list must be its beginning. What committed but was not seen in that list comes after it, in an
//! order that nobody knows: readers of the last version have anti-dependencies on it, which is how a lost append shows.

use std::collections::HashMap;

use crate::access::{Micro, MicroKind, NONE, Quick, Txns};
use crate::history::Outcome;
use crate::limits::Meter;
use crate::txn::deps::{Dep, Deps};
use crate::txn::findings::{Evidence, Findings};
use crate::txn::level::Anomaly;
use crate::verdict::Reason;

/// An append: who did it, and whether that transaction appended to the same key again.
#[derive(Clone, Copy, Debug)]
struct Append {
    txn: u32,
    key: u32,
    value: u32,
    last: bool,
    /// Its place in the order of versions, or [`NONE`].
    at: u32,
}

/// A read of a list by a committed transaction.
#[derive(Clone, Copy, Debug)]
struct Read {
    txn: u32,
    list: (u32, u32),
    /// Whether the transaction had not appended to the key before: the list is other transactions' work.
    external: bool,
    /// Whether it appends to the key afterwards.
    updates: bool,
}

/// Finds everything but cycles, and collects the dependencies.
///
/// # Errors
///
/// An element is appended to a key twice: versions cannot be told apart. The limits.
pub(crate) fn analyse(txns: &Txns, findings: &mut Findings, meter: &Meter) -> Result<Deps, Reason> {
    let mut analysis = Analysis::index(txns, meter)?;
    let mut deps = Deps::new(txns);
    internal(txns, findings, meter)?;
    for key in 0..txns.keys.len() as u32 {
        analysis.key(key, &mut deps, findings);
    }
    analysis.hidden(&mut deps);
    Ok(deps)
}

/// The versions of a key.
struct Versions {
    /// The slot and the append of each element in order; [`NONE`] twice for those that no transaction installed.
    slots: Vec<(u32, u32)>,
    /// The first element of an aborted transaction: its place, and its append.
    aborted: Option<(usize, u32)>,
}

/// Everything about one key, found by number.
struct Analysis<'a> {
    txns: &'a Txns,
    appends: Vec<Append>,
    places: HashMap<(u32, u32), u32, Quick>,
    /// Reads sorted by key: those of key `k` are `reads[starts[k]..starts[k + 1]]`.
    reads: Vec<Read>,
    starts: Vec<u32>,
    /// Per key: the writer of the newest version (with its slot), and who read that version.
    tails: Vec<(u32, Vec<u32>)>,
}

impl<'a> Analysis<'a> {
    fn index(txns: &'a Txns, meter: &Meter) -> Result<Analysis<'a>, Reason> {
        let mut steps = 0;
        let mut appends: Vec<Append> = Vec::with_capacity(txns.micro_count() / 2);
        let mut places =
            HashMap::with_capacity_and_hasher(txns.micro_count() / 2, Quick::default());
        let mut reads = Vec::with_capacity(txns.micro_count() / 2);
        for txn in 0..txns.len() as u32 {
            let micros = txns.micros(txn);
            for (place, &Micro { key, kind }) in micros.iter().enumerate() {
                // The accesses of a transaction are looked through for each of them: most have few.
                meter.step(&mut steps, micros.len())?;
                let appended = |micros: &[Micro]| {
                    let mut others = micros.iter();
                    others
                        .any(|other| other.key == key && matches!(other.kind, MicroKind::Append(_)))
                };
                match kind {
                    MicroKind::Append(value) => {
                        let last = !appended(&micros[place + 1..]);
                        let next = appends.len() as u32;
                        if places.insert((key, value), next).is_some() {
                            return Err(Reason::Undecidable(format!(
                                "{} is appended to {} twice, and its readers cannot be told apart",
                                txns.values.show(value),
                                txns.keys.name(key)
                            )));
                        }
                        appends.push(Append { txn, key, value, last, at: NONE });
                    }
                    MicroKind::List(first, end) => {
                        let external = !appended(&micros[..place]);
                        let updates = appended(&micros[place..]);
                        reads.push((key, Read { txn, list: (first, end), external, updates }));
                    }
                    MicroKind::Write(_)
                    | MicroKind::Value(_)
                    | MicroKind::Not(_)
                    | MicroKind::Unknown => {}
                }
            }
        }
        let (reads, starts) = by_key(txns.keys.len(), &reads);
        let tails = vec![(NONE, Vec::new()); txns.keys.len()];
        Ok(Analysis { txns, appends, places, reads, starts, tails })
    }

    fn key(&mut self, key: u32, deps: &mut Deps, findings: &mut Findings) {
        let range = self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize;
        let reads = self.reads[range].to_vec();
        let length = |read: &&Read| read.list.1 - read.list.0;
        let Some(longest) = reads.iter().max_by_key(length).copied() else { return };
        let order = self.txns.list(longest.list).to_vec();
        let slots = self.versions(key, &order, &longest, deps, findings);
        self.readers(key, &order, &slots, &reads, &longest, deps, findings);
    }

    /// Checks the elements of the order of versions and adds write dependencies.
    fn versions(
        &mut self,
        key: u32,
        order: &[u32],
        longest: &Read,
        deps: &mut Deps,
        findings: &mut Findings,
    ) -> Versions {
        let mut slots = Vec::with_capacity(order.len());
        let mut aborted = None;
        let mut before: (u32, u32) = (NONE, NONE);
        for &value in order {
            let Some(place) = self.places.get(&(key, value)).copied() else {
                findings.add(Anomaly::Phantom, || {
                    let (value, key) = (self.txns.values.show(value), self.txns.keys.name(key));
                    let reader = longest.txn;
                    let sentence =
                        format!("T{reader} read {value} of {key}, which nobody appended");
                    Evidence::Sentence(sentence, vec![reader])
                });
                slots.push((NONE, NONE));
                continue;
            };
            let append = self.appends[place as usize];
            if append.at != NONE {
                findings.add(Anomaly::Duplicate, || {
                    let (value, key) = (self.txns.values.show(value), self.txns.keys.name(key));
                    let reader = longest.txn;
                    let sentence = format!("T{reader} read {key} with {value} in it twice");
                    Evidence::Sentence(sentence, vec![reader, append.txn])
                });
                slots.push((NONE, NONE));
                continue;
            }
            self.appends[place as usize].at = slots.len() as u32;
            match self.txns.txns[append.txn as usize].outcome {
                Outcome::Ok => {}
                Outcome::Unknown => deps.present[append.txn as usize] = true,
                Outcome::Fail => {
                    // What was never installed has no place in the order.
                    aborted = aborted.or(Some((slots.len(), place)));
                    slots.push((NONE, NONE));
                    continue;
                }
            }
            let slot = deps.slot(key, value, before.1);
            if before.0 != NONE {
                deps.add(before.0, append.txn, Dep::Ww, slot);
            }
            before = (append.txn, value);
            slots.push((slot, place));
        }
        self.tails[key as usize].0 =
            slots.iter().rev().find(|(_, place)| *place != NONE).map_or(NONE, |(_, place)| *place);
        Versions { slots, aborted }
    }

    fn readers(
        &mut self,
        key: u32,
        order: &[u32],
        Versions { slots, aborted }: &Versions,
        reads: &[Read],
        longest: &Read,
        deps: &mut Deps,
        findings: &mut Findings,
    ) {
        // Who read a version and replaced it, by the length of the list.
        let mut updater = vec![NONE; order.len() + 1];
        for read in reads {
            let list = self.txns.list(read.list);
            if list != &order[..list.len()] {
                findings.add(Anomaly::IncompatibleOrder, || self.incompatible(key, read, longest));
                continue;
            }
            if let Some((_, place)) = aborted.filter(|(place, _)| *place < list.len()) {
                findings.add(Anomaly::G1a, || self.dirty(key, read.txn, place, "aborted"));
            }
            if !read.external {
                continue;
            }
            if let Some((slot, place)) =
                slots[..list.len()].last().filter(|(_, place)| *place != NONE)
            {
                let append = self.appends[*place as usize];
                if !append.last && append.txn != read.txn {
                    let what = "then appended to it again";
                    findings.add(Anomaly::G1b, || self.dirty(key, read.txn, *place, what));
                }
                deps.add(append.txn, read.txn, Dep::Wr, *slot);
            }
            match slots[list.len()..].iter().find(|(_, place)| *place != NONE) {
                Some((slot, place)) => {
                    let writer = self.appends[*place as usize].txn;
                    deps.add(read.txn, writer, Dep::Rw, *slot);
                }
                None => self.tails[key as usize].1.push(read.txn),
            }
            if read.updates {
                self.future(key, read, findings);
                let first = &mut updater[list.len()];
                if *first != NONE && *first != read.txn {
                    let pair = (*first, read.txn);
                    findings.add(Anomaly::LostUpdate, || self.lost(key, list, pair));
                } else {
                    *first = read.txn;
                }
            }
        }
    }

    /// What committed but was in no list of its key comes after the last version that was read.
    fn hidden(&self, deps: &mut Deps) {
        let mut hidden: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.tails.len()];
        for append in &self.appends {
            if append.at != NONE || !deps.present[append.txn as usize] {
                continue;
            }
            let tail = self.tails[append.key as usize].0;
            let before = if tail == NONE { NONE } else { self.appends[tail as usize].value };
            let slot = deps.slot(append.key, append.value, before);
            if tail != NONE {
                deps.add(self.appends[tail as usize].txn, append.txn, Dep::Ww, slot);
            }
            hidden[append.key as usize].push((append.txn, slot));
        }
        for (key, writers) in hidden.iter().enumerate() {
            deps.anti(&self.tails[key].1, writers, Dep::Rw);
        }
    }

    /// A transaction cannot read what it only appends later.
    fn future(&self, key: u32, read: &Read, findings: &mut Findings) {
        for micro in self.txns.micros(read.txn).iter().filter(|micro| micro.key == key) {
            let MicroKind::Append(value) = micro.kind else { continue };
            let append = self.appends[self.places[&(key, value)] as usize];
            if append.at < read.list.1 - read.list.0 {
                findings.add(Anomaly::Internal, || {
                    let (value, key) = (self.txns.values.show(value), self.txns.keys.name(key));
                    let reader = read.txn;
                    let sentence = format!("T{reader} read {value} of {key} before it appended it");
                    Evidence::Sentence(sentence, vec![reader])
                });
            }
        }
    }

    fn incompatible(&self, key: u32, read: &Read, longest: &Read) -> Evidence {
        let (one, other) = (self.txns.list(read.list), self.txns.list(longest.list));
        let place = one.iter().zip(other).position(|(a, b)| a != b).unwrap_or(0);
        let show = |value: u32| self.txns.values.show(value);
        let sentence = format!(
            "T{} read {} at place {} of {} where T{} read {}",
            read.txn,
            show(one[place]),
            place + 1,
            self.txns.keys.name(key),
            longest.txn,
            show(other[place]),
        );
        Evidence::Sentence(sentence, vec![read.txn, longest.txn])
    }

    fn dirty(&self, key: u32, reader: u32, place: u32, what: &str) -> Evidence {
        let append = self.appends[place as usize];
        let (value, key) = (self.txns.values.show(append.value), self.txns.keys.name(key));
        let writer = append.txn;
        let sentence =
            format!("T{reader} read {value} of {key}, which T{writer} appended, and {what}");
        Evidence::Sentence(sentence, vec![writer, reader])
    }

    fn lost(&self, key: u32, list: &[u32], (one, other): (u32, u32)) -> Evidence {
        let version = list.last().map_or("empty".to_string(), |value| {
            format!("up to {}", self.txns.values.show(*value))
        });
        let key = self.txns.keys.name(key);
        let sentence =
            format!("T{one} and T{other} both read {key} {version} and both appended to it");
        Evidence::Sentence(sentence, vec![one, other])
    }
}

/// Sorts by key, keeping the order within a key.
fn by_key(keys: usize, reads: &[(u32, Read)]) -> (Vec<Read>, Vec<u32>) {
    let mut starts = vec![0u32; keys + 1];
    for (key, _) in reads {
        starts[*key as usize + 1] += 1;
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let blank = Read { txn: NONE, list: (0, 0), external: false, updates: false };
    let mut sorted = vec![blank; reads.len()];
    for (key, read) in reads {
        let place = &mut next[*key as usize];
        sorted[*place as usize] = *read;
        *place += 1;
    }
    (sorted, starts)
}

/// A transaction must see its own appends at the end of what it reads, and nothing but them may change between its reads.
fn internal(txns: &Txns, findings: &mut Findings, meter: &Meter) -> Result<(), Reason> {
    let mut steps = 0;
    let mut expected: Vec<u32> = Vec::new();
    for txn in 0..txns.len() as u32 {
        if !txns.is_ok(txn) {
            continue;
        }
        let micros = txns.micros(txn);
        for (place, micro) in micros.iter().enumerate() {
            let MicroKind::List(first, last) = micro.kind else { continue };
            meter.step(&mut steps, place)?;
            let list = txns.list((first, last));
            expected.clear();
            let mut whole = false;
            for earlier in micros[..place].iter().filter(|earlier| earlier.key == micro.key) {
                match earlier.kind {
                    MicroKind::Append(value) => expected.push(value),
                    MicroKind::List(first, last) => {
                        expected.clear();
                        expected.extend_from_slice(txns.list((first, last)));
                        whole = true;
                    }
                    MicroKind::Write(_)
                    | MicroKind::Value(_)
                    | MicroKind::Not(_)
                    | MicroKind::Unknown => {}
                }
            }
            let fits = if whole { list == expected } else { list.ends_with(&expected) };
            if !fits {
                findings.add(Anomaly::Internal, || {
                    let show = |values: &[u32]| {
                        let values: Vec<_> = values.iter().map(|v| txns.values.show(*v)).collect();
                        values.join(" ")
                    };
                    let dots = if whole { "" } else { "… " };
                    let sentence = format!(
                        "T{txn} read [{}] of {} after its own work made it [{dots}{}]",
                        show(list),
                        txns.keys.name(micro.key),
                        show(&expected)
                    );
                    Evidence::Sentence(sentence, vec![txn])
                });
            }
        }
    }
    Ok(())
}
