//! Whether a member is ready to serve.

use std::time::Duration;

use quorate_client::etcd::etcdserverpb::{RangeRequest, StatusRequest, StatusResponse};
use quorate_client::{Client, Options};
use tokio::time::{Instant, sleep, timeout};

/// The pause between two looks.
const POLL: Duration = Duration::from_millis(25);
/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// A client of one member that gives up after `limit`.
pub fn client_of(url: &str, limit: Duration) -> Result<Client, String> {
    let options = Options {
        endpoints: vec![url.to_owned()],
        dial_timeout: limit,
        request_timeout: Some(limit),
        ..Options::default()
    };
    Client::new(options).map_err(|error| error.to_string())
}

/// What must be true of a member that is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// It answers for itself.
    Answering,
    /// It answers, serves reads from its own state and knows a leader.
    Led,
}

/// Waits until a member is ready, and returns what it says of itself. The error is what was amiss at the last look.
pub async fn until_ready(
    url: &str,
    level: Level,
    limit: Duration,
) -> Result<StatusResponse, String> {
    let begun = Instant::now();
    loop {
        let reason = match look(url, level).await {
            Ok(status) => return Ok(status),
            Err(reason) => reason,
        };
        if begun.elapsed() >= limit {
            return Err(reason);
        }
        sleep(POLL).await;
    }
}

async fn look(url: &str, level: Level) -> Result<StatusResponse, String> {
    // A port that nobody listens on says so at once; the client would try until its time is over.
    let address = url.trim_start_matches("http://");
    let connected = timeout(ANSWER_LIMIT, tokio::net::TcpStream::connect(address)).await;
    connected
        .map_err(|_| "its port does not answer".to_owned())?
        .map_err(|_| "it does not listen for clients yet".to_owned())?;
    let client = client_of(url, ANSWER_LIMIT)?;
    let status = client.status(StatusRequest {}).await;
    let status = status.map_err(|error| format!("it does not tell its status: {error}"))?;
    if level == Level::Answering {
        return Ok(status);
    }
    if status.leader == 0 {
        return Err("it knows no leader yet".to_owned());
    }
    let read =
        RangeRequest { key: b"\0".to_vec().into(), serializable: true, ..Default::default() };
    let read = client.range(read).await;
    read.map_err(|error| format!("it does not serve reads yet: {error}"))?;
    Ok(status)
}
