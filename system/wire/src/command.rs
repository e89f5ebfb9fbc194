//! The codec of what goes through the log.
//!
//! The first byte of every payload tells its format, so that a member can refuse what a newer
//! release wrote instead of misreading it. `0x10` is a command that names nobody, as the first
//! release wrote them all; `0x11` has its caller between the operation id and the action. A cluster
//! without users and fences writes the first only, so that a release that knows no callers can
//! read its log. An empty payload is Raft's no-op and never reaches this codec. Byte strings of a
//! decoded command share the payload's memory.

use crate::binary::{
    Malformed, Read, finish, get_bool, get_bytes, get_count, get_i64, get_u8, get_u64, put_bytes,
    put_i64, put_u64,
};
use crate::command_kv::{get_delete, get_put, get_txn, put_delete, put_put, put_txn};
use bytes::{BufMut, Bytes, BytesMut};
use quorate_store::{
    Action, AlarmKind, Caller, Command, Downgrade, Fence, GuardChange, OpId, User,
};

/// A command that names nobody.
pub const PLAIN: u8 = 0x10;
/// A command with its caller.
pub const CALLED: u8 = 0x11;

/// Encodes a command as the payload of a log entry.
pub fn encode(command: &Command) -> Bytes {
    let called = command.caller != Caller::default();
    let mut out = BytesMut::with_capacity(64 + size_hint(&command.action));
    out.put_u8(if called { CALLED } else { PLAIN });
    put_u64(&mut out, command.id.origin);
    put_u64(&mut out, command.id.seq);
    put_u64(&mut out, command.id.floor);
    if called {
        put_caller(&mut out, &command.caller);
    }
    put_action(&mut out, &command.action);
    out.freeze()
}

/// Decodes the payload of a log entry.
pub fn decode(payload: &Bytes) -> Read<Command> {
    let mut input = payload.clone();
    let called = payload.first() == Some(&CALLED);
    let id = get_id(&mut input)?;
    let caller = if called { get_caller(&mut input)? } else { Caller::default() };
    let action = get_action(&mut input)?;
    finish(&input, "command: bytes after its end")?;
    Ok(Command { id, caller, action })
}

/// Reads only whose operation a payload is.
pub fn peek_id(payload: &Bytes) -> Read<OpId> {
    get_id(&mut payload.clone())
}

fn get_id(input: &mut Bytes) -> Read<OpId> {
    match get_u8(input, "command format")? {
        PLAIN | CALLED => {}
        _ => return Err(Malformed { what: "command: a format of another release" }),
    }
    let origin = get_u64(input, "command origin")?;
    let seq = get_u64(input, "command sequence")?;
    let floor = get_u64(input, "command floor")?;
    Ok(OpId { origin, seq, floor })
}

fn put_caller(out: &mut BytesMut, caller: &Caller) {
    match &caller.user {
        User::Nobody => out.put_u8(0),
        User::Named(name) => {
            out.put_u8(1);
            put_bytes(out, name);
        }
        User::Member => out.put_u8(2),
    }
    put_u64(out, caller.auth_revision);
    put_u64(out, caller.fences.len() as u64);
    for fence in &caller.fences {
        put_bytes(out, &fence.lock);
        put_i64(out, fence.token);
    }
}

fn get_caller(input: &mut Bytes) -> Read<Caller> {
    let user = match get_u8(input, "caller")? {
        0 => User::Nobody,
        1 => User::Named(get_bytes(input, "user name")?),
        2 => User::Member,
        _ => return Err(Malformed { what: "caller" }),
    };
    let auth_revision = get_u64(input, "auth revision")?;
    let count = get_count(input, "fence count")?;
    let fences = (0..count)
        .map(|_| {
            let lock = get_bytes(input, "fenced lock")?;
            Ok(Fence { lock, token: get_i64(input, "fence token")? })
        })
        .collect::<Read<Vec<_>>>()?;
    Ok(Caller { user, auth_revision, fences })
}

fn size_hint(action: &Action) -> usize {
    match action {
        Action::Put(put) => put.key.len() + put.value.len(),
        Action::Delete(delete) => delete.range.key.len() + delete.range.end.len(),
        Action::Txn(txn) => 256 * (txn.compares.len() + txn.success.len() + txn.failure.len()),
        Action::LeaseCheckpoint { remaining, .. } => 12 * remaining.len(),
        Action::Auth(_) | Action::AuditCheckpoint { .. } => 128,
        Action::Compact { .. }
        | Action::LeaseGrant { .. }
        | Action::LeaseRevoke { .. }
        | Action::Alarm { .. }
        | Action::Downgrade(_)
        | Action::Member(_) => 0,
        Action::Guard(GuardChange::Set { prefix, lock }) => prefix.len() + lock.len(),
        Action::Guard(GuardChange::Remove { prefix }) => prefix.len(),
    }
}

