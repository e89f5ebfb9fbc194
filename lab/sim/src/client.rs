//! Clients of a simulated server: they write, read, hold leases and watch, and retry elsewhere.
//!
//! A client has at most one question under way and a watch beside it. A write is retried with the
//! same operation id, at another member, until it is known to be applied or the client gives it up;
//! then it may still happen, once. What a client knows (the newest revision that it was told, its
//! place in the watch) outlives its connections, as it does in the product's client.

mod guards;
mod leases;
mod reads;

use crate::journal::Journal;
use crate::operator::{self, Operator};
use crate::oracles::history::History;
use crate::oracles::{Violation, expect};
use crate::replica::machine::{App, Machine};
use crate::server::members::serves;
use crate::server::{PATIENCE, ServerWorld, ask, number};
use crate::store_app::{Commands, News};
use crate::swarm::Plan;
use crate::trace::{Heard, What};
use crate::watcher::{Watching, watch};
use bytes::Bytes;
use leases::{Promise, begin_renewal, elapsed, judge_expiry, promise_life};
pub use leases::{note_leaders, renewed};
use quorate_base::{Dice, Instant, NodeId};
use quorate_node::{Node, Request};
use quorate_store::{
    Action, Caller, Command, Compare, CompareResult, CompareTarget, Delete, KeyRange, OpId,
    Outcome, Put, Range, StoreError, Txn, TxnOp,
};
pub use reads::admitted;
use reads::{answer_read, begin_read, read_stale};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Keys that everybody writes to: few, so that writes meet.
const KEYS: u64 = 12;
/// Without an answer for so long, a client asks elsewhere.
const IMPATIENCE: Duration = Duration::from_millis(1_500);
/// Seconds that leases live: short, so that they expire while there is chaos.
const TTL: i64 = 3;
/// Operations that each client finishes in peace.
const IN_PEACE: u32 = 4;

/// What a client waits for.
#[derive(Clone, Debug)]
enum Waiting {
    Nothing,
    /// For a write to be applied.
    Write {
        id: OpId,
        payload: Bytes,
        at: NodeId,
        since: Instant,
        /// When it was asked for first: an earlier copy may be the one that is applied.
        began: Vec<Duration>,
    },
    /// For a read index, and then for the state to reach it.
    Read {
        token: u64,
        at: NodeId,
        floor: i64,
        range: KeyRange,
        index: Option<u64>,
        since: Instant,
    },
    /// For a lease to be renewed.
    Renewal {
        token: u64,
        lease: i64,
        at: NodeId,
        since: Instant,
        /// What the clocks had gone when it was asked for.
        began: Vec<Duration>,
    },
}

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    seq: u64,
    waiting: Waiting,
    /// The number of what it waits for.
    operation: u64,
    /// The newest revision that it was told.
    seen: i64,
    pub(crate) watching: Watching,
    done_in_peace: u32,
}

/// All clients, and what is known of the truth.
pub struct Clients {
    /// Every command of this world.
    pub commands: Commands,
    /// The naive store.
    pub history: History,
    pub(crate) clients: Vec<Client>,
    next_token: u64,
    /// No write acknowledged so far has a greater revision.
    acknowledged: i64,
    /// When members give up what they were asked to propose, as the product's host does: without
    /// that, a member that got the outcome inside of a snapshot would propose copies for ever.
    patience: VecDeque<(Instant, NodeId, u64)>,
    /// What they saw, if somebody wants to know.
    pub journal: Journal,
    /// What leaders want in the log, until their hosts get to it; and whose host gets to it only when
    /// its member leads the next time.
    acts: Vec<Bytes>,
    held_acts: Vec<(NodeId, u64)>,
    /// When two members believed at once that they lead: what a deposed one says of leases binds
    /// nobody (etcd's keep-alive asks no quorum either).
    two_led_at: Option<Instant>,
    /// What was promised of each lease.
    promises: BTreeMap<i64, Promise>,
    /// Who changes the members.
    pub operator: Operator,
}

