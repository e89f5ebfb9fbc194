//! Users, roles and what they may do: replicated state, judged when an entry is applied.
//!
//! # What it promises
//!
//! Every member judges a command by the users and roles as they stand *at that place in the log*,
//! and by nothing else: neither the member that took the request, nor tokens, nor time count. So
//! members cannot diverge over who was allowed what (trap: etcd#14571), also after a restart or a
//! snapshot, since all of this lies in the engine beside the keys.
//!
//! # The auth revision
//!
//! It counts the changes of users and roles. A command carries the revision at which its caller's
//! identity was established ([`Caller::auth_revision`]); if anything has changed since, the command
//! is refused with "revision of auth store is old", and the client establishes its identity anew.
//!
//! # How the parts fit
//!
//! - `ranges.rs`: the union of key ranges that a user holds, and whether it contains a range.
//! - `change.rs`: what the commands of etcd's Auth service do, with its odd rules.
//! - `record.rs`: how it all lies in the engine.
//! - `import.rs`: users and roles that come from another store.
//! - [`crate::touch`]: which ranges a request needs, with which right.
//!
//! # Where it differs from etcd
//!
//! A role holds one permission for a range: granting the range again replaces its type. (etcd
//! misses the old one when another permission of the role has the same first key, and keeps both.)

mod change;
mod import;
mod ranges;
mod record;

pub use change::{AuthChange, Grant};
pub use import::{AuthImport, UserImport};
pub use ranges::RangeSet;

use crate::engine::{EngineError, EngineRead};
use crate::touch::{Right, Span, Touch};
use crate::{Action, Caller, KeyRange, ReadError, StoreError, User, touch};
use bytes::Bytes;
use quorate_base::mutant;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The user that must exist before authentication can be turned on, and the role that may do
/// everything.
pub const ROOT: &[u8] = b"root";

/// Why an identity or a change of identities is refused. The texts that clients know are the
/// server's to choose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum AuthError {
    RootUserNotExist,
    RootRoleNotExist,
    UserExists,
    /// Nobody is named, where somebody must be.
    UserEmpty,
    UserNotFound,
    RoleExists,
    RoleNotFound,
    RoleEmpty,
    /// Wrong name or password.
    Failed,
    /// The user has no password to check.
    NoPasswordUser,
    PermissionDenied,
    RoleNotGranted,
    PermissionNotGranted,
    NotEnabled,
    /// Users or roles have changed since the caller's identity was established.
    OldRevision,
    /// It would lock everybody out, or makes no sense.
    InvalidManagement,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthError::RootUserNotExist => "there is no user root",
            AuthError::RootRoleNotExist => "the user root does not have the role root",
            AuthError::UserExists => "the user exists",
            AuthError::UserEmpty => "no user is named",
            AuthError::UserNotFound => "the user does not exist",
            AuthError::RoleExists => "the role exists",
            AuthError::RoleNotFound => "the role does not exist",
            AuthError::RoleEmpty => "no role is named",
            AuthError::Failed => "wrong user name or password",
            AuthError::NoPasswordUser => "the user has no password",
            AuthError::PermissionDenied => "permission denied",
            AuthError::RoleNotGranted => "the user does not have the role",
            AuthError::PermissionNotGranted => "the role does not have the permission",
            AuthError::NotEnabled => "authentication is off",
            AuthError::OldRevision => "users or roles have changed since the caller was identified",
            AuthError::InvalidManagement => "the change would lock everybody out or makes no sense",
        })
    }
}

/// What a permission allows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Allows {
    Read,
    Write,
    ReadWrite,
}

/// A user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// The hash of its password; `None` for one that only a certificate can name.
    pub password: Option<Bytes>,
    /// Its roles, some of which may not exist (only `root` can be granted before it exists).
    pub roles: BTreeSet<Bytes>,
    /// What all its roles together allow: computed, not stored.
    read: RangeSet,
    write: RangeSet,
}

impl Account {
    /// True when it may do everything.
    pub fn is_root(&self) -> bool {
        self.roles.contains(ROOT)
    }
}

/// The permissions of a role.
pub type Role = BTreeMap<KeyRange, Allows>;

/// All users and roles at one place in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    enabled: bool,
    revision: u64,
    users: BTreeMap<Bytes, Arc<Account>>,
    roles: BTreeMap<Bytes, Arc<Role>>,
}

impl Default for Auth {
    fn default() -> Auth {
        // etcd's count starts at 1 as well, so that 0 can stand for "nobody".
        Auth { enabled: false, revision: 1, users: BTreeMap::new(), roles: BTreeMap::new() }
    }
}

impl Auth {
    /// Whether anything is checked at all.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Counts changes of users and roles, from 1.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A user.
    pub fn user(&self, name: &[u8]) -> Option<&Account> {
        self.users.get(name).map(|user| &**user)
    }

    /// The names of all users, in order.
    pub fn users(&self) -> impl Iterator<Item = &Bytes> {
        self.users.keys()
    }

    /// A role.
    pub fn role(&self, name: &[u8]) -> Option<&Role> {
        self.roles.get(name).map(|role| &**role)
    }

    /// The names of all roles, in order.
    pub fn roles(&self) -> impl Iterator<Item = &Bytes> {
        self.roles.keys()
    }

    /// Whether the caller may do what only root may.
    ///
    /// # Errors
    /// Why not.
    pub fn check_root(&self, caller: &Caller) -> Result<(), AuthError> {
        if !self.enabled {
            return Ok(());
        }
        let name = match &caller.user {
            User::Member => return Ok(()),
            User::Nobody => return Err(AuthError::UserEmpty),
            User::Named(name) => name,
        };
        let user = self.users.get(name).ok_or(AuthError::UserNotFound)?;
        if user.is_root() { Ok(()) } else { Err(AuthError::PermissionDenied) }
    }

