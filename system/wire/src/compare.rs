//! What members ask each other to find out whether their states are the same.
//!
//! One question and one answer on a connection of its own ([`crate::hello::Purpose::Compare`]). A
//! build that knows of no such questions ends the connection; it says nothing, and is not compared.
//! A fingerprint comes with the version of its definition, and only equal versions are compared.

use crate::binary::{
    Malformed, Read, finish, get_bool, get_bytes, get_count, get_i64, get_u8, get_u64, put_bytes,
    put_i64, put_u64,
};
use bytes::{BufMut, Bytes, BytesMut};

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// The fingerprints that are kept.
    Fingerprints,
    /// A hash of all versions at a revision, and whether the state is what was written to it.
    #[allow(missing_docs)]
    Hash { revision: i64 },
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// To [`Question::Fingerprints`]: the version of their definition, then index and fingerprint.
    #[allow(missing_docs)]
    Fingerprints { version: u64, all: Vec<(u64, u64)> },
    /// To [`Question::Hash`]; see `KvHash` and `View::is_sound` of the store.
    #[allow(missing_docs)]
    Hash { hash: u32, compact_revision: i64, hash_revision: i64, sound: bool },
    /// There is no answer, and why.
    #[allow(missing_docs)]
    Nothing { why: String },
}

/// Writes a question as the body of a frame.
pub fn put_question(out: &mut BytesMut, question: Question) {
    match question {
        Question::Fingerprints => out.put_u8(1),
        Question::Hash { revision } => {
            out.put_u8(2);
            put_i64(out, revision);
        }
    }
}

/// Reads a question.
pub fn get_question(mut input: Bytes) -> Read<Question> {
    let question = match get_u8(&mut input, "question")? {
        1 => Question::Fingerprints,
        2 => Question::Hash { revision: get_i64(&mut input, "asked revision")? },
        _ => return Err(Malformed { what: "question" }),
    };
    finish(&input, "question: bytes after its end")?;
    Ok(question)
}

/// Writes an answer as the body of a frame.
pub fn put_told(out: &mut BytesMut, told: &Told) {
    match told {
        Told::Nothing { why } => {
            out.put_u8(0);
            put_bytes(out, why.as_bytes());
        }
        Told::Fingerprints { version, all } => {
            out.put_u8(1);
            put_u64(out, *version);
            put_u64(out, all.len() as u64);
            for (index, value) in all {
                put_u64(out, *index);
                put_u64(out, *value);
            }
        }
        Told::Hash { hash, compact_revision, hash_revision, sound } => {
            out.put_u8(2);
            put_u64(out, u64::from(*hash));
            put_i64(out, *compact_revision);
            put_i64(out, *hash_revision);
            out.put_u8(u8::from(*sound));
        }
    }
}

/// Reads an answer.
pub fn get_told(mut input: Bytes) -> Read<Told> {
    let input = &mut input;
    let told = match get_u8(input, "told")? {
        0 => {
            let why = get_bytes(input, "reason")?;
            Told::Nothing { why: String::from_utf8_lossy(&why).into_owned() }
        }
        1 => {
            let version = get_u64(input, "fingerprint version")?;
            let count = get_count(input, "fingerprint count")?;
            let one = |_| Ok((get_u64(input, "index")?, get_u64(input, "fingerprint")?));
            Told::Fingerprints { version, all: (0..count).map(one).collect::<Read<_>>()? }
        }
        2 => Told::Hash {
            hash: u32::try_from(get_u64(input, "hash")?).map_err(|_| Malformed { what: "hash" })?,
            compact_revision: get_i64(input, "compact revision")?,
            hash_revision: get_i64(input, "hash revision")?,
            sound: get_bool(input, "sound")?,
        },
        _ => return Err(Malformed { what: "told" }),
    };
    finish(input, "told: bytes after its end")?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_come_back_and_cut_ones_are_refused() {
        for question in [Question::Fingerprints, Question::Hash { revision: 7 }] {
            let mut out = BytesMut::new();
            put_question(&mut out, question);
            assert_eq!(get_question(out.freeze()), Ok(question));
        }
        let all = vec![(1, 2), (3, u64::MAX)];
        for told in [
            Told::Nothing { why: "busy".into() },
            Told::Fingerprints { version: 1, all },
            Told::Hash { hash: u32::MAX, compact_revision: -1, hash_revision: 9, sound: false },
        ] {
            let mut out = BytesMut::new();
            put_told(&mut out, &told);
            let bytes = out.freeze();
            for cut in 0..bytes.len() {
                assert!(get_told(bytes.slice(..cut)).is_err(), "{told:?} cut at {cut}");
            }
            assert_eq!(get_told(bytes), Ok(told));
        }
    }
}
