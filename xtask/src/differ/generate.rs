//! Draws requests.
//!
//! The keys are twelve, so that requests meet: prefixes of each other, a zero byte at an end, the largest byte. Twelve
//! is also the largest number that Go's sort keeps in order among equals, which is what makes sorts by version or value
//! comparable. Most requests are sensible; each field is absurd now and then. What else an episode is about (users, locks,
//! alarms, large values) is drawn first: see [`Style`].
//!
//! Left out, because the difference is meant: a put and a delete of one key in two transactions side by side, where etcd
//! looks at the order in which they stand; and relations and targets of compares that do not exist.

use bytes::Bytes;
use quorate_base::Dice;
use quorate_wire::etcd::etcdserverpb::compare::TargetUnion;
use quorate_wire::etcd::etcdserverpb::request_op::Request;
use quorate_wire::etcd::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseTimeToLiveRequest,
    PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
};
use quorate_wire::etcd::v3electionpb::LeaderKey;

use super::op::{AuthOp, BASE, Caller, LEASE, Op, Request as Sent, STREAMS};
use super::people;
use super::siblings::{puts_into_tail, siblings_meet};

/// Every key that is ever written.
const KEYS: [&[u8]; 12] =
    [b"a", b"a\0", b"aa", b"ab", b"b", b"b/1", b"b/2", b"b/3", b"c", b"k\xff", b"m", b"\xff\xff"];

/// So many of them where locks and elections add keys of their own.
const KEYS_BESIDE_LINES: usize = 8;

/// Bytes of a large value: fifteen of them make an answer that is split.
const LARGE: usize = 40_000;

/// Transactions inside of transactions.
const DEPTH: usize = 3;

/// What the etcd at hand can do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Its minor version: 7 of 3.7.
    pub minor: u32,
}

/// What an episode is about.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Authentication is on, and several users call.
    pub auth: bool,
    /// Locks and elections.
    pub lines: bool,
    /// Alarms are raised and taken back.
    pub alarms: bool,
    /// Learners come and go.
    pub members: bool,
    /// Values are large, and answers to watchers are split.
    pub large: bool,
    /// After every request both sides get time to tell all that there is: headers of events are compared as well.
    pub lockstep: bool,
}

impl Style {
    /// Draws what an episode is about.
    pub fn draw(dice: &mut Dice) -> Style {
        let mut one_in = |times| dice.below(times) == 0;
        Style {
            auth: one_in(3),
            lines: one_in(3),
            alarms: one_in(5),
            members: one_in(5),
            large: one_in(6),
            lockstep: one_in(3),
        }
    }
}

/// What has happened so far, as far as sensible requests need to know.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The newest revision.
    pub revision: i64,
    /// The compacted revision.
    pub compacted: i64,
    /// The proof of the last election that was won.
    pub won: Option<LeaderKey>,
}

impl Seen {
    /// The beginning of an episode.
    pub const START: Seen = Seen { revision: BASE, compacted: BASE, won: None };
}

/// The dice of one episode and what they have said that later requests refer to.
pub struct Source {
    dice: Dice,
    limits: Limits,
    style: Style,
    /// What comes first, last one first.
    founding: Vec<AuthOp>,
    leases: i64,
    learners: u64,
    watchers: [i64; STREAMS],
    seen: Seen,
}

impl Source {
    /// Requests of one episode.
    pub fn new(mut dice: Dice, limits: Limits, style: Style) -> Source {
        let mut founding = if style.auth { people::founding(&mut dice, &KEYS) } else { Vec::new() };
        founding.reverse();
        Source {
            dice,
            limits,
            style,
            founding,
            leases: 0,
            learners: 0,
            watchers: [0; STREAMS],
            seen: Seen::START,
        }
    }

