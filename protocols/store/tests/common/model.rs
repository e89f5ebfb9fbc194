//! etcd's semantics the slow, obvious way: a copy of all pairs for every revision there ever was.

use bytes::Bytes;
use quorate_store::*;
use std::collections::{BTreeMap, BTreeSet};

type State = BTreeMap<Bytes, KeyValue>;

#[derive(Clone, Debug)]
pub struct Model {
    /// The pairs at each revision; revision 0 does not exist.
    pub states: Vec<State>,
    pub compacted: i64,
    pub leases: BTreeMap<i64, i64>,
    pub remaining: BTreeMap<i64, i64>,
    pub alarms: BTreeSet<Alarm>,
    pub events: Vec<Event>,
    pub seen: BTreeSet<(u64, u64)>,
    pub floors: BTreeMap<u64, u64>,
}

/// Changes under way: the state as the transaction sees it.
struct Work {
    state: State,
    revision: i64,
    events: Vec<Event>,
}

impl Model {
    pub fn new() -> Model {
        Model {
            states: vec![State::new(), State::new()],
            compacted: -1,
            leases: BTreeMap::new(),
            remaining: BTreeMap::new(),
            alarms: BTreeSet::new(),
            events: Vec::new(),
            seen: BTreeSet::new(),
            floors: BTreeMap::new(),
        }
    }

    pub fn revision(&self) -> i64 {
        self.states.len() as i64 - 1
    }

    fn now(&self) -> &State {
        self.states.last().unwrap()
    }

    /// `None` for a duplicate.
    pub fn apply(&mut self, term: u64, command: &Command) -> Option<Outcome> {
        let id = command.id;
        if id.seq > 0 {
            let floor = self.floors.entry(id.origin).or_default();
            let old = id.seq < *floor;
            *floor = (*floor).max(id.floor);
            if old || !self.seen.insert((id.origin, id.seq)) {
                return None;
            }
        }
        let result = self.perform(term, &command.action);
        Some(Outcome { revision: self.revision(), result })
    }

    fn perform(&mut self, term: u64, action: &Action) -> Result<Answer, StoreError> {
        self.check_alarms(action)?;
        match action {
            Action::Put(put) => self.one(TxnOp::Put(put.clone())),
            Action::Delete(delete) => self.one(TxnOp::Delete(delete.clone())),
            Action::Txn(txn) => self.txn(txn),
            Action::Compact { revision } => {
                if *revision <= self.compacted {
                    let compacted = self.compacted;
                    return Err(StoreError::Compacted { asked: *revision, compacted });
                }
                if *revision > self.revision() {
                    let current = self.revision();
                    return Err(StoreError::FutureRevision { asked: *revision, current });
                }
                self.compacted = *revision;
                Ok(Answer::Compact)
            }
            Action::LeaseGrant { id, ttl } => {
                if self.leases.contains_key(id) {
                    return Err(StoreError::LeaseExists);
                }
                self.leases.insert(*id, *ttl);
                Ok(Answer::LeaseGrant { id: *id, ttl: *ttl })
            }
            Action::LeaseRevoke { id, term: named } => {
                if named.is_some_and(|named| named != term) {
                    return Ok(Answer::LeaseRevoke);
                }
                if self.leases.remove(id).is_none() {
                    return Err(StoreError::LeaseNotFound);
                }
                self.remaining.remove(id);
                let mut work = self.work();
                for key in self.lease_keys(*id) {
                    work.delete(&KeyRange::single(key));
                }
                self.commit(work);
                Ok(Answer::LeaseRevoke)
            }
            Action::LeaseCheckpoint { term: named, remaining } => {
                for (id, left) in remaining {
                    if *named == term && self.leases.contains_key(id) {
                        self.remaining.insert(*id, *left);
                    }
                }
                Ok(Answer::LeaseCheckpoint)
            }
            Action::Guard(_) => unreachable!("guards have an evaluator of their own"),
            Action::Alarm { raise, member, kind } => {
                let alarm = Alarm { member: *member, kind: *kind };
                let known = if *raise {
                    self.alarms.insert(alarm);
                    true
                } else {
                    self.alarms.remove(&alarm)
                };
                Ok(Answer::Alarm { alarms: known.then_some(alarm).into_iter().collect() })
            }
            Action::Member(_) => unreachable!("members have tests of their own"),
            Action::Auth(_) | Action::Downgrade(_) | Action::AuditCheckpoint { .. } => {
                panic!("users and roles have a model of their own: auth.rs")
            }
        }
    }

