//! Watches: the judge against the guarantees as plain sentences, on many small histories.

use quorate_base::Dice;
use quorate_check::history::{Event, History, Kind, Value};
use quorate_check::limits::Options;
use quorate_check::verdict::Verdict;
use quorate_check::watch::watch;

/// An event of the log or of an answer.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    revision: i64,
    key: i64,
    /// `None`: a deletion.
    value: Option<i64>,
    created: i64,
    before: Option<(i64, i64)>,
}

/// What a watcher was told.
#[derive(Clone, Debug)]
enum Told {
    Events(Vec<Change>, bool),
    Progress(i64),
}

/// A watcher of the keys from `low` up to `high`.
#[derive(Clone, Debug)]
struct Watcher {
    low: i64,
    high: i64,
    start: i64,
    no_put: bool,
    no_delete: bool,
    told: Vec<Told>,
}

impl Watcher {
    fn wants(&self, change: &Change) -> bool {
        let filtered = if change.value.is_some() { self.no_put } else { self.no_delete };
        (self.low..self.high).contains(&change.key) && !filtered && change.revision >= self.start
    }
}

fn log(dice: &mut Dice) -> Vec<Change> {
    let mut state = std::collections::BTreeMap::<i64, (i64, i64, i64)>::new();
    let mut log = Vec::new();
    for revision in 2..3 + dice.below(7) as i64 {
        let mut keys: Vec<i64> = (0..4).filter(|_| dice.below(3) == 0).collect();
        if keys.is_empty() {
            keys.push(dice.below(4) as i64);
        }
        for key in keys {
            let old = state.get(&key).copied();
            let before = old.map(|(value, _, modified)| (value, modified));
            if old.is_some() && dice.below(3) == 0 {
                state.remove(&key);
                log.push(Change { revision, key, value: None, created: 0, before });
                continue;
            }
            let value = 100 * revision + key;
            let created = old.map_or(revision, |(_, created, _)| created);
            state.insert(key, (value, created, revision));
            log.push(Change { revision, key, value: Some(value), created, before });
        }
    }
    log
}

/// A watcher that is told everything as it should be.
fn watcher(dice: &mut Dice, log: &[Change]) -> Watcher {
    let low = dice.below(3) as i64;
    let mut watcher = Watcher {
        low,
        high: low + 1 + dice.below(3) as i64,
        start: 1 + dice.below(6) as i64,
        no_put: dice.below(6) == 0,
        no_delete: dice.below(6) == 0,
        told: Vec::new(),
    };
    let last = log.last().map_or(1, |change| change.revision);
    let mut response = Vec::new();
    for revision in watcher.start..=last {
        response.extend(log.iter().filter(|c| c.revision == revision && watcher.wants(c)).cloned());
        if dice.below(2) == 0 && !response.is_empty() {
            let rest = response.split_off(dice.below(response.len() as u64 + 1) as usize);
            if !response.is_empty() && !rest.is_empty() {
                watcher.told.push(Told::Events(response, true));
                response = Vec::new();
            }
            response.extend(rest);
            watcher.told.push(Told::Events(std::mem::take(&mut response), false));
        }
        if response.is_empty() && dice.below(4) == 0 {
            watcher.told.push(Told::Progress(revision));
        }
    }
    watcher
}

/// Breaks something, perhaps.
fn mutate(dice: &mut Dice, watcher: &mut Watcher) {
    if watcher.told.is_empty() {
        return;
    }
    let place = dice.below(watcher.told.len() as u64) as usize;
    let other = dice.below(watcher.told.len() as u64) as usize;
    match dice.below(6) {
        0 => watcher.told.swap(place, other),
        1 => watcher.told.insert(other, watcher.told[place].clone()),
        2 => drop(watcher.told.remove(place)),
        3 => watcher.told.insert(place, Told::Progress(1 + dice.below(8) as i64)),
        4 => watcher.low += 1,
        _ => {
            let Told::Events(events, fragment) = &mut watcher.told[place] else { return };
            let chosen = dice.below(events.len() as u64) as usize;
            match dice.below(6) {
                0 => drop(events.remove(chosen)),
                1 => events[chosen].created += 1,
                2 => events[chosen].before = Some((7, 7)),
                3 => events[chosen].before = None,
                4 => *fragment = !*fragment,
                _ => events.reverse(),
            }
            if events.is_empty() {
                watcher.told.remove(place);
            }
        }
    }
}

