//! The little of PEM and DER that keys of tokens need: finding the bytes inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A PEM block: its label and what is in it.
pub struct Pem {
    pub label: String,
    pub der: Vec<u8>,
}

/// The first block of a PEM file whose label says that it is a key.
pub fn key_of(text: &str) -> Option<Pem> {
    let mut rest = text;
    loop {
        let begin = rest.find("-----BEGIN ")?;
        let after = &rest[begin + 11..];
        let label = after[..after.find("-----")?].to_owned();
        let body = &after[label.len() + 5..];
        let end = body.find(&format!("-----END {label}-----"))?;
        if label.ends_with("KEY") {
            let compact: String = body[..end].split_whitespace().collect();
            return Some(Pem { label, der: STANDARD.decode(compact).ok()? });
        }
        rest = &body[end..];
    }
}

/// One element: its tag and its content, and what follows it.
pub fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;

/// The key inside of a SubjectPublicKeyInfo, RFC 5280: the algorithm is left to whoever asks.
pub fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    let (SEQUENCE, content, _) = element(der)? else { return None };
    let (SEQUENCE, _, rest) = element(content)? else { return None };
    let (BIT_STRING, bits, _) = element(rest)? else { return None };
    Some(bits.split_first()?.1.to_vec())
}

/// The private and the public half of an ECPrivateKey, RFC 5915.
pub fn ec_private_key(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (SEQUENCE, content, _) = element(der)? else { return None };
    let (_, _, rest) = element(content)?;
    let (OCTET_STRING, secret, mut rest) = element(rest)? else { return None };
    while !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        if tag == 0xa1 {
            let (BIT_STRING, bits, _) = element(content)? else { return None };
            return Some((secret.to_vec(), bits.split_first()?.1.to_vec()));
        }
        rest = after;
    }
    None
}
