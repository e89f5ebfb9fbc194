//! Users and roles in etcd's storage.
//!
//! Names are the keys of their buckets, and stand in the records once more. A user without a
//! password, for whom a certificate speaks, says so in its options; releases before 3.4 wrote none.

use super::EtcdFile;
use crate::backup::BackupError;
use bytes::Bytes;
use prost::Message;
use quorate_store::{Allows, AuthImport, Grant, KeyRange, UserImport};
use quorate_wire::etcd::authpb;

impl EtcdFile {
    /// All users and roles, and whether they are in force.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn users_and_roles(&self) -> Result<AuthImport, BackupError> {
        let mut import = AuthImport::default();
        self.each("auth", &mut |key, value| {
            match &key[..] {
                b"authEnabled" => import.enabled = value[..] == [1],
                b"authRevision" => import.revision = revision(&value)?,
                _other => {}
            }
            Ok(())
        })?;
        self.each("authUsers", &mut |name, value| {
            import.users.push(user(name, value)?);
            Ok(())
        })?;
        self.each("authRoles", &mut |name, value| {
            import.roles.push(role(name, value)?);
            Ok(())
        })?;
        Ok(import)
    }
}

fn revision(value: &[u8]) -> Result<u64, String> {
    let bytes = value.try_into().map_err(|_| format!("{value:02x?} is no auth revision"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn named(what: &str, name: &Bytes, error: &impl ToString) -> String {
    format!("{what} {:?}: {}", String::from_utf8_lossy(name), error.to_string())
}

fn user(name: Bytes, value: Bytes) -> Result<UserImport, String> {
    let user = authpb::User::decode(value).map_err(|error| named("user", &name, &error))?;
    if user.name != name {
        return Err(named("user", &name, &"its record is of another"));
    }
    let has_none = user.options.is_some_and(|options| options.no_password);
    let password = (!has_none).then_some(user.password);
    let roles = user.roles.into_iter().map(Bytes::from).collect();
    Ok(UserImport { name, password, roles })
}

fn role(name: Bytes, value: Bytes) -> Result<(Bytes, Vec<Grant>), String> {
    let role = authpb::Role::decode(value).map_err(|error| named("role", &name, &error))?;
    if role.name != name {
        return Err(named("role", &name, &"its record is of another"));
    }
    let grant = |permission: authpb::Permission| {
        let allows = match authpb::permission::Type::try_from(permission.perm_type) {
            Ok(authpb::permission::Type::Read) => Allows::Read,
            Ok(authpb::permission::Type::Write) => Allows::Write,
            Ok(authpb::permission::Type::Readwrite) => Allows::ReadWrite,
            Err(unknown) => return Err(named("role", &name, &unknown)),
        };
        let range = KeyRange { key: permission.key, end: permission.range_end };
        Ok(Grant { range, allows })
    };
    let grants = role.key_permission.into_iter().map(grant).collect::<Result<_, _>>()?;
    Ok((name, grants))
}
