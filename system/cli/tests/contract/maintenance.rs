//! Behaviours 67 and 68, and the services beside etcd's own: Status, hashes, Snapshot, health and
//! reflection.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::api::alarm_request::AlarmAction;
use crate::harness::api::*;
use crate::harness::*;

/// The largest piece of a snapshot, in bytes.
const BLOB: usize = 32 * 1024;

#[tokio::test]
async fn c67_status_describes_the_member_and_what_it_knows_of_the_cluster() {
    let cluster = Cluster::three(&[]).await;
    let (mut statuses, mut leader_id) = (Vec::new(), 0);
    // Leaders change: what the members say at one time is what is compared.
    eventually("all members follow one leader", Duration::from_secs(30), async || {
        statuses.clear();
        for i in 0..cluster.size() {
            let client = cluster.client_of(i).await;
            client.write("k", "v").await;
            statuses.push(client.status().await.unwrap());
        }
        leader_id = statuses[0].leader;
        leader_id != 0 && statuses.iter().all(|s| s.leader == leader_id && s.errors.is_empty())
    })
    .await;
    assert!(statuses.iter().any(|s| s.header.as_ref().unwrap().member_id == leader_id));
    for (i, status) in statuses.into_iter().enumerate() {
        let client = cluster.client_of(i).await;
        assert!(status.version.starts_with("3.7."), "{:?}", status.version);
        assert!(status.raft_term > 0);
        assert_eq!(status.raft_term, status.header.unwrap().raft_term);
        assert!(status.raft_applied_index > 0 && status.raft_applied_index <= status.raft_index);
        assert!(status.db_size > 0 && status.db_size_in_use > 0);
        assert!(status.db_size_in_use <= status.db_size);
        assert_eq!(status.db_size_quota, 2 << 30, "the default quota");
        assert!(!status.is_learner);
        assert_eq!(status.errors, [""; 0]);
        assert_eq!(status.downgrade_info.unwrap(), DowngradeInfo::default());
        // The members agree on a storage version a moment after the first election.
        eventually("a storage version", Duration::from_secs(10), async || {
            client.status().await.unwrap().storage_version == "3.7.0"
        })
        .await;
    }
}

#[tokio::test]
async fn c67_status_names_the_alarms() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    client.alarm(AlarmAction::Activate, 1111, AlarmType::Nospace).await.unwrap();
    let status = client.status().await.unwrap();
    assert_eq!(status.errors.len(), 1);
    let error = &status.errors[0];
    assert!(error.contains("1111") && error.contains("NOSPACE"), "{error:?}");
}

#[tokio::test]
async fn c67_the_quota_in_the_status_is_the_setting() {
    let cluster = Cluster::single(&["--quota-backend-bytes", "123456789"]).await;
    assert_eq!(cluster.client().await.status().await.unwrap().db_size_quota, 123_456_789);
}

/// All messages of one snapshot.
async fn snapshot(client: &Client) -> Vec<SnapshotResponse> {
    let mut messages = vec![];
    let mut stream = client.maintenance().snapshot(SnapshotRequest {}).await.unwrap().into_inner();
    while let Some(message) = stream.message().await.unwrap() {
        messages.push(message);
    }
    messages
}

#[tokio::test]
async fn c68_a_snapshot_is_pieces_that_count_down_and_then_their_digest() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for i in 0..20 {
        client.put(put(format!("k{i}"), vec![b'x'; 10_000])).await.unwrap();
    }
    eventually("a storage version", Duration::from_secs(10), async || {
        !client.status().await.unwrap().storage_version.is_empty()
    })
    .await;
    let mut messages = snapshot(&client).await;
    let digest = messages.pop().unwrap();
    let mut remaining = messages.iter().map(|message| message.blob.len() as u64).sum::<u64>();
    // Clients tell a snapshot with a digest from one without by this: 512 divides all but the digest.
    assert!(remaining > 0 && remaining % 512 == 0, "{remaining} bytes");
    let mut hasher = Sha256::new();
    for message in &messages {
        assert!(message.blob.len() <= BLOB, "a piece of {} bytes", message.blob.len());
        remaining -= message.blob.len() as u64;
        assert_eq!(message.remaining_bytes, remaining);
        hasher.update(&message.blob);
    }
    assert_eq!(digest.remaining_bytes, 0);
    assert_eq!(digest.blob, hasher.finalize().to_vec());
    assert!(messages.iter().all(|message| message.version == "3.7.0"), "{:?}", messages[0].version);
}

