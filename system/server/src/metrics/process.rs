//! The process as the system sees it; what cannot be read is left out.

use super::text::{Kind, Page};
use std::fs;

/// Ticks of the processor times in `/proc`, which are the same on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// Writes what Prometheus' own libraries write about a process.
pub fn write(page: &mut Page) {
    if let Some(stat) = Stat::read() {
        let help = "Total user and system CPU time spent in seconds.";
        page.single("process_cpu_seconds_total", Kind::Counter, help, stat.cpu_seconds);
        let help = "Resident memory size in bytes.";
        page.single("process_resident_memory_bytes", Kind::Gauge, help, stat.resident_bytes);
        let help = "Virtual memory size in bytes.";
        page.single("process_virtual_memory_bytes", Kind::Gauge, help, stat.virtual_bytes);
        if let Some(boot) = boot_time() {
            let help = "Start time of the process since unix epoch in seconds.";
            let start = boot + stat.started_after_boot;
            page.single("process_start_time_seconds", Kind::Gauge, help, start);
        }
        let help = "Number of threads of the process.";
        page.single("process_threads", Kind::Gauge, help, stat.threads);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // The listing itself is one of them.
        let open = entries.count().saturating_sub(1);
        let help = "Number of open file descriptors.";
        page.single("process_open_fds", Kind::Gauge, help, open);
        page.single("os_fd_used", Kind::Gauge, "The number of used file descriptors.", open);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(limit) = limit {
        let help = "Maximum number of open file descriptors.";
        page.single("process_max_fds", Kind::Gauge, help, limit);
        page.single("os_fd_limit", Kind::Gauge, "The file descriptor limit.", limit);
    }
    if let Some((received, sent)) = network_bytes() {
        let help = "Number of bytes received by the process over the network.";
        page.single("process_network_receive_bytes_total", Kind::Counter, help, received);
        let help = "Number of bytes sent by the process over the network.";
        page.single("process_network_transmit_bytes_total", Kind::Counter, help, sent);
    }
}

/// What is read of `/proc/self/stat`.
struct Stat {
    cpu_seconds: f64,
    started_after_boot: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
    threads: u64,
}

impl Stat {
    fn read() -> Option<Stat> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field, the name, may contain anything; the rest follows its last bracket.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The numbers of proc(5), less the two before the bracket and one for counting from 0.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            cpu_seconds: (field(14)? + field(15)?) as f64 / TICKS_A_SECOND,
            threads: field(20)?,
            started_after_boot: field(22)? as f64 / TICKS_A_SECOND,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as u64,
        })
    }
}

fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Bytes in and out of this network namespace, which is what Go's library tells as well.
fn network_bytes() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/net/netstat").ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let find = |wanted: &str| {
        let mut pairs = names.split(' ').zip(values.split(' '));
        pairs.find(|(name, _)| *name == wanted)?.1.parse().ok()
    };
    Some((find("InOctets")?, find("OutOctets")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read() {
        let stat = Stat::read().expect("there is a /proc here");
        assert!(stat.resident_bytes > 1 << 20 && stat.virtual_bytes > stat.resident_bytes);
        assert!(stat.threads >= 1 && stat.started_after_boot > 0.0);
        assert!(boot_time().expect("btime") > 1e9);
        assert!(network_bytes().is_some());
    }
}
