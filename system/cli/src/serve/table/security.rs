//! Flags that protect something. None is supported yet, so setting one is an error: a member that came up open where
//! its operator asked for a lock would be worse than one that does not come up.

use super::Kind::{Bool, Choice, Count, Path, Text};
use super::{Flag, security, works};

pub const FLAGS: &[Flag] = &[
    security("cert-file", "", Path),
    security("key-file", "", Path),
    security("client-cert-auth", "false", Bool),
    security("client-cert-file", "", Path),
    security("client-key-file", "", Path),
    security("client-crl-file", "", Path),
    security("client-cert-allowed-hostname", "", Text),
    security("trusted-ca-file", "", Path),
    security("auto-tls", "false", Bool),
    security("peer-cert-file", "", Path),
    security("peer-key-file", "", Path),
    security("peer-client-cert-auth", "false", Bool),
    security("peer-client-cert-file", "", Path),
    security("peer-client-key-file", "", Path),
    security("peer-trusted-ca-file", "", Path),
    security("peer-cert-allowed-cn", "", Text),
    security("peer-cert-allowed-hostname", "", Text),
    security("peer-auto-tls", "false", Bool),
    security("peer-crl-file", "", Path),
    security("peer-skip-client-san-verification", "false", Bool),
    security("self-signed-cert-validity", "1", Count(1, 100)),
    security("cipher-suites", "", Text),
    security("tls-min-version", "TLS1.2", Choice(&["TLS1.2", "TLS1.3"])),
    security("tls-max-version", "", Choice(&["", "TLS1.2", "TLS1.3"])),
    works(
        "cors",
        "*",
        Text,
        "Origins whose web pages may call, with commas between them; * is any.",
    ),
    works(
        "host-whitelist",
        "*",
        Text,
        "Names under which this member may be called over HTTP without TLS; * is any.",
    ),
    security("auth-token", "simple", Text),
    security("bcrypt-cost", "10", Count(4, 31)),
    security("auth-token-ttl", "300", Count(1, u32::MAX as u64)),
    security("discovery-insecure-transport", "true", Bool),
    security("discovery-insecure-skip-tls-verify", "false", Bool),
    security("discovery-cert", "", Path),
    security("discovery-key", "", Path),
    security("discovery-cacert", "", Path),
    security("discovery-user", "", Text),
    security("discovery-password", "", Text),
];