/// The guarantees as sentences about all pairs.
fn plain(log: &[Change], watcher: &Watcher) -> bool {
    let due: Vec<&Change> = log.iter().filter(|change| watcher.wants(change)).collect();
    let mut told: Vec<(usize, &Change)> = Vec::new();
    // Responses that are fragments of one count as one.
    let mut group = 0;
    let mut ends = Vec::new();
    for line in &watcher.told {
        match line {
            Told::Events(events, fragment) => {
                told.extend(events.iter().map(|event| (group, event)));
                if !fragment {
                    ends.push((told.len(), group));
                    group += 1;
                }
            }
            Told::Progress(revision) => {
                let had = |change: &&&Change| told.iter().any(|(_, event)| same(event, change));
                if due.iter().filter(|change| change.revision <= *revision).any(|c| !had(&c)) {
                    return false;
                }
                ends.push((told.len(), usize::MAX));
            }
        }
    }
    let content = told.iter().all(|(_, event)| due.contains(event));
    let pairs = (0..told.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    let ordered = pairs.clone().all(|(a, b)| told[a].1.revision <= told[b].1.revision);
    let unique = pairs.clone().all(|(a, b)| !same(told[a].1, told[b].1));
    let together = pairs
        .clone()
        .all(|(a, b)| told[a].1.revision != told[b].1.revision || told[a].0 == told[b].0);
    let complete = told.iter().all(|(group, event)| {
        due.iter().all(|change| {
            let had = told.iter().any(|(_, other)| same(other, change));
            let ended = ends.iter().any(|(_, ended)| ended == group);
            had || change.revision > event.revision || (change.revision == event.revision && !ended)
        })
    });
    content && ordered && unique && together && complete && bookmarks(watcher)
}

fn bookmarks(watcher: &Watcher) -> bool {
    let mut bookmark = 0;
    watcher.told.iter().all(|line| match line {
        Told::Progress(revision) => {
            bookmark = bookmark.max(*revision);
            true
        }
        Told::Events(events, _) => events.iter().all(|event| event.revision > bookmark),
    })
}

fn same(one: &Change, other: &Change) -> bool {
    (one.revision, one.key) == (other.revision, other.key)
}

fn map(entries: Vec<(&str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(k, v)| (Value::Str(k.into()), v)).collect())
}

fn text(text: &str) -> Value {
    Value::Str(text.into())
}

fn change(change: &Change, full: bool) -> Value {
    let mut entries = vec![
        ("type", text(if change.value.is_some() { "put" } else { "delete" })),
        ("key", text(&change.key.to_string())),
        ("value", change.value.map_or(Value::Nil, Value::Int)),
    ];
    if full {
        entries.push(("mod", Value::Int(change.revision)));
        entries.push(("create", Value::Int(change.created)));
        let before = change.before.map(|(value, modified)| {
            map(vec![("value", Value::Int(value)), ("mod", Value::Int(modified))])
        });
        entries.push(("prev", before.unwrap_or_default()));
    }
    map(entries)
}

fn history(log: &[Change], watcher: &Watcher) -> History {
    let mut events = Vec::new();
    let mut push = |process, f: &str, value| events.push(Event::new(process, Kind::Ok, f, value));
    for entries in log.chunk_by(|a, b| a.revision == b.revision) {
        let list = Value::List(entries.iter().map(|entry| change(entry, false)).collect());
        push(0, "log", map(vec![("rev", Value::Int(entries[0].revision)), ("events", list)]));
    }
    let mut filters = Vec::new();
    if watcher.no_put {
        filters.push(text("noput"));
    }
    if watcher.no_delete {
        filters.push(text("nodelete"));
    }
    let asked = vec![
        ("key", text(&watcher.low.to_string())),
        ("range_end", text(&watcher.high.to_string())),
        ("start", Value::Int(watcher.start)),
        ("rev", Value::Int(1)),
        ("prev_kv", Value::Bool(true)),
        ("filters", Value::List(filters)),
    ];
    push(1, "watch", map(asked));
    for line in &watcher.told {
        match line {
            Told::Events(told, fragment) => {
                let list = Value::List(told.iter().map(|event| change(event, true)).collect());
                push(
                    1,
                    "events",
                    map(vec![("events", list), ("fragment", Value::Bool(*fragment))]),
                );
            }
            Told::Progress(revision) => {
                push(1, "progress", map(vec![("rev", Value::Int(*revision))]))
            }
        }
    }
    History::new(events)
}

#[test]
fn agrees_with_plain_sentences() {
    let mut refused = std::collections::BTreeMap::new();
    for seed in 0..100_000u64 {
        let mut dice = Dice::new(seed);
        let log = log(&mut dice);
        let mut watcher = watcher(&mut dice, &log);
        let is_right = seed % 4 == 0;
        if !is_right {
            mutate(&mut dice, &mut watcher);
        }
        let expected = plain(&log, &watcher);
        assert!(expected || !is_right, "seed {seed}: {watcher:#?}");
        let history = history(&log, &watcher);
        let report = watch(&history, &Options::default()).expect("a history of watches");
        assert_eq!(
            report.verdict == Verdict::Yes,
            expected,
            "seed {seed}: {:?} on {log:?} {watcher:?}",
            report.verdict
        );
        if let Verdict::No(refusal) = report.verdict {
            *refused.entry(refusal.property).or_insert(0) += 1;
        }
    }
    let names = [
        "ordered",
        "unique",
        "reliable",
        "atomic",
        "resumable",
        "bookmarkable",
        "prev-kv",
        "is-create",
        "filter",
    ];
    for name in names {
        assert!(refused.get(name).is_some_and(|count| *count > 50), "{name}: {refused:?}");
    }
}
