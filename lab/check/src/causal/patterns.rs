//! The bad patterns of Bouajjani, Enea, Guerraoui and Hamza (On Verifying Causal Consistency, POPL 2017), found with clocks.
//!
//! For a write and all its readers, the judge takes the maximum of the readers' pasts and asks, chain by chain, for the last write to the
//! same key in it. That one stands for all earlier ones of the chain. It must not come after the write that was read
//! (*WriteCORead*); under causal convergence it must have been ordered before it by everybody (*conflict edge*), and those edges
//! must make no cycle with the causal order (*CyclicCF*). With n operations and k sessions this takes n × k look-ups, as in AWDIT
//! (Møldrup and Pavlogiannis, PLDI 2025).

use crate::access::NONE;
use crate::causal::frame::{Clocks, Frame};
use crate::registers::{INITIAL, Registers};

/// A write as a chain shows it: by itself, or by a node that read it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    chain: u32,
    index: u32,
    write: u32,
}

/// The writes to each key, by chain, in order, and the readers of each write.
pub(crate) struct Index {
    /// Entries sorted by key, chain and place; those of one key and chain are a group.
    entries: Vec<Entry>,
    /// Groups sorted by key: chain, first entry, end.
    groups: Vec<(u32, u32, u32)>,
    /// Groups of key `k`: `group_starts[k]..group_starts[k + 1]`.
    group_starts: Vec<u32>,
    /// Readers sorted by write; those of the initial value of key `k` come under `writes + k`.
    readers: Vec<u32>,
    reader_starts: Vec<u32>,
    /// Writes sorted by key: in this order, what is looked up of one key stays at hand.
    pub by_key: Vec<u32>,
    /// Whether entries are reads, which may show one write several times.
    shows_reads: bool,
}

/// A write in the past of a reader that read another one of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// What the reader had in its past: a place in [`Registers::writes`].
    pub other: u32,
    /// What it read: a place in [`Registers::writes`], or [`INITIAL`].
    pub read: u32,
    /// The reader.
    pub reader: u32,
}

impl Index {
    /// Sorts everything.
    pub(crate) fn new(registers: &Registers, frame: &Frame) -> Index {
        let keys = registers.txns.keys.len();
        let mut unsorted: Vec<(u32, Entry)> = Vec::with_capacity(registers.writes.len());
        let has_writes =
            registers.writes.iter().any(|write| frame.chain[write.txn as usize] != NONE);
        for (chain, nodes) in frame.chains.iter().enumerate() {
            for (index, &node) in nodes.iter().enumerate() {
                let mut push = |write: u32| {
                    let key = registers.writes[write as usize].key;
                    unsorted.push((key, Entry { chain: chain as u32, index: index as u32, write }));
                };
                if has_writes {
                    registers.writes_of(node).for_each(&mut push);
                } else {
                    let reads = registers.reads_of(node).iter().map(|read| read.write);
                    reads.filter(|write| *write != INITIAL).for_each(&mut push);
                }
            }
        }
        let (entries, starts) = sort_by(keys, &unsorted);
        let mut groups: Vec<(u32, u32, u32)> = Vec::new();
        let mut group_starts = Vec::with_capacity(keys + 1);
        for key in 0..keys {
            group_starts.push(groups.len() as u32);
            let first_group = groups.len();
            for place in starts[key]..starts[key + 1] {
                let chain = entries[place as usize].chain;
                match groups[first_group..].last_mut() {
                    Some(group) if group.0 == chain => group.2 = place + 1,
                    Some(_) | None => groups.push((chain, place, place + 1)),
                }
            }
        }
        group_starts.push(groups.len() as u32);
        let reads: Vec<(u32, u32)> = registers
            .reads
            .iter()
            .map(|read| (slot(registers, read.write, read.key), read.txn))
            .collect();
        let (readers, reader_starts) = sort_by(registers.writes.len() + keys, &reads);
        let places = (0u32..).zip(&registers.writes);
        let writes: Vec<(u32, u32)> = places.map(|(place, write)| (write.key, place)).collect();
        let (by_key, _) = sort_by(keys, &writes);
        let shows_reads = !has_writes;
        Index { entries, groups, group_starts, readers, reader_starts, by_key, shows_reads }
    }