    /// The next request.
    pub fn next(&mut self, seen: &Seen) -> Sent {
        self.seen = seen.clone();
        if let Some(op) = self.founding.pop() {
            // Whoever logs in has no token yet, and before that nobody needs one.
            return Sent { caller: Caller::Nobody, op: Op::Auth(op) };
        }
        let op = match self.special() {
            Some(op) => op,
            None => self.common(),
        };
        let caller = if self.style.auth { people::caller(&mut self.dice) } else { Caller::Nobody };
        // Changes of users and roles are root's, or most of them would change nothing.
        let root = matches!(op, Op::Auth(_) | Op::Cluster(_)) && !self.rarely(4);
        let caller = if self.style.auth && root { Caller::User(people::ROOT) } else { caller };
        Sent { caller, op }
    }

    /// A request about what this episode is about, beside keys; now and then about anything.
    fn special(&mut self) -> Option<Op> {
        let often = |set: bool, times: usize| if set { times } else { 1 };
        let auth = often(self.style.auth, 10);
        let line = auth + if self.style.lines { 16 } else { 0 };
        let cluster = line + often(self.style.alarms || self.style.members, 6);
        let number = self.below(100);
        if number < auth {
            let key = self.key();
            Some(Op::Auth(people::auth(&mut self.dice, self.style.auth, key)))
        } else if number < line {
            let (key, value) = (self.key(), self.value());
            Some(Op::Line(people::line(&mut self.dice, self.seen.won.as_ref(), key, value)))
        } else if number < cluster {
            let Style { members, alarms, .. } = self.style;
            let op = people::cluster(&mut self.dice, &mut self.learners, members, alarms);
            Some(Op::Cluster(op))
        } else {
            None
        }
    }

