//! Simulated worlds: the shipped protocols and the shipped log over parts that fail from one seed.
//!
//! A [`World`](world::World) is one thread, one queue of events and one clock that jumps from event
//! to event. In it run whole members: [`Turn`](quorate_base::Turn) as the product drives it,
//! [`Log`](quorate_storage::Log) and its recovery as the product ships them, a state machine as an
//! actor of its own. Around them everything fails: messages are lost, late, doubled and overtaken,
//! links are cut in one direction or both, power fails in the middle of a write and takes unsynced
//! sectors with it, syncs report errors, state machines dawdle and lose what they had not synced.
//!
//! # What is judged
//!
//! After every step the [`oracles`] compare what members did with what Raft and the API promise,
//! and a world ends at the first broken promise, with the property's name. A seed has two phases:
//! chaos, in which only safety counts, and peace, in which there must be a leader, every client
//! must finish and every member must come to the same state.
//!
//! # Determinism
//!
//! Everything follows from the seed: which faults there are at all and how often ([`swarm`]), when
//! they strike, how long each step takes. No thread, no clock, no hash order. Each world keeps a
//! hash over everything that happened; the same seed gives the same hash, and tests say so.
//!
//! # Two kinds of worlds
//!
//! [`raft_world`] is consensus alone, with a state machine that only counts; [`server`] is the whole
//! member: router, leases, the store's applier over an engine that crashes, and clients.
//!
//! # Deliberately absent, so far
//!
//! Clocks that drift, members that pause, changes of membership, bit rot under a running cluster,
//! shrinking of a failing seed. The simulated disk can do more than worlds ask of it today.

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
