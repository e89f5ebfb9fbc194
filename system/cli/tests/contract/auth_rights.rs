//! Behaviours 44, 64 and 65: what a user may do with keys, leases, watches and the cluster.

use std::time::Duration;

use quorate_client::etcd::authpb::permission::Type::{Read, Readwrite, Write};
use tokio_stream::StreamExt;

use crate::auth::{FLAGS, add_role, add_user, allow, as_user, grant_role, with_root};
use crate::harness::api::*;
use crate::harness::*;

pub const DENIED: &str = "etcdserver: permission denied";

/// A member with users `r` who reads `[a, c)`, `w` who writes it, `rw` who does both, and root.
pub struct Realm {
    pub cluster: Cluster,
    pub client: Client,
    pub root: Client,
    pub reader: Client,
    pub writer: Client,
    pub both: Client,
}

pub async fn realm() -> Realm {
    realm_with(FLAGS).await
}

pub async fn realm_with(flags: &[&str]) -> Realm {
    let cluster = Cluster::single(flags).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    for (name, kind) in [("r", Read), ("w", Write), ("rw", Readwrite)] {
        add_user(&root, name, "pw").await;
        add_role(&root, name).await;
        grant_role(&root, name, name).await;
        // Two neighbours that touch are one.
        allow(&root, name, kind, b"a", b"b").await.unwrap();
        allow(&root, name, kind, b"b", b"c").await.unwrap();
    }
    let user = |name| as_user(&client, name, "pw");
    let (reader, writer, both) = (user("r").await, user("w").await, user("rw").await);
    Realm { cluster, client, root, reader, writer, both }
}

fn op(request: impl IntoOp) -> RequestOp {
    request.op()
}

#[track_caller]
pub fn denied<T: std::fmt::Debug>(result: Result<T, tonic::Status>) {
    refused(result, Code::PermissionDenied, DENIED);
}

#[tokio::test]
async fn c65_reads_and_writes_need_a_right_on_every_key() {
    let Realm { reader, writer, both, root, .. } = &realm().await;
    both.write("a", "1").await;
    both.range(range("a", "c")).await.expect("the union of two permissions");
    denied(both.range(range("a", "c\0")).await);
    denied(both.range(range("a", "\0")).await);
    denied(both.put(put("c", "1")).await);
    denied(reader.put(put("a", "1")).await);
    denied(writer.range(get("a")).await);
    // The pair before is a read.
    writer.put(put("a", "2")).await.expect("a write");
    let seen = |request: PutRequest| PutRequest { prev_kv: true, ..request };
    denied(writer.put(seen(put("a", "3"))).await);
    both.put(seen(put("a", "3"))).await.expect("both");
    let gone = DeleteRangeRequest { prev_kv: true, ..delete("a") };
    denied(writer.delete(gone.clone()).await);
    denied(reader.delete(delete("a")).await);
    denied(both.delete(DeleteRangeRequest { range_end: "d".into(), ..delete("a") }).await);
    both.delete(gone).await.expect("both");
    root.range(range("\0", "\0")).await.expect("root reads everything");
    root.delete(DeleteRangeRequest { range_end: "\0".into(), ..delete("\0") }).await.unwrap();
}

#[tokio::test]
async fn c65_a_transaction_needs_every_right_of_every_branch() {
    let Realm { reader, writer, both, .. } = &realm().await;
    let read = || op(get("a"));
    let write = || op(put("a", "1"));
    both.txn(txn([mod_revision_is("a", 0)], [write()], [read()])).await.expect("both");
    // A compare is a read, and what is not done is asked for as well.
    denied(writer.txn(txn([mod_revision_is("a", 0)], [write()], [])).await);
    denied(reader.txn(txn([], [read()], [write()])).await);
    denied(both.txn(txn([mod_revision_is("c", 0)], [read()], [])).await);
    denied(both.txn(txn([], [op(range("a", "d"))], [])).await);
    reader.txn(txn([mod_revision_is("a", 0)], [read()], [read()])).await.expect("only reads");
    let nested = |inner: TxnRequest| txn([], [op(inner)], []);
    both.txn(nested(nested(always([write()])))).await.expect("nested and inside");
    denied(both.txn(nested(nested(always([op(put("c", "1"))])))).await);
    denied(reader.txn(nested(always([op(delete("a"))]))).await);
}

#[tokio::test]
async fn c65_a_lease_is_as_good_as_all_of_its_keys() {
    let Realm { client, root, reader, both, .. } = &realm().await;
    refused(
        client.grant_with(60, 0).await,
        Code::InvalidArgument,
        "etcdserver: user name is empty",
    );
    let lease = both.grant(60).await;
    let leased = |key: &str| PutRequest { lease, ..put(key, "1") };
    both.put(leased("a")).await.expect("inside");
    reader.time_to_live(lease).await.expect("its keys may be read");
    denied(reader.revoke(lease).await);
    denied(reader.keep_alive(lease).await);
    both.keep_alive(lease).await.expect("its keys may be written");
    root.put(leased("z")).await.expect("root");
    // From here on the lease holds a key that the user may not write.
    denied(both.put(leased("b")).await);
    denied(both.revoke(lease).await);
    denied(both.keep_alive(lease).await);
    denied(both.time_to_live(lease).await);
    denied(both.leases().await);
    let mut bare = both.lease();
    bare.lease_time_to_live(LeaseTimeToLiveRequest { id: lease, keys: false })
        .await
        .expect("without keys nothing is told");
    root.revoke(lease).await.expect("root");
    assert!(root.read("a").await.is_none());
    let empty = both.grant(60).await;
    reader.revoke(empty).await.expect("a lease without keys is anybody's");
}

