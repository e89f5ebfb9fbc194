//! Whether this member is well, as probes ask for it.
//!
//! Two generations of questions. `/health` is one JSON object about leader, alarms and a read.
//! `/livez` and `/readyz` are lists of named checks with Kubernetes' text format: the first says
//! that restarting this process would not help, the second that clients should be sent here.

use crate::service::Service;
use quorate_host::stats::Counter;
use quorate_store::{AlarmKind, KeyRange, Range};
use std::sync::atomic::{AtomicBool, Ordering};

/// The answer to a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Whether all is well.
    pub is_well: bool,
    /// What is said.
    pub text: String,
}

/// One question that can be asked by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Check {
    /// This member's own state can be read.
    SerializableRead,
    /// A read through a leader comes back.
    LinearizableRead,
    /// It is no learner.
    NonLearner,
    /// No CORRUPT alarm is on.
    DataCorruption,
}

impl Check {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
            Check::DataCorruption => "data_corruption",
        }
    }

    async fn run(self, service: &Service) -> Result<(), String> {
        match self {
            Check::SerializableRead => read(service, true).await,
            Check::LinearizableRead => read(service, false).await,
            Check::NonLearner => match service.host.is_learner() {
                true => Err("this member is a learner: it does not vote yet".to_owned()),
                false => Ok(()),
            },
            Check::DataCorruption => match has_alarm(service, AlarmKind::Corrupt) {
                true => Err("alarm activated: CORRUPT".to_owned()),
                false => Ok(()),
            },
        }
    }
}

/// The lists of checks, by their path.
pub const PROBES: [(&str, &[Check]); 2] = [
    ("livez", &[Check::SerializableRead]),
    (
        "readyz",
        &[
            Check::SerializableRead,
            Check::LinearizableRead,
            Check::NonLearner,
            Check::DataCorruption,
        ],
    ),
];

/// What is counted about one check of one list.
#[derive(Default, Debug)]
pub struct CheckCounts {
    /// How often all was well.
    pub well: Counter,
    /// How often it was not.
    pub ill: Counter,
    /// How it was the last time.
    pub last: AtomicBool,
}

/// What is counted about probes.
#[derive(Debug)]
pub struct HealthCounts {
    /// `/health` answered well.
    pub well: Counter,
    /// `/health` answered ill.
    pub ill: Counter,
    /// By list and check, in the order of [`PROBES`].
    pub checks: Vec<Vec<CheckCounts>>,
}

impl Default for HealthCounts {
    fn default() -> HealthCounts {
        let of = |(_, checks): &(&str, &[Check])| {
            checks.iter().map(|_| CheckCounts::default()).collect::<Vec<_>>()
        };
        HealthCounts {
            well: Counter::default(),
            ill: Counter::default(),
            checks: PROBES.iter().map(of).collect(),
        }
    }
}

/// The values of a key in a query; there may be several.
fn values<'a>(query: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(move |(name, _)| *name == key).map(|(_, value)| value)
}

/// `/health`.
pub async fn whole(service: &Service, counts: &HealthCounts, query: &str) -> Answer {
    let excluded: Vec<&str> = values(query, "exclude").collect();
    let serializable = values(query, "serializable").any(|value| value == "true");
    let reason = ill(service, &excluded, serializable).await;
    let counter = if reason.is_none() { &counts.well } else { &counts.ill };
    counter.count();
    match reason {
        None => Answer { is_well: true, text: r#"{"health":"true","reason":""}"#.to_owned() },
        Some(reason) => {
            let said = serde_json::json!({ "health": "false", "reason": reason });
            Answer { is_well: false, text: format!("{said}\n") }
        }
    }
}

/// Why this member is not well.
async fn ill(service: &Service, excluded: &[&str], serializable: bool) -> Option<String> {
    for (kind, name) in [(AlarmKind::NoSpace, "NOSPACE"), (AlarmKind::Corrupt, "CORRUPT")] {
        if !excluded.contains(&name) && has_alarm(service, kind) {
            return Some(format!("ALARM {name}"));
        }
    }
    if !serializable && service.host.status().leader.is_none() {
        return Some("RAFT NO LEADER".to_owned());
    }
    read(service, serializable).await.err().map(|error| format!("QGET ERROR:{error}"))
}

fn has_alarm(service: &Service, kind: AlarmKind) -> bool {
    service.view().alarms().iter().any(|alarm| alarm.kind == kind)
}

/// Reads one key, whichever comes first; that there is none is no failure.
async fn read(service: &Service, serializable: bool) -> Result<(), String> {
    let view = match serializable {
        true => service.view(),
        false => service.linearizable().await.map_err(|status| status.message().to_owned())?,
    };
    let zero = bytes::Bytes::from_static(b"\0");
    let range = KeyRange { key: zero.clone(), end: zero };
    let range = Range { range, limit: 1, keys_only: true, ..Range::default() };
    view.range(&range).map(drop).map_err(|error| crate::kv::unreadable(error).message().to_owned())
}

/// `/livez`, `/readyz`, or one of their checks, such as `/readyz/linearizable_read`. `None` when
/// there is no such page.
pub async fn probe(
    service: &Service,
    counts: &HealthCounts,
    path: &str,
    query: &str,
) -> Option<Answer> {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let list = parts.next().unwrap_or_default();
    let one = parts.next();
    let number = PROBES.iter().position(|(name, _)| *name == list)?;
    let (_, checks) = PROBES[number];
    if let Some(one) = one {
        checks.iter().find(|check| check.name() == one)?;
    }
    let excluded: Vec<&str> = values(query, "exclude").collect();
    let (mut text, mut is_well) = (String::new(), true);
    for (check, counts) in checks.iter().zip(&counts.checks[number]) {
        let name = check.name();
        let is_asked = match one {
            Some(one) => one == name,
            None => !excluded.contains(&name),
        };
        if !is_asked {
            continue;
        }
        let outcome = check.run(service).await;
        counts.last.store(outcome.is_ok(), Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                counts.well.count();
                text.push_str(&format!("[+]{name} ok\n"));
            }
            Err(why) => {
                counts.ill.count();
                is_well = false;
                text.push_str(&format!("[-]{name} failed: {why}\n"));
            }
        }
    }
    if is_well {
        if values(query, "verbose").next().is_none() {
            text.clear();
        }
        text.push_str("ok\n");
    } else {
        text.push('\n');
    }
    Some(Answer { is_well, text })
}