    fn check_alarms(&self, action: &Action) -> Result<(), StoreError> {
        fn puts(txn: &Txn) -> bool {
            txn.success.iter().chain(&txn.failure).any(|op| match op {
                TxnOp::Put(_) => true,
                TxnOp::Txn(txn) => puts(txn),
                TxnOp::Range(_) | TxnOp::Delete(_) => false,
            })
        }
        let on = |kind| self.alarms.iter().any(|alarm| alarm.kind == kind);
        if matches!(action, Action::Alarm { .. }) {
            return Ok(());
        }
        if on(AlarmKind::Corrupt) {
            return Err(StoreError::Corrupt);
        }
        let space = match action {
            Action::Put(_) | Action::LeaseGrant { .. } => true,
            Action::Txn(txn) => puts(txn),
            _other => false,
        };
        if space && on(AlarmKind::NoSpace) { Err(StoreError::NoSpace) } else { Ok(()) }
    }

    pub fn lease_keys(&self, id: i64) -> Vec<Bytes> {
        self.now().values().filter(|kv| kv.lease == id).map(|kv| kv.key.clone()).collect()
    }

    fn work(&self) -> Work {
        Work { state: self.now().clone(), revision: self.revision() + 1, events: Vec::new() }
    }

    fn commit(&mut self, work: Work) {
        if !work.events.is_empty() {
            self.states.push(work.state);
            self.events.extend(work.events);
        }
    }

    fn one(&mut self, op: TxnOp) -> Result<Answer, StoreError> {
        let txn = Txn { success: vec![op], ..Txn::default() };
        match self.txn(&txn)? {
            Answer::Txn { mut answers, .. } => Ok(answers.remove(0)),
            other => panic!("{other:?}"),
        }
    }

    fn txn(&mut self, txn: &Txn) -> Result<Answer, StoreError> {
        let chosen = self.choose(txn);
        self.check(&chosen)?;
        let mut work = self.work();
        let answer = self.run(&chosen, &mut work);
        self.commit(work);
        Ok(answer)
    }

    /// The branches taken, with every compare of the tree looked at before anything is done.
    fn choose(&self, txn: &Txn) -> Chosen {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let ops = ops
            .iter()
            .map(|op| match op {
                TxnOp::Txn(nested) => Step::Txn(self.choose(nested)),
                plain => Step::Plain(plain.clone()),
            })
            .collect();
        Chosen { succeeded, ops }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let related = |order: std::cmp::Ordering| match compare.result {
            CompareResult::Equal => order.is_eq(),
            CompareResult::Greater => order.is_gt(),
            CompareResult::Less => order.is_lt(),
            CompareResult::NotEqual => order.is_ne(),
        };
        let one = |kv: &KeyValue| match &compare.target {
            CompareTarget::Version(n) => related(kv.version.cmp(n)),
            CompareTarget::Create(n) => related(kv.create_revision.cmp(n)),
            CompareTarget::Mod(n) => related(kv.mod_revision.cmp(n)),
            CompareTarget::Value(value) => related(kv.value.cmp(value)),
            CompareTarget::Lease(n) => related(kv.lease.cmp(n)),
        };
        let found: Vec<_> =
            self.now().values().filter(|kv| compare.range.contains(&kv.key)).collect();
        if found.is_empty() {
            return !matches!(compare.target, CompareTarget::Value(_)) && one(&KeyValue::default());
        }
        found.into_iter().all(one)
    }

    fn check(&self, chosen: &Chosen) -> Result<(), StoreError> {
        for step in &chosen.ops {
            match step {
                Step::Txn(nested) => self.check(nested)?,
                Step::Plain(TxnOp::Range(range)) if range.revision < 0 => {
                    let (asked, compacted) = (range.revision, self.compacted);
                    return Err(StoreError::Compacted { asked, compacted });
                }
                Step::Plain(TxnOp::Range(range)) => self.check_revision(range.revision)?,
                Step::Plain(TxnOp::Put(put)) => {
                    if put.lease != 0 && !self.leases.contains_key(&put.lease) {
                        return Err(StoreError::LeaseNotFound);
                    }
                    let ignores = put.ignore_value || put.ignore_lease;
                    if ignores && !self.now().contains_key(&put.key) {
                        return Err(StoreError::KeyNotFound);
                    }
                }
                Step::Plain(_) => {}
            }
        }
        Ok(())
    }

    fn check_revision(&self, asked: i64) -> Result<(), StoreError> {
        if asked > self.revision() {
            return Err(StoreError::FutureRevision { asked, current: self.revision() });
        }
        if asked > 0 && asked < self.compacted {
            return Err(StoreError::Compacted { asked, compacted: self.compacted });
        }
        Ok(())
    }

