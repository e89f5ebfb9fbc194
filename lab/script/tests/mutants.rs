//! Each story that guards a trap turns red with the trap's bug put back: an `expect` of it fails, or
//! a judge speaks up.
//!
//! Compiled in builds that carry mutants only: `cargo xtask mutants`.
#![cfg(quorate_mutants)]

use quorate_base::mutant::{self, Mutant};
use quorate_script::Story;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// How a story ends with a mutant: as it is told, or with what was found first. A panic is no
/// finding: it names no property.
fn tell(path: &Path, mutant: u32) -> Option<String> {
    let text = std::fs::read_to_string(path).expect("readable");
    let told = catch_unwind(AssertUnwindSafe(|| {
        mutant::with(mutant, || goldenscript::generate(&mut Story::default(), &text))
    }));
    told.ok()?.err().map(|error| error.to_string())
}

/// The stories by the trap that their name begins with.
fn stories() -> BTreeMap<u32, Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocols/raft/scripts");
    let mut stories: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
    for file in std::fs::read_dir(&dir).expect("the stories are in protocols/raft/scripts") {
        let path = file.expect("readable").path();
        let name = path.file_name().expect("a file").to_string_lossy().to_string();
        let trap = name.strip_prefix('t').and_then(|rest| rest.get(..2)?.parse().ok());
        if let Some(trap) = trap {
            stories.entry(trap).or_default().push(path);
        }
    }
    stories
}

fn of_raft() -> impl Iterator<Item = &'static Mutant> {
    mutant::ALL.iter().filter(|mutant| mutant.id < 200)
}

#[test]
fn every_mutant_of_raft_fails_an_expectation_of_its_traps_story() {
    let stories = stories();
    let mut green: BTreeSet<&PathBuf> = BTreeSet::new();
    let mut red: BTreeSet<&PathBuf> = BTreeSet::new();
    for mutant in of_raft() {
        let guards = stories.get(&(mutant.id % 100));
        let guards = guards.unwrap_or_else(|| panic!("{} has no story", mutant.name));
        let mut caught = false;
        for path in guards {
            let name = path.file_name().expect("a file").to_string_lossy();
            match tell(path, mutant.id) {
                Some(why) => {
                    let why = why.lines().next().unwrap_or_default();
                    println!("{:3} {name}: {why}", mutant.id);
                    let failed = why.contains("'expect' failed");
                    assert!(failed, "{} ends {name} otherwise: {why}", mutant.name);
                    caught = true;
                    red.insert(path);
                }
                None => {
                    green.insert(path);
                }
            }
        }
        assert!(caught, "no story of its trap notices {}", mutant.name);
    }
    let asleep: Vec<_> = green.difference(&red).collect();
    assert!(asleep.is_empty(), "stories that no mutant of their trap turns red: {asleep:?}");
}

#[test]
fn every_story_is_green_without_a_mutant() {
    for path in stories().values().flatten() {
        assert_eq!(tell(path, 0), None, "{}", path.display());
    }
}
