//! What a pair weighs: the bytes that it adds to an answer.
//!
//! A message says how long it is before its first byte, so whoever answers with a range has to know
//! what its pairs come to. That can be added up in advance, as keys can be counted in advance (see
//! `count.rs`), if every pair has a number of its own: the length of its encoding as an element of a
//! repeated field in `etcdserverpb.RangeResponse`. The encoding itself is not made here; the server's
//! tests hold this length to it. Sums of weights lie in the engine: whoever changes what a pair
//! weighs raises [`WEIGHTS`], and the sums are made anew.

use crate::KeyValue;
use crate::layout::{HEADER, Header, Malformed};
use std::ops::AddAssign;

/// The version of everything described here.
pub(crate) const WEIGHTS: u32 = 1;

/// Some pairs: how many, and what they weigh together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// How many.
    pub keys: u64,
    /// Bytes of them in an answer.
    pub bytes: u64,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, more: Sum) {
        self.keys += more.keys;
        self.bytes += more.bytes;
    }
}

impl std::iter::Sum for Sum {
    fn sum<I: Iterator<Item = Sum>>(parts: I) -> Sum {
        let mut sum = Sum::default();
        parts.for_each(|part| sum += part);
        sum
    }
}

impl KeyValue {
    /// The bytes that it adds to the answer of a range.
    pub fn weight(&self) -> u64 {
        let numbers = [self.create_revision, self.mod_revision, self.version, self.lease];
        weight(self.key.len(), self.value.len(), numbers)
    }
}

/// The weight of a key with this record.
pub(crate) fn of_record(key: &[u8], record: &[u8]) -> Result<u64, Malformed> {
    let Header { begun, create, version, lease } = Header::read(record)?;
    let numbers = [create, begun.revision, version, lease];
    Ok(weight(key.len(), record.len() - HEADER, numbers))
}

fn weight(key: usize, value: usize, numbers: [i64; 4]) -> u64 {
    // Every field has a number below 16, whose tag takes a byte; what is empty or zero is left out.
    let bytes = |length: u64| if length == 0 { 0 } else { 1 + varint(length) + length };
    let number = |number: i64| if number == 0 { 0 } else { 1 + varint(number as u64) };
    let fields = bytes(key as u64) + bytes(value as u64);
    let length = numbers.into_iter().map(number).sum::<u64>() + fields;
    1 + varint(length) + length
}

/// Bytes of a number, seven bits in each.
fn varint(number: u64) -> u64 {
    u64::from((70 - (number | 1).leading_zeros()) / 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_a_byte_for_seven_bits() {
        for (number, bytes) in
            [(0, 1), (1, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (1 << 62, 9)]
        {
            assert_eq!(varint(number), bytes, "{number}");
        }
        assert_eq!(varint(u64::MAX), 10);
    }

    #[test]
    fn a_pair_is_its_fields_their_tags_and_its_own_length() {
        assert_eq!(KeyValue::default().weight(), 2);
        let pair = KeyValue {
            key: "key".into(),
            value: vec![0; 200].into(),
            create_revision: 2,
            mod_revision: 300,
            version: 1,
            lease: -1,
        };
        let fields = (1 + 1 + 3) + (1 + 2 + 200) + (1 + 1) + (1 + 2) + (1 + 1) + (1 + 10);
        assert_eq!(pair.weight(), 1 + 2 + fields);
    }
}
