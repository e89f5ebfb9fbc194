//! `quorate up`: a cluster of real processes on this machine, from one command to Ctrl-C.
//!
//! The directory ([`directory`]) says what the cluster looks like and keeps a second `up` out. The ports are tried before
//! anything starts. Each member is a process of its own ([`process`]), `quorate serve` with flags that anybody could
//! type; its links to the others run through this process ([`relay`]), where they can be cut. Other commands reach the
//! supervisor ([`supervisor`]) over a socket ([`control`]).
//!
//! The members end with the supervisor, however it ends: it stops them, and should it be killed the kernel kills them
//! (`--exit-with-parent`). The relays would be gone then, and a cluster without links is no cluster.

pub mod control;
pub mod directory;
mod process;
pub mod ready;
mod relay;
mod supervisor;
pub mod within;

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use control::Pending;
use directory::{ClusterFile, Directory, Wanted};
use process::Ended;
use supervisor::Supervisor;

/// Where the data of a local cluster lies unless somebody says otherwise.
pub const DATA_DIR: &str = "./quorate-data";
/// How long the members may take from their start until all are ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Start a cluster of real processes on this machine, and stop it with Ctrl-C.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # Three members, clients at 127.0.0.1:2379, 2389 and 2399, data in ./quorate-data
  quorate up

  # One member with more to say, from scratch, beside another cluster
  quorate up --nodes 1 --fresh --data-dir ./other-data --base-port 3379 -- --log-level debug

While it runs, from a second shell: `quorate status`, `quorate node kill n2`.")]
pub struct UpArguments {
    /// How many members: 1, 3 or 5 [default: what the data directory holds, else 3]
    #[arg(long, value_name = "N", value_parser = nodes)]
    nodes: Option<u16>,
    /// Delete the data directory first, if it is one of `quorate up`
    #[arg(long)]
    fresh: bool,
    /// Where the members' data and logs lie
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Port of the first member for clients; its peer port is one more, the next member's ports 10 more
    /// [default: what the data directory holds, else 2379]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    base_port: Option<u16>,
    /// Places for members that join later, for whoever starts a cluster within this process.
    #[arg(skip)]
    spares: u16,
    /// Additional flags for every member; see `quorate serve --help`
    #[arg(last = true, value_name = "SERVE FLAGS")]
    flags: Vec<String>,
}

/// A number of members that makes sense.
pub fn nodes(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|n| [1, 3, 5].contains(n))
        .ok_or_else(|| "expected 1, 3 or 5".to_owned())
}

/// Runs a cluster until somebody stops it.
pub fn main(arguments: &UpArguments) -> ExitCode {
    // One thread: the relays only copy, and the processors belong to the members. It is also the thread that starts the
    // members, and the kernel takes its end for the end of their parent.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("quorate up: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &UpArguments) -> Result<(), String> {
    let mut stop = Stop::listen().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let tell = |news: News| match news {
        News::Ready { cluster, path, took, missing } => {
            say(&introduction(cluster, path, took, missing))
        }
        News::Done(text) | News::Ended(text) => say(&format!("{text}\n")),
        News::Stopping => say("Stopping.\n"),
    };
    keep_up(arguments, &mut stop, &tell).await
}

/// What happens to a cluster, for whoever started it.
enum News<'a> {
    /// A quorum serves, after so long; so many members ended.
    Ready { cluster: &'a ClusterFile, path: &'a Path, took: Duration, missing: usize },
    /// What somebody asked for was done.
    Done(String),
    /// A member ended, and nobody had asked for that.
    Ended(String),
    /// The members are being stopped.
    Stopping,
}

/// Starts a cluster and keeps it up until it is told to stop.
async fn keep_up(
    arguments: &UpArguments,
    signals: &mut Stop,
    tell: &dyn Fn(News),
) -> Result<(), String> {
    let UpArguments { nodes, base_port, fresh, data_dir, spares, flags } = arguments;
    let wanted = Wanted { nodes: *nodes, base_port: *base_port, fresh: *fresh };
    let (directory, cluster) = Directory::open(data_dir, wanted)?;
    let cluster = cluster.with_spares(&directory.path, *spares);
    // Held until the members start, so that the relays do not get one of them.
    let ports = reserve(&cluster)?;
    let fail = |error: std::io::Error| format!("{}: {error}", data_dir.display());
    let program = program().map_err(|error| format!("where is this program? {error}"))?;
    let path = directory.path.clone();
    let (mut supervisor, ends) =
        Supervisor::new(directory, cluster, program, flags).await.map_err(fail)?;
    let requests = control::listen(&path, directory::CONTROL).map_err(fail)?;
    drop(ports);
    let begun = Instant::now();
    let started = match supervisor.start() {
        Ok(()) => tokio::select! {
            ready = supervisor.until_ready(READY_LIMIT) => ready.map(Started::Ready),
            () = signals.next() => Ok(Started::Interrupted),
        },
        Err(error) => Err(format!("cannot start a member: {error}")),
    };
    match started {
        Ok(Started::Ready(missing)) => {
            // Why some are missing follows at once: their ends wait to be reported.
            let (cluster, took) = (supervisor.cluster(), begun.elapsed());
            tell(News::Ready { cluster, path: &path, took, missing });
            supervise(&mut supervisor, requests, ends, signals, tell).await;
            tell(News::Stopping);
        }
        Ok(Started::Interrupted) => {}
        Err(text) => {
            // Why it failed matters more than how it ended.
            let _ = supervisor.stop().await;
            return Err(text);
        }
    }
    tokio::select! {
        stopped = supervisor.stop() => stopped,
        () = signals.next() => Err("interrupted again: the members are killed".to_owned()),
    }
}

