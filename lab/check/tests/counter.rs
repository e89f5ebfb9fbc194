//! Bounds of counters against every subset of changes, and convergence of replicas.

use quorate_base::Dice;
use quorate_check::converge::convergence;
use quorate_check::counter::{counter_bounds, counter_eventual};
use quorate_check::history::{Event, History, Kind, Outcome, Value};
use quorate_check::limits::Options;
use quorate_check::read;
use quorate_check::verdict::Verdict;

/// Changes and reads that overlap; what is read is near the truth.
fn history(dice: &mut Dice) -> History {
    let mut names: Vec<i64> = (0..3).collect();
    let mut open: Vec<Option<(Event, i64)>> = vec![None; 3];
    let mut events = Vec::new();
    let mut now = 0;
    for _ in 0..4 + dice.below(16) {
        let slot = dice.below(3) as usize;
        let Some((mut answer, change)) = open[slot].take() else {
            let change = dice.below(7) as i64 - 3;
            let f = if dice.below(2) == 0 || change == 0 { "read" } else { "add" };
            let asked = if f == "add" { Value::Int(change) } else { Value::Nil };
            let event = Event::new(names[slot], Kind::Invoke, f, asked);
            events.push(event.clone());
            open[slot] = Some((event, change));
            continue;
        };
        answer.kind =
            [Kind::Ok, Kind::Ok, Kind::Ok, Kind::Fail, Kind::Info][dice.below(5) as usize];
        if &*answer.f == "read" {
            let lie = if dice.below(3) == 0 { dice.below(9) as i64 - 4 } else { 0 };
            answer.value = Value::Int(now + lie);
        } else if answer.kind == Kind::Ok || answer.kind == Kind::Info && dice.below(2) == 0 {
            now += change;
        }
        if answer.kind == Kind::Info {
            names[slot] += 10;
        }
        events.push(answer);
    }
    History::new(events)
}

/// The least and the greatest sum over all subsets of the changes that may be in.
fn plain(history: &History, strict: bool) -> bool {
    let operations = history.operations().expect("well-formed");
    let change = |event: &Event| event.value.as_int().filter(|_| &*event.f == "add");
    operations.iter().all(|read| {
        let (Some(end), Outcome::Ok) = (read.end, read.outcome) else { return true };
        if &*history.events[read.start].f != "read" {
            return true;
        }
        let number = history.events[end].value.as_int().expect("a number");
        let mut sums = vec![0];
        for other in operations.iter().filter(|other| other.outcome != Outcome::Fail) {
            let Some(change) = change(&history.events[other.start]) else { continue };
            let more: Vec<i64> = sums.iter().map(|sum| sum + change).collect();
            if strict && other.precedes(read) {
                sums = more;
            } else if other.start < end {
                sums.extend(more);
            }
        }
        let (least, most) = (sums.iter().min().expect("one"), sums.iter().max().expect("one"));
        (*least..=*most).contains(&number)
    })
}

#[test]
fn bounds_agree_with_all_subsets() {
    let mut refused = [0, 0];
    for seed in 0..100_000 {
        let history = history(&mut Dice::new(seed));
        let options = Options::default();
        let strict = counter_bounds(&history, &options).expect("a counter").verdict;
        let eventual = counter_eventual(&history, &options).expect("a counter").verdict;
        assert_eq!(strict == Verdict::Yes, plain(&history, true), "seed {seed}: {strict:?}");
        assert_eq!(eventual == Verdict::Yes, plain(&history, false), "seed {seed}: {eventual:?}");
        refused[0] += u32::from(strict != Verdict::Yes);
        refused[1] += u32::from(eventual != Verdict::Yes);
    }
    assert!(refused[1] > 1_000 && refused[0] > refused[1] && refused[0] < 90_000, "{refused:?}");
}

fn broken(lines: &str) -> Option<String> {
    let history = read::read(lines, None).expect("lines");
    match convergence(&history, &Options::default()).expect("reports").verdict {
        Verdict::Yes => None,
        Verdict::No(refusal) => Some(refusal.property),
        Verdict::Unknown(reason) => panic!("{reason}"),
    }
}

fn state(replica: u32, applied: u32, hash: &str) -> String {
    format!(
        "{{\"process\":{replica},\"type\":\"ok\",\"f\":\"state\",\"value\":{{\"applied\":{applied},\"hash\":\"{hash}\"}}}}\n"
    )
}

fn word(replica: u32, f: &str) -> String {
    format!("{{\"process\":{replica},\"type\":\"ok\",\"f\":\"{f}\",\"value\":null}}\n")
}

#[test]
fn replicas_with_equal_indices_have_equal_states() {
    let same =
        [state(1, 5, "aa"), state(2, 5, "aa"), state(2, 9, "bb"), state(1, 9, "bb")].concat();
    assert_eq!(broken(&same), None);
    assert_eq!(broken(&(same.clone() + &state(3, 5, "ab"))).as_deref(), Some("equal states"));
    assert_eq!(
        broken(&(same.clone() + &state(1, 5, "aa"))).as_deref(),
        Some("applied index goes up")
    );
    assert_eq!(broken(&(same.clone() + &word(1, "restart") + &state(1, 5, "aa"))), None);
    assert_eq!(broken(&(same.clone() + &word(0, "settled"))), None);
    let ahead = same + &state(1, 10, "cc") + &word(0, "settled");
    assert_eq!(broken(&ahead).as_deref(), Some("convergence"));
}

#[test]
fn replicas_that_do_not_say_what_they_applied_need_only_settle_alike() {
    let said = |replica: u32, value: &str| {
        format!("{{\"process\":{replica},\"type\":\"ok\",\"f\":\"state\",\"value\":{value}}}\n")
    };
    let silent = |replica: u32, hash: &str| said(replica, &format!("{{\"hash\":\"{hash}\"}}"));
    let nil = |replica: u32, hash: &str| {
        said(replica, &format!("{{\"applied\":null,\"hash\":\"{hash}\"}}"))
    };
    let apart = [silent(1, "aa"), nil(1, "bb"), silent(2, "cc"), nil(2, "bb")].concat();
    assert_eq!(broken(&(apart.clone() + &word(0, "settled"))), None);
    let stays = apart + &nil(2, "dd") + &word(0, "settled");
    assert_eq!(broken(&stays).as_deref(), Some("convergence"));
}

#[test]
fn version_vectors_are_equal_in_any_order() {
    let one = state(1, 5, "aa").replace('5', "{\"a\":1,\"b\":2}");
    let other = |hash: &str| state(2, 5, hash).replace('5', "{\"b\":2,\"a\":1}");
    assert_eq!(broken(&(one.clone() + &other("aa") + &word(0, "settled"))), None);
    assert_eq!(broken(&(one + &other("bb"))).as_deref(), Some("equal states"));
}
