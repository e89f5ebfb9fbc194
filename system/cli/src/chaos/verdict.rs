//! After the storm: what was acknowledged, what was seen and what is there must be one story.
//!
//! | judge | asks |
//! |---|---|
//! | linearizable | is there one order of all operations that agrees with real time and with the revisions told? |
//! | watches | was every watcher told everything, once, in order (the nine guarantees)? |
//! | kept | is everything acknowledged in the log, at the revision that was told, and nothing that nobody asked for? |
//! | agreed | do all members have the same log, the same state and the same hash? |
//! | members | where members came and went: did every change come to its end, and is the list of members what was asked for? |
//! | served | did the cluster go on whenever a quorum was well, and did nothing end or go back by itself? |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_check::history::{History, Kind, NEMESIS};
use quorate_check::limits::Options;
use quorate_check::model::find;
use quorate_check::verdict::Verdict;
use quorate_client::etcd::etcdserverpb::{HashKvRequest, RangeRequest};
use quorate_client::{Client, FROM_KEY};

use super::client::connect;
use super::journal::{Changes, Log, promised};
use super::watcher::read_log;
use crate::up::directory::MemberEntry;

/// How long a member may take for a page of its state.
const PATIENCE: Duration = Duration::from_secs(60);
/// Keys on a page.
const PAGE: i64 = 5_000;
/// How long a judge may think, and with how much memory.
const JUDGE_TIME: Duration = Duration::from_secs(600);
const JUDGE_BYTES: usize = 4 << 30;
/// Most sentences that one judge says.
const MOST_SAID: usize = 10;

/// What one judge says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// Nothing is wrong; what was looked at.
    Fine(String),
    /// The promise is broken, with the evidence.
    Broken(Vec<String>),
    /// It could not be decided.
    Unknown(String),
}

/// A judge and what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// Which judge.
    pub name: &'static str,
    /// What it says.
    pub finding: Finding,
}

impl Judged {
    /// Broken if there is a complaint.
    pub fn of(name: &'static str, mut complaints: Vec<String>, fine: String) -> Judged {
        let more = complaints.len().saturating_sub(MOST_SAID);
        complaints.truncate(MOST_SAID);
        if more > 0 {
            complaints.push(format!("and {more} more"));
        }
        let finding = match complaints.is_empty() {
            true => Finding::Fine(fine),
            false => Finding::Broken(complaints),
        };
        Judged { name, finding }
    }

    /// It could not be decided.
    pub fn unknown(name: &'static str, why: impl Into<String>) -> Judged {
        Judged { name, finding: Finding::Unknown(why.into()) }
    }
}

/// The exit code of all judges together: 1 if a promise is broken, 2 if that could not be decided, 0 if all is well.
pub fn code(judged: &[Judged]) -> u8 {
    let is = |wanted: fn(&Finding) -> bool| judged.iter().any(|judged| wanted(&judged.finding));
    match () {
        () if is(|finding| matches!(finding, Finding::Broken(_))) => 1,
        () if is(|finding| matches!(finding, Finding::Unknown(_))) => 2,
        () => 0,
    }
}

/// Asks one of the judges of `quorate check`.
pub fn judge(name: &'static str, model: &str, history: &History) -> Judged {
    let options =
        Options { time: Some(JUDGE_TIME), memory: Some(JUDGE_BYTES), ..Options::default() };
    let model = find(model).expect("a model of the registry");
    let report = match (model.check)(history, &options) {
        Ok(report) => report,
        Err(error) => return Judged::unknown(name, format!("no history to judge: {error}")),
    };
    match report.verdict {
        Verdict::Yes => {
            let figures = report.figures.iter().map(|(what, count)| format!("{count} {what}"));
            Judged::of(name, vec![], figures.collect::<Vec<_>>().join(", "))
        }
        Verdict::Unknown(reason) => Judged::unknown(name, reason.to_string()),
        Verdict::No(refusal) => {
            let mut said = vec![format!("{}: {}", refusal.property, refusal.summary)];
            said.extend(refusal.evidence);
            Judged::of(name, said, String::new())
        }
    }
}

