//! Everybody who uses the cluster meanwhile: clients that read and write, readers of one member each, watchers.

use super::ChaosArguments;
use super::client::{self, Worker, connect};
use super::journal::Journal;
use super::watcher::{self, Lives, Told};
use quorate_base::Dice;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Everybody who uses the cluster while it is broken.
pub struct Crowd {
    pub workers: JoinSet<()>,
    pub readers: JoinSet<Result<u64, String>>,
    pub watchers: JoinSet<Result<(), String>>,
    pub told: Arc<Told>,
    pub lives: Arc<Lives>,
    pub target: watch::Sender<Option<i64>>,
}

impl Crowd {
    pub fn start(
        arguments: &ChaosArguments,
        first: &[String],
        endpoints: &[String],
        journal: &Arc<Journal>,
        prefix: &str,
        begin: i64,
        dice: &mut Dice,
    ) -> Result<Crowd, String> {
        let mut crowd = Crowd {
            workers: JoinSet::new(),
            readers: JoinSet::new(),
            watchers: JoinSet::new(),
            told: Arc::default(),
            lives: Arc::new(Lives::new(endpoints.len())),
            target: watch::Sender::new(None),
        };
        let clients = usize::from(arguments.clients);
        let pace = Duration::from_secs_f64(clients as f64 / f64::from(arguments.rate));
        for id in 0..clients {
            let own = &first[id / 2 % first.len()];
            let asked = if id % 2 == 0 { std::slice::from_ref(own) } else { endpoints };
            let client = connect(asked, client::PATIENCE)?;
            let dice = dice.fork(id as u64);
            let worker = Worker::new(id, client, journal.clone(), dice, prefix);
            crowd.workers.spawn(worker.work(pace));
        }
        for (member, url) in endpoints.iter().enumerate() {
            let (journal, lives) = (journal.clone(), crowd.lives.clone());
            crowd.readers.spawn(watcher::read_alone(member, url.clone(), journal, lives));
        }
        for id in 0..4 {
            let mut endpoints = endpoints.to_vec();
            let count = endpoints.len();
            endpoints.rotate_left(id % count);
            let (told, target) = (crowd.told.clone(), crowd.target.subscribe());
            let prefix = prefix.to_owned();
            let watching = watcher::follow(id, endpoints, prefix, begin + 1, told, target);
            crowd.watchers.spawn(watching);
        }
        Ok(crowd)
    }
}
