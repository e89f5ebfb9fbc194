//! A cluster with its keys loaded and the book of what it has acknowledged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::binaries::System;
use super::cluster::Cluster;
use super::connection::Connection;
use super::dataset::{Dice, Keys, Shape, Values};
use super::failure::Result;
use super::load::{self, Extent};
use super::progress::Progress;
use super::writes::{Ledger, Preloader, Putter};

/// Preloading transactions in flight.
const PRELOADERS: usize = 16;

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
        progress: &Progress,
    ) -> Result<Self> {
        progress.step(format!("starting three members of {}", system.name()));
        let cluster = Cluster::start(system, directory, extra).await?;
        let testbed = Self {
            cluster,
            shape,
            keys: Keys::new(shape),
            values: Arc::new(Values::new(shape.value_bytes)),
            ledger: Ledger::new(shape.keys),
            deleted: Arc::default(),
            scratch: directory.to_path_buf(),
        };
        progress.step(format!("loading {} keys into {}", shape.keys, system.name()));
        testbed.preload().await?;
        Ok(testbed)
    }

    /// The load generator's connections.
    pub async fn connect(&self) -> Result<Vec<Connection>> {
        Connection::open_all(&self.cluster.addresses()).await
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

    async fn preload(&self) -> Result<()> {
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
        load::run(preloaders, Extent::Drained, &self.cluster.pids()).await?;
        Ok(())
    }
}
