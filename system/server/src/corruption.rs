//! Members compare their states, and who is wrong is taken out of service.
//!
//! The leader asks. *Fingerprints* are compared every few seconds, since that costs a message a member;
//! *hashes*, which read everything, when etcd's flags ask for it: every `--corrupt-check-time`, after a
//! compaction (`--compact-hash-check-enabled`), and by a member that starts
//! (`--initial-corrupt-check`). Whoever differs is named by a CORRUPT alarm, under which the cluster
//! takes no writes until an operator has looked.
//!
//! The alarm says that somebody may be wrong, also when an operator raised it to see what happens. So
//! the member that is named looks for itself, and only what a majority or its own count proves puts it
//! into *quarantine*: it answers nothing that is read from its state, ends open watches, hands
//! leadership over and sends nobody its state. It stays there until it is replaced, over restarts as
//! well: one that starts under its own alarm serves nobody before it has looked.
//!
//! Left out: rebuilding the member by itself. Under the alarm an operator decides, and to replace a
//! member takes two commands.

use crate::errors;
use crate::service::Service;
use quorate_base::NodeId;
use quorate_host::{Comparison, Host};
use quorate_store::{Action, Alarm, AlarmKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// When to compare what. A time of zero is never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CorruptionChecks {
    /// Between comparisons of fingerprints, on the leader.
    pub fingerprints: Duration,
    /// Between comparisons of hashes of everything, on the leader.
    pub hashes: Duration,
    /// Between looks at whether a compaction is to be compared, on the leader.
    pub compactions: Duration,
    /// Compare with the others before serving anybody.
    pub at_start: bool,
}

/// How often a member looks whether it is named, and a leader in quarantine for a successor.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often one compaction is compared at most.
const ATTEMPTS: u32 = 10;

/// How long a member that starts waits for others to compare itself with.
const AT_START: Duration = Duration::from_secs(10);

/// Whether a call is answered by a member in quarantine: what tells of members and alarms, and what
/// repairs a cluster, but nothing that is read from its keys.
pub fn refusal(service: &Service, path: &str) -> Option<tonic::Status> {
    const ANSWERED: [&str; 7] = [
        "/etcdserverpb.Cluster/",
        "/etcdserverpb.Auth/Authenticate",
        "/etcdserverpb.Maintenance/Alarm",
        "/etcdserverpb.Maintenance/Status",
        "/etcdserverpb.Maintenance/Hash",
        "/etcdserverpb.Maintenance/MoveLeader",
        "/etcdserverpb.Maintenance/Defragment",
    ];
    let ours = ["/etcdserverpb.", "/v3lockpb.", "/v3electionpb.", "/quorate."];
    let refused = service.host.is_quarantined()
        && ours.iter().any(|package| path.starts_with(package))
        && !ANSWERED.iter().any(|answered| path.starts_with(answered));
    refused.then(errors::corrupt)
}

