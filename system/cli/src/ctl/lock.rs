//! `lock`: holding a named lock, while a command runs or until a signal comes; and guarding keys by one.
//!
//! The command finds the key and the revision in its environment as etcdctl gives them (`ETCD_LOCK_KEY`, `ETCD_LOCK_REV`),
//! and the fencing token in `QUORATE_FENCE`: commands of `quorate` below it send it with every write. So what runs under
//! `quorate lock` cannot write under a guarded prefix any more once the lock went to somebody else.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use clap::Args;
use quorate_client::etcd::etcdserverpb::RangeRequest;
use quorate_client::{Client, Fence, Place, Session};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::{ERROR, Failure};
use super::global::Global;
use super::{answers, guard};

/// Seconds that etcd's sessions live where `--ttl` makes no sense.
const SESSION_TTL: i64 = 60;

/// Acquires a named lock
#[derive(Debug, Args)]
#[command(
    after_help = "Without a command it prints the key and its value and holds the lock until it is interrupted.

A lock can guard keys: then the cluster refuses every write under the prefix, whoever sends it, that does not carry
the token of the lock's holder. (To hold a lock called guard, unguard or guards: quorate lock -- guard)

Examples:
  quorate lock orders-lock
  quorate lock orders-lock quorate put orders/1 paid
  quorate lock orders-lock --ttl 30 -- sh -c 'echo $ETCD_LOCK_KEY; sleep 20'
  quorate lock guard orders/ --by orders-lock
  quorate lock guards
  quorate lock unguard orders/"
)]
pub struct Arguments {
    /// Name of the lock, and a command to run while it is held
    #[arg(value_name = "LOCK [COMMAND...]")]
    words: Vec<OsString>,
    /// What follows `--`, taken as it is
    #[arg(last = true, value_name = "COMMAND")]
    rest: Vec<OsString>,
    /// timeout for session
    #[arg(long, default_value_t = 10)]
    ttl: i64,
    /// The lock that guards the prefix, with `lock guard`
    #[arg(long)]
    by: Option<OsString>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global, is_etcdctl: bool) -> Result<(), Failure> {
    let Arguments { words, rest, ttl, by } = arguments;
    let first = words.first().and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    if !is_etcdctl && ["guard", "unguard", "guards"].contains(&first.as_str()) {
        let words = words.into_iter().skip(1).chain(rest).collect();
        return guard::run(&first, words, by, global).await;
    }
    if by.is_some() {
        return Err(Failure::arguments("--by belongs to `quorate lock guard PREFIX --by LOCK`"));
    }
    let mut words = words.into_iter().chain(rest);
    let Some(name) = words.next() else {
        let usage = "lock takes a lock name argument and an optional command to execute";
        return Err(Failure::arguments(usage));
    };
    let client = global.client()?;
    let ttl = if ttl > 0 { ttl } else { SESSION_TTL };
    let session = client.session(Duration::from_secs(ttl.unsigned_abs())).await?;
    let place = stand(&client, name.as_bytes(), &session, "").await?;
    let command: Vec<OsString> = words.collect();
    let held = if command.is_empty() {
        hold(&client, &place, &session, "session expired", global).await
    } else {
        run_command(&command, name.as_bytes(), &place, &session).await
    };
    // The lease's end deletes the key: the next in line goes on at once.
    let closed = session.close().await;
    held?;
    Ok(closed?)
}

/// Stands in line and waits for the turn; a signal ends the wait and gives the place up.
pub async fn stand(
    client: &Client,
    name: &[u8],
    session: &Session,
    value: impl Into<bytes::Bytes>,
) -> Result<Place, Failure> {
    let mut place = client.stand_in_line(name, session.lease(), value).await?;
    let waited = tokio::select! {
        waited = place.wait() => waited.map_err(Failure::from),
        () = interrupted() => Err(Failure::new(ERROR, "context canceled")),
    };
    match waited {
        Ok(()) => Ok(place),
        Err(failure) => {
            let _ = place.leave().await;
            Err(failure)
        }
    }
}

/// Prints the key and keeps it until a signal comes.
pub async fn hold(
    client: &Client,
    place: &Place,
    session: &Session,
    lost: &str,
    global: &Global,
) -> Result<(), Failure> {
    let request = RangeRequest { key: place.key().clone(), ..RangeRequest::default() };
    let answer = client.range(request).await?;
    if answer.kvs.is_empty() {
        return Err(Failure::new(ERROR, "lock lost on init"));
    }
    let interrupted = interrupted();
    let mut output = global.output()?;
    answers::range(&mut output, &answer)?;
    output.flush()?;
    tokio::select! {
        () = interrupted => Ok(()),
        () = session.ended() => Err(Failure::new(ERROR, lost)),
    }
}

/// Resolves at the first SIGINT or SIGTERM after the call, whenever it is waited for: who says that it holds something
/// may be interrupted before it begins to wait.
pub fn interrupted() -> impl Future<Output = ()> {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

async fn run_command(
    command: &[OsString],
    name: &[u8],
    place: &Place,
    session: &Session,
) -> Result<(), Failure> {
    let fence = Fence { lock: name.to_vec().into(), token: place.token() }.to_string();
    // Locks held around this one stay held.
    let fences = match std::env::var("QUORATE_FENCE") {
        Ok(outer) if !outer.is_empty() => format!("{outer},{fence}"),
        Ok(_) | Err(_) => fence,
    };
    let child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(std::process::Stdio::null())
        .env("ETCD_LOCK_KEY", OsString::from_vec(place.key().to_vec()))
        .env("ETCD_LOCK_REV", place.revision().to_string())
        .env("QUORATE_FENCE", fences)
        .spawn();
    let mut child = child.map_err(|error| {
        let command = command[0].to_string_lossy();
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "executable file not found in $PATH".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(ERROR, format!("exec: {command:?}: {reason}"))
    })?;
    // A signal is for the command as well, which decides; the lock is held until it has ended.
    let _signals = tokio::spawn(interrupted());
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = session.ended() => {
            eprintln!("Warning: the lock was lost: its lease ended while the command runs.");
            child.wait().await
        }
    };
    let status = ended.map_err(|error| Failure::new(ERROR, error))?;
    if status.success() { Ok(()) } else { Err(failed(status)) }
}

/// The command's own exit code, as etcdctl passes it on.
fn failed(status: ExitStatus) -> Failure {
    match status.code() {
        Some(code) => {
            let low = u8::try_from(code).unwrap_or(ERROR);
            Failure::new(low, format!("exit status {code}"))
        }
        None => {
            let number = status.signal().unwrap_or_default();
            // As a shell tells it.
            Failure::new(u8::try_from(128 + number).unwrap_or(ERROR), format!("signal: {number}"))
        }
    }
}
