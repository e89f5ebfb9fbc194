//! Members come and go while the cluster runs: behaviour 66, and what an operator does about a dead
//! machine. Only this server has learners that are promoted by themselves, and etcd refuses every change until all members
//! have known each other for five seconds: most of these are its own.

use std::time::Duration;

use crate::harness::api::cluster_client::ClusterClient;
use crate::harness::api::*;
use crate::harness::ports::free_ports;
use crate::harness::*;
use tonic::Status;

const LONG: Duration = Duration::from_secs(30);

fn service(client: &Client) -> ClusterClient<client::Line> {
    ClusterClient::new(client.channel())
}

async fn add(client: &Client, url: &str, is_learner: bool) -> Result<MemberAddResponse, Status> {
    let peer_ur_ls = vec![url.to_owned()];
    let request = MemberAddRequest { peer_ur_ls, is_learner };
    service(client).member_add(request).await.map(tonic::Response::into_inner)
}

async fn remove(client: &Client, id: u64) -> Result<MemberRemoveResponse, Status> {
    let removed = service(client).member_remove(MemberRemoveRequest { id }).await;
    removed.map(tonic::Response::into_inner)
}

/// Waits until a member has ended by itself.
async fn until_ended(cluster: &mut Cluster, i: usize) {
    let begun = std::time::Instant::now();
    while cluster.ended(i).is_none() {
        assert!(begun.elapsed() < LONG, "member {} does not end: {}", i + 1, cluster.log(i));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn id_of(cluster: &Cluster, i: usize) -> u64 {
    cluster.client_of(i).await.status().await.unwrap().header.unwrap().member_id
}

async fn member(client: &Client, id: u64) -> Option<Member> {
    let list = client.members(false).await.ok()?;
    list.members.into_iter().find(|member| member.id == id)
}

#[tokio::test]
async fn c66_a_member_that_is_added_as_a_learner_catches_up_votes_and_is_removed() {
    // Etcd: see the head of this file.
    if Kind::current() == Kind::Etcd {
        return;
    }
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    for i in 0..50 {
        client.write(&format!("k{i}"), "v").await;
    }
    let ports = free_ports(2);
    let url = format!("http://127.0.0.1:{}", ports[1]);
    let taken = client.members(true).await.unwrap().members[0].peer_ur_ls[0].clone();
    let twice = add(&client, &taken, true).await.expect_err("another member has this address");
    assert_eq!(
        (twice.code(), twice.message()),
        (Code::FailedPrecondition, "etcdserver: Peer URLs already exists")
    );
    let bad = add(&client, "127.0.0.1:1", false).await.expect_err("no scheme");
    assert_eq!(bad.message(), "etcdserver: given member URLs are invalid");
    let added = add(&client, &url, true).await.unwrap();
    let id = added.member.unwrap().id;
    assert_eq!(added.members.len(), 4);
    let many =
        add(&client, "http://127.0.0.1:1", true).await.expect_err("one learner may be there");
    assert_eq!(many.message(), "etcdserver: too many learner members in cluster");
    let mut early = service(&client);
    let early = early.member_promote(MemberPromoteRequest { id }).await.expect_err("not started");
    assert_eq!(
        early.message(),
        "etcdserver: can only promote a learner member which is in sync with leader"
    );

    cluster.join(&ports, &added.members, id);
    cluster.until_ready().await.unwrap();
    eventually("the learner is promoted and known by name", LONG, async || {
        member(&client, id).await.is_some_and(|new| !new.is_learner && new.name == "n4")
    })
    .await;
    let newest = cluster.client_of(3).await;
    // It hears last that it votes.
    eventually("the newest has everything", LONG, async || {
        let found = newest.range(get("k49")).await;
        found.is_ok_and(|found| found.kvs.len() == 1 && found.kvs[0].value.as_ref() == b"v")
    })
    .await;
    // It counts: with one of the first three down, it is needed and helps.
    cluster.kill(2);
    client.write("with four", "v").await;
    assert!(!newest.status().await.unwrap().is_learner);

    let gone = remove(&client, id).await.unwrap();
    assert_eq!(gone.members.len(), 3);
    let unknown = remove(&client, id).await.expect_err("removed already");
    assert_eq!(
        (unknown.code(), unknown.message()),
        (Code::NotFound, "etcdserver: member not found")
    );
    until_ended(&mut cluster, 3).await;
    assert!(cluster.log(3).contains("was removed from cluster"), "{}", cluster.log(3));
    client.write("with two of three", "v").await;
    // Started again, it has no effect and says why.
    cluster.kill(3);
    cluster.start_again(3);
    until_ended(&mut cluster, 3).await;
}

#[tokio::test]
async fn c66_a_leader_removes_itself_and_the_others_go_on() {
    // Etcd: see the head of this file.
    if Kind::current() == Kind::Etcd {
        return;
    }
    let mut cluster = Cluster::three(&[]).await;
    let leader = cluster.leader().await;
    let id = id_of(&cluster, leader).await;
    let client = cluster.client_of(leader).await;
    client.write("before", "v").await;
    remove(&client, id).await.unwrap();
    until_ended(&mut cluster, leader).await;
    cluster.kill(leader);
    let other = cluster.client_of((leader + 1) % 3).await;
    eventually("the others lead and write", LONG, async || {
        other.put(put("after", "v")).await.is_ok()
    })
    .await;
    assert_eq!(other.members(true).await.unwrap().members.len(), 2);
    assert_eq!(other.read("before").await.unwrap().value.as_ref(), b"v");
    // All that is left comes back with the membership of its own disk, whatever the flags say.
    for i in (0..3).filter(|i| *i != leader) {
        cluster.kill(i);
    }
    for i in (0..3).filter(|i| *i != leader) {
        cluster.start_again(i);
    }
    cluster.until_ready().await.unwrap();
    let other = cluster.client_of((leader + 1) % 3).await;
    assert_eq!(other.members(true).await.unwrap().members.len(), 2);
}

#[tokio::test]
async fn c66_a_dead_member_is_replaced_while_clients_write() {
    // Etcd: see the head of this file.
    if Kind::current() == Kind::Etcd {
        return;
    }
    let mut cluster = Cluster::three(&[]).await;
    let follower = cluster.follower().await;
    let dead = id_of(&cluster, follower).await;
    let alive = cluster.client_of((follower + 1) % 3).await;
    let writer = alive.clone();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (told, count) = tokio::sync::watch::channel(0);
    let writing = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        for i in 0.. {
            if *stopped.borrow() {
                break;
            }
            let key = format!("w{i}");
            if writer.put(put(&key, "v")).await.is_ok() {
                acknowledged.push(key);
                told.send_replace(acknowledged.len());
            }
        }
        acknowledged
    });
    cluster.kill(follower);
    remove(&alive, dead).await.unwrap();
    let ports = free_ports(2);
    let added = add(&alive, &format!("http://127.0.0.1:{}", ports[1]), false).await.unwrap();
    let id = added.member.unwrap().id;
    cluster.join(&ports, &added.members, id);
    cluster.until_ready().await.unwrap();
    eventually("the successor votes", LONG, async || {
        let fresh = cluster.client_of(3).await;
        fresh.status().await.is_ok_and(|status| !status.is_learner)
            && member(&alive, id).await.is_some_and(|new| new.name == "n4")
    })
    .await;
    eventually("there are enough writes", LONG, async || *count.borrow() > 20).await;
    stop.send_replace(true);
    let acknowledged = writing.await.unwrap();
    let fresh = cluster.client_of(3).await;
    for key in &acknowledged {
        assert!(fresh.read(key).await.is_some(), "{key} was acknowledged and is gone");
    }
    // The dead one comes back to life: it is refused, and the new one is not disturbed.
    cluster.start_again(follower);
    until_ended(&mut cluster, follower).await;
    let log = cluster.log(follower);
    assert!(log.contains("was removed from cluster"), "{log}");
    alive.write("after the zombie", "v").await;
}

