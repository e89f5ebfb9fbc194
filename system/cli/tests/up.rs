//! `quorate up`, `status` and `node`, on real processes.
//!
//! Each test starts a cluster of its own in a temporary directory, on ports that were free a moment ago, and speaks to it
//! as a person does: by commands without addresses, run where `quorate-data` lies. A cluster that is dropped is killed;
//! the kernel then kills its members.

mod common;

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};

use common::{Done, base_port, command, quorate, until};
use rustix::process::{Pid, Signal};
use serde_json::Value;

/// The last line of the introduction.
const READY: &str = "Ctrl-C stops it.";

/// A running cluster.
struct Up {
    child: Child,
    directory: PathBuf,
    output: PathBuf,
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Up {
    /// Starts a cluster on new ports and waits until it is ready.
    fn start(directory: &Path, flags: &str) -> Up {
        Up::again(directory, &format!("{flags} --base-port {}", base_port()))
    }

    /// Starts a cluster and waits until it is ready.
    fn again(directory: &Path, flags: &str) -> Up {
        let mut up = Up::spawn(directory, flags);
        until("the cluster is ready", || {
            let ended = up.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}): {}", up.printed());
            up.printed().contains(READY).then_some(())
        });
        up
    }

    fn spawn(directory: &Path, flags: &str) -> Up {
        let output = directory.join("printed");
        let file = File::create(&output).unwrap();
        let mut command = command(directory, &format!("up {flags}"));
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Up { child, directory: directory.to_owned(), output }
    }

    /// Everything it printed so far.
    fn printed(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    fn quorate(&self, line: &str) -> Done {
        quorate(&self.directory, line)
    }

    /// `quorate status -w json`, and whether it ended with code 0.
    fn status(&self) -> (bool, Value) {
        let done = self.quorate("status -w json");
        assert!([Some(0), Some(5)].contains(&done.code), "{done:?}");
        (done.code == Some(0), serde_json::from_str(&done.out).unwrap())
    }

    fn until_healthy(&self) -> Value {
        until("the cluster is healthy", || Some(self.status()).filter(|(ok, _)| *ok)).1
    }

    fn leader(&self) -> String {
        self.until_healthy()["leader"].as_str().expect("a leader").to_owned()
    }

    /// The description of the cluster.
    fn file(&self) -> Value {
        let text = fs::read_to_string(self.directory.join("quorate-data/cluster.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Where the named members, or all but those, listen for clients: a flag for client commands.
    fn endpoints(&self, is_meant: impl Fn(&str) -> bool) -> String {
        let file = self.file();
        let members = file["members"].as_array().unwrap().iter();
        let meant = members.filter(|member| is_meant(member["name"].as_str().unwrap()));
        let urls = meant.map(|member| member["client_url"].as_str().unwrap()).collect::<Vec<_>>();
        format!("--endpoints {}", urls.join(","))
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(mut self) -> (ExitStatus, String) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::INT).unwrap();
        let status = until("it ends", || self.child.try_wait().unwrap());
        (status, self.printed())
    }
}

/// A member as `status` shows it.
fn member<'a>(status: &'a Value, name: &str) -> &'a Value {
    let members = status["members"].as_array().unwrap();
    members.iter().find(|member| member["name"] == name).unwrap()
}