    /// Whether the caller is anybody at all.
    ///
    /// # Errors
    /// When it is nobody and authentication is on.
    pub fn check_named(&self, caller: &Caller) -> Result<(), AuthError> {
        match caller.user {
            User::Nobody if self.enabled => Err(AuthError::UserEmpty),
            User::Nobody | User::Member | User::Named(_) => Ok(()),
        }
    }

    /// Whether the caller has a right on all keys of a range.
    ///
    /// # Errors
    /// Why not.
    pub fn check_range(
        &self,
        caller: &Caller,
        span: Span<'_>,
        right: Right,
    ) -> Result<(), AuthError> {
        if !self.enabled {
            return Ok(());
        }
        let name = match &caller.user {
            User::Member => return Ok(()),
            User::Nobody => return Err(AuthError::UserEmpty),
            User::Named(name) => name,
        };
        if caller.auth_revision < self.revision && !mutant!(AUTH_321_OLD_REVISION_PASSES) {
            return Err(AuthError::OldRevision);
        }
        let user = self.users.get(name).ok_or(AuthError::PermissionDenied)?;
        let held = match right {
            Right::Read => &user.read,
            Right::Write => &user.write,
        };
        let allowed = user.is_root() || held.contains(span);
        if allowed { Ok(()) } else { Err(AuthError::PermissionDenied) }
    }

    /// Judges an action; `lease_keys` gives the keys of a lease.
    pub(crate) fn judge(
        &self,
        caller: &Caller,
        action: &Action,
        lease_keys: impl Fn(i64) -> Result<Vec<Bytes>, EngineError>,
    ) -> Result<(), ReadError> {
        if !self.enabled || caller.user == User::Member {
            return Ok(());
        }
        let verdict = match action {
            // A leader's clock asks for these; no client can.
            Action::LeaseCheckpoint { .. } | Action::LeaseRevoke { term: Some(_), .. } => Ok(()),
            Action::AuditCheckpoint { .. } => Ok(()),
            Action::Put(_) | Action::Delete(_) | Action::Txn(_) => {
                return touch::visit(action, &mut |touch| {
                    self.judge_touch(caller, touch, &lease_keys)
                });
            }
            Action::LeaseRevoke { term: None, .. } => {
                self.check_named(caller).map_err(StoreError::Auth)?;
                return touch::visit(action, &mut |touch| {
                    self.judge_touch(caller, touch, &lease_keys)
                });
            }
            Action::LeaseGrant { .. } => self.check_named(caller),
            Action::Compact { .. }
            | Action::Alarm { .. }
            | Action::Member(_)
            | Action::Downgrade(_)
            | Action::Guard(_) => self.check_root(caller),
            // Its password was checked, at a revision that the change itself compares.
            Action::Auth(AuthChange::Authenticate { .. }) => Ok(()),
            Action::Auth(_) => self.check_root(caller),
        };
        verdict.map_err(|error| StoreError::Auth(error).into())
    }

    /// Judges one touch of a request.
    ///
    /// # Errors
    /// When it is not allowed, or the keys of a lease cannot be read.
    pub fn judge_touch(
        &self,
        caller: &Caller,
        touch: Touch<'_>,
        lease_keys: &impl Fn(i64) -> Result<Vec<Bytes>, EngineError>,
    ) -> Result<(), ReadError> {
        match touch {
            Touch::Keys { span, right, .. } => self.check_range(caller, span, right),
            Touch::LeaseKeys { id } => {
                if self.check_root(caller).is_ok() {
                    return Ok(());
                }
                let keys = lease_keys(id)?;
                let mut keys = keys.iter();
                keys.try_for_each(|key| self.check_range(caller, Span::key(key), Right::Write))
            }
        }
        .map_err(|error| StoreError::Auth(error).into())
    }

    /// Computes what a user may do from its roles.
    fn merge(&mut self, name: &Bytes) {
        let Some(user) = self.users.get_mut(name) else { return };
        let roles: Vec<&Role> =
            user.roles.iter().filter_map(|role| self.roles.get(role)).map(|role| &**role).collect();
        let held = |wanted: [Allows; 2]| {
            let all = roles.iter().flat_map(|role| role.iter());
            RangeSet::of(all.filter(|(_, allows)| wanted.contains(allows)).map(|(range, _)| range))
        };
        let (read, write) =
            (held([Allows::Read, Allows::ReadWrite]), held([Allows::Write, Allows::ReadWrite]));
        let user = Arc::make_mut(user);
        (user.read, user.write) = (read, write);
    }

    fn merge_all_with(&mut self, role: &[u8]) {
        let holds = |user: &Account| user.roles.contains(role);
        let names: Vec<Bytes> = self
            .users
            .iter()
            .filter(|(_, user)| holds(user))
            .map(|(name, _)| name.clone())
            .collect();
        names.iter().for_each(|name| self.merge(name));
    }

    /// Loads what lies in an engine.
    pub(crate) fn load<R: EngineRead>(engine: &R) -> Result<Auth, EngineError> {
        record::load(engine)
    }

    /// All records, for a fingerprint; none when nobody ever touched users or roles.
    pub(crate) fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        if *self == Auth::default() {
            return Vec::new();
        }
        let users = self.users.keys().map(|name| record::user_key(name));
        let roles = self.roles.keys().map(|name| record::role_key(name));
        let keys = std::iter::once(record::status_key()).chain(users).chain(roles);
        keys.filter_map(|key| Some((key.clone(), record::value(self, &key)?))).collect()
    }
}
