//! Flags about one member: where it lies, where it listens, how much it takes.

use super::Kind::{Bool, Choice, Count, Duration, Listen, Milliseconds, Name, Path, Signed};
use super::{Flag, idle, works};

const NO_BOLT: &str = "it tunes etcd's bbolt, which is not used here";
const OWN_LOG: &str = "log segments and states are kept and removed by need, not by number";

pub const FLAGS: &[Flag] = &[
    works("name", "default", Name, "This member's name; it must occur in --initial-cluster."),
    works("data-dir", "", Path, "Where everything lies. Default: <name>.quorate."),
    idle("wal-dir", "", Path, "the log lies in the data directory; put that on the fast disk"),
    works("listen-client-urls", "http://localhost:2379", Listen, "Where clients connect."),
    works("listen-peer-urls", "http://localhost:2380", Listen, "Where the other members connect."),
    works(
        "listen-client-http-urls",
        "",
        Listen,
        "Where the JSON gateway and the pages are served; default: beside gRPC on --listen-client-urls.",
    ),
    works("heartbeat-interval", "100", Milliseconds, "Time between a leader's beacons, in ms."),
    works(
        "election-timeout",
        "1000",
        Milliseconds,
        "Least time without a leader before an election, in ms; at least 5 heartbeats, at most 50000.",
    ),
    idle("initial-election-tick-advance", "true", Bool, "the first election is not delayed"),
    idle("snapshot-count", "10000", Count(0, u64::MAX), OWN_LOG),
    works(
        "snapshot-catchup-entries",
        "5000",
        Count(0, u64::MAX),
        "Log entries kept for slow followers behind a durable state.",
    ),
    idle("max-snapshots", "5", Count(0, u32::MAX as u64), OWN_LOG),
    idle("max-wals", "5", Count(0, u32::MAX as u64), OWN_LOG),
    works(
        "quota-backend-bytes",
        "0",
        Signed,
        "Bytes of keys and values after which puts are refused; 0 is 2 GiB, negative is no limit.",
    ),
    works("max-txn-ops", "128", Count(1, u32::MAX as u64), "Most operations in a transaction."),
    works(
        "max-request-bytes",
        "1572864",
        Count(1, 16 << 20),
        "Most bytes of a request; 16 MiB at most.",
    ),
    works(
        "max-concurrent-streams",
        "4294967295",
        Count(1, u32::MAX as u64),
        "Most calls under way on one client connection.",
    ),
    works(
        "grpc-keepalive-interval",
        "2h",
        Duration,
        "Time of silence after which a client is pinged; 0 never pings.",
    ),
    works(
        "grpc-keepalive-timeout",
        "20s",
        Duration,
        "Time that a client has to answer a ping before its connection is closed.",
    ),
    idle("grpc-keepalive-min-time", "5s", Duration, "clients may ping as often as they like"),
    works(
        "compaction-batch-limit",
        "1000",
        Count(1, u32::MAX as u64),
        "Versions pruned in one step of a compaction.",
    ),
    idle(
        "compaction-sleep-interval",
        "10ms",
        Duration,
        "a compaction yields to requests by itself",
    ),
    works(
        "watch-progress-notify-interval",
        "10m",
        Duration,
        "Time between progress notices of an idle watcher; at least 100ms.",
    ),
    idle("memory-mlock", "false", Bool, NO_BOLT),
    idle("backend-bbolt-freelist-type", "map", Choice(&["map", "array"]), NO_BOLT),
    idle("backend-batch-interval", "0s", Duration, NO_BOLT),
    idle("backend-batch-limit", "0", Count(0, u64::MAX), NO_BOLT),
    idle(
        "bootstrap-defrag-threshold-megabytes",
        "0",
        Count(0, u64::MAX),
        "there is nothing to defragment",
    ),
    idle("socket-reuse-port", "false", Bool, "a port belongs to one process"),
    idle("socket-reuse-address", "false", Bool, "it is always on"),
    works("enable-grpc-gateway", "true", Bool, "Serve the JSON gateway under /v3/."),
    idle("raft-read-timeout", "5s", Duration, "peer links watch their peers by beacons"),
    idle("raft-write-timeout", "5s", Duration, "peer links watch their peers by beacons"),
    works(
        "unsafe-no-fsync",
        "false",
        Bool,
        "Do not sync the log. Acknowledged writes can be lost; for tests only.",
    ),
];
