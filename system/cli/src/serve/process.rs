//! What a member owes its operating system: signals, open files, and an honest way to end.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use rustix::process::{Resource, Rlimit, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Lets the process open as many files as its hard limit allows: every connection is one.
pub fn raise_open_files() -> io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    Ok(rustix::process::setrlimit(Resource::Nofile, raised)?)
}

/// Open files that are left for tables, the log, peers and whatever else a member opens; of a small limit, half.
const OWN_FILES: u64 = 512;

/// How many connections of clients leave a member enough open files: without any it could not write its tables.
pub fn room_for_connections() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, connections_within)
}

fn connections_within(files: u64) -> usize {
    usize::try_from(files.saturating_sub(OWN_FILES).max(files / 2)).unwrap_or(usize::MAX)
}

/// Asks the kernel to kill this process when the one that started it ends. Returns false if that one is gone already.
pub fn exit_with_parent() -> io::Result<bool> {
    let parent = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the request was made; then an heir has taken its place by now.
    Ok(parent == rustix::process::getppid() && parent.is_some_and(|pid| !pid.is_init()))
}

/// The signals that end a member, once somebody listens for them.
pub struct Signals {
    first: Option<oneshot::Receiver<()>>,
    number: Arc<AtomicI32>,
}

impl Signals {
    /// Listens from now on. The first SIGINT or SIGTERM asks for a drain; a second one ends the process at once.
    pub fn listen() -> io::Result<Signals> {
        let (sender, receiver) = oneshot::channel();
        let (ready_sender, ready) = std::sync::mpsc::sync_channel(1);
        let number = Arc::new(AtomicI32::new(0));
        let seen = number.clone();
        // A thread of its own: it must answer even while everything else is stuck.
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready_sender.send(Err(error))),
            };
            runtime.block_on(watch(sender, &ready_sender, &seen));
        })?;
        ready.recv().map_err(io::Error::other)??;
        Ok(Signals { first: Some(receiver), number })
    }

    /// Resolves at the first signal. May be taken once.
    pub fn first(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let receiver = self.first.take().expect("taken once");
        async move {
            // The other end is dropped only when the process ends.
            let _ = receiver.await;
        }
    }

    /// The number of the signal that asked for the end, if one did.
    pub fn number(&self) -> Option<i32> {
        Some(self.number.load(Ordering::Acquire)).filter(|number| *number != 0)
    }
}

async fn watch(
    sender: oneshot::Sender<()>,
    ready: &std::sync::mpsc::SyncSender<io::Result<()>>,
    seen: &AtomicI32,
) {
    let streams = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) = match streams {
        Ok(streams) => streams,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _ = ready.send(Ok(()));
    let mut sender = Some(sender);
    loop {
        let number = tokio::select! {
            _ = interrupt.recv() => libc::SIGINT,
            _ = terminate.recv() => libc::SIGTERM,
        };
        match sender.take() {
            Some(sender) => {
                seen.store(number, Ordering::Release);
                let _ = sender.send(());
            }
            None => std::process::exit(128 + number),
        }
    }
}

/// Ends as a program ends that never caught the signal, so that a service manager sees an end by request and not a
/// failure. Process 1 cannot die of its own signal and ends with code 0.
pub fn end_by_signal(number: i32) -> ExitCode {
    if std::process::id() == 1 {
        return ExitCode::SUCCESS;
    }
    // SAFETY: SIG_DFL is a valid disposition for these signals, and setting it touches no memory of this program.
    unsafe { libc::signal(number, libc::SIG_DFL) };
    if let Some(signal) = Signal::from_named_raw(number) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
    // Reached only if the signal is blocked.
    ExitCode::from(u8::try_from(128 + number).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_member() {
        let limits = [64, 300, 1_024, 20_000, 1_048_576];
        assert_eq!(limits.map(connections_within), [32, 150, 512, 19_488, 1_048_064]);
    }
}
