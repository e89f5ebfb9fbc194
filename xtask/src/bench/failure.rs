//! Why a bench run ended early, in one line each.

use std::io;
use std::path::Path;

use thiserror::Error;

/// Every way in which the bench can fail.
#[derive(Debug, Error)]
pub enum Failure {
    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was attempted, as it follows "cannot".
        action: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A member answered a call with an error.
    #[error("{action}: {} ({:?})", status.message(), status.code())]
    Rpc {
        /// The call.
        action: String,
        /// The answer.
        status: Box<tonic::Status>,
    },
    /// A member could not be reached.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Where it should have listened.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// Something did not happen in time.
    #[error(
        "{system}: {waited_for} did not happen within {seconds} s; the members' logs are in {logs}"
    )]
    TooLate {
        /// Whose cluster.
        system: String,
        /// The thing waited for.
        waited_for: String,
        /// How long.
        seconds: u64,
        /// Where to look next.
        logs: String,
    },
    /// The system does not keep what it acknowledges: its figures would be worthless.
    #[error("REJECTED: {system}: {reason}")]
    Rejected {
        /// Which system.
        system: String,
        /// The evidence.
        reason: String,
    },
    /// An answer that is wrong.
    #[error("{0}")]
    Wrong(String),
    /// The machine lacks something, or a flag is wrong; the sentence names the way out.
    #[error("{0}")]
    Setup(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Result of everything in the bench.
pub type Result<T> = std::result::Result<T, Failure>;

/// Wraps an error of the operating system with what was attempted.
pub fn io_failure(action: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let action = action.into();
    move |source| Failure::Io { action, source }
}

/// Wraps an error on a file with what was attempted and the file's name.
pub fn file_failure<'a>(action: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Failure + 'a {
    move |source| Failure::Io { action: format!("{action} {}", path.display()), source }
}

/// Wraps a call's error status with the name of the call.
pub fn rpc_failure(action: impl Into<String>) -> impl FnOnce(tonic::Status) -> Failure {
    let action = action.into();
    move |status| Failure::Rpc { action, status: Box::new(status) }
}
