//! Behaviours 64 and 65: tokens, users and roles, and what can be done to them.

use std::time::{Duration, Instant};

use quorate_client::etcd::authpb::{Permission, UserAddOptions, permission};

use crate::harness::api::*;
use crate::harness::*;

/// A cheap hash: the cost of a password is not what these tests are about.
pub const FLAGS: &[&str] = &["--bcrypt-cost=4"];

pub async fn add_user(client: &Client, name: &str, password: &str) {
    let request = AuthUserAddRequest {
        name: name.to_owned(),
        password: password.to_owned(),
        options: Some(UserAddOptions { no_password: false }),
        hashed_password: String::new(),
    };
    client.auth().user_add(request).await.expect("add a user");
}

pub async fn grant_role(client: &Client, user: &str, role: &str) {
    let request = AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
    client.auth().user_grant_role(request).await.expect("grant a role");
}

pub async fn allow(
    client: &Client,
    role: &str,
    kind: permission::Type,
    key: &[u8],
    end: &[u8],
) -> Result<(), tonic::Status> {
    let perm = Permission {
        perm_type: kind.into(),
        key: key.to_vec().into(),
        range_end: end.to_vec().into(),
    };
    let request = AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(perm) };
    client.auth().role_grant_permission(request).await.map(drop)
}

pub async fn add_role(client: &Client, role: &str) {
    let request = AuthRoleAddRequest { name: role.to_owned() };
    client.auth().role_add(request).await.expect("add a role");
}

/// Turns authentication on; returns a client that is root.
pub async fn with_root(client: &Client) -> Client {
    add_user(client, "root", "rootpw").await;
    grant_role(client, "root", "root").await;
    client.auth().auth_enable(AuthEnableRequest {}).await.expect("enable");
    as_user(client, "root", "rootpw").await
}

pub async fn as_user(client: &Client, name: &str, password: &str) -> Client {
    client.with_token(&client.login(name, password).await.expect("login"))
}

async fn auth_revision(client: &Client) -> u64 {
    let status = client.auth().auth_status(AuthStatusRequest {}).await.expect("status");
    status.into_inner().auth_revision
}

#[tokio::test]
async fn c65_authentication_needs_a_user_root_that_has_the_role_root() {
    let cluster = Cluster::single(FLAGS).await;
    let client = cluster.client().await;
    let enable = || async { client.auth().auth_enable(AuthEnableRequest {}).await };
    refused(
        client.login("root", "rootpw").await,
        Code::FailedPrecondition,
        "etcdserver: authentication is not enabled",
    );
    refused(enable().await, Code::FailedPrecondition, "etcdserver: root user does not exist");
    add_user(&client, "root", "rootpw").await;
    refused(
        enable().await,
        Code::FailedPrecondition,
        "etcdserver: root user does not have root role",
    );
    // The role can be granted before it exists, and twice.
    grant_role(&client, "root", "root").await;
    let before = auth_revision(&client).await;
    grant_role(&client, "root", "root").await;
    assert_eq!(auth_revision(&client).await, before, "granting twice changes nothing");
    enable().await.expect("enable");
    let status = client.auth().auth_status(AuthStatusRequest {}).await.expect("open to all");
    let status = status.into_inner();
    assert!(status.enabled);
    assert_eq!(status.auth_revision, before, "neither does enabling");

    let root = as_user(&client, "root", "rootpw").await;
    root.auth().auth_enable(AuthEnableRequest {}).await.expect("enabling twice is fine");
    root.auth().auth_disable(AuthDisableRequest {}).await.expect("disable");
    client.write("c65/free", "again").await;
    assert_eq!(auth_revision(&client).await, before + 1, "disabling counts");
}

