//! Histories made in memory: limits, sizes and hostile cases that files would be too large for.

use std::time::{Duration, Instant};

use quorate_check::history::{Event, History, Kind, Value};
use quorate_check::limits::Options;
use quorate_check::model::find;
use quorate_check::verdict::{Reason, Report, Verdict};

fn judge(model: &str, events: Vec<Event>, options: &Options) -> Report {
    let model = find(model).expect("the model is there");
    (model.check)(&History::new(events), options).expect("the history is one of this model")
}

/// Overlapping additions of powers of two, and a read of a sum that none of them make: as hard as subset sum.
fn subset_sum(count: i64) -> Vec<Event> {
    let mut events = Vec::new();
    for process in 0..count {
        events.push(Event::new(process, Kind::Invoke, "add", Value::Int(2 << process)));
    }
    events.push(Event::new(count, Kind::Invoke, "read", Value::Nil));
    events.push(Event::new(count, Kind::Ok, "read", Value::Int(1)));
    for process in 0..count {
        events.push(Event::new(process, Kind::Ok, "add", Value::Int(2 << process)));
    }
    events
}

#[test]
fn a_time_limit_ends_in_unknown() {
    let limit = Duration::from_millis(50);
    let options = Options { time: Some(limit), ..Options::default() };
    let started = Instant::now();
    let report = judge("counter", subset_sum(40), &options);
    assert_eq!(report.verdict, Verdict::Unknown(Reason::Time { limit }));
    assert!(started.elapsed() < Duration::from_secs(20), "it stopped long after its limit");
}

#[test]
fn a_memory_limit_ends_in_unknown() {
    let limit = 1 << 20;
    let options = Options { memory: Some(limit), time: None, ..Options::default() };
    let report = judge("counter", subset_sum(40), &options);
    assert_eq!(report.verdict, Verdict::Unknown(Reason::Memory { limit }));
}

#[test]
fn the_same_history_is_decided_when_it_is_small() {
    let report = judge("counter", subset_sum(10), &Options::default());
    assert!(matches!(report.verdict, Verdict::No(_)), "{report:?}");
}

/// A refused key beside one that is as hard as it gets: the refusal comes first.
#[test]
fn an_easy_refusal_does_not_wait_for_a_hard_part() {
    let mut events = subset_sum(40);
    for event in &mut events {
        event.key = Value::Str("hard".into());
    }
    for (kind, value) in [(Kind::Invoke, Value::Nil), (Kind::Ok, Value::Int(1))] {
        let key = Value::Str("easy".into());
        events.push(Event { key, ..Event::new(99, kind, "read", value) });
    }
    let report = judge("counter", events, &Options { time: None, ..Options::default() });
    let Verdict::No(refusal) = report.verdict else { panic!("{report:?}") };
    assert!(refusal.summary.contains("key \"easy\""), "{refusal:?}");
}

fn put(process: i64, kind: Kind, key: i64, value: Value) -> Event {
    Event { key: Value::Int(key), ..Event::new(process, kind, "put", value) }
}

/// A long history of a store with many writers, a thousand of whose puts have unknown outcomes.
#[test]
fn revisions_make_long_histories_linear() {
    let mut events = Vec::new();
    let revision =
        |revision: i64| Value::Map(vec![(Value::Keyword("revision".into()), Value::Int(revision))]);
    let mut now = 1;
    for round in 0..10_000 {
        for process in 0..5 {
            events.push(put(process, Kind::Invoke, process, Value::Int(round)));
        }
        for process in (0..5).rev() {
            now += 1;
            events.push(put(process, Kind::Ok, process, revision(now)));
        }
        if round % 10 == 0 {
            events.push(put(1_000 + round, Kind::Invoke, 7, Value::Int(round)));
        }
    }
    let started = Instant::now();
    let report = judge("etcd", events.clone(), &Options::default());
    assert_eq!(report.verdict, Verdict::Yes);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());

    // One answer that goes back is found as well.
    let last = events.iter_mut().rev().find(|event| event.kind == Kind::Ok);
    last.expect("there are answers").value = revision(17);
    let report = judge("etcd", events, &Options { explain: false, ..Options::default() });
    assert!(matches!(report.verdict, Verdict::No(_)), "{report:?}");
}

/// Two hundred writes of a few values whose outcome is unknown: no search through their subsets.
#[test]
fn unknown_operations_are_not_tried_in_all_orders() {
    let mut events = Vec::new();
    for process in 0..200 {
        events.push(Event::new(process, Kind::Invoke, "write", Value::Int(process % 5)));
        events.push(Event::new(process, Kind::Info, "write", Value::Nil));
    }
    for value in (0..50).map(|round| round % 5) {
        events.push(Event::new(999, Kind::Invoke, "read", Value::Nil));
        events.push(Event::new(999, Kind::Ok, "read", Value::Int(value)));
    }
    let report = judge("register", events.clone(), &Options::default());
    assert_eq!(report.verdict, Verdict::Yes);

    // There are forty of each value; a read of another value is impossible.
    events.push(Event::new(999, Kind::Invoke, "read", Value::Nil));
    events.push(Event::new(999, Kind::Ok, "read", Value::Int(5)));
    let report = judge("register", events, &Options::default());
    let Verdict::No(refusal) = report.verdict else { panic!("{report:?}") };
    assert_eq!(refusal.evidence.len(), 1, "{refusal:?}");
}

#[test]
fn an_empty_history_is_linearizable() {
    for model in ["register", "key-value", "counter", "lock", "fenced-lock", "etcd"] {
        let options = Options { page: true, ..Options::default() };
        assert_eq!(judge(model, Vec::new(), &options).verdict, Verdict::Yes);
    }
}
