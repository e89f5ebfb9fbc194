//! Users and roles as another store kept them: how those of an etcd come in.
//!
//! They come as they were, hashes of passwords and auth revision included: who could log in can, and
//! a token that was signed there is as good or as old as it was. What is odd and harmless stays odd:
//! roles of a user that do not exist, ranges without a key in them. What could not have come from a
//! store with these rules, or would lock everybody out, is refused.

use super::{Account, Allows, Auth, Grant, ROOT, Role};
use crate::MAX_KEY_BYTES;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

const TOO_LONG: &str =
    "it, or a key in it, is longer than names and keys can be here (32,000 bytes)";

/// Users, roles, and whether they are in force.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuthImport {
    /// Whether anything is checked.
    pub enabled: bool,
    /// The auth revision; 0 where nobody ever counted.
    pub revision: u64,
    /// All users, each once.
    pub users: Vec<UserImport>,
    /// All roles with what is granted to them. Two grants on one range are both in force.
    pub roles: Vec<(Bytes, Vec<Grant>)>,
}

/// A user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserImport {
    /// Its name.
    pub name: Bytes,
    /// The hash of its password; `None` for one that only a certificate can name.
    pub password: Option<Bytes>,
    /// Its roles.
    pub roles: BTreeSet<Bytes>,
}

impl Auth {
    /// The state that these come to.
    ///
    /// # Errors
    /// The name of the user or role that cannot be, and why.
    pub(crate) fn imported(import: AuthImport) -> Result<Auth, (Bytes, &'static str)> {
        let AuthImport { enabled, revision, users, roles } = import;
        let mut auth = Auth { enabled, revision: revision.max(1), ..Auth::default() };
        for (name, grants) in roles {
            if name.is_empty() {
                return Err((name, "a role has no name"));
            }
            let keys = grants.iter().flat_map(|grant| [&grant.range.key, &grant.range.end]);
            if keys.chain([&name]).any(|key| key.len() > MAX_KEY_BYTES) {
                return Err((name, TOO_LONG));
            }
            if auth.roles.insert(name.clone(), Arc::new(merged(grants))).is_some() {
                return Err((name, "the role is there twice"));
            }
        }
        for UserImport { name, password, roles } in users {
            if name.is_empty() {
                return Err((name, "a user has no name"));
            }
            if name.len() > MAX_KEY_BYTES {
                return Err((name, TOO_LONG));
            }
            let account = Account { password, roles, ..Account::default() };
            if auth.users.insert(name.clone(), Arc::new(account)).is_some() {
                return Err((name, "the user is there twice"));
            }
            auth.merge(&name);
        }
        if enabled && !auth.users.get(ROOT).is_some_and(|root| root.is_root()) {
            let why = "access control is on and this user is missing or lacks its role, so that \
                       nobody could administer the cluster";
            return Err((Bytes::from_static(ROOT), why));
        }
        Ok(auth)
    }
}

fn merged(grants: Vec<Grant>) -> Role {
    let mut role = Role::new();
    for Grant { range, allows } in grants {
        let both = |held: &mut Allows| {
            if *held != allows {
                *held = Allows::ReadWrite;
            }
        };
        role.entry(range).and_modify(both).or_insert(allows);
    }
    role
}
