//! A client of the JSON gateway that is nothing but Python's standard library (python/gateway.py).

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::Cluster;
use crate::tools::{finish, skip, texts};

/// What the program checks, in its order.
const CHECKS: [&str; 7] = ["kv", "txn", "lease", "watch", "errors", "health", "members"];

#[test]
fn python_speaks_json() {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        return skip("python3", "no python3 on the PATH");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/gateway.py");
    let mut command = Command::new("python3");
    let urls = Cluster::shared().endpoints().into_iter().map(|at| format!("http://{at}"));
    command.arg(script).args(urls);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = finish(command, "");
    let (stdout, stderr) = texts(&output);
    let expected = CHECKS.map(|check| format!("ok {check}\n")).concat();
    assert!(output.status.success() && stdout == expected, "{stdout}{stderr}");
}
