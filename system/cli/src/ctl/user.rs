//! `user`: who may come in.

use std::ffi::OsString;

use clap::{ArgAction, Args, Subcommand};
use quorate_client::etcd::authpb::UserAddOptions;
use quorate_client::etcd::etcdserverpb::{
    AuthRoleGetRequest, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest,
    AuthUserGetRequest, AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
};

use super::access;
use super::failure::Failure;
use super::global::Global;
use super::output::Output;
use super::password;

/// The commands below `user`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Adds a new user
    Add(Add),
    /// Deletes a user
    #[command(after_help = "Example:
  quorate user delete alice")]
    Delete(Words),
    /// Gets detailed information of a user
    Get(Get),
    /// Lists all users
    #[command(after_help = "Example:
  quorate user list")]
    List(Words),
    /// Changes password of user
    Passwd(Passwd),
    /// Grants a role to a user
    #[command(after_help = "Example:
  quorate user grant-role alice reader")]
    GrantRole(Words),
    /// Revokes a role from a user
    #[command(after_help = "Example:
  quorate user revoke-role alice reader")]
    RevokeRole(Words),
}

/// Names.
#[derive(Debug, Args)]
pub struct Words {
    /// Names of users and roles
    #[arg(value_name = "NAME")]
    words: Vec<OsString>,
}

impl Words {
    /// Exactly `N` of them.
    fn take<const N: usize>(self, usage: &str) -> Result<[String; N], Failure> {
        let words = self.words.into_iter().map(|word| word.to_string_lossy().into_owned());
        words.collect::<Vec<_>>().try_into().map_err(|_| Failure::arguments(usage))
    }
}

/// Arguments of `user add`.
#[derive(Debug, Args)]
#[command(after_help = "Without a password on the line it is asked for on the terminal.

Examples:
  quorate user add alice
  quorate user add alice:secret
  echo secret | quorate user add alice --interactive=false
  quorate user add alice --no-password    comes in by its certificate's name only")]
pub struct Add {
    #[command(flatten)]
    name: Words,
    /// Ask on the terminal; =false reads a word from standard input
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true")]
    interactive: bool,
    /// Supply password from the command line flag
    #[arg(long, default_value = "")]
    new_user_password: String,
    /// Create a user without password (CN based auth only)
    #[arg(long)]
    no_password: bool,
}

/// Arguments of `user passwd`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate user passwd alice
  echo secret | quorate user passwd alice --interactive=false")]
pub struct Passwd {
    #[command(flatten)]
    name: Words,
    /// Ask on the terminal; =false reads a word from standard input
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true")]
    interactive: bool,
}

/// Arguments of `user get`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate user get alice --detail")]
pub struct Get {
    #[command(flatten)]
    name: Words,
    /// Show permissions of roles granted to the user
    #[arg(long)]
    detail: bool,
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    match command {
        Command::Add(arguments) => add(arguments, global, &mut output).await?,
        Command::Delete(words) => {
            let [name] = words.take("user delete command requires user name as its argument")?;
            let request = AuthUserDeleteRequest { name: name.clone() };
            let answer = global.client()?.user_delete(request).await?;
            let sentence = format!("User {name} deleted");
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
        Command::Get(arguments) => get(arguments, global, &mut output).await?,
        Command::List(words) => {
            let [] = words.take("user list command requires no arguments")?;
            let answer = global.client()?.user_list(AuthUserListRequest {}).await?;
            access::users(&mut output, &answer)?;
        }
        Command::Passwd(arguments) => change_password(arguments, global, &mut output).await?,
        Command::GrantRole(words) => {
            let usage = "user grant command requires user name and role name as its argument";
            let [user, role] = words.take(usage)?;
            let sentence = format!("Role {role} is granted to user {user}");
            let request = AuthUserGrantRoleRequest { user, role };
            let answer = global.client()?.user_grant_role(request).await?;
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
        Command::RevokeRole(words) => {
            let usage = "user revoke-role requires user name and role name as its argument";
            let [name, role] = words.take(usage)?;
            let sentence = format!("Role {role} is revoked from user {name}");
            let request = AuthUserRevokeRoleRequest { name, role };
            let answer = global.client()?.user_revoke_role(request).await?;
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
    }
    output.flush()
}

async fn add(arguments: Add, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let usage = "user add command requires user name as its argument";
    let [word] = arguments.name.take(usage)?;
    let (name, password) = if arguments.no_password {
        (word, String::new())
    } else if !arguments.new_user_password.is_empty() {
        (word, arguments.new_user_password)
    } else {
        match word.split_once(':') {
            Some(("", _)) => return Err(Failure::arguments("empty user name is not allowed")),
            Some((name, password)) => (name.to_owned(), password.to_owned()),
            None => {
                let password = password::new_for(&word, arguments.interactive)?;
                (word, password)
            }
        }
    };
    let options = Some(UserAddOptions { no_password: arguments.no_password });
    let sentence = format!("User {name} created");
    let request = AuthUserAddRequest { name, password, options, ..Default::default() };
    let answer = global.client()?.user_add(request).await?;
    access::done(output, answer.header.as_ref(), &answer, &sentence)
}

async fn get(arguments: Get, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let [name] = arguments.name.take("user get command requires user name as its argument")?;
    let client = global.client()?;
    let answer = client.user_get(AuthUserGetRequest { name: name.clone() }).await?;
    if !arguments.detail {
        return access::user(output, &name, &answer);
    }
    output.line(format!("User: {name}"));
    for role in answer.roles {
        output.line("");
        let answer = client.role_get(AuthRoleGetRequest { role: role.clone() }).await?;
        access::role(output, &role, &answer)?;
    }
    Ok(())
}

async fn change_password(
    arguments: Passwd,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let [name] = arguments.name.take("user passwd command requires user name as its argument")?;
    let password = password::new_for(&name, arguments.interactive)?;
    let request = AuthUserChangePasswordRequest { name, password, ..Default::default() };
    let answer = global.client()?.user_change_password(request).await?;
    access::done(output, answer.header.as_ref(), &answer, "Password updated")
}
