//! Starts servers: one that most tests share, or one to three that belong to a single test.
//!
//! By default the servers are the `quorate` binary that cargo built for this test. With
//! `QUORATE_CONTRACT_SERVER=etcd` and `QUORATE_ETCD_BIN=/path/to/etcd` they are real etcd, started
//! with the very same flags: the tests are about the wire, and a test that real etcd fails is a
//! wrong test.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use super::api::RangeRequest;
use super::client::Client;
use super::ports::{free_ports, were_taken};
use super::process::Process;
use super::requests::get;

/// How long a cluster may take from exec to its first answers before the test fails.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How many sets of ports are tried: between choosing a port and binding it, somebody else may take
/// it.
const PORT_TRIES: usize = 5;
/// The pause between two looks at a server that is starting.
const POLL: Duration = Duration::from_millis(10);

/// Election timeout of the servers that one test owns, in milliseconds: short, because tests wait
/// for elections, and because the least TTL of a lease is one and a half of it, rounded up to a
/// second.
pub const ELECTION_MS: u64 = 500;

/// What the tests speak to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Quorate,
    Etcd,
}

impl Kind {
    /// Which server this run is about.
    pub fn current() -> Kind {
        match std::env::var("QUORATE_CONTRACT_SERVER").as_deref() {
            Err(_) | Ok("quorate") => Kind::Quorate,
            Ok("etcd") => Kind::Etcd,
            Ok(other) => {
                panic!("QUORATE_CONTRACT_SERVER is {other:?}, expected \"quorate\" or \"etcd\"")
            }
        }
    }

    /// The server's binary.
    pub fn program(self) -> PathBuf {
        match self {
            Kind::Quorate => match option_env!("CARGO_BIN_EXE_quorate") {
                Some(binary) => binary.into(),
                None => panic!("cargo names the binary of this package"),
            },
            Kind::Etcd => std::env::var_os("QUORATE_ETCD_BIN")
                .expect("QUORATE_ETCD_BIN names an etcd binary")
                .into(),
        }
    }
}

/// One member: its process, while it runs, and how to start it again.
struct Member {
    process: Option<Process>,
    endpoint: String,
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
}

/// A cluster of one or three members on loopback, killed and wiped when it goes out of scope.
pub struct Cluster {
    // The order matters: fields are dropped in order, and the processes must end before their files
    // go.
    members: Vec<Member>,
    directory: TempDir,
}

impl Cluster {
    /// One member of its own for a test that compacts, counts revisions or fills a quota.
    pub async fn single(flags: &[&str]) -> Cluster {
        Cluster::start(1, flags).await
    }

    /// Three members, a leader among them.
    pub async fn three(flags: &[&str]) -> Cluster {
        Cluster::start(3, flags).await
    }

    /// Three members that another program runs, until [`Cluster::set_program`].
    pub async fn three_of(program: &Path) -> Cluster {
        Cluster::start_with(program, 3, &[]).await
    }

    async fn start(size: usize, flags: &[&str]) -> Cluster {
        Cluster::start_with(&Kind::current().program(), size, flags).await
    }

    async fn start_with(program: &Path, size: usize, flags: &[&str]) -> Cluster {
        for _ in 0..PORT_TRIES {
            let own = flags.iter().map(|&flag| flag.to_owned()).collect::<Vec<_>>();
            let ports = free_ports(2 * size);
            let mut cluster = Cluster::spawn_with(program, &ports, &mut |_| own.clone());
            match cluster.until_ready().await {
                Ok(()) => return cluster,
                Err(log) if were_taken(&log) => {}
                Err(log) => panic!("the server ended while it was starting; its log:\n{log}"),
            }
        }
        panic!("no free ports in {PORT_TRIES} tries");
    }

    /// Members whose flags are their own, at these ports: first those for clients, then those for
    /// peers. They may not be ready yet, see [`Cluster::until_ready`].
    pub fn spawn(ports: &[u16], flags: &mut dyn FnMut(usize) -> Vec<String>) -> Cluster {
        Cluster::spawn_with(&Kind::current().program(), ports, flags)
    }

