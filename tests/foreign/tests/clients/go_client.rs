//! The official Go client with its concurrency package, as a program of checks (go/client).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::harness::Cluster;
use crate::tools::{Following, finish, skip, texts};

/// The program, built once; nothing where there is no Go.
fn program() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        if !Command::new("go").arg("version").output().is_ok_and(|output| output.status.success()) {
            return None;
        }
        let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-client");
        let output = Command::new("go")
            .args(["build", "-mod=readonly", "-o"])
            .arg(&binary)
            .arg("./client")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("go"))
            .output()
            .expect("run go build");
        assert!(output.status.success(), "go build failed:\n{}", texts(&output).1);
        Some(binary)
    });
    if built.is_none() {
        skip("go", "no Go toolchain");
    }
    built.as_deref()
}

fn command(program: &Path, cluster: &Cluster, checks: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg(cluster.endpoints().join(",")).args(checks);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs checks that must all pass.
fn passes(cluster: &Cluster, checks: &[&str]) {
    let Some(program) = program() else { return };
    let output = finish(command(program, cluster, checks), "");
    let (stdout, stderr) = texts(&output);
    let expected = checks.iter().map(|check| format!("ok {check}\n")).collect::<String>();
    assert!(output.status.success() && stdout == expected, "{stdout}{stderr}");
}

#[test]
fn go_reads_and_writes() {
    passes(Cluster::shared(), &["kv", "txn", "errors"]);
}

#[test]
fn go_watches() {
    passes(Cluster::shared(), &["watch"]);
}

#[test]
fn go_keeps_leases_alive() {
    passes(Cluster::shared(), &["lease"]);
}

#[test]
fn go_sessions_and_mutexes_work_over_plain_keys_and_leases() {
    passes(Cluster::shared(), &["session", "mutex"]);
}

#[test]
fn go_elections_and_software_transactions_work() {
    passes(Cluster::shared(), &["election", "stm"]);
}

#[test]
fn go_namespaces_and_leased_caches_work() {
    passes(Cluster::shared(), &["namespace", "leasing"]);
}

#[test]
fn go_administers() {
    passes(Cluster::shared(), &["admin"]);
}

#[test]
fn go_logs_in() {
    // A cluster of its own, for it asks everybody who they are.
    if program().is_some() {
        passes(&Cluster::with_tokens(), &["auth"]);
    }
}

#[test]
fn go_compacts() {
    // A cluster of its own: a compaction would pull history from under the other tests.
    if program().is_some() {
        passes(&Cluster::start(), &["compaction"]);
    }
}

#[test]
fn go_survives_the_death_of_the_leader() {
    let Some(program) = program() else { return };
    let mut cluster = Cluster::start();
    let mut command = command(program, &cluster, &["failover"]);
    command.stdin(Stdio::piped()).stderr(Stdio::inherit());
    let mut running = Following::spawn(command);
    assert_eq!(running.lines(1), ["ready"]);
    cluster.kill_leader();
    running.tell("killed");
    let (passed, lines) = running.finish();
    assert!(passed && lines == ["ok failover"], "{lines:?}");
}