fn advice(status: &Value) -> Vec<&str> {
    status["advice"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

#[test]
fn ctrl_c_leaves_nothing_behind_but_the_data() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 3");
    let introduction = up.printed();
    assert!(introduction.starts_with("3 members are ready after "), "{introduction}");
    assert!(introduction.contains("\n  etcdctl --endpoints 127.0.0.1:"), "{introduction}");
    assert!(!introduction.contains("put greeting hello --endpoints"), "{introduction}");

    let file = up.file();
    assert_eq!((&file["version"], &file["supervisor_pid"]), (&1.into(), &up.child.id().into()));
    let members = file["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    let status = up.until_healthy();
    assert_eq!(status["cluster_id"], file["cluster_id"]);
    for told in status["members"].as_array().unwrap() {
        assert_eq!((&told["state"], &told["term"]), (&"ok".into(), &status["members"][0]["term"]));
        assert!(told["applied_index"].as_u64().unwrap() <= told["log_index"].as_u64().unwrap());
        assert!(told["db_size_bytes"].as_i64().unwrap() > 0, "{told}");
    }
    assert_eq!(up.quorate("put a kept").ok(), "OK\n");
    assert_eq!(up.quorate("get a").ok(), "a\nkept\n");
    // A member may take longer to answer than `status` waits.
    let table = until("the table has everything", || {
        let done = up.quorate("status");
        let is_whole =
            done.code == Some(0) && done.out.contains("leader") && done.out.contains("follower");
        is_whole.then_some(done.out)
    });
    assert_eq!(table.lines().count(), 4, "{table}");

    let pids: Vec<i32> =
        members.iter().map(|m| m["pid"].as_i64().unwrap().try_into().unwrap()).collect();
    let (ended, printed) = up.interrupt();
    assert!(ended.success() && printed.ends_with("Stopping.\n"), "{ended:?}: {printed}");
    for pid in pids {
        let pid = Pid::from_raw(pid).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err(), "process {pid:?} is left");
    }
    let error = quorate(temporary.path(), "status").failed(1);
    assert!(error.contains("does not run: start it with `quorate up`"), "{error}");
    let error = quorate(temporary.path(), "node kill n1").failed(1);
    assert!(error.contains("does not run: start it with `quorate up`"), "{error}");

    // Nodes and ports are what the directory says.
    let up = Up::again(temporary.path(), "");
    assert_eq!(up.quorate("get a --print-value-only").ok(), "kept\n");
    assert_eq!(up.file()["cluster_id"], file["cluster_id"]);
}

#[test]
fn fresh_deletes_what_was_there() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 1");
    up.quorate("put a gone").ok();
    assert!(up.interrupt().0.success());
    let up = Up::start(temporary.path(), "--nodes 1 --fresh");
    assert_eq!(up.quorate("get a").ok(), "");
    assert_eq!(up.until_healthy()["members"][0]["revision"], 1);
    assert_eq!(
        up.printed().lines().next().unwrap().split(" after").next(),
        Some("1 member is ready")
    );
    let error = up.quorate("node cut n1").failed(1);
    assert!(error.contains("n1 is alone"), "{error}");
}

#[test]
fn nodes_are_killed_and_held_while_writes_go_on() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 3");
    let others = |gone: &str| up.endpoints(|name| name != gone);

    assert_eq!(up.quorate("node kill n2").ok(), "n2 killed\n");
    let status = until("a quorum is left", || Some(up.status().1).filter(|s| s["quorum"] == true));
    assert_eq!((&status["healthy"], up.status().0), (&false.into(), false));
    assert!(advice(&status).contains(&"n2 does not run: quorate node restart n2"), "{status}");
    assert_eq!(member(&up.file(), "n2")["pid"], Value::Null);
    up.quorate(&format!("put a 1 {}", others("n2"))).ok();
    let error = up.quorate("node kill n2").failed(1);
    assert!(error.contains("n2 does not run"), "{error}");
    assert_eq!(up.quorate("node restart n2").ok(), "n2 runs again\n");
    up.until_healthy();
    let second = up.endpoints(|name| name == "n2");
    assert_eq!(up.quorate(&format!("get a --print-value-only {second}")).ok(), "1\n");

    assert_eq!(up.quorate("node pause n3").ok(), "n3 paused\n");
    let status = until("a quorum is left", || Some(up.status().1).filter(|s| s["quorum"] == true));
    assert_eq!(member(&status, "n3")["state"], "no answer in 1 s: paused or overloaded");
    up.quorate(&format!("put b 2 {}", others("n3"))).ok();
    assert!(up.quorate("node pause n3").failed(1).contains("n3 is paused already"));
    assert_eq!(up.quorate("node resume n3").ok(), "n3 resumed\n");
    assert!(up.quorate("node resume n3").failed(1).contains("n3 is not paused"));
    up.until_healthy();
    let third = up.endpoints(|name| name == "n3");
    assert_eq!(up.quorate(&format!("get b --print-value-only {third}")).ok(), "2\n");

    // Clients go round a member that is held, though its kernel still takes their calls.
    up.quorate("node pause n1").ok();
    until("a quorum is left", || Some(up.status().1).filter(|s| s["quorum"] == true));
    assert_eq!(up.quorate("put c 3").ok(), "OK\n");
    up.quorate("node resume n1").ok();

    assert_eq!(up.quorate("node stop n1").ok(), "n1 stopped\n");
    assert_eq!(up.quorate("node restart n1").ok(), "n1 runs again\n");
    up.until_healthy();
    // All of it was asked for, so nothing "ended by itself".
    assert!(!up.printed().contains("by itself"), "{}", up.printed());
}

