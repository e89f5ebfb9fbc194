//! One leader, one log: the Raft consensus algorithm.

#![forbid(unsafe_code)]

mod election;
mod follower;
mod invariants;
mod leader;
mod log;
mod message;
mod node;
mod progress;
mod quorum;
mod read;
mod snapshot;
mod status;

pub use message::{
    Config, Entry, Event, LogId, Membership, Message, Request, Restored, Role, SnapshotMeta, Write,
};
pub use node::Raft;
pub use status::{FlowKind, PeerStatus, Status};
