//! From a history to a report: parts, cores, limits.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::page::{self, Subject};
use super::search::{Bounds, Outcome, Search, Stop};
use super::shrink::shrink;
use super::spec::{Object, Part};
use super::tell;
use crate::history::{History, Operation};
use crate::limits::{Meter, Options};
use crate::verdict::{HistoryError, Reason, Refusal, Report, Verdict};

/// From this many operations on, parts are judged on several threads; below, starting them costs more than it saves.
const OPERATIONS_PER_THREAD: usize = 2_000;

/// Configurations per part in the first round. One part that is hard must not keep the judge from another that is
/// easily refused; and the first refused part must not depend on which thread was faster.
const STEPS_FIRST: u64 = 20_000;

/// The longest time to look for a small reason of a refusal.
const EXPLAIN: Duration = Duration::from_secs(5);

/// What became of a part.
#[derive(Clone, Debug)]
enum Ruling {
    Linearizable,
    Refused,
    /// Not decided in the steps of the first round.
    Postponed,
    Undecided(Reason),
}

/// Judges a history of one kind of object.
///
/// # Errors
///
/// At the event that no such object has, or where the history's events do not pair.
pub fn judge<S: Object>(history: &History, options: &Options) -> Result<Report, HistoryError> {
    let meter = Meter::start(options);
    let operations = history.operations()?;
    let mut parts = S::read(history, &operations)?;
    for part in &mut parts {
        part.spec.learn(&part.items);
    }
    let count: usize = parts.iter().map(|part| part.items.len()).sum();
    options.gauge.start(count as u64);
    let court = Court { parts: &parts, meter, options, configurations: AtomicUsize::new(0) };
    let rulings = court.rule(count);
    let (verdict, page) = court.verdict(&rulings, history, &operations);
    let figures = vec![
        ("operations", count as u64),
        ("parts", parts.len() as u64),
        ("configurations", court.configurations.load(Ordering::Relaxed) as u64),
    ];
    Ok(Report { verdict, figures, page })
}

struct Court<'a, S: Object> {
    parts: &'a [Part<S>],
    meter: Meter,
    options: &'a Options,
    configurations: AtomicUsize,
}

