//! `role`: what users may do.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use bytes::Bytes;
use clap::{Args, Subcommand};
use quorate_client::etcd::authpb::Permission;
use quorate_client::etcd::authpb::permission::Type;
use quorate_client::etcd::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleListRequest, AuthRoleRevokePermissionRequest,
};
use quorate_client::{FROM_KEY, prefix_end};

use super::access;
use super::failure::Failure;
use super::global::Global;

/// The commands below `role`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Adds a new role
    #[command(after_help = "Example:
  quorate role add reader")]
    Add(Words),
    /// Deletes a role
    #[command(after_help = "Example:
  quorate role delete reader")]
    Delete(Words),
    /// Gets detailed information of a role
    #[command(after_help = "Example:
  quorate role get reader")]
    Get(Words),
    /// Lists all roles
    #[command(after_help = "Example:
  quorate role list")]
    List(Words),
    /// Grants a key to a role
    #[command(
        after_help = "Words: the role; read, write or readwrite; the key; the end of an interval, if any.

Examples:
  quorate role grant-permission reader read config/ --prefix
  quorate role grant-permission writer readwrite key
  quorate role grant-permission writer write a m"
    )]
    GrantPermission(Keys),
    /// Revokes a key from a role
    #[command(after_help = "Example:
  quorate role revoke-permission reader config/ --prefix")]
    RevokePermission(Keys),
}

/// Names.
#[derive(Debug, Args)]
pub struct Words {
    /// Name of the role
    #[arg(value_name = "NAME")]
    words: Vec<OsString>,
}

impl Words {
    fn take<const N: usize>(self, usage: &str) -> Result<[String; N], Failure> {
        let words = self.words.iter().map(|word| text(word));
        words.collect::<Vec<_>>().try_into().map_err(|_| Failure::arguments(usage))
    }
}

/// A role with keys.
#[derive(Debug, Args)]
pub struct Keys {
    /// The role, what it may do, the key and the end
    #[arg(value_name = "WORD")]
    words: Vec<OsString>,
    /// All keys that start with the given one
    #[arg(long)]
    prefix: bool,
    /// All keys from the given one on
    #[arg(long)]
    from_key: bool,
}

fn text(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    match command {
        Command::Add(words) => {
            let [name] = words.take("role add command requires role name as its argument")?;
            let sentence = format!("Role {name} created");
            let answer = global.client()?.role_add(AuthRoleAddRequest { name }).await?;
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
        Command::Delete(words) => {
            let [role] = words.take("role delete command requires role name as its argument")?;
            let sentence = format!("Role {role} deleted");
            let answer = global.client()?.role_delete(AuthRoleDeleteRequest { role }).await?;
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
        Command::Get(words) => {
            let [role] = words.take("role get command requires role name as its argument")?;
            let request = AuthRoleGetRequest { role: role.clone() };
            let answer = global.client()?.role_get(request).await?;
            access::role(&mut output, &role, &answer)?;
        }
        Command::List(words) => {
            let [] = words.take("role list command requires no arguments")?;
            let answer = global.client()?.role_list(AuthRoleListRequest {}).await?;
            access::roles(&mut output, &answer)?;
        }
        Command::GrantPermission(keys) => {
            let [role, kind, rest @ ..] = &keys.words[..] else {
                return Err(Failure::arguments(GRANT_USAGE));
            };
            if rest.is_empty() {
                return Err(Failure::arguments(GRANT_USAGE));
            }
            let perm_type = kind_of(&text(kind))? as i32;
            let (key, range_end) = range(rest, keys.prefix, keys.from_key)?;
            let perm = Some(Permission { perm_type, key, range_end });
            let request = AuthRoleGrantPermissionRequest { name: text(role), perm };
            let answer = global.client()?.role_grant_permission(request).await?;
            let sentence = format!("Role {} updated", text(role));
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
        Command::RevokePermission(keys) => {
            let [role, rest @ ..] = &keys.words[..] else {
                return Err(Failure::arguments(REVOKE_USAGE));
            };
            let [first, ..] = rest else { return Err(Failure::arguments(REVOKE_USAGE)) };
            let (key, range_end) = range(rest, keys.prefix, keys.from_key)?;
            let sentence = access::revoked(&text(role), &text(first), &range_end);
            let request = AuthRoleRevokePermissionRequest { role: text(role), key, range_end };
            let answer = global.client()?.role_revoke_permission(request).await?;
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
    }
    output.flush()
}

const GRANT_USAGE: &str = "role grant command requires role name, permission type, and key [endkey] as its \
                           argument";
const REVOKE_USAGE: &str =
    "role revoke-permission command requires role name and key [endkey] as its argument";

fn kind_of(word: &str) -> Result<Type, Failure> {
    match word.to_uppercase().as_str() {
        "READ" => Ok(Type::Read),
        "WRITE" => Ok(Type::Write),
        "READWRITE" => Ok(Type::Readwrite),
        _ => Err(Failure::arguments(format!("invalid permission type: {word}"))),
    }
}

/// The interval that the words and flags name.
fn range(words: &[OsString], prefix: bool, from_key: bool) -> Result<(Bytes, Bytes), Failure> {
    let key = words[0].as_bytes();
    if prefix && from_key && (key.is_empty() || words.len() == 1) {
        let message = "--from-key and --prefix flags are mutually exclusive";
        return Err(Failure::arguments(message));
    }
    if key.is_empty() {
        // No key is empty: from the smallest one, and to the end if any flag says so.
        let end = if prefix || from_key { FROM_KEY } else { Bytes::new() };
        return Ok((FROM_KEY, end));
    }
    let end = match words.get(1) {
        None if prefix => prefix_end(key),
        None if from_key => FROM_KEY,
        None => Bytes::new(),
        Some(_) if prefix => {
            return Err(Failure::arguments("unexpected endkey argument with --prefix flag"));
        }
        Some(_) if from_key => {
            return Err(Failure::arguments("unexpected endkey argument with --from-key flag"));
        }
        Some(end) => end.clone().into_vec().into(),
    };
    Ok((key.to_vec().into(), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_flags_name_an_interval() {
        let of = |words: &[&str], prefix, from_key| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            range(&words, prefix, from_key).map_err(|failure| failure.message.expect("said"))
        };
        let pair = |key: &'static str, end: &'static str| Ok((key.into(), end.into()));
        assert_eq!(of(&["k"], false, false), pair("k", ""));
        assert_eq!(of(&["k", "m"], false, false), pair("k", "m"));
        assert_eq!(of(&["p/"], true, false), pair("p/", "p0"));
        assert_eq!(of(&["k"], false, true), pair("k", "\0"));
        assert_eq!(of(&[""], true, false), pair("\0", "\0"));
        assert_eq!(of(&[""], false, false), pair("\0", ""));
        assert!(of(&["k"], true, true).unwrap_err().contains("mutually exclusive"));
        assert!(of(&["k", "m"], true, false).unwrap_err().contains("--prefix"));
        assert!(of(&["k", "m"], false, true).unwrap_err().contains("--from-key"));
    }

    #[test]
    fn kinds_are_read_as_etcdctl_reads_them() {
        assert_eq!(kind_of("readwrite").expect("fine"), Type::Readwrite);
        assert_eq!(kind_of("READ").expect("fine"), Type::Read);
        assert_eq!(kind_of("all").expect_err("no such").code, 128);
    }
}