    /// Who read a write, or the initial value of a key.
    pub(crate) fn readers(&self, registers: &Registers, write: u32, key: u32) -> &[u32] {
        let slot = slot(registers, write, key) as usize;
        &self.readers[self.reader_starts[slot] as usize..self.reader_starts[slot + 1] as usize]
    }

    /// For a value that was read (a write, or the initial value of a key): the last other write of each chain in the past of its readers.
    /// `maxima` is room for a row. `visit` returns whether to go on.
    pub(crate) fn conflicts(
        &self,
        registers: &Registers,
        frame: &Frame,
        clocks: &Clocks,
        (read, key): (u32, u32),
        readers: &[u32],
        maxima: &mut [u32],
        mut visit: impl FnMut(u32) -> bool,
    ) -> bool {
        debug_assert!(registers.writes.get(read as usize).is_none_or(|write| write.key == key));
        maxima.fill(0);
        for reader in readers {
            clocks.raise(frame, *reader, maxima);
        }
        let groups =
            self.group_starts[key as usize] as usize..self.group_starts[key as usize + 1] as usize;
        for &(chain, first, end) in &self.groups[groups] {
            let entries = &self.entries[first as usize..end as usize];
            let below = maxima[chain as usize];
            if entries[0].index >= below {
                continue;
            }
            let place = entries.partition_point(|entry| entry.index < below);
            let mut other = entries[place - 1].write;
            if other == read && self.shows_reads {
                // Readers of one value in a row hide what they saw before it.
                let earlier = entries[..place].iter().rev().find(|entry| entry.write != read);
                other = earlier.map_or(read, |entry| entry.write);
            }
            if other != read && !visit(other) {
                return false;
            }
        }
        true
    }

    /// The first write of each chain to the key that has a node in its past. Only for chains of writes.
    pub(crate) fn followers(
        &self,
        registers: &Registers,
        frame: &Frame,
        clocks: &Clocks,
        (node, key): (Option<u32>, u32),
        mut visit: impl FnMut(u32),
    ) {
        let groups =
            self.group_starts[key as usize] as usize..self.group_starts[key as usize + 1] as usize;
        for &(_, first, end) in &self.groups[groups] {
            let entries = &self.entries[first as usize..end as usize];
            let place = entries.partition_point(|entry| {
                let other = registers.writes[entry.write as usize].txn;
                node.is_some_and(|node| !clocks.precedes(frame, node, other))
            });
            if let Some(entry) = entries.get(place) {
                visit(registers.writes[entry.write as usize].txn);
            }
        }
    }

    /// A reader that has this write in its past.
    pub(crate) fn witness(
        &self,
        frame: &Frame,
        clocks: &Clocks,
        key: u32,
        other: u32,
        readers: &[u32],
    ) -> Option<u32> {
        let groups =
            self.group_starts[key as usize] as usize..self.group_starts[key as usize + 1] as usize;
        let entries = self.groups[groups]
            .iter()
            .flat_map(|(_, first, end)| &self.entries[*first as usize..*end as usize])
            .filter(|entry| entry.write == other);
        let mut found = entries.flat_map(|entry| {
            let has = |reader: &&u32| clocks.past(frame, **reader, entry.chain) > entry.index;
            readers.iter().find(has)
        });
        found.next().copied()
    }
}

/// Where the readers of a write are kept.
fn slot(registers: &Registers, write: u32, key: u32) -> u32 {
    if write == INITIAL { registers.writes.len() as u32 + key } else { write }
}

/// Counting sort; what has the same number keeps its order. Also where each number begins.
fn sort_by<T: Copy>(numbers: usize, items: &[(u32, T)]) -> (Vec<T>, Vec<u32>) {
    let mut starts = vec![0u32; numbers + 1];
    for (number, _) in items {
        starts[*number as usize + 1] += 1;
    }
    for number in 0..numbers {
        starts[number + 1] += starts[number];
    }
    let mut next = starts.clone();
    let Some((_, blank)) = items.first() else { return (Vec::new(), starts) };
    let mut sorted = vec![*blank; items.len()];
    for (number, item) in items {
        let place = &mut next[*number as usize];
        sorted[*place as usize] = *item;
        *place += 1;
    }
    (sorted, starts)
}
