//! Consensus alone: five members that agree on numbers.
//!
//! The state machine keeps a running hash of what it applied, so that any difference stays visible.
//! Clients propose numbers, each once, and ask for read indices.

use crate::host::Host;
use crate::oracles::Violation;
use crate::replica::Replica;
use crate::replica::machine::{App, Machine, Piece, Stored, Told};
use crate::swarm::{ELECTION_TIMEOUT, HEARTBEAT, Plan};
use crate::trace::{Mixer, What, hash};
use crate::world::World;
use bytes::Bytes;
use quorate_base::{Dice, Input, Instant, NodeId};
use quorate_raft::{
    self as raft, Config, Entry, LogId, Membership, Message, Raft, Restored, SnapshotMeta,
};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::time::Duration;

/// A world of consensus alone.
pub type RaftWorld = World<Replica<Raft>>;

/// What was applied, as one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sum {
    index: u64,
    term: u64,
    hash: u64,
}

impl Sum {
    fn bytes(&self) -> Vec<u8> {
        [self.index, self.term, self.hash].iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    fn read(bytes: &[u8]) -> Sum {
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight"));
        Sum { index: number(0), term: number(8), hash: number(16) }
    }
}

/// The state machine.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    now: Sum,
    /// The synced state, then what was published after it.
    published: Vec<Sum>,
    syncing: usize,
    pins: BTreeMap<NodeId, Sum>,
    incoming: Option<(SnapshotMeta, Vec<u8>)>,
    /// Configurations that were applied, with their indices, ascending.
    configs: Vec<(u64, Membership)>,
}

/// Bytes of a sum, and of a piece of it: three pieces, so that streams have a middle.
const SUM: usize = 24;
const PIECE: usize = 8;

impl App for Tally {
    /// Payloads that were applied, with their indices.
    type News = Vec<(u64, Bytes)>;

    fn applied(&self) -> (u64, u64) {
        (self.now.index, self.now.term)
    }

    fn config(&self) -> Option<Membership> {
        self.configs.last().map(|(_, config)| config.clone())
    }

    fn apply(&mut self, entry: &Entry, news: &mut Self::News) {
        assert_eq!(entry.index, self.now.index + 1, "entries come in order");
        let mut sum = hash(self.now.hash, &entry.term.to_be_bytes());
        sum = hash(sum, &entry.payload);
        self.now = Sum { index: entry.index, term: entry.term, hash: sum };
        match Membership::of_payload(&entry.payload) {
            Some(config) => self.configs.push((entry.index, config)),
            None => news.push((entry.index, entry.payload.clone())),
        }
    }

    fn publish(&mut self, _news: &mut Self::News) {
        self.published.push(self.now);
    }

    fn begin_sync(&mut self) {
        self.syncing = self.published.len();
    }

    fn finish_sync(&mut self) {
        if self.syncing > 0 {
            self.published.drain(..self.syncing - 1);
            self.syncing = 0;
        }
    }

    fn synced(&self) -> u64 {
        self.published.first().map_or(0, |sum| sum.index)
    }

    fn crash(self, dice: &mut Dice) -> Tally {
        let pick = dice.below(self.published.len() as u64) as usize;
        let now = self.published[pick];
        let mut configs = self.configs;
        configs.retain(|(index, _)| *index <= now.index);
        Tally { now, published: vec![now], configs, ..Tally::default() }
    }

    fn piece(&mut self, to: NodeId, after: &Bytes, _bytes: usize) -> Piece {
        let newest = *self.published.last().expect("never empty");
        if after.is_empty() {
            self.pins.insert(to, newest);
        }
        let pin = *self.pins.entry(to).or_insert(newest);
        let from = after.first().map_or(0, |at| usize::from(*at));
        let until = from + PIECE;
        let data = pin.bytes()[from..until].to_vec().into();
        let next = Bytes::from(vec![until as u8]);
        Piece { index: pin.index, next, data, done: until == SUM }
    }

