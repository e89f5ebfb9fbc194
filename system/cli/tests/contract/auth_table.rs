//! Behaviours 64 and 65: every call of the API, made by nobody, by somebody with a token that is
//! none, by a user without any rights, and by root. What each of them is told is a table here, as it
//! is one in the server; a call that is new does not compile.

use quorate_client::etcd::rpcs::Rpc;
use quorate_client::etcd::v3electionpb::election_client::ElectionClient;
use quorate_client::etcd::v3electionpb::*;
use quorate_client::etcd::v3lockpb::lock_client::LockClient;
use quorate_client::etcd::v3lockpb::{LockRequest, UnlockRequest};
use quorate_client::native::guard_client::GuardClient;
use quorate_client::native::{GuardListRequest, GuardRemoveRequest, GuardSetRequest};
use tokio::time::timeout;
use tonic::{Request, Status, Streaming};

use crate::auth::{FLAGS, add_user, as_user, with_root};
use crate::harness::api::*;
use crate::harness::client::CALL_LIMIT;
use crate::harness::*;

/// What a call takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Takes {
    Nothing,
    /// Anybody who does not lie.
    Honesty,
    User,
    /// Root, or a right on keys, of which the user has none.
    Rights,
}

fn takes(rpc: Rpc) -> Takes {
    match rpc {
        Rpc::AuthAuthenticate => Takes::Nothing,
        Rpc::AuthAuthStatus => Takes::Honesty,
        Rpc::LeaseLeaseGrant
        | Rpc::GuardList
        | Rpc::ClusterMemberList
        | Rpc::MaintenanceAlarm
        | Rpc::MaintenanceStatus => Takes::User,
        Rpc::KvRange
        | Rpc::KvRangeStream
        | Rpc::KvPut
        | Rpc::KvDeleteRange
        | Rpc::KvTxn
        | Rpc::KvCompact
        | Rpc::WatchWatch
        | Rpc::LeaseLeaseRevoke
        | Rpc::LeaseLeaseKeepAlive
        | Rpc::LeaseLeaseTimeToLive
        | Rpc::LeaseLeaseLeases
        | Rpc::GuardSet
        | Rpc::GuardRemove
        | Rpc::ClusterMemberAdd
        | Rpc::ClusterMemberRemove
        | Rpc::ClusterMemberUpdate
        | Rpc::ClusterMemberPromote
        | Rpc::MaintenanceDefragment
        | Rpc::MaintenanceHash
        | Rpc::MaintenanceHashKV
        | Rpc::MaintenanceSnapshot
        | Rpc::MaintenanceMoveLeader
        | Rpc::MaintenanceDowngrade
        | Rpc::AuthAuthEnable
        | Rpc::AuthAuthDisable
        | Rpc::AuthUserAdd
        | Rpc::AuthUserGet
        | Rpc::AuthUserList
        | Rpc::AuthUserDelete
        | Rpc::AuthUserChangePassword
        | Rpc::AuthUserGrantRole
        | Rpc::AuthUserRevokeRole
        | Rpc::AuthRoleAdd
        | Rpc::AuthRoleGet
        | Rpc::AuthRoleList
        | Rpc::AuthRoleDelete
        | Rpc::AuthRoleGrantPermission
        | Rpc::AuthRoleRevokePermission
        | Rpc::LockLock
        | Rpc::LockUnlock
        | Rpc::ElectionCampaign
        | Rpc::ElectionProclaim
        | Rpc::ElectionLeader
        | Rpc::ElectionObserve
        | Rpc::ElectionResign => Takes::Rights,
    }
}

/// What a caller without the right is told; `None` when it is served.
fn refusal(takes: Takes, caller: &str) -> Option<(Code, &'static str)> {
    match (caller, takes) {
        (_, Takes::Nothing) | ("root", _) => None,
        ("liar", _) => Some((Code::Unauthenticated, "etcdserver: invalid auth token")),
        (_, Takes::Honesty) | ("user", Takes::User) => None,
        ("nobody", _) => Some((Code::InvalidArgument, "etcdserver: user name is empty")),
        ("user", Takes::Rights) => Some((Code::PermissionDenied, "etcdserver: permission denied")),
        _ => unreachable!("{caller}"),
    }
}

