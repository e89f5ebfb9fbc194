//! Behaviour 63: who is elected, how that is proved, and how others hear of it.

use std::time::Duration;

use quorate_client::etcd::v3electionpb::election_client::ElectionClient;
use quorate_client::etcd::v3electionpb::*;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::harness::api::{DeleteRangeRequest, KeyValue};
use crate::harness::*;
use crate::lock::until_in_line;

const LIMIT: Duration = Duration::from_secs(30);

fn election(client: &Client) -> ElectionClient<client::Line> {
    ElectionClient::new(client.channel())
}

async fn campaign(
    client: &Client,
    name: &str,
    lease: i64,
    value: &str,
) -> Result<CampaignResponse, Status> {
    let request =
        CampaignRequest { name: name.to_owned().into(), lease, value: value.to_owned().into() };
    election(client).campaign(request).await.map(tonic::Response::into_inner)
}

fn running(
    client: &Client,
    name: &'static str,
    lease: i64,
    value: &'static str,
) -> JoinHandle<Result<CampaignResponse, Status>> {
    let client = client.clone();
    tokio::spawn(async move { campaign(&client, name, lease, value).await })
}

async fn proclaim(
    client: &Client,
    leader: Option<LeaderKey>,
    value: &str,
) -> Result<ProclaimResponse, Status> {
    let request = ProclaimRequest { leader, value: value.to_owned().into() };
    election(client).proclaim(request).await.map(tonic::Response::into_inner)
}

async fn resign(client: &Client, leader: Option<LeaderKey>) -> Result<ResignResponse, Status> {
    election(client).resign(ResignRequest { leader }).await.map(tonic::Response::into_inner)
}

async fn leader(client: &Client, name: &str) -> Result<KeyValue, Status> {
    let answer = election(client).leader(LeaderRequest { name: name.to_owned().into() }).await?;
    let answer = answer.into_inner();
    assert!(revision(&answer.header) > 0);
    Ok(answer.kv.expect("a leader's key"))
}

async fn observe(client: &Client, name: &str) -> Streaming<LeaderResponse> {
    let request = LeaderRequest { name: name.to_owned().into() };
    // A server may hold back its headers until it has something to answer.
    let call = timeout(LIMIT, async { election(client).observe(request).await });
    call.await.expect("a stream").expect("observe").into_inner()
}

async fn seen(stream: &mut Streaming<LeaderResponse>) -> LeaderResponse {
    let answer = timeout(LIMIT, stream.message()).await.expect("an answer in time");
    answer.expect("no error").expect("the stream goes on")
}

async fn value_seen(stream: &mut Streaming<LeaderResponse>) -> String {
    text(&seen(stream).await.kv.expect("a pair").value)
}

#[tokio::test]
async fn c63_the_elected_gets_the_proof() {
    let client = shared().await;
    let lease = client.grant(600).await;
    let answer = campaign(&client, "c63/proof", lease, "one").await.unwrap();
    let proof = answer.leader.expect("a leader key");
    assert_eq!(text(&proof.name), "c63/proof");
    assert_eq!(text(&proof.key), format!("c63/proof/{lease:x}"));
    assert_eq!(proof.lease, lease);
    let kv = leader(&client, "c63/proof").await.unwrap();
    assert_eq!((kv.key, kv.create_revision, kv.lease), (proof.key, proof.rev, lease));
    assert_eq!(text(&kv.value), "one");
    assert_eq!(revision(&answer.header), proof.rev);
    client.revoke(lease).await.unwrap();
}

#[tokio::test]
async fn c63_without_a_lease_the_server_grants_one() {
    let client = shared().await;
    let proof = campaign(&client, "c63/lease", 0, "x").await.unwrap().leader.unwrap();
    assert_eq!(client.time_to_live(proof.lease).await.unwrap().granted_ttl, 60);
    client.revoke(proof.lease).await.unwrap();
}

#[tokio::test]
async fn c63_nobody_is_elected_where_nobody_ran() {
    let client = shared().await;
    refused(leader(&client, "c63/nobody").await, Code::Unknown, "election: no leader");
}

#[tokio::test]
async fn c63_a_proclamation_needs_the_proof() {
    let client = shared().await;
    let proof = campaign(&client, "c63/proclaim", 0, "one").await.unwrap().leader.unwrap();
    let answer = proclaim(&client, Some(proof.clone()), "two").await.unwrap();
    let kv = leader(&client, "c63/proclaim").await.unwrap();
    assert_eq!((text(&kv.value), kv.mod_revision), ("two".to_owned(), revision(&answer.header)));
    assert_eq!(kv.create_revision, proof.rev);
    let old = LeaderKey { rev: proof.rev - 1, ..proof.clone() };
    let refusal = "election: not leader";
    refused(proclaim(&client, Some(old), "three").await, Code::Unknown, refusal);
    let missing = "\"leader\" field must be provided";
    refused(proclaim(&client, None, "three").await, Code::Unknown, missing);
    refused(resign(&client, None).await, Code::Unknown, missing);
    resign(&client, Some(proof.clone())).await.unwrap();
    refused(proclaim(&client, Some(proof.clone()), "four").await, Code::Unknown, refusal);
    // Resigning twice changes nothing and is no error.
    let before = client.revision().await;
    resign(&client, Some(proof)).await.unwrap();
    refused(leader(&client, "c63/proclaim").await, Code::Unknown, "election: no leader");
    assert!(client.revision().await >= before);
}

