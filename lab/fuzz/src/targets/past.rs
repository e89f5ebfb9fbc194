//! The store with all of its past, against the naive model of its own tests: a copy of all pairs for every revision.
//!
//! Beside [`txn_model`](super::model), which knows only the present: here are leases, compactions that are half done,
//! alarms, commands that come twice, reads of every revision, and watchers that begin anywhere.

use bytes::Bytes;
use quorate_store::validate::{self, MAX_TXN_OPS};
use quorate_store::{
    Action, Alarm, AlarmKind, Command, Cursor, Delete, Event, MemView, OpId, Polled, Published,
    Put, Range, ReadError, Ring, Txn, TxnOp, View, Watch,
};

use super::model::{ask, compare, key_range, value};
use super::store::applier;
use crate::Target;
use crate::source::Source;

// The same model as in the store's own tests: there is one place for what is right.
#[allow(dead_code, missing_docs)]
#[path = "../../../../protocols/store/tests/common/model.rs"]
mod naive;

use naive::Model;

/// The term in which everything happens; named by commands that a deposed leader may have made.
const TERM: u64 = 3;

/// Commands, reads, steps of compactions and watchers, drawn from the input.
pub const RANGE_MODEL: Target = Target {
    name: "range_model",
    reads: "commands, reads of the past and watchers, against a naive model of history",
    words: &[],
    seeds: || {
        let spread = |step: usize| (0..500).map(|i| (i * step % 251) as u8).collect();
        vec![spread(7), spread(31), spread(97), spread(101), spread(211)]
    },
    run: |input| {
        let mut world = World {
            store: applier(),
            model: Model::new(),
            ring: Ring::after(1, 600),
            events: Vec::new(),
            index: 0,
        };
        let mut source = Source::new(input);
        while !source.is_empty() {
            world.act(&mut source);
        }
        world.end();
    },
};

struct World {
    store: quorate_store::Applier<quorate_store::MemEngine>,
    model: Model,
    /// Small, so that watchers are served from the engine as well.
    ring: Ring<Event>,
    events: Vec<Event>,
    index: u64,
}

impl World {
    fn act(&mut self, source: &mut Source<'_>) {
        match source.below(16) {
            0..10 => self.command(source),
            10 => drop(self.store.compact_step(source.below(8)).expect("memory does not fail")),
            11 | 12 => {
                let ask = Range { revision: self.revision(source), ..ask(source) };
                let wanted = self.model.range(&ask).map_err(ReadError::Store);
                assert_eq!(self.publish().range(&ask), wanted, "{ask:?}");
            }
            13 => {
                let txn = Txn {
                    compares: (0..source.below(3)).map(|_| compare(source)).collect(),
                    success: vec![TxnOp::Range(ask(source)), TxnOp::Range(ask(source))],
                    failure: vec![TxnOp::Range(ask(source))],
                };
                let wanted = self.model.read_txn(&txn).map_err(ReadError::Store);
                assert_eq!(self.publish().read_txn(&txn), wanted, "{txn:?}");
            }
            _ => self.watch(source),
        }
    }

    /// One command, now and then one that was there before.
    fn command(&mut self, source: &mut Source<'_>) {
        let action = self.action(source);
        if validate::check(&action, MAX_TXN_OPS).is_err() {
            return;
        }
        let seq = source.below(256) as u64 * u64::from(source.below(3) == 0);
        let id = OpId { origin: source.below(2) as u64, seq, floor: seq.saturating_sub(9) };
        let command = Command::new(id, action);
        self.index += 1;
        let outcome = self.store.apply(self.index, TERM, Some(&command));
        let outcome = outcome.expect("memory does not fail");
        assert_eq!(outcome, self.model.apply(TERM, &command), "{command:?}");
    }

