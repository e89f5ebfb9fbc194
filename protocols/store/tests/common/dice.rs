//! Requests made up by dice, over few enough keys that they meet.

use bytes::Bytes;
use quorate_base::Dice;
use quorate_store::*;

pub struct Maker {
    pub dice: Dice,
    pub origins: u64,
    pub alarms: bool,
    next_seq: u64,
}

impl Maker {
    pub fn new(seed: u64) -> Maker {
        Maker { dice: Dice::new(seed), origins: 3, alarms: true, next_seq: 1 }
    }

    pub fn key(&mut self) -> Bytes {
        const LETTERS: [u8; 5] = [0, b'a', b'b', 0xfe, 0xff];
        let length = self.dice.between(1, 3);
        (0..length).map(|_| LETTERS[self.dice.below(5) as usize]).collect()
    }

    pub fn key_range(&mut self) -> KeyRange {
        let key = self.key();
        match self.dice.below(6) {
            0 | 1 => KeyRange::single(key),
            2 => KeyRange::prefix(key),
            3 => KeyRange { key, end: Bytes::from_static(b"\0") },
            4 => KeyRange::all(),
            _rest => KeyRange { key, end: self.key() },
        }
    }

    fn value(&mut self) -> Bytes {
        let length = self.dice.below(4);
        (0..length).map(|_| b'0' + self.dice.below(4) as u8).collect()
    }

    fn flag(&mut self, per_cent: u32) -> bool {
        self.dice.chance(per_cent * 10_000)
    }

    fn lease(&mut self) -> i64 {
        if self.flag(60) { 0 } else { self.dice.between(1, 6) as i64 }
    }

    pub fn put(&mut self) -> Put {
        let (ignore_value, ignore_lease) = (self.flag(10), self.flag(10));
        Put {
            key: self.key(),
            value: if ignore_value { Bytes::new() } else { self.value() },
            lease: if ignore_lease { 0 } else { self.lease() },
            prev_kv: self.flag(50),
            ignore_value,
            ignore_lease,
        }
    }

    pub fn delete(&mut self) -> Delete {
        // Mostly small, so that something is left.
        let range = if self.flag(70) { KeyRange::single(self.key()) } else { self.key_range() };
        Delete { range, prev_kv: self.flag(50) }
    }

    pub fn range(&mut self, revision: i64) -> Range {
        let bound = |maker: &mut Maker| {
            if maker.flag(80) { 0 } else { maker.dice.below(revision as u64 + 2) as i64 - 1 }
        };
        let orders = [SortOrder::None, SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
        let targets = [
            SortTarget::Key,
            SortTarget::Key,
            SortTarget::Version,
            SortTarget::Create,
            SortTarget::Mod,
            SortTarget::Value,
        ];
        Range {
            range: self.key_range(),
            limit: if self.flag(50) { 0 } else { self.dice.below(8) as i64 - 1 },
            revision: if self.flag(40) {
                0
            } else {
                self.dice.below(revision as u64 + 3) as i64 - 1
            },
            order: orders[self.dice.below(4) as usize],
            target: targets[self.dice.below(6) as usize],
            keys_only: self.flag(15),
            count_only: self.flag(15),
            min_mod_revision: bound(self),
            max_mod_revision: bound(self),
            min_create_revision: bound(self),
            max_create_revision: bound(self),
        }
    }

    fn compare(&mut self, revision: i64) -> Compare {
        let number = self.dice.below(revision as u64 + 1) as i64;
        let results = [
            CompareResult::Equal,
            CompareResult::Greater,
            CompareResult::Less,
            CompareResult::NotEqual,
        ];
        let target = match self.dice.below(5) {
            0 => CompareTarget::Version(self.dice.below(3) as i64),
            1 => CompareTarget::Create(number),
            2 => CompareTarget::Mod(number),
            3 => CompareTarget::Value(self.value()),
            _rest => CompareTarget::Lease(self.lease()),
        };
        let range = if self.flag(80) { KeyRange::single(self.key()) } else { self.key_range() };
        Compare { range, result: results[self.dice.below(4) as usize], target }
    }

    fn branch(&mut self, revision: i64, depth: u32, write: bool) -> Vec<TxnOp> {
        (0..self.dice.below(4))
            .map(|_| match self.dice.below(if depth > 0 { 8 } else { 6 }) {
                0 | 1 => TxnOp::Range(self.range(revision)),
                _write if !write => TxnOp::Range(self.range(revision)),
                2 | 3 => TxnOp::Put(self.put()),
                4 | 5 => TxnOp::Delete(self.delete()),
                _rest => TxnOp::Txn(self.any_txn(revision, depth - 1, write)),
            })
            .collect()
    }

    fn any_txn(&mut self, revision: i64, depth: u32, write: bool) -> Txn {
        Txn {
            compares: (0..self.dice.below(3)).map(|_| self.compare(revision)).collect(),
            success: self.branch(revision, depth, write),
            failure: self.branch(revision, depth, write),
        }
    }

    /// A transaction that the API lets through.
    pub fn txn(&mut self, revision: i64) -> Txn {
        loop {
            let txn = self.any_txn(revision, 2, true);
            if validate::check_txn(&txn, validate::MAX_TXN_OPS).is_ok() {
                return txn;
            }
        }
    }

    pub fn read_txn(&mut self, revision: i64) -> Txn {
        self.any_txn(revision, 0, false)
    }

    pub fn action(&mut self, revision: i64, term: u64) -> Action {
        let guess = |maker: &mut Maker| if maker.flag(70) { term } else { maker.dice.below(4) };
        match self.dice.below(100) {
            0..45 => Action::Put(self.put()),
            45..60 => Action::Delete(self.delete()),
            60..80 => Action::Txn(self.txn(revision)),
            80..83 => {
                // Mostly something not far back, now and then nonsense.
                let back = self.dice.below(40) as i64;
                Action::Compact { revision: revision + 2 - back }
            }
            83..90 => Action::LeaseGrant { id: self.dice.between(1, 6) as i64, ttl: 10 },
            90..95 => {
                let term = self.flag(60).then(|| guess(self));
                Action::LeaseRevoke { id: self.dice.between(1, 6) as i64, term }
            }
            95..97 => Action::LeaseCheckpoint {
                term: guess(self),
                remaining: vec![(self.dice.between(1, 6) as i64, self.dice.below(9) as i64)],
            },
            _alarm if !self.alarms => Action::Put(self.put()),
            _rest => Action::Alarm {
                // Cleared far more often than raised, else nothing much happens.
                raise: self.flag(15),
                member: self.dice.below(2),
                kind: if self.flag(70) { AlarmKind::NoSpace } else { AlarmKind::Corrupt },
            },
        }
    }

    /// A command, now and then a copy of an earlier operation.
    pub fn command(&mut self, revision: i64, term: u64) -> Command {
        let action = self.action(revision, term);
        let id = match self.dice.below(4) {
            0 => OpId::default(),
            1 => {
                let seq = self.dice.between(1, self.next_seq);
                OpId { origin: self.dice.below(self.origins), seq, floor: 0 }
            }
            _rest => {
                self.next_seq += 1;
                let floor = self.next_seq.saturating_sub(self.dice.below(30));
                OpId { origin: self.dice.below(self.origins), seq: self.next_seq, floor }
            }
        };
        Command::new(id, action)
    }
}
