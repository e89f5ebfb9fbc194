//! `check datascale`: how much memory a member takes to hold some data.

use std::time::Duration;

use quorate_client::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::load::{Count, Keys};
use super::{Arguments, Size, load};
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::global::Global;
use crate::ctl::lock::interrupted;

const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 512;

/// What the metrics page calls the resident memory.
const MEMORY: &str = "process_resident_memory_bytes";

/// How long a member may take to answer with its metrics.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pairs, and connections.
fn workload(size: Size) -> (usize, usize) {
    match size {
        Size::Small => (10_000, 50),
        Size::Medium => (100_000, 200),
        Size::Large => (1_000_000, 500),
        Size::ExtraLarge => (3_000_000, 1_000),
    }
}

/// Runs the check.
pub async fn run(arguments: &Arguments, prefix: &str, global: &Global) -> Result<(), Failure> {
    let (pairs, connections) = workload(arguments.size()?);
    let clients = super::clients(global, connections)?;
    let way_out = format!("etcdctl del --prefix {prefix}");
    super::check_is_empty(&clients[0], prefix, &way_out).await?;
    let before = memory(&clients[0], "before").await?;
    println!(
        "Start data scale check for work load [{pairs} key-value pairs, {} bytes per key-value, \
         {connections} concurrent clients].",
        KEY_BYTES + VALUE_BYTES
    );
    let bar = load::bar(pairs as u64);
    let keys = Keys::new(prefix, KEY_BYTES);
    let loaded = tokio::select! {
        report = load::run(&clients, Count(pairs), keys, VALUE_BYTES, &bar, 1) => Some(report),
        () = interrupted() => None,
    };
    bar.finish();
    let after = memory(&clients[0], "after").await;
    let revision = super::clean_up(&clients[0], prefix).await?;
    if arguments.auto_compact {
        super::compact(&clients[0], revision).await?;
    }
    if arguments.auto_defrag {
        super::defragment(&clients[0]).await?;
    }
    let Some(report) = loaded else {
        return Err(Failure::new(ERROR, "interrupted: the keys of the check are deleted"));
    };
    if report.print_errors() {
        return Err(Failure::silent(ERROR));
    }
    let megabytes = (after? - before) / (1024.0 * 1024.0);
    println!("PASS: Approximate system memory used : {megabytes:.2} MB.");
    Ok(())
}

/// The resident memory of the first endpoint.
async fn memory(client: &Client, when: &str) -> Result<f64, Failure> {
    let endpoint = client.options().endpoints.first().cloned().unwrap_or_default();
    let read = match tokio::time::timeout(PATIENCE, metrics(&endpoint)).await {
        Ok(Ok(page)) => value_of(&page).ok_or_else(|| format!("could not find: {MEMORY}")),
        Ok(Err(error)) => Err(format!("fetch error: {error}")),
        Err(_) => Err(format!("fetch error: no answer within {PATIENCE:?}")),
    };
    read.map_err(|reason| {
        println!("{reason}");
        println!("FAIL: Could not read {MEMORY} {when} the put operations.");
        Failure::silent(ERROR)
    })
}

/// The metrics page of a member.
async fn metrics(endpoint: &str) -> std::io::Result<String> {
    let unsupported = |what: &str| std::io::Error::new(std::io::ErrorKind::Unsupported, what);
    if endpoint.starts_with("https://") {
        return Err(unsupported("name an http:// endpoint: metrics over TLS are not read"));
    }
    let address = endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page).await?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn value_of(page: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(MEMORY)?.strip_prefix(' '))?;
    line.trim().parse().ok().filter(|bytes| *bytes > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_one_line_of_the_page() {
        let page = "HTTP/1.0 200 OK\r\n\r\n# TYPE process_resident_memory_bytes gauge\n\
                    process_resident_memory_bytes 2.5e+07\nother 3\n";
        assert_eq!(value_of(page), Some(2.5e7));
        assert_eq!(value_of("process_resident_memory_bytes_max 7\n"), None);
        assert_eq!(value_of(""), None);
    }
}
