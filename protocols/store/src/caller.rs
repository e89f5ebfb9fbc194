//! On whose behalf a command is in the log, and what it holds: what a state needs to refuse it.
//!
//! The member that takes a request fills this in and every member judges it when it applies the
//! entry, so that all of them allow or refuse alike (trap: etcd#14571).

use bytes::Bytes;

/// On whose behalf a command is in the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Caller {
    /// Who asked.
    pub user: User,
    /// The auth revision ([`crate::View::auth`]) at which the member that took the request knew the
    /// user; 0 when nobody is named.
    pub auth_revision: u64,
    /// Locks that the caller says it holds: see [`Fence`].
    pub fences: Vec<Fence>,
}

/// Who asked for a command.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum User {
    /// Nobody said who; also every entry that an older release wrote.
    #[default]
    Nobody,
    /// This user, whose token or certificate the member has seen.
    Named(Bytes),
    /// A member itself, for reasons of its own: an expired lease, an alarm.
    Member,
}

/// A claim to hold a lock: its name, and the token of the hold.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fence {
    /// The lock's name: the keys of its holder and of those who wait lie under `NAME/`.
    pub lock: Bytes,
    /// The create revision of the holder's key: it grows from holder to holder.
    pub token: i64,
}

impl Caller {
    /// A member itself.
    pub fn member() -> Caller {
        Caller { user: User::Member, ..Caller::default() }
    }
}
