//! The golden stories of every protocol, from the `scripts` directory beside its code.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p quorate-script` rewrites what they say; read the difference
//! before you keep it: commit it only when you understand what caused it.

use goldenscript::Runner;
use quorate_node::Node;
use quorate_script::{StoreStory, Story};
use std::path::{Path, PathBuf};

fn stories(protocol: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocols");
    let dir = dir.join(protocol).join("scripts");
    let files = std::fs::read_dir(&dir);
    let mut paths: Vec<PathBuf> = files
        .unwrap_or_else(|error| panic!("the stories are in {}: {error}", dir.display()))
        .map(|file| file.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "story"))
        .collect();
    paths.sort();
    paths
}

/// Tells all stories of a protocol; fails with all that end otherwise.
fn tell<R: Runner>(protocol: &str, runner: impl Fn() -> R + std::panic::RefUnwindSafe) {
    let mut failures = Vec::new();
    for path in stories(protocol) {
        let told = std::panic::catch_unwind(|| goldenscript::run(&mut runner(), &path));
        let name = path.file_name().expect("a file").to_string_lossy().to_string();
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failures.push(format!("{name}: {error}")),
            Err(_) => failures.push(format!("{name}: see the panic above")),
        }
    }
    assert!(failures.is_empty(), "{} stories fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_story_of_raft_ends_as_it_is_told() {
    tell("raft", Story::default);
}

#[test]
fn every_story_of_the_node_ends_as_it_is_told() {
    tell("node", Story::<Node>::of);
}

#[test]
fn every_story_of_the_store_ends_as_it_is_told() {
    tell("store", StoreStory::default);
}

/// A story without an expectation passes on its own output alone.
#[test]
fn every_story_says_what_must_not_happen_and_ends_in_an_expectation() {
    for (protocol, least) in [("raft", 40), ("node", 15), ("store", 8)] {
        let paths = stories(protocol);
        assert!(paths.len() >= least, "only {} stories of {protocol}", paths.len());
        for path in paths {
            let text = std::fs::read_to_string(&path).expect("readable");
            let name = path.display();
            assert!(text.starts_with('#'), "{name} does not begin with what must not happen");
            let end = text.rfind("\n---").unwrap_or_else(|| panic!("{name} has no output"));
            let last = text[..end].lines().last().unwrap_or("");
            assert!(last.starts_with("expect "), "{name} ends in `{last}`, not in an expectation");
        }
    }
}
