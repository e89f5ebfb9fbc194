//! Every target bears its seeds, what failed once, and some thousand mutations of them.

use quorate_fuzz::TARGETS;
use quorate_fuzz::drive::{Until, drive};

/// Mutations for each target: a few seconds for all of them.
const RUNS: u64 = 300;

#[test]
fn every_target_bears_its_seeds_its_corpus_and_mutations_of_them() {
    for target in TARGETS {
        if let Err(failure) = drive(*target, 1, Until::Runs(RUNS), &mut |_| {}) {
            panic!("{}: {} with {:?}", target.name, failure.message, failure.input);
        }
    }
}

#[test]
fn a_target_that_does_not_bear_something_is_found_and_made_small() {
    let glass = quorate_fuzz::Target {
        name: "glass",
        reads: "anything, and breaks at the byte 200",
        words: &[],
        seeds: || vec![vec![7; 40]],
        run: |input| assert!(!input.contains(&200), "broken"),
    };
    let failure = drive(glass, 1, Until::Runs(100_000), &mut |_| {}).unwrap_err();
    assert_eq!((failure.input, failure.message), (vec![200], "broken".to_owned()));
}

#[test]
fn names_are_unique_and_every_target_has_seeds() {
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
    assert!(TARGETS.iter().all(|target| !(target.seeds)().is_empty()));
}

/// A seed that is refused teaches nothing: these are lists of words and files that a member would start with.
#[test]
fn the_seeds_of_flags_and_files_are_read() {
    for input in (quorate_fuzz::target("config_file").expect("a target").seeds)() {
        let (name, text) = input.split_first().expect("a name");
        let path = if *name == 1 { "a.toml" } else { "a" };
        let text = str::from_utf8(text).expect("a text");
        quorate_flags::file::parse(path, text, &mut Vec::new()).unwrap_or_else(|e| panic!("{e:?}"));
    }
    for input in (quorate_fuzz::target("command_line").expect("a target").seeds)() {
        let text = String::from_utf8(input).expect("a text");
        let words: Vec<String> = text.lines().map(str::to_owned).collect();
        let line = quorate_flags::arguments::parse(&words).expect(&text);
        quorate_flags::settings::Settings::gather(line, &|_| None).expect(&text);
    }
}