/// Before anybody is served: under an alarm of its own, a member is in quarantine until it has
/// looked; and if it is told to, it looks now.
pub async fn before_serving(service: &Service, checks: CorruptionChecks) {
    if is_named(service) || service.host.is_quarantined() {
        tracing::warn!(
            "this member was found or said to be wrong: it serves nobody before it has compared \
             itself"
        );
        service.host.set_quarantined(true);
    }
    if !checks.at_start {
        return;
    }
    let compare = async {
        loop {
            // Others may be starting as well.
            let found = service.host.compare_hashes(0).await;
            if found.is_quorum || !found.certain.is_empty() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    match tokio::time::timeout(AT_START, compare).await {
        Ok(found) => {
            tracing::info!(at = %found.at, members = found.compared.len(), "compared at the start");
            quarantine_if_certain(&service.host, &found);
        }
        Err(_) => tracing::warn!(
            "--initial-corrupt-check: too few members answered within {AT_START:?}; going on \
             without a comparison"
        ),
    }
}

/// Compares for as long as the member lives.
pub async fn watch_over(service: &Arc<Service>, checks: CorruptionChecks, election: Duration) {
    let fingerprints = async {
        let mut ticks = every(checks.fingerprints);
        loop {
            tick(&mut ticks).await;
            if leads(service) {
                let found = service.host.compare_fingerprints().await;
                tell(service, &found).await;
            }
        }
    };
    let hashes = async {
        let mut ticks = every(checks.hashes);
        loop {
            tick(&mut ticks).await;
            if leads(service) {
                let found = service.host.compare_hashes(0).await;
                tell(service, &found).await;
            }
        }
    };
    tokio::join!(fingerprints, hashes, compactions(service, checks), look(service, election));
}

/// Compares every compaction at its revision, when it is swept: once with those that answer, and again
/// when somebody who did not is there, a few times at most (a build that knows no such questions is
/// never compared).
async fn compactions(service: &Service, checks: CorruptionChecks) {
    let mut ticks = every(checks.compactions);
    let mut revision = service.view().compacted();
    let (mut compared, mut attempts) = (None::<BTreeSet<u64>>, 0);
    loop {
        tick(&mut ticks).await;
        let view = service.view();
        let compacted = view.compacted();
        if !leads(service) || compacted < 1 || view.swept() < compacted {
            continue;
        }
        if compacted > revision {
            (revision, compared, attempts) = (compacted, Some(BTreeSet::new()), 0);
        }
        let Some(done) = compared.as_mut().filter(|_| attempts < ATTEMPTS) else { continue };
        let status = service.host.status();
        let missing =
            |id: &u64| !done.contains(id) && status.connected_peers.contains(&NodeId(*id));
        let members = service.host.members();
        if !done.is_empty() && !members.iter().any(|member| missing(&member.id.0)) {
            continue;
        }
        attempts += 1;
        let found = service.host.compare_hashes(compacted).await;
        tracing::info!(revision, members = found.compared.len(), "compaction compared");
        done.extend(&found.compared);
        tell(service, &found).await;
    }
}

/// A member that is named looks for itself; one that is certain not to be right hands over.
async fn look(service: &Service, election: Duration) {
    let mut ticks = every(LOOK_EVERY);
    let mut has_looked = false;
    loop {
        tick(&mut ticks).await;
        if service.host.is_quarantined() && leads(service) {
            crate::leave::hand_over(&service.host, election).await;
        }
        if !is_named(service) {
            // Who is proved wrong and not named yet names itself: the leader may compare less.
            has_looked = false;
            if service.host.is_quarantined() {
                raise(service, service.host.member_id()).await;
            }
            continue;
        }
        if has_looked {
            continue;
        }
        let quick = service.host.compare_fingerprints().await;
        let whole = service.host.compare_hashes(0).await;
        let proved = [&quick, &whole].map(|found| quarantine_if_certain(&service.host, found));
        has_looked = proved.contains(&true) || quick.is_quorum && whole.is_quorum;
        if has_looked && !proved.contains(&true) {
            tracing::warn!(
                "the CORRUPT alarm names this member, and no majority says that it is wrong: it serves"
            );
            service.host.set_quarantined(false);
        }
    }
}

/// Puts this member into quarantine if a comparison proves that it is wrong; true when it does.
fn quarantine_if_certain(host: &Host, found: &Comparison) -> bool {
    let proved = found.certain.contains(&host.member_id());
    if proved && !host.is_quarantined() {
        tracing::error!(
            "the state of this member is wrong (compared at {}): it serves nobody any more. Replace \
             it (`quorate member replace`, at one of the others), then clear the alarm with `quorate \
             alarm disarm`",
            found.at
        );
    }
    if proved {
        host.set_quarantined(true);
    }
    proved
}

/// Raises the alarms that a comparison asks for.
async fn tell(service: &Service, found: &Comparison) {
    for member in &found.named {
        let certainty = if found.certain.contains(member) { "is" } else { "may be" };
        if raise(service, *member).await {
            tracing::error!(
                "the state of member {member:x} {certainty} wrong (compared at {}): the CORRUPT \
                 alarm is on, and the cluster takes no writes",
                found.at
            );
        }
    }
    quarantine_if_certain(&service.host, found);
}

/// Raises a member's CORRUPT alarm if it is not on; true when it was raised now.
async fn raise(service: &Service, member: u64) -> bool {
    let kind = AlarmKind::Corrupt;
    if service.view().alarms().contains(&Alarm { member, kind }) {
        return false;
    }
    let alarm = Action::Alarm { raise: true, member, kind };
    let limit = service.limits.max_request_bytes;
    service.host.propose(service.host.myself(), alarm, limit).await.is_ok()
}

fn is_named(service: &Service) -> bool {
    let me = Alarm { member: service.host.member_id(), kind: AlarmKind::Corrupt };
    service.view().alarms().contains(&me)
}

fn leads(service: &Service) -> bool {
    service.host.status().leader == Some(NodeId(service.host.member_id()))
}

fn every(time: Duration) -> Option<tokio::time::Interval> {
    let mut ticks = (!time.is_zero()).then(|| interval(time))?;
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(ticks)
}

async fn tick(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}
