//! Flags that etcd does not have.

use super::Kind::{Bool, Choice, Count, Duration, Path, Routes};
use super::{Flag, works};

pub const FLAGS: &[Flag] = &[
    works(
        "config-file",
        "",
        Path,
        "Read settings from this file: etcd's YAML, JSON, or TOML (*.toml).",
    ),
    works("print-config", "false", Bool, "Print every setting and where it came from, and exit."),
    works(
        "write-out",
        "table",
        Choice(&["table", "json"]),
        "How --print-config prints; short: -w.",
    ),
    works(
        "audit-log",
        "",
        Path,
        "Write who did what into this file, a chain of hashes; see `quorate audit verify`.",
    ),
    works(
        "audit-log-max-bytes",
        "104857600",
        Count(1 << 12, 1 << 40),
        "A file of the audit log of so many bytes is put aside.",
    ),
    works(
        "audit-log-max-files",
        "10",
        Count(1, 100_000),
        "Files of the audit log that were put aside and are kept.",
    ),
    works(
        "audit-checkpoint-interval",
        "1m",
        Duration,
        "Time after which a member tells the others how far its audit log is.",
    ),
    works(
        "client-threads",
        "0",
        Count(0, 1024),
        "Threads that serve clients; 0 is half of the processors, at least 1 and at most 8.",
    ),
    works(
        "max-connections",
        "20000",
        Count(1, 1 << 20),
        "Most client connections; further ones are closed at once.",
    ),
    works(
        "max-half-open-connections",
        "1024",
        Count(1, 1 << 20),
        "Most client connections whose handshakes are not finished; the oldest makes place for the newest.",
    ),
    works(
        "handshake-timeout",
        "10s",
        Duration,
        "Time that a client has for its handshakes, and for the head of an HTTP/1 request.",
    ),
    works(
        "max-answer-bytes",
        "268435456",
        Count(1 << 20, 1 << 40),
        "Bytes of answers above 256 KiB that may be in memory at once; further ones wait.",
    ),
    works("max-watchers", "1000000", Count(1, 1 << 32), "Most watchers of this member."),
    works(
        "max-watchers-per-stream",
        "100000",
        Count(1, 1 << 32),
        "Most watchers of one watch stream.",
    ),
    works(
        "watch-buffer-bytes",
        "1048576",
        Count(1024, 1 << 30),
        "Bytes of one watch answer before a watcher waits for its reader.",
    ),
    works(
        "peer-route",
        "",
        Routes,
        "name=host:port: reach that peer at another address than its URL, to inject faults in between; \
         may be repeated.",
    ),
    works(
        "auto-promote-learners",
        "true",
        Bool,
        "As the leader, promote learners as soon as they have caught up.",
    ),
    works(
        "fingerprint-check-time",
        "5s",
        Duration,
        "Time between comparisons of the fingerprints that members keep of their states, which cost little; 0s is never.",
    ),
    works(
        "initial-corrupt-check",
        "false",
        Bool,
        "Compare the whole state with the other members' before serving anybody.",
    ),
    works(
        "compact-hash-check-enabled",
        "false",
        Bool,
        "Compare all members' whole states after every compaction.",
    ),
    works(
        "chaos-disk",
        "",
        Path,
        "For experiments: a file that says how late every sync is (milliseconds, hang, or ok); `quorate up` sets it, \
         and only a member that it started takes it.",
    ),
    works(
        "exit-with-parent",
        "false",
        Bool,
        "End when the process that started this one ends; `quorate up` sets it.",
    ),
];
