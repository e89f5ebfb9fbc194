//! TLS towards clients, on real members: with certificates of an authority that the test makes up.

use std::path::Path;
use std::time::Duration;

use quorate_client::{Client as TlsClient, Error, Options, Tls};
use tempfile::TempDir;

use crate::harness::api::{PutRequest, RangeRequest};
use crate::harness::authority::{Authority, Identity, Says, client, server};
use crate::harness::ports::free_ports;
use crate::harness::process::Process;
use crate::harness::*;

/// The longest that a test waits for something to come about.
const LIMIT: Duration = Duration::from_secs(40);

/// A member with a secure port for clients.
struct Secured {
    _process: Process,
    url: String,
    log: std::path::PathBuf,
}

/// Starts a member; `{url}` in the flags is its URL for clients.
fn start(directory: &Path, flags: &[&str]) -> Secured {
    let ports = free_ports(2);
    let url = format!("https://127.0.0.1:{}", ports[0]);
    let peer = format!("http://127.0.0.1:{}", ports[1]);
    let log = directory.join("member.log");
    let data = directory.join("data");
    let mut args = vec!["serve".to_owned()];
    for (flag, value) in [
        ("--name", "n1"),
        ("--data-dir", data.to_str().unwrap()),
        ("--listen-client-urls", &url),
        ("--advertise-client-urls", &url),
        ("--listen-peer-urls", &peer),
        ("--initial-advertise-peer-urls", &peer),
        ("--initial-cluster", &format!("n1={peer}")),
    ] {
        args.extend([flag.to_owned(), value.to_owned()]);
    }
    args.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let program = Kind::Quorate.program();
    Secured { _process: Process::spawn(&program, &args, &log, &data), url, log }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the test")
}

/// A client that believes `trusted` and shows `identity`.
fn connect(url: &str, trusted: &Path, identity: Option<&Identity>) -> TlsClient {
    let identity = identity.map(|of| (of.certificate.clone(), of.key.clone()));
    let tls = Tls { trusted: Some(trusted.to_owned()), identity, skip_verify: false };
    over(url, tls)
}

fn over(url: &str, tls: Tls) -> TlsClient {
    let endpoints = vec![url.to_owned()];
    let request_timeout = Some(Duration::from_secs(8));
    let options = Options { endpoints, tls: Some(tls), request_timeout, ..Options::default() };
    TlsClient::new(options).expect("settings that can work")
}

async fn read(client: &TlsClient) -> Result<(), Error> {
    let request = RangeRequest { key: "k".into(), ..RangeRequest::default() };
    client.range(request).await.map(drop)
}