#[tokio::test]
async fn c63_candidates_follow_each_other() {
    let client = shared().await;
    let first = campaign(&client, "c63/line", 0, "first").await.unwrap().leader.unwrap();
    let second = running(&client, "c63/line", 0, "second");
    until_in_line(&client, "c63/line", 2).await;
    let third = running(&client, "c63/line", 0, "third");
    until_in_line(&client, "c63/line", 3).await;
    assert!(!second.is_finished() && !third.is_finished());
    resign(&client, Some(first)).await.unwrap();
    let second = second.await.unwrap().unwrap().leader.unwrap();
    assert_eq!(text(&leader(&client, "c63/line").await.unwrap().value), "second");
    assert!(!third.is_finished());
    resign(&client, Some(second)).await.unwrap();
    let third = third.await.unwrap().unwrap().leader.unwrap();
    resign(&client, Some(third)).await.unwrap();
}

#[tokio::test]
async fn c63_running_again_with_the_same_lease_changes_the_value() {
    let client = shared().await;
    let lease = client.grant(600).await;
    let one = campaign(&client, "c63/again", lease, "one").await.unwrap().leader.unwrap();
    let two = campaign(&client, "c63/again", lease, "two").await.unwrap().leader.unwrap();
    assert_eq!(one, two);
    let kv = leader(&client, "c63/again").await.unwrap();
    assert_eq!((text(&kv.value), kv.version), ("two".to_owned(), 2));
    client.revoke(lease).await.unwrap();
}

#[tokio::test]
async fn c63_a_candidate_who_goes_away_leaves_the_line() {
    let client = shared().await;
    let first = campaign(&client, "c63/cancel", 0, "first").await.unwrap().leader.unwrap();
    let second = running(&client, "c63/cancel", client.grant(600).await, "second");
    until_in_line(&client, "c63/cancel", 2).await;
    second.abort();
    until_in_line(&client, "c63/cancel", 1).await;
    let kv = leader(&client, "c63/cancel").await.unwrap();
    assert_eq!(kv.key, first.key);
    resign(&client, Some(first)).await.unwrap();
}

#[tokio::test]
async fn c63_a_candidate_whose_lease_ended_is_not_elected() {
    if Kind::current() == Kind::Etcd {
        // It is congratulated there: docs/etcd-differences.md.
        return;
    }
    let client = shared().await;
    let first = campaign(&client, "c63/gone", 0, "first").await.unwrap().leader.unwrap();
    let lease = client.grant(600).await;
    let second = running(&client, "c63/gone", lease, "second");
    until_in_line(&client, "c63/gone", 2).await;
    client.revoke(lease).await.unwrap();
    refused(second.await.unwrap(), Code::Unknown, "election: not leader");
    resign(&client, Some(first)).await.unwrap();
}

#[tokio::test]
async fn c63_an_observer_hears_of_every_leader_and_every_proclamation() {
    let client = shared().await;
    let first = campaign(&client, "c63/observe", 0, "first").await.unwrap().leader.unwrap();
    let mut stream = observe(&client, "c63/observe").await;
    let now = seen(&mut stream).await;
    assert!(revision(&now.header) >= first.rev);
    let kv = now.kv.unwrap();
    assert_eq!((text(&kv.value), kv.key), ("first".to_owned(), first.key.clone()));
    let second = running(&client, "c63/observe", 0, "second");
    until_in_line(&client, "c63/observe", 2).await;
    proclaim(&client, Some(first.clone()), "first again").await.unwrap();
    // Not the candidacy in between: only what the elected says.
    assert_eq!(value_seen(&mut stream).await, "first again");
    resign(&client, Some(first)).await.unwrap();
    assert_eq!(value_seen(&mut stream).await, "second");
    let second = second.await.unwrap().unwrap().leader.unwrap();
    resign(&client, Some(second)).await.unwrap();
    let third = campaign(&client, "c63/observe", 0, "third").await.unwrap().leader.unwrap();
    assert_eq!(value_seen(&mut stream).await, "third");
    resign(&client, Some(third)).await.unwrap();
}

#[tokio::test]
async fn c63_an_observer_may_come_before_the_first_candidate() {
    let client = shared().await;
    let early = tokio::spawn({
        let client = client.clone();
        async move {
            let mut stream = observe(&client, "c63/early").await;
            seen(&mut stream).await
        }
    });
    // Other keys of the store change while it waits.
    client.write("c63/elsewhere", "x").await;
    let proof = campaign(&client, "c63/early", 0, "here").await.unwrap().leader.unwrap();
    let seen = early.await.unwrap();
    assert_eq!(text(&seen.kv.unwrap().value), "here");
    assert!(revision(&seen.header) >= proof.rev);
    let all = DeleteRangeRequest { ..delete_prefix("c63/early/") };
    client.delete(all).await.unwrap();
}

/// The elected dies with its member; the next candidate, on another one, takes over when the lease
/// has ended, and an observer there hears of it.
#[tokio::test]
async fn c63_an_election_outlives_the_member_of_the_elected() {
    let mut cluster = Cluster::three(&[]).await;
    let follower = cluster.follower().await;
    let other = (0..3).find(|i| *i != follower).unwrap();
    let (one, two) = (cluster.client_of(follower).await, cluster.client_of(other).await);
    let lease = one.grant(10).await;
    campaign(&one, "outlives", lease, "first").await.unwrap();
    let mut stream = observe(&two, "outlives").await;
    assert_eq!(value_seen(&mut stream).await, "first");
    let next = running(&two, "outlives", 0, "second");
    until_in_line(&two, "outlives", 2).await;
    cluster.kill(follower);
    next.await.unwrap().unwrap();
    assert_eq!(value_seen(&mut stream).await, "second");
}
