//! Behaviours 55 to 60: how long a lease lives, who may ask, and what goes with it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;

use crate::harness::api::*;
use crate::harness::watching::shown;
use crate::harness::*;

const NOT_FOUND: &str = "etcdserver: requested lease not found";

/// The TTL of leases that are to expire, in seconds: long enough for what comes before that.
const SHORT_TTL: i64 = 5;

#[tokio::test]
async fn c55_a_ttl_below_the_least_is_raised_and_the_answer_says_so() {
    // The shared server has etcd's default election timeout of one second: 1.5 s, in whole seconds.
    let client = shared().await;
    for (asked, granted) in [(-5, 2), (0, 2), (1, 2), (2, 2), (3, 3), (600, 600)] {
        let seen = async || {
            let begun = Instant::now();
            let answer = client.grant_with(asked, 0).await.unwrap();
            assert_eq!(answer.ttl, granted, "asked for {asked}");
            assert_eq!(answer.error, "");
            let told = client.time_to_live(answer.id).await.unwrap().granted_ttl;
            let revoked = client.revoke(answer.id).await.is_ok();
            ((told, revoked), begun.elapsed())
        };
        let (mut told, mut took) = seen().await;
        // On a machine that stood still for as long as the lease lives it may have ended: then once more.
        for _ in 0..5 {
            if took >= Duration::from_secs(granted as u64) {
                (told, took) = seen().await;
            }
        }
        assert_eq!(told, (granted, true), "asked for {asked}");
    }
}

#[tokio::test]
async fn c55_a_ttl_above_nine_thousand_million_seconds_is_out_of_range() {
    let client = shared().await;
    let answer = client.grant_with(9_000_000_000, 0).await.unwrap();
    assert_eq!(answer.ttl, 9_000_000_000);
    client.revoke(answer.id).await.unwrap();
    let answer = client.grant_with(9_000_000_001, 0).await;
    refused(answer, Code::OutOfRange, "etcdserver: too large lease TTL");
}

#[tokio::test]
async fn c55_the_server_picks_a_positive_id_and_a_used_one_is_refused() {
    let client = shared().await;
    let (one, two) = (client.grant(600).await, client.grant(600).await);
    assert!(one > 0 && two > 0 && one != two, "{one} {two}");
    let chosen = client.grant_with(600, 5_555).await.unwrap();
    assert_eq!(chosen.id, 5_555);
    let again = client.grant_with(600, 5_555).await;
    refused(again, Code::FailedPrecondition, "etcdserver: lease already exists");
    for id in [one, two, 5_555] {
        client.revoke(id).await.unwrap();
    }
    // A grant makes no revision of the store, nor does the revoke of a lease without keys.
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let id = client.grant(600).await;
    client.revoke(id).await.unwrap();
    assert_eq!(client.revision().await, 1);
}

#[tokio::test]
async fn c56_keep_alive_of_an_unknown_lease_answers_zero_and_the_stream_goes_on() {
    let client = shared().await;
    let known = client.grant(600).await;
    let (requests, mut answers) = client.keep_alive_stream(4_444).await.unwrap();
    for id in [known, 4_444, known] {
        requests.send(LeaseKeepAliveRequest { id }).await.unwrap();
    }
    for (id, ttl) in [(4_444, 0), (known, 600), (4_444, 0), (known, 600)] {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.id, answer.ttl), (id, ttl));
        assert!(revision(&answer.header) > 0);
    }
    client.revoke(known).await.unwrap();
}

