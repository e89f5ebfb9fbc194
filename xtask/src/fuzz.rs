//! `xtask fuzz`: one fuzz target, or all, for longer than the tests have time for.
//!
//! The targets live in `lab/fuzz`, which is built and started here: with the dev profile, whose assertions and overflow
//! checks are half of what finds anything, and with the workspace's own code counting which parts of it run.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use clap::Args;

/// Options of `xtask fuzz`.
#[derive(Args)]
pub struct Arguments {
    /// What to feed (several with commas between them), or `all`; without it, the targets are listed.
    target: Option<String>,
    /// How long, for each target: 30s, 10m, 2h.
    #[arg(long = "for", default_value = "60s", value_parser = seconds)]
    time: u64,
    /// Where the mutations begin; the same seed makes the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write inputs that reached new code into the corpus.
    #[arg(long)]
    keep: bool,
}

/// Runs a target; fails when it did not bear something.
pub fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/fuzz");
    command.env("RUSTC_WORKSPACE_WRAPPER", fuzz.join("instrument.sh"));
    // The runtime would write its counters to a file when it ends; nobody reads that.
    command.env("LLVM_PROFILE_FILE", "/dev/null");
    command.args(["run", "--quiet", "-p", "quorate-fuzz", "--features", "coverage", "--"]);
    if let Some(target) = &arguments.target {
        command.args([target.clone(), arguments.time.to_string(), arguments.seed.to_string()]);
        command.args(arguments.keep.then_some("keep"));
    }
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err("a target did not bear its input".into()) }
}

/// A number with a unit, in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let unit = units.iter().find(|(unit, _)| text.ends_with(*unit));
    let Some((_, factor)) = unit else { return Err("a time has a unit: 30s, 10m, 2h".into()) };
    let number: u64 =
        text[..text.len() - 1].parse().map_err(|_| "a time is a number and a unit")?;
    Ok(number * factor)
}
