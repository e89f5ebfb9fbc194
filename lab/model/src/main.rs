//! `quorate-model`: explores a small cluster to its end and says what it saw.

use clap::Parser;
use quorate_model::{Bounds, explore};
use std::process::ExitCode;

/// Explores every state of a small Raft cluster within bounds.
#[derive(Parser)]
struct Arguments {
    /// Voters.
    #[arg(long, default_value_t = 3)]
    members: u8,
    /// Terms.
    #[arg(long, default_value_t = 2)]
    terms: u8,
    /// Values proposed.
    #[arg(long, default_value_t = 1)]
    proposals: u8,
    /// Crashes of each member.
    #[arg(long, default_value_t = 1)]
    crashes: u8,
    /// Changes of members: a voter leaves.
    #[arg(long, default_value_t = 0)]
    changes: u8,
    /// Learners that take the place of voters that leave.
    #[arg(long, default_value_t = 0)]
    learners: u8,
    /// One entry in an append, not several.
    #[arg(long)]
    single_entries: bool,
    /// States after which to give up.
    #[arg(long, default_value_t = 20_000_000)]
    states: u64,
    /// The mutant to switch on, in a build that carries them.
    #[arg(long, default_value_t = 0)]
    mutant: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bounds = Bounds {
        members: arguments.members,
        terms: arguments.terms,
        proposals: arguments.proposals,
        crashes: arguments.crashes,
        changes: arguments.changes,
        learners: arguments.learners,
        entries_at_once: !arguments.single_entries,
        states: arguments.states,
    };
    if arguments.mutant != 0 && !quorate_base::mutant::POSSIBLE {
        eprintln!("this build carries no mutants: see `cargo xtask mutants`");
        return ExitCode::FAILURE;
    }
    let tell = |depth, states, waiting| {
        eprintln!("depth {depth}: {states} states, {waiting} wait");
    };
    #[cfg(quorate_mutants)]
    let report = quorate_base::mutant::with(arguments.mutant, || explore(&bounds, tell));
    #[cfg(not(quorate_mutants))]
    let report = explore(&bounds, tell);
    println!("{report}");
    if report.found.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
