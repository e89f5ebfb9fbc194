//! Data directories of earlier releases, and of this one for those to come.
//!
//! `tests/fixtures/format-<n>/` holds a data directory as the first release with that format left it
//! after a SIGKILL: `member.tar.gz`, and in `expected.json` what must be found in it. Every later
//! release opens it with `quorate serve` and finds the same. A fixture is never written again: when
//! the format changes, the next one is added beside it. `formats_written_today_are_read_back` writes
//! one into `format-new` of the tests' build directory, and reads it back as it will be read then.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::api::RangeRequest;
use crate::support::*;

/// The lease that the fixture has; its time to live lets it outlive the project.
const LEASE: i64 = 777;
const TTL: i64 = 8_000_000_000;

/// The identity of the only member: where it once said that its peers would find it.
const IDENTITY: [&str; 4] = [
    "--initial-cluster",
    "n1=http://format.invalid:2380",
    "--initial-advertise-peer-urls",
    "http://format.invalid:2380",
];

fn flags(data: &Path) -> Vec<String> {
    let data = data.display().to_string();
    IDENTITY.into_iter().map(str::to_owned).chain(["--data-dir".to_owned(), data]).collect()
}

async fn serve(data: &Path) -> Cluster {
    let flags = flags(data);
    Cluster::single(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn scratch() -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("format-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// Runs tar, which must succeed.
fn tar(args: &[&str]) {
    let status = Command::new("tar").args(args).status().expect("run tar");
    assert!(status.success(), "tar {args:?}: {status}");
}

/// Everything that a client can see of the fixture's history.
async fn seen(client: &Client, old: i64) -> Value {
    let now = client.range(prefix("k/")).await.unwrap();
    let then = client.range(RangeRequest { revision: old, ..prefix("k/") }).await.unwrap();
    let told = client.time_to_live(LEASE).await.unwrap();
    let hash = client.hash_kv(revision(&now.header)).await.unwrap();
    let create = watch_prefix("k/", old + 1);
    let (mut watching, created) = Watching::open(client, create).await;
    let events = watching.events(created.watch_id, EVENTS_AFTER_OLD).await;
    let stamped = |kv: &api::KeyValue| {
        let numbers = (kv.create_revision, kv.mod_revision, kv.version, kv.lease);
        format!("{}={} {numbers:?}", text(&kv.key), text(&kv.value))
    };
    json!({
        "revision": revision(&now.header),
        "compacted": hash.compact_revision,
        "old": old,
        "pairs": now.kvs.iter().map(stamped).collect::<Vec<_>>(),
        "old_pairs": then.kvs.iter().map(stamped).collect::<Vec<_>>(),
        "events": watching::shown(&events),
        "lease": [told.granted_ttl, told.keys.len() as i64],
    })
}

/// Of the changes in [`write_history`], those behind the old revision: 10 puts and 20 deletions.
const EVENTS_AFTER_OLD: usize = 30;

/// Writes what a fixture should hold: every kind of change, kills in between. Returns a revision
/// whose past can still be read.
async fn write_history(cluster: &mut Cluster) -> i64 {
    let client = cluster.client().await;
    client.grant_with(TTL, LEASE).await.unwrap();
    for i in 0..100 {
        client.write(&format!("k/{i:03}"), &format!("first {i}")).await;
    }
    cluster.kill(0);
    cluster.restart(0).await;
    let client = cluster.client().await;
    for i in (0..100).step_by(3) {
        let request = api::PutRequest { lease: LEASE, ..put(format!("k/{i:03}"), "second") };
        client.put(request).await.unwrap();
    }
    let compacted = client.write("k/compact", "here").await;
    client.compact(compacted, true).await.unwrap();
    let ops = [put("k/txn", "a").op(), delete("k/050").op(), put("k/\u{0}zero", "b").op()];
    let answer = client.txn(always(ops)).await.unwrap();
    let old = revision(&answer.header);
    let some = api::DeleteRangeRequest { range_end: "k/080".into(), ..delete("k/060") };
    client.delete(some).await.unwrap();
    for i in 0..10 {
        client.write(&format!("k/{i:03}"), "third").await;
    }
    old
}

/// Opens the data directory of a fixture, finds in it what it must hold, and goes on from there.
async fn is_read_back(fixture: &Path) {
    let directory = scratch();
    let into = directory.path().display().to_string();
    tar(&["-xzf", &fixture.join("member.tar.gz").display().to_string(), "-C", &into]);
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(fixture.join("expected.json")).unwrap()).unwrap();
    let old = expected["old"].as_i64().unwrap();
    let mut cluster = serve(&directory.path().join("member")).await;
    assert_eq!(seen(&cluster.client().await, old).await, expected);
    let before = expected["compacted"].as_i64().unwrap() - 1;
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    let past = RangeRequest { revision: before, ..get("k/000") };
    refused(cluster.client().await.range(past).await, Code::OutOfRange, compacted);

    // It goes on from there, through another end.
    let next = cluster.client().await.write("after", "v").await;
    assert_eq!(next, expected["revision"].as_i64().unwrap() + 1);
    cluster.kill(0);
    cluster.restart(0).await;
    let client = cluster.client().await;
    assert_eq!(client.read("after").await.unwrap().mod_revision, next);
    client.revoke(LEASE).await.unwrap();
    assert_eq!(client.read("k/099").await, None, "it was the lease's");
}

#[tokio::test]
async fn formats_1_is_read_back() {
    is_read_back(&fixtures().join("format-1")).await;
}

#[tokio::test]
async fn formats_written_today_are_read_back() {
    let directory = scratch();
    let data = directory.path().join("member");
    let mut cluster = serve(&data).await;
    let old = write_history(&mut cluster).await;
    let expected = seen(&cluster.client().await, old).await;
    cluster.kill(0);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("format-new");
    fs::create_dir_all(&target).unwrap();
    let expected = serde_json::to_string_pretty(&expected).unwrap();
    fs::write(target.join("expected.json"), expected + "\n").unwrap();
    // The lock names a process, and is not data. Segments are mostly zeros: tar leaves those out.
    let archive = target.join("member.tar.gz").display().to_string();
    let from = directory.path().display().to_string();
    let owner = ["--owner=0", "--group=0", "--sort=name", "--exclude=lock"];
    tar(&[&owner[..], &["-S", "-czf", &archive, "-C", &from, "member"]].concat());
    is_read_back(&target).await;
}
