//! The process above the members of a local cluster: it starts them, carries out what `quorate node` asks, says when one
//! ends by itself, and ends them all.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::control::{Action, Answer, EVERYBODY, Request};
use super::directory::{CONTROL, ClusterFile, Directory, MemberEntry};
use super::process::{Ended, Process, State, last_lines};
use super::ready::{Level, until_ready};
use super::relay::Relays;

/// How long a member that is started again may take until it answers.
const RESTART_LIMIT: Duration = Duration::from_secs(30);

/// A running local cluster.
pub struct Supervisor {
    directory: Directory,
    cluster: ClusterFile,
    processes: Vec<Process>,
    relays: Relays,
    /// The additional flags of every member.
    flags: Vec<String>,
}

impl Supervisor {
    /// Prepares the members and the links between them; nothing runs yet. Every member gets the additional flags.
    pub async fn new(
        directory: Directory,
        mut cluster: ClusterFile,
        program: PathBuf,
        flags: &[String],
    ) -> std::io::Result<(Supervisor, mpsc::UnboundedReceiver<Ended>)> {
        let base = cluster.base_port;
        let peers = (0..cluster.members.len()).map(|i| peer_address(base, i)).collect::<Vec<_>>();
        let relays = Relays::start(&peers).await?;
        let (sender, ends) = mpsc::unbounded_channel();
        let mut processes = Vec::new();
        for (i, member) in cluster.members.iter().enumerate() {
            std::fs::create_dir_all(member.data_dir.parent().expect("a member has a directory"))?;
            let arguments = arguments(&cluster.members, i, &relays, None, flags);
            let log_file = member.log_file.clone();
            let process = Process::new(i, program.clone(), arguments, log_file, sender.clone());
            // A variable, not a flag: an older program that runs a member knows nothing of it.
            let told = disk_file(member);
            set_disk(&told, WELL)?;
            processes.push(process.with_variable("QUORATE_CHAOS_DISK", told));
        }
        cluster.supervisor_pid = Some(std::process::id());
        let flags = flags.to_vec();
        let supervisor = Supervisor { directory, cluster, processes, relays, flags };
        supervisor.describe()?;
        Ok((supervisor, ends))
    }

    /// The cluster as it is described to others.
    pub fn cluster(&self) -> &ClusterFile {
        &self.cluster
    }

    /// Starts all members that the cluster begins with.
    pub fn start(&mut self) -> std::io::Result<()> {
        let all = self.processes.iter_mut().zip(&self.cluster.members);
        let mut first = all.filter(|(_, member)| !member.spare);
        first.try_for_each(|(process, _)| process.start())?;
        self.note_pids()
    }

    /// Waits until every member is ready or has ended, and returns how many have: a cluster that has its quorum serves
    /// without them. The error tells why there is none.
    pub async fn until_ready(&mut self, limit: Duration) -> Result<usize, String> {
        let mut looks = JoinSet::new();
        let all = self.processes.iter().zip(self.cluster.members.clone());
        for (process, member) in all.filter(|(_, member)| !member.spare) {
            let ended = process.ended();
            looks.spawn(async move {
                tokio::select! {
                    status = until_ready(&member.client_url, Level::Led, limit) => status.map_err(|reason| {
                        let text = format!("{} is not ready after {} s: {reason}", member.name, limit.as_secs());
                        NotReady::Slow(with_log(&text, &member))
                    }),
                    () = ended => Err(NotReady::Ended(format!(
                        "{} ended while it was starting: {}",
                        member.name,
                        last_line(&member)
                    ))),
                }
            });
        }
        let total = self.cluster.members.iter().filter(|member| !member.spare).count();
        let mut missing = 0;
        while let Some(look) = looks.join_next().await {
            match look.map_err(|error| error.to_string())? {
                Ok(status) => {
                    let header = status.header.unwrap_or_default();
                    self.cluster.cluster_id = Some(format!("{:x}", header.cluster_id));
                }
                Err(NotReady::Slow(text)) => return Err(text),
                Err(NotReady::Ended(text)) => {
                    missing += 1;
                    if missing > (total - 1) / 2 {
                        return Err(text);
                    }
                }
            }
        }
        self.note_pids().map_err(|error| error.to_string())?;
        Ok(missing)
    }

