//! The work: seeded, so that the state at any mark can be computed again.

use crate::candidate::Op;
use std::collections::BTreeMap;

/// A small generator (xorshift64*), the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.roll() >> 16) % limit
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.roll().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// The current key of an id: 64 bytes, spread over the space.
pub fn current(id: u64) -> Vec<u8> {
    format!("c/registry/objects/namespace-{:04}/name-{id:029}", id % 1000).into_bytes()
}

/// What one etcd put writes: the newest version, the one before it as history, the revision index.
pub fn put(ops: &mut Vec<Op>, id: u64, revision: u64, value: Vec<u8>, old: Vec<u8>) {
    let key = current(id);
    let mut history = key.clone();
    history[0] = b'h';
    history.extend_from_slice(&(!revision).to_be_bytes());
    let mut index = b"r".to_vec();
    index.extend_from_slice(&revision.to_be_bytes());
    ops.push(Op::Get(key.clone()));
    ops.push(Op::Put(key.clone(), value));
    ops.push(Op::Put(history, old));
    ops.push(Op::Put(index, key));
}

/// One batch of the crash trial: small puts, deletes, and now and then a value of up to 1.5 MiB.
pub fn crash_batch(seed: u64, mark: u64) -> Vec<Op> {
    let mut dice = Dice::new(seed ^ mark.wrapping_mul(0x1000_0001));
    let mut ops = Vec::new();
    for step in 0..1 + dice.below(20) {
        let key = format!("c{:06}", dice.below(3000)).into_bytes();
        match dice.below(100) {
            0..15 => ops.push(Op::Delete(key)),
            15 => {
                let len = 1 + dice.below(1_572_864) as usize;
                ops.push(Op::Put(key, dice.bytes(len)));
            }
            16..24 => ops.push(Op::Put(key, dice.bytes(65_536))),
            24.. => {
                let len = dice.below(400) as usize;
                ops.push(Op::Put(key, dice.bytes(len)));
            }
        }
        let mut index = b"r".to_vec();
        index.extend_from_slice(&(mark * 32 + step).to_be_bytes());
        ops.push(Op::Put(index, dice.bytes(16)));
    }
    ops
}

/// The state after every batch up to the mark.
pub fn model(seed: u64, mark: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut state = BTreeMap::new();
    for step in 1..=mark {
        for op in crash_batch(seed, step) {
            match op {
                Op::Get(_) => {}
                Op::Put(key, value) => {
                    state.insert(key, value);
                }
                Op::Delete(key) => {
                    state.remove(&key);
                }
            }
        }
    }
    state
}
