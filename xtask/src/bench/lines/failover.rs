//! The leader dies: how long until a write is acknowledged again.
//!
//! Probes put small values at every member every few milliseconds, without waiting for one another, so that a probe
//! stuck at a member that waits for its lost leader delays no other. The time without writes is the longest gap between
//! two acknowledgements around the kill; its error is one probe interval.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quorate_wire::etcd::etcdserverpb::PutRequest;
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::transport::Channel;

use crate::bench::cluster::{MEMBERS, lazy_channel};
use crate::bench::dataset::{Dice, Keys, Values};
use crate::bench::failure::{Failure, Result};
use crate::bench::load;
use crate::bench::report::{Figure, Figures};
use crate::bench::testbed::Testbed;

/// Time between two probes of one member.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// How long a probe waits for its answer. An etcd that lost a forwarded write with its leader answers only after seven
/// seconds; by then other probes have found the new leader.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// How long a cluster may be without writes at all.
const OUTAGE_LIMIT: Duration = Duration::from_secs(60);

/// Undisturbed writes before each kill.
const CALM: Duration = Duration::from_millis(500);

/// Moments of acknowledgements.
type Acknowledged = Arc<Mutex<Vec<Instant>>>;

/// Kills the leader so many times and restarts it each time.
pub async fn measure(testbed: &mut Testbed, kills: u32) -> Result<Figures> {
    let acknowledged: Acknowledged = Arc::default();
    let _probes = start_probes(testbed, &acknowledged)?;
    let mut outages = load::histogram();
    for _ in 0..kills {
        let leader = testbed.cluster.leader().await?;
        sleep(CALM).await;
        let killed = Instant::now();
        testbed.cluster.kill(leader)?;
        let outage = wait_outage(testbed, &acknowledged, killed).await?;
        outages.saturating_record(load::microseconds(outage));
        testbed.cluster.revive().await?;
        testbed.cluster.wait_caught_up(leader).await?;
        lock(&acknowledged).clear();
    }
    let mut figures = Figures::default();
    let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
    figures.set(Figure::MedianOutage, milliseconds(outages.value_at_quantile(0.5)));
    figures.set(Figure::LongestOutage, milliseconds(outages.max()));
    Ok(figures)
}

/// Waits until writes have gone on for a while after the kill, then finds the gap. What the dead leader had already
/// promised may still arrive just after its death, so the first acknowledgement alone proves nothing.
async fn wait_outage(
    testbed: &Testbed,
    acknowledged: &Acknowledged,
    killed: Instant,
) -> Result<Duration> {
    while killed.elapsed() < OUTAGE_LIMIT {
        sleep(Duration::from_millis(20)).await;
        let mut moments = lock(acknowledged).clone();
        moments.sort_unstable();
        let resumed = resumption(&moments, killed);
        if resumed.is_some_and(|resumed| resumed.elapsed() > CALM) {
            return Ok(longest_gap(&moments, killed));
        }
    }
    Err(Failure::TooLate {
        system: testbed.cluster.system.name().into(),
        waited_for: "a write after the leader's death".into(),
        seconds: OUTAGE_LIMIT.as_secs(),
        logs: testbed.scratch.display().to_string(),
    })
}

/// The first acknowledgement from which on writes flowed again: at least ten within a tenth of a second.
fn resumption(moments: &[Instant], killed: Instant) -> Option<Instant> {
    const FLOW: usize = 10;
    const FLOW_WITHIN: Duration = Duration::from_millis(100);
    let after: Vec<Instant> = moments.iter().copied().filter(|moment| *moment > killed).collect();
    let longest = after
        .iter()
        .zip(std::iter::once(&killed).chain(&after))
        .enumerate()
        .max_by_key(|(_, (moment, previous))| moment.duration_since(**previous))?
        .0;
    let flow = after.get(longest..longest + FLOW)?;
    (flow[FLOW - 1].duration_since(flow[0]) < FLOW_WITHIN).then_some(flow[0])
}

/// The longest time between two acknowledgements of which the later one came after the kill.
fn longest_gap(moments: &[Instant], killed: Instant) -> Duration {
    let gaps = moments.windows(2).filter(|pair| pair[1] > killed);
    gaps.map(|pair| pair[1].duration_since(pair[0])).max().unwrap_or_default()
}

/// Starts a task per member that sends a probe every interval. They end when the set is dropped.
fn start_probes(testbed: &Testbed, acknowledged: &Acknowledged) -> Result<JoinSet<()>> {
    let mut probes = JoinSet::new();
    for index in 0..MEMBERS {
        let address = &testbed.cluster.members[index].client_address;
        let kv = KvClient::new(lazy_channel(address)?);
        let dice = Dice::new(index as u64);
        probes.spawn(probe_member(
            kv,
            testbed.keys.clone(),
            Arc::clone(&testbed.values),
            dice,
            Arc::clone(acknowledged),
        ));
    }
    Ok(probes)
}

async fn probe_member(
    kv: KvClient<Channel>,
    keys: Keys,
    values: Arc<Values>,
    mut dice: Dice,
    acknowledged: Acknowledged,
) {
    let mut ticks = interval(PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut in_flight = JoinSet::new();
    loop {
        ticks.tick().await;
        while in_flight.try_join_next().is_some() {}
        let key = keys.get(dice.below(super::SMALL.keys));
        let (value, _) = values.next();
        let request = PutRequest { key, value, ..PutRequest::default() };
        let (mut kv, acknowledged) = (kv.clone(), Arc::clone(&acknowledged));
        in_flight.spawn(async move {
            if let Ok(Ok(_)) = timeout(PROBE_PATIENCE, kv.put(request)).await {
                lock(&acknowledged).push(Instant::now());
            }
        });
    }
}

fn lock(acknowledged: &Acknowledged) -> std::sync::MutexGuard<'_, Vec<Instant>> {
    acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, milliseconds: impl IntoIterator<Item = u64>) -> Vec<Instant> {
        milliseconds.into_iter().map(|ms| start + Duration::from_millis(ms)).collect()
    }

    #[test]
    fn the_outage_is_the_gap_around_the_kill() {
        let start = Instant::now();
        let killed = start + Duration::from_millis(100);
        // Two answers that were on their way still arrive at 101 and 102; the new leader answers from 1300 on.
        let moments =
            at(start, (0..100).step_by(5).chain([101, 102]).chain((1300..1400).step_by(5)));
        assert_eq!(longest_gap(&moments, killed), Duration::from_millis(1198));
        let resumed = resumption(&moments, killed).expect("writes flow again");
        assert_eq!(resumed, start + Duration::from_millis(1300));
    }

    #[test]
    fn stragglers_are_no_resumption() {
        let start = Instant::now();
        let moments = at(start, [0, 5, 10, 16, 17, 18]);
        assert_eq!(resumption(&moments, start + Duration::from_millis(15)), None);
    }
}
