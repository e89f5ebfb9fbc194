//! One member's life: its turns, its log thread, its state machine, its crashes and restarts.
//!
//! It does what the product's host does, with the product's log and the product's way from one to
//! the other ([`to_record`], [`restore`]), but for threads: each step is an event of the world, and
//! between any two of them anything may happen.

use crate::disk::SimDisk;
use crate::machine::{App, Machine, Stored, Told};
use crate::oracles::Violation;
use crate::swarm::Sabotage;
use crate::world::{Event, World};
use quorate_base::{Batch, Input, Instant, NodeId, Ticket, Turn};
use quorate_raft::{self as raft, Entry, Membership};
use quorate_storage::{Log, LogError, LogOptions, needs_sync, restore, to_record};
use std::collections::VecDeque;
use std::time::Duration;

/// The identity of every simulated log: a world has one cluster.
const IDENTITY: u64 = 0x51_4d;

/// The group that a world's log is about.
const GROUP: u64 = 0;

/// A member, up or down.
pub struct Process<M: Machine> {
    /// Its disk; it outlives the process.
    pub disk: SimDisk,
    /// Rises with every crash: events of an earlier life have no effect.
    pub life: u64,
    /// The running process.
    pub up: Option<Up<M>>,
    /// Its state machine; between two lives, what the crash left of it.
    pub app: M::App,
    /// The log up to here was synced and not replaced since: it must be there at the next start.
    promised: u64,
    /// The log was opened once: it must exist from then on.
    began: bool,
    /// How much slower than others its disk is.
    slowness: u64,
}

/// A running process.
pub struct Up<M: Machine> {
    /// The machine.
    pub turn: Turn<M>,
    log: Log<SimDisk>,
    inbox: Vec<Input<M>>,
    turn_due: Option<Instant>,
    writes: Vec<(Ticket, raft::Write)>,
    /// The log thread is at work: up to which ticket, up to which entry, and whether it will sync.
    writing: Option<(Ticket, Option<u64>, bool)>,
    committed: VecDeque<Entry>,
    applying: bool,
    /// A state arrived and waits to be switched to.
    whole: bool,
    state_syncing: bool,
    /// When the bulk thread has done what it was asked for so far.
    bulk_free: Instant,
}

impl<M: Machine> Up<M> {
    /// True when nothing is on its way through this process.
    pub fn is_idle(&self) -> bool {
        self.writes.is_empty() && self.writing.is_none() && self.committed.is_empty()
    }
}

impl<M: Machine> Process<M> {
    /// A member that was never started.
    pub fn new(disk: SimDisk, app: M::App, slowness: u64) -> Process<M> {
        disk.set_slowness(slowness);
        Process { disk, life: 0, up: None, app, promised: 0, began: false, slowness }
    }

    fn options(&self, segment_bytes: u64) -> LogOptions {
        let mut options = LogOptions::with_segments(IDENTITY, segment_bytes);
        options.must_exist = self.began;
        options
    }

