//! The golden stories of protocols/raft/scripts, each a test of its own name.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p quorate-script` rewrites what they say; read the difference
//! before you keep it: commit it only when you understand what caused it.

use quorate_script::Story;
use std::path::{Path, PathBuf};

fn stories() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocols/raft/scripts");
    let files = std::fs::read_dir(&dir).expect("the stories are in protocols/raft/scripts");
    let mut paths: Vec<PathBuf> = files
        .map(|file| file.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "story"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_story_ends_as_it_is_told() {
    let mut failures = Vec::new();
    for path in stories() {
        let told = std::panic::catch_unwind(|| goldenscript::run(&mut Story::default(), &path));
        let name = path.file_name().expect("a file").to_string_lossy().to_string();
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failures.push(format!("{name}: {error}")),
            Err(_) => failures.push(format!("{name}: see the panic above")),
        }
    }
    assert!(failures.is_empty(), "{} stories fail:\n{}", failures.len(), failures.join("\n"));
}

/// A story without an expectation passes on its own output alone.
#[test]
fn every_story_says_what_must_not_happen_and_ends_in_an_expectation() {
    let paths = stories();
    assert!(paths.len() >= 40, "only {} stories found", paths.len());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.display();
        assert!(text.starts_with('#'), "{name} does not begin with what must not happen");
        let end = text.rfind("\n---").unwrap_or_else(|| panic!("{name} has no output"));
        let last = text[..end].lines().last().unwrap_or("");
        assert!(last.starts_with("expect "), "{name} ends in `{last}`, not in an expectation");
    }
}
