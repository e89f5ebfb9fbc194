//! What went wrong, and what that says about the request.
//!
//! After a failed write the caller has one question: did it happen? [`Error::outcome`] answers it. A write that succeeded
//! is an `Ok`; every error says either that the request was not applied and never will be, or that nobody can know yet.

use std::time::Duration;

use tonic::{Code, ConnectError, Status};

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A member answered with an error. The text is etcd's, for instance `etcdserver: requested lease not found`.
    #[error("{message}")]
    Server {
        /// The gRPC code.
        code: Code,
        /// The text.
        message: String,
    },
    /// No endpoint could be reached; the request was never sent.
    #[error("no endpoint could be reached: {reasons}")]
    NotConnected {
        /// Each endpoint tried, with the reason.
        reasons: String,
    },
    /// The request was sent and the connection broke before the answer came.
    #[error("the connection to {endpoint} broke before the answer came: {reason}")]
    ConnectionLost {
        /// The endpoint that was asked.
        endpoint: String,
        /// What the transport reported.
        reason: String,
    },
    /// The answer did not come in time.
    #[error("context deadline exceeded: no answer within {after:?}")]
    Timeout {
        /// The time that the caller allowed.
        after: Duration,
    },
    /// The client's own settings or arguments make no sense; nothing was sent.
    #[error("{0}")]
    Settings(String),
}

/// What an error says about the request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It changed nothing and never will: it may be sent again.
    NotApplied,
    /// It may have been applied, or may yet be: read before sending it again.
    Unknown,
}

impl Error {
    /// What this error says about the request. For a read the difference does not matter.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Server { code, .. } => outcome_of_code(*code),
            Self::NotConnected { .. } | Self::Settings(_) => Outcome::NotApplied,
            Self::ConnectionLost { .. } | Self::Timeout { .. } => Outcome::Unknown,
        }
    }

    /// The gRPC code, if a member answered.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Server { code, .. } => Some(*code),
            Self::NotConnected { .. }
            | Self::ConnectionLost { .. }
            | Self::Timeout { .. }
            | Self::Settings(_) => None,
        }
    }

    /// True for an answer with exactly this text. etcd's clients tell errors apart by their text, not by their code.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        matches!(self, Self::Server { message, .. } if message == text)
    }

    /// Sorts a failed call by where it failed.
    pub(crate) fn of(status: &Status, endpoint: &str) -> Self {
        match transport_cause(status) {
            Cause::Answered => {
                Self::Server { code: status.code(), message: status.message().to_owned() }
            }
            Cause::Connecting(reason) => {
                Self::NotConnected { reasons: format!("{endpoint} ({reason})") }
            }
            Cause::Connected(reason) => {
                Self::ConnectionLost { endpoint: endpoint.to_owned(), reason }
            }
        }
    }

    /// The contract of etcd's own clients: a read is repeated when the member was unavailable or unreachable, a write
    /// only when it was never sent.
    pub(crate) fn may_repeat(&self, read_only: bool) -> bool {
        match self {
            Self::NotConnected { .. } => true,
            Self::ConnectionLost { .. } => read_only,
            Self::Server { code, .. } => read_only && *code == Code::Unavailable,
            Self::Timeout { .. } | Self::Settings(_) => false,
        }
    }
}

/// A member that refuses says so before anything is proposed; a member that gives up waiting does not know the end.
fn outcome_of_code(code: Code) -> Outcome {
    match code {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => Outcome::NotApplied,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => Outcome::Unknown,
    }
}

/// Where a call failed.
enum Cause {
    /// In the member, which sent a status.
    Answered,
    /// Before there was a connection.
    Connecting(String),
    /// On an open connection.
    Connected(String),
}

/// A status that the transport made up carries its cause; one that a member sent carries none.
fn transport_cause(status: &Status) -> Cause {
    let Some(first) = std::error::Error::source(status) else {
        return Cause::Answered;
    };
    let mut innermost = first;
    let never_left = |error: &(dyn std::error::Error + 'static)| {
        error.is::<ConnectError>()
            || error.downcast_ref::<hyper::Error>().is_some_and(still_waited)
            || error.downcast_ref::<h2::Error>().is_some_and(came_too_late)
    };
    let mut connecting = never_left(first);
    while let Some(next) = innermost.source() {
        connecting |= never_left(next);
        innermost = next;
    }
    let reason = innermost.to_string();
    // The number that the standard library adds says nothing to a reader.
    let reason = reason.split(" (os error").next().unwrap_or_default().to_owned();
    if connecting { Cause::Connecting(reason) } else { Cause::Connected(reason) }
}

/// A request that waited for its turn when the connection went away was never sent: a member that says goodbye (a rolling
/// restart) must not cost its clients a write of which nobody knows. hyper tells it by cancelling, with one of two reasons.
fn still_waited(error: &hyper::Error) -> bool {
    let why = std::error::Error::source(error).map(ToString::to_string);
    error.is_canceled()
        && why.is_some_and(|why| why == "connection closed" || why == "connection was not ready")
}

/// A member that says goodbye names the last request that it took (RFC 9113, section 6.8). Only those behind it fail with
/// that goodbye, and they were not looked at: etcd's own clients send them again, too.
fn came_too_late(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: Code) -> Error {
        Error::of(&Status::new(code, "etcdserver: request timed out"), "n1")
    }

    #[test]
    fn reads_repeat_when_unavailable_and_writes_do_not() {
        assert!(server(Code::Unavailable).may_repeat(true));
        assert!(!server(Code::Unavailable).may_repeat(false));
        assert!(!server(Code::OutOfRange).may_repeat(true));
        let unreachable = Error::NotConnected { reasons: "n1 (refused)".to_owned() };
        assert!(unreachable.may_repeat(false), "never sent, so a write may go elsewhere");
    }

    #[test]
    fn the_outcome_of_a_write_is_known_only_when_it_was_refused() {
        assert_eq!(server(Code::InvalidArgument).outcome(), Outcome::NotApplied);
        assert_eq!(server(Code::ResourceExhausted).outcome(), Outcome::NotApplied);
        assert_eq!(server(Code::Unavailable).outcome(), Outcome::Unknown);
        let late = Error::Timeout { after: Duration::from_secs(5) };
        assert_eq!(late.outcome(), Outcome::Unknown);
    }

    #[test]
    fn an_answer_keeps_its_text() {
        let error = server(Code::Unavailable);
        assert!(error.is("etcdserver: request timed out"));
        assert_eq!(error.to_string(), "etcdserver: request timed out");
        assert_eq!(error.code(), Some(Code::Unavailable));
    }
}