    /// True when this entry would be here after a power failure right now: the platter is opened as
    /// recovery would, or the durable state covers it.
    pub fn holds(&self, segment_bytes: u64, index: u64, term: u64) -> bool {
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

/// What the bulk thread is asked for.
pub enum Job {
    /// A log read, a piece to send, a piece to store.
    Serve(raft::Event),
}

impl<M: Machine> World<M> {
    /// Hands an input to a member; nobody hears it when the member is down.
    pub fn feed(&mut self, node: NodeId, input: Input<M>) {
        let at = self.now + Duration::from_micros(self.dice.between(5, 100));
        let Some(up) = &mut self.process(node).up else { return };
        up.inbox.push(input);
        self.plan_turn(node, at);
    }

    fn plan_turn(&mut self, node: NodeId, at: Instant) {
        let process = self.process(node);
        let life = process.life;
        let Some(up) = &mut process.up else { return };
        if up.turn_due.is_none_or(|due| at < due) {
            up.turn_due = Some(at);
            self.schedule(at, Event::Turn { node, life });
        }
    }

    /// The core's turn.
    pub fn turn(&mut self, node: NodeId) {
        let now = self.now;
        let early = self.plan.sabotage == Sabotage::ReleaseEarly;
        let up = self.process(node).up.as_mut().expect("only the living turn");
        if up.turn_due != Some(now) {
            return; // A turn that was planned for later, and is not needed any more.
        }
        up.turn_due = None;
        let mut inputs = std::mem::take(&mut up.inbox);
        if up.turn.next_timeout().is_some_and(|at| at <= now) {
            inputs.push(Input::Timeout);
        }
        let batch = up.turn.absorb(now, inputs);
        let wrote = !batch.writes.is_empty();
        self.carry_out(node, batch);
        if early
            && wrote
            && let Some(up) = &mut self.process(node).up
        {
            let lie = Input::Durable(up.turn.issued());
            let batch = up.turn.absorb(now, [lie]);
            self.carry_out(node, batch);
        }
        let Some(up) = &self.process(node).up else { return };
        if let Some(at) = up.turn.next_timeout() {
            self.plan_turn(node, at.max(now + Duration::from_micros(10)));
        }
    }

    fn carry_out(&mut self, node: NodeId, batch: Batch<M>) {
        let Batch { writes, sends, events } = batch;
        for (ticket, write) in writes {
            let write = M::write(write);
            let process = self.members.get_mut(&node).expect("a member");
            let up = process.up.as_mut().expect("still alive");
            let judged = self.oracles.wrote(node, up.turn.protocol().raft(), &write);
            up.writes.push((ticket, write));
            self.judge(judged);
        }
        self.judge_step(node);
        for (to, message) in sends {
            if let Some(message) = M::consensus(&message) {
                let judged = self.oracles.sent(node, to, message);
                self.judge(judged);
            }
            self.send(node, to, message);
        }
        self.write_log(node);
        for event in events {
            if self.process(node).up.is_none() {
                return; // Its disk failed, or what it said had it ended.
            }
            match M::sort(event) {
                Told::Committed(entries) => {
                    let up = self.process(node).up.as_mut().expect("still alive");
                    up.committed.extend(entries);
                    self.plan_apply(node);
                }
                Told::Serve(event) => self.plan_bulk(node, event),
                Told::Other(event) => M::heard(self, node, event),
            }
        }
    }

    /// The log thread takes whatever gathered, unless it is at work.
    fn write_log(&mut self, node: NodeId) {
        let Some(process) = self.members.get_mut(&node) else { return };
        let Some(up) = process.up.as_mut() else { return };
        if up.writing.is_some() || up.writes.is_empty() {
            return;
        }
        let writes = std::mem::take(&mut up.writes);
        let last = writes.last().expect("there are writes").0;
        let sync = writes.iter().any(|(_, write)| needs_sync(write));
        let mut reached = None;
        for (_, write) in &writes {
            match write {
                raft::Write::Append(entries) => {
                    let first = entries.first().expect("an append has entries").index;
                    // What it replaces is not promised any more, though the sync is yet to come.
                    process.promised = process.promised.min(first - 1);
                    reached = entries.last().map(|entry| entry.index);
                }
                raft::Write::Snapshot(meta) => {
                    process.promised = process.promised.min(meta.last.index);
                    reached = Some(meta.last.index);
                }
                raft::Write::Vote { .. } | raft::Write::Commit(_) | raft::Write::Compact(_) => {}
            }
        }
        up.writing = Some((last, reached, sync));
        let records: Vec<_> = writes.into_iter().map(|(_, w)| to_record(GROUP, w)).collect();
        let outcome = up.log.append(&records);
        let took = process.disk.take_latency_us() + if sync { 150 * process.slowness } else { 0 };
        let life = process.life;
        if self.survives(node, outcome) {
            let at = self.now + Duration::from_micros(took + self.dice.below(took + 1));
            self.schedule(at, Event::LogDone { node, life });
        }
    }

    /// The log thread is done with a batch.
    pub fn log_done(&mut self, node: NodeId) {
        let sabotage = self.plan.sabotage;
        let tidy = self.dice.below(8) == 0;
        let process = self.process(node);
        let up = process.up.as_mut().expect("only the living write");
        let (last, reached, sync) = up.writing.take().expect("a batch is under way");
        if sync {
            if sabotage == Sabotage::IgnoreSyncs {
                process.disk.ignore_next_sync();
            }
            let outcome = up.log.sync();
            if outcome.is_ok() {
                process.promised = reached.unwrap_or(process.promised);
            }
            if !self.survives(node, outcome) {
                return;
            }
            if sabotage != Sabotage::ReleaseEarly {
                self.feed(node, Input::Durable(last));
            }
        }
        let up = self.process(node).up.as_mut().expect("still alive");
        if tidy && up.writes.is_empty() {
            let outcome = up.log.maintain().map(|_| ());
            if !self.survives(node, outcome) {
                return;
            }
        }
        self.write_log(node);
    }

    /// A failure of the log is the end of the process; one that the world did not cause is a bug.
    fn survives(&mut self, node: NodeId, outcome: Result<(), LogError>) -> bool {
        let Err(error) = outcome else { return true };
        match error {
            LogError::Disk(_) => self.crash(node, "its log stopped"),
            error => self.fail(Violation::new("log-goes-on", format!("{node}: {error}"))),
        }
        false
    }

    fn plan_apply(&mut self, node: NodeId) {
        let delay = self.plan.apply_us;
        let at = self.now + Duration::from_micros(10 + self.dice.below(2 * delay));
        let process = self.process(node);
        let life = process.life;
        let Some(up) = &mut process.up else { return };
        if !up.applying && (up.whole || !up.committed.is_empty()) {
            up.applying = true;
            self.schedule(at, Event::Apply { node, life });
        }
    }

    /// The state machine's turn: a batch of entries, or the switch to a state that arrived.
    pub fn apply(&mut self, node: NodeId) {
        let most = self.dice.between(1, 30);
        let mut news = <M::App as App>::News::default();
        let process = self.members.get_mut(&node).expect("a member");
        let up = process.up.as_mut().expect("only the living apply");
        up.applying = false;
        if up.committed.is_empty() {
            assert!(up.whole, "there was something to do");
            up.whole = false;
            let last = process.app.switch(&mut news);
            self.count("snapshots");
            self.note(&format!("{node} switched to the state at {}", last.index));
            self.feed(node, Input::Request(M::request(raft::Request::Installed { last })));
        } else {
            let mut judged = Ok(());
            for _ in 0..most {
                let Some(entry) = up.committed.pop_front() else { break };
                judged = judged.and(self.oracles.applying(node, &entry));
                process.app.apply(&entry, &mut news);
                // Batches end differently on each member; fingerprints are compared where all end.
                if entry.index.is_multiple_of(8) {
                    break;
                }
            }
            process.app.publish(&mut news);
            self.judge(judged);
        }
        let process = self.process(node);
        let (index, _) = process.app.applied();
        if index.is_multiple_of(8) {
            let judged = {
                let hash = process.app.hash();
                self.oracles.state(node, index, hash)
            };
            self.judge(judged);
        }
        let request = M::applied(index, &mut news);
        self.feed(node, Input::Request(request));
        M::published(self, node, news);
        self.plan_state_sync(node);
        self.plan_apply(node);
    }

    fn plan_state_sync(&mut self, node: NodeId) {
        let every = self.plan.sync_every;
        let took = Duration::from_micros(self.dice.between(100, 50_000));
        let at = self.now + took;
        let process = self.process(node);
        let life = process.life;
        let Some(up) = &mut process.up else { return };
        if !up.state_syncing && process.app.applied().0 >= process.app.synced() + every {
            up.state_syncing = true;
            process.app.begin_sync();
            self.schedule(at, Event::StateSynced { node, life });
        }
    }

    /// A sync of the state is done.
    pub fn state_synced(&mut self, node: NodeId) {
        let process = self.process(node);
        process.app.finish_sync();
        let index = process.app.synced();
        process.up.as_mut().expect("only the living sync").state_syncing = false;
        if let Some(request) = M::synced(&self.plan, index) {
            self.feed(node, Input::Request(request));
        }
    }

    fn plan_bulk(&mut self, node: NodeId, event: raft::Event) {
        let took = Duration::from_micros(self.dice.between(50, 3_000));
        let now = self.now;
        let process = self.process(node);
        let life = process.life;
        let Some(up) = &mut process.up else { return };
        up.bulk_free = up.bulk_free.max(now) + took;
        let at = up.bulk_free;
        self.schedule(at, Event::Bulk { node, life, job: Job::Serve(event) });
    }

    /// The bulk thread's turn.
    pub fn bulk(&mut self, node: NodeId, Job::Serve(event): Job) {
        let bytes = self.plan.chunk_bytes;
        if matches!(event, raft::Event::ReadLog { .. }) {
            self.count("log reads");
        }
        let process = self.process(node);
        let up = process.up.as_mut().expect("only the living read");
        let answer = match event {
            raft::Event::ReadLog { to, from, max_bytes } => {
                let reader = up.log.reader();
                let end = reader.bounds(GROUP).map_or(0, |(_, last)| last) + 1;
                let found = reader.read(GROUP, from, end, max_bytes).unwrap_or_default();
                let entries = found.into_iter();
                let entries = entries
                    .map(|e| Entry { index: e.index, term: e.term, payload: e.payload })
                    .collect();
                raft::Request::LogRead { to, entries }
            }
            raft::Event::ChunkNeeded { to, after } => {
                let piece = process.app.piece(to, &after, bytes);
                let (index, next, data, done) = (piece.index, piece.next, piece.data, piece.done);
                raft::Request::Chunk { to, index, after, next, data, done }
            }
            raft::Event::ChunksDone { .. } => return,
            raft::Event::InstallChunk { meta, after, next, data, done: _ } => {
                let last = meta.last;
                match process.app.store(&meta, &after, &next, &data) {
                    Stored::UpTo(cursor) => raft::Request::ChunkStored { last, cursor },
                    Stored::Stray => {
                        raft::Request::ChunkStored { last, cursor: Default::default() }
                    }
                    Stored::Whole => {
                        up.whole = true;
                        return self.plan_apply(node);
                    }
                }
            }
            raft::Event::Committed(_)
            | raft::Event::Status { .. }
            | raft::Event::ReadReady { .. }
            | raft::Event::ReadDropped(_)
            | raft::Event::NotLeader(_) => unreachable!("sorted elsewhere"),
        };
        self.feed(node, Input::Request(M::request(answer)));
    }

    /// A member ends, with or without its power.
    pub fn crash(&mut self, node: NodeId, why: &str) {
        let power = self.plan.power && self.dice.below(3) > 0;
        let rest = Duration::from_millis(self.dice.between(1, 1_500));
        let mut dice = self.dice.fork(node.0);
        let process = self.members.get_mut(&node).expect("a member");
        if process.up.take().is_none() {
            return;
        }
        process.life += 1;
        // A failed sync leaves pages that look right and are not: nobody may trust the cache.
        if power || !process.disk.powered() {
            process.disk.crash();
        } else {
            process.disk.restart();
        }
        let fresh = M::app(&self.plan, &self.load);
        let app = std::mem::replace(&mut process.app, fresh);
        process.app = app.crash(&mut dice);
        let at = self.now + rest;
        self.count("crashes");
        self.note(&format!("{node} crashes: {why}"));
        M::ended(self, node);
        self.schedule(at, Event::Restart { node });
    }

    /// A member comes up through the shipped recovery.
    pub fn restart(&mut self, node: NodeId) {
        let now = self.now;
        let dice = self.dice.fork(node.0);
        let voters = Membership { voters: self.members.keys().copied().collect() };
        let segment_bytes = self.plan.segment_bytes;
        let process = self.members.get_mut(&node).expect("a member");
        if process.up.is_some() {
            return;
        }
        let struck = process.disk.struck();
        let opened = Log::open(process.disk.clone(), process.options(segment_bytes));
        let opened = opened.map_err(|error| error.to_string()).and_then(|(mut log, recovered)| {
            let restored = restore(&mut log, &recovered, process.app.applied(), &voters)?;
            Ok((log, restored, recovered.report.cut.is_some()))
        });
        let (log, restored, torn) = match opened {
            Ok(opened) => opened,
            Err(_) if !process.disk.powered() || process.disk.struck() > struck => {
                // The power failed again, or the disk, during recovery.
                process.disk.crash();
                self.count("crashes in recovery");
                self.note(&format!("{node} crashes while it recovers"));
                return self.schedule(now + Duration::from_millis(50), Event::Restart { node });
            }
            Err(error) => {
                let detail = format!("{node} cannot come up: {error}");
                return self.fail(Violation::new("recovery-after-any-crash", detail));
            }
        };
        process.began = true;
        if torn {
            *self.counts.entry("torn tails").or_default() += 1;
        }
        if restored.last_index < process.promised {
            let (last, promised) = (restored.last_index, process.promised);
            let detail = format!("{node} comes up with entries to {last}, synced {promised}");
            return self.fail(Violation::new("synced-writes-survive", detail));
        }
        process.promised = restored.last_index;
        let (last, commit, applied) = (restored.last_index, restored.commit, restored.applied);
        let machine = M::build(&self.plan, node, restored, dice, now);
        process.up = Some(Up {
            turn: Turn::new(machine),
            log,
            inbox: Vec::new(),
            turn_due: None,
            writes: Vec::new(),
            writing: None,
            committed: VecDeque::new(),
            applying: false,
            whole: false,
            state_syncing: false,
            bulk_free: now,
        });
        self.note(&format!("{node} is up: last {last}, commit {commit}, applied {applied}"));
        self.oracles.born(node);
        self.judge_step(node);
        M::started(self, node);
        self.plan_turn(node, now + Duration::from_micros(10));
    }
}