    /// Says that a member ended by itself; `None` if somebody asked for that.
    pub fn report(&mut self, ended: &Ended) -> Option<String> {
        // The file is only a description: a full disk must not end the cluster.
        let _ = self.note_pids();
        if ended.was_asked {
            return None;
        }
        let member = &self.cluster.members[ended.index];
        let text = match (ended.status.code(), ended.status.signal()) {
            (Some(code), _) => {
                format!("{} ended by itself (exit code {code}): {}", member.name, last_line(member))
            }
            (None, Some(signal)) => {
                format!(
                    "{} was ended by signal {signal}, which did not come from here",
                    member.name
                )
            }
            (None, None) => format!("{} ended", member.name),
        };
        Some(format!(
            "{text}\n  its log: {}\n  start it again: {} node restart {}{}",
            member.log_file.display(),
            super::invocation(),
            member.name,
            super::data_dir_flag(&self.directory.path),
        ))
    }

    /// Carries out a request.
    pub async fn execute(&mut self, request: &Request) -> Answer {
        match self.carry_out(request).await {
            Ok(text) => Answer { ok: true, text },
            Err(text) => Answer { ok: false, text },
        }
    }

    async fn carry_out(&mut self, request: &Request) -> Result<String, String> {
        if request.action == Action::Heal && request.node == EVERYBODY {
            let pairs = self.relays.cuts();
            return Ok(self.set_cut(&pairs, false));
        }
        let index = self.index_of(&request.node)?;
        let name = request.node.clone();
        match request.action {
            Action::Cut | Action::Heal => return self.cut_or_heal(index, request),
            Action::Disk => return self.break_disk(index, request),
            Action::Join => {
                let cluster = request.cluster.as_deref();
                return self.join(index, cluster.ok_or("join whom? it needs the members")?);
            }
            Action::Leave => {
                self.processes[index].expect_end();
                return Ok(format!("{name} is about to leave"));
            }
            Action::Ended if self.processes[index].state() == State::Down => {
                return Ok(format!("{name} has ended"));
            }
            Action::Ended => return Err(format!("{name} still runs")),
            Action::Stop | Action::Kill | Action::Restart | Action::Pause | Action::Resume => {}
        }
        if request.to.is_some() || request.from.is_some() {
            return Err("only cut and heal have a direction".to_owned());
        }
        let state = self.processes[index].state();
        let done = match (request.action, state) {
            (Action::Cut | Action::Heal | Action::Disk, _)
            | (Action::Join | Action::Leave | Action::Ended, _) => unreachable!("handled above"),
            (Action::Restart, _) => return self.restart(index).await,
            (_, State::Down) => {
                let restart = format!("{} node restart {name}", super::invocation());
                return Err(format!("{name} does not run: start it with `{restart}`"));
            }
            (Action::Stop, State::Running | State::Paused) => {
                match self.processes[index].stop().await {
                    Ok(true) => Ok(format!("{name} stopped")),
                    Ok(false) => Ok(format!("{name} did not drain in time and was killed")),
                    Err(error) => Err(error),
                }
            }
            (Action::Kill, State::Running | State::Paused) => {
                self.processes[index].kill().await.map(|()| format!("{name} killed"))
            }
            (Action::Pause, State::Paused) => return Err(format!("{name} is paused already")),
            (Action::Resume, State::Running) => return Err(format!("{name} is not paused")),
            (Action::Pause, State::Running) => {
                self.processes[index].set_paused(true).map(|()| format!("{name} paused"))
            }
            (Action::Resume, State::Paused) => {
                self.processes[index].set_paused(false).map(|()| format!("{name} resumed"))
            }
        };
        done.and_then(|text| self.note_pids().map(|()| text))
            .map_err(|error| format!("{name}: {error}"))
    }

    /// Starts a member that was added to the running cluster, with nothing of what it may have had.
    fn join(&mut self, index: usize, cluster: &str) -> Result<String, String> {
        let member = self.cluster.members[index].clone();
        let fail = |error: std::io::Error| format!("{}: {error}", member.name);
        if self.processes[index].state() != State::Down {
            return Err(format!("{} runs: only one that does not can join", member.name));
        }
        match std::fs::remove_dir_all(&member.data_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
            Ok(()) | Err(_) => {}
        }
        let members = &self.cluster.members;
        let arguments = arguments(members, index, &self.relays, Some(cluster), &self.flags);
        self.processes[index].set_arguments(arguments);
        self.processes[index].start().map_err(fail)?;
        self.note_pids().map_err(fail)?;
        Ok(format!("{} joins", member.name))
    }

