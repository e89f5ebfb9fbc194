//! Small histories with known verdicts: the table in `histories/README.md` is the test.

use std::path::Path;
use std::time::Duration;

use quorate_check::history::{Event, History, Kind, Value};
use quorate_check::limits::Options;
use quorate_check::model::find;
use quorate_check::read::{self, Format};
use quorate_check::txn::level::Level;
use quorate_check::verdict::{Reason, Report, Verdict};

/// The table below this heading has the columns file, model, level, verdict, reason.
const HEADING: &str = "## Transactions, causality, watches, counters";

#[test]
fn verdicts_are_those_of_the_table() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let table = std::fs::read_to_string(home.join("README.md")).expect("the table");
    let (_, table) = table.split_once(HEADING).expect("the heading");
    let mut count = 0;
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [file, model, level, verdict, reason, ..] = cells[..] else { panic!("{line}") };
        if file == "file" {
            continue;
        }
        count += 1;
        let text = std::fs::read_to_string(home.join(file)).expect(file);
        let history = read::read(&text, None).expect(file);
        let mut options = Options::default();
        if !level.is_empty() {
            options.level = level.parse::<Level>().expect(line);
        }
        let report = (find(model).expect(line).check)(&history, &options).expect(file);
        let (word, told) = words(&report);
        assert_eq!(word, verdict, "{line}: {told}");
        assert!(told.contains(reason), "{line}: {told}");
    }
    assert!(count >= 80, "{count} rows");
}

fn words(report: &Report) -> (&'static str, String) {
    match &report.verdict {
        Verdict::Yes => ("yes", String::new()),
        Verdict::No(refusal) => {
            assert!(!refusal.evidence.is_empty(), "a refusal has evidence");
            ("no", format!("{}: {}", refusal.property, refusal.summary))
        }
        Verdict::Unknown(reason) => ("unknown", reason.to_string()),
    }
}

/// A format without real time cannot be held against it: what would be judged is an order that the reader made up.
#[test]
fn a_history_without_real_time_is_not_judged_by_it() {
    let text = "w 1 1\n=====\nr 1 1\n";
    let history = read::read(text, Some(Format::Awdit)).expect("two sessions");
    assert!(history.timeless);
    let judge = |level| {
        let options = Options { level, ..Options::default() };
        (find("rw-register").expect("there").check)(&history, &options)
    };
    for level in [Level::StrictSerializable, Level::StrongSnapshotIsolation] {
        let refused = judge(level).expect_err("no real time").to_string();
        assert!(
            refused.contains("knows no real time") && refused.contains(level.name()),
            "{refused}"
        );
    }
    assert_eq!(judge(Level::StrongSessionSerializable).expect("judged").verdict, Verdict::Yes);
}

/// Where a text stops being of its format.
#[test]
fn sessions_without_form_are_refused_where_they_end() {
    let cases = [
        (Format::Awdit, "w 1 1\nr 1 x\n", "2:5"),
        (Format::Awdit, "w 1 1\n-----\nq 1 1", "3:1"),
        (Format::Awdit, "w 1 1 1", "1:7"),
        (Format::Awdit, "w 1 99999999999999999999", "1:5"),
        (Format::Plume, "w(1,1,0,0)\nr(1,1,0", "2:8"),
        (Format::Plume, "w(1,1;0,0)", "1:6"),
        (Format::Dbcop, "[[{\"events\":[{\"Write\":{\"variable\":0}}]}]]", "1:1"),
        (Format::Dbcop, "[[{\"events\":[]}]] []", "1:19"),
    ];
    for (format, text, place) in cases {
        let error = read::read(text, Some(format)).expect_err(text);
        assert_eq!(error.position.to_string(), place, "{text:?}: {error}");
    }
}

