//! The npm package `etcd3`, as a program of checks (node/client.mjs). Its versions are pinned by the
//! lockfile beside it; where they cannot be had, and where there is no Node, it is skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::harness::Cluster;
use crate::tools::{finish, finish_within, skip, texts};

/// How long npm may take for the packages.
const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// A copy of the program with its packages beside it, or why there is none.
fn program() -> Option<&'static Path> {
    static READY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match READY.get_or_init(install) {
        Ok(program) => Some(program),
        Err(why) => {
            skip("node", why);
            None
        }
    }
}

fn install() -> Result<PathBuf, String> {
    for tool in ["node", "npm"] {
        if !Command::new(tool).arg("--version").output().is_ok_and(|told| told.status.success()) {
            return Err(format!("no {tool} on the PATH"));
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-client");
    std::fs::create_dir_all(&place).expect("a directory for the packages");
    let files = ["package.json", "package-lock.json", "client.mjs"];
    for file in files {
        std::fs::copy(source.join(file), place.join(file)).expect("copy the program");
    }
    // Nothing but what the lockfile names, and none of their scripts.
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&place);
    npm.stdout(Stdio::piped()).stderr(Stdio::piped());
    let Some(output) = finish_within(FETCH_LIMIT, npm, "") else {
        return Err(format!("npm has not got the packages after {FETCH_LIMIT:?}"));
    };
    if !output.status.success() {
        return Err(format!("npm cannot get the packages: {}", texts(&output).1));
    }
    Ok(place.join("client.mjs"))
}

fn passes(cluster: &Cluster, checks: &[&str]) {
    let Some(program) = program() else { return };
    let mut node = Command::new("node");
    node.arg(program).arg(cluster.endpoints().join(",")).args(checks);
    node.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = finish(node, "");
    let (stdout, stderr) = texts(&output);
    let expected = checks.iter().map(|check| format!("ok {check}\n")).collect::<String>();
    assert!(output.status.success() && stdout == expected, "{stdout}{stderr}");
}

#[test]
fn node_reads_writes_and_watches() {
    passes(Cluster::shared(), &["kv", "lease", "watch"]);
}

#[test]
fn node_locks_and_elects() {
    passes(Cluster::shared(), &["lock", "election"]);
}

#[test]
fn node_logs_in() {
    if program().is_some() {
        passes(&Cluster::with_tokens(), &["auth"]);
    }
}
