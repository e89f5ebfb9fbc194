//! The bar that shows how far a judge is: on a terminal only, and only when it takes a while.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_check::limits::Gauge;

/// Time between two looks at the gauge.
const PAUSE: Duration = Duration::from_millis(100);

/// A bar on standard error, drawn by a thread of its own. Dropped, it is gone.
pub struct Bar {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Starts drawing, if standard error is a terminal.
    pub fn new(name: &str, gauge: Arc<Gauge>) -> Bar {
        let is_over = Arc::new(AtomicBool::new(false));
        if !std::io::stderr().is_terminal() {
            return Bar { is_over, thread: None };
        }
        let (name, over) = (name.to_owned(), is_over.clone());
        let thread = std::thread::spawn(move || draw(name, &gauge, &over));
        Bar { is_over, thread: Some(thread) }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().expect("the thread that draws does not panic");
        }
    }
}

fn draw(name: String, gauge: &Gauge, is_over: &AtomicBool) {
    let style = "{msg} [{bar:40}] {pos}/{len} operations, {elapsed}";
    let style = ProgressStyle::with_template(style).expect("the template is right");
    let mut bar: Option<ProgressBar> = None;
    while !is_over.load(Ordering::Relaxed) {
        std::thread::park_timeout(PAUSE);
        let (done, total) = gauge.read();
        if total == 0 || is_over.load(Ordering::Relaxed) {
            continue;
        }
        let bar = bar.get_or_insert_with(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style.clone());
            bar.with_message(name.clone())
        });
        bar.set_length(total);
        bar.set_position(done.min(total));
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}