async fn first<T>(stream: Result<tonic::Response<Streaming<T>>, Status>) -> Result<(), Status> {
    let mut stream = stream?.into_inner();
    timeout(CALL_LIMIT, stream.message()).await.expect("an answer in time").map(drop)
}

/// One request on a stream of requests that stays open.
fn once<T: Send + 'static>(request: T) -> Request<impl tokio_stream::Stream<Item = T> + Send> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.try_send(request).expect("there is room");
    tokio::spawn(async move { sender.closed().await });
    Request::new(tokio_stream::wrappers::ReceiverStream::new(receiver))
}

/// A watcher is refused inside of its stream.
async fn watch(client: &Client) -> Result<(), Status> {
    let create = watch_request::RequestUnion::CreateRequest(watch_key("t/k"));
    let request = once(WatchRequest { request_union: Some(create) });
    let mut answers = client.watch().watch(request).await?.into_inner();
    let answer = timeout(CALL_LIMIT, answers.message()).await.expect("in time")?.expect("one");
    let known = [
        (Code::PermissionDenied, "PermissionDenied"),
        (Code::Unauthenticated, "Unauthenticated"),
        (Code::InvalidArgument, "InvalidArgument"),
    ];
    match answer.cancel_reason.strip_prefix("rpc error: code = ") {
        None => Ok(()),
        Some(reason) => {
            let (code, text) = reason.split_once(" desc = ").expect("as Go prints a status");
            let (code, _) = known.into_iter().find(|(_, name)| *name == code).expect("a code");
            Err(Status::new(code, text))
        }
    }
}

async fn kv(client: &Client, rpc: Rpc) -> Result<(), Status> {
    match rpc {
        Rpc::KvRange => client.range(get("t/k")).await.map(drop),
        Rpc::KvRangeStream => first(client.kv().range_stream(get("t/k")).await).await,
        Rpc::KvPut => client.put(put("t/k", "v")).await.map(drop),
        Rpc::KvDeleteRange => client.delete(delete("t/gone")).await.map(drop),
        Rpc::KvTxn => client.txn(always([put("t/k", "v").op()])).await.map(drop),
        Rpc::KvCompact => client.compact(1, false).await.map(drop),
        Rpc::WatchWatch => watch(client).await,
        other => cluster(client, other).await,
    }
}

async fn cluster(client: &Client, rpc: Rpc) -> Result<(), Status> {
    let mut cluster = cluster_client::ClusterClient::new(client.channel());
    let mut maintenance = client.maintenance();
    let id = 12_345;
    let learner =
        MemberAddRequest { peer_ur_ls: vec!["http://127.0.0.1:1".to_owned()], is_learner: true };
    let peer_ur_ls = vec!["http://127.0.0.1:2".to_owned()];
    match rpc {
        Rpc::ClusterMemberAdd => cluster.member_add(learner).await.map(drop),
        Rpc::ClusterMemberRemove => {
            cluster.member_remove(MemberRemoveRequest { id }).await.map(drop)
        }
        Rpc::ClusterMemberUpdate => {
            cluster.member_update(MemberUpdateRequest { id, peer_ur_ls }).await.map(drop)
        }
        Rpc::ClusterMemberList => client.members(true).await.map(drop),
        Rpc::ClusterMemberPromote => {
            cluster.member_promote(MemberPromoteRequest { id }).await.map(drop)
        }
        Rpc::MaintenanceAlarm => {
            let get = alarm_request::AlarmAction::Get;
            client.alarm(get, 0, AlarmType::None).await.map(drop)
        }
        Rpc::MaintenanceStatus => client.status().await.map(drop),
        Rpc::MaintenanceDefragment => maintenance.defragment(DefragmentRequest {}).await.map(drop),
        Rpc::MaintenanceHash => maintenance.hash(HashRequest {}).await.map(drop),
        Rpc::MaintenanceHashKV => client.hash_kv(0).await.map(drop),
        Rpc::MaintenanceSnapshot => first(maintenance.snapshot(SnapshotRequest {}).await).await,
        Rpc::MaintenanceMoveLeader => {
            maintenance.move_leader(MoveLeaderRequest { target_id: id }).await.map(drop)
        }
        Rpc::MaintenanceDowngrade => {
            let request = DowngradeRequest { action: 0, version: "3.6.0".to_owned() };
            maintenance.downgrade(request).await.map(drop)
        }
        other => users(client, other).await,
    }
}

