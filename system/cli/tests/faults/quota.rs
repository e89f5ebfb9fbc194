//! A full quota is left by deleting and compacting, as often as it is reached, and never needs a
//! defragmentation: what takes no space, and what an operator repairs a cluster with, goes through
//! under the alarm.

use std::time::Duration;

use crate::story::{NO_SPACE, disarm};
use crate::support::api::alarm_request::AlarmAction;
use crate::support::api::cluster_client::ClusterClient;
use crate::support::api::{self, AlarmType};
use crate::support::*;

/// The quota of the members.
const QUOTA: i64 = 8 << 20;
/// Bytes of a value.
const VALUE: usize = 100 << 10;
/// How much more than the quota may lie on a member's disk: tables that are being merged.
const BESIDES: i64 = 40 << 20;

const LIMIT: Duration = Duration::from_secs(30);

/// Writes until the quota is reached; how many were acknowledged.
async fn fill(client: &Client, round: usize) -> usize {
    let value = "v".repeat(VALUE);
    for number in 0..2 * QUOTA as usize / VALUE {
        if let Err(status) = client.put(put(format!("fill/{round}/{number:04}"), &value)).await {
            assert_eq!(status.message(), NO_SPACE, "{status:?}");
            return number;
        }
    }
    panic!("the quota of {QUOTA} bytes is never reached");
}

/// Everything that goes through under the alarm, and what does not.
async fn repairs_go_through(client: &Client, lease: i64) {
    let exhausted = Code::ResourceExhausted;
    refused(client.put(put("small", "v")).await, exhausted, NO_SPACE);
    refused(client.grant_with(600, 0).await, exhausted, NO_SPACE);
    refused(client.txn(always([put("small", "v").op()])).await, exhausted, NO_SPACE);
    client.txn(always([delete("fill/none").op()])).await.expect("a transaction that deletes");
    client.keep_alive(lease).await.expect("a renewal");
    client.revoke(lease).await.expect("a revoke");
    assert_eq!(client.read("leased").await, None, "its key went with it");
    let (name, password) = ("repair".to_owned(), "secret".to_owned());
    let add = api::AuthUserAddRequest { name, password, ..Default::default() };
    client.auth().user_add(add).await.expect("a user");
    let delete = api::AuthUserDeleteRequest { name: "repair".to_owned() };
    client.auth().user_delete(delete).await.expect("no user");
    let peer_ur_ls = vec!["http://127.0.0.1:1".to_owned()];
    let learner = api::MemberAddRequest { peer_ur_ls, is_learner: true };
    let mut members = ClusterClient::new(client.channel());
    let added = members.member_add(learner).await.expect("a learner").into_inner();
    let id = added.member.expect("the new member").id;
    members.member_remove(api::MemberRemoveRequest { id }).await.expect("it is gone again");
}

/// Compacts everything away and clears the alarm.
async fn leave(client: &Client) {
    client.compact(client.revision().await, true).await.expect("a compaction");
    // A member that is behind with forgetting raises its alarm again, rightly.
    eventually("there is room", LIMIT, async || {
        disarm(client).await;
        client.put(put("small", "v")).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_full_quota_is_left_without_a_defragmentation_again_and_again() {
    let quota = format!("--quota-backend-bytes={QUOTA}");
    let cluster = Cluster::three(&[&quota]).await;
    let client = cluster.client().await;
    let mut most = 0;
    for round in 0..5 {
        let lease = client.grant(600).await;
        client.put(api::PutRequest { lease, ..put("leased", "v") }).await.expect("a write");
        let written = fill(&client, round).await;
        assert!(written > 20, "round {round}: after {written} values, so little was left");
        repairs_go_through(&client, lease).await;
        client.delete(delete_prefix("fill/")).await.expect("a delete");
        leave(&client).await;
        for member in 0..cluster.size() {
            let client = cluster.client_of(member).await;
            // It has applied what the others have.
            client.read("leased").await;
            let status = client.status().await.expect("its status");
            assert_eq!(status.db_size_quota, QUOTA);
            assert!(status.db_size_in_use < QUOTA / 4, "{status:?}");
            most = most.max(status.db_size);
        }
    }
    println!("dbSize was {most} at most");
    assert!(most < QUOTA + BESIDES, "dbSize grew to {most}");
    assert_eq!(client.alarm(AlarmAction::Get, 0, AlarmType::None).await.expect("a list"), []);
}

#[tokio::test]
async fn a_restart_keeps_the_alarm_and_a_larger_quota_is_room() {
    let quota = format!("--quota-backend-bytes={QUOTA}");
    let mut cluster = Cluster::three(&[&quota]).await;
    fill(&cluster.client().await, 0).await;
    for member in 0..cluster.size() {
        for argument in cluster.arguments(member) {
            if *argument == quota {
                *argument = format!("--quota-backend-bytes={}", 4 * QUOTA);
            }
        }
        cluster.kill(member);
        cluster.restart(member).await;
        let client = cluster.client_of(member).await;
        let still = client.put(put("small", "v")).await;
        refused(still, Code::ResourceExhausted, NO_SPACE);
    }
    // Nothing was deleted: there is room because there may be more.
    let client = cluster.client().await;
    disarm(&client).await;
    for number in 0..50 {
        client.write(&format!("more/{number}"), &"v".repeat(VALUE)).await;
    }
    assert_eq!(client.alarm(AlarmAction::Get, 0, AlarmType::None).await.expect("a list"), []);
}