    fn run(&self, chosen: &Chosen, work: &mut Work) -> Answer {
        let answers = chosen
            .ops
            .iter()
            .map(|step| match step {
                Step::Txn(nested) => self.run(nested, work),
                Step::Plain(TxnOp::Range(ask)) => {
                    let old = ask.revision > 0
                        && (ask.revision < self.revision() || !work.events.is_empty());
                    let state = if old { &self.states[ask.revision as usize] } else { &work.state };
                    Answer::Range(range_of(state, ask))
                }
                Step::Plain(TxnOp::Put(put)) => {
                    let prev = work.put(put);
                    Answer::Put { prev: prev.filter(|_| put.prev_kv) }
                }
                Step::Plain(TxnOp::Delete(delete)) => {
                    let gone = work.delete(&delete.range);
                    let deleted = gone.len() as i64;
                    Answer::Delete { deleted, prev: if delete.prev_kv { gone } else { vec![] } }
                }
                Step::Plain(TxnOp::Txn(_)) => unreachable!("taken apart when choosing"),
            })
            .collect();
        Answer::Txn { succeeded: chosen.succeeded, answers }
    }

    pub fn range(&self, ask: &Range) -> Result<RangeAnswer, StoreError> {
        self.check_revision(ask.revision)?;
        let at = if ask.revision > 0 { ask.revision } else { self.revision() };
        Ok(range_of(&self.states[at as usize], ask))
    }

    pub fn read_txn(&self, txn: &Txn) -> Result<Answer, StoreError> {
        let chosen = self.choose(txn);
        self.check(&chosen)?;
        Ok(self.run(&chosen, &mut self.work()))
    }
}

struct Chosen {
    succeeded: bool,
    ops: Vec<Step>,
}

enum Step {
    Plain(TxnOp),
    Txn(Chosen),
}

impl Work {
    fn put(&mut self, put: &Put) -> Option<KeyValue> {
        let prev = self.state.get(&put.key).cloned();
        let old = prev.clone().unwrap_or_default();
        let kv = KeyValue {
            key: put.key.clone(),
            value: if put.ignore_value { old.value } else { put.value.clone() },
            create_revision: if prev.is_some() { old.create_revision } else { self.revision },
            mod_revision: self.revision,
            version: old.version + 1,
            lease: if put.ignore_lease { old.lease } else { put.lease },
        };
        self.state.insert(put.key.clone(), kv.clone());
        self.events.push(Event { delete: false, kv, prev: prev.clone() });
        prev
    }

    fn delete(&mut self, range: &KeyRange) -> Vec<KeyValue> {
        let keys: Vec<_> = self.state.keys().filter(|key| range.contains(key)).cloned().collect();
        keys.into_iter()
            .map(|key| {
                let gone = self.state.remove(&key).unwrap();
                let kv = KeyValue { key, mod_revision: self.revision, ..KeyValue::default() };
                self.events.push(Event { delete: true, kv, prev: Some(gone.clone()) });
                gone
            })
            .collect()
    }
}

/// A range over a plain map, in the order in which etcd does things.
fn range_of(state: &State, ask: &Range) -> RangeAnswer {
    let all: Vec<&KeyValue> = state.values().filter(|kv| ask.range.contains(&kv.key)).collect();
    let count = all.len() as i64;
    if ask.count_only {
        return RangeAnswer { count, ..RangeAnswer::default() };
    }
    let off = |bound: i64, ok: bool| bound == 0 || ok;
    let filters = [
        ask.min_mod_revision,
        ask.max_mod_revision,
        ask.min_create_revision,
        ask.max_create_revision,
    ];
    let mut fetch = all.len();
    if ask.order == SortOrder::None && filters == [0; 4] && ask.limit > 0 {
        fetch = (ask.limit as usize).saturating_add(1);
    }
    let mut kvs: Vec<KeyValue> = all.into_iter().take(fetch).cloned().collect();
    kvs.retain(|kv| {
        off(filters[0], kv.mod_revision >= filters[0])
            && off(filters[1], kv.mod_revision <= filters[1])
            && off(filters[2], kv.create_revision >= filters[2])
            && off(filters[3], kv.create_revision <= filters[3])
    });
    if ask.target != SortTarget::Key || ask.order != SortOrder::None {
        kvs.sort_by(|a, b| {
            let order = match ask.target {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            };
            if ask.order == SortOrder::Descend { order.reverse() } else { order }
        });
    }
    let more = ask.limit > 0 && kvs.len() as i64 > ask.limit;
    if more {
        kvs.truncate(ask.limit as usize);
    }
    if ask.keys_only {
        for kv in &mut kvs {
            kv.value = Bytes::new();
            if ask.target != SortTarget::Value {
                kv.lease = 0;
            }
        }
    }
    RangeAnswer { kvs, more, count }
}
