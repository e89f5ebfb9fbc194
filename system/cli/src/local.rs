//! The commands that run and look after members on this machine.
//!
//! To add one: a module with its arguments and a function that runs it, a variant of [`Command`], its name in [`NAMES`],
//! and a line in the help of `ctl/help.txt`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The names of the commands below, by which a command line is told from one of [`crate::ctl`].
pub const NAMES: &[&str] = &[];

#[derive(Parser)]
#[command(name = "quorate", version, about = "Runs and looks after members on this machine.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {}

/// Runs the command that the arguments name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    match Arguments::parse_from(arguments).command {}
}
