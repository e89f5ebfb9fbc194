//! What was found, and how a refusal is worded.

use crate::access::{MicroKind, NONE, Txns};
use crate::history::{History, Outcome};
use crate::txn::deps::{Dep, Slot};
use crate::txn::level::{Anomaly, Level};
use crate::verdict::Refusal;

/// Anomalies of one kind that are told in full; the others are counted.
const TOLD: usize = 4;

/// Evidence that is worked out only when it is told.
#[derive(Clone, Debug)]
pub(crate) enum Evidence {
    /// A sentence with the values, about these transactions.
    Sentence(String, Vec<u32>),
    /// A cycle: the transaction where it begins, and the steps that lead back to it.
    Cycle(u32, Vec<(Dep, Option<Slot>, u32)>),
}

/// An anomaly with its evidence.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub anomaly: Anomaly,
    pub evidence: Evidence,
}

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub list: Vec<Finding>,
    /// Anomalies by kind that were counted but not kept.
    pub more: Vec<(Anomaly, u64)>,
    /// Whether the search for the kinds of cycles stopped before it was complete.
    pub incomplete: bool,
    /// Which cycles were found in which component of the whole graph.
    cycles: Vec<(u32, Anomaly)>,
}

impl Findings {
    /// Keeps the evidence of the first few of a kind.
    pub(crate) fn add(&mut self, anomaly: Anomaly, evidence: impl FnOnce() -> Evidence) {
        let told = self.list.iter().filter(|finding| finding.anomaly == anomaly).count();
        if told < TOLD {
            self.list.push(Finding { anomaly, evidence: evidence() });
            return;
        }
        match self.more.iter_mut().find(|(kind, _)| *kind == anomaly) {
            Some((_, count)) => *count += 1,
            None => self.more.push((anomaly, 1)),
        }
    }

    /// Whether the component holds such a cycle, or one that needs less order beside the dependencies.
    pub(crate) fn cycle_known(&self, component: u32, anomaly: Anomaly) -> bool {
        self.cycles.iter().any(|(known, kind)| {
            *known == component && kind.same_shape(anomaly) && kind.scope() < anomaly.scope()
        })
    }

    /// Keeps a cycle of a component.
    pub(crate) fn cycle(
        &mut self,
        component: u32,
        anomaly: Anomaly,
        evidence: impl FnOnce() -> Evidence,
    ) {
        if !self.cycles.contains(&(component, anomaly)) {
            self.cycles.push((component, anomaly));
        }
        self.add(anomaly, evidence);
    }

    /// The kinds found, worst first.
    pub(crate) fn kinds(&self) -> Vec<Anomaly> {
        let mut kinds: Vec<_> = self.list.iter().map(|finding| finding.anomaly).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The refusal, if the level forbids anything that was found.
    pub(crate) fn refusal(&self, level: Level, history: &History, txns: &Txns) -> Option<Refusal> {
        let mut guilty: Vec<&Finding> =
            self.list.iter().filter(|finding| level.forbids(finding.anomaly)).collect();
        guilty.sort_by_key(|finding| finding.anomaly);
        if guilty.is_empty() {
            return None;
        }
        let words = Words { history, txns };
        let mut evidence = Vec::new();
        let mut events = Vec::new();
        for finding in &guilty {
            words.tell(finding, &mut evidence, &mut events);
        }
        for (anomaly, count) in &self.more {
            evidence.push(format!("{anomaly}: {count} more like this"));
        }
        let kinds = self.kinds();
        let ruled_out: Vec<_> = Level::ALL
            .into_iter()
            .filter(|level| kinds.iter().any(|anomaly| level.forbids(*anomaly)))
            .map(Level::name)
            .collect();
        evidence.push(format!("ruled out: {}", ruled_out.join(", ")));
        let all: Vec<_> = kinds.iter().map(Anomaly::to_string).collect();
        events.dedup();
        Some(Refusal { property: level.to_string(), summary: all.join(", "), evidence, events })
    }
}

struct Words<'a> {
    history: &'a History,
    txns: &'a Txns,
}

