//! The lines of the report: what is measured, and what Quorate is to reach.
//!
//! The table below is the whole plan. A line names its load and its targets; how each kind of load is produced stands in
//! a file of its own. Adding a line is adding a row.

mod failover;
mod flood;
mod keepalive;
mod kv;
mod memory;
mod null;
mod restart;
mod watch;

use std::time::Duration;

use self::flood::Flood;
use super::dataset::Shape;
use super::failure::Result;
use super::load::{self, Client, Extent, Step};
use super::report::{Figure, Figures, Target, at_least, at_most};
use super::syncs::Tracers;
use super::testbed::Testbed;
use super::writes::Putter;

/// The keys of most lines.
const SMALL: Shape = Shape { keys: 10_000, key_bytes: 16, value_bytes: 128 };

/// The keys of the lines about a large store.
const MILLION: Shape = Shape { keys: 1_000_000, key_bytes: 64, value_bytes: 256 };

/// What loads the systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Calls to a server that does nothing.
    Null,
    /// Puts of uniformly chosen keys.
    Put,
    /// Linearizable gets of uniformly chosen keys.
    GetLinearizable,
    /// Serializable gets of uniformly chosen keys.
    GetSerializable,
    /// Transactions that compare, put and get one key.
    Transact,
    /// Pages of a hundred keys from a uniformly chosen start to the end of all keys.
    Page,
    /// Watchers of all keys, while clients put.
    Watch,
    /// Renewals of one lease per client.
    KeepAlive,
    /// Deletes of keys that exist, each once.
    Delete,
    /// Resident memory after the keys were loaded.
    Memory,
    /// Restarts of one member.
    Restart,
    /// Kills of the leader.
    Failover,
    /// Puts while other clients behave badly.
    Flood(Flood),
}

/// One line of the report.
pub struct Line {
    /// Name for `--lines`.
    pub name: &'static str,
    /// Headline of the report.
    pub title: &'static str,
    /// The load.
    pub work: Work,
    /// Closed-loop clients.
    pub clients: usize,
    /// Keys loaded before.
    pub shape: Shape,
    /// What to reach, as Quorate's figure divided by etcd's.
    pub targets: &'static [Target],
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Load before each window.
    pub warm_up: Duration,
    /// The window.
    pub measured: Duration,
    /// Times that each line is measured on each side.
    pub rounds: u32,
    /// Keys are divided by this.
    pub shrink: usize,
    /// Restarts per round.
    pub restarts: u32,
    /// Leader kills, all in one round.
    pub kills: u32,
}

impl Effort {
    /// The extent of a closed loop.
    fn extent(&self) -> Extent {
        Extent::Timed { warm_up: self.warm_up, measured: self.measured }
    }
}

impl Line {
    /// Whether each round starts again what the round before did, or one round is all there is: memory is a state, and
    /// the leader kills are repetitions already.
    pub fn rounds(&self, effort: &Effort) -> u32 {
        match self.work {
            Work::Memory | Work::Failover => 1,
            Work::Null
            | Work::Put
            | Work::GetLinearizable
            | Work::GetSerializable
            | Work::Transact
            | Work::Page
            | Work::Watch
            | Work::KeepAlive
            | Work::Delete
            | Work::Restart
            | Work::Flood(_) => effort.rounds,
        }
    }

    /// Whether the line's clusters may serve the next line of the same shape: loading a million keys takes a while, and
    /// these lines leave nothing behind that the next would notice (they stand in the table in that order).
    pub fn shares_testbed(&self) -> bool {
        self.shape == MILLION
    }

    /// Whether acknowledged writes are what the line measures, so that it means nothing without syncs.
    pub fn is_durable(&self) -> bool {
        matches!(
            self.work,
            Work::Put
                | Work::Transact
                | Work::Delete
                | Work::Watch
                | Work::Failover
                | Work::Flood(_)
        )
    }

    /// The keys to load for this line, with the effort's shrinking applied.
    pub fn shape(&self, effort: &Effort) -> Shape {
        match self.shape {
            MILLION => Shape { keys: MILLION.keys / effort.shrink, ..MILLION },
            other => other,
        }
    }

