//! One member dies and comes back, while the other two go on: how long until it answers from its own state.

use std::time::{Duration, Instant};

use quorate_wire::etcd::etcdserverpb::RangeRequest;

use crate::bench::cluster::MEMBERS;
use crate::bench::connection::Connection;
use crate::bench::failure::{Failure, Result};
use crate::bench::load;
use crate::bench::report::{Figure, Figures};
use crate::bench::testbed::Testbed;

/// How long a restart may take at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the member stays away.
const ABSENCE: Duration = Duration::from_millis(500);

/// Kills followers with SIGKILL, one after another, and times each return.
pub async fn measure(testbed: &mut Testbed, restarts: u32) -> Result<Figures> {
    let mut times = load::histogram();
    for restart in 0..restarts as usize {
        let leader = testbed.cluster.leader().await?;
        let follower = (leader + 1 + restart % (MEMBERS - 1)) % MEMBERS;
        testbed.cluster.kill(follower)?;
        tokio::time::sleep(ABSENCE).await;
        let started = Instant::now();
        testbed.cluster.launch(follower)?;
        first_answer(testbed, follower, started).await?;
        times.saturating_record(load::microseconds(started.elapsed()));
        testbed.cluster.wait_caught_up(follower).await?;
    }
    let mut figures = Figures::default();
    let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
    figures.set(Figure::RestartMedian, milliseconds(times.value_at_quantile(0.5)));
    figures.set(Figure::RestartLongest, milliseconds(times.max()));
    Ok(figures)
}

/// Asks, about every millisecond, for a key that was loaded before: an answer without it comes from a member that serves
/// before it has recovered, and does not count.
async fn first_answer(testbed: &Testbed, index: usize, started: Instant) -> Result<()> {
    let member = &testbed.cluster.members[index];
    while started.elapsed() < PATIENCE {
        let connection =
            Connection::open_eagerly(&member.client_address, &testbed.cluster.access, PATIENCE)
                .await?;
        let request = RangeRequest {
            key: testbed.keys.get(testbed.shape.keys / 2),
            serializable: true,
            ..RangeRequest::default()
        };
        let answer = connection.kv().range(request).await;
        if answer.is_ok_and(|answer| answer.into_inner().kvs.len() == 1) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err(Failure::TooLate {
        system: testbed.cluster.system.name().into(),
        waited_for: format!("the first answer of {} after its restart", member.name),
        seconds: PATIENCE.as_secs(),
        logs: testbed.scratch.display().to_string(),
    })
}
