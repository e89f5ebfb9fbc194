//! Membership under fire: a cluster grows from three to five, shrinks to three and has a dead member replaced
//! by two commands, while its members are killed, held and cut off, and a checked workload runs.
//!
//! It is `quorate chaos` with those faults; the history that it records goes through the laboratory's judges,
//! here once more through `quorate check`.

use std::process::{Command, Stdio};

use crate::storm::{clock, setting};
use crate::support::Kind;

/// How long the storm goes on, in seconds: the five changes take about half of it.
const DEFAULT_SECONDS: u64 = 60;

#[test]
fn members_come_and_go_in_the_storm_and_nothing_is_lost() {
    let seed = setting("QUORATE_FAULTS_SEED").unwrap_or_else(clock);
    let seconds = setting("QUORATE_FAULTS_SECONDS").unwrap_or(DEFAULT_SECONDS);
    println!("QUORATE_FAULTS_SEED={seed} QUORATE_FAULTS_SECONDS={seconds}");
    let directory = tempfile::Builder::new()
        .prefix("moving-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("create a directory");
    let chaos = Command::new(Kind::Quorate.program())
        .args(["chaos", "-w", "json", "--faults", "kill,pause,cut,members", "--out"])
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
    let told: serde_json::Value = serde_json::from_str(&told).expect("one JSON object");
    let faults = |name: &str| told["faults"][name].as_u64().unwrap_or_default();
    for (change, least) in [("add", 2), ("remove", 2), ("replace", 1)] {
        assert!(faults(change) >= least, "{} of {change}: {told}", faults(change));
    }
    let struck = ["kill", "pause", "isolate", "mute", "deafen", "unlink"];
    let kinds = struck.iter().filter(|fault| faults(fault) > 0).count();
    assert!(kinds >= 3, "hardly anything was broken meanwhile: {told}");
    assert!(told["answered"].as_u64() > Some(500), "hardly anything was done: {told}");
    let judges = told["judges"].as_array().expect("a list").iter();
    let judges: Vec<_> = judges.map(|judge| (&judge["judge"], &judge["verdict"])).collect();
    for name in ["served", "members", "agreed", "kept", "linearizable", "watches"] {
        assert!(judges.contains(&(&name.into(), &"yes".into())), "{name} is not among {judges:?}");
    }
    for (model, file) in [("etcd", "history.jsonl"), ("watch", "watches.jsonl")] {
        let check = Command::new(Kind::Quorate.program())
            .args(["check", "--model", model])
            .arg(directory.path().join(file))
            .output()
            .expect("run quorate check");
        assert_eq!(check.status.code(), Some(0), "{file}: {check:?}");
    }
    let page = std::fs::read_to_string(directory.path().join("chaos.html")).expect("a page");
    assert!(page.contains("every promise was kept") && page.contains("replace n"));
}
