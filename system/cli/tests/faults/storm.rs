//! The storm: `quorate chaos`, as anybody would run it, and its verdict is the test's.
//!
//! First every fault strikes the leader once, all members killed at the same moment among them, then they come as the
//! dice fall. What was acknowledged must be there, no revision may go back, there must be one order of all operations,
//! no watcher may miss or see twice, and with a quorum the cluster must go on.

use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::Kind;

/// How long faults go on, in seconds, unless the environment says otherwise: every fault comes once in about half of it.
const DEFAULT_SECONDS: u64 = 60;

/// A seed that nobody chose.
fn clock() -> u64 {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    clock.as_secs()
}

/// A number that the environment says.
fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}, expected a number")))
}

/// Runs `quorate chaos` with these arguments besides, under the seed and for the time that the environment says. Its verdict
/// must be yes in the word of each of these judges, and its history must pass when it is judged again. Leaves its
/// files, and what it told.
pub fn rage(name: &str, seconds: u64, arguments: &[&str], judges: &[&str]) -> (TempDir, Value) {
    let seed = setting("QUORATE_FAULTS_SEED").unwrap_or_else(clock);
    let seconds = setting("QUORATE_FAULTS_SECONDS").unwrap_or(seconds);
    println!("QUORATE_FAULTS_SEED={seed} QUORATE_FAULTS_SECONDS={seconds}");
    let directory = tempfile::Builder::new()
        .prefix(name)
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("create a directory");
    let chaos = Command::new(Kind::Quorate.program())
        .args(["chaos", "-w", "json"])
        .args(arguments)
        .arg("--out")
        .arg(directory.path())
        .args([format!("--for={seconds}s"), format!("--seed={seed}")])
        .args(["--", "--heartbeat-interval=100", "--election-timeout=1000"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("run quorate chaos");
    let told = String::from_utf8_lossy(&chaos.stdout).into_owned();
    println!("{told}");
    if chaos.status.code() != Some(0) {
        let kept = directory.keep();
        panic!("{:?}; everything is in {}: {told}", chaos.status, kept.display());
    }
    let told: Value = serde_json::from_str(&told).expect("one JSON object");
    assert!(told["answered"].as_u64() > Some(500), "hardly anything was done: {told}");
    let verdicts = told["judges"].as_array().expect("a list").iter();
    let verdicts: Vec<_> = verdicts.map(|judge| (&judge["judge"], &judge["verdict"])).collect();
    for &name in judges {
        assert!(verdicts.contains(&(&name.into(), &"yes".into())), "{name} is not in {verdicts:?}");
    }
    // The history is one that anybody may judge again.
    for (model, file) in [("etcd", "history.jsonl"), ("watch", "watches.jsonl")] {
        let check = Command::new(Kind::Quorate.program())
            .args(["check", "--model", model])
            .arg(directory.path().join(file))
            .output()
            .expect("run quorate check");
        assert_eq!(check.status.code(), Some(0), "{file}: {check:?}");
    }
    (directory, told)
}

/// The page that a storm leaves.
pub fn page(directory: &TempDir) -> String {
    std::fs::read_to_string(directory.path().join("chaos.html")).expect("a page")
}

#[test]
fn storm_loses_nothing_that_was_acknowledged() {
    let judges = ["served", "agreed", "kept", "linearizable", "watches"];
    // Members come and go in a storm of their own.
    let (directory, told) = rage("storm-", DEFAULT_SECONDS, &["--keep-members"], &judges);
    let faults = told["faults"].as_object().expect("a map");
    let kinds = faults.values().filter(|count| count.as_u64() > Some(0)).count();
    assert!(kinds >= 5, "there were only {faults:?}");
    let page = page(&directory);
    assert!(page.contains("every promise was kept") && page.contains("<svg"));
}
