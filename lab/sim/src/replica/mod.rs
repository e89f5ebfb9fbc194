//! A node with Raft at its heart: the shipped log on a disk that fails, a state machine that applies
//! when it gets to it, and the way of everything between them.
//!
//! It does what the product's host does, with the product's log and the product's way from one to
//! the other ([`to_record`](quorate_storage::to_record), [`restore`](quorate_storage::restore)), but
//! for threads: each step is a job of the world, and between any two of them anything may happen.
//!
//! # What damage is held against it
//!
//! A crash may take whatever was not synced; recovery must always come up and hold what was synced.
//! A byte that rots, a write that lands elsewhere or an empty disk may end a member for good: it
//! must say so and halt ([`Wake::Never`]), and in one world this happens to a minority only. One gap
//! is stated by the log itself: damage to its very last batch before it came to rest looks like a
//! torn tail. Rot is therefore never put there, and a member whose misdirected write fell there is
//! taken out by the world, since it cannot know ("undetectable losses" counts them).

mod admission;
mod log;
pub mod machine;
mod rise;
mod state;

pub(crate) use rise::stay_down;

use crate::disk::SimDisk;
use crate::host::{EventOf, Host, MessageOf, Wake, WriteOf};
use crate::oracles::Oracles;
use crate::swarm::{Plan, Sabotage};
use crate::world::World;
use machine::{App, Machine, Told};
use quorate_base::{Dice, Input, Instant, NodeId, Ticket};
use quorate_raft::{self as raft, Entry};
use quorate_storage::{Log, LogOptions, restore};
use std::collections::VecDeque;

/// The identity of every simulated log: a world has one cluster.
const IDENTITY: u64 = 0x51_4d;

/// The group that a world's log is about.
const GROUP: u64 = 0;

/// What surrounds a machine. Its disk and its state outlive the process.
pub struct Replica<M: Machine> {
    /// The disk.
    pub disk: SimDisk,
    /// The state machine; between two lives, what the crash left of it.
    pub app: M::App,
    up: Option<Up>,
    /// The log up to here was synced and not replaced since: it must be there at the next start.
    promised: u64,
    /// The newest term and vote that were synced: the next start must know them, or newer ones.
    promised_vote: (u64, Option<u64>),
    /// The terms of what was written, to know of each entry whether it is held durably.
    written: Terms,
    /// What it held durably when its disk was taken away.
    lost: Option<(u64, Terms)>,
    /// The log was opened once: it must exist from then on.
    began: bool,
    /// Which life of its data directory it lives.
    incarnation: u64,
    /// Which lives of the others' directories it has heard of; zero for none.
    known: Vec<u64>,
    /// How much slower than others its disk is.
    slowness: u64,
    /// What its machine's host keeps while the process lives.
    pub side: M::Side,
}

/// What a crash takes.
struct Up {
    log: Log<SimDisk>,
    writes: Vec<(Ticket, raft::Write)>,
    /// What the log thread is at work at.
    writing: Option<Writing>,
    committed: VecDeque<Entry>,
    applying: bool,
    /// A state arrived and waits to be switched to.
    whole: bool,
    /// The state was replaced by one whose last entry the log on disk does not hold, and the log has
    /// yet to hear of it: what it holds after that entry agrees with nobody (paper, Figure 13, step 7),
    /// and the next start drops it.
    replaced: Option<u64>,
    state_syncing: bool,
    /// When the bulk thread has done what it was asked for so far.
    bulk_free: Instant,
}

/// What the log thread is at work at.
struct Writing {
    /// Up to which ticket.
    last: Ticket,
    /// Up to which entry, where entries are among it.
    reached: Option<u64>,
    /// The newest term and vote among it.
    vote: Option<(u64, Option<u64>)>,
    /// Something waits for it to be durable.
    sync: bool,
}

/// The terms of a log's entries after a base.
#[derive(Clone, Debug, Default)]
struct Terms {
    base: u64,
    terms: Vec<u64>,
}

impl Terms {
    fn get(&self, index: u64) -> Option<u64> {
        let at = index.checked_sub(self.base + 1)?;
        self.terms.get(at as usize).copied()
    }

    /// These entries come after, and instead of, whatever there was from their first index on.
    fn append(&mut self, entries: &[Entry]) {
        let first = entries.first().expect("an append has entries").index;
        self.terms.truncate((first - 1).saturating_sub(self.base) as usize);
        self.terms.extend(entries.iter().map(|entry| entry.term));
    }

    fn restart(&mut self, base: u64) {
        self.base = base;
        self.terms.clear();
    }

    /// What a recovered log holds.
    fn recovered(restored: &raft::Restored) -> Terms {
        let base = restored.base.index;
        let mut terms = Vec::new();
        for (at, (first, term)) in restored.term_starts.iter().enumerate() {
            let next = restored.term_starts.get(at + 1).map(|(first, _)| *first);
            let end = next.unwrap_or(restored.last_index + 1);
            terms.extend((*first..end).map(|_| *term));
        }
        Terms { base, terms }
    }
}

