//! `quorate sim` as an engineer meets it: what it prints, how it ends, what it says to bad input.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A world that ends soon, by its recipe.
const SHORT: &str = "raft/3/4 chaos=1500ms clients=1";

struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

fn sim(arguments: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate")).arg("sim").args(arguments).output();
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

#[test]
fn a_replay_is_the_same_twice_and_ends_with_its_hash() {
    let (first, second) = (sim(&["replay", SHORT]), sim(&["replay", SHORT]));
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!(first.out, second.out);
    let last = first.out.lines().last().unwrap();
    assert!(last.contains(" trace "), "{last}");
    let some = sim(&["replay", SHORT, "--kind", "role,commit", "--limit", "3", "-w", "json"]);
    let lines: Vec<Value> =
        some.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "three events and the end");
    assert!(lines[..3].iter().all(|line| line["kind"] == "role" || line["kind"] == "commit"));
    assert!(last.ends_with(lines[3]["trace"].as_str().unwrap()));
}

#[test]
fn a_hunt_tells_what_it_found_and_where_the_report_is() {
    let directory = TempDir::new().unwrap();
    let reports = directory.path().to_str().unwrap();
    let clean = sim(&["hunt", "--seeds", "0..4", "--report", reports]);
    assert_eq!(clean.code, Some(0), "{}", clean.err);
    assert!(clean.out.contains("nothing found") && clean.out.contains("4 seeds"), "{}", clean.out);
    assert_eq!(clean.err, "", "no progress in a pipe");
    let bad = ["hunt", "--nodes", "3", "--sabotage", "release-early", "--seeds", "0..20"];
    let found = sim(&[&bad[..], &["--shrink", "10", "--report", reports, "-w", "json"]].concat());
    assert_eq!(found.code, Some(1), "{}", found.err);
    let told: Value = serde_json::from_str(&found.out).unwrap();
    let found = &told["found"];
    assert_eq!(found["property"], "committed-on-quorum");
    let report = std::path::Path::new(found["report"].as_str().unwrap()).join("report.md");
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains(found["shrunk"].as_str().unwrap()));
    // Where no report can be written, what was found is told all the same.
    let lost = sim(&[&bad[..], &["--shrink", "1", "--report", "/dev/null/x"]].concat());
    assert_eq!(lost.code, Some(1), "{}", lost.err);
    assert!(lost.out.contains("FOUND") && lost.err.contains("/dev/null/x"), "{}", lost.err);
    // The recipe of the report breaks the same promise again.
    let again = sim(&["replay", found["shrunk"].as_str().unwrap(), "--limit", "1"]);
    assert_eq!(again.code, Some(1));
    assert!(again.out.contains("broken: committed-on-quorum"), "{}", again.out);
}

#[test]
fn a_scenario_is_played_and_drawn() {
    let directory = TempDir::new().unwrap();
    let (page, log) = (directory.path().join("out.html"), directory.path().join("out.log"));
    let files = ["--html", page.to_str().unwrap(), "--shiviz", log.to_str().unwrap()];
    let run = sim(&[&["run", "transfer"][..], &files].concat());
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(!run.out.contains("NOT SEEN"));
    assert!(std::fs::read_to_string(&page).unwrap().contains("transfer: A leader hands over"));
    assert!(std::fs::read_to_string(&log).unwrap().starts_with("(?<host>"));
    let listed = sim(&["list"]).out;
    for name in ["split-vote", "split-brain", "lost-quorum", "flp", "cap"] {
        assert!(listed.contains(&format!("{name}: ")), "{name}");
    }
    assert_eq!(sim(&["run", "flp"]).code, Some(0));
}

#[test]
fn bad_input_is_answered_with_its_value_and_what_would_be_good() {
    let cases: [(&[&str], &[&str]); 14] = [
        (&["run", "perpetual-motion"], &["perpetual-motion", "split-vote"]),
        (&["run", "flp", "--html", "x.html"], &["flp", "theorem"]),
        (&["hunt", "--seeds", "9..9"], &["9..9", "no seed"]),
        (&["hunt", "--seeds", "a..b"], &["\"a\"", "18446744073709551615"]),
        (&["hunt", "--nodes", "2"], &["'2'", "3 to 9"]),
        (&["hunt", "--world", "etcd"], &["etcd", "raft and server"]),
        (&["hunt", "--for", "soon"], &["soon", "30s"]),
        (&["hunt", "--threads", "0"], &["'0'", "1..=1024"]),
        (&["hunt", "--sabotage", "skip-dedup"], &["skip-dedup", "--world server"]),
        (&["replay", "99999999999999999999"], &["99999999999999999999", "18446744073709551615"]),
        (&["replay", "1 luck=3"], &["luck", "loss"]),
        (&["replay", SHORT, "--node", "7"], &["no node 7", "1 to 3"]),
        (&["show", SHORT], &["--html"]),
        (&["show", SHORT, "--html", "/nowhere/x.html"], &["/nowhere/x.html"]),
    ];
    for (arguments, words) in cases {
        let done = sim(arguments);
        assert_eq!(done.code, Some(2), "{arguments:?}: {}", done.err);
        for word in words {
            assert!(done.err.contains(word), "{arguments:?} says nothing of {word}: {}", done.err);
        }
    }
}
