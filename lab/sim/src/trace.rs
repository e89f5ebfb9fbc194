//! What happened, as a hash of all of it and the text of the newest part.

use quorate_base::Instant;
use std::collections::VecDeque;

/// Lines kept for a report.
const KEPT: usize = 120;

/// A world's diary.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    lines: u64,
    newest: VecDeque<String>,
}

impl Default for Trace {
    fn default() -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: 0, newest: VecDeque::new() }
    }
}

impl Trace {
    /// Adds a line.
    pub fn note(&mut self, now: Instant, line: &str) {
        let line = format!("{:>10}us {line}", now.0 / 1_000);
        self.hash = hash(self.hash, line.as_bytes());
        self.lines += 1;
        self.newest.push_back(line);
        if self.newest.len() > KEPT {
            self.newest.pop_front();
        }
    }

    /// The hash over all lines so far: equal for two worlds in which the same happened.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many lines there were.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The newest lines, newest last.
    pub fn newest(&self) -> Vec<String> {
        self.newest.iter().cloned().collect()
    }
}

/// FNV-1a, continued: cheap, and the same for ever.
pub fn hash(mut state: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    state
}
