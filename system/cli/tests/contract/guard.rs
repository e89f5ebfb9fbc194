//! Prefixes that a lock guards: what etcd does not have. Who does not carry the current token is refused when the write is
//! applied, however it came.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use quorate_client::etcd::v3lockpb::lock_client::LockClient;
use quorate_client::etcd::v3lockpb::{LockRequest, UnlockRequest};
use quorate_wire::native::v1::guard_client::GuardClient;
use quorate_wire::native::v1::*;
use rustix::process::{Pid, Signal, kill_process_group};
use tonic::{Request, Status};

use crate::harness::api::*;
use crate::harness::*;

const LIMIT: Duration = Duration::from_secs(60);

fn guards(client: &Client) -> GuardClient<client::Line> {
    GuardClient::new(client.channel())
}

async fn guard(client: &Client, prefix: &str, lock: &str) -> Result<GuardSetResponse, Status> {
    let request =
        GuardSetRequest { prefix: prefix.to_owned().into(), lock: lock.to_owned().into() };
    guards(client).set(request).await.map(tonic::Response::into_inner)
}

/// Takes a lock; its key, and the token as the answer's metadata carries it.
async fn take(client: &Client, name: &str, lease: i64) -> (bytes::Bytes, String) {
    let request = LockRequest { name: name.to_owned().into(), lease };
    let answer = LockClient::new(client.channel()).lock(request).await.expect("lock");
    let token = answer.metadata().get("quorate-fence").expect("a token").to_str().unwrap();
    let token = token.to_owned();
    (answer.into_inner().key, token)
}

async fn give_back(client: &Client, key: bytes::Bytes) {
    LockClient::new(client.channel()).unlock(UnlockRequest { key }).await.expect("unlock");
}

fn with<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("quorate-fence", token.parse().expect("ASCII"));
    request
}

#[track_caller]
fn fenced<T: std::fmt::Debug>(answer: Result<T, Status>, words: &[&str]) -> Status {
    let status = answer.expect_err("it should be fenced");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    for word in [&["quorate: fenced: "][..], words].concat() {
        assert!(status.message().contains(word), "{word:?} is missing: {}", status.message());
    }
    status
}

#[tokio::test]
async fn a_write_needs_the_token_of_the_holder() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    guard(&client, "orders/", "orders-lock").await.unwrap();
    let refused = client.put(put("orders/1", "x")).await;
    fenced(refused, &["\"orders/\"", "\"orders-lock\"", "nobody holds it"]);
    let (key, token) = take(&client, "orders-lock", 0).await;
    let number = client.read(&text(&key)).await.unwrap().create_revision;
    assert_eq!(token, format!("orders-lock:{number}"), "the token is the create revision");
    let refused = client.put(put("orders/1", "x")).await;
    let status = fenced(refused, &["no token of it", &format!("current one is {number}")]);
    let current = status.metadata().get("quorate-fence-current").unwrap();
    assert_eq!(current.to_str().unwrap(), token, "a program reads the token from the metadata");
    client.kv().put(with(put("orders/1", "x"), &token)).await.unwrap();
    let several = format!("another:7,{token}");
    client.kv().put(with(put("orders/2", "y"), &several)).await.unwrap();
    client.write("elsewhere", "free").await;
    // The next holder; the old token is worth nothing.
    give_back(&client, key).await;
    let (_, next) = take(&client, "orders-lock", 0).await;
    let late = client.kv().put(with(put("orders/1", "late"), &token)).await;
    fenced(late, &[&format!("carries the token {number}"), "the lock was lost"]);
    client.kv().delete_range(with(delete_prefix("orders/"), &next)).await.unwrap();
    let nonsense = client.kv().put(with(put("a", "b"), "nonsense")).await.unwrap_err();
    assert_eq!(nonsense.code(), Code::InvalidArgument, "a token that cannot be read is said");
}

#[tokio::test]
async fn no_way_of_writing_goes_around_a_guard() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let (_, token) = take(&client, "l", 0).await;
    guard(&client, "g/", "l").await.unwrap();
    let lease = client.grant(600).await;
    let leased = PutRequest { lease, ..put("g/leased", "x") };
    client.kv().put(with(leased, &token)).await.unwrap();
    let before = client.revision().await;
    let words = ["\"g/\"", "\"l\""];
    fenced(client.delete(delete("g/leased")).await, &words);
    fenced(client.delete(range_delete("a", "z")).await, &words);
    fenced(client.delete(range_delete("\0", "\0")).await, &words);
    let put_it = || put("g/x", "y").op();
    let nested = always([always([always([put_it()]).op()]).op()]);
    fenced(client.kv().txn(always([put("free", "1").op(), put_it()])).await, &words);
    fenced(client.kv().txn(nested.clone()).await, &words);
    let otherwise = txn([mod_revision_is("none", 5)], [], [put_it()]);
    fenced(client.kv().txn(otherwise).await, &words);
    fenced(client.revoke(lease).await, &words);
    assert_eq!(client.revision().await, before, "what was refused has changed nothing");
    assert!(client.read("free").await.is_none());
    // A branch that is not taken writes nothing; reading and comparing are free.
    let harmless = txn([mod_revision_is("g/none", 0)], [get("g/leased").op()], [put_it()]);
    client.kv().txn(harmless).await.unwrap();
    client.kv().txn(with(nested, &token)).await.unwrap();
    client.lease().lease_revoke(with(LeaseRevokeRequest { id: lease }, &token)).await.unwrap();
    assert!(client.read("g/leased").await.is_none());
}