    async fn restart(&mut self, index: usize) -> Result<String, String> {
        let member = self.cluster.members[index].clone();
        let fail = |error: std::io::Error| format!("{}: {error}", member.name);
        if self.processes[index].state() != State::Down {
            self.processes[index].stop().await.map_err(fail)?;
        }
        self.processes[index].start().map_err(fail)?;
        self.note_pids().map_err(fail)?;
        let answering = tokio::select! {
            answering = until_ready(&member.client_url, Level::Answering, RESTART_LIMIT) => answering,
            () = self.processes[index].ended() => Err("it ended".to_owned()),
        };
        match answering {
            Ok(_) => Ok(format!("{} runs again", member.name)),
            Err(reason) => Err(format!(
                "{} was started but {reason}; the end of {}: {}",
                member.name,
                member.log_file.display(),
                last_line(&member)
            )),
        }
    }

    /// Makes a disk late, lets it hang, or lets it be: the member reads the file before every sync.
    fn break_disk(&self, index: usize, request: &Request) -> Result<String, String> {
        let (name, told) = (&request.node, request.disk.as_deref().unwrap_or(WELL));
        let shown = match (told, told.parse::<u64>()) {
            (_, Ok(delay)) => format!("every sync of {name} takes {delay} ms longer"),
            ("hang", Err(_)) => format!("the disk of {name} hangs"),
            (WELL, Err(_)) => format!("the disk of {name} is well"),
            (other, Err(_)) => return Err(format!("{other:?} is no state of a disk")),
        };
        let path = disk_file(&self.cluster.members[index]);
        set_disk(&path, told).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(shown)
    }

    fn cut_or_heal(&mut self, index: usize, request: &Request) -> Result<String, String> {
        let cut = request.action == Action::Cut;
        let everybody = || (0..self.processes.len()).filter(|other| *other != index);
        let mut pairs = Vec::new();
        for (other, outgoing) in [(&request.to, true), (&request.from, false)] {
            let others = match other {
                Some(name) => vec![self.index_of(name)?],
                None if request.to.is_none() && request.from.is_none() => everybody().collect(),
                None => vec![],
            };
            if others.contains(&index) {
                return Err(format!("{} has no link to itself", request.node));
            }
            pairs
                .extend(others.into_iter().map(|o| if outgoing { (index, o) } else { (o, index) }));
        }
        if pairs.is_empty() {
            return Err(format!("{} is alone: there is no link to cut", request.node));
        }
        Ok(self.set_cut(&pairs, cut))
    }

    /// Cuts or heals links, given as (from, to), and tells which are cut now.
    fn set_cut(&mut self, pairs: &[(usize, usize)], cut: bool) -> String {
        for (from, to) in pairs {
            self.relays.set_cut(*from, *to, cut);
        }
        let name = |i: usize| self.cluster.members[i].name.as_str();
        let cuts = self.relays.cuts();
        let cuts = cuts.iter().map(|(from, to)| format!("{}->{}", name(*from), name(*to)));
        self.cluster.cuts = cuts.collect();
        // The links are as they are, whether or not the description can be written.
        let _ = self.describe();
        match self.cluster.cuts.join(" ") {
            cuts if cuts.is_empty() => "all links are whole".to_owned(),
            cuts => format!("cut: {cuts}"),
        }
    }

    fn index_of(&self, name: &str) -> Result<usize, String> {
        let members = &self.cluster.members;
        members.iter().position(|member| member.name == name).ok_or_else(|| {
            let known = members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>();
            format!("there is no node {name:?}; this cluster has {}", known.join(", "))
        })
    }

