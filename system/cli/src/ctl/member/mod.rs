//! `member`: who belongs to the cluster, and changing that.
//!
//! What `add` and `replace` print is what the new member is started with. `replace` is this
//! program's own: it removes a member that is gone for good and adds its successor, which is all that the
//! members that are left need to know.

mod change;
mod list;

use super::failure::Failure;
use super::global::Global;
use clap::Subcommand;

/// The commands below `member`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists all members in the cluster
    List(list::List),
    /// Adds a member into the cluster
    Add(change::Add),
    /// Removes a member from the cluster
    Remove(change::Remove),
    /// Updates a member in the cluster
    Update(change::Update),
    /// Promotes a non-voting member in the cluster
    Promote(change::Promote),
    /// Removes a member that is gone for good and adds its successor
    Replace(change::Replace),
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(&arguments, global).await,
        Command::Add(arguments) => change::add(&arguments, global).await,
        Command::Remove(arguments) => change::remove(&arguments, global).await,
        Command::Update(arguments) => change::update(&arguments, global).await,
        Command::Promote(arguments) => change::promote(&arguments, global).await,
        Command::Replace(arguments) => change::replace(&arguments, global).await,
    }
}