/// Whether everything acknowledged is in the log, at its revision, and every change was asked for.
pub fn kept(history: &History, log: &Log, begin: i64, last: i64) -> Judged {
    let name = "kept";
    let operations = match history.operations() {
        Ok(operations) => operations,
        Err(error) => return Judged::unknown(name, error.to_string()),
    };
    let (mut complaints, mut claimed, mut writes) = (Vec::new(), BTreeSet::new(), 0);
    for operation in &operations {
        let (invoke, Some(end)) = (&history.events[operation.start], operation.end) else {
            continue;
        };
        let answer = &history.events[end];
        if answer.kind != Kind::Ok || answer.process == NEMESIS {
            continue;
        }
        let Some((revision, change)) = promised(invoke, answer) else { continue };
        writes += 1;
        if !claimed.insert(revision) {
            complaints.push(format!("revision {revision} was told twice"));
        }
        let (key, value) = &change;
        match log.get(&revision) {
            Some(changes) if changes.contains(&change) => {}
            Some(changes) => complaints.push(format!(
                "{key} = {value:?} was acknowledged at revision {revision}, where the log has {changes:?}"
            )),
            None => complaints.push(format!(
                "{key} = {value:?} was acknowledged at revision {revision} and is lost"
            )),
        }
    }
    for revision in (begin + 1..=last).filter(|revision| !claimed.contains(revision)) {
        complaints.push(match log.get(&revision) {
            Some(changes) => format!("nobody asked for {changes:?} at revision {revision}"),
            None => format!("revision {revision} is missing in the log"),
        });
    }
    Judged::of(name, complaints, format!("{writes} writes, each in the log once"))
}

/// Reads the log of changes from every member and compares them. The first complete one is given back, too.
pub async fn logs(members: &[MemberEntry], begin: i64, last: i64) -> (Option<Log>, Judged) {
    let name = "agreed";
    let mut first: Option<Log> = None;
    let mut complaints = Vec::new();
    for member in members {
        let log = match read_log(&member.client_url, begin + 1, last).await {
            Ok(log) => log,
            Err(why) => return (first, Judged::unknown(name, why)),
        };
        let Some(known) = &first else {
            first = Some(log);
            continue;
        };
        if let Some(revision) = difference(known, &log) {
            let (one, other) = (known.get(&revision), log.get(&revision));
            let (first, name) = (&members[0].name, &member.name);
            complaints
                .push(format!("{name} has {other:?} at revision {revision}, {first} has {one:?}"));
        }
    }
    let log = first.unwrap_or_default();
    let state = replay(&log);
    for member in members {
        match compare_state(&member.client_url, last, &state).await {
            Ok(None) => {}
            Ok(Some(complaint)) => complaints.push(format!("{}: {complaint}", member.name)),
            Err(why) => return (Some(log), Judged::unknown(name, why)),
        }
    }
    match hashes(members, last).await {
        Ok(hashes) if hashes.windows(2).all(|pair| pair[0] == pair[1]) => {}
        Ok(hashes) => complaints.push(format!("the members' hashes at {last} are {hashes:x?}")),
        Err(why) => return (Some(log), Judged::unknown(name, why)),
    }
    let fine = format!("{} members, {} revisions, {} keys", members.len(), log.len(), state.len());
    let judged = Judged::of(name, complaints, fine);
    (Some(log), judged)
}

/// The first revision at which two logs differ.
fn difference(one: &Log, other: &Log) -> Option<i64> {
    let revisions: BTreeSet<&i64> = one.keys().chain(other.keys()).collect();
    revisions.into_iter().find(|revision| one.get(revision) != other.get(revision)).copied()
}

/// The state after all changes: value and revision by key.
fn replay(log: &Log) -> BTreeMap<String, (String, i64)> {
    let mut state = BTreeMap::new();
    let all = |(revision, changes): (&i64, &Changes)| {
        let revision = *revision;
        changes.clone().into_iter().map(move |change| (revision, change)).collect::<Vec<_>>()
    };
    for (revision, (key, value)) in log.iter().flat_map(all) {
        match value {
            Some(value) => drop(state.insert(key, (value, revision))),
            None => drop(state.remove(&key)),
        }
    }
    state
}

