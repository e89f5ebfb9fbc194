//! The codec of commands about users and roles: see `command.rs`, of which it is a part.

use crate::binary::{Malformed, Read, get_bool, get_bytes, get_u8, put_bytes};
use crate::command_kv::{get_range_keys, put_range_keys};
use bytes::{BufMut, Bytes, BytesMut};
use quorate_store::{Allows, AuthChange, Grant};

fn put_optional(out: &mut BytesMut, bytes: Option<&Bytes>) {
    out.put_u8(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_bytes(out, bytes);
    }
}

fn get_optional(input: &mut Bytes) -> Read<Option<Bytes>> {
    let there = get_bool(input, "auth option")?;
    there.then(|| get_bytes(input, "auth option")).transpose()
}

/// Appends a change.
pub fn put_change(out: &mut BytesMut, change: &AuthChange) {
    let mut strings = |tag: u8, strings: &[&Bytes]| {
        out.put_u8(tag);
        strings.iter().for_each(|text| put_bytes(out, text));
    };
    match change {
        AuthChange::Enable => strings(1, &[]),
        AuthChange::Disable => strings(2, &[]),
        AuthChange::Authenticate { user, token } => {
            strings(3, &[user]);
            put_optional(out, token.as_ref());
        }
        AuthChange::UserAdd { user, password } => {
            strings(4, &[user]);
            put_optional(out, password.as_ref());
        }
        AuthChange::UserDelete { user } => strings(5, &[user]),
        AuthChange::UserPassword { user, password } => strings(6, &[user, password]),
        AuthChange::UserGrantRole { user, role } => strings(7, &[user, role]),
        AuthChange::UserRevokeRole { user, role } => strings(8, &[user, role]),
        AuthChange::RoleAdd { role } => strings(9, &[role]),
        AuthChange::RoleDelete { role } => strings(10, &[role]),
        AuthChange::RoleGrant { role, grant } => {
            strings(11, &[role]);
            out.put_u8(match grant.allows {
                Allows::Read => 0,
                Allows::Write => 1,
                Allows::ReadWrite => 2,
            });
            put_range_keys(out, &grant.range);
        }
        AuthChange::RoleRevoke { role, range } => {
            strings(12, &[role]);
            put_range_keys(out, range);
        }
    }
}

/// Takes a change off the front.
pub fn get_change(input: &mut Bytes) -> Read<AuthChange> {
    let tag = get_u8(input, "auth change")?;
    let mut name = || get_bytes(input, "auth name");
    Ok(match tag {
        1 => AuthChange::Enable,
        2 => AuthChange::Disable,
        3 => AuthChange::Authenticate { user: name()?, token: get_optional(input)? },
        4 => AuthChange::UserAdd { user: name()?, password: get_optional(input)? },
        5 => AuthChange::UserDelete { user: name()? },
        6 => AuthChange::UserPassword { user: name()?, password: name()? },
        7 => AuthChange::UserGrantRole { user: name()?, role: name()? },
        8 => AuthChange::UserRevokeRole { user: name()?, role: name()? },
        9 => AuthChange::RoleAdd { role: name()? },
        10 => AuthChange::RoleDelete { role: name()? },
        11 => {
            let role = name()?;
            let allows = match get_u8(input, "permission")? {
                0 => Allows::Read,
                1 => Allows::Write,
                2 => Allows::ReadWrite,
                _ => return Err(Malformed { what: "permission" }),
            };
            AuthChange::RoleGrant { role, grant: Grant { range: get_range_keys(input)?, allows } }
        }
        12 => AuthChange::RoleRevoke { role: name()?, range: get_range_keys(input)? },
        _ => return Err(Malformed { what: "auth change" }),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use quorate_base::Dice;
    use quorate_store::KeyRange;

    /// Any change.
    pub(crate) fn change(dice: &mut Dice) -> AuthChange {
        let text = |dice: &mut Dice| Bytes::from(vec![b'a' + dice.below(26) as u8; 3]);
        let (user, role) = (text(dice), text(dice));
        let range = KeyRange { key: text(dice), end: text(dice) };
        match dice.below(12) {
            0 => AuthChange::Enable,
            1 => AuthChange::Disable,
            2 => AuthChange::Authenticate { user, token: dice.chance(500_000).then_some(role) },
            3 => AuthChange::UserAdd { user, password: dice.chance(500_000).then_some(role) },
            4 => AuthChange::UserDelete { user },
            5 => AuthChange::UserPassword { user, password: role },
            6 => AuthChange::UserGrantRole { user, role },
            7 => AuthChange::UserRevokeRole { user, role },
            8 => AuthChange::RoleAdd { role },
            9 => AuthChange::RoleDelete { role },
            10 => {
                let allows =
                    [Allows::Read, Allows::Write, Allows::ReadWrite][dice.below(3) as usize];
                AuthChange::RoleGrant { role, grant: Grant { range, allows } }
            }
            _ => AuthChange::RoleRevoke { role, range },
        }
    }
}