#[tokio::test]
async fn c68_two_snapshots_in_a_row_work_and_so_does_writing_meanwhile() {
    let client = shared().await;
    client.write("c68", "1").await;
    let (one, two) = tokio::join!(snapshot(&client), snapshot(&client));
    assert!(one.len() >= 2 && two.len() >= 2);
    client.write("c68", "2").await;
    assert!(snapshot(&client).await.len() >= 2);
}

#[tokio::test]
async fn c68_hash_kv_is_a_function_of_the_history_up_to_a_revision() {
    let cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    for value in ["2", "3", "4", "5"] {
        client.write("k", value).await;
    }
    let at_three = client.hash_kv(3).await.unwrap();
    assert_eq!((at_three.hash_revision, revision(&at_three.header)), (3, 5));
    let newest = client.hash_kv(0).await.unwrap();
    assert_eq!(newest.hash_revision, 5);
    assert_eq!(client.hash_kv(5).await.unwrap().hash, newest.hash, "0 is the newest revision");
    assert_ne!(at_three.hash, newest.hash);

    // Later writes change nothing about an earlier revision, and every member says the same.
    client.write("other", "6").await;
    for i in 0..cluster.size() {
        let member = cluster.client_of(i).await;
        member.read("k").await.unwrap();
        assert_eq!(member.hash_kv(3).await.unwrap().hash, at_three.hash);
        assert_eq!(member.hash_kv(5).await.unwrap().hash, newest.hash);
        assert_ne!(member.hash_kv(6).await.unwrap().hash, newest.hash);
    }
    client.compact(4, true).await.unwrap();
    let answer = client.hash_kv(5).await.unwrap();
    assert_eq!((answer.hash_revision, answer.compact_revision), (5, 4));
    let text = "etcdserver: mvcc: required revision has been compacted";
    refused(client.hash_kv(3).await, Code::OutOfRange, text);
    let text = "etcdserver: mvcc: required revision is a future revision";
    refused(client.hash_kv(7).await, Code::OutOfRange, text);
}

#[tokio::test]
async fn hash_and_defragment_answer() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    client.write("k", "v").await;
    let answer = client.maintenance().hash(HashRequest {}).await.unwrap().into_inner();
    assert_eq!(revision(&answer.header), 2);
    client.maintenance().defragment(DefragmentRequest {}).await.unwrap();
    assert_eq!(text(&client.read("k").await.unwrap().value), "v");
}

#[tokio::test]
async fn the_health_service_says_serving() {
    let client = shared().await;
    let mut health = HealthClient::new(client.channel());
    let request = HealthCheckRequest { service: String::new() };
    let answer = health.check(request).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    let unknown = HealthCheckRequest { service: "no.such.Service".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

/// etcd has no reflection service; ours lists etcd's services. See docs/etcd-differences.md.
#[tokio::test]
async fn the_reflection_service_lists_the_services() {
    let client = shared().await;
    let mut reflection = ServerReflectionClient::new(client.channel());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answer = reflection.server_reflection_info(tokio_stream::once(request)).await;
    if Kind::current() == Kind::Etcd {
        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
        return;
    }
    let message = answer.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = message.message_response else {
        panic!("not a list of services: {message:?}");
    };
    let names = list.service.iter().map(|service| service.name.as_str()).collect::<Vec<_>>();
    for service in ["KV", "Watch", "Lease", "Cluster", "Maintenance"] {
        let name = format!("etcdserverpb.{service}");
        assert!(names.contains(&name.as_str()), "{name} is not among {names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}