/// Compares what a member has at a revision with what its log says; tells the first difference. What was there before
/// the storm is not looked at.
async fn compare_state(
    endpoint: &str,
    last: i64,
    state: &BTreeMap<String, (String, i64)>,
) -> Result<Option<String>, String> {
    let client = connect(&[endpoint.to_owned()], PATIENCE)?;
    let there = state_of(&client, last).await?;
    for (key, (value, revision)) in state {
        match there.get(key) {
            Some(found) if *found == (value.clone(), *revision) => {}
            found => {
                let told = format!("{key} is {found:?}; by the log {value:?} of {revision}");
                return Ok(Some(told));
            }
        }
    }
    Ok(None)
}

async fn state_of(client: &Client, at: i64) -> Result<BTreeMap<String, (String, i64)>, String> {
    let (mut state, mut from) = (BTreeMap::new(), FROM_KEY);
    loop {
        let request = RangeRequest {
            key: from.clone(),
            range_end: FROM_KEY,
            limit: PAGE,
            revision: at,
            ..RangeRequest::default()
        };
        let page = client.range(request).await.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for kv in &page.kvs {
            state.insert(text(&kv.key), (text(&kv.value), kv.mod_revision));
        }
        match page.kvs.last() {
            Some(last) if page.more => from = [&last.key[..], &[0]].concat().into(),
            Some(_) | None => return Ok(state),
        }
    }
}

async fn hashes(members: &[MemberEntry], revision: i64) -> Result<Vec<u32>, String> {
    let mut hashes = Vec::new();
    for member in members {
        let client = connect(std::slice::from_ref(&member.client_url), PATIENCE)?;
        let hash = client.hash_kv(HashKvRequest { revision }).await;
        hashes.push(hash.map_err(|error| error.to_string())?.hash);
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Journal, map, text};
    use super::*;
    use quorate_check::history::Value;

    /// Two acknowledged puts of a key.
    fn history() -> History {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(&directory.path().join("history"), 1).unwrap();
        for (revision, value) in [(2, "x"), (3, "y")] {
            let begun = journal.invoke(0, "put", text("a"), text(value));
            journal.answered(begun, map([("revision", Value::Int(revision))]));
        }
        journal.finish_all().unwrap().0
    }

    fn log(changes: &[(i64, &str)]) -> Log {
        let change = |(revision, value): &(i64, &str)| {
            (*revision, vec![("a".to_owned(), Some((*value).to_owned()))])
        };
        changes.iter().map(change).collect()
    }

    fn complaint(log: &Log, last: i64) -> String {
        match kept(&history(), log, 1, last).finding {
            Finding::Broken(said) => said.join("; "),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_acknowledged_must_be_in_the_log_and_nothing_else() {
        let right = log(&[(2, "x"), (3, "y")]);
        assert!(matches!(kept(&history(), &right, 1, 3).finding, Finding::Fine(_)));
        assert!(complaint(&log(&[(2, "x")]), 3).contains("is lost"));
        assert!(complaint(&log(&[(2, "x"), (3, "z")]), 3).contains("where the log has"));
        let more = log(&[(2, "x"), (3, "y"), (4, "x")]);
        assert!(complaint(&more, 4).contains("nobody asked for"));
        assert_eq!(difference(&right, &more), Some(4));
    }

    #[test]
    fn the_worst_finding_is_the_exit_code() {
        let fine = Judged::of("kept", vec![], "all".to_owned());
        let unknown = Judged::unknown("watches", "no time");
        let broken = Judged::of("agreed", vec!["no".to_owned(); 12], String::new());
        assert_eq!(code(std::slice::from_ref(&fine)), 0);
        assert_eq!(code(&[fine.clone(), unknown.clone()]), 2);
        assert_eq!(code(&[fine, unknown, broken.clone()]), 1);
        let Finding::Broken(said) = broken.finding else { panic!() };
        assert_eq!((said.len(), said[MOST_SAID].as_str()), (MOST_SAID + 1, "and 2 more"));
    }
}
