//! `quorate serve` as an operator meets it: what stands in a member's way, where its settings come from, how it ends.

mod common;

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;

use common::{Done, base_port, command, quorate, until};
use rustix::process::{Pid, Signal};

/// A running member, killed when dropped.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The flags of a member alone, listening at a port and the next.
fn alone(port: u16, data_dir: &str) -> String {
    let (client, peer) =
        (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", port + 1));
    format!(
        "serve --name a --data-dir {data_dir} --listen-client-urls {client} --advertise-client-urls {client} \
         --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} --initial-cluster a={peer}"
    )
}

/// Starts a member and waits until it is ready; what it logs goes to `log`.
fn start(directory: &Path, port: u16, flags: &str) -> Member {
    let log = File::create(directory.join("log")).unwrap();
    let child = command(directory, flags).stdout(log.try_clone().unwrap()).stderr(log).spawn();
    let mut member = Member(child.unwrap());
    until("the member is ready", || {
        assert!(member.0.try_wait().unwrap().is_none(), "{}", logged(directory));
        logged(directory).contains("ready to serve clients").then_some(())
    });
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    member
}

fn logged(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap()
}

#[track_caller]
fn says(done: Done, code: i32, parts: &[&str]) {
    let error = done.failed(code);
    for part in parts {
        assert!(error.contains(part), "{error:?} does not contain {part:?}");
    }
}

#[test]
fn a_new_member_that_waits_for_its_peers_ends_at_the_first_signal() {
    let temporary = tempfile::tempdir().unwrap();
    let here = temporary.path();
    let (port, absent) = (base_port(), base_port());
    // The other two never come.
    let cluster = format!(",b=http://127.0.0.1:{absent},c=http://127.0.0.1:{}", absent + 1);
    let log = File::create(here.join("log")).unwrap();
    let mut command = command(here, &(alone(port, "a") + &cluster));
    let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
    let mut member = Member(child.unwrap());
    until("it waits", || logged(here).contains("waiting for 2 of").then_some(()));
    rustix::process::kill_process(Pid::from_child(&member.0), Signal::TERM).unwrap();
    let ended = until("it ends", || member.0.try_wait().unwrap());
    assert_eq!(ended.signal(), Some(Signal::TERM.as_raw()), "{}", logged(here));
}

#[test]
fn what_stands_in_its_way_is_one_line_and_its_end_is_by_the_signal() {
    let temporary = tempfile::tempdir().unwrap();
    let here = temporary.path();
    let (port, other) = (base_port(), base_port());
    let mut member = start(here, port, &format!("{} --snapshot-count 5", alone(port, "a")));
    let log = logged(here);
    let warnings = log.lines().filter(|line| line.contains("has no effect")).collect::<Vec<_>>();
    assert!(warnings.len() == 1 && warnings[0].contains("--snapshot-count"), "{log}");

    let taken = format!("http://127.0.0.1:{} is already taken by another process", port + 1);
    says(quorate(here, &alone(port, "b")), 1, &[&taken, "--listen-peer-urls"]);
    let holder = format!("data directory a is in use by process {}", member.0.id());
    says(quorate(here, &alone(other, "a")), 1, &[&holder, "--data-dir"]);

    rustix::process::kill_process(Pid::from_child(&member.0), Signal::TERM).unwrap();
    let ended = until("it ends", || member.0.try_wait().unwrap());
    assert_eq!(ended.signal(), Some(Signal::TERM.as_raw()), "{}", logged(here));
    says(
        quorate(here, &alone(other, "a")),
        1,
        &["a/meta belongs to cluster ", "use another data directory"],
    );
    let flags = format!("{} --initial-cluster-state existing", alone(port, "c"));
    says(quorate(here, &flags), 1, &["names no other member to ask", "member add"]);

    // The same flags as before start it again.
    drop(start(here, port, &alone(port, "a")));
}

#[test]
fn slips_and_missing_protection_are_errors_in_one_line() {
    let temporary = tempfile::tempdir().unwrap();
    let cases: &[(&str, &[&str])] = &[
        ("--cert-file c --key-file k", &["--cert-file", "https://"]),
        ("--peer-client-cert-auth", &["--peer-client-cert-auth", "https://"]),
        ("--auth-token jwt", &["--auth-token=jwt", "sign-method", "HS256"]),
        ("--election-timout 1000", &["did you mean --election-timeout?"]),
        ("--election-timeout 1s", &["\"1s\"", "milliseconds"]),
        ("--pre-vote false", &["write --pre-vote=false"]),
        ("--config-file none.yml", &["none.yml", "No such file"]),
        ("--name b --initial-cluster a=http://127.0.0.1:1", &["couldn't find local name \"b\""]),
    ];
    for (flags, parts) in cases {
        says(quorate(temporary.path(), &format!("serve {flags}")), 2, parts);
    }
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn every_setting_tells_where_it_came_from() {
    let temporary = tempfile::tempdir().unwrap();
    let file = "name: filed\nheartbeat-interval: 50\nelection-timeout: 500\nmax-txn-ops: 1\n";
    fs::write(temporary.path().join("c.yml"), file).unwrap();
    let line = "serve --config-file c.yml --heartbeat-interval 60 --print-config -w json";
    let mut printed = command(temporary.path(), line);
    printed
        .env("ETCD_NAME", "etcd")
        .env("QUORATE_NAME", "own")
        .env("ETCD_HEARTBEAT_INTERVAL", "70");
    let printed = printed.env("ETCD_MAX_TXN_OPS", "2").output().unwrap();
    let tree: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    let seen = |name: &str| {
        let entry = &tree[name];
        (entry["value"].as_str().unwrap().to_owned(), entry["origin"].as_str().unwrap().to_owned())
    };
    let expected = [
        ("name", "own", "environment QUORATE_NAME"),
        ("heartbeat-interval", "60", "flag"),
        ("max-txn-ops", "2", "environment ETCD_MAX_TXN_OPS"),
        ("election-timeout", "500", "file c.yml"),
        ("max-request-bytes", "1572864", "default"),
    ];
    for (name, value, origin) in expected {
        assert_eq!(seen(name), (value.to_owned(), origin.to_owned()), "{name}");
    }
    let table = quorate(temporary.path(), "serve --print-config").ok();
    assert!(table.starts_with("SETTING ") && table.contains("\nlisten-peer-urls "), "{table}");
}

fn deployed(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `deploy/` starts members with is understood, and all of it has an effect.
#[test]
fn the_flags_of_the_deployment_files_are_ours() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = deployed("kubernetes/quorate.yaml").replace("$(POD_NAME)", "quorate-1");
    let arguments = manifest.lines().filter_map(|line| line.trim().strip_prefix("- --"));
    let kubernetes = arguments.map(|flag| format!("--{flag}")).collect::<Vec<_>>();
    assert!(kubernetes.len() >= 9, "{kubernetes:?}");
    let image = deployed("docker/Dockerfile");
    let image = image.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a command");
    let image: Vec<String> = serde_json::from_str(image).expect("a list of words");
    assert_eq!(image[0], "serve");
    for flags in [&kubernetes[..], &image[1..]] {
        let line = format!("serve --print-config {}", flags.join(" "));
        every_flag_works(&quorate(directory.path(), &line).ok(), flags.len());
    }
    // The hook before a stop: a member that is alone has nobody to hand over to, and says so.
    let hook = manifest.lines().find_map(|line| line.trim().strip_prefix("command: ["));
    let hook = hook.expect("a preStop hook").trim_end_matches(']').replace(", ", " ");
    let port = base_port();
    let member = start(directory.path(), port, &alone(port, "data"));
    let line =
        hook.strip_prefix("quorate ").expect("our binary").replace(":2379", &format!(":{port}"));
    let told = quorate(directory.path(), &line).ok();
    assert!(told.starts_with("Nothing to hand over: "), "{told}");
    drop(member);
    let settings = deployed("systemd/quorate.env");
    let settings: Vec<_> = settings
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|l| l.split_once('='))
        .collect();
    let mut command = command(directory.path(), "serve --print-config");
    let output = command.envs(settings.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    every_flag_works(&String::from_utf8(output.stdout).unwrap(), settings.len());
}

/// In a listing of settings, at least so many are not defaults, and each of them has an effect.
#[track_caller]
fn every_flag_works(listing: &str, count: usize) {
    let given = listing.lines().skip(1).filter(|line| !line.contains(" default "));
    let given = given.collect::<Vec<_>>();
    assert!(given.len() >= count, "{listing}");
    for line in given {
        assert!(line.split_whitespace().any(|word| word == "yes"), "{line}");
    }
}

#[test]
fn the_service_manager_is_told_when_a_member_serves_and_when_it_drains() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let flags = alone(base_port(), "data");
    let mut member =
        Member(command(directory.path(), &flags).env("NOTIFY_SOCKET", &path).spawn().unwrap());
    let mut told = [0; 64];
    let length = socket.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"READY=1");
    let pid = Pid::from_child(&member.0);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let length = socket.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"STOPPING=1");
    member.0.wait().unwrap();
}

#[test]
fn what_takes_long_is_warned_of_and_zero_is_silence() {
    let warnings = |flags: &str| {
        let temporary = tempfile::tempdir().unwrap();
        let here = temporary.path();
        let port = base_port();
        let member = start(here, port, &format!("{} {flags}", alone(port, "a")));
        let put = format!("put key value --endpoints 127.0.0.1:{port}");
        let done = quorate(here, &put);
        assert_eq!(done.ok(), "OK\n");
        drop(member);
        let count = |text: &str| logged(here).lines().filter(|line| line.contains(text)).count();
        (count("slow request"), count("slow to apply log entries"))
    };
    let (requests, applies) =
        warnings("--warning-unary-request-duration 1ns --warning-apply-duration 1ns");
    assert!(requests >= 1, "the put took longer than a nanosecond");
    assert!(applies >= 1, "so did its application");
    let silent = "--warning-unary-request-duration 0s --warning-apply-duration 0s";
    assert_eq!(warnings(silent), (0, 0));
}
