//! A member whose state was changed below all its checksums, as a bad memory chip or a bug would.
//!
//! The story stops a member, opens its state engine, flips one bit of one value and writes it back as
//! properly as the member itself would have: nothing on the disk can tell. What must find out is the
//! comparison with the others. The cluster then takes no writes, and the member serves nobody.

use std::path::Path;
use std::time::Duration;

use quorate_storage::engine::{Generations, Options};
use quorate_store::{Engine, EngineRead};

use crate::story::disarm;
use crate::support::api::alarm_request::AlarmAction;
use crate::support::api::{AlarmMember, AlarmType};
use crate::support::*;

const CORRUPT: &str = "etcdserver: corrupt cluster";

/// A quiet member makes its state durable after 10 seconds; then what it wrote is in its files.
const QUIET: Duration = Duration::from_secs(120);

/// How long it may take until the difference is found.
const LIMIT: Duration = Duration::from_secs(60);

/// Flips a bit in the value of a key; false when the key is in the log only, and would come back.
fn flip(data: &Path, key: &str) -> bool {
    let generations = Generations::open(&data.join("state"), Options::small()).expect("a state");
    let mut engine = generations.open_current().expect("an engine");
    // The newest versions lie behind this byte, the value at a record's end.
    let key = [&[0x10], key.as_bytes()].concat();
    let Some(record) = engine.get(&key).expect("a read") else { return false };
    let mut record = record.to_vec();
    *record.last_mut().expect("a record with a value") ^= 1;
    engine.put(&key, &record);
    let mark = engine.mark();
    engine.publish(mark).expect("a write");
    engine.sync().expect("a sync");
    // The mark was durable before, so the sync has not waited for this.
    assert!(engine.wait_quiet(LIMIT), "the engine does not come to rest");
    true
}

/// Three members with ten keys, one of which was damaged on a member while it was down. It runs again.
async fn damaged(flags: &[&str], leads: bool) -> (Cluster, usize) {
    let mut cluster = Cluster::three(flags).await;
    let leader = cluster.leader().await;
    let victim = if leads { leader } else { cluster.follower().await };
    let client = cluster.client_of(leader).await;
    for number in 0..10 {
        client.write(&format!("k{number}"), "value").await;
    }
    let begun = std::time::Instant::now();
    loop {
        assert!(begun.elapsed() < QUIET, "the state is not in the files of the member");
        // What is asked of a running member would be work, and it is to be quiet for ten seconds, since it
        // was started at that.
        tokio::time::sleep(Duration::from_secs(13)).await;
        cluster.kill(victim);
        let flipped = flip(&cluster.data_dir(victim), "k1");
        cluster.start_again(victim);
        if flipped {
            return (cluster, victim);
        }
    }
}

/// The members that a CORRUPT alarm names.
async fn named(client: &Client) -> Vec<AlarmMember> {
    client.alarm(AlarmAction::Get, 0, AlarmType::Corrupt).await.unwrap_or_default()
}

/// A client of a member that may be on its way up.
fn patient(cluster: &Cluster, member: usize) -> Client {
    Client::patient(cluster.endpoint(member), Duration::from_secs(10))
}

async fn id_of(cluster: &Cluster, member: usize) -> u64 {
    let client = patient(cluster, member);
    eventually("it tells its status", LIMIT, async || client.status().await.is_ok()).await;
    client.status().await.expect("its status").header.expect("a header").member_id
}

/// The alarm names the victim and nobody else; it serves nobody, the others are read, nobody writes.
async fn is_found_out(cluster: &Cluster, victim: usize) {
    let other = (victim + 1) % cluster.size();
    let client = cluster.client_of(other).await;
    eventually("the alarm is on", LIMIT, async || !named(&client).await.is_empty()).await;
    let member_id = id_of(cluster, victim).await;
    let alarm = AlarmType::Corrupt as i32;
    assert_eq!(named(&client).await, [AlarmMember { member_id, alarm }]);
    assert_eq!(text(&client.read("k2").await.expect("it is there").value), "value");
    refused(client.put(put("k3", "x")).await, Code::DataLoss, CORRUPT);

    let wrong = patient(cluster, victim);
    eventually("it serves nobody", LIMIT, async || {
        wrong.range(get("k2")).await.is_err_and(|status| status.code() == Code::DataLoss)
    })
    .await;
    let serializable = api::RangeRequest { serializable: true, ..get("k2") };
    refused(wrong.range(serializable).await, Code::DataLoss, CORRUPT);
    refused(wrong.grant_with(600, 0).await, Code::DataLoss, CORRUPT);
    eventually("it says how it is", LIMIT, async || {
        let status = wrong.status().await;
        status.is_ok_and(|status| status.errors.iter().any(|error| error.contains("CORRUPT")))
    })
    .await;
    eventually("another one leads", LIMIT, async || {
        client.status().await.is_ok_and(|status| ![0, member_id].contains(&status.leader))
    })
    .await;
    assert!(cluster.log(victim).contains("the state of this member is wrong"));
}

