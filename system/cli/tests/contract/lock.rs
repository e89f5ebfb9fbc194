//! Behaviours 61 and 62: one holder at a time, in the order of asking, for as long as the lease.

use std::time::Duration;

use quorate_client::etcd::v3lockpb::lock_client::LockClient;
use quorate_client::etcd::v3lockpb::{LockRequest, LockResponse, UnlockRequest};
use rustix::process::Signal;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::floods::gauge;
use crate::harness::api::*;
use crate::harness::*;

/// Asks for a lock, and waits for it.
pub async fn lock(client: &Client, name: &str, lease: i64) -> Result<LockResponse, Status> {
    let request = LockRequest { name: name.to_owned().into(), lease };
    LockClient::new(client.channel()).lock(request).await.map(tonic::Response::into_inner)
}

async fn unlock(client: &Client, key: impl Into<bytes::Bytes>) -> i64 {
    let request = UnlockRequest { key: key.into() };
    let answer = LockClient::new(client.channel()).unlock(request).await.expect("unlock");
    revision(&answer.into_inner().header)
}

/// The same in the background.
pub fn asking(
    client: &Client,
    name: &'static str,
    lease: i64,
) -> JoinHandle<Result<LockResponse, Status>> {
    let client = client.clone();
    tokio::spawn(async move { lock(&client, name, lease).await })
}

/// The keys in line for a lock, first come first.
async fn line(client: &Client, name: &str) -> Vec<KeyValue> {
    let mut kvs = client.range(prefix(&format!("{name}/"))).await.unwrap().kvs;
    kvs.sort_by_key(|kv| kv.create_revision);
    kvs
}

