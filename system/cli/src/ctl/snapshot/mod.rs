//! `snapshot`: a copy of the whole store in a file, and a new cluster out of it.
//!
//! `save` asks a running member. `status` and `restore` need no member: they read the file, which is why etcd has moved
//! them to a tool of their own, etcdutl; here they stay together.

mod progress;
mod restore;
mod save;
mod status;

use clap::Subcommand;

use super::failure::Failure;
use super::global::Global;

/// The commands below `snapshot`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stores a snapshot of a member's store to a given file
    Save(save::Arguments),
    /// Checks a snapshot file and tells what is in it
    Status(status::Arguments),
    /// Makes the data directory of a new member out of a snapshot file
    Restore(Box<restore::Arguments>),
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::Save(arguments) => save::run(arguments, global).await,
        Command::Status(arguments) => status::run(&arguments, global),
        Command::Restore(arguments) => restore::run(*arguments, global).await,
    }
}
