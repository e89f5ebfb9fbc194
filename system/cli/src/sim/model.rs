//! `quorate sim model`: every state of a small cluster.

use super::progress::Line;
use super::{FOUND, NOTHING, Output, on_interrupt};
use clap::Args;
use quorate_model::{Bounds, explore_while};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Args, Debug)]
#[command(
    after_help = "Ctrl-C ends the exploration and tells what was visited so far; a second one ends the process at once.

Exit codes: 0 no promise is broken in any state visited, 1 one is, 2 bad input."
)]
pub struct ModelArguments {
    /// Voters
    #[arg(long, value_name = "N", default_value_t = Bounds::SMALL.members, value_parser = clap::value_parser!(u8).range(1..=5))]
    members: u8,
    /// Nobody campaigns beyond this term
    #[arg(long, value_name = "N", default_value_t = Bounds::SMALL.terms, value_parser = clap::value_parser!(u8).range(1..=6))]
    terms: u8,
    /// Values proposed, over all terms
    #[arg(long, value_name = "N", default_value_t = Bounds::SMALL.proposals, value_parser = clap::value_parser!(u8).range(0..=6))]
    proposals: u8,
    /// Crashes of each member
    #[arg(long, value_name = "N", default_value_t = Bounds::SMALL.crashes, value_parser = clap::value_parser!(u8).range(0..=3))]
    crashes: u8,
    /// Changes of members, over all terms: a voter leaves with each
    #[arg(long, value_name = "N", default_value_t = Bounds::SMALL.changes, value_parser = clap::value_parser!(u8).range(0..=2))]
    changes: u8,
    /// Learners that take the place of voters that leave
    #[arg(long, value_name = "N", default_value_t = Bounds::SMALL.learners, value_parser = clap::value_parser!(u8).range(0..=1))]
    learners: u8,
    /// States after which to give up
    #[arg(long, value_name = "N", default_value_t = Bounds::SMALL.states, value_parser = clap::value_parser!(u64).range(1..))]
    states: u64,
    /// How to print
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Simple)]
    write_out: Output,
}

pub fn main(arguments: &ModelArguments) -> Result<u8, String> {
    let bounds = Bounds {
        members: arguments.members,
        terms: arguments.terms,
        proposals: arguments.proposals,
        crashes: arguments.crashes,
        changes: arguments.changes,
        learners: arguments.learners,
        states: arguments.states,
        ..Bounds::SMALL
    };
    let line = Line::new();
    let stopped = Arc::new(AtomicBool::new(false));
    let told = stopped.clone();
    on_interrupt(move || told.store(true, Ordering::Relaxed));
    let goes_on = || !stopped.load(Ordering::Relaxed);
    let report = explore_while(&bounds, goes_on, |depth, states, waiting| {
        line.say(format!("depth {depth}: {states} states, {waiting} wait for their turn"));
    });
    drop(line);
    match arguments.write_out {
        Output::Simple => println!("{report}"),
        Output::Json => {
            let found = report.found.as_ref().map(ToString::to_string);
            let line = json!({
                "states": report.states,
                "steps": report.steps,
                "depth": report.depth,
                "complete": report.complete,
                "interrupted": !goes_on(),
                "seconds": report.took.as_secs_f64(),
                "found": found,
            });
            println!("{line}");
        }
    }
    Ok(if report.found.is_some() { FOUND } else { NOTHING })
}
