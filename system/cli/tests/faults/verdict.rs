//! After the storm: what was acknowledged, what was seen and what is there must be one story.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, WRITERS};
use crate::links::{Linked, MEMBERS};
use crate::support::api::RangeRequest;
use crate::support::*;
use crate::watchers::Seen;
use crate::writers::{Written, log_key, register};

/// What the crowd brought home.
pub struct Evidence {
    /// By writer.
    pub written: Vec<Written>,
    /// How many linearizable reads were answered.
    pub linearizable: u64,
    /// How many serializable reads were answered.
    pub serializable: u64,
    /// By watcher.
    pub seen: Vec<Seen>,
    /// The revision at the end.
    pub last: i64,
}

/// Fails unless everything fits together.
pub async fn judge(linked: &Linked, history: &History, evidence: &Evidence) {
    tell(evidence);
    let changes = watched(history, evidence);
    let mut first = None;
    for member in 0..MEMBERS {
        let state = state_of(linked, member, evidence.last).await;
        acknowledged(&state, evidence, member);
        increments(&state, evidence);
        // What watchers saw, one change after the other, is what is there.
        let mut replayed = BTreeMap::new();
        for change in changes.values().flatten() {
            match (change.split_once('='), change.strip_prefix('-')) {
                (Some((key, value)), _) => drop(replayed.insert(key, value)),
                (None, Some(key)) => drop(replayed.remove(key)),
                (None, None) => panic!("no change: {change}"),
            }
        }
        let there = state.iter().map(|(key, pair)| (key.as_str(), pair.value.as_str()));
        assert!(there.eq(replayed), "n{} has another state than the watchers saw", member + 1);
        let hash = hash_of(linked, member, evidence.last).await;
        assert_eq!(*first.get_or_insert(hash), hash, "n{} has another hash", member + 1);
    }
}

fn tell(evidence: &Evidence) {
    let count = |count: fn(&Written) -> usize| evidence.written.iter().map(count).sum::<usize>();
    println!(
        "{} pairs acknowledged, {} refused, {} unknown; {} increments; {} linearizable and {} \
         serializable reads; {} revisions, watchers resumed {:?} times",
        count(|w| w.pairs.len()),
        count(|w| w.refused.len()),
        count(|w| w.unknown.len()),
        count(|w| w.increments.len()),
        evidence.linearizable,
        evidence.serializable,
        evidence.last,
        evidence.seen.iter().map(|seen| seen.resumed).collect::<Vec<_>>(),
    );
    assert!(evidence.linearizable > 0 && evidence.serializable > 0, "nobody read anything");
}

/// Every watcher saw every revision once; returns all changes up to the end.
fn watched(history: &History, evidence: &Evidence) -> BTreeMap<i64, Vec<String>> {
    for seen in &evidence.seen {
        assert!(seen.last >= evidence.last);
        assert_eq!(seen.revisions, seen.last - 1, "each revision after the first, once");
    }
    let mut changes = history.changes();
    // A write whose answer nobody waited for may have happened after the end was read.
    changes.split_off(&(evidence.last + 1));
    assert!(changes.keys().copied().eq(2..=evidence.last), "the changes have a gap");
    changes
}

/// One key at the end.
struct Pair {
    value: String,
    revision: i64,
    version: i64,
}

/// Everything that one member has at a revision, read through it, page by page.
async fn state_of(linked: &Linked, member: usize, revision: i64) -> BTreeMap<String, Pair> {
    let client = linked.cluster.client_of(member).await;
    let (mut state, mut from) = (BTreeMap::new(), vec![0]);
    loop {
        let page = RangeRequest { limit: 5000, revision, ..range(&from, [0]) };
        let answer = client.range(page).await.expect("a page");
        for kv in &answer.kvs {
            let pair =
                Pair { value: text(&kv.value), revision: kv.mod_revision, version: kv.version };
            state.insert(text(&kv.key), pair);
        }
        match answer.kvs.last() {
            Some(last) if answer.more => from = [&last.key[..], &[0]].concat(),
            Some(_) | None => return state,
        }
    }
}

async fn hash_of(linked: &Linked, member: usize, revision: i64) -> u32 {
    linked.cluster.client_of(member).await.hash_kv(revision).await.expect("a hash").hash
}

/// Every acknowledged pair is there, written once, at the revision that was told; no refused one
/// is, and none that nobody wrote.
fn acknowledged(state: &BTreeMap<String, Pair>, evidence: &Evidence, member: usize) {
    let mut revisions = BTreeSet::new();
    let mut possible = BTreeSet::new();
    for (writer, written) in evidence.written.iter().enumerate() {
        for &(number, revision) in &written.pairs {
            let key = log_key(writer, number);
            let pair = state.get(&key);
            let pair = pair.unwrap_or_else(|| {
                panic!("n{} lost {key}, acknowledged at revision {revision}", member + 1)
            });
            assert_eq!((pair.value.as_str(), pair.version), (number.to_string().as_str(), 1));
            assert_eq!(pair.revision, revision, "{key} is of another revision than was told");
            assert!(revisions.insert(revision), "revision {revision} was told twice");
            possible.insert(key);
        }
        assert!(written.pairs.is_sorted_by_key(|(_, revision)| *revision), "revisions went back");
        for number in &written.refused {
            assert!(!state.contains_key(&log_key(writer, *number)), "{number} was refused");
        }
        for number in &written.unknown {
            let key = log_key(writer, *number);
            assert!(state.get(&key).is_none_or(|pair| pair.version == 1), "{key} came twice");
            possible.insert(key);
        }
        let newest = written.pairs.last().map_or(0, |(_, revision)| *revision);
        assert!(state.get(&register(writer)).map_or(0, |pair| pair.revision) >= newest);
    }
    assert_eq!(evidence.written.len(), WRITERS);
    let logged = state.range("log/".to_owned().."log0".to_owned()).map(|(key, _)| key);
    let invented = logged.filter(|key| !possible.contains(*key)).collect::<Vec<_>>();
    assert!(invented.is_empty(), "nobody wrote {invented:?}");
}

/// No increment was lost, and none happened twice.
fn increments(state: &BTreeMap<String, Pair>, evidence: &Evidence) {
    let count = state.get("count").map_or(0, |pair| pair.value.parse::<u64>().expect("a count"));
    let sure = evidence.written.iter().map(|w| w.increments.len() as u64).sum::<u64>();
    let unknown = evidence.written.iter().map(|w| w.unknown_increments).sum::<u64>();
    assert!((sure..=sure + unknown).contains(&count), "{count}, of {sure} and {unknown} unknown");
}