/// How the start went.
enum Started {
    /// A quorum serves; so many members ended.
    Ready(usize),
    Interrupted,
}

/// Serves requests and reports ends until a signal asks for the end.
async fn supervise(
    supervisor: &mut Supervisor,
    mut requests: mpsc::Receiver<Pending>,
    mut ends: mpsc::UnboundedReceiver<Ended>,
    signals: &mut Stop,
    tell: &dyn Fn(News),
) {
    loop {
        tokio::select! {
            () = signals.next() => return,
            Some(ended) = ends.recv() => {
                if let Some(text) = supervisor.report(&ended) {
                    tell(News::Ended(text));
                }
            }
            Some(Pending { request, answer }) = requests.recv() => {
                let done = tokio::select! {
                    done = supervisor.execute(&request) => done,
                    () = signals.next() => return,
                };
                if done.ok {
                    tell(News::Done(done.text.clone()));
                }
                // Whoever asked may have gone.
                let _ = answer.send(done);
            }
        }
    }
}

/// What ends a cluster.
enum Stop {
    /// Signals to this process.
    Signals { interrupt: Signal, terminate: Signal, hangup: Signal },
    /// Whoever started it within this process: each change is a request.
    Asked(watch::Receiver<()>),
}

impl Stop {
    fn listen() -> std::io::Result<Stop> {
        Ok(Stop::Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        match self {
            Stop::Signals { interrupt, terminate, hangup } => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            },
            Stop::Asked(asked) => {
                // Each change is one request to stop. Without anybody left to ask for more, it was the last.
                if asked.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// Takes all ports of a cluster for a moment, to find out whether they are free.
fn reserve(cluster: &ClusterFile) -> Result<Vec<TcpListener>, String> {
    let mut held = Vec::new();
    for member in &cluster.members {
        for (url, purpose) in [(&member.client_url, "clients"), (&member.peer_url, "peers")] {
            let port =
                url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("our own URL");
            held.push(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
                let reason = match error.kind() {
                    ErrorKind::AddrInUse => "is taken by another process".to_owned(),
                    _ => format!("cannot be used ({error})"),
                };
                // The addresses of a cluster are part of it.
                let other_ports = match cluster.cluster_id {
                    Some(_) => "--base-port and another --data-dir",
                    None => "--base-port",
                };
                format!(
                    "port {port}, for the {purpose} of {}, {reason}: free it, or choose other ports with {other_ports}",
                    member.name
                )
            })?);
        }
    }
    Ok(held)
}

/// The program that members run: this one, or the one that `QUORATE_NODE_BINARY` names.
fn program() -> std::io::Result<PathBuf> {
    match std::env::var_os("QUORATE_NODE_BINARY") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        Some(_) | None => std::env::current_exe(),
    }
}

/// How this program is called from a second shell: by its name if that finds it, else by its path.
fn invocation() -> String {
    let Ok(own) = std::env::current_exe() else { return "quorate".to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join("quorate")).find(|p| p.is_file());
    if found.and_then(|found| found.canonicalize().ok()) == own.canonicalize().ok() {
        return "quorate".to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    match own.strip_prefix(&here) {
        Ok(relative) => relative.display().to_string(),
        Err(_) => own.display().to_string(),
    }
}

/// What commands need to find a directory that is not the usual one.
fn data_dir_flag(path: &Path) -> String {
    let is_usual = Path::new(DATA_DIR).canonicalize().is_ok_and(|usual| usual == path);
    let shown = path.display().to_string();
    match shown.contains(|c: char| !c.is_ascii_alphanumeric() && !"/._-+=:,@%".contains(c)) {
        _ if is_usual => String::new(),
        // As a shell reads it.
        true => format!(" --data-dir '{}'", shown.replace('\'', r"'\''")),
        false => format!(" --data-dir {shown}"),
    }
}

/// What is said when everything is ready.
fn introduction(cluster: &ClusterFile, path: &Path, took: Duration, missing: usize) -> String {
    let (total, count) = (cluster.members.len(), cluster.members.len() - missing);
    let endpoints =
        cluster.members.iter().map(|member| member.client_url.trim_start_matches("http://"));
    let endpoints = endpoints.collect::<Vec<_>>().join(",");
    let program = invocation();
    let data_dir = data_dir_flag(path);
    // Client commands read the description of the usual directory by themselves.
    let own_endpoints = match data_dir.is_empty() {
        true => String::new(),
        false => format!(" --endpoints {endpoints}"),
    };
    let members = match (count, missing) {
        (1, 0) => "1 member is".to_owned(),
        (_, 0) => format!("{count} members are"),
        (_, 1..) => format!("{count} of {total} members are"),
    };
    let mut text = format!(
        "{members} ready after {:.1} s, data in {}\n\n",
        took.as_secs_f64(),
        path.display()
    );
    for member in &cluster.members {
        text.push_str(&format!(
            "  {}  {}  log {}\n",
            member.name,
            member.client_url,
            member.log_file.display()
        ));
    }
    text.push_str(&format!(
        "\nTry from a second shell:\n\n  {program} status{data_dir}\n  {program} put greeting hello{own_endpoints}\n  \
         etcdctl --endpoints {endpoints} get greeting\n\nCtrl-C stops it.\n"
    ));
    text
}

/// Prints for whoever watches; they may have gone.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
