//! `quorate audit verify`: is an audit log whole?
//!
//! It reads files and asks nobody: what a log says of itself is its chain of hashes, what is known
//! of its end is in the logs of the other members, given with `--against`. See docs/audit.md.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use quorate_server::audit::chain::{Checkpoint, Log};
use quorate_server::audit::files;

/// A command on audit logs.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Find changed, dropped, inserted and moved records, and a missing end
    Verify(VerifyArguments),
}

/// What to verify.
#[derive(clap::Args)]
pub struct VerifyArguments {
    /// The file of --audit-log; what was put aside beside it belongs to it
    file: PathBuf,
    /// The audit log of another member: what it knows of this one is compared
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
}

/// Runs a command. The exit code is 0 for a whole log, 1 for a broken one, 6 for one that cannot be read.
pub fn main(command: Command) -> ExitCode {
    let Command::Verify(arguments) = command;
    match verify(&arguments) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err((code, why)) => {
            eprintln!("{why}");
            ExitCode::from(code)
        }
    }
}

type Verdict<T> = Result<T, (u8, String)>;

fn read(path: &Path) -> Verdict<Log> {
    let unreadable = |error: std::io::Error| (6, format!("{}: {error}", path.display()));
    let all = files(path).map_err(unreadable)?;
    if all.is_empty() {
        return Err((6, format!("{}: there is no such file", path.display())));
    }
    let mut text = String::new();
    for file in all {
        let bytes = std::fs::read(&file).map_err(unreadable)?;
        let part = String::from_utf8(bytes);
        let part = part.map_err(|_| (1, format!("{}: this is no text", file.display())))?;
        text.push_str(&part);
    }
    Log::read(&text).map_err(|broken| (1, format!("{}: broken: {broken}", path.display())))
}

fn verify(arguments: &VerifyArguments) -> Verdict<String> {
    let log = read(&arguments.file)?;
    if log.last.0 == 0 {
        let why = "there is no record in it, so nothing says whose it is or what is missing";
        return Err((1, format!("{}: {why}", arguments.file.display())));
    }
    let mut known: Vec<Checkpoint> = log.checkpoints.clone();
    for other in &arguments.against {
        known.extend(read(other)?.checkpoints);
    }
    let vouched = log.check(&known);
    let vouched =
        vouched.map_err(|broken| (1, format!("{}: broken: {broken}", arguments.file.display())))?;
    let (first, last) = (log.first, log.last.0);
    let end = match last - vouched.min(last) {
        0 => "a checkpoint vouches for all of them".to_owned(),
        rest => format!("no checkpoint given here vouches for the last {rest}"),
    };
    Ok(format!("member {:x}: records {first} to {last} are whole; {end}", log.member))
}
