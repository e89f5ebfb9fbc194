//! Floods: connections that say nothing, and answers that are too large to be in memory together.
//!
//! What is asked for is that memory stays bounded and that others are served. Speed is measured by
//! the benchmarks; here a healthy client only has a generous limit for each call.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::api::RangeRequest;
use crate::harness::http::{begin, look, post};
use crate::harness::*;

/// Connections that never finish their handshakes.
const SILENT: usize = 10_000;

/// The longest that a call of the healthy client may take meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) const MIB: u64 = 1 << 20;

/// A number of `/proc/<pid>/status`, in bytes.
pub(crate) fn memory(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel tells");
    let kib = line.split_ascii_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") * 1024
}

/// A gauge of the member's own page.
pub(crate) async fn gauge(url: &str, name: &str) -> f64 {
    let page = look(url, "/metrics").await.body;
    let line = page.lines().find(|line| line.split(' ').next() == Some(name));
    line.and_then(|line| line.split(' ').nth(1)).expect(name).parse().expect("a number")
}

fn open_many_files() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(most > SILENT as u64 + 500, "this test needs {SILENT} open files, the limit is {most}");
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("up to the limit");
}

#[tokio::test]
async fn ten_thousand_silent_connections_cost_little_and_keep_nobody_out() {
    // Etcd has no such limit.
    if Kind::current() == Kind::Etcd {
        return;
    }
    open_many_files();
    let cluster = Cluster::single(&["--handshake-timeout", "10s"]).await;
    let (url, process) = (cluster.endpoint(0).to_owned(), cluster.process_id(0));
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let client = cluster.client().await;
    client.put(put("k", "v")).await.unwrap();
    let before = memory(process, "VmRSS:");
    let mut silent = Vec::with_capacity(SILENT);
    let (mut worst, mut calls) = (Duration::ZERO, 0);
    while silent.len() < SILENT {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(&address).await.expect("accepted by the kernel");
            // Some say nothing, some begin and never go on. The server may have hung up already.
            let words: [&[u8]; 3] = [b"", b"PRI * HTTP/2.0\r\n", b"GET /hea"];
            let _ = stream.write_all(words[silent.len() % 3]).await;
            silent.push(stream);
        }
        let begun = Instant::now();
        client.put(put("k", "v")).await.expect("an old client is served");
        if silent.len() % 1_000 == 0 {
            cluster.client().await.read("k").await.expect("a new client is served");
        }
        (worst, calls) = (worst.max(begun.elapsed()), calls + 1);
    }
    assert!(worst < PATIENCE, "a call took {worst:?} under the flood");
    let grown = memory(process, "VmRSS:").saturating_sub(before);
    println!(
        "{calls} calls during {SILENT} silent connections, the slowest {worst:?}; {grown} bytes more"
    );
    assert!(grown < 64 * MIB, "{grown} bytes for {SILENT} silent connections");
    let half_open = gauge(&url, "quorate_client_connections_half_open").await;
    assert!(half_open <= 1_025.0, "{half_open} half-open connections");
    assert!(gauge(&url, "quorate_client_connections_pushed_out_total").await > 0.0);
    // None of them outlives its deadline, though nobody closed any.
    eventually("all silent connections are gone", Duration::from_secs(20), async || {
        gauge(&url, "quorate_client_connections").await < 10.0
    })
    .await;
    drop(silent);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    // Etcd has no such limit.
    if Kind::current() == Kind::Etcd {
        return;
    }
    let cluster = Cluster::single(&["--max-connections", "8"]).await;
    let address = cluster.endpoint(0).strip_prefix("http://").unwrap().to_owned();
    let mut clients = Vec::new();
    for _ in 0..7 {
        let client = cluster.client().await;
        client.status().await.expect("there is room");
        clients.push(client);
    }
    // Whoever comes when all places are taken is told at once, by the end of the connection.
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(&address).await.expect("accepted by the kernel"));
    }
    eventually("a new client is refused", PATIENCE, async || {
        match Client::connect(&format!("http://{address}")).await {
            Ok(client) => client.status().await.is_err(),
            Err(_) => true,
        }
    })
    .await;
    clients[0].status().await.expect("those who are there stay");
}

