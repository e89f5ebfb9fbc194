//! One leader, one log: the Raft consensus algorithm.
//!
//! References are to the extended paper (Ongaro and Ousterhout, "In Search of an Understandable
//! Consensus Algorithm") and to Ongaro's dissertation ("diss."). "Trap" numbers are those of the
//! stories in `scripts/`: bugs that other systems shipped, each told and tested there.
//!
//! # The promise
//!
//! Members agree on one sequence of entries, opaque to them. An entry that was ever given out in
//! [`Event::Committed`] is given out by every member at the same index, for ever, whatever is lost,
//! late, doubled or reordered on the wires, and whoever crashes, as long as disks keep what they
//! said was durable. While a majority runs and can talk, somebody leads and proposals commit.
//!
//! # The rules
//!
//! 1. *One vote per member and term*, durable before it is told, the candidate's own included
//!    (paper 5.2). Term and vote are one [`Write::Vote`].
//! 2. *A vote goes only to a log at least as complete* (5.4.1): the greater last term, then index.
//! 3. *A leader only appends*; a follower takes an entry only after its predecessor matched (5.3).
//!    It replaces what conflicts and keeps what matches, whatever comes late.
//! 4. *An acknowledgement covers what was compared with this leader's log and is durable here*, no
//!    more. The leader counts itself up to its own durable index only, so its appends may leave in
//!    parallel with its own disk (diss. 10.2.1).
//! 5. *Committed is what a majority holds durably below an entry of the leader's own term* (5.4.2).
//!    A new leader opens its term with an empty entry to get there.
//! 6. *A read waits for proof of leadership given after it began* (diss. 6.4): see `read.rs`.
//! 7. *Nobody disturbs a leader that works*: pre-vote, stickiness and check-quorum together (diss.
//!    9.6, 6.2): see `election.rs`.
//! 8. *Memory is bounded*: see below.
//! 9. *The newest configuration in the log holds*, committed or not; voters change through a
//!    configuration that needs both majorities (paper 6): see `change.rs` and `roster.rs`.
//!
//! # How the machine is used
//!
//! [`Raft`] is a [`quorate_base::Protocol`]: a value that is told what happened and says what to
//! do. `step` absorbs; `settle` speaks once for all that was absorbed: all proposals of a turn are
//! one write and one append per follower (several when they exceed
//! [`Config::max_append_bytes`]), all reads of a turn are one round of beacons. Commits are told to
//! followers at once, with the next entries or alone, since they answer clients of their own.
//!
//! Beyond the four duties of every host (see `quorate_base`), this one must:
//! - answer each [`Event::ReadLog`] and [`Event::ChunkNeeded`], once, with the same `to`: nothing
//!   is asked again while an answer is owed. An empty answer to a log read leads to a snapshot;
//! - apply committed entries in order and report [`Request::Applied`]; call [`Request::Compact`]
//!   only up to what survives a crash outside the log;
//! - answer each [`Event::InstallChunk`], in order. A chunk with an empty `after` starts a new
//!   state and discards what was stored of another. Between the last chunk and
//!   [`Request::Installed`] this member takes no entries: a host that cannot finish must stop;
//! - at a restart, when the state is ahead of the log or disagrees with it (the power failed
//!   between the switch to an installed state and the durable [`Write::Snapshot`]), restart the log
//!   after the state, with the state's last entry as its base and the configuration that the state
//!   remembers, *before* building [`Restored`];
//! - apply a configuration ([`Membership::of_payload`]) like any entry, by remembering it with the
//!   state: a state that is installed elsewhere brings it along;
//! - not start a member whose disk was replaced under its old name: it has forgotten its votes.
//!   Its acknowledgements are remembered by the leader, which takes its refusals for late ones and
//!   sends it nothing until leadership changes.
//!
//! # Memory
//!
//! The tail of the log that is not applied, and on a leader what a follower that keeps up still
//! needs, stays in memory ("cached", see `log.rs`); followers further behind are served from disk
//! by the host. When more than [`Config::max_cached_bytes`] wait to be applied, a leader hands
//! proposals back ([`Event::NotLeader`], though it is the leader: the proposer tries later or
//! elsewhere), and a follower takes no further entries *while it has committed ones to apply*. That
//! condition is not a detail: without it, members whose memory is full of uncommitted entries
//! refuse the very entry that would commit them, for ever.
//!
//! # An entry's way, and what waits for which disk
//!
//! ```text
//! leader    propose ─ settle ─┬─ write ········ durable ─┐
//!                             └─ Append ─┐               ├─ committed ─ given out, told
//! follower                               └─ write ········ durable ─ Appended
//! ```
//!
//! A committed entry is given out only when it is durable *here* too, so that no state machine is
//! ever ahead of its own log.
//!
//! # Left out, and what that costs
//!
//! - **A vote request from a machine outside of the configuration** is answered, as diss. 4.1 asks
//!   (the receiver may be the one that does not know yet); its own vote is never counted. Keeping
//!   removed members quiet beyond stickiness is the host's part: it knows who they are.
//! - **Names and addresses** of members: a configuration is ids and roles (see `change.rs`). Who is
//!   behind an id, and that no id is used twice, is the host's replicated state.
//! - **Lease reads** (diss. 6.4.1): each linearizable read costs a round of beacons, and no clock
//!   can break it.
//! - **Proposal forwarding**: [`Event::NotLeader`] hands the payload back; only the host knows
//!   whether sending it elsewhere could apply it twice.
//! - **Compaction waits within bounds**: a leader keeps what comes after a state that it is sending,
//!   until the follower has caught up, so that one stream is enough. A follower that does not move for
//!   a minute of beats holds nothing, and none holds more than `max_held_entries`; then another stream
//!   follows.
//! - **A restarted receiver asks for a snapshot from its start**: this crate does not remember
//!   positions across a crash.
//! - **Priorities and witnesses**: elections are won by whoever asks first with a complete log.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod canonical;
mod change;
mod election;
mod follower;
mod gray;
mod invariants;
mod leader;
mod log;
mod membership;
mod message;
mod node;
mod progress;
mod quorum;
mod read;
mod roster;
mod snapshot;
mod status;

pub use canonical::Canon;
pub use change::Hurdle;
pub use membership::Membership;
pub use message::{
    Config, Entry, Event, LogId, Message, Request, Restored, Role, SnapshotMeta, Write,
};
pub use node::Raft;
pub use status::{FlowKind, PeerStatus, Status};