impl Clients {
    /// Clients that have not begun.
    pub fn new(plan: &Plan, dice: &mut Dice) -> Clients {
        let client = |_| {
            let key = key(dice.below(KEYS));
            let prefix = dice.below(2) == 0;
            let range = if prefix { KeyRange::prefix("k") } else { KeyRange::single(key) };
            let watching = Watching::new(range, dice);
            Client {
                seq: 0,
                waiting: Waiting::Nothing,
                operation: 0,
                seen: 0,
                watching,
                done_in_peace: 0,
            }
        };
        Clients {
            commands: Commands::default(),
            history: History::default(),
            clients: (0..plan.clients).map(client).collect(),
            next_token: 1,
            acknowledged: 0,
            patience: VecDeque::new(),
            journal: Journal::default(),
            acts: Vec::new(),
            held_acts: Vec::new(),
            two_led_at: None,
            promises: BTreeMap::new(),
            operator: Operator::default(),
        }
    }

    /// True when each has done in peace what it wanted.
    pub fn is_finished(&self) -> bool {
        let done = self.clients.iter().all(|client| {
            let free = matches!(client.waiting, Waiting::Nothing);
            let watched = client.watching.next > self.history.revision();
            free && watched && client.done_in_peace >= IN_PEACE
        });
        // Nobody renews any more: each lease must come to its end.
        done && self.history.leases().next().is_none()
    }

    /// A member gives up an operation of its client at this moment.
    pub fn forget_later(&mut self, at: Instant, member: NodeId, seq: u64) {
        self.patience.push_back((at, member, seq));
    }

    /// Keeps what a leader wants in the log, under a number.
    pub fn plan_act(&mut self, payload: Bytes) -> u64 {
        self.acts.push(payload);
        self.acts.len() as u64 - 1
    }

    /// A slow host keeps it until its member leads anew.
    pub fn hold_act(&mut self, node: NodeId, number: u64) {
        self.held_acts.push((node, number));
    }

    /// What the host of a member that leads now has kept.
    pub fn release_acts(&mut self, node: NodeId) -> Vec<u64> {
        let (released, kept) = self.held_acts.iter().partition(|(held, _)| *held == node);
        self.held_acts = kept;
        released.into_iter().map(|(_, number): (NodeId, u64)| number).collect()
    }

    /// What has this number.
    pub fn take_act(&mut self, number: u64) -> Bytes {
        self.acts[number as usize].clone()
    }

    /// A number for a question, which nobody else has.
    pub fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token - 1
    }
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("k{number:02}"))
}

type Server = ServerWorld;

/// A client's turn: its watch first, then its question, or a new one.
pub fn tick(world: &mut Server, number: u64) {
    let think = Duration::from_micros(1 + world.dice.below(world.plan.think_us / 2));
    world.plan_client(number, think);
    let at = number as usize;
    lose_patience(world);
    operator::tick(world);
    watch(world, at);
    let now = world.now;
    let late = |since: Instant| now.since(since) > IMPATIENCE;
    match world.load.clients[at].waiting.clone() {
        Waiting::Nothing => begin(world, at),
        Waiting::Write { id, payload, at: member, since, began } if late(since) => {
            if world.peace.is_none() && world.dice.below(8) == 0 {
                world.count("writes given up");
                answer(world, at, member, Heard::Unknown);
                return world.feed(member, ask(Request::Forget { seq: self::number(id) }));
            }
            world.count("retries");
            submit(world, at, id, payload, began);
        }
        Waiting::Read { since, at: member, .. } | Waiting::Renewal { since, at: member, .. }
            if late(since) =>
        {
            answer(world, at, member, Heard::Unknown);
        }
        Waiting::Write { .. } | Waiting::Read { .. } | Waiting::Renewal { .. } => {}
    }
}

fn lose_patience(world: &mut Server) {
    let now = world.now;
    while let Some(&(at, member, seq)) = world.load.patience.front()
        && at <= now
    {
        world.load.patience.pop_front();
        world.feed(member, ask(Request::Forget { seq }));
    }
}

/// A member that is up, if there is one: whichever it is, as a balancer would pick.
pub(crate) fn someone(world: &mut Server) -> Option<NodeId> {
    let up: Vec<NodeId> = world.nodes().filter(|node| world.is_up(*node)).collect();
    let pick = world.dice.below(up.len().max(1) as u64) as usize;
    up.get(pick).copied()
}

/// A member that takes calls: a learner sends its clients elsewhere.
pub(crate) fn server(world: &mut Server) -> Option<NodeId> {
    let up: Vec<NodeId> = world.nodes().filter(|node| serves(world, *node)).collect();
    let pick = world.dice.below(up.len().max(1) as u64) as usize;
    up.get(pick).copied()
}

