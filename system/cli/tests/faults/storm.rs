//! The storm: a checked workload while everything that can happen to a process happens.
//!
//! First every fault strikes the leader once, then random ones follow for a while, and twice all
//! members are killed at the same moment. Afterwards the [`verdict`](crate::verdict) compares what
//! was acknowledged, what the watchers saw, and what is there.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use quorate_base::Dice;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::history::{History, WRITERS};
use crate::links::{Linked, MEMBERS};
use crate::nemesis::{FAULTS, Nemesis};
use crate::verdict::{self, Evidence};
use crate::watchers::Seen;
use crate::writers::Written;
use crate::{readers, watchers, writers};

/// How long random faults go on, in seconds, unless the environment says otherwise.
const DEFAULT_SECONDS: u64 = 20;
/// How many times all members are killed at once.
const BLACKOUTS: usize = 2;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}, expected a number")))
}

/// Everybody who uses the cluster while it is broken.
struct Crowd {
    writers: Vec<JoinHandle<Written>>,
    linearizable: JoinSet<u64>,
    serializable: JoinSet<u64>,
    watchers: Vec<JoinHandle<Seen>>,
    target: watch::Sender<Option<i64>>,
}

impl Crowd {
    fn start(endpoints: &[String], history: &Arc<History>) -> Crowd {
        let target = watch::Sender::new(None);
        let (mut linearizable, mut serializable) = (JoinSet::new(), JoinSet::new());
        for (i, url) in endpoints.iter().enumerate() {
            linearizable.spawn(readers::read_linearizable(i, url.clone(), history.clone()));
            serializable.spawn(readers::read_serializable(i, url.clone(), history.clone()));
        }
        let write = |i| tokio::spawn(writers::write(i, endpoints.to_vec(), history.clone()));
        let follow = |i| {
            let (endpoints, history) = (endpoints.to_vec(), history.clone());
            tokio::spawn(watchers::follow(i, endpoints, history, target.subscribe()))
        };
        Crowd {
            writers: (0..WRITERS).map(write).collect(),
            watchers: (0..MEMBERS).map(follow).collect(),
            linearizable,
            serializable,
            target,
        }
    }

    /// Waits until all have ended; what one of them found wrong fails the test here.
    async fn finish(self, linked: &Linked) -> Evidence {
        let mut written = vec![];
        for writer in self.writers {
            written.push(writer.await.expect("a writer"));
        }
        let linearizable = self.linearizable.join_all().await.iter().sum();
        let serializable = self.serializable.join_all().await.iter().sum();
        let last = linked.cluster.client().await.revision().await;
        self.target.send_replace(Some(last));
        let mut seen = vec![];
        for watcher in self.watchers {
            seen.push(watcher.await.expect("a watcher"));
        }
        Evidence { written, linearizable, serializable, seen, last }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm_loses_nothing_that_was_acknowledged() {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seed = setting("QUORATE_FAULTS_SEED").unwrap_or(clock.as_secs());
    let seconds = setting("QUORATE_FAULTS_SECONDS").unwrap_or(DEFAULT_SECONDS);
    println!("QUORATE_FAULTS_SEED={seed} QUORATE_FAULTS_SECONDS={seconds}");
    let mut linked = Linked::start().await;
    let history = Arc::new(History::default());
    let endpoints = (0..MEMBERS).map(|i| linked.cluster.endpoint(i).to_owned()).collect::<Vec<_>>();
    let crowd = Crowd::start(&endpoints, &history);

    let (dice, begun) = (Dice::new(seed), Instant::now());
    let mut nemesis = Nemesis { linked: &mut linked, history: &history, dice, begun };
    for fault in FAULTS {
        nemesis.strike_leader(fault).await;
    }
    let random = Instant::now();
    while random.elapsed() < Duration::from_secs(seconds) {
        nemesis.strike_somebody().await;
    }
    for _ in 0..BLACKOUTS {
        nemesis.kill_everybody().await;
    }
    history.stop();
    let evidence = crowd.finish(&linked).await;
    verdict::judge(&linked, &history, &evidence).await;
}
