//! What the commands of etcd's Auth service do to users and roles (contract item 65).
//!
//! A change that is refused has changed nothing and does not count. Turning authentication on does
//! not count either, and granting a role that the user has is passed over without a word.

use super::{Account, Allows, Auth, AuthError, ROOT, Role, record};
use crate::{Caller, KeyRange};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A permission as it is granted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Grant {
    /// On which keys.
    pub range: KeyRange,
    /// What.
    pub allows: Allows,
}

/// A command about users and roles. Passwords are hashes by now.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum AuthChange {
    Enable,
    Disable,
    /// Somebody has shown the password of `user`, at the caller's auth revision. With a `token`,
    /// it is good on every member once the log index of this command is added to it; without, the
    /// member that checked signs one of its own.
    Authenticate {
        user: Bytes,
        token: Option<Bytes>,
    },
    UserAdd {
        user: Bytes,
        password: Option<Bytes>,
    },
    UserDelete {
        user: Bytes,
    },
    UserPassword {
        user: Bytes,
        password: Bytes,
    },
    UserGrantRole {
        user: Bytes,
        role: Bytes,
    },
    UserRevokeRole {
        user: Bytes,
        role: Bytes,
    },
    RoleAdd {
        role: Bytes,
    },
    RoleDelete {
        role: Bytes,
    },
    RoleGrant {
        role: Bytes,
        grant: Grant,
    },
    RoleRevoke {
        role: Bytes,
        range: KeyRange,
    },
}

/// Engine keys whose records changed.
pub(crate) type Dirty = BTreeSet<Vec<u8>>;

/// True for a range that a permission can be of.
fn is_valid(range: &KeyRange) -> bool {
    let bounded = range.is_single() || range.is_unbounded() || range.key < range.end;
    !range.key.is_empty() && bounded
}

impl Auth {
    /// Does a change. On an error nothing has changed.
    pub(crate) fn change(
        &mut self,
        caller: &Caller,
        change: &AuthChange,
    ) -> Result<Dirty, AuthError> {
        let mut dirty = Dirty::new();
        match change {
            AuthChange::Enable => return self.enable(),
            AuthChange::Disable if !self.enabled => return Ok(dirty),
            AuthChange::Disable => self.enabled = false,
            AuthChange::Authenticate { user, .. } => {
                return self.authenticate(caller, user).map(|()| dirty);
            }
            AuthChange::UserAdd { user, password } => self.add_user(user, password.clone())?,
            AuthChange::UserDelete { user } => {
                if self.enabled && user == ROOT {
                    return Err(AuthError::InvalidManagement);
                }
                self.users.remove(user).ok_or(AuthError::UserNotFound)?;
            }
            AuthChange::UserPassword { user, password } => {
                let account = self.account(user)?;
                // A user without a password stays one.
                if account.password.is_some() {
                    account.password = Some(password.clone());
                }
            }
            AuthChange::UserGrantRole { user, role } => {
                let known = role == ROOT || self.roles.contains_key(role);
                let account = self.account(user)?;
                if !known {
                    return Err(AuthError::RoleNotFound);
                }
                if !account.roles.insert(role.clone()) {
                    return Ok(dirty);
                }
                self.merge(user);
            }
            AuthChange::UserRevokeRole { user, role } => {
                if self.enabled && user == ROOT && role == ROOT {
                    return Err(AuthError::InvalidManagement);
                }
                if !self.account(user)?.roles.remove(role) {
                    return Err(AuthError::RoleNotGranted);
                }
                self.merge(user);
            }
            AuthChange::RoleAdd { role } => self.add_role(role)?,
            AuthChange::RoleDelete { role } => self.delete_role(role, &mut dirty)?,
            AuthChange::RoleGrant { role, grant } => {
                if !is_valid(&grant.range) {
                    return Err(AuthError::InvalidManagement);
                }
                self.permissions(role)?.insert(grant.range.clone(), grant.allows);
                self.merge_all_with(role);
            }
            AuthChange::RoleRevoke { role, range } => {
                let known = self.permissions(role)?.remove(range);
                known.ok_or(AuthError::PermissionNotGranted)?;
                self.merge_all_with(role);
            }
        }
        self.revision += 1;
        dirty.insert(record::status_key());
        dirty.extend(named_by(change));
        Ok(dirty)
    }

