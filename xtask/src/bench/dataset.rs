//! Keys and values: generated before the load starts, shared without copying.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// What all keys of the bench begin with.
pub const PREFIX: &str = "bench/";

/// End of the interval of all keys of the bench: the prefix plus one.
pub const PREFIX_END: &str = "bench0";

/// Length of a serial at the start of a value.
pub const SERIAL_BYTES: usize = 8;

/// Keys of one width with values of one size, loaded into a cluster before a line is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many keys.
    pub keys: usize,
    /// Bytes per key.
    pub key_bytes: usize,
    /// Bytes per value.
    pub value_bytes: usize,
}

/// Keys in ascending order in one buffer; taking one is a reference, not an allocation.
#[derive(Clone)]
pub struct Keys {
    buffer: Bytes,
    width: usize,
}

impl Keys {
    /// Generates the keys of a shape: the prefix, then the number, padded with zeroes on the left.
    pub fn new(shape: Shape) -> Self {
        let digits = shape.key_bytes - PREFIX.len();
        let mut buffer = String::with_capacity(shape.keys * shape.key_bytes);
        for number in 0..shape.keys {
            use std::fmt::Write;
            // Writing into a String cannot fail.
            let _ = write!(buffer, "{PREFIX}{number:0digits$}");
        }
        assert_eq!(buffer.len(), shape.keys * shape.key_bytes, "{} digits are too few", digits);
        Self { buffer: buffer.into(), width: shape.key_bytes }
    }

    /// The key with this number.
    pub fn get(&self, number: usize) -> Bytes {
        self.buffer.slice(number * self.width..(number + 1) * self.width)
    }

    /// The number of a key, or `None` if it is no key of the bench.
    pub fn number_of(key: &[u8]) -> Option<usize> {
        let digits = key.strip_prefix(PREFIX.as_bytes())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// Makes values that no two writes share: a serial, then filler that does not compress.
pub struct Values {
    serial: AtomicU64,
    filler: Vec<u8>,
}

impl Values {
    /// Values of `bytes` bytes.
    pub fn new(bytes: usize) -> Self {
        assert!(bytes >= 2 * SERIAL_BYTES, "values of {bytes} bytes hold no serial and stamp");
        let mut dice = Dice::new(0x5eed);
        let filler = (0..bytes).map(|_| dice.next().to_le_bytes()[3]).collect();
        Self { serial: AtomicU64::new(1), filler }
    }

    /// A fresh value and its serial.
    pub fn next(&self) -> (Bytes, u64) {
        self.next_stamped(0)
    }

    /// A fresh value that also carries a number of the caller's.
    pub fn next_stamped(&self, stamp: u64) -> (Bytes, u64) {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let mut value = self.filler.clone();
        value[..SERIAL_BYTES].copy_from_slice(&serial.to_le_bytes());
        value[SERIAL_BYTES..2 * SERIAL_BYTES].copy_from_slice(&stamp.to_le_bytes());
        (value.into(), serial)
    }
}

/// The serial in a value, or `None` if it is too short to have one.
pub fn serial_of(value: &[u8]) -> Option<u64> {
    value.get(..SERIAL_BYTES)?.try_into().ok().map(u64::from_le_bytes)
}

/// The caller's number in a value, or `None` if it is too short to have one.
pub fn stamp_of(value: &[u8]) -> Option<u64> {
    value.get(SERIAL_BYTES..2 * SERIAL_BYTES)?.try_into().ok().map(u64::from_le_bytes)
}

/// A small generator of numbers (Marsaglia's xorshift64*): load needs an even spread, not secrecy.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        // Seeds of neighbouring clients are neighbours; one multiplication sets them apart. The state must not be zero.
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_width_and_order_and_number() {
        let keys = Keys::new(Shape { keys: 1000, key_bytes: 64, value_bytes: 16 });
        assert_eq!(keys.get(7).len(), 64);
        assert!(keys.get(9) < keys.get(10));
        assert_eq!(Keys::number_of(&keys.get(999)), Some(999));
        assert_eq!(Keys::number_of(b"other/1"), None);
        assert!(keys.get(999).as_ref() < PREFIX_END.as_bytes());
    }

    #[test]
    fn values_differ_and_carry_their_numbers() {
        let values = Values::new(128);
        let (first, serial) = values.next();
        let (second, _) = values.next_stamped(77);
        assert_ne!(first, second);
        assert_eq!(first.len(), 128);
        assert_eq!(serial_of(&first), Some(serial));
        assert_eq!(stamp_of(&second), Some(77));
        assert_eq!(stamp_of(b"short"), None);
    }

    #[test]
    fn dice_reach_every_side_about_equally() {
        let mut dice = Dice::new(3);
        let mut sides = [0u32; 10];
        for _ in 0..100_000 {
            sides[dice.below(10)] += 1;
        }
        assert!(sides.iter().all(|&count| (9_000..11_000).contains(&count)), "{sides:?}");
    }
}
