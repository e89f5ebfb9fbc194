//! The core: one thread that turns all groups, and the sockets to the peers.
//!
//! A turn takes whatever gathered in the inbox, lets the node think, and hands out what it said:
//! messages to the sockets of this very thread, writes to the log thread, committed entries to the
//! apply thread, log reads and snapshots to the bulk thread. It never waits for any of them, and
//! never touches a disk or the state engine.

use crate::apply::ApplyQueue;
use crate::beacons::Beacons;
use crate::bulk::{BulkQueue, Job};
use crate::clock::Clock;
use crate::fatal::Fatal;
use crate::gate::{self, Gate};
use crate::inbox::{Gathered, Inbox, ReadWaiter};
use crate::logger::LogQueue;
use crate::peers::{Identity, Known, Link, Peer, removed};
use crate::questions::Questions;
use crate::roster::Roster;
use crate::stats::Stats;
use crate::status::StatusBoard;
use crate::{Failure, View};
use arc_swap::ArcSwap;
use quorate_base::{Batch, Input, NodeId, Turn};
use quorate_node::{Event, FAREWELL, GroupId, Message, Node, Request, Tagged};
use quorate_raft as raft;
use quorate_store::{Action, Command, OpId};
use quorate_wire::hello::Purpose;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What the core hands things to.
pub struct Core {
    turn: Turn<Node>,
    clock: Clock,
    inbox: Arc<Inbox>,
    log: Arc<LogQueue>,
    apply: Arc<ApplyQueue>,
    bulk: Arc<BulkQueue>,
    gate: Arc<Gate>,
    questions: Arc<Questions>,
    board: Arc<StatusBoard>,
    stats: Arc<Stats>,
    beacons: Beacons,
    /// Streams to the peers.
    links: BTreeMap<NodeId, Wire>,
    roster: Rc<Roster>,
    linker: Linker,
    view: Arc<ArcSwap<View>>,
    fatal: Fatal,
    is_ending: bool,
    /// Local readers by the token of the read index that they share.
    readers: BTreeMap<u64, Vec<ReadWaiter>>,
    next_token: u64,
}

/// The queues and boards that the core shares with other threads.
pub struct Shared {
    /// Monotonic time.
    pub clock: Clock,
    /// What the core hears.
    pub inbox: Arc<Inbox>,
    /// Writes on their way to the disk.
    pub log: Arc<LogQueue>,
    /// Entries on their way to the state.
    pub apply: Arc<ApplyQueue>,
    /// Slow reads.
    pub bulk: Arc<BulkQueue>,
    /// Readers that wait for the state.
    pub gate: Arc<Gate>,
    /// Lease questions.
    pub questions: Arc<Questions>,
    /// What others may know of the core.
    pub board: Arc<StatusBoard>,
    /// Where it counts.
    pub stats: Arc<Stats>,
    /// The newest state, for its table of members.
    pub view: Arc<ArcSwap<View>>,
    /// Where it ends.
    pub fatal: Fatal,
}

/// What new connections are made of.
pub struct Linker {
    /// Who this member is.
    pub identity: Identity,
    /// Whom it remembers.
    pub known: Arc<Known>,
}

/// The streams to one peer; they end with this value.
struct Wire {
    peer: Peer,
    messages: Rc<Link>,
    bulk: Rc<Link>,
    tasks: [JoinHandle<()>; 2],
}

