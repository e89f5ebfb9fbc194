//! `auth`: access control on and off.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use quorate_client::Client;
use quorate_client::etcd::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthStatusRequest,
    AuthUserGrantRoleRequest,
};

use super::access;
use super::failure::Failure;
use super::global::Global;

/// The commands below `auth`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enables authentication
    #[command(
        after_help = "The user root must exist; it gets the role root if it does not have it.

Example:
  quorate user add root:secret && quorate auth enable"
    )]
    Enable(Nothing),
    /// Disables authentication
    #[command(after_help = "Example:
  quorate --user root:secret auth disable")]
    Disable(Nothing),
    /// Returns authentication status
    #[command(after_help = "Example:
  quorate auth status")]
    Status(Nothing),
}

/// Words that a command does not take.
#[derive(Debug, Args)]
pub struct Nothing {
    #[arg(hide = true)]
    extra: Vec<OsString>,
}

impl Nothing {
    fn check(&self, command: &str) -> Result<(), Failure> {
        if self.extra.is_empty() {
            return Ok(());
        }
        Err(Failure::arguments(format!("{command} command does not accept any arguments")))
    }
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    match command {
        Command::Enable(nothing) => {
            nothing.check("auth enable")?;
            enable(&global.client()?).await?;
            output.line("Authentication Enabled");
        }
        Command::Disable(nothing) => {
            nothing.check("auth disable")?;
            global.client()?.auth_disable(AuthDisableRequest {}).await?;
            output.line("Authentication Disabled");
        }
        Command::Status(nothing) => {
            nothing.check("auth status")?;
            let answer = global.client()?.auth_status(AuthStatusRequest {}).await?;
            access::status(&mut output, &answer)?;
        }
    }
    output.flush()
}

/// Turns it on; gives the user root the role root if that is what is missing.
async fn enable(client: &Client) -> Result<(), Failure> {
    let root = || "root".to_owned();
    let Err(error) = client.auth_enable(AuthEnableRequest {}).await else { return Ok(()) };
    if !error.is("etcdserver: root user does not have root role") {
        return Err(error.into());
    }
    match client.role_add(AuthRoleAddRequest { name: root() }).await {
        Ok(_) => {}
        Err(error) if error.is("etcdserver: role name already exists") => {}
        Err(error) => return Err(error.into()),
    }
    client.user_grant_role(AuthUserGrantRoleRequest { user: root(), role: root() }).await?;
    client.auth_enable(AuthEnableRequest {}).await?;
    Ok(())
}