impl Words<'_> {
    fn tell(&self, finding: &Finding, lines: &mut Vec<String>, events: &mut Vec<usize>) {
        match &finding.evidence {
            Evidence::Sentence(sentence, txns) => {
                lines.push(format!("{}: {sentence}", finding.anomaly));
                for txn in txns {
                    lines.push(format!("  {}", self.whole(*txn)));
                    events.push(self.txns.txns[*txn as usize].start as usize);
                }
            }
            Evidence::Cycle(start, steps) => {
                lines.push(format!("{}: a cycle of {}", finding.anomaly, steps.len()));
                let mut from = *start;
                for (dep, slot, to) in steps {
                    lines.push(format!("  {}", self.step(from, *dep, *slot, *to)));
                    events.push(self.txns.txns[from as usize].start as usize);
                    from = *to;
                }
                for (_, _, txn) in steps {
                    lines.push(format!("  {}", self.whole(*txn)));
                }
            }
        }
    }

    /// A transaction with its micro-operations.
    fn whole(&self, txn: u32) -> String {
        let record = &self.txns.txns[txn as usize];
        let event = match record.end {
            end if end != NONE && record.outcome == Outcome::Ok => {
                &self.history.events[end as usize]
            }
            _ => &self.history.events[record.start as usize],
        };
        let outcome = match record.outcome {
            Outcome::Ok => "",
            Outcome::Fail => ", aborted",
            Outcome::Unknown => ", outcome unknown",
        };
        let (process, position) = (record.process, event.position);
        let place = if position.line == 0 { String::new() } else { format!(", {position}") };
        format!("T{txn} (process {process}{place}{outcome}): {}", event.value)
    }

    /// One step of a cycle in words.
    fn step(&self, from: u32, dep: Dep, slot: Option<Slot>, to: u32) -> String {
        let verb = self.verb(to, slot);
        let Some(slot) = slot else {
            return match dep {
                Dep::Process => {
                    let process = self.txns.txns[from as usize].process;
                    format!("T{from} came before T{to} in process {process}")
                }
                Dep::Realtime => format!("T{from} completed before T{to} was invoked"),
                Dep::Ww | Dep::Wr | Dep::Rw | Dep::Via | Dep::RwProcess | Dep::RwRealtime => {
                    format!("T{from} precedes T{to}")
                }
            };
        };
        let key = self.txns.keys.name(slot.key);
        let (value, before) =
            (self.txns.values.show(slot.value), self.txns.values.show(slot.before));
        match dep {
            Dep::Wr => format!(
                "T{to} read {value} of {key}, which T{from} {verb}",
                verb = self.verb(from, Some(slot))
            ),
            Dep::Ww => format!("T{to} {verb} {value} to {key} after {before} of T{from}"),
            Dep::Rw | Dep::Via => {
                format!(
                    "T{from} read {key} as {}, before T{to} {verb} {value}",
                    self.seen(from, slot.key)
                )
            }
            Dep::RwProcess => format!(
                "T{from} read {key} as {}, and T{to}, later in the process that wrote it, {verb} {value}",
                self.seen(from, slot.key)
            ),
            Dep::RwRealtime => format!(
                "T{from} read {key} as {}, and T{to}, after that was written, {verb} {value}",
                self.seen(from, slot.key)
            ),
            Dep::Process | Dep::Realtime => format!("T{from} precedes T{to}"),
        }
    }

    /// What a transaction first read of a key.
    fn seen(&self, txn: u32, key: u32) -> String {
        let micro = self.txns.micros(txn).iter().find(|micro| micro.key == key);
        match micro.map(|micro| micro.kind) {
            Some(MicroKind::Value(value)) => self.txns.values.show(value),
            Some(MicroKind::List(first, last)) => {
                let items: Vec<_> = self
                    .txns
                    .list((first, last))
                    .iter()
                    .map(|value| self.txns.values.show(*value))
                    .collect();
                format!("[{}]", items.join(" "))
            }
            Some(
                MicroKind::Append(_) | MicroKind::Write(_) | MicroKind::Not(_) | MicroKind::Unknown,
            )
            | None => "it was".to_string(),
        }
    }

    fn verb(&self, txn: u32, slot: Option<Slot>) -> &'static str {
        let key = slot.map_or(NONE, |slot| slot.key);
        let appends = |kind| matches!(kind, MicroKind::Append(_));
        let mut micros = self.txns.micros(txn).iter();
        if micros.any(|micro| micro.key == key && appends(micro.kind)) {
            "appended"
        } else {
            "wrote"
        }
    }
}
