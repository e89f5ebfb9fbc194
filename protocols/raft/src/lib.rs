//! One leader, one log: the Raft consensus algorithm.

#![forbid(unsafe_code)]

mod message;

pub use message::{
    Config, Entry, Event, LogId, Membership, Message, Request, Restored, Role, SnapshotMeta, Write,
};