    fn store(&mut self, meta: &SnapshotMeta, after: &Bytes, next: &Bytes, data: &Bytes) -> Stored {
        if after.is_empty() {
            self.incoming = Some((meta.clone(), Vec::new()));
        }
        let Some((_, bytes)) = self.incoming.as_mut().filter(|(known, _)| known == meta) else {
            return Stored::Stray;
        };
        bytes.extend_from_slice(data);
        if bytes.len() < SUM { Stored::UpTo(next.clone()) } else { Stored::Whole }
    }

    fn switch(&mut self, _news: &mut Self::News) -> LogId {
        let (meta, bytes) = self.incoming.take().expect("a whole state");
        let now = Sum::read(&bytes);
        assert_eq!(meta.last, LogId { index: now.index, term: now.term }, "what it says it is");
        let configs = vec![(meta.last.index, meta.membership)];
        *self = Tally { now, published: vec![now], configs, ..Tally::default() };
        meta.last
    }

    fn hash(&self) -> u64 {
        self.now.hash
    }
}

/// What became of a payload.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// Where it was applied first; 0 for nowhere.
    applied: u64,
    /// It came back as certainly not appended.
    refused: bool,
}

/// The clients, and what they know.
#[derive(Clone, Debug, Default)]
pub struct Proposers {
    next: u64,
    /// What a read must see at least, by its token.
    reads: BTreeMap<u64, u64>,
    /// By a payload's number: what became of it.
    fates: Vec<Fate>,
    /// The first number of peace.
    peace_from: Option<u64>,
    applied_in_peace: bool,
    read_in_peace: bool,
}

impl Proposers {
    /// Peace has come, and a write and a read of its own were answered.
    fn is_served(&self) -> bool {
        self.applied_in_peace && self.read_in_peace
    }

    fn fate(&mut self, payload: &Bytes) -> &mut Fate {
        &mut self.fates[number(payload) as usize]
    }

    fn payload(&mut self, dice: &mut Dice, most: u64) -> Bytes {
        let mut bytes = (self.fates.len() as u64).to_be_bytes().to_vec();
        self.fates.push(Fate::default());
        bytes.resize(8 + dice.below(most) as usize, 0xaa);
        bytes.into()
    }
}

fn number(payload: &Bytes) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().expect("payloads begin with a number"))
}

impl Machine for Raft {
    type App = Tally;
    type Load = Proposers;
    type Side = ();

    fn load(_plan: &Plan, _dice: &mut Dice) -> Proposers {
        Proposers::default()
    }

    fn app(_plan: &Plan, _load: &Proposers) -> Tally {
        Tally { published: vec![Sum::default()], ..Tally::default() }
    }

    fn build(plan: &Plan, id: NodeId, restored: Restored, dice: Dice, now: Instant) -> Raft {
        Raft::new(raft_config(plan, id), restored, dice, now)
    }

    fn raft(&self) -> &Raft {
        self
    }

    fn write(write: raft::Write) -> raft::Write {
        write
    }

    fn consensus_write(write: &raft::Write) -> &raft::Write {
        write
    }

    fn digest(message: &Message) -> u64 {
        digest(message)
    }

    fn consensus(message: &Message) -> Option<&Message> {
        Some(message)
    }

    fn describe(message: &Message) -> String {
        describe(message)
    }

    fn request(request: raft::Request) -> raft::Request {
        request
    }

    fn applied(index: u64, _news: &mut Vec<(u64, Bytes)>) -> raft::Request {
        raft::Request::Applied { index }
    }

    fn synced(plan: &Plan, index: u64) -> Option<raft::Request> {
        let keep = index.saturating_sub(plan.catchup);
        (keep > 0).then_some(raft::Request::Compact { index: keep })
    }

    fn sort(event: raft::Event) -> Told<raft::Event> {
        match event {
            raft::Event::Committed(entries) => Told::Committed(entries),
            event @ (raft::Event::ReadLog { .. }
            | raft::Event::ChunkNeeded { .. }
            | raft::Event::ChunksDone { .. }
            | raft::Event::InstallChunk { .. }) => Told::Serve(event),
            event @ (raft::Event::Status { .. }
            | raft::Event::ReadReady { .. }
            | raft::Event::ReadDropped(_)
            | raft::Event::NotLeader(_)
            | raft::Event::ChangeRefused { .. }) => Told::Other(event),
        }
    }

