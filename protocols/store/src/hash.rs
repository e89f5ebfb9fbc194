//! A fast 64-bit checksum of our own, for telling states and chunks apart.
//!
//! It is no secret and resists no attacker: it notices accidents. Input is taken eight bytes at a
//! time; each step (xor, multiply by an odd constant, fold the high half down) can be undone, so
//! two inputs of one length that differ in a single word always differ in the sum. The length is
//! part of it. The algorithm is part of the chunk format and of what members compare: changing it
//! needs a new layout version.

const MULTIPLIER: u64 = 0x9fb2_1c65_1e98_df25;

/// Checksum in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checksum(u64);

impl Checksum {
    /// A checksum of nothing yet; different seeds give unrelated sums.
    pub fn new(seed: u64) -> Checksum {
        Checksum(seed ^ 0x517c_c1b7_2722_0a95)
    }

    /// Takes in one number.
    #[inline]
    pub fn number(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(MULTIPLIER);
        self.0 = mixed ^ (mixed >> 32);
    }

    /// Takes in bytes and their length, so that `ab` + `c` and `a` + `bc` differ.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.number(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.number(u64::from_le_bytes(last));
        }
        self.number(bytes.len() as u64);
    }

    /// The sum.
    pub fn finish(self) -> u64 {
        let mut sum = self.0;
        sum = (sum ^ (sum >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        sum ^ (sum >> 32)
    }
}

/// The checksum of one piece of bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = Checksum::new(0);
    sum.bytes(bytes);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_counts_and_so_does_the_length() {
        let plain: Vec<u8> = (0..61).collect();
        let sum = checksum(&plain);
        for bit in 0..plain.len() * 8 {
            let mut flipped = plain.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(&flipped), sum, "bit {bit}");
        }
        assert_ne!(checksum(b"a"), checksum(b"a\0"));
        assert_ne!(checksum(b""), checksum(b"\0"));
    }

    #[test]
    fn the_algorithm_is_pinned_since_members_of_two_releases_compare_it() {
        let mut sum = Checksum::new(1);
        sum.number(2);
        sum.bytes(b"quorate, pinned");
        assert_eq!(sum.finish(), 3_548_281_235_606_603_043);
    }
}
