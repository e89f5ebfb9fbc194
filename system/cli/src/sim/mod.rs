//! `quorate sim`: worlds from a seed, from the command line.
//!
//! What worlds are, how they are searched, told and drawn is in the crates of the laboratory
//! (`quorate-hunt`, `quorate-sim`, `quorate-model`); this module is their command line. Each subcommand has
//! a file of its own.

mod bench;
mod hunt;
mod list;
mod model;
pub mod progress;
mod replay;
mod show;
mod subject;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

/// Exit codes: what was looked for was not there, it was, the input was bad (clap's).
const NOTHING: u8 = 0;
const FOUND: u8 = 1;
const BAD_INPUT: u8 = 2;

/// Run protocols and the whole server in simulated worlds
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SimArguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  quorate sim hunt --world raft --seeds 0..1000
  quorate sim hunt --world server --for 10m --seeds 5000..
  quorate sim hunt --sabotage release-early
  quorate sim replay 17 --node 2 --from 3s --limit 50
  quorate sim show 'raft/5/17 keep=3,9 loss=0' --html out.html
  quorate sim run split-brain --html out.html";

#[derive(Subcommand, Debug)]
enum Command {
    /// Run seeds on all cores until one breaks a promise, shrink it and write a report
    Hunt(hunt::HuntArguments),
    /// Print what happens in the world of a seed
    Replay(replay::ReplayArguments),
    /// Draw the world of a seed as a space-time diagram
    Show(show::ShowArguments),
    /// Tell which scenarios are ready, and what to look for in them
    List(list::ListArguments),
    /// Play a scenario and say what was seen
    Run(list::RunArguments),
    /// Measure how fast worlds run
    Bench(bench::BenchArguments),
    /// Visit every state of a small Raft cluster
    Model(model::ModelArguments),
}

/// How to print.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Output {
    Simple,
    Json,
}

/// The first Ctrl-C asks a search to end, which then tells what it has; the second one ends the process.
fn on_interrupt(end: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                end();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    });
}

/// Runs the command.
pub fn main(arguments: SimArguments) -> ExitCode {
    let code = match arguments.command {
        Command::Hunt(arguments) => hunt::main(&arguments),
        Command::Replay(arguments) => replay::main(&arguments),
        Command::Show(arguments) => show::main(&arguments),
        Command::List(arguments) => list::main(&arguments),
        Command::Run(arguments) => list::run(&arguments),
        Command::Bench(arguments) => bench::main(&arguments),
        Command::Model(arguments) => model::main(&arguments),
    };
    ExitCode::from(code.unwrap_or_else(|message| {
        eprintln!("quorate sim: {message}");
        BAD_INPUT
    }))
}