#[test]
fn a_leader_that_is_cut_off_misses_a_write_and_catches_up() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 3");
    let leader = up.leader();
    up.quorate("put a before").ok();
    assert!(up.quorate(&format!("node cut {leader}")).ok().starts_with("cut: n"));
    assert_eq!(up.file()["cuts"].as_array().unwrap().len(), 4);

    let (others, own) = (up.endpoints(|n| n != leader), up.endpoints(|n| n == leader));
    until("the others have a leader", || {
        up.quorate(&format!("put a after {others}")).code.filter(|code| *code == 0)
    });
    let stale = format!("get a --consistency s --print-value-only {own}");
    assert_eq!(up.quorate(&stale).ok(), "before\n", "the write went through a cut");
    let status = until("the others have a leader and a quorum", || {
        let (healthy, status) = up.status();
        let are_fine = status["leader"] != leader.as_str() && status["quorum"] == true;
        (!healthy && are_fine).then_some(status)
    });
    assert!(advice(&status).iter().any(|line| line.starts_with("Links are cut: ")), "{status}");

    assert_eq!(up.quorate("node heal").ok(), "all links are whole\n");
    let caught_up = || Some(up.quorate(&stale).ok()).filter(|value| value == "after\n");
    until("the old leader has the write", caught_up);
    up.until_healthy();

    // One direction of one link.
    assert_eq!(up.quorate("node cut n1 --to n2").ok(), "cut: n1->n2\n");
    assert_eq!(up.quorate("node cut n1 --from n3").ok(), "cut: n1->n2 n3->n1\n");
    assert_eq!(up.quorate("node heal n1 --to n2").ok(), "cut: n3->n1\n");
    assert_eq!(up.quorate("node heal n3").ok(), "all links are whole\n");
    assert!(up.quorate("node cut n1 --to n1").failed(1).contains("no link to itself"));
    assert!(up.quorate("node cut n9").failed(1).contains("this cluster has n1, n2, n3"));
}

#[test]
fn a_lost_quorum_is_named_and_comes_back() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 3");
    up.quorate("put a 1").ok();
    up.quorate("node kill n1").ok();
    up.quorate("node kill n3").ok();
    let lost = "The quorum is lost: 1 of 3 members answer, 2 are needed; missing: n1, n3.";
    until("the loss is named", || {
        let (healthy, status) = up.status();
        assert!(!healthy && status["quorum"] == false, "{status}");
        (advice(&status)[0] == lost).then_some(())
    });
    until("the loss is printed", || {
        let done = up.quorate("status");
        (done.code == Some(5) && done.out.contains(lost)).then_some(())
    });

    let second = up.endpoints(|name| name == "n2");
    let write = up.quorate(&format!("put a 2 --command-timeout 2s {second}"));
    assert_eq!(write.code, Some(1), "a write without a quorum: {write:?}");
    let read = up.quorate(&format!("get a --consistency s --print-value-only {second}"));
    assert_eq!(read.ok(), "1\n");
    up.quorate("node restart n1").ok();
    up.quorate("node restart n3").ok();
    up.until_healthy();
    up.quorate("put a 3").ok();
    assert_eq!(up.quorate("get a --print-value-only").ok(), "3\n");
}

#[test]
fn a_member_that_lost_its_disk_is_refused_and_the_others_go_on() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 3");
    up.quorate("put a 1").ok();
    up.quorate("node kill n2").ok();
    fs::remove_dir_all(temporary.path().join("quorate-data/n2/data")).unwrap();
    let error = up.quorate("node restart n2").failed(1);
    assert!(error.contains("n2 was started but it ended") && error.contains("belonged to cluster"));
    assert!(up.interrupt().0.success());

    let up = Up::again(temporary.path(), "");
    assert!(up.printed().starts_with("2 of 3 members are ready"), "{}", up.printed());
    until("its end is told", || {
        up.printed().contains("n2 ended by itself (exit code 1): ").then_some(())
    });
    let others = up.endpoints(|name| name != "n2");
    assert_eq!(up.quorate(&format!("get a --print-value-only {others}")).ok(), "1\n");
}

