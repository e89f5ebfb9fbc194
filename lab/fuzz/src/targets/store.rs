//! The replicated state: what changes it, what moves it as a whole, and who may touch what.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use quorate_base::NodeId;
use quorate_raft::Membership;
use quorate_store::touch::Span;
use quorate_store::validate::{self, MAX_TXN_OPS};
use quorate_store::{
    Action, Applier, Installer, KeyRange, MemEngine, MemView, Options, RangeSet, Survey, View,
};
use quorate_wire::command;

use super::network::commands;
use crate::Target;
use crate::source::Source;

/// Who takes part in a group, as it lies in a log and on a snapshot.
pub const MEMBERSHIP: Target = Target {
    name: "membership",
    reads: "a configuration of a group",
    words: &[],
    seeds: || {
        let plain = Membership::of([NodeId(1), NodeId(2), NodeId(300)]);
        let joint = Membership {
            outgoing: [NodeId(4), NodeId(u64::MAX)].into(),
            learners: [NodeId(5)].into(),
            ..plain.clone()
        };
        vec![plain.encode().to_vec(), joint.encode().to_vec()]
    },
    run: |input| {
        let Some(read) = Membership::decode(Bytes::copy_from_slice(input)) else { return };
        assert_eq!(Membership::decode(read.encode()), Some(read));
    },
};

/// Commands one after the other, each behind its length of two bytes, applied when the API would let them in.
pub const APPLY: Target = Target {
    name: "apply",
    reads: "commands, as the state machine applies them",
    words: &[],
    seeds: || vec![packed(&commands().iter().map(command::encode).collect::<Vec<_>>())],
    run: |input| {
        let mut applier = applier();
        let mut index = 0;
        for payload in unpacked(input) {
            let Ok(command) = command::decode(&payload) else { continue };
            if validate::check(&command.action, MAX_TXN_OPS).is_err()
                || !is_admitted(&command.action)
            {
                continue;
            }
            index += 1;
            let before = applier.revision();
            let outcome = applier.apply(index, 1, Some(&command)).expect("memory does not fail");
            let after = applier.revision();
            assert!(after == before || after == before + 1, "a command makes one revision");
            if let Some(outcome) = outcome {
                assert_eq!(outcome.revision, after);
                assert!(outcome.result.is_ok() || after == before, "a refusal changes nothing");
            }
        }
        let view = applier.publish().expect("memory does not fail").view;
        assert_eq!(view.applied().0, index);
        moved(&view);
    },
};

/// Chunks of a state, each behind its length of two bytes, from somebody who may be wrong.
pub const SNAPSHOT_CHUNKS: Target = Target {
    name: "snapshot_chunks",
    reads: "the chunks of a snapshot",
    words: &[],
    seeds: || [1, 200, 4096].map(|size| packed(&chunks(&some_state(), size))).to_vec(),
    run: |input| {
        let mut survey = Survey::default();
        let mut installer = Installer::new(MemEngine::new()).expect("an empty engine");
        for chunk in unpacked(input) {
            // Whoever only looks must refuse what whoever takes refuses, in its order and its links.
            let (looked, took) = (survey.push(&chunk), installer.push(&chunk));
            if looked.is_err() || took.is_err() {
                assert!(looked.is_err() || took.is_ok(), "refused by the installer alone");
                return;
            }
        }
        let summary = survey.finish();
        if let Ok(mut applier) = installer.finish(Options::default()) {
            let view = applier.publish().expect("memory does not fail").view;
            let summary = summary.expect("a state that can be opened can be summed up");
            assert_eq!(summary.revision, view.revision());
        }
    },
};

