//! What the bench is doing right now: a spinner on a terminal, nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line on standard error that names the step and its age; indicatif hides it where there is no terminal.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Begins to show progress.
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// Names the step that begins now.
    pub fn step(&self, what: impl Into<String>) {
        self.bar.reset_elapsed();
        self.bar.set_message(what.into());
    }

    /// Says more about the step that is under way.
    pub fn detail(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    /// Prints finished lines of the report on standard output without tearing the spinner.
    pub fn print(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    /// Removes the spinner.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
