//! The replicated state of a strong keyspace: etcd's semantics as a value.
//!
//! # What it promises
//!
//! Members that apply the same log hold the same state and give the same answers, whatever their
//! batches, crashes, snapshots and progress in forgetting. A reader holds a [`View`]: one moment,
//! unchanging, complete. A watcher holds a [`Cursor`]: every change of its keys once, in order,
//! whole revisions, from any revision that is not compacted. Nothing here reads a clock, a socket
//! or a disk; the state lies behind [`Engine`], which the simulator replaces by [`MemEngine`].
//!
//! # How the parts fit
//!
//! ```text
//! log ──> Applier ──publish──> View ──> range, read_txn, hash_kv, chunk
//!            │                   │
//!            │ Engine            └──> Cursor::poll <── Ring <── events, encoded once
//!            └── compact_step
//! leader's clock ──> Lessor ──> LeaseRevoke, LeaseCheckpoint ──> log
//! ```
//!
//! - [`Applier`] takes committed [`Command`]s in order, one engine batch at a time, the applied
//!   index inside the batch.
//! - [`touch`] says which keys a request needs, and how; [`Auth`] who may.
//! - [`validate`] is what the API checks before a command is proposed.
//! - [`View`] answers reads; [`Ring`], [`Cursor`] and [`Interests`] serve watchers.
//! - [`Lessor`] says when leases expire; only the leader has one. [`Retainer`] says what may be
//!   compacted by itself.
//! - [`Installer`] fills a fresh engine from another member's chunks.
//!
//! # The rules that the code keeps
//!
//! 1. Every key has its newest version in one ordered space; a version that is replaced moves to
//!    history, sorted by the revision that *ended* it. See `layout.rs` for why, and for the bytes.
//! 2. A command that is refused has changed nothing: all checks come before the first write.
//! 3. What can be read depends on the compacted revision alone, never on how far the sweep got.
//! 4. A count is exact and does not walk its range, nor does a weight: see `count.rs`.
//! 5. An operation with an id is done once: see `session.rs`, and the bounds stated there.
//!
//! # Where it differs from etcd, and what that costs
//!
//! - Sorting is stable (etcd's is not): ties come by key.
//! - A put and a delete of one key in two transactions nested side by side are refused as duplicate
//!   in either order. (A delete without an end is passed over, as in etcd.)
//! - A read-only transaction without any range is linearizable (etcd takes it for serializable).
//! - Hashes are of our own making: compare them among members, not with etcd's.
//! - The NOSPACE and CORRUPT alarms are looked at when a command is applied, also for checkpoints.
//!
//! # Left out
//!
//! A watcher of a prefix far in the past reads the log of changes of all keys, as in etcd; those who stand
//! at the same place do so once for all.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod alarm;
mod applier;
mod auth;
mod caller;
mod change;
mod command;
mod compact;
mod compare;
mod count;
mod counter;
mod cursor;
mod downgrade;
mod engine;
mod fingerprint;
mod guard;
mod hash;
mod history;
mod import;
mod interest;
mod key_changes;
mod layout;
mod lease;
mod lessor;
mod mem;
mod member;
mod page;
mod range;
mod reader;
mod recent;
mod retention;
mod ring;
mod session;
mod snapshot;
mod stretch;
pub mod touch;
mod tree;
mod txn;
pub mod validate;
mod view;
mod weight;

pub use applier::{Applier, Options, Outcome, Published};
pub use auth::{
    Account, Allows, Auth, AuthChange, AuthError, AuthImport, Grant, ROOT, RangeSet, Role,
    UserImport,
};
pub use caller::{Caller, Fence, User};
pub use command::*;
pub use compare::{Verdict, in_common, judge};
pub use cursor::{Batch, Cursor, Delivery, Polled, Watch};
pub use downgrade::Downgrade;
pub use engine::{Engine, EngineError, EngineRead, Pair};
pub use fingerprint::{FINGERPRINT, Fingerprint, Fingerprints};
pub use guard::{Fenced, Guard, GuardChange, GuardTable, MAX_GUARDS};
pub use hash::{Checksum, checksum};
pub use import::{ImportError, Importer};
pub use interest::Interests;
pub use lease::Lease;
pub use lessor::{CHECKPOINT, Due, Lessor, RETRY, REVOKES_PER_SECOND, Renewal};
pub use mem::{MemEngine, MemView};
pub use member::Members;
pub use page::Page;
pub use reader::{Measure, ReadError, UpTo};
pub use recent::Unlisted;
pub use retention::{Retainer, Retention};
pub use ring::{Entry, Ring};
pub use session::{INTERVALS, ORIGINS};
pub use snapshot::{Chunk, InstallError, Installer, Summary, Survey};
pub use stretch::{Past, Stretch, Unshared};
pub use validate::{MAX_KEY_BYTES, ValidationError};
pub use view::{KvHash, Size, View};
pub use weight::Sum;
