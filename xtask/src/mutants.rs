//! `cargo xtask mutants`: the one command that builds with mutants.
//!
//! It sets `--cfg quorate_mutants` and a target directory of its own, so that nothing built here can be taken for what
//! ships, runs the tests that need mutants, and writes `docs/mutants.md`.

use std::error::Error;
use std::process::Command;

const CFG: &str = "--cfg quorate_mutants";

/// How much of it.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only the tests: stories that turn red, and what the model checker must find. Some minutes; the hunt over seeds
    /// takes half an hour and rewrites docs/mutants.md.
    #[arg(long)]
    tests_only: bool,
}

/// Runs the tests, then the hunt.
pub fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let tests = ["-p", "quorate-base", "-p", "quorate-model", "-p", "quorate-mutants"];
    cargo("test", &tests)?;
    if arguments.tests_only {
        return Ok(());
    }
    cargo("run", &["-p", "quorate-mutants", "--", "--write", "docs/mutants.md"])
}

fn cargo(verb: &str, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let status = Command::new(env!("CARGO"))
        .arg(verb)
        .args(arguments)
        .env("RUSTFLAGS", CFG)
        .env("CARGO_TARGET_DIR", "target/mutants")
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo {verb} ended with {status}").into()),
        Err(error) => Err(format!("cargo cannot be started: {error}").into()),
    }
}
