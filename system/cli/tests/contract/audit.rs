//! The audit log of Quorate, which etcd has none of: on real processes, verified by the real command.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::auth::{add_role, add_user, allow, as_user, grant_role, with_root};
use crate::harness::*;
use crate::lock::until_in_line;
use quorate_client::etcd::authpb::permission::Type::{Read, Readwrite};
use quorate_client::etcd::v3electionpb::election_client::ElectionClient;
use quorate_client::etcd::v3electionpb::{CampaignRequest, LeaderRequest};
use quorate_client::etcd::v3lockpb::LockRequest;
use quorate_client::etcd::v3lockpb::lock_client::LockClient;

fn verify(log: &Path, against: &[PathBuf]) -> (i32, String) {
    let mut command = Command::new(Kind::Quorate.program());
    command.args(["audit", "verify"]).arg(log);
    for other in against {
        command.arg("--against").arg(other);
    }
    let output = command.output().expect("the command runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("an exit code"), text(&said))
}

/// Three members with an audit log each, in this directory.
async fn audited(dir: &Path) -> (Cluster, Vec<PathBuf>) {
    let logs: Vec<PathBuf> = (0..3).map(|i| dir.join(format!("audit-{i}.log"))).collect();
    let mut cluster =
        Cluster::three(&["--bcrypt-cost=4", "--audit-checkpoint-interval=200ms"]).await;
    for (i, log) in logs.iter().enumerate() {
        cluster.arguments(i).push(format!("--audit-log={}", log.display()));
        cluster.kill(i);
        cluster.restart(i).await;
    }
    (cluster, logs)
}

/// Waits until a log holds a text.
async fn until_it_says(log: &Path, what: &str) {
    let says = async || std::fs::read_to_string(log).is_ok_and(|text| text.contains(what));
    eventually(&format!("{} says {what}", log.display()), Duration::from_secs(30), says).await;
}

/// Waits until a log has a checkpoint of this member, after so many records.
async fn until_vouched(log: &Path, id: u64, records: usize) {
    let checkpoint = format!("\"member\":{id},\"records\":");
    let vouched = |line: &str| {
        let told = line.split_once(&checkpoint)?.1;
        told.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
    };
    let there = async || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines().filter_map(vouched).any(|most| most >= records)
    };
    eventually("another member vouches for these records", Duration::from_secs(30), there).await;
}

#[tokio::test]
async fn who_did_what_is_written_down_and_what_is_forged_is_found() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (cluster, logs) = audited(dir.path()).await;
    let client = cluster.client_of(0).await;
    let root = with_root(&client).await;
    add_user(&root, "alice", "secret-of-alice").await;
    add_role(&root, "r").await;
    grant_role(&root, "alice", "r").await;
    allow(&root, "r", Read, b"a", b"b").await.unwrap();
    let alice = as_user(&client, "alice", "secret-of-alice").await;
    alice.range(get("a")).await.unwrap();
    alice.put(put("a", "1")).await.unwrap_err();
    root.write("z", "1").await;
    until_it_says(&logs[0], "\"touches\":[[\"w\",\"z\",\"\"]]").await;
    let written = std::fs::read_to_string(&logs[0]).unwrap();
    let line = |parts: &[&str]| {
        let found = written.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no record has {parts:?} in:\n{written}");
    };
    line(&["\"user\":\"alice\"", "KV/Range", "[\"r\",\"a\",\"\"]", "\"allowed\":true"]);
    line(&[
        "\"user\":\"alice\"",
        "KV/Put",
        "[\"w\",\"a\",\"\"]",
        "\"allowed\":false",
        "\"code\":7",
    ]);
    line(&["\"user\":\"root\"", "Auth/RoleAdd", "\"intent\":true"]);
    line(&["Auth/UserAdd", "\"subject\":\"user alice\""]);
    line(&["Auth/Authenticate", "\"subject\":\"user alice\""]);
    assert!(!written.contains("secret-of-alice"), "no password is ever written down");

    // The other members hold checkpoints of this log.
    let member = client.status().await;
    let id = member.map_or_else(|_| 0, |status| status.header.unwrap().member_id);
    let id = if id == 0 { root.status().await.unwrap().header.unwrap().member_id } else { id };
    until_vouched(&logs[1], id, written.lines().count()).await;
    root.write("z", "2").await;
    drop(cluster);
    let others = &logs[1..];
    let (code, said) = verify(&logs[0], others);
    assert_eq!(code, 0, "{said}");

    let whole = std::fs::read_to_string(&logs[0]).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let forged = |name: &str, lines: Vec<String>, what: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, lines.concat()).unwrap();
        let (code, said) = verify(&path, others);
        assert!(code == 1 && said.contains(what), "{name}: exit {code}: {said}");
    };
    let own = || lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut all = own();
    all[3] = all[3].replacen("\"allowed\":true", "\"allowed\":false", 1);
    if all[3] == lines[3] {
        all[3] = all[3].replacen("\"seq\":4", "\"seq\":5", 1);
    }
    forged("flipped", all, "changed");
    let mut all = own();
    all.remove(2);
    forged("dropped", all, "changed");
    let mut all = own();
    all.insert(2, lines[1].to_owned());
    forged("inserted", all, "changed");
    let mut all = own();
    all.swap(2, 3);
    forged("moved", all, "changed");
    forged("cut", own()[..3].to_vec(), "the end is missing");
    // A log that was written anew from its beginning, with a good chain of its own.
    let mut before = [0; 32];
    let mut anew = Vec::new();
    for seq in 1..=lines.len() + 5 {
        let body = format!(
            "{{\"seq\":{seq},\"member\":{id},\"user\":\"nobody\",\"before\":\"{}\"",
            quorate_server::audit::chain::hex(&before)
        );
        let (line, hash) = quorate_server::audit::chain::seal(&before, &body);
        anew.push(line);
        before = hash;
    }
    forged("anew", anew, "rewritten");
}

