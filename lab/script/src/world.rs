//! A cluster of members, their disks, state machines and the wires between them, on one thread
//! and with one clock. Nothing happens unless somebody asks for it.

use crate::app::{App, Arrived};
use crate::disk::{Disk, Platter};
use crate::oracle::Oracle;
use crate::player::{Heard, Player, Served};
use crate::show;
use bytes::Bytes;
use quorate_base::{Batch, Dice, Input, Instant, NodeId, Turn};
use quorate_raft::{Config, Event, Hurdle, Membership, Message, Raft, Request, Role};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A message on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter<M = Message> {
    /// Who sent it.
    pub from: NodeId,
    /// Who shall get it.
    pub to: NodeId,
    /// What it says.
    pub message: M,
}

/// One member: what runs, what it runs on, and what it was told.
#[derive(Debug)]
pub struct Machine<P: Player = Raft> {
    /// Nothing while it is down.
    pub turn: Option<Turn<P>>,
    /// Its disk.
    pub disk: Disk,
    /// Its state machine.
    pub app: App,
    /// The newest answers to reads, by token; `None` when dropped.
    pub reads: BTreeMap<u64, Option<u64>>,
    /// Payloads that were handed back.
    pub refused: Vec<Bytes>,
    /// Why changes of configuration could not begin.
    pub hurdles: Vec<Hurdle>,
    /// What the host beside it keeps.
    pub desk: P::Desk,
    lives: u64,
}

/// See the module's essay.
#[derive(Debug)]
pub struct World<P: Player = Raft> {
    /// The clock of all members.
    pub now: Instant,
    /// All members, running or not.
    pub machines: BTreeMap<NodeId, Machine<P>>,
    /// What is on the wires, oldest first.
    pub wire: VecDeque<Letter<P::Message>>,
    /// Directed links that lose everything.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// The judges.
    pub oracle: Oracle,
    /// What happened, for people; only while `tracing`.
    pub trace: Vec<String>,
    /// Whether to keep a trace: words cost more than the steps they tell of.
    pub tracing: bool,
    /// How often each kind of thing happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// Promises leave before their writes are durable: a host that the judges must catch.
    pub broken_host: bool,
    config: Config,
    settings: P::Settings,
    dice: Dice,
}

impl World {
    /// `voters` members of plain Raft. See [`World::start`].
    pub fn new(voters: u64, config: Config, seed: u64) -> World {
        World::start(voters, config, (), seed)
    }
}

impl<P: Player> World<P> {
    /// `voters` members with empty disks, all running. `config.id` is ignored.
    pub fn start(voters: u64, config: Config, settings: P::Settings, seed: u64) -> World<P> {
        let membership = Membership::of((1..=voters).map(NodeId));
        let mut world = World {
            now: Instant(0),
            machines: BTreeMap::new(),
            wire: VecDeque::new(),
            cut: BTreeSet::new(),
            oracle: Oracle::default(),
            trace: Vec::new(),
            tracing: true,
            counts: BTreeMap::new(),
            broken_host: false,
            config,
            settings,
            dice: Dice::new(seed),
        };
        for id in membership.voters.clone() {
            let platter = Platter::new(membership.clone());
            world.add(id, platter);
        }
        world
    }

    /// Adds a machine with this disk and starts it.
    pub fn add(&mut self, id: NodeId, platter: Platter) {
        let machine = Machine {
            turn: None,
            disk: Disk::new(platter),
            app: App::default(),
            reads: BTreeMap::new(),
            refused: Vec::new(),
            hurdles: Vec::new(),
            desk: P::Desk::default(),
            lives: 0,
        };
        self.machines.insert(id, machine);
        self.restart(id);
    }

    /// The machine, which must exist.
    pub fn machine(&mut self, id: NodeId) -> &mut Machine<P> {
        self.machines.get_mut(&id).unwrap_or_else(|| panic!("{id} does not exist"))
    }

