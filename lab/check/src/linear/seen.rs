//! What the search has been through: interned states, and configurations that lead nowhere.
//!
//! Both tables compare whole keys, never hashes alone: a judge must not be wrong by chance. They live in a few large
//! vectors, so that the memory limit can be compared with what is really held.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

/// A fast hash for trusted, short keys (multiply and fold; the constant is the golden ratio's).
#[derive(Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        let folded = u128::from(self.0) * 0x9e37_79b9_7f4a_7c15;
        (folded >> 64) as u64 ^ folded as u64
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// Builds [`Mix`].
pub type MixBuilder = BuildHasherDefault<Mix>;

const EMPTY: u32 = u32::MAX;

/// An open-addressing table from hashes to numbers below `u32::MAX`; the keys live elsewhere.
struct Slots {
    slots: Vec<u32>,
    used: usize,
}

impl Slots {
    fn new() -> Slots {
        Slots { slots: vec![EMPTY; 64], used: 0 }
    }

    /// The number whose key is equal, or else the slot where it belongs.
    fn find(&self, hash: u64, mut is_equal: impl FnMut(u32) -> bool) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                EMPTY => return Err(slot),
                number if is_equal(number) => return Ok(number),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// Fills an empty slot; grows when three quarters are used.
    fn fill(&mut self, slot: usize, number: u32, hash: impl Fn(u32) -> u64) {
        assert!(number < EMPTY, "a table holds fewer than 2^32 - 1 keys");
        self.slots[slot] = number;
        self.used += 1;
        if self.used * 4 < self.slots.len() * 3 {
            return;
        }
        let mask = self.slots.len() * 2 - 1;
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; mask + 1]);
        for number in old.into_iter().filter(|number| *number != EMPTY) {
            let mut slot = hash(number) as usize & mask;
            while self.slots[slot] != EMPTY {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number;
        }
    }
}

/// States, each once, by number.
pub struct States<T> {
    states: Vec<T>,
    slots: Slots,
    builder: MixBuilder,
    heap: usize,
}

impl<T: Eq + std::hash::Hash> States<T> {
    pub fn new() -> States<T> {
        States { states: Vec::new(), slots: Slots::new(), builder: MixBuilder::default(), heap: 0 }
    }

    /// The number of a state, a new one if it was not met before. `heap` counts what a new state owns.
    pub fn number(&mut self, state: T, heap: impl Fn(&T) -> usize) -> u32 {
        let States { states, slots, builder, .. } = self;
        let found = slots.find(builder.hash_one(&state), |number| states[number as usize] == state);
        let slot = match found {
            Ok(number) => return number,
            Err(slot) => slot,
        };
        let number = states.len() as u32;
        self.heap += heap(&state);
        states.push(state);
        slots.fill(slot, number, |number| builder.hash_one(&states[number as usize]));
        number
    }

    /// The state with that number.
    pub fn get(&self, number: u32) -> &T {
        &self.states[number as usize]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<T>() + self.slots.slots.capacity() * 4 + self.heap
    }
}

/// Configurations that were entered. A configuration is a key (which completed operations are linearized, and the
/// state), and how many operations of each unknown class were spent on getting there. Having spent less is as good or
/// better: unknown operations need never happen.
pub struct Seen {
    /// Keys one after another; where each begins and ends is in `entries`.
    words: Vec<u64>,
    entries: Vec<Entry>,
    slots: Slots,
    /// Spendings: `classes` bytes each, chained through `next`.
    spent: Vec<u8>,
    next: Vec<u32>,
    classes: usize,
}

struct Entry {
    end: usize,
    first: u32,
}

impl Seen {
    pub fn new(classes: usize) -> Seen {
        let slots = Slots::new();
        let (words, entries, spent, next) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Seen { words, entries, slots, spent, next, classes }
    }

    /// Notes a configuration. False: one with the same key that spent at most as much of each class is known.
    pub fn insert(&mut self, key: &[u64], spent: &[u8]) -> bool {
        assert_eq!(spent.len(), self.classes);
        let Seen { words, entries, slots, .. } = self;
        let at = |number: u32| key_of(words, entries, number);
        let found = slots.find(hash_words(key), |number| at(number) == key);
        let number = match found {
            Ok(number) => number,
            Err(slot) => {
                let number = entries.len() as u32;
                words.extend_from_slice(key);
                entries.push(Entry { end: words.len(), first: EMPTY });
                slots.fill(slot, number, |number| hash_words(key_of(words, entries, number)));
                number
            }
        };
        self.spend(number, spent, found.is_err())
    }

    fn spend(&mut self, number: u32, spent: &[u8], is_new: bool) -> bool {
        if self.classes == 0 {
            return is_new;
        }
        let mut link = self.entries[number as usize].first;
        while link != EMPTY {
            let from = link as usize * self.classes;
            let known = &self.spent[from..from + self.classes];
            if known.iter().zip(spent).all(|(known, new)| known <= new) {
                return false;
            }
            link = self.next[link as usize];
        }
        let link = self.next.len() as u32;
        self.next.push(self.entries[number as usize].first);
        self.entries[number as usize].first = link;
        self.spent.extend_from_slice(spent);
        true
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let (words, entries) = (self.words.capacity() * 8, self.entries.capacity());
        let chains = self.spent.capacity() + self.next.capacity() * 4;
        words + entries * size_of::<Entry>() + chains + self.slots.slots.capacity() * 4
    }
}

fn key_of<'a>(words: &'a [u64], entries: &[Entry], number: u32) -> &'a [u64] {
    let begin = number.checked_sub(1).map_or(0, |before| entries[before as usize].end);
    &words[begin..entries[number as usize].end]
}

fn hash_words(words: &[u64]) -> u64 {
    let mut mix = Mix::default();
    for word in words {
        mix.write_u64(*word);
    }
    mix.finish()
}