#[tokio::test]
async fn what_was_changed_below_the_checksums_is_found_by_reading_everything() {
    let flags = ["--corrupt-check-time=1s", "--fingerprint-check-time=0s"];
    let (mut cluster, victim) = damaged(&flags, true).await;
    is_found_out(&cluster, victim).await;
    // Started again, it serves nobody from its first moment on.
    let told = cluster.log(victim).len();
    cluster.kill(victim);
    cluster.start_again(victim);
    let wrong = patient(&cluster, victim);
    eventually("it answers", LIMIT, async || wrong.status().await.is_ok()).await;
    refused(wrong.range(get("k2")).await, Code::DataLoss, CORRUPT);
    assert!(cluster.log(victim)[told..].contains("it serves nobody before it has compared"));
    // Without it, and with the alarm cleared, the others go on.
    cluster.kill(victim);
    let client = cluster.client_of((victim + 1) % cluster.size()).await;
    eventually("there is a leader", LIMIT, async || {
        disarm(&client).await;
        client.put(put("k4", "x")).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn apply_that_comes_to_something_else_is_found_by_comparing_fingerprints() {
    let (cluster, victim) = damaged(&["--fingerprint-check-time=1s"], false).await;
    let wrong = patient(&cluster, victim);
    eventually("it serves", LIMIT, async || wrong.range(get("k2")).await.is_ok()).await;
    let (mut watching, _) = Watching::open(&wrong, watch_key("elsewhere")).await;
    // What it replaces is not what the others replace.
    let client = cluster.client_of((victim + 1) % cluster.size()).await;
    client.write("k1", "new").await;
    is_found_out(&cluster, victim).await;
    let ended = watching.next_or_error().await.expect_err("an open watch ends");
    assert_eq!((ended.code(), ended.message()), (Code::DataLoss, CORRUPT));
}

#[tokio::test]
async fn a_compaction_is_compared() {
    let flags = [
        "--feature-gates=CompactHashCheck=true",
        "--compact-hash-check-time=1s",
        "--fingerprint-check-time=0s",
    ];
    let (cluster, victim) = damaged(&flags, false).await;
    let client = cluster.client_of((victim + 1) % cluster.size()).await;
    assert!(named(&client).await.is_empty(), "nobody has looked");
    client.compact(5, true).await.expect("a compaction");
    is_found_out(&cluster, victim).await;
}

#[tokio::test]
async fn a_member_that_starts_is_compared_first() {
    let flags = ["--experimental-initial-corrupt-check=true", "--fingerprint-check-time=0s"];
    let (cluster, victim) = damaged(&flags, false).await;
    is_found_out(&cluster, victim).await;
    assert!(cluster.log(victim).contains("compared at the start"));
}

#[tokio::test]
async fn members_that_are_well_agree_whatever_is_compared() {
    let flags = [
        "--corrupt-check-time=100ms",
        "--fingerprint-check-time=100ms",
        "--compact-hash-check-enabled",
        "--compact-hash-check-time=100ms",
        "--initial-corrupt-check",
        "--snapshot-catchup-entries=10",
    ];
    let mut cluster = Cluster::three(&flags).await;
    let victim = cluster.follower().await;
    let client = cluster.client_of(cluster.leader().await).await;
    for round in 0..6 {
        if round % 2 == 0 {
            cluster.kill(victim);
        }
        for number in 0..60 {
            let lease = client.grant(600).await;
            let request = api::PutRequest { lease, ..put(format!("k{}", number % 7), "v") };
            client.put(request).await.expect("a write");
        }
        let revision = client.revision().await;
        client.compact(revision - 20, false).await.expect("a compaction");
        if round % 2 == 0 {
            cluster.start_again(victim);
        } else if let Err(log) = cluster.until_ready().await {
            panic!("it did not come back; its log:\n{log}");
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(named(&client).await.is_empty());
    client.write("k", "v").await;
}