/// A judge that may not take its time says so instead of guessing.
#[test]
fn limits_are_kept() {
    let mut events = Vec::new();
    for number in 0..20_000i64 {
        let mut event = Event::new(number % 50, Kind::Invoke, "write", Value::Int(number));
        event.key = Value::Int(number % 7);
        events.push(event.clone());
        events.push(Event { kind: Kind::Ok, ..event });
        let mut read = Event::new(number * 7 % 50, Kind::Invoke, "read", Value::Nil);
        read.key = Value::Int(number % 7);
        events.push(read.clone());
        events.push(Event { kind: Kind::Ok, value: Value::Int(number), ..read });
    }
    let history = History::new(events);
    let options = Options { memory: Some(1_000), ..Options::default() };
    for name in ["causal", "causal-convergence", "causal-memory", "monotonic-writes"] {
        let report = (find(name).expect(name).check)(&history, &options).expect(name);
        let memory = Reason::Memory { limit: 1_000 };
        assert_eq!(report.verdict, Verdict::Unknown(memory), "{name}");
        let report = (find(name).expect(name).check)(&history, &Options::default()).expect(name);
        assert_eq!(report.verdict, Verdict::Yes, "{name}");
    }
    let options = Options { time: Some(Duration::ZERO), ..Options::default() };
    for name in ["causal", "sequential", "rw-register"] {
        let report = (find(name).expect(name).check)(&history, &options).expect(name);
        let time = Reason::Time { limit: Duration::ZERO };
        assert_eq!(report.verdict, Verdict::Unknown(time), "{name}");
    }
}

/// Few nodes and many sessions: the clocks take sixteen megabytes before the limit is looked at by the number of nodes.
#[test]
fn a_memory_limit_is_kept_where_clocks_are_long() {
    let mut events = Vec::new();
    let sessions = 2_000i64;
    for process in 0..sessions {
        events.push(Event::new(process, Kind::Invoke, "write", Value::Int(process)));
    }
    for process in 0..sessions {
        events.push(Event::new(process, Kind::Ok, "write", Value::Int(process)));
    }
    for process in 0..sessions {
        events.push(Event::new(process, Kind::Invoke, "read", Value::Nil));
        events.push(Event::new(process, Kind::Ok, "read", Value::Int((process + 1) % sessions)));
    }
    let limit = 6 << 20;
    let options = Options { memory: Some(limit), ..Options::default() };
    let report = (find("causal").expect("it is there").check)(&History::new(events), &options);
    let report = report.expect("a history of registers");
    assert_eq!(report.verdict, Verdict::Unknown(Reason::Memory { limit }));
}

/// Readers of the initial value and blind writes, as many of each: one helper node stands between them, and finding
/// out who is both must not take all pairs.
#[test]
fn many_readers_and_many_writers_of_a_key_are_no_matter() {
    let mut events = Vec::new();
    let count = 200_000i64;
    let micro = |f: &str, value: Value| {
        Value::List(vec![Value::List(vec![Value::Keyword(f.into()), Value::Int(1), value])])
    };
    let add = |events: &mut Vec<Event>, kind, process, f: &str, value| {
        events.push(Event::new(process, kind, "txn", micro(f, value)));
    };
    for process in 1..=count {
        add(&mut events, Kind::Invoke, process, "r", Value::Nil);
    }
    for number in 1..=count {
        for kind in [Kind::Invoke, Kind::Ok] {
            add(&mut events, kind, 0, "w", Value::Int(number));
        }
    }
    for process in 1..=count {
        add(&mut events, Kind::Ok, process, "r", Value::Nil);
    }
    let started = std::time::Instant::now();
    let judge = find("rw-register").expect("it is there");
    let report = (judge.check)(&History::new(events), &Options::default()).expect("registers");
    assert_eq!(report.verdict, Verdict::Yes);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// What one transaction did is looked through for each of its accesses: with a hundred thousand of them that takes a
/// while, in which the clock is looked at.
#[test]
fn a_time_limit_is_kept_inside_of_one_transaction() {
    let count = 200_000;
    let options = Options { time: Some(Duration::from_millis(100)), ..Options::default() };
    let read = Value::List(Vec::new());
    for (model, f, value) in [("list-append", "r", read), ("rw-register", "r", Value::Nil)] {
        let micros = |value: Value| {
            let micro = Value::List(vec![Value::Keyword(f.into()), Value::Int(1), value]);
            Value::List(vec![micro; count])
        };
        let invoke = Event::new(0, Kind::Invoke, "txn", micros(Value::Nil));
        let ok = Event::new(0, Kind::Ok, "txn", micros(value));
        let started = std::time::Instant::now();
        let history = History::new(vec![invoke, ok]);
        let report = (find(model).expect(model).check)(&history, &options).expect(model);
        assert!(matches!(report.verdict, Verdict::Unknown(Reason::Time { .. })), "{report:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
