//! Whether a system keeps what it acknowledges. One that does not has no place in the comparison.
//!
//! Two examinations, because each sees what the other cannot. A process that dies leaves what it wrote in the page
//! cache, so a build that never syncs passes every SIGKILL; what it loses is lost with the power. And a build that syncs
//! faithfully may still lose writes in its recovery.
//!
//! The first examination rests on one observation. While a lone client puts, one put at a time, no two puts can share a
//! sync: each must have been synced on a quorum of members after it was sent and before it was answered. So with `n` lone
//! puts on three members, the numbers of syncs, each counted up to `n`, add up to at least `2n`. No measured constant is
//! in that, and syncs in the background (etcd's backend commits) cannot make up for missing ones, for they are few.

use super::cluster::MEMBERS;
use super::failure::{Failure, Result};
use super::load::{self, Extent};
use super::syncs::{SyncCount, Tracers};
use super::testbed::Testbed;
use super::writes::read_everything;

/// Lone puts in the first examination.
pub const LONE_PUTS: u64 = 200;

/// Members that must have a write on disk before it may be acknowledged.
const QUORUM: u64 = MEMBERS as u64 / 2 + 1;

/// How long the load of the second examination runs before the members are killed.
const BURST: std::time::Duration = std::time::Duration::from_millis(1500);

/// What the second examination found.
pub struct Survival {
    /// Puts acknowledged over the whole life of the cluster, all of them found again.
    pub acknowledged: i64,
    /// Puts acknowledged in the load that was cut off.
    pub in_burst: u64,
}

/// Counts syncs per member under lone puts; too few reject the system.
pub async fn prove_synced(testbed: &Testbed) -> Result<Vec<SyncCount>> {
    let pids = testbed.cluster.pids();
    let putters = testbed.putters(1).await?;
    let tracers = Tracers::attach(&pids, &testbed.scratch).await?;
    load::run(putters, Extent::Counted(LONE_PUTS), &pids).await?;
    let counts = tracers.detach().await?;
    judge(&counts, LONE_PUTS).map_err(|reason| Failure::Rejected {
        system: testbed.cluster.system.name().into(),
        reason,
    })?;
    Ok(counts)
}

/// The rule of the first examination; an error says why the system is rejected.
fn judge(counts: &[SyncCount], lone_puts: u64) -> std::result::Result<(), String> {
    let counted: u64 = counts.iter().map(|count| count.durable.min(lone_puts)).sum();
    if counted >= QUORUM * lone_puts {
        return Ok(());
    }
    let each: Vec<String> = counts.iter().map(|count| count.durable.to_string()).collect();
    Err(format!(
        "acknowledges writes that are not on disk: {lone_puts} lone puts need {} syncs on three members, seen {}",
        QUORUM * lone_puts,
        each.join(" + "),
    ))
}

/// Kills all members in the middle of a load of puts, restarts them and looks for every acknowledged put.
pub async fn survive_kill(testbed: &mut Testbed, clients: usize) -> Result<Survival> {
    let putters = testbed.putters(clients).await?;
    let cluster = &mut testbed.cluster;
    let (_, in_burst) = load::run_until_broken(putters, async {
        tokio::time::sleep(BURST).await;
        cluster.kill_all()
    })
    .await?;
    testbed.cluster.revive().await?;
    let connection = testbed.cluster.connect(0).await?;
    let stored = read_everything(&connection).await?;
    testbed.ledger.check(&stored).map_err(|loss| Failure::Rejected {
        system: testbed.cluster.system.name().into(),
        reason: format!("lost an acknowledged write after SIGKILL of all members: {loss}"),
    })?;
    Ok(Survival { acknowledged: testbed.ledger.acknowledged(), in_burst })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(durable: [u64; 3]) -> Vec<SyncCount> {
        durable.iter().map(|&durable| SyncCount { durable, ranges: 0 }).collect()
    }

    #[test]
    fn a_quorum_of_syncs_per_lone_put_is_enough() {
        assert_eq!(judge(&counts([200, 200, 200]), 200), Ok(()));
        assert_eq!(judge(&counts([200, 0, 200]), 200), Ok(()));
        assert_eq!(judge(&counts([140, 130, 130]), 200), Ok(()));
    }

    #[test]
    fn a_member_that_syncs_a_lot_does_not_stand_in_for_another() {
        assert!(judge(&counts([0, 0, 0]), 200).is_err());
        assert!(judge(&counts([900, 20, 20]), 200).is_err());
        assert!(judge(&counts([200, 100, 99]), 200).is_err());
    }

    #[test]
    fn starting_to_write_is_no_sync() {
        let ranges = vec![SyncCount { durable: 0, ranges: 500 }; 3];
        assert!(judge(&ranges, 200).is_err());
    }
}
