//! Three servers on loopback, shared by most tests or owned by the one that kills.

#[path = "../../../../system/cli/tests/support/process.rs"]
#[allow(dead_code, reason = "shared with the tests of faults, which also pause")]
mod process;

#[path = "../../../../system/cli/tests/support/ports.rs"]
mod ports;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions};
use ports::{free_ports, were_taken};
use process::Process;
use tempfile::TempDir;

/// How many members a cluster has.
const MEMBERS: usize = 3;
/// How long a cluster may take to become ready, or to elect another leader.
const LIMIT: Duration = Duration::from_secs(60);
/// How many sets of ports are tried: somebody else may take one between choosing and binding.
const PORT_TRIES: usize = 5;
/// The longest that one call of the Rust client may take.
pub const CALL_LIMIT: Duration = Duration::from_secs(20);

struct Member {
    process: Option<Process>,
    /// Host and port for clients, without a scheme.
    endpoint: String,
    log: PathBuf,
}

/// Three members, killed and wiped when the value goes out of scope.
pub struct Cluster {
    // Fields are dropped in order: the processes must end before their files go.
    members: Vec<Member>,
    _directory: TempDir,
}

impl Cluster {
    /// Starts three members and waits until each of them answers and knows the leader.
    pub fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    /// Three members on which access control can be turned on: a token ends after six seconds in
    /// which nobody shows it, and the hash of a password is cheap.
    pub fn with_tokens() -> Cluster {
        Cluster::start_with(&["--auth-token-ttl=6", "--bcrypt-cost=4"])
    }

    fn start_with(own: &[&str]) -> Cluster {
        for _ in 0..PORT_TRIES {
            let mut cluster = Cluster::spawn(own);
            match cluster.until_ready() {
                Ok(()) => return cluster,
                Err(log) if were_taken(&log) => {}
                Err(log) => panic!("a server ended while it was starting; its log:\n{log}"),
            }
        }
        panic!("no free ports in {PORT_TRIES} tries");
    }

    /// The cluster that most tests share; its keys are kept apart by their prefixes.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Cluster::start)
    }

    fn spawn(own: &[&str]) -> Cluster {
        let directory = tempfile::Builder::new()
            .prefix("foreign-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("create a data directory");
        let ports = free_ports(2 * MEMBERS);
        let (clients, peers) = ports.split_at(MEMBERS);
        let initial = (0..MEMBERS).map(|i| format!("n{}=http://127.0.0.1:{}", i + 1, peers[i]));
        let initial = initial.collect::<Vec<_>>().join(",");
        let members = (0..MEMBERS)
            .map(|i| {
                let endpoint = format!("127.0.0.1:{}", clients[i]);
                let log = directory.path().join(format!("n{}.log", i + 1));
                let (program, mut args) = server();
                let data = directory.path().join(format!("n{}", i + 1));
                args.extend(flags(i, &endpoint, peers[i], &initial, &data));
                args.extend(own.iter().map(ToString::to_string));
                let process = Some(Process::spawn(&program, &args, &log, directory.path()));
                Member { process, endpoint, log }
            })
            .collect();
        Cluster { members, _directory: directory }
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        for member in &mut self.members {
            while status(&member.endpoint).is_none_or(|status| status.leader == 0) {
                let log = || std::fs::read_to_string(&member.log).unwrap_or_default();
                if member.process.as_mut().is_none_or(|process| process.has_exited()) {
                    return Err(log());
                }
                assert!(begun.elapsed() < LIMIT, "not ready after {LIMIT:?}; the log:\n{}", log());
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// All endpoints, as `host:port`.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.endpoint.clone()).collect()
    }

    /// The Rust client, connected to all members.
    pub async fn client(&self) -> Client {
        connect(&self.endpoints()).await
    }

    /// Kills the leader and waits until the others agree on another; returns who was killed.
    pub fn kill_leader(&mut self) -> usize {
        let leader = self.leader(None);
        self.members[leader].process = None;
        self.leader(Some(leader));
        leader
    }

    /// The member that all running ones name as the leader, if it is not `gone`.
    fn leader(&self, gone: Option<usize>) -> usize {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            let running = (0..MEMBERS).filter(|&i| self.members[i].process.is_some());
            let known = running.map(|i| (i, status(&self.members[i].endpoint))).collect::<Vec<_>>();
            let named = known[0].1.as_ref().map_or(0, |status| status.leader);
            let agreed = known.iter().all(|(_, s)| s.as_ref().is_some_and(|s| s.leader == named));
            let leads = |s: &Option<Status>| s.as_ref().is_some_and(|s| s.member == named);
            match known.iter().find(|(_, status)| leads(status)) {
                Some(&(i, _)) if agreed && named != 0 && gone != Some(i) => return i,
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
        panic!("no leader after {LIMIT:?}");
    }
}

/// Asks until it holds, for [`CALL_LIMIT`] at most: calls go to any member, and one may be a step behind.
pub async fn eventually(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !probe().await {
        assert!(begun.elapsed() < CALL_LIMIT, "not within {CALL_LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Connects the Rust client to these endpoints; no call of it takes longer than [`CALL_LIMIT`].
pub async fn connect(endpoints: &[String]) -> Client {
    let options =
        ConnectOptions::new().with_connect_timeout(Duration::from_secs(5)).with_timeout(CALL_LIMIT);
    Client::connect(endpoints, Some(options)).await.expect("connect to the cluster")
}

struct Status {
    member: u64,
    leader: u64,
}

/// What one member says of itself, or nothing while it does not answer.
fn status(endpoint: &str) -> Option<Status> {
    let endpoint = endpoint.to_owned();
    // A runtime of its own on a thread of its own, so that async tests may call this too.
    let asking = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(async {
            let options = ConnectOptions::new()
                .with_connect_timeout(Duration::from_secs(1))
                .with_timeout(Duration::from_secs(2));
            let mut client = Client::connect([endpoint], Some(options)).await.ok()?;
            let status = client.status().await.ok()?;
            Some(Status { member: status.header()?.member_id(), leader: status.leader() })
        })
    });
    asking.join().expect("asking for a status does not panic")
}

/// The server binary and the arguments that come before the flags.
fn server() -> (PathBuf, Vec<String>) {
    match std::env::var("QUORATE_CONTRACT_SERVER").as_deref() {
        Ok("etcd") => {
            let etcd =
                std::env::var_os("QUORATE_ETCD_BIN").expect("QUORATE_ETCD_BIN names an etcd");
            (etcd.into(), vec![])
        }
        _ => (quorate(), vec!["serve".to_owned()]),
    }
}

/// The `quorate` binary under test.
fn quorate() -> PathBuf {
    if let Some(named) = std::env::var_os("QUORATE_BIN") {
        return named.into();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    ["debug", "release"]
        .map(|profile| target.join(profile).join("quorate"))
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .expect("no quorate binary: run `cargo build` in the repository, or set QUORATE_BIN")
}

fn flags(i: usize, endpoint: &str, peer: u16, initial: &str, data: &Path) -> Vec<String> {
    let peer = format!("http://127.0.0.1:{peer}");
    [
        ("--name", format!("n{}", i + 1)),
        ("--data-dir", data.display().to_string()),
        ("--listen-client-urls", format!("http://{endpoint}")),
        ("--advertise-client-urls", format!("http://{endpoint}")),
        ("--listen-peer-urls", peer.clone()),
        ("--initial-advertise-peer-urls", peer),
        ("--initial-cluster", initial.to_owned()),
        ("--initial-cluster-state", "new".to_owned()),
    ]
    .into_iter()
    .flat_map(|(flag, value)| [flag.to_owned(), value])
    .collect()
}