    /// The protocol of a running member.
    pub fn player(&self, id: NodeId) -> Option<&P> {
        self.machines.get(&id)?.turn.as_ref().map(Turn::protocol)
    }

    /// The consensus of a running member.
    pub fn raft(&self, id: NodeId) -> Option<&Raft> {
        self.player(id).map(P::raft)
    }

    /// Members that run.
    pub fn running(&self) -> Vec<NodeId> {
        let up = self.machines.iter().filter(|(_, machine)| machine.turn.is_some());
        up.map(|(id, _)| *id).collect()
    }

    /// The running leader of the newest term.
    pub fn leader(&self) -> Option<NodeId> {
        let leaders = self.machines.keys().filter_map(|id| self.raft(*id));
        leaders.filter(|raft| raft.is_leader()).max_by_key(|raft| raft.term()).map(Raft::id)
    }

    fn note(&mut self, kind: &'static str, line: impl FnOnce() -> String) {
        *self.counts.entry(kind).or_default() += 1;
        if self.tracing {
            self.trace.push(line());
        }
    }

    /// Feeds inputs to a running member and does what it says.
    pub fn feed(&mut self, id: NodeId, inputs: Vec<Input<P>>) {
        for input in &inputs {
            let Input::Request(request) = input else { continue };
            if let Some(token) = P::read_token(request) {
                self.oracle.see_read(id, token);
            }
        }
        let now = self.now;
        let broken = self.broken_host;
        let Some(turn) = &mut self.machine(id).turn else { return };
        let batch = turn.absorb(now, inputs);
        self.perform(id, batch);
        if broken {
            // The broken host says "durable" the moment it is asked to write.
            let turn = self.machine(id).turn.as_mut().expect("it runs");
            let issued = turn.issued();
            if issued > turn.durable() {
                self.feed(id, vec![Input::Durable(issued)]);
            }
        }
        self.serve(id);
    }

    fn perform(&mut self, id: NodeId, batch: Batch<P>) {
        let turn = self.machines[&id].turn.as_ref().expect("it just ran");
        let raft = turn.protocol().raft();
        self.oracle.see_member(raft);
        let writes: Vec<_> =
            batch.writes.into_iter().map(|(ticket, write)| (ticket, P::plain(write))).collect();
        for (_, write) in &writes {
            self.oracle.see_write(raft, write);
        }
        for (ticket, write) in writes {
            self.note(show::write_kind(&write), || {
                format!("{id} writes #{} {}", ticket.0, show::write(&write))
            });
            self.machine(id).disk.pending.push_back((ticket, write));
        }
        for (to, message) in batch.sends {
            if let Some(message) = P::consensus(&message) {
                self.oracle.see_send(id, to, message);
            }
            let lost = self.cut.contains(&(id, to));
            self.note(P::kind(&message), || {
                let fate = if lost { " (lost)" } else { "" };
                format!("{id} → {to} {}{fate}", P::message(&message))
            });
            if !lost {
                self.wire.push_back(Letter { from: id, to, message });
            }
        }
        let mut requests = Vec::new();
        for event in batch.events {
            self.note(P::event_kind(&event), || format!("{id} {}", P::event(&event)));
            let heard: Heard<P> = P::hear(&mut self.machine(id).desk, event);
            heard.consensus.into_iter().for_each(|event| self.on_event(id, event));
            requests.extend(heard.requests);
        }
        // Only after all events of the turn: what follows from a request comes later than they.
        self.request(id, requests);
    }

    fn request(&mut self, id: NodeId, requests: Vec<P::Request>) {
        if !requests.is_empty() {
            self.feed(id, requests.into_iter().map(Input::Request).collect());
        }
    }

    /// Does what the host does after a change of its state.
    fn follow_up(&mut self, id: NodeId, served: Served<P>) {
        for line in served.notes {
            self.note("host", || format!("{id} {line}"));
        }
        self.request(id, served.requests);
    }

