//! Behaviours 61 to 65 together: what locks, elections and streams of ranges take of rights, and what
//! becomes of who waits in line while users and roles change.

use std::time::Duration;

use quorate_client::etcd::authpb::permission::Type::Readwrite;
use quorate_client::etcd::v3electionpb::election_client::ElectionClient;
use quorate_client::etcd::v3electionpb::*;
use quorate_client::etcd::v3lockpb::lock_client::LockClient;
use quorate_client::etcd::v3lockpb::{LockRequest, UnlockRequest};
use tokio::time::timeout;
use tonic::{Request, Status};

use crate::auth::{SHORT_TOKENS, add_role, add_user, allow, as_user, grant_role, outlive_tokens};
use crate::auth_rights::{DENIED, Realm, denied, realm, realm_with};
use crate::harness::api::*;
use crate::harness::*;
use crate::lock::{asking, lock, until_in_line};

const LIMIT: Duration = Duration::from_secs(30);

async fn unlock(client: &Client, key: &bytes::Bytes) -> Result<(), Status> {
    LockClient::new(client.channel()).unlock(UnlockRequest { key: key.clone() }).await.map(drop)
}

fn election(client: &Client) -> ElectionClient<client::Line> {
    ElectionClient::new(client.channel())
}

async fn campaign(client: &Client, name: &str, lease: i64) -> Result<LeaderKey, Status> {
    let request = CampaignRequest { name: name.to_owned().into(), lease, value: "v".into() };
    let answer = election(client).campaign(request).await?.into_inner();
    Ok(answer.leader.expect("a proof"))
}

/// The first that a stream says.
async fn observed(client: &Client, name: &str) -> Result<Option<LeaderResponse>, Status> {
    let request = LeaderRequest { name: name.to_owned().into() };
    let call = async { election(client).observe(request).await?.into_inner().message().await };
    timeout(LIMIT, call).await.expect("an answer in time")
}

#[tokio::test]
async fn c65_a_lock_is_put_read_and_deleted_under_its_name() {
    let Realm { reader, writer, both, root, .. } = &realm().await;
    let lease = both.grant(600).await;
    let held = lock(both, "a/l", lease).await.expect("both rights");
    for other in [reader, writer] {
        let own = other.grant(600).await;
        denied_in_line(lock(other, "a/l", own).await);
        denied_in_line(lock(other, "a/free", own).await);
    }
    let other = both.grant(600).await;
    denied_in_line(lock(both, "z/l", other).await);
    let line = root.range(prefix("a/l/")).await.unwrap().kvs;
    assert_eq!(line.len(), 1, "who was refused does not stand in line");
    denied_in_line(unlock(reader, &held.key).await);
    unlock(writer, &held.key).await.expect("a delete is a write");
    assert_eq!(root.range(prefix("a/l/")).await.unwrap().kvs, []);
}

#[tokio::test]
async fn c65_an_election_is_put_and_read_under_its_name() {
    let Realm { reader, writer, both, .. } = &realm().await;
    let lease = both.grant(600).await;
    for other in [reader, writer] {
        let own = other.grant(600).await;
        denied_in_line(campaign(other, "a/e", own).await);
    }
    let proof = campaign(both, "a/e", lease).await.expect("both rights");
    let proclaim = |value: &str| ProclaimRequest {
        leader: Some(proof.clone()),
        value: value.to_owned().into(),
    };
    denied_in_line(election(reader).proclaim(proclaim("r")).await);
    election(both).proclaim(proclaim("b")).await.expect("both rights");
    let name = || LeaderRequest { name: "a/e".into() };
    denied_in_line(election(writer).leader(name()).await);
    let told = election(reader).leader(name()).await.expect("reads").into_inner();
    assert_eq!(text(&told.kv.unwrap().value), "b");
    never_hears(observed(writer, "a/e").await);
    never_hears(observed(reader, "z/e").await);
    let told = observed(reader, "a/e").await.expect("reads").expect("a leader");
    assert_eq!(text(&told.kv.unwrap().value), "b");
    let resign = || ResignRequest { leader: Some(proof.clone()) };
    denied_in_line(election(reader).resign(resign()).await);
    election(both).resign(resign()).await.expect("both rights");
}

#[tokio::test]
async fn c65_a_stream_of_a_range_reads_every_key_of_it() {
    let Realm { reader, writer, root, .. } = &realm().await;
    root.write("a/1", "v").await;
    let stream = async |client: &Client, request: RangeRequest| {
        let mut answers = client.kv().range_stream(request).await?.into_inner();
        timeout(LIMIT, answers.message()).await.expect("in time")
    };
    let piece = stream(reader, range("a", "c")).await.expect("all of it").expect("a piece");
    assert_eq!(keys(&piece.range_response.unwrap().kvs), ["a/1"]);
    denied(stream(reader, range("a", "d")).await);
    denied(stream(reader, range("a", "\0")).await);
    denied(stream(writer, get("a/1")).await);
}

/// Etcd's own clients sit between its Lock and Election services and its store, and lose the code.
#[track_caller]
fn denied_in_line<T: std::fmt::Debug>(result: Result<T, Status>) {
    let code = match Kind::current() {
        Kind::Quorate => Code::PermissionDenied,
        Kind::Etcd => Code::Unknown,
    };
    refused(result, code, DENIED);
}

