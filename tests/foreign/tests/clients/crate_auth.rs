//! The Rust crate `etcd-client` on a cluster that asks who calls: users, roles, tokens that end, locks
//! and elections under rights.

use std::fmt::Debug;
use std::time::Duration;

use etcd_client::{
    Client, ConnectOptions, Error, GetOptions, LockOptions, Permission, PermissionType,
    RoleRevokePermissionOptions, WatchOptions,
};
use tokio::time::{sleep, timeout};

use crate::harness::{CALL_LIMIT, Cluster, eventually};

/// Codes of gRPC, by number.
const UNKNOWN: i32 = 2;
const INVALID_ARGUMENT: i32 = 3;
const PERMISSION_DENIED: i32 = 7;
const FAILED_PRECONDITION: i32 = 9;

#[track_caller]
fn refused<T: Debug>(result: Result<T, Error>, code: i32, text: &str) {
    match result {
        Err(Error::GRpcStatus(status)) => {
            assert_eq!((status.code() as i32, status.message()), (code, text));
        }
        other => panic!("expected {code} {text:?}, got {other:?}"),
    }
}

/// A lock or an election: etcd answers with the right text under the code Unknown.
#[track_caller]
fn denied_in_line<T: Debug>(result: Result<T, Error>) {
    let Err(Error::GRpcStatus(status)) = result else { panic!("not refused: {result:?}") };
    let is_etcd = std::env::var("QUORATE_CONTRACT_SERVER").is_ok_and(|server| server == "etcd");
    let code = if is_etcd { UNKNOWN } else { PERMISSION_DENIED };
    let found = (status.code() as i32, status.message());
    assert_eq!(found, (code, "etcdserver: permission denied"));
}

/// Calls until the answer is another one than this refusal.
async fn until_not<T>(
    refusal: &str,
    mut call: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut answer = call().await;
    eventually(&format!("something else than {refusal}"), async || match &answer {
        Err(Error::GRpcStatus(status)) if status.message() == refusal => {
            answer = call().await;
            false
        }
        _ => true,
    })
    .await;
    answer
}

#[track_caller]
fn denied<T: Debug>(result: Result<T, Error>) {
    refused(result, PERMISSION_DENIED, "etcdserver: permission denied");
}

async fn as_user(cluster: &Cluster, name: &str, password: &str) -> Result<Client, Error> {
    let options = ConnectOptions::new().with_timeout(CALL_LIMIT).with_user(name, password);
    Client::connect(cluster.endpoints(), Some(options.with_auto_token_refresh(true))).await
}

async fn set_up(client: &mut Client) {
    client.user_add("root", "rootpw", None).await.unwrap();
    refused(
        client.auth_enable().await,
        FAILED_PRECONDITION,
        "etcdserver: root user does not have root role",
    );
    client.role_add("root").await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.user_add("alice", "alicepw", None).await.unwrap();
    let twice = client.user_add("alice", "again", None).await;
    refused(twice, FAILED_PRECONDITION, "etcdserver: user name already exists");
    client.role_add("app").await.unwrap();
    let permission = Permission::read_write("crate/auth/").with_prefix();
    client.role_grant_permission("app", permission).await.unwrap();
    client.user_grant_role("alice", "app").await.unwrap();
    assert_eq!(client.user_get("alice").await.unwrap().roles(), ["app"]);
    let role = client.role_get("app").await.unwrap();
    let [shown] = &role.permissions()[..] else { panic!("one permission: {role:?}") };
    assert_eq!(shown.get_type(), PermissionType::Readwrite as i32);
    assert_eq!((shown.key(), shown.range_end()), (&b"crate/auth/"[..], &b"crate/auth0"[..]));
    client.auth_enable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crate_logs_in_and_stays_within_its_rights() {
    let cluster = Cluster::with_tokens();
    let mut nobody = cluster.client().await;
    set_up(&mut nobody).await;
    let empty = "etcdserver: user name is empty";
    refused(nobody.put("crate/auth/k", "1", None).await, INVALID_ARGUMENT, empty);
    let wrong = as_user(&cluster, "alice", "wrong").await.map(drop);
    let failed = "etcdserver: authentication failed, invalid user ID or password";
    refused(wrong, INVALID_ARGUMENT, failed);

    let mut root = as_user(&cluster, "root", "rootpw").await.unwrap();
    let mut alice = as_user(&cluster, "alice", "alicepw").await.unwrap();
    alice.put("crate/auth/k", "1", None).await.unwrap();
    denied(alice.put("elsewhere", "1", None).await);
    denied(alice.get("crate/", Some(GetOptions::new().with_prefix())).await);
    denied(alice.user_list().await);
    denied(alice.compact(1, None).await);
    let lease = alice.lease_grant(600, None).await.unwrap().id();
    let on = || Some(LockOptions::new().with_lease(lease));
    denied_in_line(alice.lock("elsewhere", on()).await);
    let held = alice.lock("crate/auth/lock", on()).await.unwrap();
    alice.unlock(held.key()).await.unwrap();
    denied_in_line(alice.campaign("elsewhere", "v", lease).await);
    let proof = alice.campaign("crate/auth/election", "v", lease).await.unwrap();
    let leader = alice.leader("crate/auth/election").await.unwrap();
    assert_eq!(leader.kv().unwrap().value_str().unwrap(), "v");
    assert_eq!(proof.leader().unwrap().lease(), lease);

    // A watch goes on while nobody shows a token for longer than it lives; calls log in again.
    let mut watching = alice.watch("crate/auth/k", Some(WatchOptions::new())).await.unwrap();
    let next = timeout(CALL_LIMIT, watching.message()).await.unwrap().unwrap().unwrap();
    assert!(next.created());
    sleep(Duration::from_secs(9)).await;
    root.put("crate/auth/k", "2", None).await.unwrap();
    let next = timeout(CALL_LIMIT, watching.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(next.events()[0].kv().unwrap().value_str().unwrap(), "2");
    alice.put("crate/auth/k", "3", None).await.unwrap();

    let all = RoleRevokePermissionOptions::new().with_prefix();
    root.role_revoke_permission("app", "crate/auth/", Some(all)).await.unwrap();
    // Each call goes to some member, and one may be a step behind.
    let old = "etcdserver: revision of auth store is old";
    denied(until_not(old, async || alice.put("crate/auth/k", "4", None).await).await);
    root.auth_disable().await.unwrap();
    let empty = "etcdserver: user name is empty";
    until_not(empty, async || nobody.put("crate/auth/k", "5", None).await).await.unwrap();
}
