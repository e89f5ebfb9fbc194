//! Users and roles in the engine.
//!
//! | key after the space | value |
//! |---|---|
//! | `00` | 1 when enabled, the auth revision |
//! | `01`, user | 1 and the password's hash, or 0; then its roles |
//! | `02`, role | its permissions: type, key, end |
//!
//! Strings are counted by four bytes; numbers are big endian.

use super::{Account, Allows, Auth, Role};
use crate::applier::Applier;
use crate::engine::{Engine, EngineError, EngineRead};
use crate::layout::{self, AUTH, Malformed};
use crate::reader::ReadError;
use crate::{Answer, AuthChange, Caller, KeyRange, StoreError, TokenChange};
use bytes::{BufMut, Bytes};
use quorate_base::mutant;
use std::sync::Arc;

const STATUS: u8 = 0;
const USER: u8 = 1;
const ROLE: u8 = 2;

pub(super) fn status_key() -> Vec<u8> {
    layout::plain(AUTH, &[STATUS])
}

pub(super) fn user_key(name: &[u8]) -> Vec<u8> {
    layout::plain(AUTH, &[&[USER], name].concat())
}

pub(super) fn role_key(name: &[u8]) -> Vec<u8> {
    layout::plain(AUTH, &[&[ROLE], name].concat())
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.put_u32(text.len() as u32);
    out.extend_from_slice(text);
}

fn get_text(input: &mut Bytes) -> Result<Bytes, Malformed> {
    let cut = Malformed("a string of a user or role is cut off");
    if input.len() < 4 {
        return Err(cut);
    }
    let len = layout::read_u32(&input.split_to(4), 0) as usize;
    if input.len() < len { Err(cut) } else { Ok(input.split_to(len)) }
}

/// The record under a key; `None` when what it is of is gone.
pub(super) fn value(auth: &Auth, key: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match key[1] {
        STATUS => {
            out.push(u8::from(auth.enabled));
            out.put_u64(auth.revision);
        }
        USER => {
            let Account { password, roles, .. } = &**auth.users.get(&key[2..])?;
            out.push(u8::from(password.is_some()));
            password.iter().for_each(|password| put_text(&mut out, password));
            roles.iter().for_each(|role| put_text(&mut out, role));
        }
        _role => {
            for (range, allows) in auth.roles.get(&key[2..])?.iter() {
                out.push(match allows {
                    Allows::Read => 0,
                    Allows::Write => 1,
                    Allows::ReadWrite => 2,
                });
                put_text(&mut out, &range.key);
                put_text(&mut out, &range.end);
            }
        }
    }
    Some(out)
}

fn read_user(mut value: Bytes) -> Result<Account, Malformed> {
    if value.is_empty() {
        return Err(Malformed("a user has no record"));
    }
    let has_password = value.split_to(1)[0] == 1;
    let password = has_password.then(|| get_text(&mut value)).transpose()?;
    let mut account = Account { password, ..Account::default() };
    while !value.is_empty() {
        account.roles.insert(get_text(&mut value)?);
    }
    Ok(account)
}

fn read_role(mut value: Bytes) -> Result<Role, Malformed> {
    let mut role = Role::new();
    while !value.is_empty() {
        let allows = match value.split_to(1)[0] {
            0 => Allows::Read,
            1 => Allows::Write,
            2 => Allows::ReadWrite,
            _other => return Err(Malformed("a permission of an unknown type")),
        };
        let key = get_text(&mut value)?;
        role.insert(KeyRange { key, end: get_text(&mut value)? }, allows);
    }
    Ok(role)
}

/// Everything that lies in an engine.
pub(super) fn load<R: EngineRead>(engine: &R) -> Result<Auth, EngineError> {
    let mut auth = Auth::default();
    for pair in engine.range(&[AUTH], Some(&[AUTH + 1])) {
        let (key, value) = pair?;
        let kind = *key.get(1).ok_or(Malformed("an auth key is too short"))?;
        match kind {
            STATUS if value.len() == 9 => {
                // The bug of etcd#14571: a state that came as a snapshot did not say so.
                auth.enabled = value[0] == 1 && !mutant!(AUTH_320_ENABLED_NOT_RESTORED);
                auth.revision = layout::read_u64(&value, 1);
            }
            USER => drop(auth.users.insert(key.slice(2..), Arc::new(read_user(value)?))),
            ROLE => drop(auth.roles.insert(key.slice(2..), Arc::new(read_role(value)?))),
            _other => return Err(EngineError("an auth record of an unknown kind".into())),
        }
    }
    let names: Vec<Bytes> = auth.users.keys().cloned().collect();
    names.iter().for_each(|name| auth.merge(name));
    Ok(auth)
}

impl<E: Engine> Applier<E> {
    /// Does a change of users and roles, and says what it does to tokens.
    pub(crate) fn change_auth(
        &mut self,
        caller: &Caller,
        change: &AuthChange,
    ) -> Result<Answer, ReadError> {
        let dirty = Arc::make_mut(&mut self.auth).change(caller, change);
        let dirty = dirty.map_err(StoreError::Auth)?;
        for key in dirty {
            let value = value(&self.auth, &key);
            self.set(&key, value.as_deref())?;
        }
        match change {
            AuthChange::Authenticate { user, token } => {
                let index = self.meta.applied_index;
                let token = token.as_ref().map(|token| {
                    Bytes::from([&token[..], b".", index.to_string().as_bytes()].concat())
                });
                if let Some(token) = token.clone() {
                    self.tokens.push(TokenChange::Issued { user: user.clone(), token });
                }
                let revision = self.auth.revision();
                return Ok(Answer::Authenticate { token, revision });
            }
            AuthChange::UserDelete { user } | AuthChange::UserPassword { user, .. } => {
                self.tokens.push(TokenChange::UserForgotten { user: user.clone() });
            }
            AuthChange::Disable => self.tokens.push(TokenChange::AllForgotten),
            AuthChange::Enable
            | AuthChange::UserAdd { .. }
            | AuthChange::UserGrantRole { .. }
            | AuthChange::UserRevokeRole { .. }
            | AuthChange::RoleAdd { .. }
            | AuthChange::RoleDelete { .. }
            | AuthChange::RoleGrant { .. }
            | AuthChange::RoleRevoke { .. } => {}
        }
        Ok(Answer::Auth)
    }
}
