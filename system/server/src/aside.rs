//! Long reads, beside the threads that serve clients and behind them.
//!
//! A range of a gigabyte takes a second to be read, whoever waits for it. Here such reads wait for
//! each other, in the order of asking, on a few threads of their own: a quarter of the processors,
//! and one at least. These threads are of a low priority where the operating system knows such
//! threads (Linux): beside one that is busy they get a tenth of a processor. The lowest priority would
//! leave them a seventieth, and a large answer would never come out of a machine that is busy with
//! something else. What is short does not come here.
//!
//! A thread that is kept from running may hold a lock that others want, a memtable's above all, for a
//! leaf at a time. Measured with the flood of docs/benchmarks.md, the slowest puts were no slower for
//! it at the lowest priority than at this one.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// What is taken off the priority: a weight of 110 where others have 1,024.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when this is dropped and their work is done.
#[derive(Debug)]
pub struct Aside {
    jobs: Sender<Job>,
}

impl Aside {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system has none.
    pub fn start() -> std::io::Result<Aside> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..(processors / 4).max(1) {
            let queue = queue.clone();
            let work = move || work(&queue);
            std::thread::Builder::new().name(format!("aside-{number}")).spawn(work)?;
        }
        Ok(Aside { jobs })
    }

    /// Does this when it is its turn, and never if nobody waits for it any more by then.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, done) = oneshot::channel();
        let job = move || {
            if !sender.is_closed() {
                // Nobody may be left by now either.
                drop(sender.send(work()));
            }
        };
        self.jobs.send(Box::new(job)).expect("the threads outlive their queue");
        done.await.expect("a thread that panics ends the process")
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    step_back();
    loop {
        // The lock is held while waiting: the others wait for the lock instead.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// Lowers the priority of the calling thread. Where that fails it stays as it was.
fn step_back() {
    // Linux means a thread where POSIX says process; elsewhere it would be all of this member.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!("long reads have no lower priority: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn work_is_done_in_order_unless_nobody_waits_for_it() {
        let aside = Aside::start().expect("a thread");
        let (sender, seen) = channel();
        let note = |what: &'static str| {
            let sender = sender.clone();
            move || sender.send(what).expect("somebody looks")
        };
        let (hold, held) = channel::<()>();
        let slow = aside.run(move || held.recv().is_err());
        let abandoned = aside.run(note("abandoned"));
        tokio::pin!(slow);
        // The first one is under way, the second one is given up while it waits.
        let short = Duration::from_millis(10);
        assert!(tokio::time::timeout(short, &mut slow).await.is_err());
        assert!(tokio::time::timeout(short, abandoned).await.is_err());
        drop(hold);
        assert!(slow.await);
        aside.run(note("done")).await;
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["done"]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_these_threads_step_back() {
        let priority = || rustix::process::getpriority_process(None).expect("its own");
        let aside = Aside::start().expect("a thread");
        let here = priority();
        assert_eq!(aside.run(priority).await, (here + NICE).min(19));
        assert_eq!(priority(), here);
    }
}