fn put_action(out: &mut BytesMut, action: &Action) {
    match action {
        Action::Put(put) => {
            out.put_u8(1);
            put_put(out, put);
        }
        Action::Delete(delete) => {
            out.put_u8(2);
            put_delete(out, delete);
        }
        Action::Txn(txn) => {
            out.put_u8(3);
            put_txn(out, txn);
        }
        Action::Compact { revision } => {
            out.put_u8(4);
            put_i64(out, *revision);
        }
        Action::LeaseGrant { id, ttl } => {
            out.put_u8(5);
            put_i64(out, *id);
            put_i64(out, *ttl);
        }
        Action::LeaseRevoke { id, term } => {
            out.put_u8(6);
            put_i64(out, *id);
            // Term 0 does not exist, so it can stand for "none".
            put_u64(out, term.unwrap_or(0));
        }
        Action::LeaseCheckpoint { term, remaining } => {
            out.put_u8(7);
            put_u64(out, *term);
            put_u64(out, remaining.len() as u64);
            for (id, seconds) in remaining {
                put_i64(out, *id);
                put_i64(out, *seconds);
            }
        }
        Action::Alarm { raise, member, kind } => {
            out.put_u8(8);
            out.put_u8(u8::from(*raise));
            put_u64(out, *member);
            out.put_u8(match kind {
                AlarmKind::NoSpace => 1,
                AlarmKind::Corrupt => 2,
            });
        }
        Action::Auth(change) => {
            out.put_u8(9);
            crate::command_auth::put_change(out, change);
        }
        Action::AuditCheckpoint { member, records, hash } => {
            out.put_u8(10);
            put_u64(out, *member);
            put_u64(out, *records);
            put_bytes(out, hash);
        }
        Action::Member(action) => {
            out.put_u8(12);
            crate::member::put_action(out, action);
        }
        Action::Downgrade(None) => out.put_u8(18),
        Action::Downgrade(Some(Downgrade { level, version })) => {
            out.put_u8(19);
            put_u64(out, u64::from(*level));
            put_bytes(out, version);
        }
        Action::Guard(GuardChange::Set { prefix, lock }) => {
            out.put_u8(16);
            put_bytes(out, prefix);
            put_bytes(out, lock);
        }
        Action::Guard(GuardChange::Remove { prefix }) => {
            out.put_u8(17);
            put_bytes(out, prefix);
        }
    }
}

