//! Golden stories: a cluster in a text file, one command per line, the outcome beside it.
//!
//! [`World`] is the cluster: turns, disks, state machines and wires on one thread, where nothing
//! happens unless a command (or a seed, in the random schedules) asks for it. [`Oracle`] judges
//! every step of it, and [`Story`] holds the verbs. Both are the same for every [`Player`]: Raft
//! itself, and the node around it. [`StoreStory`] is about the replicated state alone.

#![forbid(unsafe_code)]

mod app;
mod args;
mod chaos;
mod disk;
mod expect;
mod forge;
mod node;
mod oracle;
mod player;
pub mod show;
mod store;
mod story;
mod world;

pub use app::{App, Arrived};
pub use args::Args;
pub use chaos::{Chaos, Outcome};
pub use disk::{Disk, Platter};
pub use node::Desk;
pub use oracle::Oracle;
pub use player::{Heard, Player, Served};
pub use store::StoreStory;
pub use story::Story;
pub use world::{Letter, Machine, World};

/// What a command of a story may come to: every failure is told to whoever runs it.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error>>;
