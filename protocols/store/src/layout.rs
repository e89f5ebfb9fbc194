//! How the state lies in the engine: the one encoding that this room owns.
//!
//! The first byte of a key is its space. Numbers are big endian, so that bytes sort as they do.
//!
//! | space | key | value |
//! |---|---|---|
//! | `META` | nothing | [`Meta`]: layout version, revisions, applied index, sizes |
//! | `META` | 1 | the total of the state, see `fingerprint.rs`; no part of snapshots |
//! | `META` | 2, first user key of a bucket | what its keys weigh, see `counter.rs`; no part of snapshots |
//! | `CURRENT` | user key | record of the newest version of a key that exists |
//! | `HISTORY` | escaped user key, end revision, end sub-revision | record of an older version |
//! | `LOG` | revision, sub-revision | kind of change, user key |
//! | `LEASE` | lease id | granted and remaining seconds |
//! | `ATTACHED` | lease id, user key | nothing |
//! | `SESSION` | origin | see `session.rs` |
//! | `ALARM` | member, kind | nothing |
//! | `AUTH` | kind, name | users and roles, see `auth/record.rs` |
//! | `MEMBER` | member id | see `member.rs` |
//! | `CONFIG` | nothing | the configuration of consensus, as it wrote it |
//! | `BUCKET` | first user key of a bucket | number of keys in it, see `counter.rs` |
//! | `GUARD` | guarded prefix | name of its lock |
//! | `DOWNGRADE` | nothing | level and name of the build that the cluster goes back to |
//!
//! A record is mod revision, sub-revision, create revision, version, lease, value.
//!
//! # Why history is sorted by the revision that *ended* a version
//!
//! A version is what a reader sees at every revision from its own up to, not including, the one
//! that replaced or deleted it. With the end in the key, all three questions are one step:
//! - *What was `k` at revision `r`?* The first entry of `k` that ended after `r`, if it began by
//!   then. No tombstone is stored: a gap between an end and the next begin is a deletion.
//! - *What was `k` just before the change (r, s)?* Exactly the entry that ended at (r, s): a get.
//! - *What may a compaction at `c` forget?* Exactly the entries with an end of at most `c`, and the
//!   log names them (revision, sub-revision and key), so compaction reads nothing but the log.
//!
//! The value moves to history as the very bytes that were read, without being taken apart.

use bytes::{BufMut, Bytes};

/// The version of everything described here; other versions are refused.
pub(crate) const VERSION: u16 = 1;

pub(crate) const META: u8 = 0x01;
pub(crate) const CURRENT: u8 = 0x10;
pub(crate) const HISTORY: u8 = 0x11;
pub(crate) const LOG: u8 = 0x12;
pub(crate) const LEASE: u8 = 0x20;
pub(crate) const ATTACHED: u8 = 0x21;
pub(crate) const SESSION: u8 = 0x30;
pub(crate) const ALARM: u8 = 0x40;
pub(crate) const BUCKET: u8 = 0x50;
pub(crate) const AUTH: u8 = 0x60;
pub(crate) const MEMBER: u8 = 0x70;
pub(crate) const CONFIG: u8 = 0x71;
pub(crate) const GUARD: u8 = 0x80;
pub(crate) const DOWNGRADE: u8 = 0x90;

/// All spaces, ascending.
pub(crate) const SPACES: [u8; 14] = [
    META, CURRENT, HISTORY, LOG, LEASE, ATTACHED, SESSION, ALARM, BUCKET, AUTH, MEMBER, CONFIG,
    GUARD, DOWNGRADE,
];

/// Bytes in front of a record's value.
pub(crate) const HEADER: usize = 36;

/// Something in the engine that this layout cannot have written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Malformed(pub &'static str);

/// One change of one key: main revision, then place in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Stamp {
    pub revision: i64,
    pub sub: u32,
}

impl Stamp {
    pub fn write(self, out: &mut Vec<u8>) {
        out.put_i64(self.revision);
        out.put_u32(self.sub);
    }

