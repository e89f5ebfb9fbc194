//! Why the host could not do what it was asked.

use thiserror::Error;

/// A request without an answer. Of a write that failed with anything but the first three, nobody
/// knows whether it was applied; a read that failed changed nothing.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Failure {
    /// Too many requests are under way; certainly not applied.
    #[error("too many requests: the limit is {limit}")]
    TooManyRequests {
        /// How many may be under way.
        limit: usize,
    },
    /// The command is too large; certainly not applied.
    #[error("the request has {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// Its encoded size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Some member's build could not read the command; certainly not applied.
    #[error(
        "it needs builds of level {needed}, and some member is of level {level}: upgrade it first"
    )]
    NotCapable {
        /// The level that every member must have.
        needed: u32,
        /// The lowest that one has.
        level: u32,
    },
    /// A leader is known, but no answer came in time.
    #[error("no answer in time")]
    Timeout,
    /// No leader is known.
    #[error("no answer in time, and no leader is known")]
    TimeoutNoLeader,
    /// This member is stopping.
    #[error("the member is stopping")]
    Stopped,
    /// The state engine could not be read.
    #[error("{0}")]
    State(String),
}
