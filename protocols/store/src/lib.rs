//! The replicated state of a strong keyspace.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod alarm;
mod applier;
mod change;
mod command;
mod compact;
mod count;
mod cursor;
mod engine;
mod hash;
mod history;
mod interest;
mod layout;
mod lease;
mod lessor;
mod mem;
mod range;
mod reader;
mod ring;
mod session;
mod snapshot;
mod tree;
mod txn;
pub mod validate;
mod view;

pub use applier::{Applier, Options, Outcome, Published};
pub use command::*;
pub use cursor::{Batch, Cursor, Delivery, Polled, Watch};
pub use engine::{Engine, EngineError, EngineRead, Pair};
pub use hash::{Checksum, checksum};
pub use interest::Interests;
pub use lease::Lease;
pub use lessor::{CHECKPOINT, Due, Lessor, RETRY, REVOKES_PER_SECOND, Renewal};
pub use mem::{MemEngine, MemView};
pub use reader::ReadError;
pub use ring::{Entry, Ring};
pub use session::{INTERVALS, ORIGINS};
pub use snapshot::{Chunk, InstallError, Installer};
pub use validate::ValidationError;
pub use view::{KvHash, Size, View};
