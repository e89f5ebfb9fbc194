//! What members say to each other, as bytes.
//!
//! A connection carries messages one way: from the member that opened it. It opens with a
//! [`Hello`] and its answer, then come frames: length (4 bytes, little-endian), CRC32C of the body
//! (4 bytes), body. TCP's own checksum misses about one error in 65,536, and a flipped bit in an
//! entry would be replicated faithfully; a frame that fails its check ends the connection.
//!
//! Formats carry a version ([`PROTOCOL`]); members of different versions refuse each other by name.

use crate::binary::{
    Malformed, Read, finish, get_bool, get_bytes, get_count, get_i64, get_u8, get_u64, put_bytes,
    put_i64, put_u64,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use quorate_base::NodeId;
use quorate_node::{Ask, GroupId, Message, Tagged};
use quorate_raft::{self as raft, Entry, LogId, Membership, SnapshotMeta};

/// The version of everything in this file.
pub const PROTOCOL: u32 = 1;

/// No frame is longer: an append of the greatest size, a snapshot chunk, with room to spare.
pub const MAX_FRAME: usize = 64 << 20;

/// Bytes before each frame's body.
pub const FRAME_HEADER: usize = 8;

/// Appends a whole frame that carries this message.
pub fn put_frame(out: &mut BytesMut, message: &Tagged<Message>) {
    put_framed(out, |out| {
        put_u64(out, message.group.0);
        put_message(out, &message.body);
    });
}

/// Appends a frame whose body is written by `body`.
pub fn put_framed(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(0, FRAME_HEADER);
    body(out);
    let from = start + FRAME_HEADER;
    let len = out.len() - from;
    assert!(len <= MAX_FRAME, "a frame of {len} bytes exceeds {MAX_FRAME}");
    let crc = crc32c::crc32c(&out[from..]);
    out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
    out[start + 4..from].copy_from_slice(&crc.to_le_bytes());
}

/// Takes one whole frame's body off the front, or `None` when it has not all arrived yet.
pub fn get_frame(input: &mut BytesMut) -> Read<Option<Bytes>> {
    if input.len() < FRAME_HEADER {
        return Ok(None);
    }
    let word = |at: usize| u32::from_le_bytes(input[at..at + 4].try_into().expect("four bytes"));
    let (len, crc) = (word(0) as usize, word(4));
    if len > MAX_FRAME {
        return Err(Malformed { what: "frame: longer than any message" });
    }
    if input.len() < FRAME_HEADER + len {
        return Ok(None);
    }
    input.advance(FRAME_HEADER);
    let body = input.split_to(len).freeze();
    if crc32c::crc32c(&body) != crc {
        return Err(Malformed { what: "frame: its checksum does not match" });
    }
    Ok(Some(body))
}

/// Decodes the body of a message frame.
pub fn get_tagged(mut body: Bytes) -> Read<Tagged<Message>> {
    let group = GroupId(get_u64(&mut body, "group")?);
    let message = get_message(&mut body)?;
    finish(&body, "message: bytes after its end")?;
    Ok(Tagged { group, body: message })
}

fn put_message(out: &mut BytesMut, message: &Message) {
    match message {
        Message::Raft(message) => {
            out.put_u8(1);
            put_raft(out, message);
        }
        Message::Forward(payloads) => {
            out.put_u8(2);
            put_u64(out, payloads.len() as u64);
            payloads.iter().for_each(|payload| put_bytes(out, payload));
        }
        Message::Ask { applied, asks } => {
            out.put_u8(3);
            put_u64(out, *applied);
            put_u64(out, asks.len() as u64);
            for (token, ask) in asks {
                put_u64(out, *token);
                let (kind, id) = match ask {
                    Ask::Renew(id) => (1, *id),
                    Ask::Remaining(id) => (2, *id),
                    Ask::CaughtUp(id) => (3, id.cast_signed()),
                };
                out.put_u8(kind);
                put_i64(out, id);
            }
        }
        Message::Told(answers) => {
            out.put_u8(4);
            put_u64(out, answers.len() as u64);
            for (token, seconds) in answers {
                put_u64(out, *token);
                put_i64(out, *seconds);
            }
        }
    }
}

fn get_message(input: &mut Bytes) -> Read<Message> {
    Ok(match get_u8(input, "message")? {
        1 => Message::Raft(get_raft(input)?),
        2 => {
            let count = get_count(input, "forward count")?;
            let payloads = (0..count).map(|_| get_bytes(input, "forwarded payload"));
            Message::Forward(payloads.collect::<Read<_>>()?)
        }
        3 => {
            let applied = get_u64(input, "ask applied")?;
            let count = get_count(input, "ask count")?;
            let asks = (0..count).map(|_| get_ask(input)).collect::<Read<_>>()?;
            Message::Ask { applied, asks }
        }
        4 => {
            let count = get_count(input, "answer count")?;
            let answers = (0..count)
                .map(|_| Ok((get_u64(input, "token")?, get_i64(input, "seconds")?)))
                .collect::<Read<_>>()?;
            Message::Told(answers)
        }
        _ => return Err(Malformed { what: "message" }),
    })
}

fn get_ask(input: &mut Bytes) -> Read<(u64, Ask)> {
    let token = get_u64(input, "ask token")?;
    let kind = get_u8(input, "ask")?;
    let id = get_i64(input, "lease id")?;
    match kind {
        1 => Ok((token, Ask::Renew(id))),
        2 => Ok((token, Ask::Remaining(id))),
        3 => Ok((token, Ask::CaughtUp(id.cast_unsigned()))),
        _ => Err(Malformed { what: "ask" }),
    }
}

fn put_log_id(out: &mut BytesMut, id: LogId) {
    put_u64(out, id.term);
    put_u64(out, id.index);
}

fn get_log_id(input: &mut Bytes) -> Read<LogId> {
    Ok(LogId { term: get_u64(input, "log term")?, index: get_u64(input, "log index")? })
}

fn put_membership(out: &mut BytesMut, membership: &Membership) {
    put_u64(out, membership.voters.len() as u64);
    membership.voters.iter().for_each(|voter| put_u64(out, voter.0));
}

fn get_membership(input: &mut Bytes) -> Read<Membership> {
    let count = get_count(input, "voter count")?;
    let voters = (0..count).map(|_| Ok(NodeId(get_u64(input, "voter")?)));
    Ok(Membership::of(voters.collect::<Read<Vec<_>>>()?))
}

fn put_raft(out: &mut BytesMut, message: &raft::Message) {
    use raft::Message as M;
    match message {
        M::PreVote { term, last } => {
            out.put_u8(1);
            put_u64(out, *term);
            put_log_id(out, *last);
        }
        M::PreVoteReply { term, granted } => {
            out.put_u8(2);
            put_u64(out, *term);
            out.put_u8(u8::from(*granted));
        }
        M::Vote { term, last, transfer } => {
            out.put_u8(3);
            put_u64(out, *term);
            put_log_id(out, *last);
            out.put_u8(u8::from(*transfer));
        }
        M::VoteReply { term, granted } => {
            out.put_u8(4);
            put_u64(out, *term);
            out.put_u8(u8::from(*granted));
        }
        M::Append { term, prev, entries, commit } => {
            out.put_u8(5);
            put_u64(out, *term);
            put_log_id(out, *prev);
            put_u64(out, *commit);
            put_entries(out, *prev, entries);
        }
        M::Appended { term, matched } => put_numbers(out, 6, &[*term, *matched]),
        M::AppendRefused { term, prev_index, hint } => {
            put_numbers(out, 7, &[*term, *prev_index]);
            put_log_id(out, *hint);
        }
        M::Heartbeat { term, round, commit } => put_numbers(out, 8, &[*term, *round, *commit]),
        M::HeartbeatReply { term, round } => put_numbers(out, 9, &[*term, *round]),
        M::ReadIndex { term, token } => put_numbers(out, 10, &[*term, *token]),
        M::ReadIndexReply { term, token, index } => {
            put_numbers(out, 11, &[*term, *token, *index]);
        }
        M::SnapshotChunk { term, meta, after, next, data, done } => {
            // What a release before learners reads, wherever it says all there is to say.
            let plain = !meta.membership.is_joint() && meta.membership.learners.is_empty();
            put_numbers(out, if plain { 12 } else { 15 }, &[*term]);
            put_log_id(out, meta.last);
            if plain {
                put_membership(out, &meta.membership);
            } else {
                put_bytes(out, &meta.membership.encode());
            }
            [after, next, data].into_iter().for_each(|bytes| put_bytes(out, bytes));
            out.put_u8(u8::from(*done));
        }
        M::SnapshotAck { term, last, cursor } => {
            put_numbers(out, 13, &[*term]);
            put_log_id(out, *last);
            put_bytes(out, cursor);
        }
        M::TimeoutNow { term } => put_numbers(out, 14, &[*term]),
    }
}

fn put_numbers(out: &mut BytesMut, tag: u8, numbers: &[u64]) {
    out.put_u8(tag);
    numbers.iter().for_each(|number| put_u64(out, *number));
}

/// Entries of an append follow each other, so their indices are not repeated.
fn put_entries(out: &mut BytesMut, prev: LogId, entries: &[Entry]) {
    out.reserve(entries.iter().map(|entry| entry.payload.len() + 12).sum());
    put_u64(out, entries.len() as u64);
    for (offset, entry) in entries.iter().enumerate() {
        assert_eq!(entry.index, prev.index + 1 + offset as u64, "an append must be contiguous");
        put_u64(out, entry.term);
        put_bytes(out, &entry.payload);
    }
}

fn get_entries(input: &mut Bytes, prev: LogId) -> Read<Vec<Entry>> {
    let count = get_count(input, "entry count")?;
    let mut entries = Vec::with_capacity(count);
    for offset in 0..count as u64 {
        let index = prev.index.checked_add(1 + offset).ok_or(Malformed { what: "entry index" })?;
        let term = get_u64(input, "entry term")?;
        entries.push(Entry { index, term, payload: get_bytes(input, "entry payload")? });
    }
    Ok(entries)
}

fn get_raft(input: &mut Bytes) -> Read<raft::Message> {
    use raft::Message as M;
    let tag = get_u8(input, "raft message")?;
    let term = get_u64(input, "term")?;
    Ok(match tag {
        1 => M::PreVote { term, last: get_log_id(input)? },
        2 => M::PreVoteReply { term, granted: get_bool(input, "granted")? },
        3 => M::Vote { term, last: get_log_id(input)?, transfer: get_bool(input, "transfer")? },
        4 => M::VoteReply { term, granted: get_bool(input, "granted")? },
        5 => {
            let prev = get_log_id(input)?;
            let commit = get_u64(input, "commit")?;
            M::Append { term, prev, entries: get_entries(input, prev)?, commit }
        }
        6 => M::Appended { term, matched: get_u64(input, "matched")? },
        7 => M::AppendRefused {
            term,
            prev_index: get_u64(input, "refused index")?,
            hint: get_log_id(input)?,
        },
        8 => M::Heartbeat {
            term,
            round: get_u64(input, "round")?,
            commit: get_u64(input, "commit")?,
        },
        9 => M::HeartbeatReply { term, round: get_u64(input, "round")? },
        10 => M::ReadIndex { term, token: get_u64(input, "read token")? },
        11 => M::ReadIndexReply {
            term,
            token: get_u64(input, "read token")?,
            index: get_u64(input, "read index")?,
        },
        12 | 15 => M::SnapshotChunk {
            term,
            meta: SnapshotMeta {
                last: get_log_id(input)?,
                membership: if tag == 12 {
                    get_membership(input)?
                } else {
                    let bytes = get_bytes(input, "membership")?;
                    Membership::decode(bytes).ok_or(Malformed { what: "membership" })?
                },
            },
            after: get_bytes(input, "chunk after")?,
            next: get_bytes(input, "chunk next")?,
            data: get_bytes(input, "chunk data")?,
            done: get_bool(input, "chunk done")?,
        },
        13 => M::SnapshotAck {
            term,
            last: get_log_id(input)?,
            cursor: get_bytes(input, "chunk cursor")?,
        },
        14 => M::TimeoutNow { term },
        _ => return Err(Malformed { what: "raft message" }),
    })
}