impl Wire {
    fn new(peer: Peer, linker: &Linker, stats: &Stats, fatal: &Fatal) -> Wire {
        let connect = |purpose| {
            let link = Link::new(peer.clone(), purpose, stats.peer(peer.id));
            let (identity, known) = (linker.identity.clone(), linker.known.clone());
            let task = link.clone().run(identity, known, fatal.clone());
            (link, tokio::task::spawn_local(task))
        };
        let (messages, first) = connect(Purpose::Messages);
        let (bulk, second) = connect(Purpose::Bulk);
        Wire { peer, messages, bulk, tasks: [first, second] }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Core {
    /// A core around a node that has just been restored.
    pub fn new(node: Node, shared: Shared, roster: Rc<Roster>, linker: Linker) -> Core {
        let Shared { clock, inbox, log, apply, bulk, gate, questions, board, stats, view, fatal } =
            shared;
        let mut core = Core {
            turn: Turn::new(node),
            clock,
            inbox,
            log,
            apply,
            bulk,
            gate,
            questions,
            board,
            beacons: Beacons::new(stats.clone()),
            stats,
            links: BTreeMap::new(),
            roster,
            linker,
            view,
            fatal,
            is_ending: false,
            readers: BTreeMap::new(),
            next_token: 1,
        };
        core.follow_members();
        core
    }

    /// Connections come and go with the members.
    fn follow_members(&mut self) {
        let raft = self.turn.protocol().group(GroupId(0)).expect("group 0 is always there").raft();
        if self.roster.follow(self.view.load().members(), raft) {
            let (now, committed) = (raft.membership(), raft.committed_membership());
            self.board.configured(now.clone(), committed.clone());
        }
        if raft.is_removed() && !self.is_ending {
            self.is_ending = true;
            let Identity { name, id, cluster, .. } = &self.linker.identity;
            let (why, fatal) = (removed(name, *id, *cluster), self.fatal.clone());
            tokio::task::spawn_local(async move {
                tokio::time::sleep(FAREWELL).await;
                fatal.stop(why);
            });
        }
        if let Some(mut peers) = self.roster.take_changes() {
            self.links.retain(|id, wire| peers.get(id) == Some(&wire.peer));
            peers.retain(|id, _| !self.links.contains_key(id));
            for (id, peer) in peers {
                self.links.insert(id, Wire::new(peer, &self.linker, &self.stats, &self.fatal));
            }
        }
    }

    /// Turns until it is told to stop.
    pub async fn run(mut self) {
        loop {
            // The sockets of this thread get their share between two turns.
            tokio::task::yield_now().await;
            let gathered = self.inbox.take();
            if gathered.stop {
                break;
            }
            let now = self.clock.now();
            let timeout = self.turn.next_timeout().is_some_and(|at| at <= now);
            if gathered.is_empty() && !timeout {
                self.rest().await;
                continue;
            }
            self.turn_once(gathered, timeout);
            self.log.wait_for_space().await;
        }
        self.readers.into_values().for_each(|readers| gate::fail(readers, &Failure::Stopped));
    }

    /// Waits for the inbox or the next deadline, whichever is first.
    async fn rest(&self) {
        match self.turn.next_timeout() {
            None => self.inbox.wait().await,
            Some(at) => {
                let deadline = self.clock.to_tokio(at);
                let _ = tokio::time::timeout_at(deadline, self.inbox.wait()).await;
            }
        }
    }

    fn turn_once(&mut self, gathered: Gathered, timeout: bool) {
        let Gathered { mut inputs, reads, .. } = gathered;
        self.beacons.heard(&inputs);
        if !reads.is_empty() {
            let token = self.next_token;
            self.next_token += 1;
            self.readers.insert(token, reads);
            inputs.push(request(Request::Read { token }));
        }
        if timeout {
            inputs.push(Input::Timeout);
        }
        let batch = self.turn.absorb(self.clock.now(), inputs);
        self.carry_out(batch);
        // The leader's own wishes come back as proposals; they are rare.
        let connected = self.links.iter().filter(|(_, wire)| wire.messages.is_connected());
        self.board.publish(self.turn.protocol(), connected.map(|(id, _)| *id));
        self.follow_members();
    }

    fn carry_out(&mut self, batch: Batch<Node>) {
        let Batch { writes, sends, events } = batch;
        for (to, message) in sends {
            if let Some(wire) = self.links.get(&to) {
                self.beacons.leaves(to, &message, wire.messages.is_connected());
                let link = if is_bulk(&message) { &wire.bulk } else { &wire.messages };
                link.queue(&message);
            }
        }
        for wire in self.links.values() {
            wire.messages.flush();
            wire.bulk.flush();
        }
        if !writes.is_empty() {
            self.log.push(writes);
        }
        for Tagged { group, body } in events {
            assert_eq!(group, GroupId(0), "there is one group so far");
            self.tell(body);
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Committed(entries) => self.apply.push(entries),
            Event::ReadReady { tokens, index } => {
                let readers = tokens.iter().filter_map(|token| self.readers.remove(token));
                self.gate.admit(index, readers.flatten().collect());
            }
            Event::ReadFailed { tokens } => {
                let failure = self.board.why_no_answer();
                for token in tokens {
                    self.stats.failed_read_indexes.count();
                    gate::fail(self.readers.remove(&token).unwrap_or_default(), &failure);
                }
            }
            Event::Told { token, seconds } => self.questions.answer(token, Ok(seconds)),
            Event::Leases { token, ids } => self.questions.list(token, ids),
            Event::AskFailed { token } => {
                self.questions.answer(token, Err(self.board.why_no_answer()));
            }
            Event::Act(action) => self.act(action),
            Event::Status { role, term, leader } => self.board.changed(role, term, leader),
            Event::Raft(event) => self.serve_raft(event),
        }
    }

    /// The leader wants something in the log for its own reasons.
    fn act(&self, action: Action) {
        // Guarded by its term, not by an operation id: doing it twice changes nothing.
        let id = OpId { origin: 0, seq: 0, floor: 0 };
        let payload = quorate_wire::command::encode(&Command::new(id, action));
        self.inbox.request(Request::Propose { seq: 0, payload });
    }

    fn serve_raft(&self, event: raft::Event) {
        match event {
            raft::Event::ReadLog { to, from, max_bytes } => {
                self.bulk.push(Job::ReadLog { to, from, max_bytes });
            }
            raft::Event::ChunkNeeded { to, after } => self.bulk.push(Job::Chunk { to, after }),
            raft::Event::ChunksDone { to } => self.bulk.push(Job::ChunksDone { to }),
            raft::Event::InstallChunk { meta, after, next, data, done } => {
                self.bulk.push(Job::Install { meta, after, next, data, done });
            }
            raft::Event::Committed(_)
            | raft::Event::Status { .. }
            | raft::Event::ReadReady { .. }
            | raft::Event::ReadDropped(_)
            | raft::Event::NotLeader(_)
            | raft::Event::ChangeRefused { .. } => unreachable!("the group translates this one"),
        }
    }
}

fn request(body: Request) -> Input<Node> {
    Input::Request(Tagged { group: GroupId(0), body })
}

/// Snapshot chunks travel apart, so that a heartbeat never waits behind a megabyte.
fn is_bulk(message: &Tagged<Message>) -> bool {
    matches!(message.body, Message::Raft(raft::Message::SnapshotChunk { .. }))
}
