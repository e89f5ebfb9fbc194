//! Keys and events as bytes, without messages in between.
//!
//! A protobuf message is the concatenation of its fields, and a repeated field may come in any number of pieces. So the
//! events of a `WatchResponse` and the pairs of a `RangeResponse` can be encoded where the data lies, once, and the
//! pieces can be shared by every answer that carries them: an answer is then a small head, encoded for its receiver,
//! followed by shared pieces. [`crate::watch_raw`] and [`crate::range_raw`] are servers that answer so.
//!
//! What these functions write is, byte for byte, what prost writes for the generated messages; the tests hold them to it.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::etcd::mvccpb::event::EventType;

/// Field number of `RangeResponse.kvs`.
const RANGE_KVS: u32 = 2;

/// Field number of `WatchResponse.events`.
const WATCH_EVENTS: u32 = 11;

/// A key-value pair that lies somewhere else: the fields of `mvccpb.KeyValue`, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyValueRef<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Revision at which the key began its present life.
    pub create_revision: i64,
    /// Revision of the last change.
    pub mod_revision: i64,
    /// Number of puts in the key's present life.
    pub version: i64,
    /// The value.
    pub value: &'a [u8],
    /// The lease, 0 for none.
    pub lease: i64,
}

impl KeyValueRef<'_> {
    /// Bytes of the encoded message, without tag and length in front.
    fn encoded_len(&self) -> usize {
        bytes_len(self.key)
            + int_len(self.create_revision)
            + int_len(self.mod_revision)
            + int_len(self.version)
            + bytes_len(self.value)
            + int_len(self.lease)
    }

    /// Appends the encoded message as field `number` of another one.
    fn append_as(&self, number: u32, buffer: &mut impl BufMut) {
        self.append_before_value(number, buffer);
        buffer.put_slice(self.value);
        self.append_after_value(buffer);
    }

    /// Everything up to the bytes of the value, its tag and length included.
    fn append_before_value(&self, number: u32, buffer: &mut impl BufMut) {
        encode_key(number, WireType::LengthDelimited, buffer);
        encode_varint(self.encoded_len() as u64, buffer);
        put_bytes(1, self.key, buffer);
        put_int(2, self.create_revision, buffer);
        put_int(3, self.mod_revision, buffer);
        put_int(4, self.version, buffer);
        put_bytes_head(5, self.value, buffer);
    }

    fn append_after_value(&self, buffer: &mut impl BufMut) {
        put_int(6, self.lease, buffer);
    }

    /// Bytes of the message as a field with a number below 16.
    fn field_len(&self) -> usize {
        let length = self.encoded_len();
        1 + encoded_len_varint(length as u64) + length
    }
}

/// Appends a pair as one element of `RangeResponse.kvs`.
pub fn append_range_kv(pair: KeyValueRef<'_>, buffer: &mut BytesMut) {
    buffer.reserve(pair.field_len());
    pair.append_as(RANGE_KVS, buffer);
}

/// Bytes that [`append_range_kv`] appends.
pub fn range_kv_len(pair: KeyValueRef<'_>) -> usize {
    pair.field_len()
}

/// Appends of what [`append_range_kv`] would the bytes from `taken` on, at most `room` of them; returns how many. A large
/// value so goes into pieces that are smaller than it is.
pub fn append_range_kv_part(
    pair: KeyValueRef<'_>,
    taken: usize,
    room: usize,
    buffer: &mut BytesMut,
) -> usize {
    let (mut head, mut tail) = (BytesMut::new(), BytesMut::new());
    pair.append_before_value(RANGE_KVS, &mut head);
    pair.append_after_value(&mut tail);
    let (mut taken, mut left) = (taken, room);
    for part in [&head, pair.value, &tail] {
        let from = taken.min(part.len());
        let part = &part[from..];
        let part = &part[..part.len().min(left)];
        buffer.extend_from_slice(part);
        (taken, left) = (taken - from, left - part.len());
    }
    room - left
}

/// Appends an event as one element of `WatchResponse.events`. `before` is the pair as it was, for watchers that asked
/// for it; the same event without it is another encoding.
pub fn append_watch_event(
    kind: EventType,
    pair: KeyValueRef<'_>,
    before: Option<KeyValueRef<'_>>,
    buffer: &mut BytesMut,
) {
    let kind = i64::from(kind as i32);
    let before_len = before.map_or(0, |before| before.field_len());
    let length = int_len(kind) + pair.field_len() + before_len;
    buffer.reserve(1 + encoded_len_varint(length as u64) + length);
    encode_key(WATCH_EVENTS, WireType::LengthDelimited, buffer);
    encode_varint(length as u64, buffer);
    put_int(1, kind, buffer);
    pair.append_as(2, buffer);
    if let Some(before) = before {
        before.append_as(3, buffer);
    }
}