/// As the official Go client renews thousands of leases: a frame for each, and none waits for an answer.
#[tokio::test]
async fn c56_renewals_that_come_all_at_once_are_all_answered() {
    const RENEWALS: usize = 20_000;
    let cluster = Cluster::single(&[]).await;
    let id = cluster.client().await.grant(600).await;
    let address = cluster.endpoint(0).strip_prefix("http://").unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let carried = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request =
        ::http::Request::post(format!("http://{address}/etcdserverpb.Lease/LeaseKeepAlive"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let (answer, mut send) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let message = LeaseKeepAliveRequest { id }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let frame = Bytes::from([&[0], &length[..], &message].concat());
    for renewal in 0..RENEWALS {
        send.send_data(frame.clone(), renewal == RENEWALS - 1).unwrap();
    }
    let mut answers = answer.await.unwrap().into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = answers.data().await {
        let piece = piece.expect("the connection stays");
        answers.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    let status = answers.trailers().await.unwrap().unwrap();
    assert_eq!(status["grpc-status"], "0");
    let (mut rest, mut renewed) = (&bytes[..], 0);
    while let [0, a, b, c, d, after @ ..] = rest {
        let (message, after) = after.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        assert_eq!(LeaseKeepAliveResponse::decode(message).unwrap().ttl, 600);
        (rest, renewed) = (after, renewed + 1);
    }
    assert_eq!((rest.len(), renewed), (0, RENEWALS));
    carried.abort();
}

#[tokio::test]
async fn c56_keep_alive_extends_a_lease_for_another_ttl() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let (kept, left) = (client.grant(SHORT_TTL).await, client.grant(SHORT_TTL).await);
    for (key, lease) in [("kept", kept), ("left", left)] {
        client.put(PutRequest { lease, ..put(key, "v") }).await.unwrap();
    }
    // Keep one of two equal leases alive until the other one is gone, and then for as long again.
    eventually("the other lease expires", Duration::from_secs(30), async || {
        assert_eq!(client.keep_alive(kept).await.unwrap().ttl, SHORT_TTL);
        client.read("left").await.is_none()
    })
    .await;
    assert!(client.read("kept").await.is_some());
    assert!(client.time_to_live(kept).await.unwrap().ttl >= 1);
}

#[tokio::test]
async fn c56_every_member_grants_renews_tells_and_revokes() {
    let cluster = Cluster::three(&[]).await;
    let follower = cluster.client_of(cluster.follower().await).await;
    let leader = cluster.client_of(cluster.leader().await).await;
    let lease = follower.grant(600).await;
    follower.put(PutRequest { lease, ..put("k", "v") }).await.unwrap();
    assert_eq!(follower.keep_alive(lease).await.unwrap().ttl, 600);
    let told = follower.time_to_live(lease).await.unwrap();
    assert_eq!(told.granted_ttl, 600);
    assert!((590..=600).contains(&told.ttl), "{told:?}");
    assert_eq!(told.keys, ["k"]);
    assert_eq!(follower.keep_alive(4_444).await.unwrap().ttl, 0);
    assert_eq!(follower.time_to_live(4_444).await.unwrap().ttl, -1);

    leader.revoke(lease).await.unwrap();
    assert_eq!(follower.read("k").await, None);
    assert_eq!(follower.keep_alive(lease).await.unwrap().ttl, 0);
}

#[tokio::test]
async fn c57_an_expired_lease_cannot_be_renewed() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let mut leases = vec![];
    for i in 0..20 {
        let lease = client.grant(SHORT_TTL).await;
        client.put(PutRequest { lease, ..put(format!("k{i}"), "v") }).await.unwrap();
        leases.push(lease);
    }
    // The clock of a lease starts before its grant is answered, so by now the last one has run out
    // too, though the server may not have got round to revoking it. Waiting is the subject here.
    tokio::time::sleep(Duration::from_secs(SHORT_TTL as u64)).await;
    let (requests, mut answers) = client.keep_alive_stream(leases[19]).await.unwrap();
    for &id in &leases[..19] {
        requests.send(LeaseKeepAliveRequest { id }).await.unwrap();
    }
    for i in 0..20 {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.ttl, 0, "lease {} came back to life", answer.id);
        let key = leases.iter().position(|&id| id == answer.id).unwrap();
        assert_eq!(
            client.read(&format!("k{key}")).await,
            None,
            "answer {i} came before the revoke"
        );
    }
}

