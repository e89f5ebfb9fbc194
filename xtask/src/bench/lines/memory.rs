//! Resident memory of the members once the keys are in and the members have come to rest.

use std::time::Duration;

use crate::bench::cpu;
use crate::bench::failure::Result;
use crate::bench::report::{Figure, Figures};
use crate::bench::testbed::Testbed;

/// Time to come to rest: for a garbage collector to run (Go forces one every two minutes at the latest, and under load
/// far more often), for flushes and compactions to end.
const REST: Duration = Duration::from_secs(10);

/// Reads the memory of every member; the figures are means over the members, in MiB.
pub async fn measure(testbed: &Testbed) -> Result<Figures> {
    tokio::time::sleep(REST).await;
    let pids = testbed.cluster.pids();
    let (mut rss, mut anonymous) = (0, 0);
    for pid in &pids {
        let memory = cpu::memory_of(*pid)?;
        rss += memory.rss;
        anonymous += memory.rss_anon;
    }
    let mean = |bytes: u64| bytes as f64 / pids.len() as f64 / f64::from(1 << 20);
    let mut figures = Figures::default();
    figures.set(Figure::RssAnonMember, mean(anonymous));
    figures.set(Figure::RssMember, mean(rss));
    Ok(figures)
}