    /// Measures the line once on one side. The null line has no side: see [`Line::measure_null`].
    pub async fn measure(&self, testbed: &mut Testbed, effort: &Effort) -> Result<Figures> {
        match self.work {
            Work::Watch => watch::measure(testbed, self.clients, effort).await,
            Work::Memory => memory::measure(testbed).await,
            Work::Restart => restart::measure(testbed, effort.restarts).await,
            Work::Failover => failover::measure(testbed, effort.kills).await,
            Work::Flood(flood) => flood::measure(testbed, flood, self.clients, effort).await,
            Work::Null
            | Work::Put
            | Work::GetLinearizable
            | Work::GetSerializable
            | Work::Transact
            | Work::Page
            | Work::KeepAlive
            | Work::Delete => {
                let Some(clients) = self.clients(testbed).await? else {
                    return Ok(Figures::default());
                };
                let window = load::run(clients, effort.extent(), &testbed.cluster.pids()).await?;
                Ok(Figures::of_window(&window))
            }
        }
    }

    /// Measures the null server once.
    pub async fn measure_null(&self, effort: &Effort) -> Result<Figures> {
        let window = null::run(self.clients, effort.extent()).await?;
        Ok(Figures::of_window(&window))
    }

    /// Syncs per operation over all members, in a run of its own with strace attached; nothing for lines that are not a
    /// closed loop.
    pub async fn count_syncs(&self, testbed: &Testbed) -> Result<Figures> {
        let mut figures = Figures::default();
        // Made before strace looks on: granting a lease is a synced write, too, and not the one to count.
        let Some(clients) = self.clients(testbed).await? else { return Ok(figures) };
        // At least so many operations that one sync more or less does not show.
        let operations = (16 * self.clients as u64).max(200);
        let pids = testbed.cluster.pids();
        let tracers = Tracers::attach(&pids, &testbed.scratch).await?;
        let window = load::run(clients, Extent::Counted(operations), &pids).await?;
        let counts = tracers.detach().await?;
        let durable: u64 = counts.iter().map(|count| count.durable).sum();
        let performed = (window.operations as f64).max(1.0);
        figures.set(Figure::SyncsPerOperation, durable as f64 / performed);
        Ok(figures)
    }

    /// The clients of the line's closed loop; `None` if it is none.
    async fn clients(&self, testbed: &Testbed) -> Result<Option<Vec<Loader>>> {
        let count = self.clients;
        let clients = match self.work {
            Work::Put => wrap(testbed.putters(count).await?, Loader::Put),
            Work::GetLinearizable => wrap(kv::getters(testbed, count, false).await?, Loader::Get),
            Work::GetSerializable => wrap(kv::getters(testbed, count, true).await?, Loader::Get),
            Work::Transact => wrap(kv::transactors(testbed, count).await?, Loader::Transact),
            Work::Page => wrap(kv::pagers(testbed, count).await?, Loader::Page),
            Work::Delete => wrap(kv::deleters(testbed, count).await?, Loader::Delete),
            Work::KeepAlive => wrap(keepalive::holders(testbed, count).await?, Loader::KeepAlive),
            Work::Null
            | Work::Watch
            | Work::Memory
            | Work::Restart
            | Work::Failover
            | Work::Flood(_) => {
                return Ok(None);
            }
        };
        Ok(Some(clients))
    }
}

/// A client of any closed loop.
enum Loader {
    Put(Putter),
    Get(kv::Getter),
    Transact(kv::Transactor),
    Page(kv::Pager),
    Delete(kv::Deleter),
    KeepAlive(keepalive::Holder),
}

impl Client for Loader {
    async fn perform(&mut self) -> std::result::Result<Step, tonic::Status> {
        match self {
            Self::Put(client) => client.perform().await,
            Self::Get(client) => client.perform().await,
            Self::Transact(client) => client.perform().await,
            Self::Page(client) => client.perform().await,
            Self::Delete(client) => client.perform().await,
            Self::KeepAlive(client) => client.perform().await,
        }
    }
}

fn wrap<C>(clients: Vec<C>, variant: fn(C) -> Loader) -> Vec<Loader> {
    clients.into_iter().map(variant).collect()
}

use Figure::{
    Events, Kept, LagP99, LatencyP50, LongestOutage, MedianOutage, Rate, RestartMedian,
    RssAnonMember, RssGrowth, RssMember, ServerTime, ServerTimePerEvent,
};

