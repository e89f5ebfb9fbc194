//! Behaviour 66, and what clients expect of every member of a cluster alike.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::api::cluster_client::ClusterClient;
use crate::harness::api::*;
use crate::harness::watching::shown;
use crate::harness::*;

#[tokio::test]
async fn c66_the_member_list_names_every_member_and_carries_no_revision() {
    let cluster = Cluster::three(&[]).await;
    cluster.client().await.write("k", "v").await;
    let mut ids = BTreeSet::new();
    let mut lists = vec![];
    for i in 0..cluster.size() {
        let client = cluster.client_of(i).await;
        // The members publish their names and client URLs after they have joined.
        let complete = |list: &MemberListResponse| {
            list.members
                .iter()
                .all(|member| !member.name.is_empty() && !member.client_ur_ls.is_empty())
        };
        eventually("all members are published", Duration::from_secs(30), async || {
            complete(&client.members(true).await.unwrap())
        })
        .await;
        let mut answer = client.members(true).await.unwrap();
        let header = answer.header.unwrap();
        assert_eq!(header.revision, 0, "membership has no revisions");
        assert!(header.cluster_id != 0);
        ids.insert(header.member_id);
        answer.members.sort_by(|a, b| a.name.cmp(&b.name));
        lists.push(answer.members);
    }
    assert_eq!((&lists[0], &lists[0]), (&lists[1], &lists[2]), "every member tells the same list");
    let members = &lists[0];
    let names = members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["n1", "n2", "n3"]);
    assert_eq!(members.iter().map(|member| member.id).collect::<BTreeSet<_>>(), ids);
    for (i, member) in members.iter().enumerate() {
        assert_eq!(member.client_ur_ls, [cluster.endpoint(i)]);
        assert_eq!(member.peer_ur_ls.len(), 1);
        assert!(!member.is_learner);
    }
}

#[tokio::test]
async fn c66_a_linearizable_member_list_needs_a_quorum() {
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    cluster.kill(1);
    cluster.kill(2);
    assert_eq!(client.members(false).await.unwrap().members.len(), 3);
    let mut request = tonic::Request::new(MemberListRequest { linearizable: true });
    request.set_timeout(Duration::from_millis(1500));
    let answer = ClusterClient::new(client.channel()).member_list(request).await;
    let status = answer.expect_err("two of three members are gone");
    let expected = [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled];
    assert!(expected.contains(&status.code()), "{status:?}");
}

#[tokio::test]
async fn c11_a_linearizable_range_on_any_member_sees_every_acknowledged_write() {
    let cluster = Cluster::three(&[]).await;
    let mut clients = vec![];
    for i in 0..cluster.size() {
        clients.push(cluster.client_of(i).await);
    }
    for round in 0..100 {
        let made = clients[round % 3].write("k", &round.to_string()).await;
        let other = &clients[(round / 3) % 3];
        let answer = other.range(get("k")).await.unwrap();
        assert_eq!(pairs(&answer.kvs), [format!("k={round}")], "a stale read");
        assert!(revision(&answer.header) >= made);
    }
}

#[tokio::test]
async fn every_member_takes_every_write() {
    let cluster = Cluster::three(&[]).await;
    let follower = cluster.client_of(cluster.follower().await).await;
    let leader = cluster.client_of(cluster.leader().await).await;
    assert_eq!(follower.write("k", "2").await, 2);
    let guarded = txn([mod_revision_is("k", 2)], [put("k", "3").op()], [get("k").op()]);
    assert!(follower.txn(guarded.clone()).await.unwrap().succeeded);
    let answer = follower.txn(guarded).await.unwrap();
    assert!(!answer.succeeded);
    assert_eq!(pairs(&range_at(&answer, 0).kvs), ["k=3"]);
    let answer = follower.put(PutRequest { prev_kv: true, ..put("k", "4") }).await.unwrap();
    assert_eq!(text(&answer.prev_kv.unwrap().value), "3");
    follower.compact(4, true).await.unwrap();
    let answer =
        follower.delete(DeleteRangeRequest { prev_kv: true, ..delete("k") }).await.unwrap();
    assert_eq!((answer.deleted, revision(&answer.header)), (1, 5));
    assert_eq!(leader.read("k").await, None);
    let text = "etcdserver: mvcc: required revision has been compacted";
    refused(leader.compact(4, false).await, Code::OutOfRange, text);
}

#[tokio::test]
async fn every_member_tells_its_watchers_the_same_events() {
    let cluster = Cluster::three(&[]).await;
    let mut streams = vec![];
    for i in 0..cluster.size() {
        let client = cluster.client_of(i).await;
        streams.push(Watching::open(&client, watch_prefix("k", 2)).await);
    }
    for i in 0..30 {
        let client = cluster.client_of(i % 3).await;
        client.write("k", &i.to_string()).await;
    }
    let expected = (0..30).map(|i| format!("PUT k={i}@{}", i + 2)).collect::<Vec<_>>();
    for (watching, created) in &mut streams {
        assert_eq!(shown(&watching.events(created.watch_id, 30).await), expected);
    }
}

#[tokio::test]
async fn a_minority_may_die_and_come_back_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::three(&[]).await;
    let leader = cluster.leader().await;
    let survivor = cluster.client_of((leader + 1) % 3).await;
    survivor.write("before", "v").await;
    cluster.kill(leader);
    cluster.leader().await;
    let made = survivor.write("during", "v").await;
    cluster.restart(leader).await;

    let back = cluster.client_of(leader).await;
    assert_eq!(keys(&back.range(range("\0", "\0")).await.unwrap().kvs), ["before", "during"]);
    assert!(back.write("after", "v").await > made);
}

#[tokio::test]
async fn without_a_quorum_a_write_ends_as_unavailable_and_not_in_silence() {
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    client.write("k", "v").await;
    cluster.kill(1);
    cluster.kill(2);
    let status = client.put(put("k", "w")).await.expect_err("two of three members are gone");
    // It may or may not take effect later, and each of these says just that.
    let texts = [
        "etcdserver: request timed out",
        "etcdserver: request timed out, possibly due to previous leader failure",
        "etcdserver: request timed out, possibly due to connection lost",
        "etcdserver: leader changed",
        "etcdserver: no leader",
    ];
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(texts.contains(&status.message()), "{status:?}");
}
