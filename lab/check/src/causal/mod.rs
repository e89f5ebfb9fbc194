//! Causal consistency and the session guarantees, for registers whose written values are unique.
//!
//! Causal consistency says that whoever sees an effect has seen its causes. Three promises go by that name; Bouajjani, Enea,
//! Guerraoui and Hamza (POPL 2017) tell them apart and reduce each to a few *bad patterns*, which is what this module looks for:
//!
//! | model | promise | bad patterns |
//! |---|---|---|
//! | `causal` | CC: no read contradicts what is in its causal past | CyclicCO, WriteCOInitRead, ThinAirRead, WriteCORead |
//! | `causal-convergence` | CCv: and all agree on one order of concurrent writes | CC's, and CyclicCF |
//! | `causal-memory` | CM: CC, and each session's own knowledge fits one order | CC's, and WriteHBInitRead, CyclicHB |
//!
//! CCv and CM are both stronger than CC, and neither includes the other. A last-writer-wins store promises CCv. The guarantees of
//! `sessions` are parts of CCv. Nodes may be transactions of several reads and writes: then CCv is what AWDIT and dbcop call (transactional)
//! causal consistency. Histories are one session per process.

pub(crate) mod frame;
mod memory;
pub(crate) mod patterns;
pub(crate) mod search;
mod sessions;
pub(crate) mod words;

use crate::access::{Objects, Txns};
use crate::history::History;
use crate::limits::{Meter, Options};
use crate::registers::Registers;
use crate::verdict::{HistoryError, Reason, Report, Verdict};
use frame::Order;
use search::Case;
use sessions::Guarantee;

/// Which promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    Weak,
    Convergence,
    Memory,
    Session(Guarantee),
}

impl Promise {
    fn name(self) -> &'static str {
        match self {
            Promise::Weak => "causal consistency",
            Promise::Convergence => "causal convergence",
            Promise::Memory => "causal memory",
            Promise::Session(Guarantee::ReadYourWrites) => "read your writes",
            Promise::Session(Guarantee::MonotonicReads) => "monotonic reads",
            Promise::Session(Guarantee::MonotonicWrites) => "monotonic writes",
            Promise::Session(Guarantee::WritesFollowReads) => "writes follow reads",
            Promise::Session(Guarantee::Pipelined) => "pipelined RAM",
        }
    }
}

/// Weak causal consistency (CC).
///
/// # Errors
///
/// The history holds something else than reads, writes and transactions on registers. So for all judges of this module.
pub fn causal(history: &History, options: &Options) -> Result<Report, HistoryError> {
    judge(history, options, Promise::Weak)
}

/// Causal convergence (CCv).
///
/// # Errors
///
/// As [`causal`].
pub fn causal_convergence(history: &History, options: &Options) -> Result<Report, HistoryError> {
    judge(history, options, Promise::Convergence)
}

/// Causal memory (CM).
///
/// # Errors
///
/// As [`causal`].
pub fn causal_memory(history: &History, options: &Options) -> Result<Report, HistoryError> {
    judge(history, options, Promise::Memory)
}

/// Read your writes.
///
/// # Errors
///
/// As [`causal`].
pub fn read_your_writes(history: &History, options: &Options) -> Result<Report, HistoryError> {
    judge(history, options, Promise::Session(Guarantee::ReadYourWrites))
}

/// Monotonic reads.
///
/// # Errors
///
/// As [`causal`].
pub fn monotonic_reads(history: &History, options: &Options) -> Result<Report, HistoryError> {
    judge(history, options, Promise::Session(Guarantee::MonotonicReads))
}

/// Monotonic writes, as observed by sessions with monotonic reads.
///
/// # Errors
///
/// As [`causal`].
pub fn monotonic_writes(history: &History, options: &Options) -> Result<Report, HistoryError> {
    judge(history, options, Promise::Session(Guarantee::MonotonicWrites))
}

/// Writes follow reads, as observed by sessions with monotonic reads.
///
/// # Errors
///
/// As [`causal`].
pub fn writes_follow_reads(history: &History, options: &Options) -> Result<Report, HistoryError> {
    judge(history, options, Promise::Session(Guarantee::WritesFollowReads))
}

/// Read your writes, monotonic reads and monotonic writes together.
///
/// # Errors
///
/// As [`causal`].
pub fn pipelined_ram(history: &History, options: &Options) -> Result<Report, HistoryError> {
    judge(history, options, Promise::Session(Guarantee::Pipelined))
}

fn judge(history: &History, options: &Options, promise: Promise) -> Result<Report, HistoryError> {
    let meter = Meter::start(options);
    let read = Txns::read(history, Objects::Registers)?;
    let txns = match promise {
        Promise::Session(_) => read.flattened(),
        Promise::Weak | Promise::Convergence | Promise::Memory => read,
    };
    let verdict = decide(history, &txns, promise, &meter).unwrap_or_else(Verdict::Unknown);
    let mut report = Report::new(verdict);
    report.figures.push(("transactions", txns.len() as u64));
    report.figures.push(("reads and writes", txns.micro_count() as u64));
    report.figures.push(("keys", txns.keys.len() as u64));
    Ok(report)
}

fn decide(
    history: &History,
    txns: &Txns,
    promise: Promise,
    meter: &Meter,
) -> Result<Verdict, Reason> {
    let registers = Registers::resolve(txns, meter)?;
    let name = promise.name();
    if let Some(flawed) = registers.flawed.first() {
        return Ok(Verdict::No(words::flaw(name, history, &registers, flawed)));
    }
    if let Promise::Session(guarantee) = promise {
        let found = sessions::decide(&registers, guarantee, meter)?;
        return Ok(found.map_or(Verdict::Yes, |(pattern, case)| {
            Verdict::No(words::pattern(name, history, &registers, case.as_ref(), &pattern))
        }));
    }
    let case = match Case::new(&registers, Order::Causal, meter)? {
        Ok(case) => case,
        Err(pattern) => {
            return Ok(Verdict::No(words::pattern(name, history, &registers, None, &pattern)));
        }
    };
    let found = match promise {
        Promise::Weak => case.weak(None, meter)?,
        Promise::Convergence => case.convergent(meter)?,
        Promise::Memory => case.memory(meter)?,
        Promise::Session(_) => unreachable!("decided above"),
    };
    Ok(found.map_or(Verdict::Yes, |pattern| {
        Verdict::No(words::pattern(name, history, &registers, Some(&case), &pattern))
    }))
}
