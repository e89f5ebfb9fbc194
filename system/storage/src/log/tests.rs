//! Bytes that nobody wrote: decoding must answer "no", and rules must say "no", without a panic.
//!
//! Checksums stop accidents, so noise in a file never reaches the decoder. These tests hand it
//! noise directly, and batches with good checksums around it.

use crate::log::batch::{self, BatchHeader, BatchPlace, HEADER};
use crate::log::record::{Entries, RECORD_PREFIX, RecordRef, SegmentHead};
use crate::log::state::{EntryId, GroupState};
use bytes::Bytes;
use quorate_base::Dice;

fn every_kind() -> Vec<RecordRef<'static>> {
    static SHARED: [(u64, Bytes); 2] =
        [(3, Bytes::from_static(b"one")), (4, Bytes::from_static(b""))];
    let at = EntryId { index: 7, term: 3 };
    let entries = Entries::Shared(&SHARED);
    let state = GroupState {
        term: 9,
        vote: Some(2),
        commit: 7,
        prefix: at,
        last: EntryId { index: 9, term: 4 },
        config: Bytes::from_static(b"members"),
    };
    let head = SegmentHead { capacity: 4096, previous_epoch: 3, previous_end: 640 };
    vec![
        RecordRef::Vote { group: 1, term: 2, vote: None },
        RecordRef::Vote { group: 1, term: 2, vote: Some(0) },
        RecordRef::Entries { group: 1, first: 8, entries },
        RecordRef::Moved { group: 1, first: 8, entries },
        RecordRef::Commit { group: 1, index: 8 },
        RecordRef::Snapshot { group: 1, at, config: b"members" },
        RecordRef::Compact { group: 1, at, config: None },
        RecordRef::Compact { group: 1, at, config: Some(b"") },
        RecordRef::Segment(head),
        RecordRef::Group { group: 1, state },
    ]
}

fn encoded(record: &RecordRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

#[test]
fn every_record_survives_a_round_trip() {
    for record in every_kind() {
        let bytes = encoded(&record);
        assert_eq!(bytes.len(), record.encoded_len());
        let again = RecordRef::decode(&bytes[RECORD_PREFIX..]).expect("what was encoded decodes");
        assert_eq!(encoded(&again), bytes, "{record:?}");
    }
}

#[test]
fn noise_never_panics() {
    let mut dice = Dice::new(1);
    let (mut decoded, mut applied) = (0, 0);
    for _ in 0..200_000 {
        let kinds = every_kind();
        let record = &kinds[dice.below(kinds.len() as u64) as usize];
        let mut bytes = encoded(record)[RECORD_PREFIX..].to_vec();
        for _ in 0..dice.below(4) {
            let at = dice.below(bytes.len() as u64) as usize;
            bytes[at] = dice.next_u64() as u8;
        }
        bytes.truncate(dice.between(bytes.len() as u64 / 2, bytes.len() as u64 + 4) as usize);
        let Some(record) = RecordRef::decode(&bytes) else { continue };
        decoded += 1;
        let last = EntryId { index: dice.below(20), term: dice.below(5) };
        let mut state = GroupState { last, ..GroupState::default() };
        if state.apply(&record).is_ok() {
            applied += 1;
        }
    }
    // The noise was mild enough to reach the rules.
    assert!(decoded > 10_000 && applied > 1_000, "{decoded} decoded, {applied} applied");
}

#[test]
fn a_header_tells_its_place_and_any_flip_in_it_is_noticed() {
    let mut buffer = vec![0; HEADER];
    every_kind()[0].encode(&mut buffer);
    let place = BatchPlace { epoch: 2, sequence: 3, offset: 640, synced: 128, identity: 5 };
    batch::seal(&mut buffer, 0, 1, place);
    assert_eq!(buffer.len() % HEADER, 0);
    let header = BatchHeader::decode(&buffer).expect("good");
    assert_eq!((header.epoch, header.sequence, header.offset), (2, 3, 640));
    assert_eq!((header.synced, header.identity, header.count), (128, 5, 1));
    assert_eq!(header.span(), buffer.len() as u64);
    for bit in 0..HEADER * 8 {
        let mut flipped = buffer.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(BatchHeader::decode(&flipped), None, "bit {bit}");
    }
}
