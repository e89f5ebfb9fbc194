//! A local cluster within another command of this program: the same supervisor, relays and control socket as `quorate
//! up`, on a thread of its own, which says nothing on the terminal.
//!
//! A thread, because the kernel takes the end of the thread that started a member for the end of its parent, and because
//! the relays must not wait for whatever else the command does. The members end with the command, however it ends.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::directory::ClusterFile;
use super::{News, Stop, UpArguments, keep_up};

/// How many sets of ports are tried: between choosing one and binding it, somebody else may take it.
const PORT_TRIES: usize = 5;
/// First ports are chosen from here: below those that kernels give away by themselves, above the usual ones.
const PORTS: std::ops::Range<u16> = 14_000..30_000;
/// Ports between the first ones of two candidates; those of five members fit.
const PORT_STEP: u16 = 60;

/// A cluster that runs within this process.
pub struct Within {
    /// Its members and addresses, as they were when it was ready.
    pub cluster: ClusterFile,
    /// The members that ended although nobody had asked for it, a sentence for each.
    ended: Arc<Mutex<Vec<String>>>,
    stop: watch::Sender<()>,
    thread: JoinHandle<Result<(), String>>,
}

impl Within {
    /// Starts so many members with their data in a directory, on ports that are free, and waits until they are ready.
    /// Blocks. The error is one line.
    ///
    /// There are places for so many more, see [`super::control::Action::Join`].
    pub fn start(
        data_dir: &Path,
        nodes: u16,
        spares: u16,
        flags: &[String],
    ) -> Result<Within, String> {
        let mut error = String::new();
        for _ in 0..PORT_TRIES {
            let arguments = UpArguments {
                nodes: Some(nodes),
                fresh: true,
                data_dir: data_dir.to_owned(),
                base_port: Some(free_base_port()),
                spares,
                flags: flags.to_vec(),
            };
            match Within::start_at(arguments) {
                Ok(within) => return Ok(within),
                Err(why) if why.contains("is taken by another process") => error = why,
                Err(why) => return Err(why),
            }
        }
        Err(error)
    }

    fn start_at(arguments: UpArguments) -> Result<Within, String> {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let (stop, asked) = watch::channel(());
        let (ready, started) = mpsc::channel();
        let heard = ended.clone();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            let tell = |news: News| match news {
                News::Ready { cluster, .. } => drop(ready.send(cluster.clone())),
                News::Ended(text) => heard.lock().expect("nobody panics with it").push(text),
                News::Done(_) | News::Stopping => {}
            };
            runtime.block_on(keep_up(&arguments, &mut Stop::Asked(asked), &tell))
        };
        let thread = std::thread::Builder::new().name("supervisor".to_owned()).spawn(run);
        let thread = thread.map_err(|error| error.to_string())?;
        match started.recv() {
            Ok(cluster) => Ok(Within { cluster, ended, stop, thread }),
            // The thread has ended without a cluster.
            Err(_) => match thread.join() {
                Ok(Err(why)) => Err(why),
                Ok(Ok(())) | Err(_) => Err("the supervisor ended at its start".to_owned()),
            },
        }
    }

    /// The members that ended by themselves so far.
    pub fn ended(&self) -> Vec<String> {
        self.ended.lock().expect("nobody panics with it").clone()
    }

    /// Stops the members and waits for their ends. Blocks.
    pub fn stop(self) -> Result<(), String> {
        self.stop.send_replace(());
        self.thread.join().unwrap_or_else(|_| Err("the supervisor panicked".to_owned()))
    }
}

/// A first port such that those of five members are free now.
fn free_base_port() -> u16 {
    let is_free = |port| std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).is_ok();
    let candidates = (PORTS.end - PORTS.start) / PORT_STEP;
    // Two commands that start at once should not go through the same ones in the same order.
    let first = (std::process::id() % u32::from(candidates)) as u16;
    (0..candidates)
        .map(|i| PORTS.start + (first + i) % candidates * PORT_STEP)
        .find(|base| (0..5).all(|i| is_free(base + 10 * i) && is_free(base + 10 * i + 1)))
        .unwrap_or(PORTS.start)
}
