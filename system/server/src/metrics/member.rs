//! Consensus, the log and the state in numbers.

use super::text::{Kind, Page};
use crate::maintenance::ETCD_VERSION;
use crate::service::Service;
use quorate_host::stats::Histogram;
use quorate_raft::Role;
use std::sync::atomic::Ordering;

/// A count that is kept of each peer.
type OfPeer = fn(&quorate_host::stats::PeerStats) -> u64;

/// The version of the cluster: the first two numbers of the release that all members speak.
pub fn cluster_version() -> &'static str {
    ETCD_VERSION.rsplit_once('.').map_or(ETCD_VERSION, |(version, _)| version)
}

/// Writes what the member's host knows.
pub fn write(page: &mut Page, service: &Service) {
    write_cluster(page, service);
    write_proposals(page, service);
    write_disk(page, service);
    write_state(page, service);
    write_peers(page, service);
}

fn write_cluster(page: &mut Page, service: &Service) {
    let status = service.host.status();
    let gauge = |page: &mut Page, name: &str, help: &str, value: bool| {
        page.single(name, Kind::Gauge, help, u8::from(value));
    };
    let help = "Whether or not a leader exists. 1 is existence, 0 is not.";
    gauge(page, "etcd_server_has_leader", help, status.leader.is_some());
    let help = "Whether or not this member is a leader. 1 if is, 0 otherwise.";
    gauge(page, "etcd_server_is_leader", help, status.role == Role::Leader);
    let help = "Whether or not this member is a learner. 1 if is, 0 otherwise.";
    gauge(page, "etcd_server_is_learner", help, service.host.is_learner());
    page.single(
        "etcd_server_leader_changes_seen_total",
        Kind::Counter,
        "The number of leader changes seen.",
        status.leader_changes,
    );
    let labelled = |page: &mut Page, name: &str, help: &str, label: &str, value: &str| {
        page.metric(name, Kind::Gauge, help);
        page.sample(name, &[(label, value)], 1);
    };
    let id = format!("{:x}", service.host.member_id());
    let help =
        "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.";
    labelled(page, "etcd_server_id", help, "server_id", &id);
    let help = "Which version is running. 1 for 'server_version' label with current version.";
    labelled(page, "etcd_server_version", help, "server_version", ETCD_VERSION);
    let help =
        "Which version is running. 1 for 'cluster_version' label with current cluster version";
    labelled(page, "etcd_cluster_version", help, "cluster_version", cluster_version());
    let help = "Which release of Quorate is running.";
    labelled(page, "quorate_build_info", help, "release", quorate_host::RELEASE);
    let help = "The total number of successful learner promotions while this member is leader.";
    page.single("etcd_server_learner_promote_successes", Kind::Counter, help, 0);
}

fn write_proposals(page: &mut Page, service: &Service) {
    let (status, stats) = (service.host.status(), service.host.stats());
    // These two are gauges in etcd, whatever their names say.
    page.single(
        "etcd_server_proposals_committed_total",
        Kind::Gauge,
        "The total number of consensus proposals committed.",
        status.commit,
    );
    page.single(
        "etcd_server_proposals_applied_total",
        Kind::Gauge,
        "The total number of consensus proposals applied.",
        service.view().applied().0,
    );
    page.single(
        "etcd_server_proposals_pending",
        Kind::Gauge,
        "The current number of pending proposals to commit.",
        service.host.pending_proposals(),
    );
    for (name, help, counter) in [
        (
            "etcd_server_proposals_failed_total",
            "The total number of failed proposals seen.",
            &stats.failed_proposals,
        ),
        (
            "etcd_server_slow_apply_total",
            "The total number of slow apply requests (likely overloaded from slow disk).",
            &stats.slow_applies,
        ),
        (
            "etcd_server_read_indexes_failed_total",
            "The total number of failed read indexes seen.",
            &stats.failed_read_indexes,
        ),
        (
            "etcd_server_slow_read_indexes_total",
            "The total number of pending read indexes not in sync with leader's or timed out \
             read index requests.",
            &stats.slow_read_indexes,
        ),
        (
            "etcd_server_heartbeat_send_failures_total",
            "The total number of leader heartbeat send failures (likely overloaded from slow disk).",
            &stats.lost_beacons,
        ),
    ] {
        page.counter(name, help, counter);
    }
    let help = "The latency distributions of apply, by batches of committed entries.";
    page.metric("etcd_server_apply_duration_seconds", Kind::Histogram, help);
    let labels = [("op", "batch"), ("success", "true"), ("version", "v3")];
    page.buckets("etcd_server_apply_duration_seconds", &labels, &stats.apply.get());
    let quota = service.limits.quota_bytes.unwrap_or(0);
    let help = "Current backend storage quota size in bytes.";
    page.single("etcd_server_quota_backend_bytes", Kind::Gauge, help, quota);
}

