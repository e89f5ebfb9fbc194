//! Replays: the same world tells the same story, in the same words.

use super::{CALM, play};
use quorate_hunt::clocks::reaches;
use quorate_hunt::shiviz;
use quorate_hunt::story::{self, Filter, KINDS};
use quorate_sim::trace::What;
use std::path::Path;
use std::time::Duration;

/// Lines of the golden story: an election and the first entries.
const LINES: usize = 40;

#[test]
fn the_story_of_a_small_world_is_as_written_down() {
    let film = play(CALM);
    let lines: Vec<String> = film.events.iter().take(LINES).map(story::line).collect();
    let told = lines.join("\n") + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/replay.txt");
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&file, &told).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    assert_eq!(told, golden, "set UPDATE_GOLDENFILES=1 if this is what should be told");
}

#[test]
fn the_same_seed_tells_the_same_twice() {
    let tell = |recipe| {
        let film = play(recipe);
        story::tail(&film, film.events.len()) + &story::end(&film)
    };
    let (first, second) = (tell("raft/5/17"), tell("raft/5/17"));
    assert!(first == second, "two stories of one seed");
    assert!(first.lines().count() > 500 && first.ends_with(|c: char| c.is_ascii_hexdigit()));
    assert_ne!(first, tell("raft/5/18"));
    assert_eq!(tell("server/3/4"), tell("server/3/4"));
}

#[test]
fn filters_let_through_what_they_name() {
    let film = play("raft/5/17");
    let told = |filter: &Filter| film.events.iter().filter(|e| filter.lets(e)).count();
    assert_eq!(told(&Filter::default()), film.events.len());
    let by_kind = |kind: &str| told(&Filter { kinds: vec![kind.into()], ..Filter::default() });
    assert_eq!(KINDS.map(by_kind).iter().sum::<usize>(), film.events.len(), "each has one kind");
    let second = Duration::from_secs(1);
    let early = told(&Filter { to: Some(second * 3), ..Filter::default() });
    let after = Duration::from_secs(3) + Duration::from_nanos(1);
    let late = told(&Filter { from: Some(after), ..Filter::default() });
    assert_eq!(early + late, film.events.len());
    let filter = Filter { nodes: vec![2], kinds: vec!["send".into()], ..Filter::default() };
    let mine = film.events.iter().filter(|event| filter.lets(event));
    assert!(mine.clone().count() > 0);
    for event in mine {
        let line = story::line(event);
        assert!(line.contains("n2"), "{line}");
        assert_eq!(story::object(event)["kind"], "send");
    }
}

#[test]
fn a_log_for_shiviz_has_whole_clocks() {
    let film = play("raft/5/17");
    let log = shiviz::log(&film);
    let mut lines = log.lines();
    assert_eq!((lines.next(), lines.next()), (Some(shiviz::PARSER), Some("")));
    let rest: Vec<&str> = lines.collect();
    let mut counts = std::collections::BTreeMap::<&str, u64>::new();
    for pair in rest.chunks(2) {
        let (host, clock) = pair[0].split_once(' ').unwrap();
        let clock: serde_json::Value = serde_json::from_str(clock).unwrap();
        let count = counts.entry(host).or_default();
        *count += 1;
        assert_eq!(clock[host], *count, "a host counts its own events one by one");
        assert!(!pair[1].is_empty());
    }
    assert_eq!(counts.values().sum::<u64>(), film.clocks.iter().flatten().count() as u64);
    assert_eq!(counts.len(), 5);
}

#[test]
fn what_arrives_was_sent_before_also_by_the_clocks() {
    let film = play("raft/5/23");
    let sends = film.events.iter().zip(&film.clocks).filter_map(|(event, clock)| {
        let What::Send { message, .. } = event.what else { return None };
        Some((message, (event.node.unwrap().0, clock.clone().unwrap())))
    });
    let sends: std::collections::BTreeMap<_, _> = sends.collect();
    let mut arrived = 0;
    for (event, clock) in film.events.iter().zip(&film.clocks) {
        let What::Deliver { message, .. } = event.what else { continue };
        let (from, sent) = &sends[&message];
        let (clock, to) = (clock.as_ref().unwrap(), event.node.unwrap().0);
        assert!(reaches(sent, *from, clock) && !reaches(clock, to, sent), "#{message}");
        arrived += 1;
    }
    assert!(arrived > 100, "{arrived}");
}
