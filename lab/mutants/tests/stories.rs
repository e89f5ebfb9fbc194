//! Each story that guards a trap turns red with the trap's bug put back.
#![cfg(quorate_mutants)]

use quorate_base::mutant::{self, Mutant};
use quorate_mutants::hunt::{Budget, Place, hunt};
use quorate_mutants::story::{guard, name, stories, stories_of, tell, trap};
use std::collections::BTreeSet;

/// Bugs that show only where members come and go, with crashes in between: worlds find them, and no story is told of
/// them yet.
const BY_WORLDS: [u32; 6] = [149, 206, 322, 340, 341, 342];

/// The first seed that finds each of them is no more than the tenth.
const SEEDS: Budget = Budget { schedules: 0, worlds: 10 };

/// The same, but it takes hundreds of worlds: only the hunt looks for them.
const BY_MANY_WORLDS: [u32; 3] = [343, 344, 345];

#[test]
fn mutants_of_membership_without_a_story_are_found_by_worlds() {
    for mutant in mutant::ALL.iter().filter(|mutant| BY_WORLDS.contains(&mutant.id)) {
        let found = hunt(mutant, SEEDS).expect("readable").expect(mutant.name);
        println!("{:3} {:?}: {} ({})", mutant.id, found.place, found.property, found.detail);
        assert!(matches!(found.place, Place::World { .. }), "{}", mutant.name);
    }
}

/// Mutants of which a story is told.
fn told() -> impl Iterator<Item = &'static Mutant> {
    let by_worlds = |id: &u32| BY_WORLDS.contains(id) || BY_MANY_WORLDS.contains(id);
    mutant::ALL.iter().filter(move |mutant| !by_worlds(&mutant.id))
}

#[test]
fn every_mutant_of_raft_fails_an_expectation_of_its_traps_story() {
    let stories = stories().expect("the stories are in protocols/raft/scripts");
    let (mut green, mut red) = (BTreeSet::new(), BTreeSet::new());
    for mutant in told().filter(|mutant| mutant.id < 200) {
        let guards = stories.get(&trap(mutant));
        let guards = guards.unwrap_or_else(|| panic!("{} has no story", mutant.name));
        let mut caught = false;
        for path in guards {
            let Some(why) = tell(path, mutant.id).expect("readable") else {
                green.insert(path);
                continue;
            };
            let why = why.lines().next().unwrap_or_default();
            println!("{:3} {}: {why}", mutant.id, name(path));
            let failed = why.contains("'expect' failed");
            assert!(failed, "{} ends {} otherwise: {why}", mutant.name, name(path));
            caught = true;
            red.insert(path);
        }
        assert!(caught, "no story of its trap notices {}", mutant.name);
    }
    let asleep: Vec<_> = green.difference(&red).collect();
    assert!(asleep.is_empty(), "stories that no mutant of their trap turns red: {asleep:?}");
}

#[test]
fn every_mutant_of_the_store_and_the_node_has_a_story_that_fails_an_expectation() {
    for mutant in told().filter(|mutant| mutant.id >= 300) {
        let (story, why) = guard(mutant).expect("readable").expect(mutant.name);
        let why = why.lines().next().unwrap_or_default();
        println!("{:3} {story}: {why}", mutant.id);
        assert!(why.contains("'expect' failed"), "{} ends {story} otherwise: {why}", mutant.name);
    }
}

#[test]
fn every_story_is_green_without_a_mutant() {
    for protocol in ["raft", "node", "store"] {
        for path in stories_of(protocol).expect("readable") {
            assert_eq!(tell(&path, 0).expect("readable"), None, "{}", name(&path));
        }
    }
}
