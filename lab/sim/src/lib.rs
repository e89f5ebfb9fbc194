//! Simulated worlds: the shipped protocols and the shipped log over parts that fail from one seed.
//!
//! A [`World`](world::World) is one thread, one queue of events and one time that jumps from event
//! to event. It owns the wires, the nodes' clocks and fate, and drives any
//! [`Protocol`](quorate_base::Protocol) through [`Turn`](quorate_base::Turn), as the product does.
//! What surrounds a protocol on its node is its [`Host`](host::Host):
//!
//! | host | what runs in it |
//! |---|---|
//! | [`Replica`](replica::Replica) of [`Raft`](quorate_raft::Raft) ([`raft_world`]) | consensus, the shipped log and its recovery, a state machine that only counts |
//! | [`Replica`](replica::Replica) of [`Node`](quorate_node::Node) ([`server`]) | the whole member: router, leases, the shipped applier, watches, clients in front |
//! | [`Plain`](plain::Plain) of any [`Subject`](plain::Subject) | any other protocol with a journal; liars with [`byzantine`] |
//!
//! # What goes wrong
//!
//! A [`Plan`](swarm::Plan) follows from a seed and is data: rates for messages ([`network`]) and a
//! list of [strikes](faults). Every seed draws its own subset of them, and its own limits.
//!
//! | where | faults |
//! |---|---|
//! | each direction between two nodes | loss, doubling, reordering, very late arrival (also in a later life), corruption (refused by checksum), capacity, cut, asymmetric cut, half-open, clog and release, slowness |
//! | nodes | end at any effect, end in loops, all at once, pause and resume, slowness, young leaders struck, leaders that hand over while deaf or unheard |
//! | disks | unsynced sectors lost in any order, torn operations, names not durable, EIO on read, write or sync, no space, rot at rest, misdirected writes, slowness, an empty disk under the old name (refused) |
//! | clocks | offset, drift, jumps both ways, standstill, late timers |
//! | operators | members added, promoted, removed and replaced meanwhile, asked of anybody, given up half-way ([`operator`]) |
//! | clients | retries elsewhere with the same id, impatience, late copies, slow watchers, resumed watches |
//!
//! # What is judged
//!
//! After every turn the [`oracles`] compare what nodes did with what Raft and the API promise, and a
//! world ends at the first broken promise, with the property's name. A seed has two phases: chaos,
//! in which only safety counts, and peace, in which there must be a leader, every client must
//! finish, every lease must end and every member that is left must come to the same state.
//! Histories of clients are handed to the judges of `lab/check` ([`server::history`]).
//!
//! # Determinism
//!
//! Everything follows from the plan. No thread, no clock of the machine, no hash order. Each world
//! keeps a hash over everything that happened ([`trace`]); equal plans give equal hashes, in every
//! build, and tests say so. Events are kept and formatted only when somebody records.
//!
//! # How to use it
//!
//! [`runner::sweep`] runs seeds on threads, [`runner::run`] one, [`runner::record`] one with every
//! event. The examples `seeds` and `speed` do that from a shell, and [`bench`] tells how fast worlds
//! run.
//!
//! # Deliberately absent, so far
//!
//! Mixed versions. The state engine is the store's
//! in-memory one with syncs that can be lost, not the shipped one with its files: that has tests of
//! its own. The product's rule for empty disks lives in `system/host` among sockets; the worlds
//! follow the same rule in their own words ([`replica`]). Messages are values: frames and their
//! checksums are tested where they are made, in `quorate-wire`. A write that is misdirected into the
//! log's newest, unproven batch cannot be noticed by anyone: such a member is taken out.

#![forbid(unsafe_code)]

pub mod bench;
pub mod byzantine;
pub mod client;
pub mod clock;
pub mod disk;
pub mod faults;
pub mod host;
pub mod journal;
pub mod latency;
pub mod network;
pub mod operator;
pub mod oracles;
pub mod plain;
pub mod queue;
pub mod raft_world;
pub mod replica;
pub mod runner;
pub mod server;
pub mod store_app;
pub mod swarm;
pub mod topology;
pub mod trace;
pub mod watcher;
pub mod world;
