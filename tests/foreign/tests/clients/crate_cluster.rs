//! The Rust crate `etcd-client` while the leader dies: nothing acknowledged is lost, and the rest
//! go on.

use std::time::Duration;

use etcd_client::{Client, GetOptions};
use tokio::time::{Instant, sleep};

use crate::harness::{Cluster, connect};

/// Writes until it is acknowledged; the crate does not retry by itself.
async fn put(client: &mut Client, key: &str, value: &str) {
    let begun = Instant::now();
    while let Err(error) = client.put(key, value, None).await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{key} was never acknowledged: {error}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crate_acknowledged_writes_survive_the_leader() {
    let mut cluster = Cluster::start();
    let mut client = cluster.client().await;
    for i in 0..50 {
        put(&mut client, &format!("k/{i:03}"), "before").await;
    }
    let endpoints = cluster.endpoints();
    let writer = tokio::spawn({
        let endpoints = endpoints.clone();
        async move {
            let mut client = connect(&endpoints).await;
            for i in 50..150 {
                put(&mut client, &format!("k/{i:03}"), "during").await;
            }
        }
    });
    let killed = tokio::task::block_in_place(|| cluster.kill_leader());
    writer.await.unwrap();

    for (i, endpoint) in endpoints.iter().enumerate().filter(|&(i, _)| i != killed) {
        let mut client = connect(std::slice::from_ref(endpoint)).await;
        let all = GetOptions::new().with_prefix();
        let answer = client.get("k/", Some(all)).await.unwrap();
        let keys = answer.kvs().iter().map(|kv| kv.key_str().unwrap().to_owned());
        let expected = (0..150).map(|i| format!("k/{i:03}")).collect::<Vec<_>>();
        assert_eq!(keys.collect::<Vec<_>>(), expected, "on member {i}");
    }
}
