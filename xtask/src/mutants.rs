//! `cargo xtask mutants`: the one command that builds with mutants.
//!
//! It sets `--cfg quorate_mutants` and a target directory of its own, so that nothing built here can be taken for what
//! ships, runs the tests that need mutants, and writes `docs/mutants.md`.

use std::error::Error;
use std::process::Command;

const CFG: &str = "--cfg quorate_mutants";

/// Runs the tests, then the hunt.
pub fn run() -> Result<(), Box<dyn Error>> {
    let tests = ["-p", "quorate-base", "-p", "quorate-model", "-p", "quorate-mutants"];
    cargo("test", &tests)?;
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