#[tokio::test]
async fn large_answers_wait_for_each_other() {
    // Etcd has no such limit.
    if Kind::current() == Kind::Etcd {
        return;
    }
    const VALUES: usize = 32;
    const READERS: usize = 12;
    let flags = ["--max-answer-bytes", "50331648", "--quota-backend-bytes", "-1"];
    let cluster = Cluster::single(&flags).await;
    let process = cluster.process_id(0);
    let client = cluster.client().await;
    for i in 0..VALUES {
        client.put(put(format!("large/{i:02}"), vec![b'x'; MIB as usize])).await.unwrap();
    }
    let before = memory(process, "VmRSS:");
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        let client = cluster.client().await;
        // In another order than that of the keys, so that it has to be in memory as a whole.
        let request = RangeRequest { sort_order: 2, ..prefix("large/") };
        readers.spawn(async move { client.range(request).await });
    }
    // Small reads pass meanwhile, whatever is waiting.
    let begun = Instant::now();
    for _ in 0..20 {
        client.range(prefix("small/")).await.expect("a small answer needs no room");
    }
    assert!(begun.elapsed() < 2 * PATIENCE, "small reads took {:?}", begun.elapsed());
    let mut answered = 0;
    while let Some(answer) = readers.join_next().await {
        match answer.expect("no reader panics") {
            Ok(answer) => {
                assert_eq!(answer.kvs.len(), VALUES, "an answer is whole or none");
                answered += 1;
            }
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                assert_eq!(status.message(), "etcdserver: too many requests");
            }
        }
    }
    assert!(answered >= 1, "one answer at a time has room");
    // What is read is let go as it is encoded, a piece at a time; the rest is the state's own.
    let grown = memory(process, "VmHWM:").saturating_sub(before);
    println!("{answered} of {READERS} answers of {VALUES} MiB; at most {grown} bytes more");
    assert!(grown < 2 * 48 * MIB, "{grown} bytes for answers of {VALUES} MiB each");
    assert_eq!(gauge(cluster.endpoint(0), "quorate_answer_bytes").await, 0.0);
}

#[tokio::test]
async fn a_large_answer_in_json_keeps_its_room_until_it_is_read() {
    // Etcd has no such limit.
    if Kind::current() == Kind::Etcd {
        return;
    }
    const VALUES: usize = 8;
    let flags = ["--max-answer-bytes", "14680064", "--quota-backend-bytes", "-1"];
    let cluster = Cluster::single(&flags).await;
    let (url, client) = (cluster.endpoint(0).to_owned(), cluster.client().await);
    for i in 0..VALUES {
        client.put(put(format!("large/{i:02}"), vec![b'x'; MIB as usize])).await.unwrap();
    }
    // large/ to large0, in base64.
    let range = r#"{"key": "bGFyZ2Uv", "range_end": "bGFyZ2Uw"}"#;
    let txn = format!(r#"{{"success": [{{"request_range": {range}}}]}}"#);
    for (path, ask) in [("/v3/kv/range", range), ("/v3/kv/txn", &txn)] {
        let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        let mut answer = begin(stream, "POST", path, &[], ask).await;
        assert_eq!(answer.status, 200);
        let held = gauge(&url, "quorate_answer_bytes").await;
        assert!(held >= (VALUES as u64 * MIB) as f64 * 4.0 / 3.0, "{held} bytes for {path}");
        // There is no second place, and whoever wants one is told.
        let refused = post(&url, path, ask).await;
        assert_eq!(refused.status, 429, "{}", refused.body);
        assert!(refused.body.contains("etcdserver: too many requests"), "{}", refused.body);
        // What is read is whole.
        let mut bytes = 0;
        while let Some(piece) = answer.piece().await {
            bytes += piece.len() as u64;
        }
        assert!(bytes > VALUES as u64 * MIB * 4 / 3, "{bytes} bytes from {path}");
        eventually("the room is given back", PATIENCE, async || {
            gauge(&url, "quorate_answer_bytes").await == 0.0
        })
        .await;
    }
    // One who goes away gives it back too.
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let answer = begin(stream, "POST", "/v3/kv/range", &[], range).await;
    assert!(gauge(&url, "quorate_answer_bytes").await > 0.0);
    drop(answer);
    eventually("nothing is held for nobody", PATIENCE, async || {
        gauge(&url, "quorate_answer_bytes").await == 0.0
    })
    .await;
}