fn write_disk(page: &mut Page, service: &Service) {
    let stats = service.host.stats();
    let histograms: [(&str, &str, &Histogram); 3] = [
        (
            "etcd_disk_wal_fsync_duration_seconds",
            "The latency distributions of fsync called by WAL.",
            &stats.log_sync,
        ),
        (
            "etcd_disk_wal_write_duration_seconds",
            "The latency distributions of write called by WAL.",
            &stats.log_write,
        ),
        (
            "etcd_disk_backend_commit_duration_seconds",
            "The latency distributions of commit called by backend.",
            &stats.state_flush,
        ),
    ];
    for (name, help, histogram) in histograms {
        page.seconds(name, help, &histogram.get());
    }
    // A gauge in etcd.
    page.single(
        "etcd_disk_wal_write_bytes_total",
        Kind::Gauge,
        "Total number of bytes written in WAL.",
        stats.log_bytes.get(),
    );
    let help = "Whether or not defrag is active on the member. 1 means active, 0 means not.";
    page.single("etcd_disk_defrag_inflight", Kind::Gauge, help, 0);
}

fn write_state(page: &mut Page, service: &Service) {
    let (view, stats) = (service.view(), service.host.stats());
    let size = view.size();
    let gauges = [
        (
            "etcd_mvcc_db_total_size_in_bytes",
            "Total size of the underlying database physically allocated in bytes.",
            service.host.disk_bytes().max(size.total),
        ),
        (
            "etcd_mvcc_db_total_size_in_use_in_bytes",
            "Total size of the underlying database logically in use in bytes.",
            size.live,
        ),
        ("etcd_debugging_mvcc_keys_total", "Total number of keys.", view.keys()),
        (
            "etcd_debugging_mvcc_current_revision",
            "The current revision of store.",
            u64::try_from(view.revision()).unwrap_or(0),
        ),
        (
            "etcd_debugging_mvcc_compact_revision",
            "The revision of the last compaction in store.",
            u64::try_from(view.compacted()).unwrap_or(0),
        ),
        (
            "etcd_debugging_mvcc_watcher_total",
            "Total number of watchers.",
            service.watchers.load(Ordering::Relaxed) as u64,
        ),
    ];
    for (name, help, value) in gauges {
        page.single(name, Kind::Gauge, help, value);
    }
    for (name, help, counter) in [
        ("etcd_mvcc_put_total", "Total number of puts seen by this member.", &stats.puts),
        ("etcd_mvcc_delete_total", "Total number of deletes seen by this member.", &stats.deletes),
        ("etcd_mvcc_txn_total", "Total number of txns seen by this member.", &stats.txns),
        ("etcd_mvcc_range_total", "Total number of ranges seen by this member.", &service.ranges),
        (
            "etcd_debugging_lease_granted_total",
            "The total number of granted leases.",
            &stats.leases_granted,
        ),
        (
            "etcd_debugging_lease_revoked_total",
            "The total number of revoked leases.",
            &stats.leases_revoked,
        ),
    ] {
        page.counter(name, help, counter);
    }
}

fn write_peers(page: &mut Page, service: &Service) {
    let local = format!("{:x}", service.host.member_id());
    let members = service.host.members();
    let others: Vec<String> = members
        .iter()
        .filter(|member| member.id.0 != service.host.member_id())
        .map(|member| format!("{:x}", member.id.0))
        .collect();
    let name = "etcd_network_known_peers";
    page.metric(name, Kind::Gauge, "The current number of known peers.");
    for remote in &others {
        page.sample(name, &[("Local", &local), ("Remote", remote)], 1);
    }
    let peers = service.host.stats().peers();
    let name = "etcd_network_peer_round_trip_time_seconds";
    let help = "Round-Trip-Time histogram between peers, from a leader's beacon to its answer.";
    page.metric(name, Kind::Histogram, help);
    for (id, peer) in &peers {
        page.buckets(name, &[("To", &format!("{:x}", id.0))], &peer.round_trip.get());
    }
    let of_peers: [(&str, &str, &str, OfPeer); 3] = [
        (
            "etcd_network_peer_sent_failures_total",
            "The total number of send failures from peers.",
            "To",
            |peer| peer.lost.get(),
        ),
        (
            "etcd_network_peer_sent_bytes_total",
            "The total number of bytes sent to peers.",
            "To",
            |peer| peer.sent_bytes.get(),
        ),
        (
            "etcd_network_peer_received_bytes_total",
            "The total number of bytes received from peers.",
            "From",
            |peer| peer.received_bytes.get(),
        ),
    ];
    for (name, help, label, value) in of_peers {
        page.metric(name, Kind::Counter, help);
        for (id, peer) in &peers {
            page.sample(name, &[(label, &format!("{:x}", id.0))], value(peer));
        }
    }
}
