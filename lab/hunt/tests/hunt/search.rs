//! Hunting and shrinking, with bugs on purpose.

use quorate_hunt::film;
use quorate_hunt::hunt::{Found, Gauge, Hunt, hunt};
use quorate_hunt::recipe::{Kind, Recipe};
use quorate_hunt::report;
use quorate_hunt::shrink::shrink;
use quorate_sim::swarm::Sabotage;
use std::fs;
use std::time::Duration;

fn look(sabotage: Sabotage, threads: usize) -> (Option<Found>, Gauge) {
    let gauge = Gauge::default();
    let (kind, nodes, seeds) = (Kind::Raft, 5, 0..20);
    let found = hunt(&Hunt { kind, nodes, seeds, lasts: None, threads, sabotage }, &gauge);
    (found, gauge)
}

#[test]
fn a_hunt_finds_the_smallest_bad_seed_whatever_the_threads() {
    let (one, _) = look(Sabotage::IgnoreSyncs, 1);
    let (many, gauge) = look(Sabotage::IgnoreSyncs, 4);
    let found = one.expect("a disk that ignores syncs is caught");
    assert_eq!(many.as_ref(), Some(&found));
    let tally = gauge.read();
    assert!(tally.seeds > found.recipe.seed, "all smaller seeds ended");
    assert!(tally.faults > 0 && tally.virtual_time > Duration::ZERO && !tally.marks.is_empty());
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let (found, gauge) = look(Sabotage::None, 2);
    assert_eq!(found, None);
    assert_eq!(gauge.read().seeds, 20);
    let gauge = Gauge::default();
    gauge.stop();
    let (kind, sabotage) = (Kind::Raft, Sabotage::None);
    let endless = Hunt { kind, nodes: 5, seeds: 0..u64::MAX, lasts: None, threads: 2, sabotage };
    assert_eq!(hunt(&endless, &gauge), None, "a hunt that was stopped begins nothing");
    assert_eq!(gauge.read().seeds, 0);
}

/// The number after the last one is no seed: counted on, it would be 0, and the hunt would begin again.
#[test]
fn a_hunt_ends_behind_the_last_seeds() {
    let gauge = Gauge::default();
    let (kind, nodes, sabotage) = (Kind::Raft, 3, Sabotage::None);
    let seeds = u64::MAX - 1..u64::MAX;
    let lasts = Some(Duration::from_secs(20));
    hunt(&Hunt { kind, nodes, seeds, lasts, threads: 2, sabotage }, &gauge);
    assert_eq!(gauge.read().seeds, 1);
}

#[test]
fn what_was_shrunk_breaks_the_same_promise_with_less() {
    let found = look(Sabotage::IgnoreSyncs, 2).0.expect("caught");
    let shrunk = shrink(&found, 150, &Gauge::default(), |_, _| {});
    println!("{} -> {} in {} runs", found.recipe, shrunk.found.recipe, shrunk.runs);
    assert_eq!(shrunk.found.violation.property, found.violation.property);
    assert!(shrunk.runs <= 150);
    let (before, after) = shrunk.strikes;
    assert!(after * 4 <= before, "{before} strikes, {after} left");
    // The line alone is enough to see it again.
    let read: Recipe = shrunk.found.recipe.to_string().parse().unwrap();
    let again = film::run(read.kind, read.plan().unwrap());
    assert_eq!(again.violation.as_ref(), Some(&shrunk.found.violation));
    let directory = std::env::temp_dir().join(format!("quorate-hunt-{}", std::process::id()));
    report::write(&directory, &found, &shrunk).unwrap();
    let told = fs::read_to_string(directory.join("report.md")).unwrap();
    for words in [found.violation.property, &found.recipe.to_string(), &read.to_string()] {
        assert!(told.contains(words), "{words}");
    }
    let story = fs::read_to_string(directory.join("story.txt")).unwrap();
    assert!(story.contains(&format!("broken: {}", shrunk.found.violation)));
    for page in ["found.html", "shrunk.html"] {
        assert!(fs::read_to_string(directory.join(page)).unwrap().contains("<canvas"));
    }
    fs::remove_dir_all(directory).unwrap();
}