/// Etcd ends a stream that its caller may not hear without a word.
#[track_caller]
fn never_hears(result: Result<Option<LeaderResponse>, Status>) {
    match (Kind::current(), result) {
        (Kind::Etcd, Ok(None)) => {}
        (Kind::Etcd | Kind::Quorate, other) => denied(other),
    }
}

/// Its key was put when that was allowed; whether it still is, is asked when its turn has come.
#[tokio::test]
async fn c65_who_lost_its_right_in_line_is_refused_and_stands_in_nobodys_way() {
    let Realm { root, both, .. } = &realm().await;
    let first = root.grant(600).await;
    let held = lock(root, "a/q", first).await.unwrap();
    let lease = both.grant(600).await;
    let waiter = asking(both, "a/q", lease);
    until_in_line(root, "a/q", 2).await;
    let revoke = AuthUserRevokeRoleRequest { name: "rw".to_owned(), role: "rw".to_owned() };
    root.auth().user_revoke_role(revoke).await.unwrap();
    unlock(root, &held.key).await.unwrap();
    let told = timeout(LIMIT, waiter).await.expect("in time").unwrap();
    denied_in_line(told);
    if Kind::current() == Kind::Quorate {
        // Etcd leaves the key to its lease, for its caller may not delete it.
        until_in_line(root, "a/q", 0).await;
    }
}

/// The call goes away while it waits, and roles have changed since it came.
#[tokio::test]
async fn c61_who_goes_away_leaves_no_key_behind_though_roles_have_changed() {
    let Realm { root, both, .. } = &realm().await;
    let first = root.grant(600).await;
    lock(root, "a/q", first).await.unwrap();
    // A lease of the server's own.
    let waiter = asking(both, "a/q", 0);
    until_in_line(root, "a/q", 2).await;
    add_role(root, "unrelated").await;
    waiter.abort();
    if Kind::current() == Kind::Quorate {
        // In etcd the delete is refused with an old auth revision, and the lease ends the key.
        until_in_line(root, "a/q", 1).await;
    }
}

/// Who waits longer than its token lives was somebody when it came.
#[tokio::test]
async fn c61_a_token_that_ends_in_line_does_not_end_the_wait() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let realm = realm_with(SHORT_TOKENS).await;
    let Realm { client, .. } = &realm;
    let root = as_user(client, "root", "rootpw").await;
    let first = root.grant(600).await;
    let held = lock(&root, "a/q", first).await.unwrap();
    let both = as_user(client, "rw", "pw").await;
    let waiter = asking(&both, "a/q", 0);
    until_in_line(&root, "a/q", 2).await;
    // Used by nobody else: after so long it is none.
    let token = client.login("root", "rootpw").await.unwrap();
    outlive_tokens(&root).await;
    refused(
        client.with_token(&token).range(get("k")).await,
        Code::Unauthenticated,
        "etcdserver: invalid auth token",
    );
    unlock(&root, &held.key).await.unwrap();
    let got = timeout(LIMIT, waiter).await.expect("in time").unwrap().expect("the lock");
    let both = as_user(client, "rw", "pw").await;
    unlock(&both, &got.key).await.expect("its holder");
}

/// A name that no store can hold as a key ends one call, not every member.
#[tokio::test]
async fn names_that_are_too_long_are_refused() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let Realm { cluster, root, .. } = &realm().await;
    let long = "n".repeat(70_000);
    let lease = root.grant(600).await;
    let too_long = |result: Result<(), Status>| {
        let status = result.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("the limit is 32000"), "{status}");
    };
    too_long(lock(root, &long, lease).await.map(drop));
    too_long(campaign(root, &long, lease).await.map(drop));
    let proof = |key: &str| {
        let key = key.to_owned().into();
        ProclaimRequest {
            leader: Some(LeaderKey { name: "a".into(), key, rev: 0, lease }),
            value: "v".into(),
        }
    };
    too_long(election(root).proclaim(proof(&long)).await.map(drop));
    let empty = election(root).proclaim(proof("")).await;
    refused(empty, Code::InvalidArgument, "etcdserver: key is not provided");
    let user =
        AuthUserAddRequest { name: long.clone(), password: "pw".into(), ..Default::default() };
    too_long(root.auth().user_add(user).await.map(drop));
    too_long(root.auth().role_add(AuthRoleAddRequest { name: long }).await.map(drop));
    assert!(cluster.client().await.login("root", "rootpw").await.is_ok(), "the member lives");
}

/// Names come with `authorization` as well, and a certificate's user has no say over a token's.
#[tokio::test]
async fn c64_a_lock_is_taken_with_a_token_in_either_place() {
    let Realm { client, root, .. } = &realm().await;
    add_user(root, "u", "pw").await;
    add_role(root, "u").await;
    grant_role(root, "u", "u").await;
    allow(root, "u", Readwrite, b"l/", b"l0").await.unwrap();
    let token = client.login("u", "pw").await.unwrap();
    let lease = as_user(client, "u", "pw").await.grant(600).await;
    for (header, value) in [("token", token.clone()), ("authorization", format!("Bearer {token}"))]
    {
        let mut request = Request::new(LockRequest { name: "l/x".into(), lease });
        request.metadata_mut().insert(header, value.parse().unwrap());
        LockClient::new(client.channel()).lock(request).await.expect(header);
    }
}
