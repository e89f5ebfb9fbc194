//! Members that are stopped and started on purpose, one after another, while clients go on: a new flag, a new kernel, a
//! new build. Nobody may notice.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate_client::etcd::etcdserverpb::{MemberAddRequest, PutRequest, RangeRequest};
use quorate_client::{Client as Retrying, Options};
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::http::look;
use crate::support::*;

/// How many clients there are; each owns a key.
const CLIENTS: usize = 4;
/// How many operations must be done between two restarts.
const BETWEEN: u64 = 60;
/// No wait is longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Clients that write and read, and remember what failed.
struct Clients {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Vec<String>>,
}

impl Clients {
    fn start(cluster: &Cluster) -> Clients {
        let endpoints: Vec<String> =
            (0..cluster.size()).map(|i| cluster.endpoint(i).to_owned()).collect();
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for id in 0..CLIENTS {
            let options = Options { endpoints: endpoints.clone(), ..Options::default() };
            let client = Retrying::new(options).expect("a client");
            tasks.spawn(work(id, client, done.clone(), stop.clone()));
        }
        Clients { done, stop, tasks }
    }

    /// Waits until more operations are done.
    async fn go_on(&self) {
        let (begun, before) = (Instant::now(), self.done.load(Ordering::SeqCst));
        while self.done.load(Ordering::SeqCst) < before + BETWEEN {
            assert!(begun.elapsed() < LIMIT, "{BETWEEN} operations were not done in {LIMIT:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many operations were done, and what failed.
    async fn finish(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let failures = self.tasks.join_all().await.concat();
        (self.done.load(Ordering::SeqCst), failures)
    }
}

/// Puts a number and reads it back, again and again: the only writer of a key reads what it wrote.
async fn work(
    id: usize,
    client: Retrying,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Vec<String> {
    let key = format!("rolling/{id}");
    let mut failures = vec![];
    for number in 1.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let value = number.to_string();
        let put = PutRequest {
            key: key.clone().into(),
            value: value.clone().into(),
            ..PutRequest::default()
        };
        if let Err(error) = client.put(put).await {
            failures.push(format!("put {number} of client {id}: {error:?}"));
            continue;
        }
        let get = RangeRequest { key: key.clone().into(), ..RangeRequest::default() };
        match client.range(get).await {
            Ok(answer) if answer.kvs.first().is_some_and(|kv| kv.value == value.as_bytes()) => {}
            Ok(answer) => failures.push(format!("client {id} reads {answer:?} after {number}")),
            Err(error) => failures.push(format!("get {number} of client {id}: {error:?}")),
        }
        done.fetch_add(2, Ordering::SeqCst);
    }
    failures
}

/// SIGTERM, and waits for the end, which must be the one that was asked for.
async fn stop_gently(cluster: &mut Cluster, member: usize) {
    cluster.signal(member, Signal::TERM);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = cluster.ended(member) {
            break status;
        }
        assert!(begun.elapsed() < LIMIT, "n{} does not end", member + 1);
        sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(status.signal(), Some(libc::SIGTERM), "n{} ended by itself", member + 1);
    // It is gone; this puts it away.
    cluster.kill(member);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request_of_a_retrying_client() {
    // Nobody is elected because this machine stood still for a moment: leadership is handed over or stays.
    let mut cluster =
        Cluster::three(&["--heartbeat-interval=100", "--election-timeout=3000"]).await;
    let clients = Clients::start(&cluster);
    clients.go_on().await;
    let mut led = 0;
    for member in 0..cluster.size() {
        let leader = cluster.leader().await;
        let before = cluster.log(member).len();
        stop_gently(&mut cluster, member).await;
        if leader == member {
            led += 1;
            let said = cluster.log(member)[before..].to_owned();
            assert!(said.contains("handed leadership over"), "it just left: {said}");
        }
        clients.go_on().await;
        cluster.restart(member).await;
        clients.go_on().await;
    }
    // Leadership moves away from whoever is stopped, so the last one to lead may have been stopped before.
    let leader = cluster.leader().await;
    stop_gently(&mut cluster, leader).await;
    assert!(cluster.log(leader).contains("handed leadership over"));
    clients.go_on().await;
    cluster.restart(leader).await;
    let (done, failures) = clients.finish().await;
    println!("{done} operations, {led} leaders among the three restarted in turn");
    assert!(failures.is_empty(), "of {done} operations {} failed: {failures:#?}", failures.len());
    assert!(done >= 7 * BETWEEN);
}

/// The level that a member sees in its cluster; nothing from a build that tells none.
async fn cluster_level(cluster: &Cluster, member: usize) -> Option<u64> {
    let answer = look(cluster.endpoint(member), "/version").await;
    serde_json::from_str::<Value>(&answer.body).ok()?["cluster_level"].as_u64()
}

async fn until_level(cluster: &Cluster, member: usize, level: u64) {
    let begun = Instant::now();
    loop {
        let now = cluster_level(cluster, member).await;
        if now == Some(level) {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "n{} is at level {now:?}, not {level}", member + 1);
        sleep(Duration::from_millis(50)).await;
    }
}

/// Asks one member for what the first builds did not know.
async fn add_learner(cluster: &Cluster, member: usize) -> Result<(), quorate_client::Error> {
    let endpoints = vec![cluster.endpoint(member).to_owned()];
    let client = Retrying::new(Options { endpoints, ..Options::default() })?;
    let peer_ur_ls = vec!["http://127.0.0.1:1".to_owned()];
    let request = MemberAddRequest { peer_ur_ls, is_learner: true };
    client.member_add(request).await.map(drop)
}

/// Needs `QUORATE_OLD_BIN`, the program of an earlier build that told no level; without it there is nothing to test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_upgrade_fails_no_request_and_one_member_may_go_back() {
    let Some(old) = std::env::var_os("QUORATE_OLD_BIN").map(PathBuf::from) else {
        println!("QUORATE_OLD_BIN is not set: nothing to upgrade from");
        return;
    };
    let new = Kind::Quorate.program();
    let mut cluster = Cluster::three(&[]).await;
    assert_eq!(cluster_level(&cluster, 0).await, Some(3), "all are of this build");
    drop(cluster);
    cluster = Cluster::three_of(&old).await;
    let clients = Clients::start(&cluster);
    clients.go_on().await;
    for member in 0..cluster.size() {
        stop_gently(&mut cluster, member).await;
        cluster.set_program(member, &new);
        cluster.restart(member).await;
        clients.go_on().await;
        if member + 1 < cluster.size() {
            until_level(&cluster, member, 1).await;
            let refused = add_learner(&cluster, member).await.unwrap_err();
            assert_eq!(refused.to_string(), "etcdserver: not capable");
        }
    }
    for member in 0..cluster.size() {
        until_level(&cluster, member, 3).await;
    }
    // Back, as long as nothing was written that the old build cannot read, and forward again.
    stop_gently(&mut cluster, 1).await;
    cluster.set_program(1, &old);
    cluster.restart(1).await;
    clients.go_on().await;
    until_level(&cluster, 0, 1).await;
    stop_gently(&mut cluster, 1).await;
    cluster.set_program(1, &new);
    cluster.restart(1).await;
    clients.go_on().await;
    until_level(&cluster, 0, 3).await;
    // What only this build can read is possible from now on, and going back is not.
    add_learner(&cluster, 0).await.expect("all members can read it");
    let (done, failures) = clients.finish().await;
    println!("{done} operations over two upgrades and a way back");
    assert!(failures.is_empty(), "of {done} operations {} failed: {failures:#?}", failures.len());
}
