//! A cluster with its keys loaded and the book of what it has acknowledged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::binaries::System;
use super::cluster::Cluster;
use super::connection::Connection;
use super::dataset::{Dice, Keys, Shape, Values};
use super::failure::{Result, file_failure};
use super::load::{self, Extent};
use super::progress::Progress;
use super::writes::{Ledger, Preloader, Putter};

/// Preloading transactions in flight.
const PRELOADERS: usize = 16;

/// How often the progress of preloading is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(500);

/// Time for background work to end before a window.
const REST: Duration = Duration::from_millis(300);

/// Everything a line needs of one side.
pub struct Testbed {
    /// The processes.
    pub cluster: Cluster,
    /// What was loaded.
    pub shape: Shape,
    /// Its keys.
    pub keys: Keys,
    /// Values for further writes.
    pub values: Arc<Values>,
    /// Acknowledged puts since the cluster began.
    pub ledger: Ledger,
    /// How many keys, counted from the first, have been deleted by the delete line.
    pub deleted: Arc<AtomicUsize>,
    /// Where files of the bench itself may go.
    pub scratch: PathBuf,
}

impl Testbed {
    /// Starts a fresh cluster and loads the keys of a shape.
    pub async fn prepare(
        system: &System,
        shape: Shape,
        directory: &Path,
        extra: &[&str],
        secure: bool,
        progress: &Progress,
    ) -> Result<Self> {
        progress.step(format!("starting three members of {}", system.name()));
        let cluster = Cluster::start(system, directory, extra, secure).await?;
        let testbed = Self {
            cluster,
            shape,
            keys: Keys::new(shape),
            values: Arc::new(Values::new(shape.value_bytes)),
            ledger: Ledger::new(shape.keys),
            deleted: Arc::default(),
            scratch: directory.to_path_buf(),
        };
        testbed.preload(progress).await?;
        Ok(testbed)
    }

    /// The load generator's connections.
    pub async fn connect(&self) -> Result<Vec<Connection>> {
        Connection::open_all(&self.cluster.addresses(), &self.cluster.access).await
    }

    /// Closed-loop clients that put uniformly chosen keys.
    pub async fn putters(&self, clients: usize) -> Result<Vec<Putter>> {
        let connections = self.connect().await?;
        let putter = |client: usize| Putter {
            kv: connections[client % connections.len()].kv(),
            keys: self.keys.clone(),
            count: self.shape.keys,
            values: Arc::clone(&self.values),
            ledger: self.ledger.clone(),
            dice: Dice::new(client as u64),
        };
        Ok((0..clients).map(putter).collect())
    }

    async fn preload(&self, progress: &Progress) -> Result<()> {
        let connections = self.connect().await?;
        let next = Arc::new(AtomicUsize::new(0));
        let preloader = |client: usize| Preloader {
            kv: connections[client % connections.len()].kv(),
            keys: self.keys.clone(),
            count: self.shape.keys,
            values: Arc::clone(&self.values),
            ledger: self.ledger.clone(),
            next: Arc::clone(&next),
        };
        let preloaders = (0..PRELOADERS).map(preloader).collect();
        let what = format!("loading keys into {}", self.cluster.system.name());
        progress.step(&what);
        let count = self.shape.keys;
        let shown = async {
            loop {
                tokio::time::sleep(SHOWN_EVERY).await;
                let loaded = next.load(Ordering::Relaxed).min(count);
                progress.detail(format!("{what}: {loaded} of {count}"));
            }
        };
        let pids = self.cluster.pids();
        tokio::select! {
            loaded = load::run(preloaders, Extent::Drained, &pids) => loaded.map(|_| ()),
            () = shown => Ok(()),
        }
    }

    /// Writes out what the members have left in the page cache, so that it does not reach the disk at the expense of
    /// whoever is measured next, and lets background work end.
    pub async fn settle(directory: &Path) -> Result<()> {
        let handle = std::fs::File::open(directory).map_err(file_failure("open", directory))?;
        rustix::fs::syncfs(&handle)
            .map_err(|error| file_failure("write out", directory)(error.into()))?;
        tokio::time::sleep(REST).await;
        Ok(())
    }
}
