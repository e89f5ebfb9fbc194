//! The fencing token of a lock, as it travels in the metadata of a request: `quorate-fence: NAME:TOKEN`.
//!
//! Several locks take several entries, or one with commas. Metadata is ASCII, names of locks need not be: what is not a
//! letter, a digit or one of `/ _ . ~ -` may be written as in a URL (`%2C`), and must be where it would be read as
//! something else (`%`, `,`, white space, control characters, bytes above 126). A colon in a name may stay: the token
//! follows the last one.

use bytes::Bytes;

/// The metadata key.
pub const METADATA: &str = "quorate-fence";

/// The metadata value for a lock and its token.
pub fn write(lock: &[u8], token: i64) -> String {
    format!("{}:{token}", escape(lock))
}

/// A name in ASCII.
pub fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_alphanumeric() || b"/_.~-".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The locks and tokens of a metadata value.
///
/// # Errors
/// What is wrong with it, for the caller.
pub fn read(value: &str) -> Result<Vec<(Bytes, i64)>, String> {
    value.split(',').map(|word| one(word.trim())).collect()
}

fn one(word: &str) -> Result<(Bytes, i64), String> {
    let bad = |why: &str| format!("{word:?} is no fencing token: {why}; write LOCK:TOKEN");
    let (name, token) = word.rsplit_once(':').ok_or_else(|| bad("there is no colon"))?;
    let token = token.parse().map_err(|_| bad("what follows the colon is no number"))?;
    let name = unescape(name).ok_or_else(|| bad("the name has a broken %"))?;
    if name.is_empty() {
        return Err(bad("the name is empty"));
    }
    Ok((name.into(), token))
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            name.push(*first);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        name.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_comes_back() {
        let names: [&[u8]; 5] =
            [b"orders-lock", b"a/b.c~d_e", b"a,b:c d%", b"\0\xff", "löck".as_bytes()];
        for name in names {
            let value = write(name, 42);
            assert!(value.is_ascii() && !value.contains([',', ' ']), "{value}");
            assert_eq!(read(&value), Ok(vec![(Bytes::copy_from_slice(name), 42)]), "{value}");
        }
        assert_eq!(write(b"orders-lock", 15), "orders-lock:15");
    }

    #[test]
    fn several_may_share_a_value_and_a_name_may_hold_a_colon() {
        let both = read("a:1, b:c:2").expect("fine");
        assert_eq!(both, [("a".into(), 1), ("b:c".into(), 2)]);
    }

    #[test]
    fn what_is_no_token_is_said() {
        for bad in ["", "a", "a:", ":5", "a:x", "a%:5", "a%zz:5", "a:1,"] {
            let error = read(bad).expect_err(bad);
            assert!(error.contains("write LOCK:TOKEN"), "{bad}: {error}");
        }
    }
}