#[tokio::test]
async fn c65_the_cluster_is_roots_and_users_may_look() {
    let Realm { client, root, reader, .. } = &realm().await;
    let empty = "etcdserver: user name is empty";
    refused(client.status().await, Code::InvalidArgument, empty);
    reader.status().await.expect("a user may look");
    let none = AlarmType::None;
    let get = alarm_request::AlarmAction::Get;
    let deactivate = alarm_request::AlarmAction::Deactivate;
    refused(client.alarm(get, 0, none).await, Code::InvalidArgument, empty);
    reader.alarm(get, 0, none).await.expect("a user may look");
    denied(reader.alarm(deactivate, 0, none).await);
    root.alarm(deactivate, 0, none).await.expect("root");
    denied(reader.maintenance().defragment(DefragmentRequest {}).await);
    denied(reader.maintenance().hash(HashRequest {}).await);
    denied(reader.hash_kv(0).await);
    denied(reader.maintenance().move_leader(MoveLeaderRequest { target_id: 1 }).await);
    denied(reader.compact(1, false).await);
    root.hash_kv(0).await.expect("root");
    let snapshot = reader.maintenance().snapshot(SnapshotRequest {}).await;
    match snapshot {
        Err(status) => denied::<()>(Err(status)),
        Ok(stream) => denied(stream.into_inner().message().await),
    }
    // Who may not is told so first, whatever else is wrong.
    denied(reader.auth().user_add(AuthUserAddRequest::default()).await);
    reader.members(true).await.expect("a user may look");
    let mut members = cluster_client::ClusterClient::new(reader.channel());
    denied(members.member_remove(MemberRemoveRequest { id: 1 }).await);
}

/// Opens a watch and returns its answers; requests stay open until the sender is dropped.
async fn watching(
    client: &Client,
    request: WatchCreateRequest,
) -> (tokio::sync::mpsc::Sender<WatchRequest>, tonic::Streaming<WatchResponse>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let create = watch_request::RequestUnion::CreateRequest(request);
    sender.send(WatchRequest { request_union: Some(create) }).await.expect("at hand");
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let answers = client.watch().watch(requests).await.expect("the stream opens").into_inner();
    (sender, answers)
}

#[tokio::test]
async fn c44_a_watch_that_is_not_allowed_is_refused_inside_of_the_stream() {
    let Realm { client, reader, writer, .. } = &realm().await;
    let liar = client.with_token("nobody.1");
    let permission = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    for (who, key, end, reason) in [
        (writer, "a", "", permission),
        (reader, "a", "d", permission),
        (reader, "", "\0", permission),
        (
            client,
            "a",
            "",
            "rpc error: code = InvalidArgument desc = etcdserver: user name is empty",
        ),
        (&liar, "a", "", "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"),
    ] {
        let request = WatchCreateRequest {
            key: key.as_bytes().to_vec().into(),
            range_end: end.as_bytes().to_vec().into(),
            ..Default::default()
        };
        let (_requests, mut answers) = watching(who, request).await;
        let answer = answers.next().await.expect("an answer").expect("the stream lives");
        assert!(answer.created && answer.canceled, "{key:?}: {answer:?}");
        assert_eq!((answer.watch_id, answer.cancel_reason.as_str()), (-1, reason), "{key:?}");
    }
    let (_requests, mut answers) = watching(reader, watch_key("a")).await;
    let answer = answers.next().await.unwrap().unwrap();
    assert!(answer.created && !answer.canceled);
}

/// Quorate ends a watch whose keys may no longer be read; etcd lets it go on.
#[tokio::test]
async fn c44_a_watch_ends_when_its_right_is_taken_away() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let Realm { root, reader, .. } = &realm().await;
    let (_requests, mut answers) = watching(reader, watch_key("a")).await;
    assert!(answers.next().await.unwrap().unwrap().created);
    let revoke = AuthUserRevokeRoleRequest { name: "r".to_owned(), role: "r".to_owned() };
    root.auth().user_revoke_role(revoke).await.unwrap();
    root.write("a", "secret").await;
    let told = tokio::time::timeout(Duration::from_secs(30), answers.next()).await;
    let answer = told.expect("in time").unwrap().unwrap();
    assert!(answer.canceled && answer.events.is_empty(), "{answer:?}");
    assert!(answer.cancel_reason.contains(DENIED), "{}", answer.cancel_reason);
}

#[tokio::test]
async fn c65_a_change_of_rights_is_in_force_at_once() {
    let Realm { root, both, .. } = &realm().await;
    both.write("a", "1").await;
    let revoke = AuthRoleRevokePermissionRequest {
        role: "rw".to_owned(),
        key: "a".into(),
        range_end: "b".into(),
    };
    root.auth().role_revoke_permission(revoke).await.unwrap();
    denied(both.put(put("a", "2")).await);
    denied(both.range(get("a")).await);
    both.write("b", "1").await;
}
