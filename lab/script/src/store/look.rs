//! Looking at a store: what it answers in words, and `expect`.

use super::{MEMORY, StoreStory};
use crate::Fallible;
use bytes::Bytes;
use goldenscript::{Argument, Command};
use quorate_store::{
    Answer, EngineRead, Fenced, KeyRange, KeyValue, Outcome, Range, RangeAnswer, StoreError, View,
};

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A pair: `a=1 (mod 3, create 2, version 2)`, with its lease when it has one.
fn pair(kv: &KeyValue) -> String {
    let KeyValue { key, value, create_revision, mod_revision, version, lease } = kv;
    let lease = if *lease == 0 { String::new() } else { format!(", lease {lease}") };
    let stands = format!("mod {mod_revision}, create {create_revision}, version {version}{lease}");
    format!("{}={} ({stands})", text(key), text(value))
}

fn pairs(list: &[KeyValue]) -> String {
    let words: Vec<String> = list.iter().map(pair).collect();
    words.join("; ")
}

/// A range's answer.
pub(super) fn range(answer: &RangeAnswer) -> String {
    let more = if answer.more { ", more" } else { "" };
    format!("[{}] count {}{more}", pairs(&answer.kvs), answer.count)
}

/// What a command came to.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok(done) => format!("revision {}{}", outcome.revision, answer(done)),
        Err(StoreError::Fenced(fenced)) => {
            let Fenced { guard, current, given } = &**fenced;
            let token =
                |token: &Option<i64>| token.map_or("none".into(), |token| token.to_string());
            let (prefix, lock) = (text(&guard.prefix), text(&guard.lock));
            format!(
                "fenced at revision {}: {prefix} needs token {} of {lock}, not {}",
                outcome.revision,
                token(current),
                token(given)
            )
        }
        Err(error) => format!("refused at revision {}: {error:?}", outcome.revision),
    }
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Range(found) => format!(", {}", range(found)),
        Answer::Put { prev: None } => String::new(),
        Answer::Put { prev: Some(prev) } => format!(", before {}", pair(prev)),
        Answer::Delete { deleted, prev } if prev.is_empty() => format!(", {deleted} deleted"),
        Answer::Delete { deleted, prev } => format!(", {deleted} deleted: {}", pairs(prev)),
        Answer::Txn { succeeded, answers } => {
            let branch = if *succeeded { "then" } else { "else" };
            let parts: Vec<String> = answers
                .iter()
                .map(|part| self::answer(part).trim_start_matches(", ").to_string())
                .collect();
            format!(", {branch} [{}]", parts.join("] ["))
        }
        Answer::Compact
        | Answer::LeaseRevoke
        | Answer::Guard
        | Answer::LeaseCheckpoint
        | Answer::Auth
        | Answer::Downgrade
        | Answer::AuditCheckpoint => String::new(),
        Answer::Authenticate { token, revision } => {
            let token = token.as_ref().map_or("no token".into(), text);
            format!(", {token} at auth revision {revision}")
        }
        Answer::LeaseGrant { id, ttl } => format!(", lease {id} for {ttl}s"),
        Answer::Alarm { alarms } => format!(", {} alarms", alarms.len()),
        Answer::Members(members) => format!(", {} members", members.len()),
    }
}

/// Where a store stands.
pub(super) fn position<V: EngineRead>(view: &View<V>) -> String {
    let (revision, compacted) = (view.revision(), view.compacted());
    let (applied, keys) = (view.applied().0, view.keys());
    format!("revision {revision}, compacted {compacted}, entry {applied}, {keys} keys")
}

/// Fails unless everything that the command names is so.
pub(super) fn check(story: &StoreStory, command: &Command) -> Fallible<String> {
    let mut wrong = Vec::new();
    for arg in &command.args {
        let Argument::KeyValue(key, want) = arg else {
            return Err("what is expected?".into());
        };
        let is = value(story, key)?;
        if is != *want {
            wrong.push(format!("{key} is {is}, not {want}"));
        }
    }
    match (command.args.is_empty(), wrong.is_empty()) {
        (true, _) => Err("what is expected?".into()),
        (false, true) => Ok("as expected".to_string()),
        (false, false) => Err(format!("{command}: {}", wrong.join("; ")).into()),
    }
}

fn value(story: &StoreStory, key: &str) -> Fallible<String> {
    let view = &story.view;
    if let Some((field, name)) = key.split_once('.') {
        return match field {
            "got" | "next" => {
                let watcher = story.watchers.get(name).ok_or("no such watcher")?;
                let next = watcher.cursor.next().to_string();
                Ok(if field == "got" { watcher.got.join(" ") } else { next })
            }
            "attached" => {
                let keys = view.lease_keys(name.parse()?).expect(MEMORY);
                Ok(keys.iter().map(text).collect::<Vec<_>>().join(" "))
            }
            _ => of_key(&all(story, KeyRange::single(name.as_bytes().to_vec())), field),
        };
    }
    Ok(match key {
        "answer" => story.answer.clone(),
        "rev" => view.revision().to_string(),
        "compacted" => view.compacted().to_string(),
        "applied" => view.applied().0.to_string(),
        "keys" => {
            let kvs = all(story, KeyRange::all());
            kvs.iter().map(|kv| text(&kv.key)).collect::<Vec<_>>().join(" ")
        }
        "guards" => {
            let guards = view.guards().iter();
            let words = guards.map(|(prefix, lock)| format!("{}:{}", text(prefix), text(lock)));
            words.collect::<Vec<_>>().join(" ")
        }
        "leases" => {
            let leases = view.leases().expect(MEMORY);
            leases.iter().map(|lease| lease.id.to_string()).collect::<Vec<_>>().join(" ")
        }
        _ => return Err(format!("a store has no `{key}`").into()),
    })
}

fn all(story: &StoreStory, range: KeyRange) -> Vec<KeyValue> {
    let asked = Range { range, ..Range::default() };
    story.view.range(&asked).expect("the newest revision can be read").kvs
}

fn of_key(found: &[KeyValue], field: &str) -> Fallible<String> {
    let Some(kv) = found.first() else { return Ok("none".to_string()) };
    Ok(match field {
        "value" => text(&kv.value),
        "version" => kv.version.to_string(),
        "create" => kv.create_revision.to_string(),
        "mod" => kv.mod_revision.to_string(),
        "lease" => kv.lease.to_string(),
        _ => return Err(format!("a key has no `{field}`").into()),
    })
}
