//! A state machine whose state is the list of what it applied: wrong order, gaps and doubles are
//! visible at once.

use bytes::Bytes;
use quorate_base::NodeId;
use quorate_raft::{Entry, LogId, Membership, Request, SnapshotMeta};
use std::collections::{BTreeMap, VecDeque};

/// Entries in one chunk of state.
const CHUNK_ENTRIES: usize = 2;

/// See the module's essay.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Everything applied, from entry 1 on.
    pub state: Vec<Entry>,
    /// How much of it survives a crash.
    pub saved: usize,
    /// Committed entries that wait to be applied.
    pub queue: Vec<Entry>,
    /// When held, entries stay in the queue.
    pub held: bool,
    /// States that are being sent, by receiver: how many entries each holds. An append-only list
    /// needs no copy to be pinned.
    pins: BTreeMap<NodeId, u64>,
    /// Chunks that wait to be stored.
    pub arrived: VecDeque<Arrived>,
    /// What was stored of a state that arrives.
    incoming: Vec<Entry>,
}

/// A chunk of state: where it belongs, what it holds.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The state it is part of.
    pub meta: SnapshotMeta,
    /// The position before it.
    pub after: Bytes,
    /// The position after it.
    pub next: Bytes,
    /// Its content.
    pub data: Bytes,
    /// It is the last one.
    pub done: bool,
}

impl App {
    /// The newest applied index.
    pub fn applied(&self) -> u64 {
        self.state.len() as u64
    }

    /// The newest applied entry.
    pub fn last(&self) -> LogId {
        self.state.last().map_or(LogId::default(), |e| LogId { term: e.term, index: e.index })
    }

    /// The newest configuration that was applied, if there was one.
    pub fn membership(&self) -> Option<Membership> {
        self.state.iter().rev().find_map(|entry| Membership::of_payload(&entry.payload))
    }

    /// Applies what waits. Says whether anything was.
    pub fn apply(&mut self) -> bool {
        if self.held || self.queue.is_empty() {
            return false;
        }
        for entry in std::mem::take(&mut self.queue) {
            assert_eq!(entry.index, self.applied() + 1, "applied out of order");
            self.state.push(entry);
        }
        true
    }

    /// Loses what was not saved.
    pub fn crash(&mut self) {
        self.state.truncate(self.saved);
        self.queue.clear();
        self.arrived.clear();
        self.incoming.clear();
        self.pins.clear();
        self.held = false;
    }

    /// The chunk that follows `after` of the state pinned for `to`; an empty `after` pins anew.
    pub fn chunk(&mut self, to: NodeId, after: Bytes) -> Request {
        let applied = self.applied();
        if after.is_empty() {
            self.pins.insert(to, applied);
        }
        let index = *self.pins.entry(to).or_insert(applied);
        let (next, data, done) = self.cut_chunk(index, &after);
        Request::Chunk { to, index, after, next, data, done }
    }

    /// The receiver needs no more.
    pub fn unpin(&mut self, to: NodeId) {
        self.pins.remove(&to);
    }

    fn cut_chunk(&self, pinned: u64, after: &Bytes) -> (Bytes, Bytes, bool) {
        let from = decode_position(after);
        let to = (from + CHUNK_ENTRIES).min(pinned as usize).max(from);
        let mut text = String::new();
        for entry in &self.state[from..to] {
            let payload: String = entry.payload.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("{} {} {payload}\n", entry.index, entry.term));
        }
        (encode_position(to), Bytes::from(text), to >= pinned as usize)
    }

    /// Stores the oldest chunk that waits; the last one of a state replaces ours, durably. Says
    /// what to tell consensus.
    pub fn store(&mut self) -> Option<Request> {
        if self.held {
            return None;
        }
        let Arrived { meta, after, next, data, done } = self.arrived.pop_front()?;
        let last = meta.last;
        self.install(&meta, &after, &data, done);
        Some(if done {
            Request::Installed { last }
        } else {
            Request::ChunkStored { last, cursor: next }
        })
    }

    fn install(&mut self, meta: &SnapshotMeta, after: &Bytes, data: &Bytes, done: bool) {
        if after.is_empty() {
            self.incoming.clear();
        }
        assert_eq!(self.incoming.len(), decode_position(after), "a chunk is missing");
        let text = std::str::from_utf8(data).expect("chunks are text");
        for line in text.lines() {
            let mut words = line.split(' ');
            let mut number = || words.next().expect("a number").parse().expect("a number");
            let (index, term) = (number(), number());
            let hex = words.next().unwrap_or("");
            let payload = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
                .collect();
            self.incoming.push(Entry { index, term, payload });
        }
        if done {
            assert_eq!(self.incoming.len() as u64, meta.last.index, "the state is incomplete");
            self.state = std::mem::take(&mut self.incoming);
            self.saved = self.state.len();
            self.queue.clear();
            assert_eq!(self.last(), meta.last, "the state is another one");
        }
    }
}

fn encode_position(at: usize) -> Bytes {
    Bytes::from(at.to_string())
}

fn decode_position(position: &Bytes) -> usize {
    if position.is_empty() {
        return 0;
    }
    std::str::from_utf8(position).expect("positions are text").parse().expect("a number")
}