    fn heard(world: &mut RaftWorld, node: NodeId, event: raft::Event) {
        match event {
            raft::Event::Status { role, term, leader } => {
                if role == raft::Role::Leader {
                    world.count("elections");
                    world.elected(node);
                }
                world.log(node, What::Role { leads: role == raft::Role::Leader, term, leader });
            }
            raft::Event::ReadReady { token, index } => {
                let Some(floor) = world.load.reads.remove(&token) else { return };
                world.load.read_in_peace |= world.peace.is_some();
                if index < floor {
                    let detail = format!("{node} reads at {index}, {floor} was committed before");
                    world.fail(Violation::new("linearizable-reads", detail));
                }
            }
            raft::Event::ReadDropped(tokens) => {
                world.load.reads.retain(|token, _| !tokens.contains(token));
            }
            raft::Event::NotLeader(payload) => world.load.fate(&payload).refused = true,
            raft::Event::ChangeRefused { .. } => world.count("changes refused"),
            raft::Event::Committed(_)
            | raft::Event::ReadLog { .. }
            | raft::Event::ChunkNeeded { .. }
            | raft::Event::ChunksDone { .. }
            | raft::Event::InstallChunk { .. } => unreachable!("sorted elsewhere"),
        }
    }

    fn published(world: &mut RaftWorld, node: NodeId, news: Vec<(u64, Bytes)>) {
        for (index, payload) in news.into_iter().filter(|(_, payload)| !payload.is_empty()) {
            let load = &mut world.load;
            let in_peace = load.peace_from.is_some_and(|from| number(&payload) >= from);
            load.applied_in_peace |= in_peace;
            let fate = load.fate(&payload);
            let (first, refused) =
                (if fate.applied == 0 { index } else { fate.applied }, fate.refused);
            fate.applied = first;
            if first != index {
                let detail = format!("{node} applies at {index} what was applied at {first}");
                world.fail(Violation::new("applied-once", detail));
            }
            if refused {
                let detail = format!("{node} applies at {index} what was handed back");
                world.fail(Violation::new("refused-means-never", detail));
            }
        }
    }

    fn started(_world: &mut RaftWorld, _node: NodeId) {}

    fn ended(_world: &mut RaftWorld, _node: NodeId) {}

    fn tick(world: &mut RaftWorld, client: u64) {
        let think = Duration::from_micros(1 + world.dice.below(2 * world.plan.think_us));
        world.plan_client(client, think);
        if world.peace.is_some() {
            if Raft::finished(world) {
                return;
            }
            let next = world.load.fates.len() as u64;
            world.load.peace_from.get_or_insert(next);
        }
        if world.plan.changes && (world.peace.is_some() || world.dice.below(6) == 0) {
            change_members(world);
        }
        if world.load.is_served() {
            // Who only waits for the members to settle does not keep them busy meanwhile.
            return;
        }
        let anyone = NodeId(1 + world.dice.below(world.plan.nodes));
        let to = <Replica<Raft> as Host>::leader(world)
            .filter(|_| world.dice.below(5) > 0)
            .unwrap_or(anyone);
        if !world.is_up(to) {
            return;
        }
        if world.dice.below(3) == 0 {
            world.load.next += 1;
            let token = world.load.next;
            let floor = world.oracles.committed();
            world.load.reads.insert(token, floor);
            // Anywhere: a leader of yesterday must not answer from yesterday.
            let to = if world.is_up(anyone) { anyone } else { to };
            world.feed(to, Input::Request(raft::Request::Read { token }));
        } else {
            for _ in 0..world.dice.between(1, world.plan.burst) {
                let payload = world.load.payload(&mut world.dice, world.plan.value_bytes);
                world.feed(to, Input::Request(raft::Request::Propose(payload)));
            }
        }
    }

