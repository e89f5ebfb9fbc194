//! A client of the JSON gateway that is nothing but Python's standard library (python/gateway.py).

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::Cluster;
use crate::tools::{finish, skip, texts};

/// What the program checks, in its order.
const CHECKS: [&str; 7] = ["kv", "txn", "lease", "watch", "errors", "health", "members"];

/// Runs the program on a cluster; its checks must all pass.
fn passes(cluster: &Cluster, arguments: &[&str], checks: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/gateway.py");
    let mut command = Command::new("python3");
    let urls = cluster.endpoints().into_iter().map(|at| format!("http://{at}"));
    command.arg(script).args(arguments).args(urls);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = finish(command, "");
    let (stdout, stderr) = texts(&output);
    let expected = checks.iter().map(|check| format!("ok {check}\n")).collect::<String>();
    assert!(output.status.success() && stdout == expected, "{stdout}{stderr}");
}

fn is_there() -> bool {
    let python = Command::new("python3").arg("--version").output();
    let found = python.is_ok_and(|output| output.status.success());
    if !found {
        skip("python3", "no python3 on the PATH");
    }
    found
}

#[test]
fn python_speaks_json() {
    if is_there() {
        passes(Cluster::shared(), &[], &CHECKS);
    }
}

#[test]
fn python_logs_in() {
    if is_there() {
        passes(&Cluster::with_tokens(), &["--auth"], &["auth"]);
    }
}
