//! One watcher: what it asked for, and how its answers look.

use crate::errors;
use bytes::Bytes;
use quorate_host::EncodedEvent;
use quorate_store::{Cursor, Delivery, KeyRange, Watch};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::watch_create_request::FilterType;
use quorate_wire::watch_raw::RawWatchResponse;
use std::sync::Arc;

/// The id of an answer that belongs to no watcher.
pub const NO_WATCHER: i64 = -1;

/// A place in history, with what its client wants to be told.
pub struct Watcher {
    /// Where it stands.
    pub cursor: Cursor<Arc<EncodedEvent>>,
    /// Its id on its stream.
    pub id: i64,
    /// The client wants to hear of progress now and then.
    pub progress_notify: bool,
    /// Something was sent since the last round of progress notices.
    pub active: bool,
    /// The revision that the client named as its first; 0 is whatever comes next.
    pub start: i64,
    /// An answer of at least so many bytes is split, if it may be (item 47).
    fragment_bytes: Option<usize>,
}

/// Why a watcher was not created, in etcd's words.
pub enum Refusal {
    /// The start lies before time.
    NegativeStart,
    /// No key can match.
    EmptyRange,
    /// The id is taken.
    DuplicateId,
    /// The caller may not read there.
    NotAllowed(Box<tonic::Status>),
    /// A limit of this server.
    TooMany(String),
}

impl Refusal {
    /// The text for the client.
    pub fn reason(&self) -> String {
        match self {
            Refusal::NegativeStart => errors::compacted().message().to_owned(),
            Refusal::EmptyRange => "mvcc: watcher range is empty".to_owned(),
            Refusal::DuplicateId => {
                "mvcc: duplicate watch ID provided on the WatchStream".to_owned()
            }
            // As Go prints a status.
            Refusal::NotAllowed(status) => {
                let code = format!("{:?}", status.code());
                format!("rpc error: code = {code} desc = {}", status.message())
            }
            Refusal::TooMany(why) => why.clone(),
        }
    }
}

/// The range that a request names (items 40 and 41).
fn range_of(key: Bytes, end: Bytes) -> Result<KeyRange, Refusal> {
    let key = if key.is_empty() { Bytes::from_static(&[0]) } else { key };
    let unbounded = end[..] == [0];
    if !end.is_empty() && !unbounded && key >= end {
        return Err(Refusal::EmptyRange);
    }
    Ok(KeyRange { key, end })
}

impl Watcher {
    /// A watcher as the request asks, beginning after `current` unless it says otherwise. If its answers may be split,
    /// they are when they have `fragment_bytes`.
    pub fn new(
        request: pb::WatchCreateRequest,
        id: i64,
        current: i64,
        fragment_bytes: usize,
    ) -> Result<Watcher, Refusal> {
        if request.start_revision < 0 {
            return Err(Refusal::NegativeStart);
        }
        let range = range_of(request.key, request.range_end)?;
        let filtered = |kind: FilterType| request.filters.contains(&kind.into());
        let watch = Watch {
            range,
            no_put: filtered(FilterType::Noput),
            no_delete: filtered(FilterType::Nodelete),
            prev_kv: request.prev_kv,
        };
        Ok(Watcher {
            cursor: Cursor::new(watch, request.start_revision, current),
            start: request.start_revision,
            id,
            progress_notify: request.progress_notify,
            active: false,
            fragment_bytes: request.fragment.then_some(fragment_bytes),
        })
    }

    /// The answers that carry a batch: one, or several when they may be split. The pair before a
    /// change at the compacted revision is gone, even where it still lies around (item 48).
    pub fn answers(
        &self,
        header: Option<pb::ResponseHeader>,
        compacted: i64,
        events: Vec<Delivery<Arc<EncodedEvent>>>,
    ) -> Vec<RawWatchResponse> {
        let prev = self.cursor.watch().prev_kv;
        let encode = |event: &Delivery<Arc<EncodedEvent>>| {
            event.encoded.bytes(prev && event.revision > compacted)
        };
        let encoded: Vec<Bytes> = events.iter().map(encode).collect();
        let total: usize = encoded.iter().map(Bytes::len).sum();
        let answer = |events: Vec<Bytes>, fragment: bool| RawWatchResponse {
            head: pb::WatchResponse { header, watch_id: self.id, fragment, ..Default::default() },
            events,
        };
        let limit = match self.fragment_bytes {
            Some(limit) if total >= limit && encoded.len() >= 2 => limit,
            Some(_) | None => return vec![answer(encoded, false)],
        };
        let mut answers = Vec::new();
        let (mut part, mut size) = (Vec::new(), 0);
        for event in encoded {
            if !part.is_empty() && size + event.len() >= limit {
                answers.push(answer(std::mem::take(&mut part), true));
                size = 0;
            }
            size += event.len();
            part.push(event);
        }
        answers.push(answer(part, false));
        answers
    }
}
