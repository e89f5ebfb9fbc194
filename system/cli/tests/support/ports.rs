//! Ports for servers of tests.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// From here on, and below the ports that Linux gives away by itself (32,768 and up): nobody's outgoing
/// connection takes a port while its server is down for a restart.
const FIRST: u16 = 14_000;
const COUNT: u16 = 18_000;

/// Ports that are free now. No two calls in a process return the same before all have had their turn.
pub fn free_ports(count: usize) -> Vec<u16> {
    // Test programs may run at the same time: each begins somewhere else.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        AtomicU16::new((std::process::id().wrapping_mul(2_654_435_761) >> 16) as u16 % COUNT)
    });
    let next =
        || NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some((at + 1) % COUNT));
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = (0..COUNT)
        .map(|_| FIRST + next().expect("it always has a next one"))
        .filter(is_free)
        .take(count)
        .collect();
    assert_eq!(ports.len(), count, "too few free ports");
    ports
}

/// Whether a server's log says that somebody else has one of its ports: between choosing and binding one, it may go.
pub fn were_taken(log: &str) -> bool {
    let log = log.to_lowercase();
    // Etcd's words, and Quorate's.
    log.contains("address already in use") || log.contains("already taken by another process")
}
