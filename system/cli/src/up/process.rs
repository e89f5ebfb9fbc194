//! One member's process: started, signalled, watched until its end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

/// How long a member may take to drain after SIGTERM before it is killed.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// What is known of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It runs.
    Running,
    /// It runs, but SIGSTOP holds it.
    Paused,
    /// It does not run.
    Down,
}

/// A member ended, whoever wanted that.
#[derive(Debug)]
pub struct Ended {
    /// Which one, counted from 0.
    pub index: usize,
    /// How.
    pub status: ExitStatus,
    /// Whether somebody asked for it.
    pub was_asked: bool,
}

/// A process that may or may not run.
pub struct Process {
    index: usize,
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, PathBuf)>,
    log_file: PathBuf,
    ends: mpsc::UnboundedSender<Ended>,
    run: Option<Run>,
}

/// One run of a process.
struct Run {
    pid: Pid,
    paused: bool,
    /// Set before a signal that ends it, so that its end is no surprise.
    asked: watch::Sender<bool>,
    /// Becomes true when it has ended and was waited for; its process id may be somebody else's from then on.
    ended: watch::Receiver<bool>,
}

impl Process {
    /// A process that does not run yet. Its ends are reported to `ends`.
    pub fn new(
        index: usize,
        program: PathBuf,
        arguments: Vec<String>,
        log_file: PathBuf,
        ends: mpsc::UnboundedSender<Ended>,
    ) -> Process {
        Process { index, program, arguments, variables: Vec::new(), log_file, ends, run: None }
    }

    /// Adds a variable to its environment.
    pub fn with_variable(mut self, name: &str, value: PathBuf) -> Process {
        self.variables.push((name.to_owned(), value));
        self
    }

    /// From its next start on it has these arguments.
    pub fn set_arguments(&mut self, arguments: Vec<String>) {
        self.arguments = arguments;
    }

    /// Its end is no surprise from now on.
    pub fn expect_end(&self) {
        if let Some(run) = self.live() {
            run.asked.send_replace(true);
        }
    }

    /// Starts it. Both of its output streams are appended to the log file.
    ///
    /// # Panics
    /// If it runs.
    pub fn start(&mut self) -> std::io::Result<()> {
        assert_eq!(self.state(), State::Down, "a member runs once");
        let log = File::options().create(true).append(true).open(&self.log_file)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C reaches every process of the terminal's group; members are told by their supervisor.
            .process_group(0)
            .spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.expect("a child that was not waited for has an id");
        let (ended_sender, ended) = watch::channel(false);
        let asked = watch::Sender::new(false);
        let (was_asked, ends, index) = (asked.subscribe(), self.ends.clone(), self.index);
        tokio::spawn(async move {
            let status = child.wait().await.expect("a child can be waited for");
            ended_sender.send_replace(true);
            // Nobody listens any more when the supervisor is ending.
            let _ = ends.send(Ended { index, status, was_asked: *was_asked.borrow() });
        });
        self.run = Some(Run { pid, paused: false, asked, ended });
        Ok(())
    }

    /// What it does now.
    pub fn state(&self) -> State {
        match self.live() {
            None => State::Down,
            Some(run) if run.paused => State::Paused,
            Some(_) => State::Running,
        }
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.live().map(|run| run.pid.as_raw_nonzero().get().cast_unsigned())
    }

    fn live(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| !*run.ended.borrow())
    }

    /// Holds it or lets it go on.
    pub fn set_paused(&mut self, paused: bool) -> std::io::Result<()> {
        self.signal(if paused { Signal::STOP } else { Signal::CONT })?;
        if let Some(run) = &mut self.run {
            run.paused = paused;
        }
        Ok(())
    }

    /// Ends it with SIGTERM, or with SIGKILL if it has not drained in time. Returns whether it drained.
    pub async fn stop(&mut self) -> std::io::Result<bool> {
        self.ask_to_end(Signal::TERM)?;
        // A held process does not even see the signal.
        self.set_paused(false)?;
        if self.until_ended(DRAIN_LIMIT).await {
            return Ok(true);
        }
        self.kill().await?;
        Ok(false)
    }

    /// Ends it with SIGKILL.
    pub async fn kill(&mut self) -> std::io::Result<()> {
        self.ask_to_end(Signal::KILL)?;
        let ended = self.until_ended(DRAIN_LIMIT).await;
        if ended {
            Ok(())
        } else {
            Err(std::io::Error::other("it does not end, not even by SIGKILL"))
        }
    }

    fn ask_to_end(&mut self, signal: Signal) -> std::io::Result<()> {
        self.expect_end();
        self.signal(signal)
    }

    fn signal(&self, signal: Signal) -> std::io::Result<()> {
        match self.live() {
            Some(run) => Ok(rustix::process::kill_process(run.pid, signal)?),
            None => Ok(()),
        }
    }

    /// Waits for its end, and tells whether it came in time.
    async fn until_ended(&self, limit: Duration) -> bool {
        let Some(run) = &self.run else { return true };
        let mut ended = run.ended.clone();
        tokio::time::timeout(limit, ended.wait_for(|ended| *ended)).await.is_ok()
    }

    /// Resolves when the present run has ended.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let ended = self.run.as_ref().map(|run| run.ended.clone());
        async move {
            if let Some(mut ended) = ended {
                // The sender sets it before it goes.
                let _ = ended.wait_for(|ended| *ended).await;
            }
        }
    }
}

/// The last lines of a file, without what is more than 8 KiB from its end.
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    const LOOK_BACK_BYTES: u64 = 8 << 10;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOOK_BACK_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let Ok(bytes) = read() else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(directory: &Path, script: &str) -> (Process, mpsc::UnboundedReceiver<Ended>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let arguments = ["-c", script].map(str::to_owned).to_vec();
        (Process::new(0, "/bin/sh".into(), arguments, directory.join("log"), sender), receiver)
    }

    #[tokio::test]
    async fn its_output_is_kept_and_its_end_reported() {
        let temporary = tempfile::tempdir().unwrap();
        let (mut process, mut ends) = shell(temporary.path(), "echo one; echo two >&2; exit 3");
        for _ in 0..2 {
            process.start().unwrap();
            let ended = ends.recv().await.unwrap();
            assert_eq!((ended.status.code(), ended.was_asked), (Some(3), false));
            assert_eq!(process.state(), State::Down);
        }
        assert_eq!(last_lines(&temporary.path().join("log"), 3), ["two", "one", "two"]);
    }

    #[tokio::test]
    async fn it_is_paused_and_stopped_even_so() {
        let temporary = tempfile::tempdir().unwrap();
        let script = "trap 'exit 0' TERM; while true; do sleep 0.01; done";
        let (mut process, mut ends) = shell(temporary.path(), script);
        process.start().unwrap();
        assert_eq!(process.state(), State::Running);
        process.set_paused(true).unwrap();
        assert_eq!(process.state(), State::Paused);
        assert!(process.stop().await.unwrap());
        assert_eq!((process.state(), process.pid()), (State::Down, None));
        assert!(ends.recv().await.unwrap().was_asked);
    }

    #[tokio::test]
    async fn it_is_killed() {
        let temporary = tempfile::tempdir().unwrap();
        let (mut process, mut ends) =
            shell(temporary.path(), "trap '' TERM; while true; do sleep 0.01; done");
        process.start().unwrap();
        process.kill().await.unwrap();
        assert!(ends.recv().await.unwrap().was_asked);
        process.ended().await;
    }
}
