//! Behaviours 44 and 64 on streams that are older than the newest word on their callers: opened before
//! authentication was turned on, with a token that has ended since, by a user that is gone or has
//! another password. Where Quorate is stricter than etcd is listed in docs/etcd-differences.md.

use std::time::Duration;

use quorate_client::etcd::v3electionpb::election_client::ElectionClient;
use quorate_client::etcd::v3electionpb::*;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::auth::{FLAGS, SHORT_TOKENS, add_role, as_user, outlive_tokens, with_root};
use crate::auth_rights::{Realm, realm, realm_with};
use crate::harness::api::*;
use crate::harness::watching::Watching;
use crate::harness::*;

const LIMIT: Duration = Duration::from_secs(30);
const INVALID: &str = "etcdserver: invalid auth token";

async fn observe(client: &Client) -> Streaming<LeaderResponse> {
    let request = LeaderRequest { name: "a/e".into() };
    let call = async { ElectionClient::new(client.channel()).observe(request).await };
    let mut stream = timeout(LIMIT, call).await.expect("in time").expect("observe").into_inner();
    value(&mut stream).await.expect("who is elected");
    stream
}

async fn value(stream: &mut Streaming<LeaderResponse>) -> Result<String, Status> {
    let told = timeout(LIMIT, stream.message()).await.expect("an answer in time")?;
    Ok(text(&told.expect("the stream goes on").kv.expect("a pair").value))
}

/// The elected, who can say something new.
struct Elected(LeaderKey);

impl Elected {
    async fn of(client: &Client) -> Elected {
        let lease = client.grant(600).await;
        let request = CampaignRequest { name: "a/e".into(), lease, value: "first".into() };
        let answer = ElectionClient::new(client.channel()).campaign(request).await.unwrap();
        Elected(answer.into_inner().leader.expect("a proof"))
    }

    async fn says(&self, client: &Client, value: &str) {
        let value = value.to_owned().into();
        let request = ProclaimRequest { leader: Some(self.0.clone()), value };
        ElectionClient::new(client.channel()).proclaim(request).await.unwrap();
    }
}

/// A keep-alive stream that has renewed once, and a way to renew again.
struct Renewing(client::KeepAlives, i64);

impl Renewing {
    async fn of(client: &Client) -> Renewing {
        let lease = client.grant(600).await;
        let mut stream = client.keep_alive_stream(lease).await.expect("open");
        assert_eq!(stream.1.message().await.unwrap().unwrap().ttl, 600);
        Renewing(stream, lease)
    }

    async fn again(&mut self) -> Result<i64, Status> {
        let request = LeaseKeepAliveRequest { id: self.1 };
        let _ = self.0.0.send(request).await;
        let told = timeout(LIMIT, self.0.1.message()).await.expect("in time")?;
        Ok(told.expect("an answer or an error").ttl)
    }
}

/// The next change on `a/k`, or why there is none.
async fn news(watching: &mut Watching) -> Result<(), String> {
    let answer = watching.next().await;
    if answer.canceled {
        return Err(answer.cancel_reason);
    }
    assert_eq!(answer.events.len(), 1, "{answer:?}");
    Ok(())
}

fn ended(found: Result<(), String>, code: &str, text: &str) {
    assert_eq!(found, Err(format!("rpc error: code = {code} desc = {text}")));
}

#[tokio::test]
async fn c64_streams_from_before_authentication_are_nobodys_once_it_is_on() {
    let cluster = Cluster::single(FLAGS).await;
    let client = cluster.client().await;
    let elected = Elected::of(&client).await;
    let (mut watching, _) = Watching::open(&client, watch_key("a/k")).await;
    let mut renewing = Renewing::of(&client).await;
    let mut observing = observe(&client).await;
    let root = with_root(&client).await;
    root.write("a/k", "1").await;
    elected.says(&root, "second").await;
    let empty = "etcdserver: user name is empty";
    refused(renewing.again().await, Code::InvalidArgument, empty);
    if Kind::current() == Kind::Etcd {
        news(&mut watching).await.expect("etcd goes on telling");
        value(&mut observing).await.expect("etcd goes on telling");
        return;
    }
    ended(news(&mut watching).await, "InvalidArgument", empty);
    refused(value(&mut observing).await, Code::InvalidArgument, empty);
}