    fn action(&mut self, source: &mut Source<'_>) -> Action {
        let lease = |source: &mut Source<'_>| source.below(4) as i64;
        match source.below(16) {
            0..6 => Action::Put(put(source)),
            6 | 7 => Action::Delete(delete(source)),
            8..11 => {
                let ops = |source: &mut Source<'_>| {
                    let count = source.below(4);
                    (0..count).map(|_| op(source)).collect::<Vec<_>>()
                };
                let compares = (0..source.below(3)).map(|_| compare(source)).collect();
                Action::Txn(Txn { compares, success: ops(source), failure: ops(source) })
            }
            11 => Action::Compact { revision: self.revision(source) },
            12 => Action::LeaseGrant { id: 1 + lease(source), ttl: 10 },
            13 => {
                let term = source.coin().then(|| source.below(5) as u64);
                Action::LeaseRevoke { id: 1 + lease(source), term }
            }
            14 => Action::LeaseCheckpoint {
                term: source.below(5) as u64,
                remaining: vec![(1 + lease(source), 7)],
            },
            _ => Action::Alarm {
                raise: source.below(4) == 0,
                member: source.below(2) as u64,
                kind: if source.coin() { AlarmKind::NoSpace } else { AlarmKind::Corrupt },
            },
        }
    }

    /// A revision around those that there are.
    fn revision(&self, source: &mut Source<'_>) -> i64 {
        let back = source.byte();
        if back >= 250 {
            self.model.revision() + 1
        } else {
            self.model.revision() - i64::from(back)
        }
    }

    fn publish(&mut self) -> View<MemView> {
        let Published { view, events, unlisted, .. } =
            self.store.publish().expect("memory does not fail");
        self.ring.push(&events, &unlisted, Event::clone);
        self.events.extend(events);
        view
    }

    /// A watcher from some revision on gets each event of its range once, in order, in whole revisions.
    fn watch(&mut self, source: &mut Source<'_>) {
        let start = self.revision(source).max(0);
        let watch = Watch {
            range: key_range(source),
            no_put: source.below(4) == 0,
            no_delete: source.below(4) == 0,
            prev_kv: source.coin(),
        };
        let budget = 1 + source.below(200);
        let view = self.publish();
        let mut cursor = Cursor::new(watch.clone(), start, view.revision());
        let from = cursor.next();
        let mut got = Vec::new();
        loop {
            let polled = cursor.poll(&view, &self.ring, &Event::clone, budget);
            match polled.expect("memory does not fail") {
                Polled::Compacted { revision } => {
                    assert!(from < revision && got.is_empty(), "from {from}, {got:?}");
                    assert_eq!(revision, self.model.compacted);
                    return;
                }
                Polled::Batch(batch) => {
                    got.extend(batch.events.into_iter().map(|delivery| delivery.encoded));
                    if batch.next > view.revision() {
                        break;
                    }
                }
            }
        }
        assert!(from >= self.model.compacted || from > view.revision(), "from {from}");
        let is_wanted = |event: &&Event| {
            let filtered = if event.delete { watch.no_delete } else { watch.no_put };
            !filtered && event.kv.mod_revision >= from && watch.range.contains(&event.kv.key)
        };
        let plain = |event: &Event| (event.delete, event.kv.clone());
        let wanted: Vec<_> = self.model.events.iter().filter(is_wanted).map(plain).collect();
        assert_eq!(got.iter().map(plain).collect::<Vec<_>>(), wanted, "{watch:?} from {from}");
    }

    /// Everything that is left of the past, before and after the compaction is done.
    fn end(&mut self) {
        loop {
            let view = self.publish();
            assert_eq!(self.events, self.model.events);
            for revision in self.model.compacted.max(1)..=self.model.revision() {
                let ask =
                    Range { range: quorate_store::KeyRange::all(), revision, ..Range::default() };
                assert_eq!(view.range(&ask).ok(), self.model.range(&ask).ok(), "at {revision}");
            }
            for id in 1..=4 {
                assert_eq!(view.lease_keys(id).expect("memory"), self.model.lease_keys(id));
            }
            let alarms: Vec<Alarm> = view.alarms().iter().copied().collect();
            assert_eq!(alarms, self.model.alarms.iter().copied().collect::<Vec<_>>());
            if view.swept() == view.compacted() {
                return;
            }
            while !self.store.compact_step(5).expect("memory does not fail") {}
        }
    }
}

fn op(source: &mut Source<'_>) -> TxnOp {
    match source.below(6) {
        0..3 => TxnOp::Put(put(source)),
        3 => TxnOp::Delete(delete(source)),
        4 => TxnOp::Txn(Txn { success: vec![TxnOp::Put(put(source))], ..Txn::default() }),
        _ => TxnOp::Range(ask(source)),
    }
}

fn put(source: &mut Source<'_>) -> Put {
    let flags = source.byte();
    let (ignore_value, ignore_lease) = (flags & 7 == 7, flags >> 3 & 7 == 7);
    Put {
        key: source.key(),
        value: if ignore_value { Bytes::new() } else { value(source) },
        lease: if ignore_lease { 0 } else { source.below(8).saturating_sub(4) as i64 },
        prev_kv: flags & 0x80 != 0,
        ignore_value,
        ignore_lease,
    }
}

fn delete(source: &mut Source<'_>) -> Delete {
    Delete { range: key_range(source), prev_kv: source.coin() }
}