/// What a replica plans for itself.
pub enum Job {
    /// The log thread is done with a batch.
    LogDone,
    /// The state machine applies.
    Apply,
    /// A sync of the state is done.
    StateSynced,
    /// The bulk thread is done with a log read, a piece to send or a piece to store.
    Bulk(raft::Event),
    /// Something that the machine planned for itself.
    Own(u64),
}

impl<M: Machine> Replica<M> {
    fn options(&self, segment_bytes: u64) -> LogOptions {
        let mut options = LogOptions::with_segments(IDENTITY, segment_bytes);
        options.must_exist = self.began;
        options
    }

    /// True when its directory was admitted: it may have promised something since.
    pub fn took_part(&self) -> bool {
        self.began
    }

    /// Which life of its data directory it lives.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// True when nothing is on its way through this member.
    pub fn is_idle(&self) -> bool {
        self.up.as_ref().is_some_and(|up| {
            up.writes.is_empty() && up.writing.is_none() && up.committed.is_empty()
        })
    }

    /// True when this entry was made durable here, as far as the disk said the truth.
    fn holds(&self, index: u64, term: u64) -> bool {
        let in_log = index <= self.promised && self.written.get(index) == Some(term);
        let lost = self.lost.as_ref();
        let had = lost.is_some_and(|(promised, terms)| {
            index <= *promised && (terms.get(index) == Some(term) || index <= terms.base)
        });
        in_log || had || self.app.synced() >= index
    }

    /// True when this entry would be here after a power failure right now: the platter is opened as
    /// recovery would, or the durable state covers it. Dear, and true even of a disk that lies.
    fn would_hold(&self, segment_bytes: u64, index: u64, term: u64) -> bool {
        if self.app.synced() >= index {
            return true;
        }
        let Ok((log, _)) = Log::open(self.disk.platter(), self.options(segment_bytes)) else {
            return false;
        };
        let found = log.reader().read(GROUP, index, index + 1, usize::MAX).unwrap_or_default();
        found.first().is_some_and(|entry| entry.term == term)
    }
}

impl<M: Machine> Host for Replica<M> {
    type Protocol = M;
    type Job = Job;
    type Load = M::Load;
    type Oracles = Oracles;

    fn load(plan: &Plan, dice: &mut Dice) -> M::Load {
        M::load(plan, dice)
    }

    fn new(plan: &Plan, load: &M::Load, dice: &mut Dice) -> Replica<M> {
        let disk = SimDisk::new(dice.next_u64());
        let slowness = dice.between(1, plan.slow_disk);
        disk.set_slowness(slowness);
        Replica {
            disk,
            app: M::app(plan, load),
            up: None,
            promised: 0,
            promised_vote: (0, None),
            lost: None,
            written: Terms::default(),
            began: false,
            incarnation: 1,
            known: vec![0; plan.nodes as usize],
            slowness,
            side: M::Side::default(),
        }
    }

    fn wake(world: &mut World<Self>, node: NodeId) -> Wake<M> {
        let voters = match M::come_up(world, node) {
            Ok(voters) => voters,
            Err(waits) => return waits,
        };
        if let Some(waits) = admission::ask(world, node) {
            return waits;
        }
        let now = world.member(node).clock.show(world.now);
        let dice = world.dice.fork(node.0);
        let segment_bytes = world.plan.segment_bytes;
        let replica = world.host_mut(node);
        let struck = replica.disk.struck();
        let opened = Log::open(replica.disk.clone(), replica.options(segment_bytes));
        let opened = opened.map_err(|error| error.to_string()).and_then(|(mut log, recovered)| {
            let (applied, config) = (replica.app.applied(), replica.app.config());
            let restored = restore(&mut log, &recovered, applied, config, &voters)?;
            Ok((log, restored, recovered.report.cut.is_some()))
        });
        match opened {
            Ok((log, restored, torn)) => rise::rise(world, node, log, restored, torn, (dice, now)),
            Err(error) => stay_down(world, node, struck, &error),
        }
    }

    fn woken(world: &mut World<Self>, node: NodeId) {
        world.oracles.born(node);
        state::judge_step(world, node);
        M::started(world, node);
    }

    fn fall(world: &mut World<Self>, node: NodeId, power: bool) {
        let mut dice = world.dice.fork(node.0);
        let fresh = M::app(&world.plan, &world.load);
        let replica = world.host_mut(node);
        replica.up = None;
        replica.side = M::Side::default();
        // A failed sync leaves pages that look right and are not: nobody may trust the cache.
        if power || !replica.disk.powered() {
            replica.disk.crash();
        } else {
            replica.disk.restart();
        }
        let app = std::mem::replace(&mut replica.app, fresh);
        replica.app = app.crash(&mut dice);
        M::ended(world, node);
    }

    fn wrote(world: &mut World<Self>, node: NodeId, writes: &[(Ticket, WriteOf<Self>)]) {
        for (_, write) in writes {
            let (members, oracles) = world.split();
            let turn = members[node.0 as usize - 1].turn.as_ref().expect("it has just turned");
            let raft = turn.protocol().raft();
            let write = M::consensus_write(write);
            let held = |voter: NodeId| {
                let host = &members[voter.0 as usize - 1].host;
                host.promised.max(host.app.synced())
            };
            let judged = oracles.wrote(node, raft, write);
            let judged = judged.and_then(|()| oracles.configured(raft, write, held));
            world.judge(judged);
        }
    }