    pub fn read(bytes: &[u8]) -> Result<Stamp, Malformed> {
        if bytes.len() != 12 {
            return Err(Malformed("a stamp has 12 bytes"));
        }
        Ok(Stamp { revision: read_i64(bytes, 0), sub: read_u32(bytes, 8) })
    }
}

/// Everything about a version but its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub begun: Stamp,
    pub create: i64,
    pub version: i64,
    pub lease: i64,
}

impl Header {
    pub fn write(&self, out: &mut Vec<u8>) {
        self.begun.write(out);
        out.put_i64(self.create);
        out.put_i64(self.version);
        out.put_i64(self.lease);
    }

    pub fn read(record: &[u8]) -> Result<Header, Malformed> {
        if record.len() < HEADER {
            return Err(Malformed("a record is shorter than its header"));
        }
        Ok(Header {
            begun: Stamp::read(&record[..12])?,
            create: read_i64(record, 12),
            version: read_i64(record, 20),
            lease: read_i64(record, 28),
        })
    }
}

/// What happened to a key at a stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A put of a key that was not there: one key more.
    Birth,
    /// A put of a key that was there.
    Update,
    /// A delete: one key fewer.
    Death,
}

/// One entry of the log space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub at: Stamp,
    pub kind: Kind,
    /// True when compaction already removed the version that this change ended.
    pub swept: bool,
    /// Length of the record that this change ended, 0 for a birth.
    pub ended: u32,
    pub key: Bytes,
}

const SWEPT: u8 = 0x80;

impl Change {
    pub fn write_value(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            Kind::Birth => 0,
            Kind::Update => 1,
            Kind::Death => 2,
        };
        out.put_u8(kind | if self.swept { SWEPT } else { 0 });
        out.put_u32(self.ended);
        out.extend_from_slice(&self.key);
    }

    pub fn read(key: &Bytes, value: &Bytes) -> Result<Change, Malformed> {
        if value.len() < 5 {
            return Err(Malformed("a log entry is shorter than its header"));
        }
        let kind = match value[0] & !SWEPT {
            0 => Kind::Birth,
            1 => Kind::Update,
            2 => Kind::Death,
            _other => return Err(Malformed("a log entry has an unknown kind")),
        };
        Ok(Change {
            at: Stamp::read(&key[1..])?,
            kind,
            swept: value[0] & SWEPT != 0,
            ended: read_u32(value, 1),
            key: value.slice(5..),
        })
    }
}

/// The one record that says where the state stands; written with every published batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Meta {
    pub revision: i64,
    pub compacted: i64,
    pub applied_index: u64,
    pub applied_term: u64,
    /// Where the sweep behind the compaction goes on.
    pub sweep: Stamp,
    /// The compaction whose sweep was complete before the one under way; -1 when there was none.
    pub swept_before: i64,
    /// Bytes of all newest versions, keys and headers included.
    pub live_bytes: u64,
    /// Bytes of history and log.
    pub past_bytes: u64,
    /// The total of everything that counts, see `fingerprint.rs`, which keeps it in a record of its
    /// own; its place in this one stays 0.
    pub rolling: u64,
}