/// A member that `quorate up` knows nothing of. It ends with the test.
struct Newcomer<'a> {
    up: &'a Up,
    serve: String,
    clients: String,
    log: PathBuf,
    process: Option<Child>,
}

impl Newcomer<'_> {
    /// Starts one that was added under this name, with its URLs for peers and for clients, and told of these others.
    fn new<'a>(up: &'a Up, name: &str, urls: [&str; 2], others: &str) -> Newcomer<'a> {
        let [peers, clients] = urls;
        let serve = format!(
            "serve --name {name} --data-dir {name}-again --initial-cluster-state existing --initial-cluster \
             {name}={peers},{others} --listen-peer-urls {peers} --initial-advertise-peer-urls {peers} \
             --listen-client-urls {clients} --advertise-client-urls {clients}"
        );
        let log = up.directory.join(format!("{name}-again.log"));
        let clients = clients.to_owned();
        let mut newcomer = Newcomer { up, serve, clients, log, process: None };
        newcomer.start();
        newcomer
    }

    /// Adds `n4` and starts it, told of `n1`.
    fn added(up: &Up) -> Newcomer<'_> {
        let file = up.file();
        let port = file["base_port"].as_u64().unwrap() + 30;
        let [mine, clients] = [port + 1, port].map(|port| format!("http://127.0.0.1:{port}"));
        let first = file["members"][0]["peer_url"].as_str().unwrap();
        up.quorate(&format!("member add n4 --peer-urls {mine}")).ok();
        Newcomer::new(up, "n4", [&mine, &clients], &format!("n1={first}"))
    }

    fn start(&mut self) {
        let told = File::create(&self.log).unwrap();
        let mut command = command(&self.up.directory, &self.serve);
        self.process =
            Some(command.stdout(told.try_clone().unwrap()).stderr(told).spawn().unwrap());
    }

    fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// What it logged; it must not have ended.
    fn said(&mut self) -> String {
        let said = fs::read_to_string(&self.log).unwrap();
        let ended = self.process.as_mut().expect("it runs").try_wait().unwrap();
        assert!(ended.is_none(), "it ended ({ended:?}): {said}");
        said
    }

    fn until_it_serves(&mut self, key: &str, value: &str) {
        let get = format!("get {key} --print-value-only --endpoints {}", self.clients);
        until("it serves", || {
            self.said();
            let done = self.up.quorate(&get);
            (done.code == Some(0) && done.out == format!("{value}\n")).then_some(())
        });
    }
}

impl Drop for Newcomer<'_> {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

#[test]
fn a_newcomer_does_not_take_the_id_of_the_one_it_replaces_from_a_member_that_is_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 5");
    up.quorate("put a 1").ok();
    let file = up.file();
    let url = |at: usize, kind: &str| file["members"][at][kind].as_str().unwrap().to_owned();
    let others = up.endpoints(|name| name < "n4");
    up.quorate("node cut n5").ok();
    // Nobody but n5, which is behind, is asked who the newcomer is.
    let (mine, theirs) = (url(3, "peer_url"), url(4, "peer_url"));
    let dead = |list: &Value| {
        let mut members = list["members"].as_array().unwrap().iter();
        let dead = members.find(|member| member["peerURLs"][0] == *mine).unwrap();
        dead["ID"].as_u64().unwrap()
    };
    let list = || {
        // The one that was cut off or killed before may have led.
        let done = up.quorate(&format!("member list -w json --command-timeout 30s {others}"));
        serde_json::from_str::<Value>(&done.ok()).unwrap()
    };
    let gone = dead(&list());
    let replace = format!("member replace {gone:x} {others}");
    assert!(up.quorate(&replace).failed(1).contains("runs and answers at"));
    assert_eq!(dead(&list()), gone);
    up.quorate("node kill n4").ok();
    let named = format!("--peer-urls {mine} --name n4 --command-timeout 30s {others}");
    up.quorate(&format!("member replace {gone:x} {named}")).ok();
    assert_ne!(dead(&list()), gone);

    let clients = url(3, "client_url");
    let mut newcomer = Newcomer::new(&up, "n4", [&mine, &clients], &format!("n5={theirs}"));
    until("it has asked in vain", || {
        newcomer.said().contains("joining: waiting for one of the members").then_some(())
    });
    up.quorate("node heal").ok();
    newcomer.until_it_serves("a", "1");
}