async fn until_it_serves(member: &Secured, client: &TlsClient) {
    let begun = std::time::Instant::now();
    while let Err(error) = read(client).await {
        let log = std::fs::read_to_string(&member.log).unwrap_or_default();
        assert!(begun.elapsed() < LIMIT, "it does not serve: {error}; its log:\n{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn here() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

#[tokio::test]
async fn clients_and_pages_speak_tls() {
    let directory = here();
    let authority = Authority::new(directory.path(), "ca");
    let own = authority.issue("server", &server());
    let flags = ["--cert-file", text(&own.certificate), "--key-file", text(&own.key)];
    let member = start(directory.path(), &flags);
    let good = connect(&member.url, &authority.certificate, None);
    until_it_serves(&member, &good).await;
    let put = PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() };
    good.put(put).await.expect("put");
    // The name without a scheme: who says whom to believe means TLS.
    let bare = member.url.strip_prefix("https://").unwrap();
    read(&connect(bare, &authority.certificate, None)).await.expect("a bare endpoint");
    // Whoever believes somebody else does not speak to it, and whoever believes anybody does.
    let stranger = Authority::new(directory.path(), "stranger");
    let refused = read(&connect(&member.url, &stranger.certificate, None)).await;
    let error = refused.expect_err("not believed").to_string();
    assert!(error.contains("certificate"), "{error}");
    let tls = Tls { skip_verify: true, ..Tls::default() };
    read(&over(&member.url, tls)).await.expect("believes anybody");
    // In the clear there is nothing to be had.
    let plain = Client::connect(&format!("http://{bare}")).await;
    let plain = match plain {
        Ok(client) => client.status().await.map(drop).map_err(|status| status.to_string()),
        Err(error) => Err(error.to_string()),
    };
    plain.expect_err("TLS is no choice");
}

#[tokio::test]
async fn a_client_must_be_vouched_for() {
    let directory = here();
    let path = directory.path();
    let authority = Authority::new(path, "ca");
    let own = authority.issue("server", &server());
    let good = authority.issue("alice", &client("alice"));
    let revoked = authority.issue("bob", &Says { serial: 66, ..client("bob") });
    let expired = authority.issue("carol", &Says { expired: true, ..client("carol") });
    let stranger = Authority::new(path, "stranger").issue("eve", &client("alice"));
    let list = authority.revoke(&[66]);
    let flags = [
        "--cert-file",
        text(&own.certificate),
        "--key-file",
        text(&own.key),
        "--client-cert-auth",
        "--trusted-ca-file",
        text(&authority.certificate),
        "--client-crl-file",
        text(&list),
    ];
    let member = start(path, &flags);
    let trusted = &authority.certificate;
    until_it_serves(&member, &connect(&member.url, trusted, Some(&good))).await;
    read(&connect(&member.url, trusted, None)).await.expect_err("no certificate");
    for (who, identity) in [("revoked", &revoked), ("expired", &expired), ("stranger", &stranger)] {
        let refused = read(&connect(&member.url, trusted, Some(identity))).await;
        refused.expect_err(who);
    }
    // A file without a list in it does not let everybody in: the old one counts on.
    std::fs::copy(&own.certificate, &list).unwrap();
    eventually("it is noticed", LIMIT, async || {
        let _ = read(&connect(&member.url, trusted, Some(&good))).await;
        std::fs::read_to_string(&member.log).unwrap().contains("no list of revoked certificates")
    })
    .await;
    read(&connect(&member.url, trusted, Some(&revoked))).await.expect_err("still revoked");
    // A list that is replaced counts for whoever comes next.
    authority.revoke(&[7]);
    eventually("the new list counts", LIMIT, async || {
        read(&connect(&member.url, trusted, Some(&good))).await.is_err()
            && read(&connect(&member.url, trusted, Some(&revoked))).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn files_are_replaced_under_a_running_member() {
    let directory = here();
    let path = directory.path();
    let (first, second) = (Authority::new(path, "first"), Authority::new(path, "second"));
    let own = first.issue("server", &server());
    let flags = ["--cert-file", text(&own.certificate), "--key-file", text(&own.key)];
    let member = start(path, &flags);
    let old = connect(&member.url, &first.certificate, None);
    until_it_serves(&member, &old).await;
    // A broken file changes nothing.
    std::fs::write(&own.certificate, "no certificate").unwrap();
    eventually("the broken file is noticed", LIMIT, async || {
        read(&connect(&member.url, &first.certificate, None)).await.expect("the old one serves");
        std::fs::read_to_string(&member.log).unwrap().contains("the old TLS files stay in use")
    })
    .await;
    second.issue("server", &server());
    eventually("the new certificate is shown", LIMIT, async || {
        read(&connect(&member.url, &second.certificate, None)).await.is_ok()
    })
    .await;
    read(&connect(&member.url, &first.certificate, None)).await.expect_err("the old one is gone");
    read(&old).await.expect("a connection that was there goes on");
}

#[tokio::test]
async fn a_member_may_make_its_own_certificate() {
    let directory = here();
    let member = start(directory.path(), &["--auto-tls", "--tls-min-version", "TLS1.3"]);
    let tls = Tls { skip_verify: true, ..Tls::default() };
    until_it_serves(&member, &over(&member.url, tls)).await;
    let made = directory.path().join("data/fixtures/client");
    let mode = std::fs::metadata(made.join("key.pem")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
    assert_eq!(mode & 0o777, 0o600, "nobody else reads the key");
    // Who is given that very certificate can tell it from any other.
    read(&connect(&member.url, &made.join("cert.pem"), None)).await.expect("believed");
}

#[tokio::test]
async fn hosts_of_clients_may_be_limited() {
    let directory = here();
    let path = directory.path();
    let authority = Authority::new(path, "ca");
    let own = authority.issue("server", &server());
    let inside = authority.issue("in", &Says { hosts: &["a.inside.example"], ..client("a") });
    let outside = authority.issue("out", &Says { hosts: &["a.example"], ..client("a") });
    let flags = [
        "--cert-file",
        text(&own.certificate),
        "--key-file",
        text(&own.key),
        "--trusted-ca-file",
        text(&authority.certificate),
        "--client-cert-allowed-hostname",
        "b.example,a.inside.example",
    ];
    let member = start(path, &flags);
    let trusted = &authority.certificate;
    until_it_serves(&member, &connect(&member.url, trusted, Some(&inside))).await;
    read(&connect(&member.url, trusted, Some(&outside))).await.expect_err("another host");
}

#[tokio::test]
async fn a_unix_socket_serves_clients_on_one_machine() {
    let directory = here();
    let socket = directory.path().join("q.sock");
    let url = format!("unix://{}", text(&socket));
    // Left behind by somebody who was killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    let flags = ["--listen-client-urls", &url, "--advertise-client-urls", &url];
    let directory_of_data = here();
    let ports = free_ports(1);
    let peer = format!("http://127.0.0.1:{}", ports[0]);
    let data = directory_of_data.path().join("data");
    let mut args: Vec<String> = ["serve", "--name", "n1", "--data-dir", text(&data)]
        .into_iter()
        .chain(flags)
        .chain(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .map(str::to_owned)
        .collect();
    args.push(format!("--initial-cluster=n1={peer}"));
    let log = directory_of_data.path().join("log");
    let process = Process::spawn(&Kind::Quorate.program(), &args, &log, &data);
    let member = Secured { _process: process, url: url.clone(), log };
    let request_timeout = Some(Duration::from_secs(8));
    let options = Options { endpoints: vec![url], request_timeout, ..Options::default() };
    let client = TlsClient::new(options).expect("settings that can work");
    until_it_serves(&member, &client).await;
    let stream = tokio::net::UnixStream::connect(&socket).await.expect("connected");
    let answer = http::send_over(stream, "GET", "/health", &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"health":"true","reason":""}"#));
    assert_eq!(member.url, format!("unix://{}", text(&socket)));
}