impl<S: Object> Court<'_, S> {
    /// Rules on the parts, in two rounds. Some rulings may be missing where one is refused.
    fn rule(&self, count: usize) -> Vec<Ruling> {
        let mut rulings = vec![Ruling::Postponed; self.parts.len()];
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(self.parts.len()).min(count / OPERATIONS_PER_THREAD).max(1);
        for steps in [STEPS_FIRST, u64::MAX] {
            self.round(&mut rulings, threads, steps);
            if rulings.iter().any(|ruling| matches!(ruling, Ruling::Refused)) {
                break;
            }
        }
        rulings
    }

    /// Rules on what is postponed, in order, up to the first refused part.
    fn round(&self, rulings: &mut Vec<Ruling>, threads: usize, steps: u64) {
        let is_postponed = |ruling: &Ruling| matches!(ruling, Ruling::Postponed);
        let open: Vec<usize> =
            (0..rulings.len()).filter(|place| is_postponed(&rulings[*place])).collect();
        let shared = Mutex::new(rulings);
        let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let work = || {
            while let Some(place) = open.get(next.fetch_add(1, Ordering::Relaxed)) {
                if *place > refused.load(Ordering::Relaxed) {
                    return;
                }
                let ruling = self.decide(&self.parts[*place], threads, steps);
                if matches!(ruling, Ruling::Refused) {
                    refused.fetch_min(*place, Ordering::Relaxed);
                }
                shared.lock().expect("no judge panics with the lock")[*place] = ruling;
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
    }

    fn decide(&self, part: &Part<S>, share: usize, steps: u64) -> Ruling {
        let count = part.items.len() as u64;
        if let Some(is_linearizable) = part.spec.shortcut(&part.items) {
            self.options.gauge.add(count);
            return if is_linearizable { Ruling::Linearizable } else { Ruling::Refused };
        }
        let gauge = Some(&*self.options.gauge).filter(|_| steps == u64::MAX);
        let bounds = Bounds { meter: &self.meter, share, steps, gauge };
        let mut search = Search::new(&part.spec, &part.items, bounds);
        let outcome = search.run();
        if outcome != Outcome::Stopped(Stop::Steps) {
            self.options.gauge.add(count.saturating_sub(search.told() as u64));
        }
        self.configurations.fetch_add(search.configurations(), Ordering::Relaxed);
        match outcome {
            Outcome::Linearizable(_) => Ruling::Linearizable,
            Outcome::Impossible => Ruling::Refused,
            Outcome::Stopped(Stop::Limit(reason)) => Ruling::Undecided(reason),
            Outcome::Stopped(Stop::Steps) => Ruling::Postponed,
        }
    }

    /// One refused part refuses the history, also where others are undecided. With the verdict comes the page, if one
    /// was asked for.
    fn verdict(
        &self,
        rulings: &[Ruling],
        history: &History,
        operations: &[Operation],
    ) -> (Verdict, Option<String>) {
        let is_refused = |ruling: &Ruling| matches!(ruling, Ruling::Refused);
        if let Some(place) = rulings.iter().position(is_refused) {
            return self.refusal(&self.parts[place], history, operations);
        }
        let undecided = rulings.iter().enumerate().find_map(|(place, ruling)| match ruling {
            Ruling::Undecided(reason) => Some((place, reason.clone())),
            Ruling::Linearizable | Ruling::Refused => None,
            Ruling::Postponed => unreachable!("the second round postpones nothing"),
        });
        let largest = (0..self.parts.len()).max_by_key(|place| self.parts[*place].items.len());
        let place = undecided.as_ref().map(|(place, _)| *place).or(largest);
        let verdict = undecided.map_or(Verdict::Yes, |(_, reason)| Verdict::Unknown(reason));
        let page = place.filter(|_| self.options.page).map(|place| {
            let part = &self.parts[place];
            let (title, summary) = match &verdict {
                Verdict::Unknown(reason) => ("Undecided", format!("This part was {reason}.")),
                Verdict::Yes | Verdict::No(_) => {
                    let (parts, count) = (self.parts.len(), part.items.len());
                    let largest = format!("The largest of {parts} parts{}", about(part));
                    let which = if parts == 1 { "The whole".to_owned() } else { largest };
                    ("Linearizable", format!("{which}: {count} operations."))
                }
            };
            let (verdict, summary) = (title, summary.as_str());
            page::draw(&Subject { history, operations, part, core: &[], verdict, summary })
        });
        (verdict, page)
    }

    fn refusal(
        &self,
        part: &Part<S>,
        history: &History,
        operations: &[Operation],
    ) -> (Verdict, Option<String>) {
        let about = about(part);
        let property = "linearizability".to_owned();
        let count = part.items.len();
        if !self.options.explain {
            let summary =
                format!("{count} operations{about} have no order that explains their answers");
            let refusal = Refusal { property, summary, evidence: Vec::new(), events: Vec::new() };
            return (Verdict::No(refusal), None);
        }
        let limits = Options { time: Some(self.explain_time()), ..self.options.clone() };
        let (places, _) = shrink(&part.spec, &part.items, &Meter::start(&limits));
        let core: Vec<&Operation> =
            places.iter().map(|place| &operations[part.items[*place].operation]).collect();
        let few = match core.len() {
            1 => format!("1 operation{about} has no place"),
            few => format!("{few} operations{about} have no order"),
        };
        let others = match count - core.len() {
            0 => String::new(),
            1 => ", wherever the other one is put".to_owned(),
            others => format!(", wherever the other {others} are put"),
        };
        let summary = format!("{few} that explains the answers{others}");
        let page = self.options.page.then(|| {
            let (core, verdict) = (places.as_slice(), "Not linearizable");
            let summary = format!("{summary}.");
            page::draw(&Subject { history, operations, part, core, verdict, summary: &summary })
        });
        let evidence = core.iter().map(|operation| tell::line(history, operation)).collect();
        let events = core.iter().map(|operation| operation.start).collect();
        (Verdict::No(Refusal { property, summary, evidence, events }), page)
    }

    /// How long to look for a smaller reason.
    fn explain_time(&self) -> Duration {
        self.options.time.map_or(EXPLAIN, |limit| limit.min(EXPLAIN))
    }
}

fn about<S: Object>(part: &Part<S>) -> String {
    if part.key.is_nil() { String::new() } else { format!(" on key {}", part.key) }
}
