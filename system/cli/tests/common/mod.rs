//! What the tests of real processes share: commands, waiting with a limit, ports.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// No wait is longer. The machine may be busy with something else.
const LIMIT: Duration = Duration::from_secs(90);

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The error of a command that failed with this code: one line.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "not one line: {}", self.err);
        self.err
    }
}

/// Runs a command in a directory, without what the environment would add.
pub fn quorate(directory: &Path, line: &str) -> Done {
    let output = command(directory, line).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

pub fn command(directory: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(line.split_whitespace()).current_dir(directory).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["ETCD", "QUORATE_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Looks again and again until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited in vain until {what}");
        sleep(Duration::from_millis(50));
    }
}

/// A first port such that those of five members are free now, below those that the kernel gives away by itself. No two
/// calls return the same.
pub fn base_port() -> u16 {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        AtomicU32::new((time.subsec_nanos() / 64) % 1000)
    });
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    std::iter::repeat_with(|| 12_000 + (NEXT.fetch_add(1, Ordering::Relaxed) % 300) * 60)
        .map(|base| u16::try_from(base).unwrap())
        .take(200)
        .find(|base| (0..5).all(|i| is_free(base + 10 * i) && is_free(base + 10 * i + 1)))
        .expect("no free ports in 200 attempts")
}
