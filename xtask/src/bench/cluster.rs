//! Three members of one system, as real processes.
//!
//! Both systems get the same flags, which are etcd's. Ports are picked by the kernel: they are bound, noted and let go
//! again just before the members start. Members log into a file next to their data.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_wire::etcd::etcdserverpb::RangeRequest;
use quorate_wire::etcd::etcdserverpb::StatusRequest;
use quorate_wire::etcd::etcdserverpb::StatusResponse;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use super::access::Access;
use super::binaries::System;
use super::connection::Connection;
use super::failure::{Failure, Result, file_failure, io_failure, rpc_failure};

/// Members per cluster.
pub const MEMBERS: usize = 3;

/// How long a cluster may take to elect a leader and answer, also when it has a million keys to recover.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a call may take that only asks how a member is.
const CALL_PATIENCE: Duration = Duration::from_secs(5);

/// How long a member may take to stop when it is asked to.
const FAREWELL: Duration = Duration::from_secs(10);

/// Flags beyond addresses and directories; etcd's own defaults where the bench could leave them out, but said, so that
/// both sides have them. The backend quota is raised because a million keys and their history pass etcd's 2 GiB.
const SHARED_FLAGS: [&str; 5] = [
    "--heartbeat-interval=100",
    "--election-timeout=1000",
    "--initial-cluster-state=new",
    "--quota-backend-bytes=8589934592",
    "--log-level=warn",
];

/// One member, running or not.
pub struct Member {
    /// What it is called in the cluster.
    pub name: String,
    /// `host:port` of its client side.
    pub client_address: String,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

/// A cluster of one system; its processes end when this is dropped.
pub struct Cluster {
    /// The program it runs.
    pub system: System,
    /// Its members.
    pub members: Vec<Member>,
    /// How to reach them.
    pub access: Access,
    directory: PathBuf,
}

impl Cluster {
    /// Starts a cluster with empty data below `directory` and waits until every member serves linearizable reads.
    /// With `secure` it is reached over TLS and as a user.
    pub async fn start(
        system: &System,
        directory: &Path,
        extra: &[&str],
        secure: bool,
    ) -> Result<Self> {
        let directory = directory.join(system.name());
        std::fs::create_dir_all(&directory).map_err(file_failure("create", &directory))?;
        let ports = free_ports(2 * MEMBERS)?;
        let (access, mut flags) =
            if secure { Access::secure(&directory)? } else { Default::default() };
        flags.extend(extra.iter().map(|flag| (*flag).to_owned()));
        let members = (0..MEMBERS)
            .map(|index| describe(system, &directory, index, &ports, access.scheme(), &flags))
            .collect::<Vec<_>>();
        let mut cluster = Self { system: system.clone(), members, access, directory };
        for index in 0..MEMBERS {
            cluster.launch(index)?;
        }
        cluster.wait_ready().await?;
        let address = cluster.members[0].client_address.clone();
        cluster.access.switch_on(&address).await?;
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    /// Process ids of the running members.
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(|member| member.child.as_ref()).map(Child::id).collect()
    }

    /// Client addresses of all members.
    pub fn addresses(&self) -> Vec<String> {
        self.members.iter().map(|member| member.client_address.clone()).collect()
    }

    /// Starts a member that is not running; returns when the process exists, not when it answers.
    pub fn launch(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        assert!(member.child.is_none(), "{} is running already", member.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&member.log)
            .map_err(file_failure("open", &member.log))?;
        let errors = log.try_clone().map_err(file_failure("open", &member.log))?;
        let child = Command::new(&self.system.binary)
            .args(&member.arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(file_failure("start", &self.system.binary))?;
        member.child = Some(child);
        Ok(())
    }

    /// Ends a member with SIGKILL and waits until it is gone.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        if let Some(mut child) = self.members[index].child.take() {
            child.kill().map_err(io_failure("kill a member"))?;
            child.wait().map_err(io_failure("wait for a killed member"))?;
        }
        Ok(())
    }

    /// Ends all members with SIGKILL: every signal is sent before the first process is waited for.
    pub fn kill_all(&mut self) -> Result<()> {
        let mut children: Vec<Child> =
            self.members.iter_mut().filter_map(|member| member.child.take()).collect();
        for child in &mut children {
            child.kill().map_err(io_failure("kill a member"))?;
        }
        for child in &mut children {
            child.wait().map_err(io_failure("wait for a killed member"))?;
        }
        Ok(())
    }

    /// Starts every member that is not running and waits until all serve again.
    pub async fn revive(&mut self) -> Result<()> {
        for index in 0..MEMBERS {
            if self.members[index].child.is_none() {
                self.launch(index)?;
            }
        }
        self.wait_ready().await
    }