    fn common(&mut self) -> Op {
        match self.dice.below(100) {
            0..22 => Op::Range(self.range()),
            22..25 if self.limits.minor >= 7 => Op::RangeStream(self.plain_range()),
            22..50 => Op::Put(self.put()),
            50..58 => Op::Delete(self.delete()),
            58..80 => Op::Txn(self.txn()),
            // Split answers need a history.
            80..82 if !self.style.large || self.rarely(6) => Op::Compact(self.compaction()),
            82..85 => self.grant(),
            85 => self.revoke(),
            86..88 => {
                Op::TimeToLive(LeaseTimeToLiveRequest { id: self.lease(), keys: self.coin() })
            }
            88 => Op::Leases,
            89 => Op::KeepAlive(self.lease()),
            90..96 => self.watch(),
            96..98 => self.cancel(),
            _ => Op::Progress(self.stream()),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.dice.below(bound as u64) as usize
    }

    fn coin(&mut self) -> bool {
        self.dice.below(2) == 0
    }

    /// True once in `times`.
    fn rarely(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    fn stream(&mut self) -> usize {
        self.below(STREAMS)
    }

    fn key(&mut self) -> Bytes {
        if self.rarely(60) {
            return Bytes::from_static([&b""[..], b"\0", b"nobody"][self.below(3)]);
        }
        let keys = if self.style.lines { KEYS_BESIDE_LINES } else { KEYS.len() };
        Bytes::from_static(KEYS[self.below(keys)])
    }

    /// The end of an interval that begins with `key`: none, everything, its prefix, or any other.
    fn end(&mut self, key: &Bytes) -> Bytes {
        let end = match self.below(8) {
            0..3 => Bytes::new(),
            3 => Bytes::from_static(b"\0"),
            4 | 5 => prefix_end(key),
            6 => self.key(),
            _ => Bytes::from_static(b"z"),
        };
        // Who may look into an interval that holds nothing is a matter of taste (docs/etcd-differences.md).
        if self.style.auth && end != "\0" && end <= *key { Bytes::new() } else { end }
    }

    fn interval(&mut self) -> (Bytes, Bytes) {
        let key = if self.rarely(10) { Bytes::from_static(b"\0") } else { self.key() };
        let end = self.end(&key);
        (key, end)
    }

    fn value(&mut self) -> Bytes {
        if self.style.large && self.rarely(3) {
            return Bytes::from(vec![b'a' + self.below(26) as u8; LARGE]);
        }
        match self.below(10) {
            0 => Bytes::new(),
            1 => Bytes::from(vec![b'v'; 300]),
            number => Bytes::from(format!("{}", number * 3 % 7)),
        }
    }

    /// A revision somewhere around what exists, now and then beyond it or absurd.
    fn revision(&mut self) -> i64 {
        if self.rarely(40) {
            return [-1, i64::MAX, i64::MIN, 1][self.below(4)];
        }
        let low = (self.seen.compacted - 2).max(BASE - 1) as u64;
        self.dice.between(low, self.seen.revision as u64 + 2) as i64
    }

    /// A revision, or zero in most cases.
    fn maybe_revision(&mut self, times: u64) -> i64 {
        if self.rarely(times) { self.revision() } else { 0 }
    }

    /// A lease that was granted, or may have been, or none.
    fn lease(&mut self) -> i64 {
        match self.below(12) {
            0 => 0,
            1 => LEASE + 400_000,
            2 => [-5, i64::MAX][self.below(2)],
            _ if self.leases == 0 => LEASE,
            _ => LEASE + self.dice.below(self.leases as u64) as i64,
        }
    }

    /// A range without what a stream of ranges cannot do in the same way.
    fn plain_range(&mut self) -> RangeRequest {
        let mut request = self.range();
        (request.sort_order, request.sort_target) = (0, 0);
        request
    }

    fn range(&mut self) -> RangeRequest {
        let (key, range_end) = self.interval();
        let limit = match self.below(12) {
            0 => [-1, i64::MAX, i64::MIN][self.below(3)],
            1..5 => self.below(6) as i64,
            _ => 0,
        };
        let sorted = self.rarely(3);
        RangeRequest {
            key,
            range_end,
            limit,
            revision: self.maybe_revision(3),
            sort_order: if sorted { self.below(3) as i32 } else { 0 } + self.absurd(),
            sort_target: if sorted { self.below(5) as i32 } else { 0 } + self.absurd(),
            serializable: self.rarely(4),
            keys_only: self.rarely(5),
            count_only: self.rarely(8),
            min_mod_revision: self.maybe_revision(10),
            max_mod_revision: self.maybe_revision(10),
            min_create_revision: self.maybe_revision(10),
            max_create_revision: self.maybe_revision(10),
        }
    }

    /// What makes an enumeration's number unknown, once in a while.
    fn absurd(&mut self) -> i32 {
        if self.rarely(150) { [7, -9][self.below(2)] } else { 0 }
    }

    fn put(&mut self) -> PutRequest {
        let ignore_value = self.rarely(12);
        let ignore_lease = self.rarely(12);
        let with_lease = self.rarely(4);
        PutRequest {
            key: self.key(),
            value: if ignore_value && !self.rarely(4) { Bytes::new() } else { self.value() },
            lease: if with_lease && (!ignore_lease || self.rarely(4)) { self.lease() } else { 0 },
            prev_kv: self.rarely(3),
            ignore_value,
            ignore_lease,
        }
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        let (key, mut range_end) = self.interval();
        if self.coin() {
            range_end = Bytes::new();
        }
        DeleteRangeRequest { key, range_end, prev_kv: self.coin() }
    }

    fn compaction(&mut self) -> CompactionRequest {
        CompactionRequest { revision: self.revision(), physical: self.coin() }
    }

    fn grant(&mut self) -> Op {
        if self.rarely(8) {
            return Op::GrantShort([0, 1, -1, 2, 3][self.below(5)]);
        }
        // Times to live are far apart and never the same, so that the order by expiry is one order.
        let again = self.leases > 0 && self.rarely(10);
        let number = if again { self.below(self.leases as usize) as i64 } else { self.leases };
        let shuffled = (number * 37) % 101 + 101 * (number / 101);
        let ttl = if self.rarely(15) {
            [9_000_000_001, i64::MAX][self.below(2)]
        } else {
            1000 + 100 * shuffled
        };
        if !again {
            self.leases += 1;
        }
        let lease = LEASE + number;
        // Who stands in line has the lease's id in its key.
        let id = if again || self.style.lines || self.coin() { lease } else { 0 };
        Op::Grant { request: LeaseGrantRequest { ttl, id }, lease }
    }

    fn revoke(&mut self) -> Op {
        Op::Revoke(self.lease())
    }

    fn watch(&mut self) -> Op {
        let stream = self.stream();
        let (mut key, mut range_end) = self.interval();
        let filters = if self.rarely(3) {
            (0..1 + self.below(2)).map(|_| self.below(2) as i32 + self.absurd()).collect()
        } else {
            Vec::new()
        };
        self.watchers[stream] += 1;
        let mut start_revision = self.maybe_revision(2);
        if self.style.large && self.coin() {
            (key, range_end) = (Bytes::from_static(b"\0"), Bytes::from_static(b"\0"));
            start_revision = self.seen.compacted;
        }
        // What lies below zero is refused by 3.6 and later only, and replays everything before.
        if self.limits.minor < 6 {
            start_revision = start_revision.max(0);
        }
        Op::Watch(
            stream,
            WatchCreateRequest {
                key,
                range_end,
                start_revision,
                progress_notify: self.rarely(5),
                filters,
                prev_kv: self.rarely(3),
                watch_id: if self.rarely(6) { self.below(6) as i64 } else { 0 },
                fragment: self.rarely(if self.style.large { 2 } else { 4 }),
            },
        )
    }

    fn cancel(&mut self) -> Op {
        let stream = self.stream();
        let id = self.dice.below(self.watchers[stream] as u64 + 2) as i64;
        Op::Cancel(stream, if self.rarely(30) { -1 } else { id })
    }

    fn txn(&mut self) -> TxnRequest {
        if self.rarely(60) {
            let count = 126 + self.below(5);
            let success = (0..count).map(|_| operation(Request::RequestRange(self.range())));
            return TxnRequest { success: success.collect(), ..TxnRequest::default() };
        }
        loop {
            let txn = self.txn_of(DEPTH);
            if !siblings_meet(&txn) && !puts_into_tail(&txn) {
                return txn;
            }
        }
    }

    fn txn_of(&mut self, depth: usize) -> TxnRequest {
        let compares = [0, 1, 1, 2, 3][self.below(5)];
        TxnRequest {
            compare: (0..compares).map(|_| self.compare()).collect(),
            success: self.branch(depth),
            failure: self.branch(depth),
        }
    }

    fn branch(&mut self, depth: usize) -> Vec<RequestOp> {
        let count = [0, 1, 1, 2, 3][self.below(5)];
        let mut branch = Vec::new();
        for _ in 0..count {
            let request = match self.below(20) {
                0 if self.rarely(8) => None,
                0..7 => Some(Request::RequestRange(self.range())),
                7..14 => Some(Request::RequestPut(self.put())),
                14..17 => Some(Request::RequestDeleteRange(self.delete())),
                _ if depth > 1 => Some(Request::RequestTxn(self.txn_of(depth - 1))),
                _ => Some(Request::RequestRange(self.range())),
            };
            branch.push(RequestOp { request });
        }
        branch
    }

    fn compare(&mut self) -> Compare {
        let target = self.below(5) as i32;
        let named = if self.rarely(40) { self.below(5) as i32 } else { target };
        let target_union = match named {
            0 => TargetUnion::Version(self.below(4) as i64),
            1 => TargetUnion::CreateRevision(self.maybe_revision(2)),
            2 => TargetUnion::ModRevision(self.maybe_revision(2)),
            // Where it is not what is compared, ours does not count it among a request's bytes.
            3 if target == 3 => TargetUnion::Value(self.value()),
            3 => TargetUnion::Value(Bytes::from_static(b"4")),
            _ => TargetUnion::Lease(self.lease()),
        };
        let key = self.key();
        let range_end = if self.rarely(4) { self.end(&key) } else { Bytes::new() };
        // Ids of leases that a server chose are in no order that both sides share.
        let results: &[i32] = if target == 4 { &[0, 3] } else { &[0, 1, 2, 3] };
        Compare {
            result: results[self.below(results.len())],
            target,
            key,
            range_end,
            target_union: if self.rarely(60) { None } else { Some(target_union) },
        }
    }
}

fn operation(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

/// The end of the interval of all keys that begin with `key`.
pub fn prefix_end(key: &Bytes) -> Bytes {
    let mut end = key.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end.into();
        }
        end.pop();
    }
    Bytes::from_static(b"\0")
}