fn get_action(input: &mut Bytes) -> Read<Action> {
    Ok(match get_u8(input, "action")? {
        1 => Action::Put(get_put(input)?),
        2 => Action::Delete(get_delete(input)?),
        3 => Action::Txn(get_txn(input)?),
        4 => Action::Compact { revision: get_i64(input, "compact revision")? },
        5 => Action::LeaseGrant {
            id: get_i64(input, "lease id")?,
            ttl: get_i64(input, "lease ttl")?,
        },
        6 => {
            let id = get_i64(input, "lease id")?;
            let term = get_u64(input, "lease term")?;
            Action::LeaseRevoke { id, term: (term != 0).then_some(term) }
        }
        7 => {
            let term = get_u64(input, "checkpoint term")?;
            let count = get_count(input, "checkpoint count")?;
            let mut remaining = Vec::with_capacity(count);
            for _ in 0..count {
                remaining.push((get_i64(input, "lease id")?, get_i64(input, "lease seconds")?));
            }
            Action::LeaseCheckpoint { term, remaining }
        }
        8 => Action::Alarm {
            raise: get_bool(input, "alarm raise")?,
            member: get_u64(input, "alarm member")?,
            kind: match get_u8(input, "alarm kind")? {
                1 => AlarmKind::NoSpace,
                2 => AlarmKind::Corrupt,
                _ => return Err(Malformed { what: "alarm kind" }),
            },
        },
        9 => Action::Auth(crate::command_auth::get_change(input)?),
        10 => Action::AuditCheckpoint {
            member: get_u64(input, "audit member")?,
            records: get_u64(input, "audit records")?,
            hash: get_bytes(input, "audit hash")?,
        },
        12 => Action::Member(crate::member::get_action(input)?),
        16 => Action::Guard(GuardChange::Set {
            prefix: get_bytes(input, "guarded prefix")?,
            lock: get_bytes(input, "guarding lock")?,
        }),
        18 => Action::Downgrade(None),
        19 => {
            let level = get_u64(input, "downgrade level")?;
            let level = u32::try_from(level).map_err(|_| Malformed { what: "downgrade level" })?;
            let version = get_bytes(input, "downgrade version")?;
            Action::Downgrade(Some(Downgrade { level, version }))
        }
        17 => Action::Guard(GuardChange::Remove { prefix: get_bytes(input, "guarded prefix")? }),
        _ => return Err(Malformed { what: "action" }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::Dice;
    use quorate_store::{
        Compare, CompareResult, CompareTarget, Delete, KeyRange, Put, Range, SortOrder, SortTarget,
        Txn, TxnOp,
    };

    fn some_bytes(dice: &mut Dice) -> Bytes {
        let len = dice.below(20);
        (0..len).map(|_| dice.next_u64() as u8).collect()
    }

    fn keys(dice: &mut Dice) -> KeyRange {
        KeyRange { key: some_bytes(dice), end: some_bytes(dice) }
    }

    fn put(dice: &mut Dice) -> Put {
        Put {
            key: some_bytes(dice),
            value: some_bytes(dice),
            lease: dice.next_u64() as i64,
            prev_kv: dice.chance(500_000),
            ignore_value: dice.chance(500_000),
            ignore_lease: dice.chance(500_000),
        }
    }

    fn txn(dice: &mut Dice, depth: u64) -> Txn {
        let compare = |dice: &mut Dice| Compare {
            range: keys(dice),
            result: [CompareResult::Equal, CompareResult::Greater, CompareResult::NotEqual]
                [dice.below(3) as usize],
            target: match dice.below(3) {
                0 => CompareTarget::Value(some_bytes(dice)),
                1 => CompareTarget::Lease(-1),
                _ => CompareTarget::Mod(dice.next_u64() as i64),
            },
        };
        let op = |dice: &mut Dice| match dice.below(if depth == 0 { 3 } else { 4 }) {
            0 => TxnOp::Put(put(dice)),
            1 => TxnOp::Delete(Delete { range: keys(dice), prev_kv: true }),
            2 => TxnOp::Range(Range {
                range: keys(dice),
                limit: dice.next_u64() as i64,
                order: SortOrder::Descend,
                target: SortTarget::Value,
                count_only: true,
                max_create_revision: -5,
                ..Range::default()
            }),
            _ => TxnOp::Txn(txn(dice, depth - 1)),
        };
        Txn {
            compares: (0..dice.below(3)).map(|_| compare(dice)).collect(),
            success: (0..dice.below(4)).map(|_| op(dice)).collect(),
            failure: (0..dice.below(4)).map(|_| op(dice)).collect(),
        }
    }

    fn command(dice: &mut Dice) -> Command {
        let action = match dice.below(14) {
            12 => Action::Downgrade(None),
            13 => Action::Downgrade(Some(Downgrade { level: 7, version: some_bytes(dice) })),
            9 => {
                Action::Guard(GuardChange::Set { prefix: some_bytes(dice), lock: some_bytes(dice) })
            }
            10 => Action::Guard(GuardChange::Remove { prefix: some_bytes(dice) }),
            0 => Action::Put(put(dice)),
            1 => Action::Delete(Delete { range: keys(dice), prev_kv: false }),
            2 => Action::Txn(txn(dice, 3)),
            3 => Action::Compact { revision: dice.next_u64() as i64 },
            4 => Action::LeaseGrant { id: 5, ttl: i64::MAX },
            5 => Action::LeaseRevoke { id: -5, term: dice.chance(500_000).then_some(9) },
            6 => Action::LeaseCheckpoint { term: 3, remaining: vec![(1, 2), (3, 4)] },
            7 => Action::Auth(crate::command_auth::tests::change(dice)),
            8 => Action::AuditCheckpoint { member: 1, records: 2, hash: some_bytes(dice) },
            _ => Action::Alarm { raise: true, member: u64::MAX, kind: AlarmKind::Corrupt },
        };
        let caller = match dice.below(3) {
            0 => Caller::default(),
            1 => Caller::member(),
            _ => Caller {
                user: User::Named(some_bytes(dice)),
                auth_revision: dice.next_u64(),
                fences: (0..dice.below(3))
                    .map(|_| Fence { lock: some_bytes(dice), token: dice.next_u64() as i64 })
                    .collect(),
            },
        };
        Command { id: OpId { origin: dice.next_u64(), seq: 7, floor: 3 }, caller, action }
    }

    #[test]
    fn who_names_nobody_writes_what_the_first_release_reads() {
        let id = OpId { origin: 1, seq: 2, floor: 2 };
        let put = Put { key: Bytes::from_static(b"k"), ..Put::default() };
        let payload = encode(&Command::new(id, Action::Put(put)));
        assert_eq!(&payload[..], [0x10, 1, 2, 2, 1, 0, 1, b'k', 0, 0]);
    }

    #[test]
    fn every_command_round_trips() {
        let mut dice = Dice::new(42);
        for _ in 0..2_000 {
            let command = command(&mut dice);
            let payload = encode(&command);
            assert_eq!(decode(&payload).unwrap(), command);
            assert_eq!(peek_id(&payload).unwrap(), command.id);
        }
    }

    #[test]
    fn cut_and_flipped_payloads_never_panic() {
        let mut dice = Dice::new(43);
        for _ in 0..500 {
            let payload = encode(&command(&mut dice));
            for cut in 0..payload.len() {
                assert!(decode(&payload.slice(..cut)).is_err(), "a cut command must not decode");
            }
            let mut flipped = payload.to_vec();
            let at = dice.below(flipped.len() as u64) as usize;
            flipped[at] ^= 1 << dice.below(8);
            let _ = decode(&Bytes::from(flipped));
        }
    }

    #[test]
    fn another_releases_format_is_refused_by_name() {
        let error = decode(&Bytes::from_static(&[0x12, 0, 0, 0])).unwrap_err();
        assert_eq!(error.what, "command: a format of another release");
    }
}