    /// Waits until every member answers a linearizable read, so there is a leader and each member knows it.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let first = self.members[0].client_address.clone();
        while self.access.log_in(&first).await.is_err() {
            self.check_alive(0)?;
            self.pause_until(deadline, "a first login").await?;
        }
        for index in 0..MEMBERS {
            while !self.is_ready(index).await {
                self.check_alive(index)?;
                self.pause_until(deadline, "a first linearizable read").await?;
            }
        }
        Ok(())
    }

    async fn is_ready(&self, index: usize) -> bool {
        let Ok(connection) = self.connect(index).await else { return false };
        let request = RangeRequest { key: "ready?".into(), ..RangeRequest::default() };
        let answer = timeout(CALL_PATIENCE, connection.kv().range(request)).await;
        answer.is_ok_and(|answer| answer.is_ok())
    }

    /// A connection to one member.
    pub async fn connect(&self, index: usize) -> Result<Connection> {
        Connection::open(&self.members[index].client_address, &self.access).await
    }

    /// Waits until a member has applied what the leader has applied by now.
    pub async fn wait_caught_up(&mut self, index: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut goal = None;
        loop {
            self.check_alive(index)?;
            if goal.is_none() {
                let leader = self.leader().await?;
                goal = self.status(leader).await.ok().map(|status| status.raft_applied_index);
            }
            let applied = self.status(index).await.map(|status| status.raft_applied_index);
            if let (Some(goal), Ok(applied)) = (goal, applied)
                && applied >= goal
            {
                return Ok(());
            }
            self.pause_until(deadline, "a restarted member's catching up").await?;
        }
    }

    /// Index of the member that says it is the leader; waits for one.
    pub async fn leader(&mut self) -> Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for index in 0..MEMBERS {
                if let Ok(status) = self.status(index).await
                    && status.leader != 0
                    && status.header.is_some_and(|header| header.member_id == status.leader)
                {
                    return Ok(index);
                }
            }
            self.pause_until(deadline, "the election of a leader").await?;
        }
    }

    /// What a member says about itself.
    async fn status(&self, index: usize) -> Result<StatusResponse> {
        let mut client = self.connect(index).await?.maintenance();
        let answer = timeout(CALL_PATIENCE, client.status(StatusRequest::default())).await;
        let late = |_| tonic::Status::deadline_exceeded("no answer");
        let answer = answer.map_err(late).and_then(|answer| answer);
        answer.map(tonic::Response::into_inner).map_err(rpc_failure("status"))
    }

    async fn pause_until(&self, deadline: Instant, waited_for: &str) -> Result<()> {
        if Instant::now() >= deadline {
            return Err(Failure::TooLate {
                system: self.system.name().into(),
                waited_for: waited_for.into(),
                seconds: PATIENCE.as_secs(),
                logs: self.directory.display().to_string(),
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(())
    }

    /// A member that ended by itself will never answer: its last log lines say why.
    fn check_alive(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        let Some(child) = &mut member.child else { return Ok(()) };
        let Some(status) = child.try_wait().map_err(io_failure("look at a member"))? else {
            return Ok(());
        };
        member.child = None;
        let log = std::fs::read_to_string(&member.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n  ");
        let words = if last.is_empty() {
            "; it said nothing".to_owned()
        } else {
            format!("; its last words:\n  {last}")
        };
        Err(Failure::Setup(format!(
            "{} {} ended by itself with {status}{words}",
            self.system.name(),
            self.members[index].name,
        )))
    }
}

impl Drop for Cluster {
    /// Asks first, because a program that can only be killed leaves its own children and locks behind, then kills.
    fn drop(&mut self) {
        for member in &self.members {
            if let Some(pid) = member.child.as_ref().and_then(pid_of) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let deadline = Instant::now() + FAREWELL;
        for member in &mut self.members {
            let Some(mut child) = member.child.take() else { continue };
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        // Data of a million keys is not left lying about; after a failure the logs are what helps, and they are small.
        for member in &self.members {
            let _ = std::fs::remove_dir_all(self.directory.join(&member.name));
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// A connection that is made at the first call and again after it broke.
pub fn lazy_channel(address: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Failure::Setup(format!("{address}: {error}")))?;
    let endpoint = endpoint.connect_timeout(CALL_PATIENCE).timeout(CALL_PATIENCE);
    Ok(endpoint.tcp_nodelay(true).connect_lazy())
}

/// Everything about member `index`; ports come in pairs, client side first.
fn describe(
    system: &System,
    directory: &Path,
    index: usize,
    ports: &[u16],
    scheme: &str,
    extra: &[String],
) -> Member {
    let url = |port: u16| format!("{scheme}://127.0.0.1:{port}");
    let name = format!("n{}", index + 1);
    let peers = (0..MEMBERS).map(|peer| format!("n{}={}", peer + 1, url(ports[2 * peer + 1])));
    let peers = peers.collect::<Vec<_>>().join(",");
    let (client, peer) = (url(ports[2 * index]), url(ports[2 * index + 1]));
    let mut arguments: Vec<String> = system.prefix().iter().map(|word| (*word).into()).collect();
    arguments.extend([
        format!("--name={name}"),
        format!("--data-dir={}", directory.join(&name).display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={peers}"),
        format!("--initial-cluster-token=bench-{}", system.name()),
    ]);
    arguments.extend(SHARED_FLAGS.iter().map(|flag| (*flag).to_owned()));
    arguments.extend_from_slice(extra);
    Member {
        log: directory.join(format!("{name}.log")),
        client_address: format!("127.0.0.1:{}", ports[2 * index]),
        name,
        arguments,
        child: None,
    }
}

/// Ports that were free a moment ago, all different.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let bind = || TcpListener::bind(("127.0.0.1", 0)).map_err(io_failure("bind a port"));
    let listeners = (0..count).map(|_| bind()).collect::<Result<Vec<_>>>()?;
    listeners
        .iter()
        .map(|listener| listener.local_addr().map(|address| address.port()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(io_failure("read the number of a port"))
}
