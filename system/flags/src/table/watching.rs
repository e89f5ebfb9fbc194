//! Flags about what a member says of itself: logs, metrics, traces.

use super::Kind::{Bool, Choice, Count, Duration, Listen, Text};
use super::{Flag, idle, works};

const NO_ROTATION: &str = "logs are not rotated; leave that to logrotate with copytruncate";

pub const FLAGS: &[Flag] = &[
    works(
        "log-level",
        "info",
        Choice(&["debug", "info", "warn", "error", "panic", "fatal"]),
        "Least severity that is logged; panic and fatal mean error.",
    ),
    works(
        "log-format",
        "json",
        Choice(&["json", "console"]),
        "One JSON object or one text per line.",
    ),
    works(
        "log-outputs",
        "default",
        Text,
        "stderr, stdout or paths, with commas between them; default is stderr.",
    ),
    idle("logger", "zap", Choice(&["zap"]), "there is one logger"),
    idle("enable-log-rotation", "false", Bool, NO_ROTATION),
    idle(
        "log-rotation-config-json",
        r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#,
        Text,
        NO_ROTATION,
    ),
    works(
        "metrics",
        "basic",
        Choice(&["basic", "extensive"]),
        "\"extensive\" also measures how long the calls of each method take.",
    ),
    works(
        "listen-metrics-urls",
        "",
        Listen,
        "Where /metrics, /health, /livez and /readyz are served besides the client URLs.",
    ),
    idle("enable-pprof", "false", Bool, "there is no profile over HTTP; use perf"),
    works(
        "warning-apply-duration",
        "100ms",
        Duration,
        "A batch of log entries that takes longer to apply is counted and warned of; 0 is never.",
    ),
    works(
        "warning-unary-request-duration",
        "300ms",
        Duration,
        "A unary call that takes longer is warned of, at most one a second and thread; 0 is never.",
    ),
    works(
        "enable-distributed-tracing",
        "false",
        Bool,
        "Tell the spans of calls to a collector of OpenTelemetry.",
    ),
    works(
        "distributed-tracing-address",
        "localhost:4317",
        Text,
        "The collector, host:port; it is spoken to by gRPC in the clear.",
    ),
    works(
        "distributed-tracing-service-name",
        "etcd",
        Text,
        "The attribute service.name of every span.",
    ),
    works(
        "distributed-tracing-instance-id",
        "",
        Text,
        "The attribute service.instance.id of every span; empty leaves it out.",
    ),
    works(
        "distributed-tracing-sampling-rate",
        "0",
        Count(0, 1_000_000),
        "Of a million calls whose caller sent no traceparent, so many are recorded; others follow their caller.",
    ),
];