impl Meta {
    /// A store that nobody wrote to: its revision is 1 (contract item 13).
    pub fn new() -> Meta {
        Meta {
            revision: 1,
            compacted: -1,
            applied_index: 0,
            applied_term: 0,
            sweep: Stamp::default(),
            swept_before: -1,
            live_bytes: 0,
            past_bytes: 0,
            rolling: 0,
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(VERSION);
        out.put_i64(self.revision);
        out.put_i64(self.compacted);
        out.put_u64(self.applied_index);
        out.put_u64(self.applied_term);
        self.sweep.write(out);
        out.put_i64(self.swept_before);
        out.put_u64(self.live_bytes);
        out.put_u64(self.past_bytes);
        out.put_u64(0);
    }

    pub fn read(bytes: &[u8]) -> Result<Meta, Malformed> {
        if bytes.len() < 2 || bytes[..2] != VERSION.to_be_bytes() {
            return Err(Malformed("the layout is of a version that this build does not read"));
        }
        if bytes.len() != 78 {
            return Err(Malformed("the meta record has the wrong length"));
        }
        let number = |at: usize| read_i64(bytes, at) as u64;
        Ok(Meta {
            revision: read_i64(bytes, 2),
            compacted: read_i64(bytes, 10),
            applied_index: number(18),
            applied_term: number(26),
            sweep: Stamp::read(&bytes[34..46])?,
            swept_before: read_i64(bytes, 46),
            live_bytes: number(54),
            past_bytes: number(62),
            rolling: 0,
        })
    }
}

/// Starts a key of `space` in a buffer that is used again and again.
pub(crate) fn begin(buffer: &mut Vec<u8>, space: u8) {
    buffer.clear();
    buffer.push(space);
}

/// `space` followed by `rest`.
pub(crate) fn plain(space: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.len());
    key.push(space);
    key.extend_from_slice(rest);
    key
}

/// Appends `key` so that what follows cannot disturb the order: a zero byte becomes `00 ff`, the
/// end is `00 01`. No escaped key is a prefix of another, and they sort as the keys do.
pub(crate) fn escape(key: &[u8], out: &mut Vec<u8>) {
    let mut rest = key;
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(0xff);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 1]);
}

/// The user key of a history key, and the stamp that ended the version.
pub(crate) fn read_history_key(key: &Bytes) -> Result<(Bytes, Stamp), Malformed> {
    if key.len() < 15 {
        return Err(Malformed("a history key is too short"));
    }
    let (escaped, stamp) = (key.slice(1..key.len() - 12), Stamp::read(&key[key.len() - 12..])?);
    let Some(body) = escaped.strip_suffix(&[0, 1]) else {
        return Err(Malformed("a history key has no terminator"));
    };
    if !body.contains(&0) {
        return Ok((escaped.slice(..body.len()), stamp));
    }
    let mut plain = Vec::with_capacity(body.len());
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        plain.push(*byte);
        if *byte == 0 && bytes.next() != Some(&0xff) {
            return Err(Malformed("a history key has a bad escape"));
        }
    }
    Ok((plain.into(), stamp))
}

pub(crate) fn read_i64(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

pub(crate) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::Dice;

    fn random_key(dice: &mut Dice) -> Vec<u8> {
        let alphabet = [0, 1, 2, b'a', 0xfe, 0xff];
        (0..dice.below(5)).map(|_| alphabet[dice.below(6) as usize]).collect()
    }

    #[test]
    fn escaped_keys_sort_as_the_keys_do_and_come_back() {
        let mut dice = Dice::new(3);
        for _ in 0..20_000 {
            let (a, b) = (random_key(&mut dice), random_key(&mut dice));
            let (mut ea, mut eb) = (vec![HISTORY], vec![HISTORY]);
            escape(&a, &mut ea);
            escape(&b, &mut eb);
            assert_eq!(ea.cmp(&eb), a.cmp(&b), "{a:?} {b:?}");
            assert!(a == b || !ea.starts_with(&eb), "{a:?} {b:?}");
            let stamp = Stamp { revision: dice.next_u64() as i64 >> 1, sub: 7 };
            stamp.write(&mut ea);
            assert_eq!(read_history_key(&ea.into()), Ok((a.into(), stamp)));
        }
    }

    #[test]
    fn meta_comes_back_and_other_versions_are_refused() {
        let meta = Meta {
            revision: 5,
            compacted: 3,
            applied_index: 9,
            applied_term: 2,
            sweep: Stamp { revision: 3, sub: 1 },
            swept_before: 2,
            live_bytes: 10,
            past_bytes: 11,
            rolling: 0,
        };
        let mut bytes = Vec::new();
        meta.write(&mut bytes);
        assert_eq!(Meta::read(&bytes), Ok(meta));
        bytes[1] += 1;
        assert!(Meta::read(&bytes).is_err());
        assert!(Meta::read(&[]).is_err());
    }
}
