//! The few primitives of our own formats: variable-length integers and counted bytes.
//!
//! Reading never trusts a length: it is checked against what is there before anything is
//! allocated, and byte strings are slices of the input, not copies.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Bytes that are not what their format says.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("malformed {what}")]
pub struct Malformed {
    /// Which part could not be read.
    pub what: &'static str,
}

/// Shorthand for a reading that may fail.
pub type Read<T> = Result<T, Malformed>;

/// Appends an unsigned integer, seven bits a byte, least first (at most 10 bytes).
pub fn put_u64(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends a signed integer so that small magnitudes stay short (zigzag).
pub fn put_i64(out: &mut BytesMut, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends counted bytes.
pub fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Takes an unsigned integer off the front.
pub fn get_u64(input: &mut Bytes, what: &'static str) -> Read<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        if !input.has_remaining() {
            return Err(Malformed { what });
        }
        let byte = input.get_u8();
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(Malformed { what });
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed { what })
}

/// Takes a signed integer off the front.
pub fn get_i64(input: &mut Bytes, what: &'static str) -> Read<i64> {
    let raw = get_u64(input, what)?;
    Ok(((raw >> 1) as i64) ^ -((raw & 1) as i64))
}

/// Takes one byte off the front.
pub fn get_u8(input: &mut Bytes, what: &'static str) -> Read<u8> {
    if !input.has_remaining() {
        return Err(Malformed { what });
    }
    Ok(input.get_u8())
}

/// Takes a boolean off the front; anything but 0 and 1 is malformed.
pub fn get_bool(input: &mut Bytes, what: &'static str) -> Read<bool> {
    match get_u8(input, what)? {
        0 => Ok(false),
        1 => Ok(true),
        2.. => Err(Malformed { what }),
    }
}

/// Takes counted bytes off the front, as a slice that shares the input's memory.
pub fn get_bytes(input: &mut Bytes, what: &'static str) -> Read<Bytes> {
    let len = get_u64(input, what)?;
    if len > input.remaining() as u64 {
        return Err(Malformed { what });
    }
    Ok(input.split_to(len as usize))
}

/// Takes counted UTF-8 text off the front.
pub fn get_text(input: &mut Bytes, what: &'static str) -> Read<String> {
    String::from_utf8(get_bytes(input, what)?.to_vec()).map_err(|_| Malformed { what })
}

/// Takes a count of items, each of which takes at least one byte, so that a lie about the count
/// cannot make the reader allocate more than the input itself.
pub fn get_count(input: &mut Bytes, what: &'static str) -> Read<usize> {
    let count = get_u64(input, what)?;
    if count > input.remaining() as u64 {
        return Err(Malformed { what });
    }
    Ok(count as usize)
}

/// Fails when anything is left over.
pub fn finish(input: &Bytes, what: &'static str) -> Read<()> {
    if input.has_remaining() { Err(Malformed { what }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_trip_at_their_edges() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = BytesMut::new();
            put_u64(&mut out, value);
            put_i64(&mut out, value as i64);
            let mut input = out.freeze();
            assert_eq!(get_u64(&mut input, "u").unwrap(), value);
            assert_eq!(get_i64(&mut input, "i").unwrap(), value as i64);
            assert!(finish(&input, "rest").is_ok());
        }
    }

    #[test]
    fn lengths_beyond_the_input_are_refused_before_anything_is_allocated() {
        let mut input = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2]);
        assert_eq!(get_bytes(&mut input, "value"), Err(Malformed { what: "value" }));
        let mut input = Bytes::from_static(&[0xff; 10]);
        assert_eq!(get_u64(&mut input, "number"), Err(Malformed { what: "number" }));
    }
}
