//! Where the members' time goes: a sampling profile of one more window, taken with perf when `--profile` asks for it.
//!
//! Sampling costs the members a little, so a profiled window is never one that counts.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::failure::{Failure, Result, file_failure, io_failure};

/// Samples per second and processor; a prime, so as not to beat with timers.
const FREQUENCY: &str = "499";

/// Lines kept of a profile.
const LINES: usize = 80;

/// A profile being taken.
pub struct Profiler {
    child: Child,
    samples: PathBuf,
}

impl Profiler {
    /// Attaches perf to the processes.
    pub fn attach(pids: &[u32], scratch: &Path) -> Result<Self> {
        let samples = scratch.join("perf.data");
        let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let child = Command::new("perf")
            .args(["record", "-q", "-F", FREQUENCY, "-p", &pids, "-o"])
            .arg(&samples)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::Setup(format!("--profile needs perf: {error}")))?;
        Ok(Self { child, samples })
    }

    /// Ends sampling and writes the profile to a file: share, thread, library, function.
    pub async fn finish(mut self, file: &Path) -> Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::Setup("perf record ended early".into()))?;
        kill_process(pid, Signal::INT)
            .map_err(|error| io_failure("interrupt perf")(error.into()))?;
        self.child.wait().await.map_err(io_failure("wait for perf"))?;
        let report = Command::new("perf")
            .args(["report", "--stdio", "--no-children", "--sort", "comm,dso,symbol", "-i"])
            .arg(&self.samples)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .await
            .map_err(io_failure("run perf report"))?;
        let _ = std::fs::remove_file(&self.samples);
        let text = String::from_utf8_lossy(&report.stdout);
        let kept: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .take(LINES)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        std::fs::write(file, kept.join("\n") + "\n").map_err(file_failure("write", file))
    }
}
