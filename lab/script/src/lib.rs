//! Golden stories: a cluster of Raft members in a text file, one command per line, the outcome
//! beside it.
//!
//! [`World`] is the cluster: turns, disks, state machines and wires on one thread, where nothing
//! happens unless a command (or a seed, in the random schedules) asks for it. [`Oracle`] judges
//! every step of it, and [`Story`] holds the verbs.

#![forbid(unsafe_code)]

mod app;
mod chaos;
mod disk;
mod expect;
mod forge;
mod oracle;
pub mod show;
mod story;
mod world;

pub use app::{App, Arrived};
pub use chaos::{Chaos, Outcome};
pub use disk::{Disk, Platter};
pub use oracle::Oracle;
pub use story::Story;
pub use world::{Letter, Machine, World};
