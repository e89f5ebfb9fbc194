//! Every scenario shows what it says.

use quorate_hunt::scenario::{SCENARIOS, Stage, find};

#[test]
fn what_is_to_be_seen_is_seen() {
    for scenario in SCENARIOS {
        let played = scenario.play();
        assert!(played.seen.len() >= 2, "{}", scenario.name);
        for (what, seen) in &played.seen {
            println!("{}: {what}: {seen:?}", scenario.name);
        }
        let missed = played.seen.iter().find(|(_, seen)| seen.is_none());
        assert_eq!(missed, None, "{}", scenario.name);
        let Some(film) = played.film else { continue };
        let broken = film.ending.violation.as_ref().map(|violation| violation.property);
        let expected = (scenario.name == "broken-host").then_some("committed-on-quorum");
        assert_eq!(broken, expected, "{}", scenario.name);
    }
}

#[test]
fn sights_are_not_seen_where_they_are_not() {
    // Each world's sights, looked for in a world in which nothing goes wrong.
    let calm = super::play(
        "raft/5/1 keep= chaos=9000ms loss=0 doubled=0 late=0 corrupt=0 churn=0 \
        offset=0 latency=250 turn=0 disk=1 apply=100 clients=2",
    );
    for scenario in SCENARIOS {
        let Stage::World { sights, .. } = scenario.stage else { continue };
        let seen = sights.iter().filter(|sight| (sight.look)(&calm).is_some()).count();
        assert!(seen < sights.len(), "{} is seen in a calm world", scenario.name);
    }
}

#[test]
fn names_are_there_once_and_paragraphs_tell() {
    for (at, scenario) in SCENARIOS.iter().enumerate() {
        assert!(SCENARIOS[at + 1..].iter().all(|other| other.name != scenario.name));
        assert!(scenario.about.len() > 200 && scenario.about.contains("Look"), "{}", scenario.name);
        assert!(find(scenario.name).is_some());
    }
    assert!(find("perpetual-motion").is_none());
}
