//! TLS between members: each has a host of its own on loopback, and a certificate for it.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::authority::{Authority, Identity, Says};
use crate::harness::ports::free_ports;
use crate::harness::*;

/// The longest that a test waits for something to come about.
const LIMIT: Duration = Duration::from_secs(30);

/// What a member logs when it was admitted.
const SERVES: &str = "ready to serve clients";

fn here() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path of the test").to_owned()
}

/// The host of a member, counted from 0.
fn host(i: usize) -> String {
    format!("127.0.0.{}", i + 1)
}

/// Whether a member, counted from 0, listens to clients and has a leader.
async fn takes_a_put(cluster: &Cluster, i: usize) -> bool {
    match Client::connect(cluster.endpoint(i)).await {
        Ok(client) => client.put(put("k", "v")).await.is_ok(),
        Err(_) => false,
    }
}

/// Three members whose URLs are secure; `more` are the flags of each besides.
fn spawn(more: &dyn Fn(usize) -> Vec<String>) -> Cluster {
    let ports = free_ports(6);
    let url = |i: usize| format!("https://{}:{}", host(i), ports[3 + i]);
    let all: Vec<String> = (0..3).map(|i| format!("n{}={}", i + 1, url(i))).collect();
    Cluster::spawn(&ports, &mut |i| {
        let mut flags = vec![
            format!("--listen-peer-urls={}", url(i)),
            format!("--initial-advertise-peer-urls={}", url(i)),
            format!("--initial-cluster={}", all.join(",")),
            "--heartbeat-interval=50".to_owned(),
            "--election-timeout=500".to_owned(),
        ];
        flags.extend(more(i));
        flags
    })
}

/// The flags of a member with this certificate, all of whose peers must be vouched for.
fn flags(authority: &Authority, own: &Identity) -> Vec<String> {
    vec![
        format!("--peer-cert-file={}", text(&own.certificate)),
        format!("--peer-key-file={}", text(&own.key)),
        "--peer-client-cert-auth".to_owned(),
        format!("--peer-trusted-ca-file={}", text(&authority.certificate)),
    ]
}

fn issue(authority: &Authority, name: &str, host: &str) -> Identity {
    authority.issue(name, &Says { common_name: name, hosts: &[host], serial: 9, expired: false })
}

fn identities(authority: &Authority) -> Vec<Identity> {
    let issue = |i: usize| issue(authority, &format!("n{}", i + 1), &host(i));
    (0..3).map(issue).collect()
}

#[tokio::test]
async fn members_with_certificates_of_their_own_form_a_cluster() {
    // Etcd asks that a certificate fits the address that a connection comes from.
    if Kind::current() == Kind::Etcd {
        return;
    }
    let directory = here();
    let authority = Authority::new(directory.path(), "peers");
    let own = identities(&authority);
    let mut cluster = spawn(&|i| flags(&authority, &own[i]));
    cluster.until_ready().await.expect("they meet");
    let leader = cluster.leader().await;
    let client = cluster.client_of(leader).await;
    // Enough for the sockets to be full now and then.
    for i in 0..40 {
        client.put(put(format!("k{i}"), vec![b'x'; 1 << 20])).await.unwrap();
    }
    // New certificates for all, one after the other under running members; then all meet anew.
    let second = Authority::new(directory.path(), "peers");
    identities(&second);
    for i in 0..3 {
        cluster.kill(i);
        cluster.restart(i).await;
    }
    let other = cluster.follower().await;
    let answer = cluster.client_of(other).await.range(prefix("k")).await.unwrap();
    assert_eq!(answer.kvs.len(), 40);
}

#[tokio::test]
async fn a_certificate_speaks_only_for_its_own_member() {
    // Etcd asks that a certificate fits the address that a connection comes from.
    if Kind::current() == Kind::Etcd {
        return;
    }
    let directory = here();
    let authority = Authority::new(directory.path(), "peers");
    let own = identities(&authority);
    // The third member shows the certificate of the second when it calls: a good one, of another.
    let mut cluster = spawn(&|i| {
        let mut flags = flags(&authority, &own[i]);
        if i == 2 {
            flags.push(format!("--peer-client-cert-file={}", text(&own[1].certificate)));
            flags.push(format!("--peer-client-key-file={}", text(&own[1].key)));
        }
        flags
    });
    eventually("the other two serve", LIMIT, async || takes_a_put(&cluster, 0).await).await;
    eventually("the first says why it does not listen to the third", LIMIT, async || {
        cluster.log(0).contains("the certificate of n3 names none of the hosts")
    })
    .await;
    assert!(!cluster.log(2).contains(SERVES), "a member that nobody listens to is not admitted");
    // With its own certificate it is welcome.
    cluster.kill(2);
    cluster
        .arguments(2)
        .retain(|flag| !flag.starts_with("--peer-client-") || flag == "--peer-client-cert-auth");
    cluster.restart(2).await;
}

#[tokio::test]
async fn whom_no_authority_vouches_for_is_not_heard() {
    let directory = here();
    let authority = Authority::new(directory.path(), "peers");
    let own = identities(&authority);
    let stranger = Authority::new(directory.path(), "strangers");
    let theirs = issue(&stranger, "stranger", &host(2));
    let cluster = spawn(&|i| {
        let mut flags = flags(&authority, &own[i]);
        if i == 2 {
            flags.push(format!("--peer-client-cert-file={}", text(&theirs.certificate)));
            flags.push(format!("--peer-client-key-file={}", text(&theirs.key)));
        }
        flags
    });
    eventually("the other two serve", LIMIT, async || takes_a_put(&cluster, 0).await).await;
    assert!(!cluster.log(2).contains(SERVES), "it is heard");
}

#[tokio::test]
async fn members_may_make_their_own_certificates() {
    let mut cluster = spawn(&|_| vec!["--peer-auto-tls".to_owned()]);
    cluster.until_ready().await.expect("they meet");
    cluster.client().await.put(put("k", "v")).await.unwrap();
    assert!(cluster.data_dir(0).join("fixtures/peer/cert.pem").exists());
}