    fn on_event(&mut self, id: NodeId, event: Event) {
        match event {
            Event::Committed(entries) => {
                let machines = &self.machines;
                self.oracle.see_committed(id, &entries, |entry| {
                    let holders = machines.iter().filter(|(_, machine)| {
                        Oracle::holds(&machine.disk.platter, machine.app.saved, entry)
                    });
                    let holders = holders.map(|(id, _)| *id).collect();
                    // Whoever counted did so in a configuration that some log still knows.
                    let logs = machines.values().flat_map(|machine| machine.disk.memberships());
                    let (counted, _) = logs.partition::<Vec<_>, _>(|membership| {
                        Oracle::is_quorum(membership, &holders)
                    });
                    !counted.is_empty()
                });
                self.machine(id).app.queue.extend(entries);
            }
            Event::ReadReady { token, index } => {
                self.oracle.see_read_ready(id, token, index);
                self.machine(id).reads.insert(token, Some(index));
            }
            Event::ReadDropped(tokens) => {
                let reads = &mut self.machine(id).reads;
                reads.extend(tokens.into_iter().map(|token| (token, None)));
            }
            Event::NotLeader(payload) => self.machine(id).refused.push(payload),
            Event::ChangeRefused { why } => self.machine(id).hurdles.push(why),
            Event::ReadLog { to, from, max_bytes } => {
                let entries = self.machine(id).disk.platter.read(from, max_bytes);
                self.request(id, vec![P::ask(Request::LogRead { to, entries })]);
            }
            Event::ChunkNeeded { to, after } => {
                let chunk = self.machine(id).app.chunk(to, after);
                self.request(id, vec![P::ask(chunk)]);
            }
            Event::InstallChunk { meta, after, next, data, done } => {
                let chunk = Arrived { meta, after, next, data, done };
                self.machine(id).app.arrived.push_back(chunk);
            }
            Event::ChunksDone { to } => self.machine(id).app.unpin(to),
            Event::Status { .. } => {}
        }
    }

    /// Lets the machine's own parts work: its disk and its state machine, unless they are held.
    fn serve(&mut self, id: NodeId) {
        let machine = self.machine(id);
        if !machine.disk.held && !machine.disk.pending.is_empty() {
            let all = machine.disk.pending.len();
            self.sync(id, all);
        }
        let machine = self.machine(id);
        if machine.turn.is_none() {
            return;
        }
        let before = machine.app.state.len();
        if machine.app.apply() {
            let served = P::applied(&mut machine.desk, &machine.app.state[before..]);
            self.follow_up(id, served);
        }
        let machine = self.machine(id);
        match machine.app.store() {
            Some(told @ Request::Installed { .. }) => {
                let served = P::installed(&mut machine.desk, told, &machine.app.state);
                self.follow_up(id, served);
            }
            Some(told) => self.request(id, vec![P::ask(told)]),
            None => {}
        }
    }

    /// Makes the oldest `count` writes of a member durable and tells it.
    pub fn sync(&mut self, id: NodeId, count: usize) {
        let reached = self.machine(id).disk.sync(count);
        let known = self.machine(id).turn.as_ref().map(Turn::durable);
        if let (Some(ticket), Some(known)) = (reached, known)
            && ticket > known
        {
            self.note("durable", || format!("{id} durable #{}", ticket.0));
            self.feed(id, vec![Input::Durable(ticket)]);
        }
    }

    /// Lets the state machine go on, or stop.
    pub fn hold_app(&mut self, id: NodeId, held: bool) {
        self.machine(id).app.held = held;
        self.serve(id);
    }

    /// Lets the disk go on, or stop.
    pub fn hold_disk(&mut self, id: NodeId, held: bool) {
        self.machine(id).disk.held = held;
        self.serve(id);
    }

    /// Delivers one letter. It is lost on a cut link or when nobody runs there.
    pub fn deliver(&mut self, letter: Letter<P::Message>) {
        if self.cut.contains(&(letter.from, letter.to)) || self.raft(letter.to).is_none() {
            let Letter { from, to, message } = letter;
            self.note("lost", || format!("{to} ← {from} {} (lost)", P::message(&message)));
        } else {
            self.hand_over(letter);
        }
    }

