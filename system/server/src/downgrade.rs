//! Going back to an older build, in etcd's words.
//!
//! etcd goes back one minor version, and rewrites its storage for it. Here builds differ by their
//! *level* (see `quorate version` and `/version`): a build reads what builds of its level and below
//! have written. A downgrade names a build as `/version` does, `0.1.0+3`, and lowers what the cluster
//! may write to that build's level; then members are restarted with it one by one, and when the last
//! of them runs it, the downgrade is over by itself. It is refused with etcd's "invalid downgrade
//! target version" when it names no build (etcd's own versions do not), when the build is not older
//! than what the cluster may write, or when the build cannot read what the cluster has written
//! already.
//!
//! Builds below [`OLDEST_TARGET`] know of no downgrades: they could not read the very entry that
//! begins one.

use crate::errors;
use crate::kv::settled;
use crate::metrics::member::cluster_version;
use crate::service::Service;
use quorate_base::NodeId;
use quorate_host::View;
use quorate_store::{Action, Auth, Caller, Downgrade};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::downgrade_request::DowngradeAction;
use std::time::Duration;
use tonic::Status;

/// The first level of which builds know of downgrades.
const OLDEST_TARGET: u32 = 3;

/// Answers a request.
pub async fn answer(
    service: &Service,
    caller: Caller,
    request: pb::DowngradeRequest,
) -> Result<pb::DowngradeResponse, Status> {
    let revision = match DowngradeAction::try_from(request.action) {
        Ok(DowngradeAction::Validate) => {
            validate(service, &request.version).await?;
            service.view().revision()
        }
        Ok(DowngradeAction::Enable) => {
            let downgrade = validate(service, &request.version).await?;
            change(service, caller, Some(downgrade)).await?
        }
        Ok(DowngradeAction::Cancel) => {
            if under_way(&*service.linearizable().await?)?.is_none() {
                return Err(errors::no_inflight_downgrade());
            }
            change(service, caller, None).await?
        }
        Err(_) => return Err(errors::unknown_method()),
    };
    Ok(pb::DowngradeResponse {
        header: service.header(revision),
        version: cluster_version().to_owned(),
    })
}

/// What a member's status says of it.
pub fn info(view: &View) -> pb::DowngradeInfo {
    match view.downgrade() {
        Ok(Some(downgrade)) => pb::DowngradeInfo {
            enabled: true,
            target_version: String::from_utf8_lossy(&downgrade.version).into_owned(),
        },
        Ok(None) | Err(_) => pb::DowngradeInfo::default(),
    }
}

async fn change(
    service: &Service,
    caller: Caller,
    downgrade: Option<Downgrade>,
) -> Result<i64, Status> {
    let (_, revision) = settled(service.write(caller, Action::Downgrade(downgrade)).await?)?;
    Ok(revision)
}

fn under_way(view: &View) -> Result<Option<Downgrade>, Status> {
    view.downgrade().map_err(|error| Status::internal(error.to_string()))
}

async fn validate(service: &Service, version: &str) -> Result<Downgrade, Status> {
    let level = level_of(version)?;
    let view = service.linearizable().await?;
    let allowed = level
        .filter(|level| is_allowed(*level, service.host.level_of_builds(), needed_by_state(&view)));
    let Some(level) = allowed else { return Err(errors::invalid_downgrade_target()) };
    if under_way(&view)?.is_some() {
        return Err(errors::downgrade_in_process());
    }
    Ok(Downgrade { level, version: version.to_owned().into() })
}

/// Whether a build of a level can take over: `builds` is the lowest level of the members' builds,
/// `state` the level that the state needs.
fn is_allowed(level: u32, builds: u32, state: u32) -> bool {
    (OLDEST_TARGET..builds).contains(&level) && level >= state
}

/// The level of a build that can read everything that the state holds.
fn needed_by_state(view: &View) -> u32 {
    let auth = **view.auth() != Auth::default();
    if auth || !view.members().is_empty() || !view.guards().is_empty() { 2 } else { 1 }
}

/// The level that a version names behind its `+`; nothing when it names none.
fn level_of(version: &str) -> Result<Option<u32>, Status> {
    let (release, build) = version.split_once('+').unwrap_or((version, ""));
    let (release, _) = release.split_once('-').unwrap_or((release, ""));
    let numbers: Vec<&str> = release.split('.').collect();
    let is_number = |text: &&str| !text.is_empty() && text.parse::<u64>().is_ok();
    if !(2..=3).contains(&numbers.len()) || !numbers.iter().all(is_number) {
        return Err(errors::wrong_downgrade_format());
    }
    Ok(build.parse().ok())
}

/// Ends a downgrade when all members run the build to go back to. Done by the leader.
pub async fn watch_over(service: &Service, every: Duration) {
    if every.is_zero() {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        let leads = service.host.status().leader == Some(NodeId(service.host.member_id()));
        let Ok(Some(downgrade)) = service.view().downgrade() else { continue };
        if leads && service.host.highest_build() <= downgrade.level {
            let (caller, limit) = (service.host.myself(), service.limits.max_request_bytes);
            let over = service.host.propose(caller, Action::Downgrade(None), limit).await;
            if over.is_ok_and(|outcome| outcome.result.is_ok()) {
                let version = String::from_utf8_lossy(&downgrade.version).into_owned();
                tracing::info!(
                    version,
                    "all members run the build to go back to: the downgrade is over"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_a_level_behind_its_plus() {
        for (version, level) in [
            ("0.1.0+3", Some(3)),
            ("0.1+4", Some(4)),
            ("3.6.0", None),
            ("3.6", None),
            ("1.2.3+x", None),
        ] {
            assert_eq!(level_of(version).unwrap(), level, "{version}");
        }
        for wrong in ["", "3", "a.b", "3.6.0.1", "3..6", "latest", "-1.2"] {
            let status = level_of(wrong).unwrap_err();
            assert_eq!(status.message(), "etcdserver: wrong downgrade target version format");
        }
    }

    #[test]
    fn a_target_is_older_than_the_cluster_and_reads_what_it_wrote() {
        assert!(is_allowed(3, 4, 2));
        assert!(is_allowed(4, 9, 4));
        assert!(!is_allowed(4, 4, 2), "it is no downgrade");
        assert!(!is_allowed(2, 4, 1), "it knows of no downgrades");
        assert!(!is_allowed(3, 5, 4), "it cannot read the state");
    }
}
