//! The Rust crate `etcd-client`: watches and leases.

use std::time::Duration;

use etcd_client::{
    Client, EventType, PutOptions, WatchFilterType, WatchOptions, WatchResponse, WatchStream,
};
use tokio::time::timeout;

use crate::harness::{CALL_LIMIT, Cluster, eventually};

/// The next response of a watch stream, which must come.
async fn next(stream: &mut WatchStream) -> WatchResponse {
    let message = timeout(CALL_LIMIT, stream.message()).await.expect("a response in time");
    message.unwrap().expect("the stream is open")
}

/// Events as `key=value` or `-key`, over as many responses as it takes.
async fn events(stream: &mut WatchStream, count: usize) -> Vec<String> {
    let mut seen = vec![];
    while seen.len() < count {
        for event in next(stream).await.events() {
            let kv = event.kv().unwrap();
            seen.push(match event.event_type() {
                EventType::Put => format!("{}={}", kv.key_str().unwrap(), kv.value_str().unwrap()),
                EventType::Delete => format!("-{}", kv.key_str().unwrap()),
            });
        }
    }
    seen
}

#[tokio::test]
async fn crate_watches_live_and_from_the_past() {
    let mut client = Cluster::shared().client().await;
    let put = client.put("crate/watch/a", "1", None).await.unwrap();
    let first = put.header().unwrap().revision();
    let past = WatchOptions::new().with_prefix().with_start_revision(first).with_prev_key();
    let mut stream = client.watch("crate/watch/", Some(past)).await.unwrap();
    assert!(next(&mut stream).await.created());
    client.put("crate/watch/a", "2", None).await.unwrap();
    client.put("crate/watch/b", "3", None).await.unwrap();
    client.delete("crate/watch/a", None).await.unwrap();
    let seen = events(&mut stream, 4).await;
    assert_eq!(seen, ["crate/watch/a=1", "crate/watch/a=2", "crate/watch/b=3", "-crate/watch/a"]);

    // A second watcher on the stream, filtered; then progress, and the end of both.
    let filtered = WatchOptions::new().with_prefix().with_filters([WatchFilterType::NoPut]);
    stream.watch("crate/watch/", Some(filtered)).await.unwrap();
    let second = next(&mut stream).await;
    assert!(second.created());
    stream.request_progress().await.unwrap();
    let progress = next(&mut stream).await;
    assert!(progress.events().is_empty() && progress.header().unwrap().revision() > first);
    stream.cancel(second.watch_id()).await.unwrap();
    let cancelled = next(&mut stream).await;
    assert!(cancelled.canceled());
    assert_eq!(cancelled.watch_id(), second.watch_id());
}

async fn key_count(client: &mut Client, key: &str) -> i64 {
    client.get(key, None).await.unwrap().count()
}

#[tokio::test]
async fn crate_leases_are_granted_renewed_told_and_revoked() {
    let mut client = Cluster::shared().client().await;
    let lease = client.lease_grant(60, None).await.unwrap().id();
    client.put("crate/lease", "v", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let (mut keeper, mut answers) = client.lease_keep_alive(lease).await.unwrap();
    for _ in 0..3 {
        keeper.keep_alive().await.unwrap();
        let answer = timeout(CALL_LIMIT, answers.message()).await.unwrap().unwrap().unwrap();
        assert_eq!((answer.id(), answer.ttl()), (lease, 60));
    }
    let options = etcd_client::LeaseTimeToLiveOptions::new().with_keys();
    let told = client.lease_time_to_live(lease, Some(options)).await.unwrap();
    assert_eq!((told.granted_ttl(), told.keys()), (60, &[b"crate/lease".to_vec()][..]));
    assert!((50..=60).contains(&told.ttl()), "{}", told.ttl());
    eventually("the lease is listed", async || {
        client.leases().await.unwrap().leases().iter().any(|status| status.id() == lease)
    })
    .await;

    client.lease_revoke(lease).await.unwrap();
    assert_eq!(key_count(&mut client, "crate/lease").await, 0);
    assert_eq!(client.lease_time_to_live(lease, None).await.unwrap().ttl(), -1);
}

#[tokio::test]
async fn crate_an_expired_lease_deletes_its_keys() {
    let mut client = Cluster::shared().client().await;
    let mut stream = client.watch("crate/expired", None).await.unwrap();
    assert!(next(&mut stream).await.created());
    let lease = client.lease_grant(5, None).await.unwrap();
    assert_eq!(lease.ttl(), 5);
    let leased = PutOptions::new().with_lease(lease.id());
    client.put("crate/expired", "v", Some(leased)).await.unwrap();
    assert_eq!(events(&mut stream, 2).await, ["crate/expired=v", "-crate/expired"]);
    assert_eq!(key_count(&mut client, "crate/expired").await, 0);
}

#[tokio::test]
async fn crate_many_leases_and_watchers_at_once() {
    let cluster = Cluster::shared();
    let mut client = cluster.client().await;
    let mut tasks = vec![];
    for i in 0..16 {
        let mut client = cluster.client().await;
        tasks.push(tokio::spawn(async move {
            let prefix = format!("crate/many/{i}/");
            let all = WatchOptions::new().with_prefix();
            let mut stream = client.watch(prefix.clone(), Some(all)).await.unwrap();
            assert!(next(&mut stream).await.created());
            let lease = client.lease_grant(60, None).await.unwrap().id();
            for n in 0..10 {
                let leased = PutOptions::new().with_lease(lease);
                client.put(format!("{prefix}{n}"), "v", Some(leased)).await.unwrap();
            }
            client.lease_revoke(lease).await.unwrap();
            events(&mut stream, 20).await.iter().filter(|event| event.starts_with('-')).count()
        }));
    }
    for task in tasks {
        assert_eq!(timeout(Duration::from_secs(60), task).await.unwrap().unwrap(), 10);
    }
    assert_eq!(key_count(&mut client, "crate/many/0/0").await, 0);
}