/// Bytes of a list of shared pieces.
pub(crate) fn pieces_len(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

/// Every field number here is below 16, so a tag takes one byte; fields with the default value are left out.
fn int_len(value: i64) -> usize {
    if value == 0 { 0 } else { 1 + encoded_len_varint(value as u64) }
}

fn bytes_len(value: &[u8]) -> usize {
    if value.is_empty() { 0 } else { 1 + encoded_len_varint(value.len() as u64) + value.len() }
}

fn put_int(number: u32, value: i64, buffer: &mut impl BufMut) {
    if value != 0 {
        encode_key(number, WireType::Varint, buffer);
        encode_varint(value as u64, buffer);
    }
}

fn put_bytes(number: u32, value: &[u8], buffer: &mut impl BufMut) {
    put_bytes_head(number, value, buffer);
    buffer.put_slice(value);
}

fn put_bytes_head(number: u32, value: &[u8], buffer: &mut impl BufMut) {
    if !value.is_empty() {
        encode_key(number, WireType::LengthDelimited, buffer);
        encode_varint(value.len() as u64, buffer);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::etcd::etcdserverpb::{RangeResponse, WatchResponse};
    use crate::etcd::mvccpb::{Event, KeyValue};
    use prost::Message;

    /// Pairs whose fields lie at the edges of the encoding: zero, one byte, many bytes, negative.
    pub(crate) fn samples() -> Vec<KeyValue> {
        let numbers = [0, 1, 127, 128, 1 << 40, i64::MAX, -1];
        let mut pairs = Vec::new();
        for (index, number) in numbers.into_iter().enumerate() {
            pairs.push(KeyValue {
                key: vec![b'k'; index + 1].into(),
                create_revision: number,
                mod_revision: number / 2,
                version: number % 5,
                value: vec![b'v'; index * 100].into(),
                lease: number,
            });
        }
        pairs
    }

    pub(crate) fn borrowed(pair: &KeyValue) -> KeyValueRef<'_> {
        KeyValueRef {
            key: &pair.key,
            create_revision: pair.create_revision,
            mod_revision: pair.mod_revision,
            version: pair.version,
            value: &pair.value,
            lease: pair.lease,
        }
    }

    #[test]
    fn pairs_are_what_prost_writes() {
        let kvs = samples();
        let mut raw = BytesMut::new();
        kvs.iter().for_each(|pair| append_range_kv(borrowed(pair), &mut raw));
        let response = RangeResponse { kvs, ..RangeResponse::default() };
        assert_eq!(raw.as_ref(), response.encode_to_vec());
    }

    #[test]
    fn events_are_what_prost_writes() {
        let pairs = samples();
        let mut raw = BytesMut::new();
        let mut events = Vec::new();
        for (index, pair) in pairs.iter().enumerate() {
            let kind = if index % 2 == 0 { EventType::Put } else { EventType::Delete };
            let before = pairs.get(index.wrapping_sub(1));
            append_watch_event(kind, borrowed(pair), before.map(borrowed), &mut raw);
            events.push(Event {
                r#type: kind as i32,
                kv: Some(pair.clone()),
                prev_kv: before.cloned(),
            });
        }
        let response = WatchResponse { events, ..WatchResponse::default() };
        assert_eq!(raw.as_ref(), response.encode_to_vec());
    }

    #[test]
    fn parts_of_any_size_together_are_the_pairs() {
        for pair in samples() {
            let mut whole = BytesMut::new();
            append_range_kv(borrowed(&pair), &mut whole);
            assert_eq!(whole.len(), range_kv_len(borrowed(&pair)));
            for room in [1, 2, 3, 7, 64, whole.len(), whole.len() + 1] {
                let (mut parts, mut taken) = (BytesMut::new(), 0);
                loop {
                    let part = append_range_kv_part(borrowed(&pair), taken, room, &mut parts);
                    assert!(part <= room);
                    taken += part;
                    if part == 0 {
                        break;
                    }
                }
                assert_eq!(parts, whole, "{room} at a time");
            }
        }
    }

    #[test]
    fn an_empty_pair_keeps_its_place() {
        let empty = KeyValue::default();
        let mut raw = BytesMut::new();
        append_range_kv(borrowed(&empty), &mut raw);
        let decoded = RangeResponse::decode(raw.freeze()).expect("decodes");
        assert_eq!(decoded.kvs, [empty]);
    }
}
