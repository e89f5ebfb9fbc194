//! How often the members make the disk write: counted by strace, one tracer per member.
//!
//! strace stops the process at every system call, so counting happens in a run of its own with a fixed number of
//! operations, never in a run that is timed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::failure::{Failure, Result, file_failure, io_failure};

/// The calls counted. `sync_file_range` starts writing but promises nothing after a power cut, so it is shown and not
/// taken as a sync.
const CALLS: &str = "fsync,fdatasync,sync_file_range,syncfs,msync";

/// How long strace may take to attach to all threads, or to let go of them.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncCount {
    /// Calls after which data is on disk.
    pub durable: u64,
    /// Calls of `sync_file_range`.
    pub ranges: u64,
}

/// Tracers attached to the members of a cluster.
pub struct Tracers {
    tracers: Vec<(Child, PathBuf)>,
}

impl Tracers {
    /// Attaches to each process; when this returns, every later call is counted.
    pub async fn attach(pids: &[u32], directory: &Path) -> Result<Self> {
        let mut tracers = Vec::with_capacity(pids.len());
        for pid in pids {
            let summary = directory.join(format!("syncs-{pid}.txt"));
            let mut child = Command::new("strace")
                .args(["-f", "-c", "-e", &format!("trace={CALLS}"), "-o"])
                .arg(&summary)
                .args(["-p", &pid.to_string()])
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| missing(&error.to_string()))?;
            wait_attached(&mut child).await?;
            tracers.push((child, summary));
        }
        Ok(Self { tracers })
    }

    /// Detaches and reads the counts, in the order of the processes.
    pub async fn detach(self) -> Result<Vec<SyncCount>> {
        for (child, _) in &self.tracers {
            let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| missing("strace ended early"))?;
            kill_process(pid, Signal::INT)
                .map_err(|error| io_failure("interrupt strace")(error.into()))?;
        }
        let mut counts = Vec::with_capacity(self.tracers.len());
        for (mut child, summary) in self.tracers {
            let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
            ended
                .map_err(|_| missing("strace does not let go"))?
                .map_err(io_failure("wait for strace"))?;
            let text = std::fs::read_to_string(&summary).map_err(file_failure("read", &summary))?;
            let _ = std::fs::remove_file(&summary);
            counts.push(parse_summary(&text));
        }
        Ok(counts)
    }
}

/// strace says on standard error when it has all threads of the process. What it says later is read and dropped, so
/// that it never waits for a reader.
async fn wait_attached(child: &mut Child) -> Result<()> {
    let errors = child.stderr.take().ok_or_else(|| missing("strace has no standard error"))?;
    let mut lines = BufReader::new(errors).lines();
    let attached = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("attached") {
                return Ok(());
            }
            if line.contains("attach:") || line.contains("not permitted") {
                return Err(missing(&line));
            }
        }
        Err(missing("strace ended early"))
    };
    let outcome = tokio::time::timeout(PATIENCE, attached).await;
    outcome.map_err(|_| missing("strace does not attach"))??;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(())
}

fn missing(reason: &str) -> Failure {
    Failure::Setup(format!(
        "cannot count syncs: {reason}; install strace and allow it to attach (root, or kernel.yama.ptrace_scope=0)"
    ))
}

/// Lines of the summary end in the name of a call; the number of calls is the fourth column.
fn parse_summary(text: &str) -> SyncCount {
    let mut count = SyncCount::default();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (Some(calls), Some(name)) = (columns.get(3), columns.last()) else { continue };
        let Ok(calls) = calls.parse::<u64>() else { continue };
        match *name {
            "fsync" | "fdatasync" | "syncfs" | "msync" => count.durable += calls,
            "sync_file_range" => count.ranges += calls,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_added_up_by_kind() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 90.00    0.010000          50       200         1 fdatasync
  9.00    0.001000         500         2           fsync
  1.00    0.000100          10        10           sync_file_range
------ ----------- ----------- --------- --------- ----------------
100.00    0.011100          52       212         1 total
";
        assert_eq!(parse_summary(text), SyncCount { durable: 202, ranges: 10 });
        assert_eq!(parse_summary(""), SyncCount::default());
    }
}