fn begin(world: &mut Server, at: usize) {
    if world.peace.is_some() && world.load.clients[at].done_in_peace >= IN_PEACE {
        return;
    }
    let Some(member) = someone(world) else { return };
    match world.dice.below(100) {
        25..35 => read_stale(world, at, member),
        _ if !serves(world, member) => world.count("calls refused by learners"),
        0..25 => begin_read(world, at, member),
        35..42 => begin_renewal(world, at, member),
        _ => begin_write(world, at),
    }
}

fn begin_write(world: &mut Server, at: usize) {
    // In peace each client begins with a lease, which nobody keeps alive.
    let first = world.peace.is_some() && world.load.clients[at].done_in_peace == 0;
    let dice = &mut world.dice;
    let key = key(dice.below(KEYS));
    let history = &world.load.history;
    let client = &mut world.load.clients[at];
    client.seq += 1;
    let origin = at as u64 + 1;
    let value = Bytes::from(format!("c{origin}-{}", client.seq));
    let leases: Vec<i64> = history.leases().collect();
    let lease = match leases.len() as u64 {
        0 => 0,
        count => leases[dice.below(count) as usize],
    };
    let put = Put { key: key.clone(), value, ..Put::default() };
    let pick = match (world.plan.leases, first) {
        (true, true) => 18,
        (true, false) => dice.below(20),
        (false, _) => dice.below(18),
    };
    let action = match pick {
        0..9 => Action::Put(put),
        9..12 => Action::Put(Put { lease, ..put }),
        12..14 => Action::Delete(Delete { range: KeyRange::single(key), prev_kv: false }),
        14..17 => {
            let known = history.newest(&key).map_or(0, |kv| kv.mod_revision);
            let target = CompareTarget::Mod(known - i64::from(dice.below(4) == 0));
            let range = KeyRange::single(key);
            let compares = vec![Compare { range, result: CompareResult::Equal, target }];
            Action::Txn(Txn { compares, success: vec![TxnOp::Put(put)], failure: Vec::new() })
        }
        17 => Action::Compact { revision: history.revision() - dice.below(8) as i64 },
        18 => Action::LeaseGrant { id: (origin << 20 | client.seq) as i64, ttl: TTL },
        _ => Action::LeaseRevoke { id: lease.max(1), term: None },
    };
    let (action, caller) = match world.plan.guards {
        true => guards::about(&mut world.dice, &world.load.history, origin, lease, action),
        false => (action, Caller::default()),
    };
    world.load.journal.invoke(at, world.now, &action);
    let dice = &mut world.dice;
    let padding = dice.below(world.plan.value_bytes) as usize;
    // The client has given up or finished all of its earlier operations.
    let id = OpId { origin, seq: client.seq, floor: client.seq };
    let payload = world.load.commands.encode(Command { id, caller, action }, padding);
    let began = elapsed(world);
    world.load.clients[at].operation = world.load.token();
    submit(world, at, id, payload, began);
}

/// A client asks a member: a new operation, or the same one again.
fn call(world: &mut Server, at: usize, member: NodeId, label: impl FnOnce() -> String) {
    let (client, operation) = (at as u64, world.load.clients[at].operation);
    let what = What::Call { client, operation };
    world.trace.add(world.now, Some(member), what, 0, label);
}

/// A client is through with its operation.
fn answer(world: &mut Server, at: usize, member: NodeId, heard: Heard) {
    let (client, operation) = (at as u64, world.load.clients[at].operation);
    world.log(member, What::Return { client, operation, heard });
    world.load.clients[at].waiting = Waiting::Nothing;
    world.load.journal.end(at, world.now, heard);
}

fn submit(world: &mut Server, at: usize, id: OpId, payload: Bytes, began: Vec<Duration>) {
    let since = world.now;
    let Some(member) = server(world) else { return };
    let seq = number(id);
    world.load.clients[at].waiting =
        Waiting::Write { id, payload: payload.clone(), at: member, since, began };
    world.load.forget_later(since + PATIENCE, member, seq);
    let commands = world.load.commands.clone();
    call(world, at, member, || commands.describe(&payload));
    world.feed(member, ask(Request::Propose { seq, payload }));
}

/// A session is told a revision, in an answer that is linearizable.
fn told(world: &mut Server, at: usize, revision: i64) {
    let seen = world.load.clients[at].seen;
    let verdict = expect(revision >= seen, "revisions-never-go-back", || {
        format!("client {at} is told {revision} after {seen}")
    });
    world.load.clients[at].seen = revision.max(seen);
    world.judge(verdict);
}

