//! Flags about the cluster: who belongs to it and how it keeps itself in order.

use super::Kind::{Bool, Choice, Count, Duration, Members, PeerUrls, Text, Urls};
use super::{Flag, idle, refused, works};

const NO_DISCOVERY: &str = "name all members in --initial-cluster instead";
const WITH_DISCOVERY: &str = "there is no discovery service; --initial-cluster names all members";

pub const FLAGS: &[Flag] = &[
    works(
        "initial-advertise-peer-urls",
        "http://localhost:2380",
        PeerUrls,
        "Where the other members reach this one; as in its entry of --initial-cluster.",
    ),
    works(
        "initial-cluster",
        "",
        Members,
        "All members, name=URL,name=URL. Default: this member alone.",
    ),
    works(
        "initial-cluster-state",
        "new",
        Choice(&["new", "existing"]),
        "With an empty data directory, \"new\" founds a cluster and \"existing\" joins the one that this member was added to.",
    ),
    works(
        "initial-cluster-token",
        "etcd-cluster",
        Text,
        "Tells clusters apart that have the same addresses.",
    ),
    works(
        "advertise-client-urls",
        "http://localhost:2379",
        Urls,
        "What clients are told to connect to; required with --listen-client-urls.",
    ),
    idle("pre-vote", "true", Bool, "it is always on"),
    works(
        "strict-reconfig-check",
        "true",
        Bool,
        "Refuse to change members where too few healthy ones would be left.",
    ),
    works("max-learners", "1", Count(1, 7), "Most learners of the cluster."),
    works(
        "auto-compaction-retention",
        "0",
        Text,
        "What is kept of the past: hours or a duration (periodic), or a number (revision); 0 is all of it.",
    ),
    works(
        "auto-compaction-mode",
        "periodic",
        Choice(&["periodic", "revision"]),
        "Whether --auto-compaction-retention is a time or a number of revisions.",
    ),
    idle("v2-deprecation", "write-only", Text, "there is no v2 store"),
    works(
        "corrupt-check-time",
        "0s",
        Duration,
        "Time between comparisons of all members' whole states, which read everything; 0s is never.",
    ),
    works(
        "compact-hash-check-time",
        "1m",
        Duration,
        "Time between looks at whether there is a compaction to compare; see --compact-hash-check-enabled.",
    ),
    works(
        "downgrade-check-time",
        "5s",
        Duration,
        "Time between looks at whether all members run the build that a downgrade goes back to.",
    ),
    works(
        "feature-gates",
        "",
        Text,
        "InitialCorruptCheck=true and CompactHashCheck=true, with a comma between them, are --initial-corrupt-check and --compact-hash-check-enabled; etcd's others have no effect.",
    ),
    refused(
        "force-new-cluster",
        "false",
        Bool,
        "save with `quorate snapshot save --data-dir`, and restore that",
    ),
    refused("discovery", "", Text, NO_DISCOVERY),
    refused("discovery-token", "", Text, NO_DISCOVERY),
    refused("discovery-endpoints", "", Text, NO_DISCOVERY),
    refused("discovery-srv", "", Text, NO_DISCOVERY),
    refused("discovery-srv-name", "", Text, NO_DISCOVERY),
    idle("discovery-dial-timeout", "2s", Duration, WITH_DISCOVERY),
    idle("discovery-request-timeout", "5s", Duration, WITH_DISCOVERY),
    idle("discovery-keepalive-time", "2s", Duration, WITH_DISCOVERY),
    idle("discovery-keepalive-timeout", "6s", Duration, WITH_DISCOVERY),
    idle("discovery-fallback", "exit", Choice(&["exit", "proxy"]), WITH_DISCOVERY),
    idle("discovery-proxy", "", Text, WITH_DISCOVERY),
];