    /// Ends all members, whatever they do, and takes the marks of a running cluster away.
    pub async fn stop(mut self) -> Result<(), String> {
        let mut failures = Vec::new();
        // A member whose disk hangs could not end by itself. If the file cannot be written, it is killed.
        for member in &self.cluster.members {
            let _ = set_disk(&disk_file(member), WELL);
        }
        let stops = self
            .processes
            .drain(..)
            .map(|mut process| tokio::spawn(async move { process.stop().await }));
        for (stop, member) in stops.collect::<Vec<_>>().into_iter().zip(&self.cluster.members) {
            match stop.await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    failures.push(format!("{} did not drain in time and was killed", member.name))
                }
                Ok(Err(error)) => failures.push(format!("{}: {error}", member.name)),
                Err(error) => failures.push(format!("{}: {error}", member.name)),
            }
        }
        self.cluster.supervisor_pid = None;
        self.cluster.cuts.clear();
        self.cluster.members.iter_mut().for_each(|member| member.pid = None);
        let removed = std::fs::remove_file(self.directory.path.join(CONTROL));
        if let Err(error) = self.describe().and(removed) {
            failures.push(format!("{}: {error}", self.directory.path.display()));
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }

    fn note_pids(&mut self) -> std::io::Result<()> {
        for (member, process) in self.cluster.members.iter_mut().zip(&self.processes) {
            member.pid = process.pid();
        }
        self.describe()
    }

    fn describe(&self) -> std::io::Result<()> {
        self.cluster.write(&self.directory.path)
    }
}

/// The state of a disk with which nothing is amiss.
const WELL: &str = "ok";

/// The file that tells a member how late its disk is, beside its log file.
fn disk_file(member: &MemberEntry) -> PathBuf {
    member.log_file.with_file_name("disk")
}

/// Whole or not at all: the member may read it at any moment.
fn set_disk(path: &Path, state: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    std::fs::write(&draft, state)?;
    std::fs::rename(draft, path)
}

/// Where a member listens for its peers.
fn peer_address(base_port: u16, index: usize) -> SocketAddr {
    let index = u16::try_from(index).expect("a cluster is small");
    (Ipv4Addr::LOCALHOST, base_port + 10 * index + 1).into()
}

/// The command line of a member: of one that the cluster begins with, or of one that joins it and is told who is there.
fn arguments(
    members: &[MemberEntry],
    index: usize,
    relays: &Relays,
    joins: Option<&str>,
    flags: &[String],
) -> Vec<String> {
    let own = &members[index];
    let first = members.iter().filter(|member| !member.spare);
    let first = first.map(|member| format!("{}={}", member.name, member.peer_url));
    let cluster = joins.map_or_else(|| first.collect::<Vec<_>>().join(","), str::to_owned);
    let state = if joins.is_some() { "existing" } else { "new" };
    let mut arguments = vec!["serve".to_owned(), "--exit-with-parent".to_owned()];
    let pairs = [
        ("name", own.name.clone()),
        ("data-dir", own.data_dir.display().to_string()),
        ("listen-client-urls", own.client_url.clone()),
        ("advertise-client-urls", own.client_url.clone()),
        ("listen-peer-urls", own.peer_url.clone()),
        ("initial-advertise-peer-urls", own.peer_url.clone()),
        ("initial-cluster", cluster),
        ("initial-cluster-state", state.to_owned()),
        ("log-format", "console".to_owned()),
        ("log-outputs", "stderr".to_owned()),
    ];
    arguments.extend(pairs.map(|(flag, value)| format!("--{flag}={value}")));
    for (other, member) in members.iter().enumerate().filter(|(other, _)| *other != index) {
        arguments.push(format!("--peer-route={}={}", member.name, relays.route(index, other)));
    }
    arguments.extend_from_slice(flags);
    arguments
}

/// How a member did not become ready.
enum NotReady {
    /// It runs and did not get there in time.
    Slow(String),
    /// It does not run any more.
    Ended(String),
}

/// The last line of a member's log, which says why it ended if it ended by itself.
fn last_line(member: &MemberEntry) -> String {
    last_lines(&member.log_file, 1).pop().unwrap_or_default()
}

/// A text followed by the last lines of a member's log.
fn with_log(text: &str, member: &MemberEntry) -> String {
    let lines = last_lines(&member.log_file, 10);
    let lines = lines.iter().map(|line| format!("\n    {line}")).collect::<String>();
    format!("{text}; the end of its log, {}:{lines}", member.log_file.display())
}