async fn users(client: &Client, rpc: Rpc) -> Result<(), Status> {
    let mut auth = client.auth();
    let name = || "ghost".to_owned();
    match rpc {
        Rpc::AuthAuthEnable => auth.auth_enable(AuthEnableRequest {}).await.map(drop),
        Rpc::AuthAuthDisable => auth.auth_disable(AuthDisableRequest {}).await.map(drop),
        Rpc::AuthAuthStatus => auth.auth_status(AuthStatusRequest {}).await.map(drop),
        Rpc::AuthAuthenticate => client.login("root", "rootpw").await.map(drop),
        Rpc::AuthUserAdd => {
            let request = AuthUserAddRequest {
                name: "new".to_owned(),
                password: "pw".to_owned(),
                ..Default::default()
            };
            auth.user_add(request).await.map(drop)
        }
        Rpc::AuthUserGet => {
            auth.user_get(AuthUserGetRequest { name: "root".to_owned() }).await.map(drop)
        }
        Rpc::AuthUserList => auth.user_list(AuthUserListRequest {}).await.map(drop),
        Rpc::AuthUserDelete => {
            auth.user_delete(AuthUserDeleteRequest { name: name() }).await.map(drop)
        }
        Rpc::AuthUserChangePassword => {
            let request = AuthUserChangePasswordRequest {
                name: name(),
                password: "pw".to_owned(),
                hashed_password: String::new(),
            };
            auth.user_change_password(request).await.map(drop)
        }
        Rpc::AuthUserGrantRole => {
            let request = AuthUserGrantRoleRequest { user: name(), role: name() };
            auth.user_grant_role(request).await.map(drop)
        }
        Rpc::AuthUserRevokeRole => {
            let request = AuthUserRevokeRoleRequest { name: name(), role: name() };
            auth.user_revoke_role(request).await.map(drop)
        }
        Rpc::AuthRoleAdd => auth.role_add(AuthRoleAddRequest { name: name() }).await.map(drop),
        Rpc::AuthRoleGet => auth.role_get(AuthRoleGetRequest { role: name() }).await.map(drop),
        Rpc::AuthRoleList => auth.role_list(AuthRoleListRequest {}).await.map(drop),
        Rpc::AuthRoleDelete => {
            auth.role_delete(AuthRoleDeleteRequest { role: name() }).await.map(drop)
        }
        Rpc::AuthRoleGrantPermission => {
            let kind = quorate_client::etcd::authpb::permission::Type::Read;
            crate::auth::allow(client, "ghost", kind, b"a", b"b").await
        }
        Rpc::AuthRoleRevokePermission => {
            let request = AuthRoleRevokePermissionRequest {
                role: name(),
                key: "a".into(),
                range_end: "b".into(),
            };
            auth.role_revoke_permission(request).await.map(drop)
        }
        other => lines(client, other).await,
    }
}

