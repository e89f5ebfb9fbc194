//! What the kernel says about a process: processor time and memory.
//!
//! Processor time is the sum of user and system time in `/proc/PID/stat`, which covers every thread, also those that
//! have ended. The kernel derives that sum from the scheduler's exact run times and only rounds it when it is printed, to
//! one tick of 10 ms: over a round of some seconds the error is below a percent. (The finer
//! `/proc/PID/task/TID/schedstat` loses the time of threads that ended, and Go and tokio both end threads.)

use std::time::Duration;

use super::failure::{Failure, Result, io_failure};

/// Length of the tick in which `/proc/PID/stat` counts; Linux fixes it for programs, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);

/// Resident memory of one process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Everything resident, with mapped files.
    pub rss: u64,
    /// The part that no file backs: heap and stacks.
    pub rss_anon: u64,
}

/// Processor time that a process has used since it started.
pub fn time_of(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).map_err(io_failure(format!("read {path}")))?;
    parse_stat(&text).ok_or_else(|| Failure::Wrong(format!("{path}: {text}")))
}

/// Resident memory of one process.
pub fn memory_of(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).map_err(io_failure(format!("read {path}")))?;
    parse_status(&text).ok_or_else(|| Failure::Wrong(format!("{path} names no resident memory")))
}

/// The name in the second field may hold spaces and parentheses, so counting starts after the last one.
fn parse_stat(text: &str) -> Option<Duration> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

fn parse_status(text: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(Memory { rss: field("VmRSS:")?, rss_anon: field("RssAnon:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194560 500 0 0 0 120 30 0 0 20 0 9 0 100 1 2";
        assert_eq!(parse_stat(text), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\nRssFile:\t 1024 kB\n";
        assert_eq!(parse_status(text), Some(Memory { rss: 2 << 20, rss_anon: 1 << 20 }));
        assert_eq!(parse_status("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let before = time_of(std::process::id()).expect("stat of this process");
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(60) {
            std::hint::spin_loop();
        }
        assert!(time_of(std::process::id()).expect("stat of this process") > before);
        assert!(memory_of(std::process::id()).expect("status").rss > 1 << 20);
    }
}