#[tokio::test]
async fn c64_a_token_that_ends_does_not_end_what_was_opened_with_it() {
    let realm = realm_with(SHORT_TOKENS).await;
    let Realm { client, .. } = &realm;
    let root = as_user(client, "root", "rootpw").await;
    let both = as_user(client, "rw", "pw").await;
    let elected = Elected::of(&both).await;
    let (mut watching, _) = Watching::open(&both, watch_key("a/k")).await;
    let mut renewing = Renewing::of(&both).await;
    let mut observing = observe(&both).await;
    outlive_tokens(&root).await;
    refused(both.range(get("a/k")).await, Code::Unauthenticated, INVALID);
    // Roles change meanwhile, which is when a watch is judged again.
    add_role(&root, "unrelated").await;
    root.write("a/k", "1").await;
    news(&mut watching).await.expect("it goes on");
    let new = watching.created(watch_key("a/other")).await;
    assert!(new.canceled && new.cancel_reason.contains(INVALID), "{new:?}");
    elected.says(&root, "second").await;
    let renewed = renewing.again().await;
    let told = value(&mut observing).await;
    assert_eq!(told.expect("it goes on"), "second");
    match Kind::current() {
        Kind::Quorate => assert_eq!(renewed.expect("it goes on"), 600),
        Kind::Etcd => refused(renewed, Code::Unauthenticated, INVALID),
    }
}

async fn ends_streams(change: impl AsyncFnOnce(&Client)) {
    let Realm { root, both, .. } = &realm().await;
    let elected = Elected::of(root).await;
    let (mut watching, _) = Watching::open(both, watch_key("a/k")).await;
    let mut renewing = Renewing::of(both).await;
    let mut observing = observe(both).await;
    change(root).await;
    root.write("a/k", "1").await;
    elected.says(root, "second").await;
    if Kind::current() == Kind::Etcd {
        refused(renewing.again().await, Code::Unauthenticated, INVALID);
        news(&mut watching).await.expect("etcd goes on telling");
        value(&mut observing).await.expect("etcd goes on telling");
        return;
    }
    ended(news(&mut watching).await, "Unauthenticated", INVALID);
    refused(renewing.again().await, Code::Unauthenticated, INVALID);
    refused(value(&mut observing).await, Code::Unauthenticated, INVALID);
}

#[tokio::test]
async fn c64_a_user_that_is_deleted_takes_its_streams_along() {
    ends_streams(async |root| {
        let delete = AuthUserDeleteRequest { name: "rw".to_owned() };
        root.auth().user_delete(delete).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn c64_a_user_that_is_made_anew_is_another() {
    ends_streams(async |root| {
        let delete = AuthUserDeleteRequest { name: "rw".to_owned() };
        root.auth().user_delete(delete).await.unwrap();
        crate::auth::add_user(root, "rw", "pw").await;
        crate::auth::grant_role(root, "rw", "rw").await;
    })
    .await;
}

#[tokio::test]
async fn c64_a_password_that_changes_ends_the_streams_of_its_user() {
    ends_streams(async |root| {
        let change = AuthUserChangePasswordRequest {
            name: "rw".to_owned(),
            password: "new".to_owned(),
            hashed_password: String::new(),
        };
        root.auth().user_change_password(change).await.unwrap();
    })
    .await;
}

/// The right goes, the user stays: nothing more is told.
#[tokio::test]
async fn c63_an_observer_hears_nothing_more_once_its_right_is_gone() {
    let Realm { root, reader, .. } = &realm().await;
    let elected = Elected::of(root).await;
    let mut observing = observe(reader).await;
    let revoke = AuthUserRevokeRoleRequest { name: "r".to_owned(), role: "r".to_owned() };
    root.auth().user_revoke_role(revoke).await.unwrap();
    elected.says(root, "secret").await;
    if Kind::current() == Kind::Quorate {
        let denied = "etcdserver: permission denied";
        refused(value(&mut observing).await, Code::PermissionDenied, denied);
    }
}

/// A signed token is old after any change of users and roles, and ends by itself; what was opened
/// with it goes on as its user.
#[tokio::test]
async fn c64_what_was_opened_with_a_signed_token_goes_on() {
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "a secret of all members").expect("write the secret");
    let path = secret.path().display();
    let jwt = format!("--auth-token=jwt,sign-method=HS256,priv-key={path},ttl=5s");
    let cluster = Cluster::single(&["--bcrypt-cost=4", &jwt]).await;
    let client = cluster.client().await;
    let root = with_root(&client).await;
    let (mut watching, _) = Watching::open(&root, watch_key("a/k")).await;
    let mut renewing = Renewing::of(&root).await;
    let old = root.clone();
    let is_over = async || old.range(get("k")).await.is_err_and(|error| error.message() == INVALID);
    eventually("the token ends", LIMIT, is_over).await;
    let root = as_user(&client, "root", "rootpw").await;
    add_role(&root, "unrelated").await;
    as_user(&client, "root", "rootpw").await.write("a/k", "1").await;
    news(&mut watching).await.expect("it goes on");
    let renewed = renewing.again().await;
    match Kind::current() {
        Kind::Quorate => assert_eq!(renewed.expect("it goes on"), 600),
        Kind::Etcd => refused(renewed, Code::Unauthenticated, INVALID),
    }
}
