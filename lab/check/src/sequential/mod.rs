//! Sequential consistency (Lamport 1979): is there one order of all operations that keeps the order of each process, in which every read
//! sees the last write?
//!
//! Unlike linearizability it asks nothing of real time, and it is not local: keys cannot be judged one by one. Where written values
//! are unique, `saturate` first finds what every order must have in it; that refuses nearly all histories that are to be refused, and
//! gives the `search` its map. Where values repeat, the search is on its own.
//!
//! Nodes are transactions (single operations are transactions of one), so that for multi-operation histories this judges strong
//! session serializability.

pub(crate) mod saturate;
pub(crate) mod search;

use std::collections::HashMap;

use crate::access::{MicroKind, Objects, Txns};
use crate::causal::words::{self, Words};
use crate::graph::{Edge, Graph};
use crate::history::{History, Outcome};
use crate::limits::{Meter, Options};
use crate::registers::Registers;
use crate::verdict::{HistoryError, Reason, Refusal, Report, Verdict};
use search::{Found, Problem};

/// Judges registers with compare-and-set, by one or many keys.
///
/// # Errors
///
/// The history holds something else than reads, writes, compare-and-sets and transactions on registers.
pub fn sequential(history: &History, options: &Options) -> Result<Report, HistoryError> {
    let meter = Meter::start(options);
    let txns = Txns::read(history, Objects::Registers)?;
    let verdict = decide(history, &txns, &meter).unwrap_or_else(Verdict::Unknown);
    let mut report = Report::new(verdict);
    report.figures.push(("transactions", txns.len() as u64));
    report.figures.push(("reads and writes", txns.micro_count() as u64));
    report.figures.push(("keys", txns.keys.len() as u64));
    Ok(report)
}

const PROMISE: &str = "sequential consistency";

fn decide(history: &History, txns: &Txns, meter: &Meter) -> Result<Verdict, Reason> {
    let Ok(registers) = Registers::resolve(txns) else {
        return searched(history, txns, None, meter);
    };
    if let Some(flawed) = registers.flawed.first() {
        return Ok(Verdict::No(words::flaw(PROMISE, history, &registers, flawed)));
    }
    match saturate::saturate(&registers, meter)? {
        Ok(edges) => searched(history, txns, Some((&registers, edges)), meter),
        Err(cycle) => {
            let mut words = Words::new(history, &registers);
            words.steps(&cycle);
            let summary = "operations would have to precede each other in a circle";
            Ok(Verdict::No(words.refusal(PROMISE, "cycle", summary)))
        }
    }
}

/// Runs the search over what is known of the order.
fn searched(
    history: &History,
    txns: &Txns,
    known: Option<(&Registers, Vec<Edge>)>,
    meter: &Meter,
) -> Result<Verdict, Reason> {
    let refusals = (0..txns.len() as u32)
        .any(|txn| txns.micros(txn).iter().any(|micro| matches!(micro.kind, MicroKind::Not(_))));
    let (required, optional, edges) = match known {
        // What nobody read can only matter to a refused compare-and-set.
        Some((registers, mut edges)) => {
            let required = registers.present.clone();
            let unread = |txn: &crate::access::Txn| refusals && txn.outcome == Outcome::Unknown;
            let optional: Vec<bool> =
                txns.txns.iter().zip(&required).map(|(txn, is)| !is && unread(txn)).collect();
            let both = |node: usize| required[node] || optional[node];
            edges.extend(
                sessions(txns, both).into_iter().filter(|(_, to, _)| optional[*to as usize]),
            );
            (required, optional, edges)
        }
        None => {
            let is = |wanted: Outcome| {
                txns.txns.iter().map(|txn| txn.outcome == wanted).collect::<Vec<bool>>()
            };
            let (required, optional) = (is(Outcome::Ok), is(Outcome::Unknown));
            let edges = sessions(txns, |node| required[node] || optional[node]);
            (required, optional, edges)
        }
    };
    let order = Graph::new(txns.len(), &edges);
    let problem = Problem { txns, required: &required, optional: &optional, order: &order };
    match search::search(&problem, meter)? {
        Found::Order(_) => Ok(Verdict::Yes),
        Found::Stuck { placed, next } => Ok(Verdict::No(stuck(history, txns, placed, &next))),
    }
}

/// The order of each process.
fn sessions(txns: &Txns, takes_part: impl Fn(usize) -> bool) -> Vec<Edge> {
    let mut last: HashMap<i64, u32> = HashMap::new();
    let mut edges = Vec::new();
    for (node, txn) in txns.txns.iter().enumerate().filter(|(node, _)| takes_part(*node)) {
        if let Some(before) = last.insert(txn.process, node as u32) {
            edges.push((before, node as u32, 0));
        }
    }
    edges
}

/// The refusal of an exhausted search: where it came furthest.
pub(crate) fn stuck(history: &History, txns: &Txns, placed: usize, next: &[u32]) -> Refusal {
    let mut evidence =
        vec![format!("{placed} could be put in order; then none of these could be next:")];
    let mut events = Vec::new();
    for node in next.iter().filter(|node| (**node as usize) < txns.len()) {
        let record = &txns.txns[*node as usize];
        let start = record.start as usize;
        let event = history.events.get(record.end as usize).unwrap_or(&history.events[start]);
        let key = if event.key.is_nil() { String::new() } else { format!(" {}", event.key) };
        evidence.push(format!(
            "T{node} (process {}): {}{key} {}",
            record.process, event.f, event.value
        ));
        events.push(start);
    }
    Refusal {
        property: PROMISE.to_string(),
        summary: "no order of the operations explains every read".to_string(),
        evidence,
        events,
    }
}
