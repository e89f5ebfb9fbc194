//! Runs one fuzz target, or all of them, for a while: `quorate-fuzz TARGET|all [SECONDS] [SEED]`.
//!
//! `cargo xtask fuzz` is the command for people; this is what it starts.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use quorate_fuzz::drive::{Until, corpus_directory, drive};
use quorate_fuzz::{TARGETS, Target, target};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let targets = match target(&name) {
        Some(target) => vec![target],
        None if name == "all" => TARGETS.to_vec(),
        None => {
            println!("targets:");
            for target in TARGETS {
                println!("  {:<16} {}", target.name, target.reads);
            }
            return if name.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    let mut number = |default| match arguments.next() {
        Some(text) => text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")),
        None => default,
    };
    let time = Duration::from_secs(number(60));
    let seed = number(1);
    let failed = targets.iter().filter(|target| !run(**target, seed, time)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a target and says what came of it; what failed goes into the corpus.
fn run(target: Target, seed: u64, time: Duration) -> bool {
    let began = Instant::now();
    match drive(target, seed, Until::Elapsed(time)) {
        Ok(runs) => {
            let seconds = began.elapsed().as_secs_f64();
            println!("{}: {runs} inputs in {seconds:.0} s, seed {seed}", target.name);
            true
        }
        Err(failure) => {
            let directory = corpus_directory(target);
            let path = directory.join(format!("failed-{seed}-{}", failure.input.len()));
            let written = std::fs::create_dir_all(&directory)
                .and_then(|()| std::fs::write(&path, &failure.input));
            let place = match written {
                Ok(()) => path.display().to_string(),
                Err(error) => format!("nowhere: {error}"),
            };
            println!("{}: FAILED: {}", target.name, failure.message);
            println!("  {} bytes, kept in {place}", failure.input.len());
            false
        }
    }
}