    fn finished(world: &RaftWorld) -> bool {
        let settled = !world.plan.changes || is_whole(world);
        world.plan.clients == 0 || world.load.is_served() && settled
    }

    fn scan(world: &mut RaftWorld) {
        let there = world.nodes().filter(|node| !world.member(*node).gone);
        let sums: BTreeSet<u64> = there.map(|node| world.host(node).app.hash()).collect();
        if sums.len() != 1 {
            let detail = format!("at rest the states are {sums:x?}");
            world.fail(Violation::new("state-machine-safety", detail));
        }
    }
}

/// Asks the leader for another configuration: in the chaos for any that comes to mind, in peace for the
/// one in which everybody votes. Newcomers learn first, or the leader refuses.
fn change_members(world: &mut RaftWorld) {
    let Some(leader) = <Replica<Raft> as Host>::leader(world) else { return };
    let Some(turn) = &world.member(leader).turn else { return };
    let raft = turn.protocol();
    let current = raft.membership().clone();
    let ready: Vec<bool> = world.nodes().map(|node| raft.is_caught_up(node)).collect();
    let peace = world.peace.is_some();
    let mut target = Membership::default();
    for node in world.nodes().collect::<Vec<_>>() {
        let votes = current.voters.contains(&node);
        let may_vote = votes || ready[node.0 as usize - 1];
        match if peace { 1 } else { world.dice.below(8) } {
            0 => {}
            1 if may_vote => drop(target.voters.insert(node)),
            1 | 2 => drop(target.learners.insert(node)),
            _ if votes => drop(target.voters.insert(node)),
            _ if current.contains(node) => drop(target.learners.insert(node)),
            _ => {}
        }
    }
    if world.host_raft(leader).is_some_and(|raft| raft.hurdle(&target).is_none()) {
        world.count(if target.voters == current.voters { "learner changes" } else { "changes" });
    }
    world.feed(leader, Input::Request(raft::Request::Reconfigure(target)));
}

/// Everybody votes, and the leader knows that it is agreed upon.
fn is_whole(world: &RaftWorld) -> bool {
    let all = Membership::of(world.nodes());
    let leader = <Replica<Raft> as Host>::leader(world);
    let raft = leader.and_then(|leader| world.host_raft(leader));
    raft.is_some_and(|raft| *raft.membership() == all && *raft.committed_membership() == all)
}

impl RaftWorld {
    /// The consensus of a running member.
    fn host_raft(&self, node: NodeId) -> Option<&Raft> {
        self.member(node).turn.as_ref().map(quorate_base::Turn::protocol)
    }
}

/// The settings of a member's consensus.
pub fn raft_config(plan: &Plan, id: NodeId) -> Config {
    Config {
        id,
        election_timeout: ELECTION_TIMEOUT,
        heartbeat_interval: HEARTBEAT,
        max_append_bytes: plan.append_bytes,
        max_inflight_appends: plan.inflight,
        max_cached_bytes: plan.cached_bytes,
        max_held_entries: 50 * plan.catchup.max(1),
    }
}

/// A number for a message. Of entries only their place and term: who wrote which payload there is
/// judged elsewhere.
pub fn digest(message: &Message) -> u64 {
    match message {
        Message::Append { term, prev, entries, commit } => {
            let mut mixer = Mixer::default();
            let last = entries.last().map_or((0, 0), |entry| (entry.index, entry.term));
            let numbers = [*term, prev.term, prev.index, last.0, last.1, *commit];
            numbers.into_iter().for_each(|number| mixer.write_u64(number));
            mixer.finish()
        }
        other => Mixer::of(other),
    }
}

/// A message in a few words.
pub fn describe(message: &Message) -> String {
    match message {
        Message::Append { term, prev, entries, commit } => {
            let count = entries.len();
            format!("append t{term} {count} after {}.{} commit {commit}", prev.term, prev.index)
        }
        Message::SnapshotChunk { term, meta, after, done, .. } => {
            format!("chunk t{term} of {:?} after {after:x?} done {done}", meta.last)
        }
        other => format!("{other:?}"),
    }
}