#[tokio::test]
async fn c57_an_expired_lease_takes_its_keys_along() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let begun = Instant::now();
    let lease = client.grant(SHORT_TTL).await;
    let (mut watching, created) = Watching::open(&client, watch_prefix("k", 0)).await;
    let ops = ["kb", "ka"].map(|key| PutRequest { lease, ..put(key, "v") }.op());
    let made = revision(&client.txn(always(ops)).await.unwrap().header);
    watching.events(created.watch_id, 2).await;
    let response = watching.next().await;
    assert!(
        begun.elapsed() >= Duration::from_secs(SHORT_TTL as u64),
        "too early: {:?}",
        begun.elapsed()
    );
    let expected = ["ka", "kb"].map(|key| format!("DELETE {key}@{}", made + 1));
    assert_eq!(shown(&response.events), expected, "one revision, keys in order");
    // Watchers may be told before the list of leases is.
    eventually("the lease is gone", Duration::from_secs(30), async || {
        client.leases().await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn c58_time_to_live_of_an_unknown_lease_is_minus_one() {
    let client = shared().await;
    let told = client.time_to_live(4_444).await.unwrap();
    assert_eq!((told.id, told.ttl, told.granted_ttl), (4_444, -1, 0));
    assert_eq!(told.keys, [""; 0]);
    assert!(revision(&told.header) > 0);
}

#[tokio::test]
async fn c58_time_to_live_names_the_keys_only_when_asked() {
    let client = shared().await;
    let lease = client.grant(600).await;
    for key in ["c58/b", "c58/a"] {
        client.put(PutRequest { lease, ..put(key, "v") }).await.unwrap();
    }
    let mut told = client.time_to_live(lease).await.unwrap();
    told.keys.sort();
    assert_eq!(told.keys, ["c58/a", "c58/b"]);
    let request = LeaseTimeToLiveRequest { id: lease, keys: false };
    let told = client.lease().lease_time_to_live(request).await.unwrap().into_inner();
    assert_eq!(told.keys, [""; 0]);
    assert!((590..=600).contains(&told.ttl), "{told:?}");
    // A key that is deleted is no longer on the lease.
    client.delete(delete("c58/a")).await.unwrap();
    assert_eq!(client.time_to_live(lease).await.unwrap().keys, ["c58/b"]);
    client.revoke(lease).await.unwrap();
}

#[tokio::test]
async fn c59_a_revoke_deletes_all_keys_in_one_revision_in_order() {
    let client = shared().await;
    let lease = client.grant(600).await;
    for key in ["c59/c", "c59/a", "c59/b"] {
        client.put(PutRequest { lease, ..put(key, "v") }).await.unwrap();
    }
    client.write("c59/free", "v").await;
    let (mut watching, _) = Watching::open(&client, watch_prefix("c59/", 0)).await;
    let made = revision(&client.revoke(lease).await.unwrap().header);
    let response = watching.next().await;
    let expected = ["a", "b", "c"].map(|name| format!("DELETE c59/{name}@{made}"));
    assert_eq!(shown(&response.events), expected);
    assert_eq!(keys(&client.range(prefix("c59/")).await.unwrap().kvs), ["c59/free"]);
    refused(client.revoke(lease).await, Code::NotFound, NOT_FOUND);
}

#[tokio::test]
async fn c59_a_new_leader_gives_every_lease_its_full_time_again() {
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    let (ttl, worn) = (60, 3);
    let lease = client.grant(ttl).await;
    client.put(PutRequest { lease, ..put("k", "v") }).await.unwrap();
    eventually("the lease wears down", Duration::from_secs(30), async || {
        client.time_to_live(lease).await.unwrap().ttl <= ttl - worn
    })
    .await;
    // Asked only now, for leaders change.
    let leader = cluster.leader().await;
    let client = cluster.client_of((leader + 1) % 3).await;
    cluster.kill(leader);
    cluster.leader().await;
    // The new leader cannot know when the lease was last renewed: it counts from its own election.
    let told = client.time_to_live(lease).await.unwrap();
    assert!(told.ttl > ttl - worn, "{told:?}");
    assert_eq!((told.granted_ttl, told.keys.as_slice()), (ttl, &["k".into()][..]));
    assert_eq!(client.keep_alive(lease).await.unwrap().ttl, ttl);
}

#[tokio::test]
async fn c59_a_new_leader_spreads_leases_that_would_expire_together() {
    let mut cluster = Cluster::single(&[]).await;
    let (count, ttl) = (3000_i64, 60);
    for chunk in 0..count / 100 {
        let client = cluster.client().await;
        let grants = (0..100).map(|i| {
            let client = client.clone();
            tokio::spawn(async move { client.grant_with(ttl, 1 + chunk * 100 + i).await.unwrap() })
        });
        for grant in grants.collect::<Vec<_>>() {
            grant.await.unwrap();
        }
    }
    // When each lease ends, in seconds from here.
    let begun = Instant::now();
    cluster.kill(0);
    cluster.restart(0).await;
    // No lease tells of more than its TTL, which hides how far they are apart until some of it is over.
    let client = cluster.client().await;
    eventually("the leases have worn down", Duration::from_secs(30), async || {
        client.time_to_live(1).await.unwrap().ttl <= ttl - 4
    })
    .await;
    let (mut first, mut last) = (f64::MAX, f64::MIN);
    for id in 1..=count {
        let left = client.time_to_live(id).await.unwrap().ttl as f64;
        let end = begun.elapsed().as_secs_f64() + left;
        (first, last) = (first.min(end), last.max(end));
    }
    // A thousand revokes per second at most, so 3,000 take more than two; the answers round by one.
    assert!(last - first >= 1.5, "all end between {first:.1} s and {last:.1} s");
    assert!(first >= ttl as f64 - 1.5, "a lease was cut short: {first:.1} s");
}

#[tokio::test]
async fn c60_leases_are_listed_in_the_order_they_will_expire() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    assert_eq!(client.leases().await.unwrap(), [0; 0]);
    for (ttl, id) in [(300, 1), (100, 2), (200, 3)] {
        client.grant_with(ttl, id).await.unwrap();
    }
    assert_eq!(client.leases().await.unwrap(), [2, 3, 1]);
    client.revoke(3).await.unwrap();
    assert_eq!(client.leases().await.unwrap(), [2, 1]);
}

#[tokio::test]
async fn c60_listing_leases_is_local_and_needs_no_quorum() {
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    client.grant_with(300, 1).await.unwrap();
    cluster.kill(1);
    cluster.kill(2);
    assert_eq!(client.leases().await.unwrap(), [1]);
}
