//! Passwords from a terminal, without showing them.

use std::io::{BufRead as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::failure::Failure;

/// A new password for a user: asked for twice on the terminal, or a word from standard input.
///
/// # Errors
/// The two differ, or it is empty.
pub fn new_for(name: &str, interactive: bool) -> Result<String, Failure> {
    if !interactive {
        let line = line()?;
        return Ok(line.split_whitespace().next().unwrap_or_default().to_owned());
    }
    let failed = |error: std::io::Error| {
        let way_out = "write NAME:PASSWORD, or pipe it in with --interactive=false";
        Failure::arguments(format!("failed to ask password: {error}; {way_out}"))
    };
    let first = ask(&format!("Password of {name}: ")).map_err(failed)?;
    if first.is_empty() {
        return Err(Failure::arguments("empty password"));
    }
    let again = format!("Type password of {name} again for confirmation: ");
    if ask(&again).map_err(failed)? != first {
        return Err(Failure::arguments("given passwords are different"));
    }
    Ok(first)
}

/// Asks, with the echo off on a terminal; in a pipe the answer is its next line.
///
/// # Errors
/// Standard input cannot be read.
pub fn ask(prompt: &str) -> std::io::Result<String> {
    let stdin = std::io::stdin();
    print!("{prompt}");
    std::io::stdout().flush()?;
    let Ok(shown) = tcgetattr(&stdin) else { return line() };
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
    let answer = line();
    tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
    println!();
    answer
}

fn line() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