#[tokio::test]
async fn c66_a_learner_answers_little_and_a_strict_cluster_refuses_to_lose_its_quorum() {
    // Etcd: see the head of this file.
    if Kind::current() == Kind::Etcd {
        return;
    }
    let mut cluster = Cluster::three(&["--auto-promote-learners=false"]).await;
    let client = cluster.client().await;
    client.write("k", "v").await;
    let ports = free_ports(2);
    let added = add(&client, &format!("http://127.0.0.1:{}", ports[1]), true).await.unwrap();
    let id = added.member.unwrap().id;
    cluster.join(&ports, &added.members, id);
    cluster.until_ready().await.unwrap();
    let learner = cluster.client_of(3).await;
    eventually("the learner has the key", LONG, async || {
        let stale = RangeRequest { serializable: true, ..get("k") };
        learner.range(stale).await.is_ok_and(|answer| answer.count == 1)
    })
    .await;
    assert!(learner.status().await.unwrap().is_learner);
    let refused = "etcdserver: rpc not supported for learner";
    assert_eq!(learner.range(get("k")).await.unwrap_err().message(), refused);
    assert_eq!(learner.put(put("k", "w")).await.unwrap_err().message(), refused);
    assert_eq!(learner.leases().await.unwrap_err().message(), refused);
    eventually("it may be promoted", LONG, async || {
        service(&client).member_promote(MemberPromoteRequest { id }).await.is_ok()
    })
    .await;
    let again = service(&client).member_promote(MemberPromoteRequest { id }).await.unwrap_err();
    assert_eq!(again.message(), "etcdserver: can only promote a learner member");
    // It hears last that it votes.
    eventually("it takes writes", LONG, async || learner.put(put("k", "w")).await.is_ok()).await;

    // Two of four are down: the removal of one that answers would leave too few.
    let leader = cluster.leader().await;
    let spare = (0..3).find(|i| *i != leader).unwrap();
    cluster.kill(spare);
    let others: Vec<usize> = (0..3).filter(|i| *i != spare && *i != leader).collect();
    let keep = id_of(&cluster, others[0]).await;
    let leading = cluster.client_of(leader).await;
    eventually("the leader misses a member", LONG, async || {
        let answer = add(&leading, "http://127.0.0.1:1", false).await;
        answer.is_err_and(|status| status.message() == "etcdserver: unhealthy cluster")
    })
    .await;
    // Before the leader missed it an addition may have passed; one that is refused changes nothing.
    let members = async || leading.members(true).await.unwrap().members.len();
    let before = members().await;
    let refusal = add(&leading, "http://127.0.0.1:2", false).await.unwrap_err();
    assert_eq!(refusal.message(), "etcdserver: unhealthy cluster");
    assert_eq!(members().await, before);
    assert!(member(&leading, keep).await.is_some());
}