    fn spawn_with(
        program: &Path,
        ports: &[u16],
        flags: &mut dyn FnMut(usize) -> Vec<String>,
    ) -> Cluster {
        let size = ports.len() / 2;
        let directory = tempfile::Builder::new()
            .prefix("contract-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("create a data directory");
        let (client_ports, peer_ports) = ports.split_at(size);
        let peers = (0..size)
            .map(|i| format!("n{}=http://127.0.0.1:{}", i + 1, peer_ports[i]))
            .collect::<Vec<_>>();
        let members = (0..size)
            .map(|i| {
                let args = arguments(
                    i,
                    client_ports[i],
                    peer_ports[i],
                    &peers.join(","),
                    directory.path(),
                    &flags(i),
                );
                let log = directory.path().join(format!("n{}.log", i + 1));
                let program = program.to_owned();
                let process = Process::spawn(&program, &args, &log, directory.path());
                let endpoint = format!("http://127.0.0.1:{}", client_ports[i]);
                Member { process: Some(process), endpoint, program, args, log }
            })
            .collect();
        Cluster { members, directory }
    }

    /// Waits until every running member answers a serializable read and knows a leader. The error
    /// is the log of a member that ended instead.
    pub async fn until_ready(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let running = |i: &usize| self.members[*i].process.is_some();
        for i in (0..self.members.len()).filter(running).collect::<Vec<_>>() {
            loop {
                let is_ready = self.is_ready(i).await;
                // One that is gone keeps the others waiting, and what answers at its port is not it.
                if let Some(log) = self.log_of_one_that_ended() {
                    return Err(log);
                }
                if is_ready {
                    break;
                }
                if begun.elapsed() > START_LIMIT {
                    let log = self.log(i);
                    panic!("member {} is not ready after {START_LIMIT:?}; its log:\n{log}", i + 1);
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    fn log_of_one_that_ended(&mut self) -> Option<String> {
        let has_ended =
            |member: &mut Member| member.process.as_mut().is_some_and(Process::has_exited);
        let ended = self.members.iter_mut().position(has_ended)?;
        Some(self.log(ended))
    }

    async fn is_ready(&self, i: usize) -> bool {
        let Ok(client) = Client::connect(&self.members[i].endpoint).await else { return false };
        let read = client.range(RangeRequest { serializable: true, ..get("ready") }).await;
        match (read, client.status().await) {
            (Ok(_), Ok(status)) => status.leader != 0,
            // Who asks for a name answers as well.
            (Err(refusal), Err(_)) => refusal.message() == "etcdserver: user name is empty",
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        }
    }

    /// A client of the first member.
    pub async fn client(&self) -> Client {
        self.client_of(0).await
    }

    /// A client of one member, counted from 0, that talks to no other.
    pub async fn client_of(&self, i: usize) -> Client {
        let endpoint = &self.members[i].endpoint;
        Client::connect(endpoint)
            .await
            .unwrap_or_else(|e| panic!("cannot connect to {endpoint}: {e}"))
    }

    /// Which member leads, counted from 0: the one that all running members name.
    pub async fn leader(&self) -> usize {
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            if let Some(leader) = self.agreed_leader().await {
                return leader;
            }
            sleep(POLL).await;
        }
        panic!("no leader after {START_LIMIT:?}");
    }

    async fn agreed_leader(&self) -> Option<usize> {
        let mut leader_id = None;
        let mut found = None;
        for (i, member) in self.members.iter().enumerate().filter(|(_, m)| m.process.is_some()) {
            let client = Client::connect(&member.endpoint).await.ok()?;
            let status = client.status().await.ok()?;
            let named = status.leader;
            if named == 0 || *leader_id.get_or_insert(named) != named {
                return None;
            }
            if status.header?.member_id == named {
                found = Some(i);
            }
        }
        found
    }

    /// Some member that does not lead.
    pub async fn follower(&self) -> usize {
        (self.leader().await + 1) % self.members.len()
    }

    /// The client URL of one member.
    pub fn endpoint(&self, i: usize) -> &str {
        &self.members[i].endpoint
    }

    /// How many members there are, running or not.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Kills one member without warning; its data stays.
    pub fn kill(&mut self, i: usize) {
        self.members[i].process = None;
    }

    /// Starts one more member, which was added to the running cluster under this id: first its port
    /// for clients, then the one for peers. It may not be ready yet.
    pub fn join(&mut self, ports: &[u16], members: &[super::api::Member], id: u64) {
        let i = self.members.len();
        let name = |member: &super::api::Member| {
            if member.id == id { format!("n{}", i + 1) } else { member.name.clone() }
        };
        let peers: Vec<String> = members
            .iter()
            .flat_map(|member| {
                member.peer_ur_ls.iter().map(|url| format!("{}={url}", name(member)))
            })
            .collect();
        let flags = ["--initial-cluster-state=existing".to_owned()];
        let data = self.directory.path();
        let args = arguments(i, ports[0], ports[1], &peers.join(","), data, &flags);
        let log = data.join(format!("n{}.log", i + 1));
        let program = Kind::current().program();
        let process = Process::spawn(&program, &args, &log, data);
        let endpoint = format!("http://127.0.0.1:{}", ports[0]);
        self.members.push(Member { process: Some(process), endpoint, program, args, log });
    }

    /// Starts a killed member again.
    pub fn start_again(&mut self, i: usize) {
        let member = &mut self.members[i];
        assert!(member.process.is_none(), "member {} still runs", i + 1);
        let data = self.directory.path();
        member.process = Some(Process::spawn(&member.program, &member.args, &member.log, data));
    }

    /// Stops one member where it stands (SIGSTOP), or lets it go on (SIGCONT).
    pub fn signal(&self, i: usize, signal: Signal) {
        let id = i32::try_from(self.process_id(i)).ok().and_then(Pid::from_raw);
        let id = id.expect("a process id");
        rustix::process::kill_process(id, signal).expect("signal a child");
    }

    /// How a member ended, when it ended by itself.
    pub fn ended(&mut self, i: usize) -> Option<ExitStatus> {
        self.members[i].process.as_mut().and_then(Process::ended)
    }

    /// Where a member keeps its data.
    pub fn data_dir(&self, i: usize) -> PathBuf {
        self.directory.path().join(format!("n{}", i + 1))
    }

    /// The arguments of one member, to change them or to start another like it.
    pub fn arguments(&mut self, i: usize) -> &mut Vec<String> {
        &mut self.members[i].args
    }

    /// The process id of a running member.
    pub fn process_id(&self, i: usize) -> u32 {
        self.members[i].process.as_ref().expect("the member runs").id()
    }

    /// From its next start on, another program runs a member.
    pub fn set_program(&mut self, i: usize, program: &Path) {
        self.members[i].program = program.to_owned();
    }

    /// From its next start on, a member is run by another command, in which it takes the command's
    /// place (`exec`).
    pub fn run_inside(&mut self, i: usize, command: &[String]) {
        let member = &mut self.members[i];
        let program = std::mem::replace(&mut member.program, PathBuf::from(&command[0]));
        let inner = [program.display().to_string()];
        let args = std::mem::take(&mut member.args);
        member.args = command[1..].iter().cloned().chain(inner).chain(args).collect();
    }

    /// What a member has written to its log so far.
    pub fn log(&self, i: usize) -> String {
        std::fs::read_to_string(&self.members[i].log).unwrap_or_default()
    }

    /// Starts a killed member again and waits until the cluster is whole.
    pub async fn restart(&mut self, i: usize) {
        self.start_again(i);
        if let Err(log) = self.until_ready().await {
            panic!("member {} did not come back; its log:\n{log}", i + 1);
        }
    }
}

/// A client of the server that most tests share: one member with default settings, started by the
/// first test that asks. Tests keep apart by their keys, which start with their number.
pub async fn shared() -> Client {
    shared_cluster().await.client().await
}

/// Where that server listens for clients.
pub async fn shared_endpoint() -> &'static str {
    shared_cluster().await.endpoint(0)
}

async fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_init(|| Cluster::start(1, &["--election-timeout", "1000"])).await
}

fn arguments(
    i: usize,
    client: u16,
    peer: u16,
    peers: &str,
    directory: &Path,
    flags: &[String],
) -> Vec<String> {
    let name = format!("n{}", i + 1);
    let client_url = format!("http://127.0.0.1:{client}");
    let peer_url = format!("http://127.0.0.1:{peer}");
    let data = directory.join(&name).display().to_string();
    let mut args = match Kind::current() {
        Kind::Quorate => vec!["serve".to_owned()],
        Kind::Etcd => vec![],
    };
    let pairs = [
        ("--name", name.as_str()),
        ("--data-dir", &data),
        ("--listen-client-urls", &client_url),
        ("--advertise-client-urls", &client_url),
        ("--listen-peer-urls", &peer_url),
        ("--initial-advertise-peer-urls", &peer_url),
        ("--initial-cluster", peers),
        ("--initial-cluster-state", "new"),
    ];
    // What a test says itself takes the place of what it would be given.
    let own = |name: &str| flags.iter().any(|flag| flag.split('=').next() == Some(name));
    let pairs = pairs.into_iter().filter(|(name, _)| !own(name));
    args.extend(pairs.flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()]));
    if !own("--election-timeout") {
        let (heartbeat, election) = (ELECTION_MS / 10, ELECTION_MS);
        args.extend([
            format!("--heartbeat-interval={heartbeat}"),
            format!("--election-timeout={election}"),
        ]);
    }
    args.extend(flags.iter().cloned());
    args
}
