//! A line on standard error that says how far something is: on a terminal only.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The line. Dropped, it is gone.
pub struct Line(Option<ProgressBar>);

impl Line {
    /// An empty line, if standard error is a terminal.
    pub fn new() -> Line {
        if !std::io::stderr().is_terminal() {
            return Line(None);
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            .with_style(style.expect("the template is right"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Line(Some(bar))
    }

    /// True when nobody sees it.
    pub fn is_hidden(&self) -> bool {
        self.0.is_none()
    }

    /// Prints something that stays, above the line, on standard output.
    pub fn above(&self, words: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| println!("{words}")),
            None => println!("{words}"),
        }
    }

    /// The same on standard error.
    pub fn above_err(&self, words: &str) {
        match &self.0 {
            Some(bar) => bar.println(words),
            None => eprintln!("{words}"),
        }
    }

    /// Replaces its words.
    pub fn say(&self, words: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(words);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
