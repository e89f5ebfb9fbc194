//! How far long work is: one line on a terminal that is written over, nothing in a pipe.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use crate::ctl::units::format_size;

/// Time between two looks of a person.
const PAUSE: Duration = Duration::from_millis(100);

/// A line on standard error, if that is a terminal. Dropped, the line is gone.
pub struct Progress {
    is_terminal: bool,
    next: Instant,
    is_shown: bool,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), next: Instant::now(), is_shown: false }
    }

    /// Shows `done` bytes of `all`, not more often than anybody can read.
    pub fn show(&mut self, what: &str, done: u64, all: u64) {
        let now = Instant::now();
        if !self.is_terminal || now < self.next {
            return;
        }
        self.next = now + PAUSE;
        self.is_shown = true;
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
        eprint!("\r\x1b[K{what} {} of {} ({percent}%)", format_size(done), format_size(all));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}
