//! Finds the programs that drive the server, and says so when one is missing.
//!
//! `etcdctl` is looked for on the `PATH` (Debian's package etcd-client, 3.4) and where
//! `build-etcd.sh` put the newest one: in `QUORATE_ETCD_DIR`, by default `target/etcd` of this
//! workspace. `QUORATE_FOREIGN_REQUIRE=etcdctl,go` turns a missing tool from a printed line into a
//! failure, so that a CI that lost one does not stay green.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::Cluster;

/// The longest that one run of a tool may take.
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// Says that `tool` is missing; fails if it is required.
pub fn skip(tool: &str, why: &str) {
    let required = std::env::var("QUORATE_FOREIGN_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == tool), "{tool} is required: {why}");
    println!("skipped: {why}");
}

/// One etcdctl, pointed at all members of a cluster.
pub struct Etcdctl {
    program: PathBuf,
    /// Names it in the keys of its tests.
    label: String,
    endpoints: String,
}

/// Every etcdctl of this machine; the test runs once with each.
pub fn etcdctls(cluster: &Cluster) -> Vec<Etcdctl> {
    let built = std::env::var_os("QUORATE_ETCD_DIR").map(PathBuf::from);
    let built = built.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/etcd"));
    let candidates = [PathBuf::from("etcdctl"), built.join("etcdctl")];
    let mut found = vec![];
    for program in candidates {
        // Both generations print their version for `version`; 3.3 and older did not speak v3 by
        // default.
        let version = Command::new(&program).arg("version").output();
        if version.is_ok_and(|output| output.status.success()) {
            let label = format!("etcdctl{}", found.len());
            found.push(Etcdctl { program, label, endpoints: cluster.endpoints().join(",") });
        } else {
            println!("skipped: no {}", program.display());
        }
    }
    if found.is_empty() {
        skip("etcdctl", "no etcdctl on the PATH and none built");
    }
    found
}

impl Etcdctl {
    /// The same program, pointed at these endpoints.
    pub fn at(&self, endpoints: &str) -> Etcdctl {
        let (program, label) = (self.program.clone(), self.label.clone());
        Etcdctl { program, label, endpoints: endpoints.to_owned() }
    }

    /// The members it is pointed at.
    pub fn endpoints(&self) -> Vec<&str> {
        self.endpoints.split(',').collect()
    }

    /// A prefix for keys that no other test and no other etcdctl uses.
    pub fn keys(&self, test: &str) -> String {
        format!("{}/{test}/", self.label)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ETCDCTL_")) {
            command.env_remove(name);
        }
        command.args(["--endpoints", &self.endpoints, "--command-timeout", "20s"]);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command that must succeed and returns what it printed.
    pub fn run(&self, args: &[&str]) -> String {
        self.run_with_input(args, "")
    }

    /// Runs a command that must succeed, with `input` on its standard input.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> String {
        self.succeed(args, input).0
    }

    /// Runs a command that must succeed and returns what it printed, wherever it printed it.
    pub fn run_both(&self, args: &[&str]) -> String {
        let (stdout, stderr) = self.succeed(args, "");
        stdout + &stderr
    }

    fn succeed(&self, args: &[&str], input: &str) -> (String, String) {
        let output = finish(self.command(args), input);
        let (stdout, stderr) = texts(&output);
        assert!(
            output.status.success(),
            "etcdctl {args:?} failed: {}\n{stdout}\n{stderr}",
            output.status
        );
        (stdout, stderr)
    }

    /// Runs a command that must fail and returns its exit code and what it complained about.
    pub fn fail(&self, args: &[&str]) -> (i32, String) {
        let output = finish(self.command(args), "");
        let (stdout, stderr) = texts(&output);
        assert!(!output.status.success(), "etcdctl {args:?} should fail, but printed {stdout:?}");
        (output.status.code().expect("an exit code"), format!("{stdout}{stderr}"))
    }

    /// Starts a command that goes on printing, such as `watch`.
    pub fn start(&self, args: &[&str]) -> Following {
        Following::spawn(self.command(args))
    }
}

/// A program that runs while the test goes on, killed at the end.
pub struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    /// Starts a program whose lines are read as they come.
    pub fn spawn(mut command: Command) -> Following {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start the program");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Following { child, lines }
    }

    /// The next `count` lines, each of which must come.
    pub fn lines(&self, count: usize) -> Vec<String> {
        let next = || self.lines.recv_timeout(RUN_LIMIT).expect("another line in time");
        (0..count).map(|_| next()).collect()
    }

    /// Waits for the end and returns whether the program succeeded, with the lines not read yet.
    pub fn finish(mut self) -> (bool, Vec<String>) {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("wait for the program") {
                Some(status) => break status,
                None => assert!(begun.elapsed() < RUN_LIMIT, "still running after {RUN_LIMIT:?}"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        (status.success(), self.lines.iter().collect())
    }

    /// Asks the program to end, as Ctrl-C does, and waits until it has.
    pub fn interrupt(mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().expect("run kill");
        assert!(sent.success(), "the program has ended already");
        let _ = self.child.wait();
    }

    /// Writes a line to the program's standard input, which must be piped.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("standard input is piped");
        writeln!(stdin, "{line}").expect("the program listens");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end, with `input` on its standard input.
pub fn finish(command: Command, input: &str) -> Output {
    let named = format!("{command:?}");
    let output = finish_within(RUN_LIMIT, command, input);
    output.unwrap_or_else(|| panic!("still running after {RUN_LIMIT:?}: {named}"))
}

/// The same; nothing if it has not ended by then. It is killed.
pub fn finish_within(limit: Duration, mut command: Command, input: &str) -> Option<Output> {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("start the program");
    // A program that ends without reading its input is no error here.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(limit) {
        Ok(output) => Some(output.expect("wait for the program")),
        Err(_) => {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
            None
        }
    }
}

/// Both outputs of a program as text.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