    /// Delivers one letter whatever the links do.
    pub fn hand_over(&mut self, letter: Letter<P::Message>) {
        let Letter { from, to, message } = letter;
        self.note("delivered", || format!("{to} ← {from} {}", P::message(&message)));
        self.feed(to, vec![Input::Received { from, message }]);
    }

    /// The power of a member fails; `survivors` of its pending writes had reached the platter.
    pub fn crash(&mut self, id: NodeId, survivors: usize) {
        let machine = self.machine(id);
        machine.turn = None;
        machine.disk.crash(survivors);
        machine.disk.held = false;
        machine.app.crash();
        self.note("crashed", || format!("{id} crashed"));
    }

    /// A member starts from what its disk and its saved state hold.
    pub fn restart(&mut self, id: NodeId) {
        let now = self.now;
        let config = Config { id, ..self.config.clone() };
        let settings = self.settings.clone();
        let label = self.machine(id).lives;
        let dice = self.dice.fork(id.0 << 32 | label);
        let machine = self.machine(id);
        machine.lives += 1;
        let disk = &mut machine.disk.platter;
        // The host's duty: a state that was switched to just before the crash may be ahead of the
        // log, which then restarts after it.
        let state = machine.app.last();
        if disk.base.index < state.index && disk.term_at(state.index) != Some(state.term) {
            let known = machine.app.membership().unwrap_or_else(|| disk.membership.clone());
            disk.restart_after(state, known);
        }
        let applied = machine.app.applied();
        let restored = disk.restored(applied);
        let (desk, requests) = P::open(id, label, &machine.app.state);
        machine.desk = desk;
        self.machine(id).turn = Some(Turn::new(P::wake(&settings, config, restored, dice, now)));
        if label > 0 {
            self.note("restarted", || format!("{id} restarted"));
        }
        self.request(id, requests);
    }

    /// The saved state covers everything applied; the log may forget up to `index`.
    pub fn compact(&mut self, id: NodeId, index: u64) {
        let app = &mut self.machine(id).app;
        app.saved = app.state.len();
        self.request(id, vec![P::compact(index)]);
    }

    /// The next moment at which some running member wants to be woken.
    pub fn next_timeout(&self) -> Option<Instant> {
        let turns = self.machines.values().filter_map(|machine| machine.turn.as_ref());
        turns.filter_map(Turn::next_timeout).min()
    }

    /// Wakes whoever is due.
    pub fn fire_due(&mut self) {
        let now = self.now;
        for id in self.running() {
            let turn = self.machine(id).turn.as_ref();
            if turn.and_then(Turn::next_timeout).is_some_and(|at| at <= now) {
                self.feed(id, vec![Input::Timeout]);
                let turn = self.machine(id).turn.as_ref();
                let next = turn.and_then(Turn::next_timeout);
                // A deadline that its own timeout does not move would keep a host spinning.
                assert!(next.is_none_or(|at| at > now), "{id} wants to be woken at {next:?} again");
            }
        }
    }

    /// Lets time pass until `until`, waking members in order; delivers everything meanwhile if
    /// `deliver` says so.
    pub fn advance(&mut self, until: Instant, deliver: bool) {
        loop {
            if deliver {
                self.settle_wire();
            }
            match self.next_timeout() {
                Some(at) if at <= until => {
                    self.now = self.now.max(at);
                    self.fire_due();
                }
                Some(_) | None => break,
            }
        }
        self.now = until;
        if deliver {
            self.settle_wire();
        }
    }

    /// Delivers until the wires are empty. Bounded: a storm of messages is a failure.
    pub fn settle_wire(&mut self) {
        for _ in 0..100_000 {
            let Some(letter) = self.wire.pop_front() else { return };
            self.deliver(letter);
        }
        panic!("messages never end");
    }

    /// The role of a member; `None` while it is down.
    pub fn role(&self, id: NodeId) -> Option<Role> {
        self.raft(id).map(Raft::role)
    }
}
