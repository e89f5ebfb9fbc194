//! One server process, and the promise that it dies with the test.
//!
//! A test may end in three ways: it returns, it panics, or the whole test binary is killed. The
//! first two run `Drop`; the third runs nothing. So each server has a *guard*, a shell that waits
//! for the end of a pipe which only the test binary holds open: when the binary is gone, for
//! whatever reason, the pipe closes and the guard kills the server and removes its data. The guard
//! is also what ends a server that lives in a `static`, which Rust never drops.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running server and the guard that outlives the test binary.
pub struct Process {
    server: Child,
    guard: Child,
}

impl Process {
    /// Starts `program` with `args`; both output streams go to `log`, appended, and `data` is what
    /// the guard removes when the test binary disappears.
    pub fn spawn(program: &Path, args: &[String], log: &Path, data: &Path) -> Process {
        let log =
            File::options().create(true).append(true).open(log).expect("open the log of a server");
        let mut server = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log between two streams"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", program.display()));
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$1\"; rm -rf \"$2\"", "guard"])
            .arg(server.id().to_string())
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Process { server, guard },
            Err(e) => {
                let _ = server.kill();
                panic!("cannot start the guard of a server: {e}");
            }
        }
    }

    /// True once the server has ended by itself, for instance because its port was taken.
    pub fn has_exited(&mut self) -> bool {
        !matches!(self.server.try_wait(), Ok(None))
    }

    /// How the server ended, once it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.server.try_wait().expect("a child can be waited for")
    }

    /// The process id, for the one who wants to signal it.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Kills the server as a power cut would: no handler runs.
    pub fn kill(&mut self) {
        // The guard goes first: once the server is reaped its process id may belong to somebody
        // else.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