    fn turned(world: &mut World<Self>, node: NodeId) {
        state::judge_step(world, node);
        M::turned(world, node);
    }

    fn sending(
        world: &mut World<Self>,
        from: NodeId,
        to: NodeId,
        message: &MessageOf<Self>,
    ) -> bool {
        if !M::speaks_to(world, from, to) {
            return false;
        }
        if let Some(message) = M::consensus(message) {
            let judged = world.oracles.sent(from, to, message);
            world.judge(judged);
        }
        true
    }

    fn arriving(world: &mut World<Self>, from: NodeId, to: NodeId) -> bool {
        if !M::hears(world, to, from) {
            return false;
        }
        let incarnation = world.host(from).incarnation;
        let at = from.0 as usize - 1;
        if world.host(to).known[at] == 0 {
            world.host_mut(to).known[at] = incarnation;
        }
        true
    }

    fn stand_in(world: &World<Self>, node: NodeId) -> NodeId {
        M::stand_in(world, node)
    }

    fn persist(world: &mut World<Self>, node: NodeId, writes: Vec<(Ticket, WriteOf<Self>)>) {
        let early = world.plan.sabotage == Sabotage::ReleaseEarly;
        let last = writes.last().map(|(ticket, _)| *ticket);
        let up = world.host_mut(node).up.as_mut().expect("it has just turned");
        up.writes.extend(writes.into_iter().map(|(ticket, write)| (ticket, M::write(write))));
        log::write(world, node);
        if let Some(last) = last.filter(|_| early) {
            world.feed(node, Input::Durable(last));
        }
    }

    fn hear(world: &mut World<Self>, node: NodeId, event: EventOf<Self>) {
        match M::sort(event) {
            Told::Committed(entries) => {
                let up = world.host_mut(node).up.as_mut().expect("it has just turned");
                up.committed.extend(entries);
                state::plan_apply(world, node);
            }
            Told::Serve(event) => state::plan_bulk(world, node, event),
            Told::Other(event) => M::heard(world, node, event),
        }
    }

    fn job(world: &mut World<Self>, node: NodeId, job: Job) {
        match job {
            Job::LogDone => log::done(world, node),
            Job::Apply => state::apply(world, node),
            Job::StateSynced => state::synced(world, node),
            Job::Bulk(event) => state::bulk(world, node, event),
            Job::Own(number) => M::due(world, node, number),
        }
    }

    fn digest(message: &MessageOf<Self>) -> u64 {
        M::digest(message)
    }

    fn describe(message: &MessageOf<Self>) -> String {
        M::describe(message)
    }

    fn leader(world: &World<Self>) -> Option<NodeId> {
        let raft = |node| world.protocol(node).map(M::raft);
        let leads = |node: &NodeId| raft(*node).is_some_and(|raft| raft.is_leader());
        world.nodes().filter(leads).max_by_key(|n| raft(*n).map_or(0, |raft| raft.term()))
    }

    fn transfer(world: &mut World<Self>, leader: NodeId, to: NodeId) {
        world.feed(leader, Input::Request(M::request(raft::Request::Transfer { to })));
    }

    fn disk(&self) -> Option<&SimDisk> {
        Some(&self.disk)
    }

    fn rot(world: &mut World<Self>, node: NodeId) -> bool {
        log::rot(world, node)
    }

    fn wipe(world: &mut World<Self>, node: NodeId) {
        admission::wipe(world, node);
    }

    fn tick(world: &mut World<Self>, client: u64) {
        M::tick(world, client);
    }

    fn is_finished(world: &World<Self>) -> bool {
        M::finished(world)
    }

    fn is_at_rest(world: &World<Self>) -> bool {
        let newest = world.oracles.committed();
        let there = |node: &NodeId| M::belongs(world, *node) && !world.member(*node).gone;
        world.nodes().filter(there).all(|node| {
            let host = world.host(node);
            let knows = world.protocol(node).is_some_and(|m| m.raft().commit() == newest);
            knows && host.is_idle() && host.app.applied().0 == newest
        })
    }

    fn scan(world: &mut World<Self>) {
        M::scan(world);
    }

    fn progress(world: &World<Self>) -> u64 {
        world.oracles.committed()
    }

    fn standing(world: &World<Self>) -> String {
        let finished = M::finished(world);
        let mut text = format!("finished: {finished}; committed {};", world.oracles.committed());
        for node in world.nodes() {
            let applied = world.host(node).app.applied().0;
            text += &match world.protocol(node).map(|machine| machine.raft().status()) {
                None if world.member(node).gone => format!(" {node} gone;"),
                None => format!(" {node} down;"),
                Some(s) => format!(
                    " {node} {:?} t{} {}<={applied}<={}<={} cached {} peers {:?};",
                    s.role, s.term, s.base.index, s.commit, s.last.index, s.cached_bytes, s.peers
                ),
            };
        }
        text
    }
}
