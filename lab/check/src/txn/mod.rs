//! Transactions: which isolation level does a history keep?
//!
//! A database promises more than single objects keep: transactions that read and write several objects are isolated from each
//! other. Adya (1999) defines how well by cycles: transactions are nodes; an edge says that one wrote what the other replaced
//! (*ww*), wrote what the other read (*wr*), or read what the other replaced (*rw*). Serializability is the absence of
//! cycles, and weaker levels allow some kinds of them. The order of versions, on which all edges rest, is inside the database;
//! Elle (Kingsbury and Alvaro, VLDB 2020) infers it from what clients see.
//!
//! # Layout
//!
//! - [`level`]: anomalies and levels by name, and which level forbids what.
//! - `append`: lists, where every read tells the whole order.
//! - `register`: registers with unique values, where the order is known in part.
//! - `serial`: registers again: is there a serial order? The search that closes the gap.
//! - `deps`: the graph; `cycles`: the kinds of cycles; `findings`: the words.
//!
//! # Caveats
//!
//! For lists the verdict about serializable levels is exact, given that every element is appended once. For weaker levels, and for
//! registers below serializability, a "yes" means that the inferred dependencies show no anomaly; the database may have ordered
//! versions worse than anybody could see.

pub mod level;

mod append;
mod cycles;
mod deps;
mod findings;
mod register;
mod serial;

use crate::access::{Objects, Txns};
use crate::history::{History, Position};
use crate::limits::{Meter, Options};
use crate::registers::Registers;
use crate::sequential::search::Found;
use crate::sequential::stuck;
use crate::verdict::{HistoryError, Reason, Report, Verdict};
use findings::Findings;
use level::{Level, Scope};

/// Judges transactions that append to lists and read them.
///
/// # Errors
///
/// The history holds other operations than transactions on lists.
pub fn list_append(history: &History, options: &Options) -> Result<Report, HistoryError> {
    has_the_order_for(history, options.level)?;
    let meter = Meter::start(options);
    let txns = Txns::read(history, Objects::Lists)?;
    let decided = decide_lists(history, &txns, options, &meter);
    Ok(report(&txns, decided))
}

fn decide_lists(
    history: &History,
    txns: &Txns,
    options: &Options,
    meter: &Meter,
) -> Result<Verdict, Reason> {
    let mut findings = Findings::default();
    let mut deps = append::analyse(txns, &mut findings, meter)?;
    deps.add_orders(txns);
    cycles::search(&deps, &mut findings, meter)?;
    verdict(history, txns, &findings, options)
}

/// Judges transactions that read and write registers. Values written to a key must differ.
///
/// # Errors
///
/// The history holds something else than reads, writes and transactions on registers.
pub fn rw_register(history: &History, options: &Options) -> Result<Report, HistoryError> {
    has_the_order_for(history, options.level)?;
    let meter = Meter::start(options);
    let txns = Txns::read(history, Objects::Registers)?;
    let decided = decide_registers(history, &txns, options, &meter);
    Ok(report(&txns, decided))
}

fn decide_registers(
    history: &History,
    txns: &Txns,
    options: &Options,
    meter: &Meter,
) -> Result<Verdict, Reason> {
    let registers = Registers::resolve(txns, meter)?;
    let mut findings = Findings::default();
    let mut deps = register::analyse(&registers, &mut findings);
    deps.add_orders(txns);
    cycles::search(&deps, &mut findings, meter)?;
    let found = verdict(history, txns, &findings, options)?;
    if found != Verdict::Yes || !options.level.is_serial() {
        return Ok(found);
    }
    Ok(match serial::serial_order(txns, &deps, options.level, meter)? {
        Found::Order(_) => Verdict::Yes,
        Found::Stuck { placed, next } => {
            let mut refusal = stuck(history, txns, placed, &next);
            refusal.property = options.level.to_string();
            refusal.summary = "no serial order explains every read".to_string();
            Verdict::No(refusal)
        }
        Found::GaveUp => unreachable!("without a bound on its patience"),
    })
}

/// Refuses a level that needs real time for a history that has none: any answer would be about an order that was made
/// up to read it.
fn has_the_order_for(history: &History, level: Level) -> Result<(), HistoryError> {
    if !history.timeless || level.scope() < Scope::Realtime {
        return Ok(());
    }
    let message = format!(
        "this history knows no real time, which {level} is about: ask for {} or a weaker level",
        Level::StrongSessionSerializable
    );
    Err(HistoryError { position: Position { line: 1, column: 1 }, message })
}

/// The verdict on what was found.
fn verdict(
    history: &History,
    txns: &Txns,
    findings: &Findings,
    options: &Options,
) -> Result<Verdict, Reason> {
    if let Some(refusal) = findings.refusal(options.level, history, txns) {
        return Ok(Verdict::No(refusal));
    }
    if findings.incomplete {
        return Err(Reason::Undecidable(format!(
            "there are cycles of dependencies, too many to find out which kinds; none that was found breaks {}",
            options.level
        )));
    }
    Ok(Verdict::Yes)
}

fn report(txns: &Txns, decided: Result<Verdict, Reason>) -> Report {
    let mut report = Report::new(decided.unwrap_or_else(Verdict::Unknown));
    report.figures.push(("transactions", txns.len() as u64));
    report.figures.push(("micro-operations", txns.micro_count() as u64));
    report.figures.push(("keys", txns.keys.len() as u64));
    report
}
