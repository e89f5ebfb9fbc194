//! Verdicts: yes, no with an explanation, unknown with a reason; and errors of histories that no judge can use.
//!
//! A refusal must convince somebody who did not run the judge: it names the property that is broken and shows the
//! smallest evidence that the judge could find, in terms of operations of the history.

use std::time::Duration;

use thiserror::Error;

use crate::history::{Event, Position};

/// What a judge decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The history keeps the promise.
    Yes,
    /// It does not, and here is why.
    No(Refusal),
    /// The limits did not suffice to decide.
    Unknown(Reason),
}

/// Why a history is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The broken property, in the field's words: `linearizability`, `G1c`, `read your writes`, …
    pub property: String,
    /// One sentence with the values.
    pub summary: String,
    /// The evidence: a few lines, each one an operation or a step of the argument.
    pub evidence: Vec<String>,
    /// Places (in `History::events`) of the invocations or events that are the evidence, in order.
    pub events: Vec<usize>,
}

/// Why a judge could not decide.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// The search took longer than allowed.
    #[error("not decided within the time limit of {limit:?}")]
    Time {
        /// What was allowed.
        limit: Duration,
    },
    /// The search would have needed more memory than allowed.
    #[error("not decided within the memory limit of {limit} bytes")]
    Memory {
        /// What was allowed, in bytes.
        limit: usize,
    },
    /// The history does not hold what is needed to decide (say, a value written twice where the judge needs unique
    /// values).
    #[error("{0}")]
    Undecidable(String),
}

/// What a judge hands back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The decision.
    pub verdict: Verdict,
    /// What was looked at: label and figure (`operations`, `partitions`, `states visited`, …), for people and for JSON.
    pub figures: Vec<(&'static str, u64)>,
    /// A self-contained HTML page about the verdict, if one was asked for and the judge draws one.
    pub page: Option<String>,
}

impl Report {
    /// A report without figures and page.
    pub fn new(verdict: Verdict) -> Report {
        Report { verdict, figures: Vec::new(), page: None }
    }
}

/// A history that a reader cannot read or a judge cannot use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{position}: {message}")]
pub struct HistoryError {
    /// Where it is.
    pub position: Position,
    /// What is wrong, with the values.
    pub message: String,
}

impl HistoryError {
    /// An error about an event.
    pub fn at(event: &Event, message: impl Into<String>) -> HistoryError {
        HistoryError { position: event.position, message: message.into() }
    }
}
