//! Pairs as bytes of an answer, a piece at a time.

use crate::convert;
use bytes::{Bytes, BytesMut};
use quorate_store::KeyValue;
use quorate_wire::raw::{append_range_kv, append_range_kv_part, range_kv_len};
use std::collections::VecDeque;

/// Bytes of a piece. HTTP/2 takes what it is given and queues it if the client has no room, so this
/// is what an answer that nobody reads costs there.
pub const PIECE: usize = 64 << 10;

/// Bytes that the pairs have in an answer.
pub fn encoded_len(pairs: &[KeyValue]) -> u64 {
    pairs.iter().map(|pair| range_kv_len(convert::key_value_ref(pair)) as u64).sum()
}

/// Pairs that wait to be put into pieces, in order. One that was given out is let go.
#[derive(Debug, Default)]
pub struct Pieces {
    pairs: VecDeque<KeyValue>,
    /// How many bytes of the first one have been given out.
    taken: usize,
}

impl Pieces {
    /// All of these pairs.
    pub fn new(pairs: Vec<KeyValue>) -> Pieces {
        Pieces::after(pairs, 0)
    }

    /// These pairs, of the first of which `taken` bytes were given out before.
    pub fn after(pairs: Vec<KeyValue>, taken: usize) -> Pieces {
        Pieces { pairs: pairs.into(), taken }
    }

    /// The key of the first pair that was not given out as a whole, and how many bytes of it were.
    pub fn place(&self) -> Option<(&Bytes, usize)> {
        self.pairs.front().map(|pair| (&pair.key, self.taken))
    }

    /// How many pairs were not given out as a whole.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// The next piece: [`PIECE`] bytes, or as many as are left, or `None`. Pieces are copies: they
    /// keep none of the pairs in memory.
    pub fn next_piece(&mut self) -> Option<Bytes> {
        let mut piece = BytesMut::new();
        while let Some(pair) = self.pairs.front() {
            let pair = convert::key_value_ref(pair);
            let (length, room) = (range_kv_len(pair), PIECE - piece.len());
            if piece.is_empty() {
                piece.reserve(if self.pairs.len() == 1 { length.min(PIECE) } else { PIECE });
            }
            if self.taken == 0 && length <= room {
                append_range_kv(pair, &mut piece);
            } else {
                self.taken += append_range_kv_part(pair, self.taken, room, &mut piece);
                if self.taken < length {
                    break;
                }
            }
            self.taken = 0;
            self.pairs.pop_front();
        }
        (!piece.is_empty()).then(|| piece.freeze())
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.next_piece()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_weighs_what_it_adds_to_an_answer() {
        let numbers = [0, 1, 127, 128, 16_383, 16_384, 1 << 35, i64::MAX, -1];
        let sizes = [0, 1, 100, 127, 128, 16_300, 16_384, 3 << 20];
        for (number, other) in numbers.iter().flat_map(|a| numbers.iter().map(move |b| (*a, *b))) {
            for size in sizes {
                let pair = KeyValue {
                    key: vec![1; size.min(200)].into(),
                    value: vec![2; size].into(),
                    create_revision: number,
                    mod_revision: other,
                    version: number / 2,
                    lease: other / 3,
                };
                let encoded = range_kv_len(convert::key_value_ref(&pair)) as u64;
                assert_eq!(pair.weight(), encoded, "{number} {other} {size}");
            }
        }
    }

    fn pair(number: usize, value: usize) -> KeyValue {
        KeyValue {
            key: format!("key-{number}").into(),
            value: vec![number as u8; value].into(),
            create_revision: 1,
            mod_revision: 1 << 40,
            version: 3,
            lease: 7 * (number as i64 % 2),
        }
    }

    #[test]
    fn pieces_are_the_encoded_pairs_wherever_they_are_cut() {
        let sizes = [0, 10, PIECE - 60, PIECE, 3 * PIECE + 1, 5, 0, 2 * PIECE, 70_000, 1];
        let pairs: Vec<KeyValue> = sizes.into_iter().enumerate().map(|(n, v)| pair(n, v)).collect();
        let mut whole = BytesMut::new();
        pairs.iter().for_each(|pair| append_range_kv(convert::key_value_ref(pair), &mut whole));
        assert_eq!(encoded_len(&pairs), whole.len() as u64);
        // What the state adds up while pairs are written is what they come to here.
        assert_eq!(pairs.iter().map(KeyValue::weight).sum::<u64>(), whole.len() as u64);

        let pieces: Vec<Bytes> = Pieces::new(pairs.clone()).collect();
        assert_eq!(pieces.concat(), whole);
        let full = pieces.iter().filter(|piece| piece.len() == PIECE).count();
        assert_eq!(full, whole.len() / PIECE, "all but the last one are full");

        // Abandoned after any number of pieces and begun again at the same place.
        for count in 0..=pieces.len() {
            let mut first = Pieces::new(pairs.clone());
            let mut bytes = first.by_ref().take(count).collect::<Vec<_>>().concat();
            let rest = first.place().map_or_else(Pieces::default, |(key, taken)| {
                let rest = pairs.iter().skip_while(|pair| pair.key != key);
                Pieces::after(rest.cloned().collect(), taken)
            });
            bytes.extend(rest.flatten());
            assert_eq!(bytes, whole, "after {count} pieces");
        }
    }
}