fn finish(world: &mut Server, at: usize, member: NodeId) {
    let peace = world.peace.is_some();
    answer(world, at, member, Heard::Ok);
    let client = &mut world.load.clients[at];
    client.done_in_peace += u32::from(peace);
    world.count("answers");
}

/// Nobody could answer these.
pub fn refused(world: &mut Server, tokens: &[u64]) {
    for at in 0..world.load.clients.len() {
        match world.load.clients[at].waiting {
            Waiting::Read { token, at: member, .. }
            | Waiting::Renewal { token, at: member, .. }
                if tokens.contains(&token) =>
            {
                answer(world, at, member, Heard::Failed);
            }
            Waiting::Nothing
            | Waiting::Write { .. }
            | Waiting::Read { .. }
            | Waiting::Renewal { .. } => {}
        }
    }
}

/// A member published a batch: the judge looks at it, and whoever waited for it hears.
pub fn published(world: &mut Server, node: NodeId, news: News) {
    for applied in &news.applied {
        let (command, outcome) = (applied.command.as_ref(), applied.outcome.as_ref());
        let first = world.load.history.applied(node, applied.at, command, outcome);
        let first = match first {
            Ok(first) => first,
            Err(violation) => return world.fail(violation),
        };
        let Some(command) = command else { continue };
        if first
            && matches!(command.action, Action::Compact { .. })
            && outcome.is_some_and(|outcome| outcome.result.is_ok())
        {
            world.count("compactions");
        }
        let fenced = |outcome: &Outcome| matches!(outcome.result, Err(StoreError::Fenced(_)));
        if first && outcome.is_some_and(fenced) {
            world.count("fenced writes");
        }
        if first {
            judge_expiry(world, applied.at.term, command);
        }
        acknowledge(world, node, command.id, outcome.map(|outcome| outcome.revision));
    }
    let reached = world.host(node).app.applied().0;
    for at in 0..world.load.clients.len() {
        if let Waiting::Read { at: member, index: Some(index), .. } = world.load.clients[at].waiting
            && member == node
            && index <= reached
        {
            answer_read(world, at);
        }
    }
}

/// A member that a client waits at has applied the client's operation.
fn acknowledge(world: &mut Server, node: NodeId, id: OpId, revision: Option<i64>) {
    for at in 0..world.load.clients.len() {
        let Waiting::Write { id: waited, at: member, began, .. } =
            world.load.clients[at].waiting.clone()
        else {
            continue;
        };
        if waited != id || member != node {
            continue;
        }
        // Of a copy only this much is known: the first one has been applied.
        let revision = revision.or(world.load.history.done(id));
        let Some(revision) = revision else {
            let detail = format!("{node} acknowledges {id:?}, which was never applied");
            return world.fail(Violation::new("operation-applied-once", detail));
        };
        world.load.acknowledged = world.load.acknowledged.max(revision);
        let grant = (id.origin << 20 | id.seq) as i64;
        if world.load.history.leases().any(|lease| lease == grant) {
            promise_life(world, grant, &began, TTL);
        }
        let seen = world.load.clients[at].seen;
        world.load.clients[at].seen = revision.max(seen);
        world.load.journal.done(at, world.now, revision);
        finish(world, at, node);
    }
}

/// A member is gone, and with it every connection to it.
pub fn disconnected(world: &mut Server, node: NodeId) {
    world.load.held_acts.retain(|(held, _)| *held != node);
    for at in 0..world.load.clients.len() {
        let client = &mut world.load.clients[at];
        client.watching.disconnect(node);
        if let Waiting::Read { at: member, .. } = client.waiting
            && member == node
        {
            answer(world, at, node, Heard::Unknown);
        }
    }
}

/// At rest: every member holds the model's state, key by key.
pub fn scan(world: &mut Server) {
    let there = |node: &NodeId| Node::belongs(world, *node) && !world.member(*node).gone;
    let there: Vec<NodeId> = world.nodes().filter(there).collect();
    for node in there {
        let view = world.host(node).app.view.clone();
        let range = KeyRange::prefix("");
        let ask = Range { range: range.clone(), ..Range::default() };
        let found = view.range(&ask).expect("the newest revision is always there");
        let revision = view.revision();
        let newest = world.load.history.revision();
        let verdict = expect(revision == newest, "read-of-a-real-state", || {
            format!("at rest {node} is at {revision}, the log makes it {newest}")
        });
        world.judge(verdict);
        let verdict = world.load.history.read(node, &range, revision, &found.kvs);
        world.judge(verdict);
    }
}
