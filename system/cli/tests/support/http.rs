//! As much of an HTTP/1.1 client as the tests need, with nothing hidden: one request a connection.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest that anything here waits.
const LIMIT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Looks at a page of the server at `endpoint`, a URL with the scheme `http`.
pub async fn look(endpoint: &str, path: &str) -> Answer {
    send(endpoint, "GET", path, &[], "").await
}

/// Posts JSON, expects JSON.
pub async fn post(endpoint: &str, path: &str, json: &str) -> Answer {
    send(endpoint, "POST", path, &[], json).await
}

/// One request and the whole answer.
pub async fn send(
    endpoint: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let address = endpoint.strip_prefix("http://").expect("a URL of the harness");
    let stream = TcpStream::connect(address).await.expect("the server listens");
    send_over(stream, method, path, headers, body).await
}

/// The same over a stream that is there already.
pub async fn send_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut answer = begin(stream, method, path, headers, body).await;
    let mut rest = Vec::new();
    while let Some(piece) = answer.piece().await {
        rest.extend(piece);
    }
    let body = String::from_utf8(rest).expect("an answer in UTF-8");
    Answer { status: answer.status, headers: answer.headers, body }
}

/// An answer that is still coming.
pub struct Streaming<S> {
    stream: BufReader<S>,
    pub status: u16,
    headers: Vec<(String, String)>,
    /// Bytes that are left, if their number was told.
    left: Option<usize>,
    chunked: bool,
    /// What has come and was not asked for yet.
    pending: Vec<u8>,
}

/// Sends a request and reads the head of its answer.
pub async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Streaming<S> {
    let host = if headers.iter().any(|(name, _)| *name == "Host") { "" } else { "Host: test\r\n" };
    let mut head = format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let request = format!("{head}\r\n{body}");
    // A server may answer, and close, before it has read a request that it refuses.
    let _ = timeout(LIMIT, stream.write_all(request.as_bytes())).await.expect("in time");
    let mut stream = BufReader::new(stream);
    let status = line(&mut stream).await;
    let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.expect("an answer of HTTP");
    let mut headers = Vec::new();
    loop {
        let line = line(&mut stream).await;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted);
    let left = header("content-length").map(|(_, value)| value.parse().expect("a number"));
    let chunked = header("transfer-encoding").is_some();
    Streaming { stream, status, headers, left, chunked, pending: Vec::new() }
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> String {
    let mut line = String::new();
    timeout(LIMIT, stream.read_line(&mut line)).await.expect("in time").expect("a line");
    line.trim_end().to_owned()
}

impl<S: AsyncRead + Unpin> Streaming<S> {
    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Option<Vec<u8>> {
        let size = if self.chunked {
            let size = line(&mut self.stream).await;
            usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("{size:?} is no size"))
        } else {
            self.left.take()?
        };
        if size == 0 {
            return None;
        }
        let mut piece = vec![0; size];
        timeout(LIMIT, self.stream.read_exact(&mut piece)).await.expect("in time").expect("whole");
        if self.chunked {
            line(&mut self.stream).await;
        }
        Some(piece)
    }

    /// The next line of the body, as JSON.
    pub async fn line(&mut self) -> Option<serde_json::Value> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            let piece = self.piece().await?;
            self.pending.extend(piece);
        }
    }
}
