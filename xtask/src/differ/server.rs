//! One real server with one member, which ends with this program.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_wire::etcd::etcdserverpb::RangeRequest;
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use tonic::transport::{Channel, Endpoint};

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that any call may take.
const CALL: Duration = Duration::from_secs(15);

/// Flags beyond addresses and directories: requests are small, so that large ones and split answers are within reach;
/// passwords cost little, and tokens outlive an episode.
const FLAGS: [&str; 5] = [
    "--initial-cluster-state=new",
    "--log-level=warn",
    "--max-request-bytes=65536",
    "--bcrypt-cost=4",
    "--auth-token-ttl=3600",
];

/// What went wrong with a server, or between it and us.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file or a process of this machine.
    #[error("{what}: {error}")]
    Io {
        /// What was attempted.
        what: String,
        /// What came back.
        error: std::io::Error,
    },
    /// A server that did not come up, or is gone.
    #[error("{0}")]
    Server(String),
}

/// A server that runs.
pub struct Server {
    /// Its name in reports.
    pub name: &'static str,
    /// What it answers to `--version`.
    pub version: String,
    /// The connection to it.
    pub channel: Channel,
    child: Child,
}

impl Server {
    /// Starts `program` with an empty directory below `parent`, and waits until it answers.
    pub async fn start(
        program: &Path,
        name: &'static str,
        parent: &Path,
    ) -> Result<Server, Failure> {
        let io = |what: String| move |error| Failure::Io { what, error };
        let version = version_of(program)?;
        let data = parent.join(name);
        let log = parent.join(format!("{name}.log"));
        let file = File::create(&log).map_err(io(format!("create {}", log.display())))?;
        let errors = file.try_clone().map_err(io(format!("open {}", log.display())))?;
        let (client, peer) = (free_url()?, free_url()?);
        let child = Command::new(program)
            .args((name == "quorate").then_some("serve"))
            .arg(format!("--name={name}"))
            .arg(format!("--data-dir={}", data.display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster={name}={peer}"))
            .args(FLAGS)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(io(format!("start {}", program.display())))?;
        let endpoint = Endpoint::from_shared(client)
            .map_err(|error| Failure::Server(format!("{name}: {error}")))?;
        let channel = endpoint.timeout(CALL).tcp_nodelay(true).connect_lazy();
        let mut server = Server { name, version, channel, child };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = RangeRequest { key: "ready?".into(), ..RangeRequest::default() };
            if KvClient::new(server.channel.clone()).range(request).await.is_ok() {
                return Ok(server);
            }
            server.check_alive()?;
            if Instant::now() > deadline {
                let words = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(Failure::Server(format!("{name} does not answer; it said:\n{words}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The second number of its version.
    pub fn minor(&self) -> u32 {
        self.version.split('.').nth(1).and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    /// An error once the process has ended by itself: a request may have killed it.
    pub fn check_alive(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Failure::Server(format!("{} ended: {status}", self.name))),
            Err(error) => Err(Failure::Io { what: format!("look at {}", self.name), error }),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A URL whose port was free a moment ago.
fn free_url() -> Result<String, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    let address = address.map_err(|error| Failure::Io { what: "bind a port".into(), error })?;
    Ok(format!("http://{address}"))
}

/// The number in the first line of `--version`.
fn version_of(program: &Path) -> Result<String, Failure> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|error| Failure::Io { what: format!("run {}", program.display()), error })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    number.map(str::to_owned).ok_or_else(|| {
        Failure::Server(format!("{} --version does not name a version", program.display()))
    })
}
