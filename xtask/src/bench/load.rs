//! The closed loop: clients that each wait for an answer before they ask again.
//!
//! All clients are tasks of one single-threaded runtime. The rate is what comes out, not what goes in: a system that
//! answers twice as fast is asked twice as often. (So latencies are those at saturation by that many clients, and a stall
//! shows as one slow operation per client, not as all the operations that an open loop would have sent meanwhile.)
//!
//! Time is measured per operation; rates and processor time over one window that begins after a warm-up and ends before
//! the first client stops, so that neither the ramp nor the tail is in it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tonic::Status;

use super::cpu;
use super::failure::{Failure, Result, rpc_failure};

/// Slowest latency that the histograms tell apart from slower ones: one minute, in microseconds.
const SLOWEST_US: u64 = 60_000_000;

/// Whether a client has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One operation was answered.
    Done,
    /// There was nothing left to do, and nothing was sent.
    Exhausted,
}

/// One of the clients: sends one request at a time.
pub trait Client: Send + 'static {
    /// Performs one operation, from sending to the checked answer.
    fn perform(&mut self) -> impl Future<Output = std::result::Result<Step, Status>> + Send;
}

/// How long the load lasts.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// Some time that is not measured, then the window.
    Timed {
        /// Before the window.
        warm_up: Duration,
        /// The window.
        measured: Duration,
    },
    /// So many operations over all clients, all of them measured.
    Counted(u64),
    /// Until every client is exhausted.
    Drained,
}

/// What was seen in the window.
pub struct Window {
    /// Its length.
    pub elapsed: Duration,
    /// Operations answered.
    pub operations: u64,
    /// Latencies in microseconds.
    pub latencies: Histogram<u64>,
    /// Processor time of each of the processes under load.
    pub server_times: Vec<Duration>,
    /// Processor time of the load generator.
    pub generator_time: Duration,
}

/// What the clients of one run share.
pub struct Shared {
    recording: AtomicBool,
    stopped: AtomicBool,
    remaining: AtomicI64,
    latencies: Mutex<Histogram<u64>>,
}

impl Shared {
    fn new(operations: i64, recording: bool) -> Arc<Self> {
        Arc::new(Self {
            recording: AtomicBool::new(recording),
            stopped: AtomicBool::new(false),
            remaining: AtomicI64::new(operations),
            latencies: Mutex::new(histogram()),
        })
    }

    fn record(&self, latency: Duration) {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.saturating_record(microseconds(latency));
    }
}

/// Runs the clients for an extent against the processes named. The first error of a client ends the run.
pub async fn run<C: Client>(clients: Vec<C>, extent: Extent, pids: &[u32]) -> Result<Window> {
    let operations = match extent {
        Extent::Counted(operations) => i64::try_from(operations).unwrap_or(i64::MAX),
        Extent::Timed { .. } | Extent::Drained => i64::MAX,
    };
    let timed = matches!(extent, Extent::Timed { .. });
    let shared = Shared::new(operations, !timed);
    let mut tasks = launch(clients, &shared);
    if let Extent::Timed { warm_up, .. } = extent {
        join_for(&mut tasks, Some(warm_up)).await?;
    }
    let before = Snapshot::take(pids)?;
    shared.recording.store(true, Ordering::Relaxed);
    match extent {
        Extent::Timed { measured, .. } => join_for(&mut tasks, Some(measured)).await?,
        Extent::Counted(_) | Extent::Drained => join_for(&mut tasks, None).await?,
    }
    shared.recording.store(false, Ordering::Relaxed);
    let after = Snapshot::take(pids)?;
    shared.stopped.store(true, Ordering::Relaxed);
    join_for(&mut tasks, None).await?;
    let latencies = shared.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(after.since(&before, latencies))
}

/// Runs the clients until `interrupt` has done its work, whose purpose is to break them: their errors are expected. Gives
/// back what `interrupt` returned and the number of operations answered.
pub async fn run_until_broken<C: Client, T>(
    clients: Vec<C>,
    interrupt: impl Future<Output = Result<T>>,
) -> Result<(T, u64)> {
    let shared = Shared::new(i64::MAX, true);
    let mut tasks = launch(clients, &shared);
    let outcome = interrupt.await?;
    shared.stopped.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    let answered = shared.latencies.lock().unwrap_or_else(PoisonError::into_inner).len();
    Ok((outcome, answered))
}

fn launch<C: Client>(clients: Vec<C>, shared: &Arc<Shared>) -> JoinSet<ClientResult> {
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(drive(client, Arc::clone(shared)));
    }
    tasks
}

type ClientResult = std::result::Result<(), Status>;