#[test]
fn a_newcomer_that_is_killed_at_once_comes_back_without_a_leader() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 3");
    up.quorate("put a 1").ok();
    let mut newcomer = Newcomer::added(&up);
    newcomer.until_it_serves("a", "1");
    // Three of four are a quorum, so that the two that are left cannot elect anybody without it.
    up.quorate("node kill n3").ok();
    newcomer.kill();
    newcomer.start();
    newcomer.until_it_serves("a", "1");
    let others = up.endpoints(|name| name < "n3");
    up.quorate(&format!("put a 2 {others}")).ok();
    newcomer.until_it_serves("a", "2");
}

#[test]
fn a_newcomer_that_is_the_last_one_left_has_nobody_to_ask_and_comes_back() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 1");
    up.quorate("put a 1").ok();
    let mut newcomer = Newcomer::added(&up);
    newcomer.until_it_serves("a", "1");
    let clients = newcomer.clients.clone();
    let founder = up.status().1["members"][0]["id"].as_str().unwrap().to_owned();
    // Not before the newcomer has said its name.
    let remove = format!("member remove {founder} --endpoints {clients}");
    until("it may be removed", || {
        let done = up.quorate(&remove);
        // An answer may be lost with the one that is removed.
        (done.code == Some(0) || done.err.contains("member not found")).then_some(())
    });
    until("the founder has ended", || up.printed().contains("by itself").then_some(()));
    up.quorate(&format!("put a 2 --endpoints {clients}")).ok();
    newcomer.kill();
    newcomer.start();
    newcomer.until_it_serves("a", "2");
}

#[test]
fn a_killed_supervisor_takes_its_members_along() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 1");
    let (file, directory) = (up.file(), up.directory.clone());
    // Drop kills it with SIGKILL.
    drop(up);
    let address = file["members"][0]["client_url"].as_str().unwrap().trim_start_matches("http://");
    until("the member has ended", || TcpStream::connect(address).is_err().then_some(()));
    let error = quorate(&directory, "status").failed(1);
    assert!(error.contains("does not run any more"), "{error}");
    // What it left behind is no obstacle.
    Up::again(&directory, "").until_healthy();
}

#[test]
fn what_stands_in_the_way_is_said_in_one_line() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path(), "--nodes 1");
    let base = up.file()["base_port"].as_u64().unwrap();
    let error = up.quorate("up").failed(1);
    assert!(error.contains(&format!("in use by another `quorate up` (process {})", up.child.id())));
    let error = up.quorate(&format!("up --data-dir other --base-port {base}")).failed(1);
    let taken = format!("port {base}, for the clients of n1, is taken by another process");
    assert!(error.contains(&taken) && error.contains("--base-port"), "{error}");
    let error = up.quorate("up --data-dir .").failed(1);
    assert!(error.contains("which `quorate up` did not make"), "{error}");
    let error = up.quorate("status --data-dir nowhere").failed(1);
    assert!(error.contains("no cluster in nowhere: start one with `quorate up`"), "{error}");
    let error = up.quorate("node explode n1");
    assert!(error.code == Some(2) && error.err.contains("explode"), "{error:?}");

    assert!(up.interrupt().0.success());
    let data = temporary.path().join("quorate-data");
    let error = quorate(temporary.path(), "up --nodes 3").failed(1);
    assert!(error.contains("holds a cluster of 1, not of 3"), "{error}");
    let meta = data.join("n1/data/meta");
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, text.replace("name = n1", "name = n7")).unwrap();
    let error = quorate(temporary.path(), "up").failed(1);
    assert!(error.contains("n1 ended while it was starting: ") && error.contains("is damaged"));
    let file = data.join("cluster.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
    let error = quorate(temporary.path(), "up").failed(1);
    assert!(error.contains("another version of quorate (version 2, this one writes 1)"), "{error}");
    assert!(error.contains("--fresh"), "{error}");
}