async fn lines(client: &Client, rpc: Rpc) -> Result<(), Status> {
    let mut lock = LockClient::new(client.channel());
    let mut election = ElectionClient::new(client.channel());
    let mut guard = GuardClient::new(client.channel());
    let leader =
        || Some(LeaderKey { name: "t/e".into(), key: "t/e/1".into(), rev: 1, lease: LEASE });
    match rpc {
        Rpc::LockLock => {
            lock.lock(LockRequest { name: "t/l".into(), lease: LEASE }).await.map(drop)
        }
        Rpc::LockUnlock => lock.unlock(UnlockRequest { key: "t/l/0".into() }).await.map(drop),
        Rpc::ElectionCampaign => {
            let request = CampaignRequest { name: "t/e".into(), lease: LEASE, value: "v".into() };
            election.campaign(request).await.map(drop)
        }
        Rpc::ElectionProclaim => {
            let request = ProclaimRequest { leader: leader(), value: "v".into() };
            election.proclaim(request).await.map(drop)
        }
        Rpc::ElectionLeader => {
            election.leader(LeaderRequest { name: "t/e".into() }).await.map(drop)
        }
        Rpc::ElectionObserve => {
            let request = LeaderRequest { name: "t/observed".into() };
            let call = async { first(election.observe(request).await).await };
            timeout(CALL_LIMIT, call).await.expect("an answer in time")
        }
        Rpc::ElectionResign => election.resign(ResignRequest { leader: leader() }).await.map(drop),
        Rpc::GuardSet => {
            let request = GuardSetRequest { prefix: "guarded/".into(), lock: "l".into() };
            guard.set(request).await.map(drop)
        }
        Rpc::GuardRemove => {
            guard.remove(GuardRemoveRequest { prefix: "guarded/".into() }).await.map(drop)
        }
        Rpc::GuardList => guard.list(GuardListRequest {}).await.map(drop),
        Rpc::LeaseLeaseGrant => client.grant_with(60, 0).await.map(drop),
        Rpc::LeaseLeaseRevoke => client.revoke(LEASE + 1).await.map(drop),
        Rpc::LeaseLeaseKeepAlive => client.keep_alive(LEASE).await.map(drop),
        Rpc::LeaseLeaseTimeToLive => client.time_to_live(LEASE).await.map(drop),
        Rpc::LeaseLeaseLeases => client.leases().await.map(drop),
        other => unreachable!("{other:?} is in none of the lists"),
    }
}

/// A lease of root's with a key on it; the next one has one too.
const LEASE: i64 = 0x7e57;

/// What etcd answers instead.
fn of_etcd(rpc: Rpc, expected: Option<(Code, &'static str)>) -> Option<(Code, &'static str)> {
    match rpc {
        // They are not etcd's.
        Rpc::GuardSet | Rpc::GuardRemove | Rpc::GuardList => Some((Code::Unimplemented, "")),
        // Its own clients sit between these services and its store, and lose the code.
        Rpc::LockLock
        | Rpc::LockUnlock
        | Rpc::ElectionCampaign
        | Rpc::ElectionProclaim
        | Rpc::ElectionLeader
        | Rpc::ElectionResign => expected.map(|(_, text)| (Code::Unknown, text)),
        // The stream ends without a word.
        Rpc::ElectionObserve => None,
        _ => expected,
    }
}

#[tokio::test]
async fn c65_every_call_is_refused_to_whom_it_must_be() {
    let cluster = Cluster::single(FLAGS).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    add_user(&root, "user", "pw").await;
    let user = as_user(&client, "user", "pw").await;
    let liar = client.with_token("nobody.1");
    for lease in [LEASE, LEASE + 1] {
        root.grant_with(600, lease).await.unwrap();
        root.put(PutRequest { lease, ..put(format!("t/leased/{lease}"), "1") }).await.unwrap();
    }
    let elected = CampaignRequest { name: "t/observed".into(), lease: LEASE, value: "v".into() };
    ElectionClient::new(root.channel()).campaign(elected).await.unwrap();
    let callers = [("nobody", &client), ("liar", &liar), ("user", &user), ("root", &root)];
    let told_not_to = ["user name is empty", "invalid auth token", "permission denied"];
    let mut wrong = Vec::new();
    // What ends the rules comes last.
    let (last, all): (Vec<Rpc>, Vec<Rpc>) =
        Rpc::ALL.into_iter().partition(|rpc| *rpc == Rpc::AuthAuthDisable);
    for (rpc, (name, caller)) in
        all.into_iter().chain(last).flat_map(|rpc| callers.map(|caller| (rpc, caller)))
    {
        let found = timeout(CALL_LIMIT, kv(caller, rpc)).await.expect("an answer in time");
        let mut expected = refusal(takes(rpc), name);
        if Kind::current() == Kind::Etcd {
            expected = of_etcd(rpc, expected);
        }
        let fits = match (&found, expected) {
            (Err(status), Some((code, text))) => {
                status.code() == code && (text.is_empty() || status.message() == text)
            }
            // A right is not all that a call may lack.
            (Err(status), None) => !told_not_to.iter().any(|why| status.message().contains(why)),
            (Ok(()), expected) => expected.is_none(),
        };
        if !fits {
            wrong.push(format!("{} by {name}: {found:?}, expected {expected:?}", rpc.path()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