#[tokio::test]
async fn c65_users_and_roles_are_refused_in_etcds_words() {
    let cluster = Cluster::single(FLAGS).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    let auth = || root.auth();
    let name = |name: &str| name.to_owned();
    let user = |user: &str| AuthUserAddRequest {
        name: name(user),
        password: name("pw"),
        options: None,
        hashed_password: String::new(),
    };
    let pre = Code::FailedPrecondition;
    refused(
        auth().user_add(user("")).await,
        Code::InvalidArgument,
        "etcdserver: user name is empty",
    );
    refused(auth().user_add(user("root")).await, pre, "etcdserver: user name already exists");
    let get = AuthUserGetRequest { name: name("ghost") };
    refused(auth().user_get(get).await, pre, "etcdserver: user name not found");
    let delete = |user: &str| AuthUserDeleteRequest { name: name(user) };
    refused(auth().user_delete(delete("ghost")).await, pre, "etcdserver: user name not found");
    let invalid = "etcdserver: invalid auth management";
    refused(auth().user_delete(delete("root")).await, Code::InvalidArgument, invalid);
    let revoke =
        |user: &str, role: &str| AuthUserRevokeRoleRequest { name: name(user), role: name(role) };
    refused(auth().user_revoke_role(revoke("root", "root")).await, Code::InvalidArgument, invalid);
    refused(
        auth().user_revoke_role(revoke("root", "r")).await,
        pre,
        "etcdserver: role is not granted to the user",
    );
    let grant = AuthUserGrantRoleRequest { user: name("root"), role: name("r") };
    refused(auth().user_grant_role(grant).await, pre, "etcdserver: role name not found");
    let role = |role: &str| AuthRoleAddRequest { name: name(role) };
    refused(
        auth().role_add(role("")).await,
        Code::InvalidArgument,
        "etcdserver: role name is empty",
    );
    auth().role_add(role("r")).await.unwrap();
    refused(auth().role_add(role("r")).await, pre, "etcdserver: role name already exists");
    let nothing = AuthRoleGrantPermissionRequest { name: name("r"), perm: None };
    refused(
        auth().role_grant_permission(nothing).await,
        Code::InvalidArgument,
        "etcdserver: permission not given",
    );
    let read = permission::Type::Read;
    refused(allow(&root, "r", read, b"b", b"a").await, Code::InvalidArgument, invalid);
    refused(allow(&root, "r", read, b"", b"\0").await, Code::InvalidArgument, invalid);
    refused(allow(&root, "no", read, b"a", b"").await, pre, "etcdserver: role name not found");
    let revoke =
        AuthRoleRevokePermissionRequest { role: name("r"), key: "a".into(), range_end: "".into() };
    refused(
        auth().role_revoke_permission(revoke).await,
        pre,
        "etcdserver: permission is not granted to the role",
    );
}

