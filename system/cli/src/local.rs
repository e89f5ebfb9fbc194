//! The commands that run and look after members on this machine.
//!
//! To add one: a module with its arguments and a function that runs it, a variant of [`Command`], its name in [`NAMES`],
//! and a line in the help of `ctl/help.txt`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{audit, chaos, check, node, serve, sim, status, up};

/// The names of the commands below, by which a command line is told from one of [`crate::ctl`].
pub const NAMES: &[&str] = &["serve", "up", "status", "node", "audit", "chaos", "check", "sim"];

#[derive(Parser)]
#[command(name = "quorate", version, about = "Runs and looks after members on this machine.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one member of a cluster, with etcd's flags
    Serve,
    /// Start a cluster of real processes on this machine
    Up(up::UpArguments),
    /// Show how the members of the local cluster are
    Status(status::StatusArguments),
    /// Stop, kill, pause or cut off members of the local cluster
    Node(node::NodeArguments),
    /// Verify audit logs
    #[command(subcommand)]
    Audit(audit::Command),
    /// Break a cluster on purpose while it is used, and judge what its clients saw
    Chaos(chaos::ChaosArguments),
    /// Judge histories that clients recorded: was it what the system promises?
    Check(check::CheckArguments),
    /// Simulate: hunt for bad seeds, replay and draw them, play scenarios, explore small worlds
    Sim(sim::SimArguments),
}

/// Runs the command that the arguments name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if let Some(flags) = serve_flags(&arguments) {
        return serve::main(&flags);
    }
    match Arguments::parse_from(arguments).command {
        Command::Serve => unreachable!("its flags are read in Go's way, above"),
        Command::Up(arguments) => up::main(&arguments),
        Command::Status(arguments) => status::main(&arguments),
        Command::Node(arguments) => node::main(arguments),
        Command::Audit(command) => audit::main(command),
        Command::Chaos(arguments) => chaos::main(&arguments),
        Command::Check(arguments) => check::main(&arguments),
        Command::Sim(arguments) => sim::main(arguments),
    }
}

/// The arguments of `serve`, or of `help serve`; `None` for another command.
fn serve_flags(arguments: &[OsString]) -> Option<Vec<String>> {
    let lossy = |arguments: &[OsString]| {
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let words = lossy(arguments.get(1..)?);
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", ..] => Some(words[1..].to_vec()),
        ["help", "serve", ..] => Some(vec!["--help".to_owned()]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        use clap::CommandFactory;
        let command = Arguments::command();
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(names, NAMES);
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_flags_of_serve_are_left_to_it() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(serve_flags(&words("quorate serve -name a")).unwrap(), ["-name", "a"]);
        assert_eq!(serve_flags(&words("quorate help serve")).unwrap(), ["--help"]);
        assert_eq!(serve_flags(&words("quorate up")), None);
    }
}