/// Waits until `count` keys are in line.
pub async fn until_in_line(client: &Client, name: &str, count: usize) -> Vec<KeyValue> {
    let begun = std::time::Instant::now();
    loop {
        let kvs = line(client, name).await;
        if kvs.len() == count {
            return kvs;
        }
        let limit = Duration::from_secs(30);
        assert!(begun.elapsed() < limit, "{} in line for {name}, not {count}", kvs.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn c61_the_key_is_named_by_the_lease_and_lives_as_long_as_it() {
    let client = shared().await;
    let lease = client.grant(600).await;
    let answer = lock(&client, "c61/name", lease).await.unwrap();
    assert_eq!(text(&answer.key), format!("c61/name/{lease:x}"));
    let kv = client.read(&text(&answer.key)).await.expect("the key of a holder");
    assert_eq!((kv.lease, kv.value.len()), (lease, 0));
    assert_eq!(revision(&answer.header), kv.create_revision, "taken at once");
    client.revoke(lease).await.unwrap();
    assert!(client.read(&text(&answer.key)).await.is_none());
}

#[tokio::test]
async fn c61_the_same_lease_holds_the_same_lock() {
    let client = shared().await;
    let lease = client.grant(600).await;
    let first = lock(&client, "c61/same", lease).await.unwrap();
    let second = lock(&client, "c61/same", lease).await.unwrap();
    assert_eq!(first.key, second.key);
    let kv = client.read(&text(&first.key)).await.unwrap();
    assert_eq!((kv.create_revision, kv.version), (revision(&first.header), 1), "not put again");
    client.revoke(lease).await.unwrap();
}

#[tokio::test]
async fn c61_without_a_lease_the_server_grants_one_of_sixty_seconds() {
    let client = shared().await;
    let answer = lock(&client, "c61/none", 0).await.unwrap();
    let kv = client.read(&text(&answer.key)).await.unwrap();
    assert!(kv.lease > 0);
    assert_eq!(text(&answer.key), format!("c61/none/{:x}", kv.lease));
    assert_eq!(client.time_to_live(kv.lease).await.unwrap().granted_ttl, 60);
    unlock(&client, answer.key).await;
}

#[tokio::test]
async fn c61_an_unknown_lease_is_refused_and_leaves_nothing() {
    let client = shared().await;
    let code = match Kind::current() {
        Kind::Quorate => Code::NotFound,
        // The recipe runs over a client inside of the server, which loses the code.
        Kind::Etcd => Code::Unknown,
    };
    let answer = lock(&client, "c61/unknown", 77_777).await;
    refused(answer, code, "etcdserver: requested lease not found");
    assert!(line(&client, "c61/unknown").await.is_empty());
}

#[tokio::test]
async fn c61_holders_follow_each_other_in_the_order_of_asking() {
    let client = shared().await;
    let mut leases = Vec::new();
    let mut calls = Vec::new();
    for place in 0..4 {
        let lease = client.grant(600).await;
        leases.push(lease);
        calls.push(asking(&client, "c61/line", lease));
        until_in_line(&client, "c61/line", place + 1).await;
    }
    for (lease, call) in leases.into_iter().zip(calls) {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(text(&answer.key), format!("c61/line/{lease:x}"));
        let waiting = line(&client, "c61/line").await;
        assert_eq!(waiting[0].key, answer.key, "the holder is the oldest");
        assert!(revision(&answer.header) >= waiting[0].create_revision);
        client.revoke(lease).await.unwrap();
    }
}

#[tokio::test]
async fn c61_whoever_uses_the_recipe_itself_stands_in_the_same_line() {
    let client = shared().await;
    let lease = client.grant(600).await;
    let mine = format!("c61/recipe/{lease:x}");
    client.put(PutRequest { lease, ..put(&mine, "") }).await.unwrap();
    let waiter = asking(&client, "c61/recipe", 0);
    until_in_line(&client, "c61/recipe", 2).await;
    assert!(!waiter.is_finished());
    client.delete(delete(&mine)).await.unwrap();
    unlock(&client, waiter.await.unwrap().unwrap().key).await;
}

#[tokio::test]
async fn c61_a_waiter_whose_lease_ends_is_told_so() {
    let client = shared().await;
    let holder = lock(&client, "c61/expired", 0).await.unwrap();
    let lease = client.grant(600).await;
    let waiter = asking(&client, "c61/expired", lease);
    until_in_line(&client, "c61/expired", 2).await;
    client.revoke(lease).await.unwrap();
    unlock(&client, holder.key).await;
    refused(waiter.await.unwrap(), Code::Unknown, "mutex: session is expired");
}

#[tokio::test]
async fn c62_unlock_deletes_the_key_and_is_happy_if_it_is_gone() {
    let client = shared().await;
    let answer = lock(&client, "c62/unlock", 0).await.unwrap();
    let first = unlock(&client, answer.key.clone()).await;
    assert!(first > revision(&answer.header));
    assert!(client.read(&text(&answer.key)).await.is_none());
    unlock(&client, answer.key).await;
    unlock(&client, "c62/never").await;
}

#[tokio::test]
async fn c62_a_caller_who_goes_away_leaves_the_line() {
    let client = shared().await;
    let holder = lock(&client, "c62/cancel", 0).await.unwrap();
    let lease = client.grant(600).await;
    let waiter = asking(&client, "c62/cancel", lease);
    until_in_line(&client, "c62/cancel", 2).await;
    waiter.abort();
    let left = until_in_line(&client, "c62/cancel", 1).await;
    assert_eq!(left[0].key, holder.key, "the holder stays");
    assert!(client.time_to_live(lease).await.unwrap().ttl > 0, "the lease is the caller's");
    // The next in line does not wait for the one who left.
    let next = asking(&client, "c62/cancel", 0);
    until_in_line(&client, "c62/cancel", 2).await;
    unlock(&client, holder.key).await;
    unlock(&client, next.await.unwrap().unwrap().key).await;
}

#[tokio::test]
async fn c62_a_deadline_ends_the_wait_and_the_place() {
    let client = shared().await;
    let holder = lock(&client, "c62/deadline", 0).await.unwrap();
    let mut request = tonic::Request::new(LockRequest { name: "c62/deadline".into(), lease: 0 });
    request.set_timeout(Duration::from_millis(300));
    let late = LockClient::new(client.channel()).lock(request).await.expect_err("held");
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&late.code()), "{late:?}");
    until_in_line(&client, "c62/deadline", 1).await;
    unlock(&client, holder.key).await;
}

/// The longest that a call waits for all those before it.
const IN_LINE: Duration = Duration::from_secs(120);

/// Sixty callers over all members add to a counter that only the lock protects.
#[tokio::test]
async fn c61_a_counter_behind_the_lock_loses_nothing() {
    let cluster = Cluster::three(&[]).await;
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..60 {
        let client = Client::patient(cluster.endpoint(caller % 3), IN_LINE);
        calls.spawn(async move {
            let lease = client.grant(600).await;
            let held = lock(&client, "counter-lock", lease).await.unwrap();
            let count = client.read("counter").await;
            let count = count.map_or(0, |kv| text(&kv.value).parse::<u32>().unwrap());
            client.write("counter", &(count + 1).to_string()).await;
            unlock(&client, held.key).await;
        });
    }
    calls.join_all().await;
    let count = cluster.client().await.read("counter").await.unwrap();
    assert_eq!(text(&count.value), "60");
}

/// A holder whose member is killed keeps the lock until its lease ends; the one who waits on
/// another member then has it.
#[tokio::test]
async fn c61_a_lock_outlives_the_member_that_gave_it() {
    let mut cluster = Cluster::three(&[]).await;
    let follower = cluster.follower().await;
    let other = (0..3).find(|i| *i != follower).unwrap();
    let (one, two) = (cluster.client_of(follower).await, cluster.client_of(other).await);
    let lease = two.grant(600).await;
    let held = lock(&one, "outlives", lease).await.unwrap();
    cluster.kill(follower);
    let waiter = asking(&two, "outlives", 0);
    until_in_line(&two, "outlives", 2).await;
    assert!(!waiter.is_finished());
    two.revoke(lease).await.unwrap();
    let next = waiter.await.unwrap().unwrap();
    assert_ne!(next.key, held.key);
}

/// A member that hears nobody cannot give a lock away, whatever its own state says.
#[tokio::test]
async fn c61_a_member_without_a_quorum_gives_no_lock() {
    let cluster = Cluster::three(&[]).await;
    let follower = cluster.follower().await;
    let client = cluster.client_of(follower).await;
    let others: Vec<usize> = (0..3).filter(|i| *i != follower).collect();
    others.iter().for_each(|i| cluster.signal(*i, Signal::STOP));
    let patient = Client::patient(cluster.endpoint(follower), Duration::from_secs(2));
    let answer = lock(&patient, "cut-off", 0).await;
    others.iter().for_each(|i| cluster.signal(*i, Signal::CONT));
    assert!(answer.is_err(), "{answer:?}");
    let held = lock(&client, "cut-off-2", 0).await.unwrap();
    unlock(&client, held.key).await;
}

#[tokio::test]
async fn those_who_wait_in_line_are_woken_by_what_they_wait_for() {
    // Etcd does not tell.
    if Kind::current() == Kind::Etcd {
        return;
    }
    const WAITERS: usize = 6;
    let cluster = Cluster::single(&[]).await;
    let client = Client::patient(cluster.endpoint(0), IN_LINE);
    let holder = lock(&client, "wakes/line", client.grant(600).await).await.unwrap();
    let mut waiting = Vec::new();
    for place in 0..WAITERS {
        waiting.push(asking(&client, "wakes/line", client.grant(600).await));
        until_in_line(&client, "wakes/line", place + 2).await;
    }
    // Other keys, other lines, and a place far behind in this one.
    for number in 0..100 {
        client.put(put("wakes/other", format!("{number}"))).await.unwrap();
        let other = lock(&client, "wakes/another", 0).await.unwrap();
        unlock(&client, other.key).await;
    }
    let (mut wakes, mut lost) = (0.0, 0);
    // Who has not looked yet sees that its place is lost without being woken: then once more.
    while wakes < 1.0 && lost < 20 {
        lost += 1;
        let last = client.grant(600).await;
        let gives_up = asking(&client, "wakes/line", last);
        until_in_line(&client, "wakes/line", WAITERS + 2).await;
        client.revoke(last).await.unwrap();
        refused(gives_up.await.unwrap(), Code::Unknown, "mutex: session is expired");
        wakes = gauge(cluster.endpoint(0), "quorate_line_wakes_total").await;
    }
    // One for the place that was lost, and one for each whose wait began while something was written.
    let most = (WAITERS + 1 + lost) as f64;
    assert!((1.0..=most).contains(&wakes), "{wakes} wake-ups by what concerns nobody");
    let mut key = holder.key;
    for waiter in waiting {
        unlock(&client, key).await;
        key = waiter.await.unwrap().unwrap().key;
    }
    let more = gauge(cluster.endpoint(0), "quorate_line_wakes_total").await - wakes;
    assert!((1.0..=2.0 * WAITERS as f64).contains(&more), "{more} wake-ups for {WAITERS} turns");
}
