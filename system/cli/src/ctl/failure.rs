//! How a command fails: an exit code and a line on standard error, both etcdctl's where scripts may depend on them.

use std::fmt::Display;
use std::process::ExitCode;

use quorate_client::{Error, Outcome};

/// Anything that has no code of its own.
pub const ERROR: u8 = 1;
/// No connection, or a lease command that failed.
pub const BAD_CONNECTION: u8 = 2;
/// A transaction or an interactive watch that cannot be read.
pub const INVALID_INPUT: u8 = 3;
/// A flag with a value that does not exist.
pub const BAD_FEATURE: u8 = 4;
/// A stream that ended too early: a watch, a snapshot.
pub const INTERRUPTED: u8 = 5;
/// A file that cannot be written.
pub const IO: u8 = 6;
/// Arguments that are missing, too many, or contradict each other.
pub const BAD_ARGUMENTS: u8 = 128;
/// What a shell reports for a program whose reader went away.
const BROKEN_PIPE: u8 = 141;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What to say; `None` if everything has been said.
    pub message: Option<String>,
}

impl Failure {
    /// A failure with a code and a message.
    pub fn new(code: u8, message: impl Display) -> Self {
        Self { code, message: Some(message.to_string()) }
    }

    /// A failure that has been reported already.
    pub fn silent(code: u8) -> Self {
        Self { code, message: None }
    }

    /// Arguments that make no sense.
    pub fn arguments(message: impl Display) -> Self {
        Self::new(BAD_ARGUMENTS, message)
    }

    /// A call that failed, under an exit code of the command's choice.
    pub fn call(code: u8, error: &Error) -> Self {
        Self::new(code, describe(error))
    }

    /// Says what there is to say and gives the exit code.
    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            eprintln!("Error: {message}");
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // etcdctl logs in before it connects for anything else.
        let refused = error.is("etcdserver: authentication failed, invalid user ID or password")
            || error.is("auth: authentication failed, password was given for no password user");
        Self::call(if refused { BAD_CONNECTION } else { ERROR }, &error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::silent(BROKEN_PIPE)
        } else {
            Self::new(IO, error)
        }
    }
}

/// The error, and what to do next where that is not plain.
pub fn describe(error: &Error) -> String {
    let next = match error {
        Error::NotConnected { .. } => {
            "Start a cluster with `quorate up`, or name the endpoints of a running one with --endpoints."
        }
        Error::ConnectionLost { .. } | Error::Timeout { .. }
            if error.outcome() == Outcome::Unknown =>
        {
            "If it was a write, it may or may not have been applied: read before you repeat it."
        }
        Error::Server { .. }
        | Error::ConnectionLost { .. }
        | Error::Timeout { .. }
        | Error::Settings(_) => return error.to_string(),
    };
    format!("{error}\n{next}")
}