    fn enable(&mut self) -> Result<Dirty, AuthError> {
        if self.enabled {
            return Ok(Dirty::new());
        }
        let root = self.users.get(ROOT).ok_or(AuthError::RootUserNotExist)?;
        if !root.is_root() {
            return Err(AuthError::RootRoleNotExist);
        }
        self.enabled = true;
        Ok(Dirty::from([record::status_key()]))
    }

    fn authenticate(&self, caller: &Caller, user: &Bytes) -> Result<(), AuthError> {
        if !self.enabled {
            return Err(AuthError::NotEnabled);
        }
        let account = self.users.get(user).ok_or(AuthError::Failed)?;
        if account.password.is_none() {
            return Err(AuthError::Failed);
        }
        // The password was checked on a state that may be old by now.
        if caller.auth_revision == self.revision { Ok(()) } else { Err(AuthError::OldRevision) }
    }

    fn account(&mut self, user: &Bytes) -> Result<&mut Account, AuthError> {
        self.users.get_mut(user).map(Arc::make_mut).ok_or(AuthError::UserNotFound)
    }

    fn permissions(&mut self, role: &Bytes) -> Result<&mut Role, AuthError> {
        self.roles.get_mut(role).map(Arc::make_mut).ok_or(AuthError::RoleNotFound)
    }

    fn add_user(&mut self, user: &Bytes, password: Option<Bytes>) -> Result<(), AuthError> {
        if user.is_empty() {
            return Err(AuthError::UserEmpty);
        }
        if self.users.contains_key(user) {
            return Err(AuthError::UserExists);
        }
        let account = Account { password, ..Account::default() };
        self.users.insert(user.clone(), Arc::new(account));
        Ok(())
    }

    fn add_role(&mut self, role: &Bytes) -> Result<(), AuthError> {
        if role.is_empty() {
            return Err(AuthError::RoleEmpty);
        }
        if self.roles.contains_key(role) {
            return Err(AuthError::RoleExists);
        }
        self.roles.insert(role.clone(), Arc::default());
        Ok(())
    }

    /// A role that goes is taken from everybody who has it.
    fn delete_role(&mut self, role: &Bytes, dirty: &mut Dirty) -> Result<(), AuthError> {
        if self.enabled && role == ROOT {
            return Err(AuthError::InvalidManagement);
        }
        self.roles.remove(role).ok_or(AuthError::RoleNotFound)?;
        let holders = self.users.iter().filter(|(_, user)| user.roles.contains(role));
        let holders: Vec<Bytes> = holders.map(|(name, _)| name.clone()).collect();
        for name in holders {
            let user = self.users.get_mut(&name).map(Arc::make_mut);
            user.expect("it was just found").roles.remove(role);
            self.merge(&name);
            dirty.insert(record::user_key(&name));
        }
        Ok(())
    }
}

/// The record of whom a change is about.
fn named_by(change: &AuthChange) -> Option<Vec<u8>> {
    match change {
        AuthChange::Enable | AuthChange::Disable | AuthChange::Authenticate { .. } => None,
        AuthChange::UserAdd { user, .. }
        | AuthChange::UserDelete { user }
        | AuthChange::UserPassword { user, .. }
        | AuthChange::UserGrantRole { user, .. }
        | AuthChange::UserRevokeRole { user, .. } => Some(record::user_key(user)),
        AuthChange::RoleAdd { role }
        | AuthChange::RoleDelete { role }
        | AuthChange::RoleGrant { role, .. }
        | AuthChange::RoleRevoke { role, .. } => Some(record::role_key(role)),
    }
}