/// The records of a log that have all of these parts.
fn records(log: &Path, parts: &[&str]) -> Vec<String> {
    let written = std::fs::read_to_string(log).unwrap();
    let has = |line: &&str| parts.iter().all(|part| line.contains(part));
    written.lines().filter(has).map(str::to_owned).collect()
}

async fn until_recorded(log: &Path, parts: &[&str]) {
    let there = async || !records(log, parts).is_empty();
    let what = format!("a record of {parts:?} in {}", log.display());
    eventually(&what, Duration::from_secs(30), there).await;
}

/// Locks and elections work in tasks of their own and may outlive their callers: what they touch and
/// what came of it is written down all the same, over the gateway too.
#[tokio::test]
async fn locks_and_elections_name_their_keys() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.log");
    let flag = format!("--audit-log={}", log.display());
    let cluster = Cluster::single(&["--bcrypt-cost=4", &flag]).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    add_user(&root, "alice", "pw").await;
    add_role(&root, "r").await;
    grant_role(&root, "alice", "r").await;
    allow(&root, "r", Readwrite, b"l/", b"l0").await.unwrap();
    let alice = as_user(&client, "alice", "pw").await;
    let lease = alice.grant_with(600, 0xab).await.unwrap().id;
    let lock = |name: &str| LockRequest { name: name.to_owned().into(), lease };
    let locks = |who: &Client| LockClient::new(who.channel());
    locks(&alice).lock(lock("l/one")).await.unwrap();
    locks(&alice).lock(lock("forbidden")).await.unwrap_err();
    let campaign = |name: &str, lease| CampaignRequest {
        name: name.to_owned().into(),
        lease,
        value: "v".into(),
    };
    let election = || ElectionClient::new(alice.channel());
    election().campaign(campaign("l/two", lease)).await.unwrap();
    election().campaign(campaign("forbidden", lease)).await.unwrap_err();
    let alices = ["\"user\":\"alice\"", "\"peer\":\"127.0.0.1:"];
    let of = |parts: &[&'static str]| [&alices[..], parts].concat();
    let (yes, no) = ("\"allowed\":true,\"code\":0", "\"allowed\":false,\"code\":7");
    until_recorded(&log, &of(&["Lock/Lock", "[\"w\",\"l/one/ab\",\"\"]", yes])).await;
    until_recorded(&log, &of(&["Lock/Lock", "[\"w\",\"forbidden/ab\",\"\"]", no])).await;
    until_recorded(&log, &of(&["Election/Campaign", "[\"w\",\"l/two/ab\",\"\"]", yes])).await;
    until_recorded(&log, &of(&["Election/Campaign", "[\"w\",\"forbidden/ab\"", no])).await;

    // Over the gateway: "l/json" and "no".
    let token = client.login("alice", "pw").await.unwrap();
    let post = async |path: &str, name: &str| {
        let body = format!("{{\"name\":\"{name}\",\"lease\":\"{lease}\"}}");
        let headers = [("Authorization", token.as_str())];
        http::send(cluster.endpoint(0), "POST", path, &headers, &body).await.status
    };
    assert_eq!(post("/v3/lock/lock", "bC9qc29u").await, 200);
    assert_eq!(post("/v3/election/campaign", "bm8=").await, 403);
    until_recorded(&log, &of(&["Lock/Lock", "[\"w\",\"l/json/ab\",\"\"]", yes])).await;
    until_recorded(&log, &of(&["Election/Campaign", "[\"w\",\"no/ab\",\"\"]", no])).await;

    // Whoever goes away while it waits has a record too: what became of it nobody told.
    let other = root.grant_with(600, 0xcd).await.unwrap().id;
    let (patient, wanted) = (root.clone(), LockRequest { name: "l/one".into(), lease: other });
    let waiter = tokio::spawn(async move { LockClient::new(patient.channel()).lock(wanted).await });
    until_in_line(&root, "l/one", 2).await;
    waiter.abort();
    until_recorded(&log, &["Lock/Lock", "[\"w\",\"l/one/cd\",\"\"]", "\"abandoned\":true"]).await;
    // An observer that may not look is refused, and recorded as such.
    let request = LeaderRequest { name: "forbidden".into() };
    election().observe(request).await.unwrap_err();
    until_recorded(&log, &of(&["Election/Observe", "[\"r\",\"forbidden/\"", no])).await;
    drop(cluster);
    let (code, said) = verify(&log, &[]);
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn without_a_record_nothing_is_administered() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let mut cluster = Cluster::single(&["--bcrypt-cost=4"]).await;
    // A disk that is full from the beginning.
    cluster.arguments(0).push("--audit-log=/dev/full".to_owned());
    cluster.kill(0);
    cluster.restart(0).await;
    let client = cluster.client().await;
    client.write("a", "keys are served").await;
    let refusal = client.compact(1, false).await.unwrap_err();
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    assert!(refusal.message().contains("the audit log cannot be written"), "{refusal}");
}
