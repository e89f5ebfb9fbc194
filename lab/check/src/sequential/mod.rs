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
use crate::causal::frame::{Extra, Frame, Order};
use crate::causal::search::order_edges;
use crate::causal::words::{self, Words};
use crate::graph::{Edge, Graph};
use crate::history::{History, Outcome};
use crate::limits::{Meter, Options};
use crate::registers::Registers;
use crate::verdict::{HistoryError, Reason, Refusal, Report, Verdict};
use search::{Blocked, Found, Problem, Why};

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
    let Ok(registers) = Registers::resolve(txns, meter) else {
        let verdict = searched(history, txns, None, usize::MAX, meter)?;
        return Ok(verdict.expect("it does not give up"));
    };
    if let Some(flawed) = registers.flawed.first() {
        return Ok(Verdict::No(words::flaw(PROMISE, history, &registers, flawed)));
    }
    // Most systems do better than they promise, and the order of invocations is nearly right: try that before thinking.
    if txns.len() > LARGE {
        let frame = Frame::new(&registers, Order::Causal);
        let simple = order_edges(&registers, &frame, &Extra::default());
        let known = Some((&registers, simple));
        if let Some(Verdict::Yes) = searched(history, txns, known, QUICK, meter)? {
            return Ok(Verdict::Yes);
        }
    }
    match saturate::saturate(&registers, meter)? {
        Ok(edges) => {
            let known = Some((&registers, edges));
            Ok(searched(history, txns, known, usize::MAX, meter)?.expect("it does not give up"))
        }
        Err(cycle) => {
            let mut words = Words::new(history, &registers);
            words.steps(&cycle);
            let summary = "operations would have to precede each other in a circle";
            Ok(Verdict::No(words.refusal(PROMISE, "cycle", summary)))
        }
    }
}

/// Transactions from which on the search is tried before saturation, and how many dead ends it may meet then.
const LARGE: usize = 5_000;
const QUICK: usize = 200;

/// Runs the search over what is known of the order. `None`: it gave up.
fn searched(
    history: &History,
    txns: &Txns,
    known: Option<(&Registers, Vec<Edge>)>,
    patience: usize,
    meter: &Meter,
) -> Result<Option<Verdict>, Reason> {
    let (required, optional, edges) = participants(txns, known);
    let order = Graph::new(txns.len(), &edges);
    let (required, optional) = (&required[..], &optional[..]);
    let problem = Problem { txns, required, optional, order: &order, patience };
    Ok(match search::search(&problem, meter)? {
        Found::Order(_) => Some(Verdict::Yes),
        Found::Stuck { placed, next } => Some(Verdict::No(stuck(history, txns, placed, &next))),
        Found::GaveUp => None,
    })
}

/// Who must be in the order, who may be, and what is known of it.
fn participants(
    txns: &Txns,
    known: Option<(&Registers, Vec<Edge>)>,
) -> (Vec<bool>, Vec<bool>, Vec<Edge>) {
    let Some((registers, mut edges)) = known else {
        let is = |wanted: Outcome| txns.txns.iter().map(|txn| txn.outcome == wanted).collect();
        let (required, optional): (Vec<bool>, Vec<bool>) = (is(Outcome::Ok), is(Outcome::Unknown));
        let edges = sessions(txns, |node| required[node] || optional[node]);
        return (required, optional, edges);
    };
    // What nobody read can only matter to a refused compare-and-set.
    let refusals = (0..txns.len() as u32)
        .any(|txn| txns.micros(txn).iter().any(|micro| matches!(micro.kind, MicroKind::Not(_))));
    let required = registers.present.clone();
    let optional: Vec<bool> = txns
        .txns
        .iter()
        .zip(&required)
        .map(|(txn, is)| !is && refusals && txn.outcome == Outcome::Unknown)
        .collect();
    let all = sessions(txns, |node| required[node] || optional[node]);
    edges.extend(all.into_iter().filter(|(_, to, _)| optional[*to as usize]));
    (required, optional, edges)
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
pub(crate) fn stuck(history: &History, txns: &Txns, placed: usize, next: &[Blocked]) -> Refusal {
    let mut evidence =
        vec![format!("the search came as far as {placed} steps; then nothing could be next:")];
    let mut events = Vec::new();
    for blocked in next {
        let record = &txns.txns[blocked.txn as usize];
        let start = record.start as usize;
        let event = history.events.get(record.end as usize).unwrap_or(&history.events[start]);
        let key = if event.key.is_nil() { String::new() } else { format!(" {}", event.key) };
        let place =
            if event.position.line == 0 { String::new() } else { format!(", {}", event.position) };
        let name = txns.keys.name(blocked.key);
        let name = if name.is_nil() { "the register".to_string() } else { name.to_string() };
        let now = txns.values.show(blocked.now);
        let why = match blocked.why {
            Why::Reads(value) => format!("{name} is {now}, not {}", txns.values.show(value)),
            Why::Refused => format!("{name} is {now}, so it would not have been refused"),
            Why::Replaces => format!("somebody still has to read {name} as {now}"),
            Why::Impossible => "it contradicts itself".to_string(),
        };
        let (node, process) = (blocked.txn, record.process);
        let (f, value) = (&event.f, &event.value);
        evidence.push(format!("T{node} (process {process}{place}): {f}{key} {value}: {why}"));
        events.push(start);
    }
    Refusal {
        property: PROMISE.to_string(),
        summary: "no order of the operations explains every read".to_string(),
        evidence,
        events,
    }
}