/// Ranges of rights, and a question.
pub const AUTH_RANGES: Target = Target {
    name: "auth_ranges",
    reads: "unions of ranges of keys, against every single key",
    words: &[],
    seeds: || vec![vec![2, 0x10, 3, 0x71, 0x31, 3, 0x12, 3, 0x10], (0..40).collect()],
    run: |input| {
        let mut source = Source::new(input);
        let count = source.below(6);
        let mut range = || KeyRange { key: source.key(), end: source.end() };
        let ranges: Vec<KeyRange> = (0..count).map(|_| range()).collect();
        let asked = range();
        let set = RangeSet::of(ranges.iter());
        let span = Span { key: &asked.key, end: &asked.end };
        // A span without keys counts as its first key, as in etcd.
        let first = asked.key.clone();
        let wanted = |key: &&Vec<u8>| {
            if asked.is_empty() { first == key[..] } else { asked.contains(key) }
        };
        let naive = universe();
        let naive = naive.iter().filter(wanted).all(|key| ranges.iter().any(|r| r.contains(key)));
        assert_eq!(set.contains(span), naive, "{asked:?} in {ranges:?}");
    },
};

/// What only the member that takes a request decides, and never lets through.
fn is_admitted(action: &Action) -> bool {
    match action {
        Action::LeaseGrant { id, ttl } => *id > 0 && *ttl > 0,
        Action::Put(_)
        | Action::Delete(_)
        | Action::Txn(_)
        | Action::Compact { .. }
        | Action::LeaseRevoke { .. }
        | Action::LeaseCheckpoint { .. }
        | Action::Alarm { .. }
        | Action::Guard(_)
        | Action::Member(_)
        | Action::Auth(_)
        | Action::Downgrade(_)
        | Action::AuditCheckpoint { .. } => true,
    }
}

/// An empty state.
pub fn applier() -> Applier<MemEngine> {
    Applier::open(MemEngine::new(), Options::default()).expect("an empty engine")
}

/// Moves a state in small pieces; whoever gets it must have the same.
fn moved(view: &View<MemView>) {
    let mut installer = Installer::new(MemEngine::new()).expect("an empty engine");
    for chunk in chunks(view, 100) {
        installer.push(&chunk).expect("our own chunk");
    }
    let mut copy = installer.finish(Options::default()).expect("our own state");
    let copy = copy.publish().expect("memory does not fail").view;
    assert_eq!(copy.hash().expect("a hash"), view.hash().expect("a hash"));
    assert_eq!(copy.applied(), view.applied());
}

fn some_state() -> View<MemView> {
    let mut applier = applier();
    for (command, index) in commands().iter().zip(1..) {
        applier.apply(index, 1, Some(command)).expect("memory does not fail");
    }
    applier.publish().expect("memory does not fail").view
}

/// A state in chunks of about so many bytes.
fn chunks(view: &View<MemView>, size: usize) -> Vec<Bytes> {
    let (mut all, mut after): (Vec<Bytes>, Option<Bytes>) = (Vec::new(), None);
    loop {
        let chunk = view.chunk(after.as_deref(), size).expect("memory does not fail");
        all.push(chunk.data);
        if chunk.done {
            return all;
        }
        after = Some(chunk.cursor);
    }
}

/// The chunks of a state that holds a little of everything.
pub fn some_chunks() -> Vec<Bytes> {
    chunks(&some_state(), 4096)
}

fn packed(pieces: &[Bytes]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for piece in pieces {
        out.put_u16(piece.len() as u16);
        out.put_slice(piece);
    }
    out.to_vec()
}

/// The pieces of an input; the last may be shorter than it says.
fn unpacked(mut input: &[u8]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while let [high, low, rest @ ..] = input {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        pieces.push(Bytes::copy_from_slice(&rest[..length]));
        input = &rest[length..];
    }
    pieces
}

/// Every key of up to three bytes of the letters that [`Source::key`] uses, and of one between any two of them.
fn universe() -> BTreeSet<Vec<u8>> {
    let letters = [0, 1, 2, b'a', b'b', 0xff];
    let mut all = BTreeSet::new();
    for a in letters {
        all.insert(vec![a]);
        for b in letters {
            all.insert(vec![a, b]);
            all.extend(letters.map(|c| vec![a, b, c]));
        }
    }
    all
}