#[tokio::test]
async fn c65_what_is_granted_is_shown_and_a_role_that_goes_is_taken_from_all() {
    let cluster = Cluster::single(FLAGS).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    add_role(&root, "r").await;
    add_role(&root, "root").await;
    allow(&root, "r", permission::Type::Read, b"b", b"c").await.unwrap();
    allow(&root, "r", permission::Type::Write, b"a", b"").await.unwrap();
    allow(&root, "r", permission::Type::Readwrite, b"b", b"c").await.unwrap();
    let get = |role: &str| AuthRoleGetRequest { role: role.to_owned() };
    let shown = |perms: &[Permission]| -> Vec<(i32, String, String)> {
        perms.iter().map(|p| (p.perm_type, text(&p.key), text(&p.range_end))).collect()
    };
    let answer = root.auth().role_get(get("r")).await.unwrap().into_inner();
    let of = |kind: i32, key: &str, end: &str| (kind, key.to_owned(), end.to_owned());
    assert_eq!(shown(&answer.perm), [of(1, "a", ""), of(2, "b", "c")]);
    let answer = root.auth().role_get(get("root")).await.unwrap().into_inner();
    assert_eq!(shown(&answer.perm), [of(2, "", "\0")], "what root may do is made up");

    add_user(&root, "u", "pw").await;
    grant_role(&root, "u", "r").await;
    let user = as_user(&client, "u", "pw").await;
    // One may look at oneself and at the roles that one has.
    let me = AuthUserGetRequest { name: "u".to_owned() };
    assert_eq!(user.auth().user_get(me.clone()).await.unwrap().into_inner().roles, ["r"]);
    user.auth().role_get(get("r")).await.expect("its own role");
    let denied = "etcdserver: permission denied";
    let other = AuthUserGetRequest { name: "root".to_owned() };
    refused(user.auth().user_get(other).await, Code::PermissionDenied, denied);
    refused(user.auth().role_get(get("root")).await, Code::PermissionDenied, denied);
    refused(user.auth().user_list(AuthUserListRequest {}).await, Code::PermissionDenied, denied);
    let add = AuthRoleAddRequest { name: "mine".to_owned() };
    refused(user.auth().role_add(add).await, Code::PermissionDenied, denied);

    let delete = AuthRoleDeleteRequest { role: "r".to_owned() };
    root.auth().role_delete(delete).await.unwrap();
    assert!(root.auth().user_get(me).await.unwrap().into_inner().roles.is_empty());
    let list = root.auth().user_list(AuthUserListRequest {}).await.unwrap().into_inner();
    assert_eq!(list.users, ["root", "u"]);
    let list = root.auth().role_list(AuthRoleListRequest {}).await.unwrap().into_inner();
    assert_eq!(list.roles, ["root"]);
}

#[tokio::test]
async fn c64_a_token_comes_in_metadata_and_says_who_calls() {
    let cluster = Cluster::single(FLAGS).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    let empty = "etcdserver: user name is empty";
    refused(client.put(put("c64", "1")).await, Code::InvalidArgument, empty);
    refused(client.range(get("c64")).await, Code::InvalidArgument, empty);
    let wrong = "etcdserver: invalid auth token";
    let liar = client.with_token("nobody.1");
    refused(liar.put(put("c64", "1")).await, Code::Unauthenticated, wrong);
    refused(liar.range(get("c64")).await, Code::Unauthenticated, wrong);
    root.put(put("c64", "1")).await.expect("root may");
    // The same in `authorization`, as the gateway's clients send it.
    let token = client.login("root", "rootpw").await.unwrap();
    for value in [token.clone(), format!("Bearer {token}")] {
        let mut request = tonic::Request::new(get("c64"));
        request.metadata_mut().insert("authorization", value.parse().unwrap());
        client.kv().range(request).await.expect("taken from either place");
    }
    let failed = "etcdserver: authentication failed, invalid user ID or password";
    refused(client.login("root", "other").await, Code::InvalidArgument, failed);
    refused(client.login("ghost", "other").await, Code::InvalidArgument, failed);
    let options = Some(UserAddOptions { no_password: true });
    let request = AuthUserAddRequest { name: "cn".to_owned(), options, ..Default::default() };
    root.auth().user_add(request).await.unwrap();
    refused(
        client.login("cn", "").await,
        Code::Unknown,
        "auth: authentication failed, password was given for no password user",
    );
}

#[tokio::test]
async fn c64_a_password_that_changes_ends_the_tokens_of_its_user() {
    let cluster = Cluster::single(FLAGS).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    add_user(&root, "u", "pw").await;
    let user = as_user(&client, "u", "pw").await;
    let denied = "etcdserver: permission denied";
    refused(user.range(get("k")).await, Code::PermissionDenied, denied);
    let change = AuthUserChangePasswordRequest {
        name: "u".to_owned(),
        password: "new".to_owned(),
        hashed_password: String::new(),
    };
    root.auth().user_change_password(change).await.unwrap();
    let wrong = "etcdserver: invalid auth token";
    refused(user.range(get("k")).await, Code::Unauthenticated, wrong);
    let failed = "etcdserver: authentication failed, invalid user ID or password";
    refused(client.login("u", "pw").await, Code::InvalidArgument, failed);
    as_user(&client, "u", "new").await;
    root.range(get("k")).await.expect("root's own is as good as before");
}