/// Every line, in the order of the report.
pub const LINES: &[Line] = &[
    line("null64", "nothing at all, 64 clients", Work::Null, 64, SMALL, &[]),
    line("null256", "nothing at all, 256 clients", Work::Null, 256, SMALL, &[]),
    line(
        "put1",
        "put, 1 client",
        Work::Put,
        1,
        SMALL,
        &[at_most(LatencyP50, 1.0 / 2.0), at_most(ServerTime, 1.0 / 3.0)],
    ),
    line(
        "put64",
        "put, 64 clients",
        Work::Put,
        64,
        SMALL,
        &[at_least(Rate, 3.0), at_most(ServerTime, 1.0 / 4.0)],
    ),
    line(
        "put256",
        "put, 256 clients",
        Work::Put,
        256,
        SMALL,
        &[at_least(Rate, 2.5), at_most(ServerTime, 1.0 / 3.0)],
    ),
    line(
        "getlin64",
        "get linearizable, 64 clients",
        Work::GetLinearizable,
        64,
        SMALL,
        &[at_least(Rate, 2.3), at_most(ServerTime, 1.0 / 4.0)],
    ),
    line(
        "getser64",
        "get serializable, 64 clients",
        Work::GetSerializable,
        64,
        SMALL,
        &[at_least(Rate, 1.5), at_most(ServerTime, 1.0 / 2.0)],
    ),
    line(
        "txn64",
        "txn (compare, put, get), 64 clients",
        Work::Transact,
        64,
        SMALL,
        &[at_least(Rate, 4.0), at_most(ServerTime, 1.0 / 4.0)],
    ),
    line(
        "range16",
        "range of 100 out of 10,000, 16 clients",
        Work::Page,
        16,
        SMALL,
        &[at_least(Rate, 6.0), at_most(ServerTime, 1.0 / 8.0)],
    ),
    line(
        "watch",
        "watch fan-out, 64 watchers of all keys, 16 writers",
        Work::Watch,
        16,
        SMALL,
        &[at_least(Events, 3.0), at_most(LagP99, 1.0), at_most(ServerTimePerEvent, 1.0 / 3.0)],
    ),
    line(
        "keepalive64",
        "keep-alive, 64 leases",
        Work::KeepAlive,
        64,
        SMALL,
        &[at_least(Rate, 1.4), at_most(ServerTime, 2.0 / 5.0)],
    ),
    line(
        "memory",
        "memory per member, 1M keys of 64 B + 256 B",
        Work::Memory,
        0,
        MILLION,
        &[at_most(RssAnonMember, 1.0 / 3.0), at_most(RssMember, 1.0 / 3.0)],
    ),
    line(
        "restart",
        "restart of a member, 1M keys: exec to first serializable answer",
        Work::Restart,
        0,
        MILLION,
        &[at_most(RestartMedian, 1.0 / 3.0)],
    ),
    line(
        "delete64",
        "delete of existing keys, 1M preloaded, 64 clients",
        Work::Delete,
        64,
        MILLION,
        &[at_least(Rate, 3.0), at_most(ServerTime, 1.0 / 4.0)],
    ),
    line(
        "failover",
        "leader killed: time without writes",
        Work::Failover,
        0,
        SMALL,
        &[at_most(MedianOutage, 1.0), at_most(LongestOutage, 1.0)],
    ),
    line(
        "floodsilent",
        "put, 64 clients, while 10,000 connections say nothing",
        Work::Flood(Flood::Silent),
        64,
        SMALL,
        &[at_least(Kept, 0.8), at_most(RssGrowth, 1.0)],
    ),
    line(
        "floodwatch",
        "put, 64 clients, while 20 watchers of 1 MiB values do not read",
        Work::Flood(Flood::Watch),
        64,
        SMALL,
        &[at_least(Kept, 0.8), at_most(RssGrowth, 1.0)],
    ),
    line(
        "floodrange",
        "put, 64 clients, while 32 ranges of 64 MiB are not read",
        Work::Flood(Flood::Range),
        64,
        SMALL,
        &[at_least(Kept, 0.8), at_most(RssGrowth, 1.0)],
    ),
];

const fn line(
    name: &'static str,
    title: &'static str,
    work: Work,
    clients: usize,
    shape: Shape,
    targets: &'static [Target],
) -> Line {
    Line { name, title, work, clients, shape, targets }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_line_but_null_has_targets() {
        let mut names: Vec<&str> = LINES.iter().map(|line| line.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), LINES.len());
        for line in LINES {
            assert_eq!(line.targets.is_empty(), line.work == Work::Null, "{}", line.name);
        }
    }

    #[test]
    fn lines_that_share_clusters_stand_together() {
        let sharing: Vec<usize> = LINES
            .iter()
            .enumerate()
            .filter(|(_, line)| line.shares_testbed())
            .map(|(index, _)| index)
            .collect();
        assert!(sharing.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{sharing:?}");
    }
}