fn range_delete(key: &str, end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { range_end: end.as_bytes().to_vec().into(), ..delete(key) }
}

#[tokio::test]
async fn guards_are_listed_removed_and_survive_a_restart() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let mut cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    guard(&client, "a/", "l").await.unwrap();
    guard(&client, "a/", "l").await.expect("twice is once");
    guard(&client, "b/", "free").await.unwrap();
    let other = guard(&client, "a/", "m").await.unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);
    assert!(other.message().contains("guarded by lock \"l\" already"), "{other:?}");
    let nameless = guard(&client, "a/", "").await.unwrap_err();
    assert_eq!(nameless.code(), Code::InvalidArgument);
    let (key, token) = take(&client, "l", 0).await;
    cluster.kill(0);
    cluster.restart(0).await;
    let client = cluster.client().await;
    let listed = guards(&client).list(GuardListRequest {}).await.unwrap().into_inner().guards;
    let shown = |guard: &Guarded| format!("{} {}", text(&guard.prefix), text(&guard.lock));
    assert_eq!(listed.iter().map(shown).collect::<Vec<_>>(), ["a/ l", "b/ free"]);
    assert_eq!((format!("l:{}", listed[0].token), &listed[0].holder), (token.clone(), &key));
    assert_eq!((listed[1].token, listed[1].holder.len()), (0, 0));
    fenced(client.put(put("a/1", "x")).await, &["\"a/\""]);
    client.kv().put(with(put("a/1", "x"), &token)).await.unwrap();
    let remove = || GuardRemoveRequest { prefix: "a/".into() };
    guards(&client).remove(remove()).await.unwrap();
    client.write("a/1", "free again").await;
    let gone = guards(&client).remove(remove()).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

/// A lease that expires takes its guarded keys with it: a dead client must not leave them for ever.
#[tokio::test]
async fn what_expires_goes_also_under_a_guard() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let lease = client.grant(5).await;
    let (_, token) = take(&client, "g/lock", lease).await;
    guard(&client, "g/", "g/lock").await.unwrap();
    client.kv().put(with(PutRequest { lease, ..put("g/x", "y") }, &token)).await.unwrap();
    eventually("the key ends with its lease", LIMIT, async || client.read("g/x").await.is_none())
        .await;
    // The keys of the lock's own line are not guarded by it: it can be taken again.
    let (_, next) = take(&client, "g/lock", 0).await;
    client.kv().put(with(put("g/x", "z"), &next)).await.unwrap();
}

/// The command line in a shell of its own process group, which can be stopped as one.
struct Holder(Child);

impl Holder {
    fn start(directory: &Path, endpoints: &str, script: &str) -> Holder {
        let binary = env!("CARGO_BIN_EXE_quorate");
        let child = Command::new(binary)
            .args(["lock", "job", "--ttl", "5", "--", "sh", "-c", script])
            .current_dir(directory)
            .env("ETCDCTL_ENDPOINTS", endpoints)
            .env("QUORATE", binary)
            .process_group(0)
            .stdin(Stdio::null())
            .spawn();
        Holder(child.expect("the holder starts"))
    }

    fn signal(&self, signal: Signal) {
        let group = Pid::from_raw(self.0.id().cast_signed()).expect("a process id");
        // One that has ended needs no signal.
        let _ = kill_process_group(group, signal);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn until_there(path: &Path) -> String {
    let mut text = String::new();
    eventually(&format!("{} is there", path.display()), LIMIT, async || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        text.ends_with('\n')
    })
    .await;
    text
}

/// A holder that sleeps for longer than its lease wakes up, believes that it holds the lock, and writes: it is refused,
/// and what the next holder wrote meanwhile stays.
#[tokio::test]
async fn a_paused_holder_that_wakes_up_too_late_is_refused() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    let endpoints: Vec<&str> = (0..3).map(|i| cluster.endpoint(i)).collect();
    let endpoints = endpoints.join(",");
    let directory = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let quorate = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        let output = command.args(words).env("ETCDCTL_ENDPOINTS", &endpoints).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(quorate(&["lock", "guard", "data/", "--by", "job"]).0, Some(0));
    let script = "$QUORATE put data/a first >first 2>&1 && echo >started
                  while [ ! -e wake ]; do sleep 0.05; done
                  $QUORATE put data/a late >late 2>&1; echo $? >ended";
    let holder = Holder::start(directory.path(), &endpoints, script);
    until_there(&directory.path().join("started")).await;
    assert_eq!(text(&client.read("data/a").await.unwrap().value), "first");
    holder.signal(Signal::STOP);
    std::fs::write(directory.path().join("wake"), "").unwrap();
    // The next one waits until the sleeper's lease has ended, and writes.
    let next =
        ["lock", "job", "--ttl", "30", env!("CARGO_BIN_EXE_quorate"), "put", "data/a", "second"];
    assert_eq!(quorate(&next), (Some(0), String::new()));
    assert_eq!(text(&client.read("data/a").await.unwrap().value), "second");
    holder.signal(Signal::CONT);
    assert_eq!(until_there(&directory.path().join("ended")).await, "1\n");
    let said = std::fs::read_to_string(directory.path().join("late")).unwrap();
    assert!(
        said.contains("fenced") && said.contains("\"data/\"") && said.contains("\"job\""),
        "{said}"
    );
    assert_eq!(text(&client.read("data/a").await.unwrap().value), "second");
}