/// A token ends after five seconds in which nobody shows it.
pub const SHORT_TOKENS: &[&str] = &["--bcrypt-cost=4", "--auth-token-ttl=5"];

/// Lets every token end that nobody shows, while this user shows its own all the time.
pub async fn outlive_tokens(user: &Client) {
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(6500) {
        pace.tick().await;
        user.range(get("k")).await.expect("a token that is used lives");
    }
}

#[tokio::test]
async fn c64_a_token_ends_when_it_is_not_used() {
    let cluster = Cluster::single(SHORT_TOKENS).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    let idle = client.login("root", "rootpw").await.unwrap();
    // One is used all the time and lives; the other is not and ends.
    outlive_tokens(&root).await;
    let idle = client.with_token(&idle);
    let wrong = "etcdserver: invalid auth token";
    refused(idle.range(get("k")).await, Code::Unauthenticated, wrong);
}

/// From now on this member asks who calls: its answer is as new as the turning on of auth.
async fn knows_of_auth(member: &Client) {
    let status = member.auth().auth_status(AuthStatusRequest {}).await.expect("open to all");
    assert!(status.into_inner().enabled);
}

#[tokio::test]
async fn c64_a_signed_token_is_old_after_any_change_of_users_or_roles() {
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "a secret of all members").expect("write the secret");
    let path = secret.path().display();
    let jwt = format!("--auth-token=jwt,sign-method=HS256,priv-key={path},ttl=5m");
    let cluster = Cluster::three(&["--bcrypt-cost=4", &jwt]).await;
    let (client, other) = (cluster.client_of(0).await, cluster.client_of(1).await);
    let root = with_root(&client).await;
    root.write("k", "1").await;
    let token = client.login("root", "rootpw").await.unwrap();
    knows_of_auth(&other).await;
    other.with_token(&token).range(get("k")).await.expect("good on every member");
    add_role(&root, "r").await;
    let old = "etcdserver: revision of auth store is old";
    refused(root.put(put("k", "2")).await, Code::InvalidArgument, old);
    refused(root.range(get("k")).await, Code::InvalidArgument, old);
    as_user(&client, "root", "rootpw").await.write("k", "2").await;
    refused(
        client.with_token("a.b.c").range(get("k")).await,
        Code::Unauthenticated,
        "etcdserver: invalid auth token",
    );
}

#[tokio::test]
async fn c64_a_token_is_good_on_every_member_and_rights_survive_a_restart() {
    let mut cluster = Cluster::three(FLAGS).await;
    let client = cluster.client_of(0).await;
    let root = with_root(&client).await;
    add_user(&root, "u", "pw").await;
    add_role(&root, "r").await;
    grant_role(&root, "u", "r").await;
    allow(&root, "r", permission::Type::Readwrite, b"a", b"b").await.unwrap();
    let token = client.login("u", "pw").await.unwrap();
    let denied = "etcdserver: permission denied";
    for i in 0..3 {
        let member = cluster.client_of(i).await;
        knows_of_auth(&member).await;
        let user = member.with_token(&token);
        user.put(put("a", "1")).await.expect("inside of its range");
        refused(user.put(put("b", "1")).await, Code::PermissionDenied, denied);
        refused(user.range(get("b")).await, Code::PermissionDenied, denied);
    }
    for i in 0..3 {
        cluster.kill(i);
        cluster.restart(i).await;
        let restarted = cluster.client_of(i).await;
        let user = as_user(&restarted, "u", "pw").await;
        user.put(put("a", "2")).await.expect("inside of its range");
        refused(user.put(put("b", "1")).await, Code::PermissionDenied, denied);
        let empty = "etcdserver: user name is empty";
        refused(restarted.put(put("a", "1")).await, Code::InvalidArgument, empty);
    }
}
