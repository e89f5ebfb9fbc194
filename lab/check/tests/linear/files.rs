//! Histories in files, with known verdicts: see `tests/histories/linear/README.md`.

use std::path::PathBuf;

use quorate_check::limits::Options;
use quorate_check::model::{MODELS, Model};
use quorate_check::read;
use quorate_check::verdict::{Report, Verdict};

/// The refused histories, and how many operations are the reason.
const REASONS: &[(&str, usize)] = &[
    ("register-no-stale-read.edn", 3),
    ("register-no-two-cas-of-one-value.log", 2),
    ("register-no-failed-cas-must-have-matched.jsonl", 2),
    ("register-no-one-key-of-two.edn", 2),
    ("register-no-value-of-a-failed-write.jsonl", 1),
    ("key-value-no-lost-append.edn", 3),
    ("counter-no-applied-twice.jsonl", 1),
    ("lock-no-two-holders.jsonl", 2),
    ("fenced-lock-no-write-of-old-holder.jsonl", 2),
    ("lock-no-refused-then-taken.jsonl", 3),
    ("fenced-lock-no-refused-then-taken.jsonl", 3),
    ("fenced-lock-no-token-goes-back.jsonl", 2),
    ("etcd-no-stale-read.jsonl", 2),
    ("etcd-no-revision-twice.jsonl", 2),
    ("etcd-no-acknowledged-write-lost.jsonl", 1),
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/histories/linear")
}

/// Names and texts of all histories.
pub fn all() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory()).expect("the directory is there") {
        let path = entry.expect("the directory is readable").path();
        let name =
            path.file_name().and_then(|name| name.to_str()).expect("names are text").to_owned();
        if !name.ends_with(".md") {
            files.push((name, std::fs::read_to_string(&path).expect("histories are text")));
        }
    }
    files.sort();
    files
}

/// The model that a file is named after: the longest that fits.
pub fn model_of(name: &str) -> &'static Model {
    let fits = |model: &&Model| {
        let rest = name.strip_prefix(model.name);
        rest.is_some_and(|rest| rest.starts_with("-yes-") || rest.starts_with("-no-"))
    };
    MODELS.iter().find(fits).expect("a history is named after its model and its verdict")
}

fn judge(name: &str, text: &str, options: &Options) -> Report {
    let history = read::read(text, None).unwrap_or_else(|error| panic!("{name}:{error}"));
    (model_of(name).check)(&history, options).unwrap_or_else(|error| panic!("{name}:{error}"))
}

#[test]
fn the_verdicts_are_those_of_the_names() {
    let files = all();
    assert!(files.len() > 20, "histories are missing: {files:?}");
    for (name, text) in files {
        let report = judge(&name, &text, &Options::default());
        let reason = REASONS.iter().find(|(file, _)| *file == name).map(|(_, count)| *count);
        match &report.verdict {
            Verdict::Yes => assert!(name.contains("-yes-") && reason.is_none(), "{name}: accepted"),
            Verdict::Unknown(reason) => panic!("{name}: {reason}"),
            Verdict::No(refusal) => {
                assert!(name.contains("-no-"), "{name}: {refusal:#?}");
                assert_eq!(Some(refusal.evidence.len()), reason, "{name}: {refusal:#?}");
            }
        }
    }
}

#[test]
fn the_readme_lists_all_histories() {
    let readme = std::fs::read_to_string(directory().join("README.md")).expect("there is a README");
    for (name, _) in all() {
        let stem = name.split('.').next().expect("a split has a first part");
        assert!(readme.contains(&format!("| {stem} |")), "{stem} is missing");
    }
}

#[test]
fn a_refusal_tells_who_did_what_and_where() {
    let text = std::fs::read_to_string(directory().join("register-no-stale-read.edn"));
    let report =
        judge("register-no-stale-read.edn", &text.expect("it is text"), &Options::default());
    let Verdict::No(refusal) = report.verdict else { panic!("it was refused above") };
    assert_eq!(refusal.property, "linearizability");
    let summary =
        "3 operations have no order that explains the answers, wherever the other one is put";
    assert_eq!(refusal.summary, summary);
    let expected = [
        "process 0, lines 2 to 3: write 1 -> ok",
        "process 0, lines 4 to 6: write 2 -> ok",
        "process 1, lines 9 to 10: read -> 1",
    ];
    assert_eq!(refusal.evidence, expected);
    assert_eq!(refusal.events, [0, 2, 7]);
}

#[test]
fn pages_are_whole_and_refer_to_nothing() {
    for (name, text) in all() {
        let report = judge(&name, &text, &Options { page: true, ..Options::default() });
        let page = report.page.unwrap_or_else(|| panic!("{name}: no page"));
        assert!(page.contains("</html>") && page.contains("const data = {"), "{name}");
        for mark in ["/*DATA*/", "/*STYLE*/", "/*SCRIPT*/", "src=", "href=", "@import"] {
            assert!(!page.contains(mark), "{name}: the page contains {mark}");
        }
    }
}