async fn drive<C: Client>(mut client: C, shared: Arc<Shared>) -> ClientResult {
    while !shared.stopped.load(Ordering::Relaxed)
        && shared.remaining.fetch_sub(1, Ordering::Relaxed) > 0
    {
        let sent = Instant::now();
        match client.perform().await? {
            Step::Done if shared.recording.load(Ordering::Relaxed) => shared.record(sent.elapsed()),
            Step::Done => {}
            Step::Exhausted => break,
        }
    }
    Ok(())
}

/// Waits for a time, or without one until all clients have ended, whichever comes first.
async fn join_for(tasks: &mut JoinSet<ClientResult>, limit: Option<Duration>) -> Result<()> {
    let deadline = limit.map(|limit| tokio::time::Instant::now() + limit);
    loop {
        let joined = match deadline {
            Some(deadline) => match tokio::time::timeout_at(deadline, tasks.join_next()).await {
                Ok(joined) => joined,
                Err(_) => return Ok(()),
            },
            None => tasks.join_next().await,
        };
        match joined {
            None => return Ok(()),
            Some(Ok(ended)) => ended.map_err(rpc_failure("a client of the load generator"))?,
            Some(Err(error)) => {
                return Err(Failure::Wrong(format!("a client of the load generator: {error}")));
            }
        }
    }
}

impl Window {
    /// Processor time of all processes under load.
    pub fn server_time(&self) -> Duration {
        self.server_times.iter().sum()
    }
}

/// Clocks read at one end of a window.
pub struct Snapshot {
    at: Instant,
    servers: Vec<Duration>,
    generator: Duration,
}

impl Snapshot {
    /// Reads the clock and the processor times.
    pub fn take(pids: &[u32]) -> Result<Self> {
        let servers = pids.iter().map(|pid| cpu::time_of(*pid)).collect::<Result<Vec<_>>>()?;
        let generator = cpu::time_of(std::process::id())?;
        Ok(Self { at: Instant::now(), servers, generator })
    }

    /// The window from `before` to this snapshot; its operations are those in the histogram.
    pub fn since(&self, before: &Self, latencies: Histogram<u64>) -> Window {
        let servers = self.servers.iter().zip(&before.servers);
        Window {
            elapsed: self.at.duration_since(before.at),
            operations: latencies.len(),
            latencies,
            server_times: servers.map(|(after, before)| after.saturating_sub(*before)).collect(),
            generator_time: self.generator.saturating_sub(before.generator),
        }
    }
}

/// An empty histogram of latencies in microseconds, exact to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, SLOWEST_US, 3).expect("the bounds are constants in order")
}

/// A duration in whole microseconds.
pub fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sleeper {
        left: u32,
        pause: Duration,
    }

    impl Client for Sleeper {
        async fn perform(&mut self) -> std::result::Result<Step, Status> {
            if self.left == 0 {
                return Ok(Step::Exhausted);
            }
            self.left -= 1;
            tokio::time::sleep(self.pause).await;
            Ok(Step::Done)
        }
    }

    fn sleepers(count: usize, left: u32, pause_ms: u64) -> Vec<Sleeper> {
        let pause = Duration::from_millis(pause_ms);
        (0..count).map(|_| Sleeper { left, pause }).collect()
    }

    #[tokio::test]
    async fn a_counted_run_performs_exactly_so_many() {
        let window = run(sleepers(7, 1000, 0), Extent::Counted(100), &[]).await.expect("no errors");
        assert_eq!(window.operations, 100);
    }

    #[tokio::test]
    async fn a_drained_run_performs_all_there_is() {
        let window = run(sleepers(3, 5, 1), Extent::Drained, &[]).await.expect("no errors");
        assert_eq!(window.operations, 15);
        assert!(window.latencies.min() >= 1000);
    }

    #[tokio::test]
    async fn a_timed_run_leaves_the_warm_up_out() {
        let extent = Extent::Timed {
            warm_up: Duration::from_millis(60),
            measured: Duration::from_millis(60),
        };
        let window = run(sleepers(1, u32::MAX, 5), extent, &[]).await.expect("no errors");
        assert!((1..=12).contains(&window.operations), "{} operations", window.operations);
        assert!(window.elapsed >= Duration::from_millis(60));
    }

    struct Broken;

    impl Client for Broken {
        async fn perform(&mut self) -> std::result::Result<Step, Status> {
            Err(Status::unavailable("gone"))
        }
    }

    #[tokio::test]
    async fn an_error_ends_a_run_and_is_reported() {
        let failure = run(vec![Broken], Extent::Counted(1), &[]).await.err().expect("an error");
        assert!(failure.to_string().contains("gone"), "{failure}");
    }
}
