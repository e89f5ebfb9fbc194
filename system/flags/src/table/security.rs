//! Flags that protect something. Setting one that is not supported yet is an error: a member that came up open where
//! its operator asked for a lock would be worse than one that does not come up.

use super::Kind::{Bool, Choice, Count, Path, Text};
use super::{Flag, idle, security, works};

const OWN_CALLS: &str = "a member's own calls stay inside of it";

pub const FLAGS: &[Flag] = &[
    works(
        "cert-file",
        "",
        Path,
        "The certificate shown to clients on https:// URLs, in PEM; read again when it changes.",
    ),
    works("key-file", "", Path, "The key of --cert-file."),
    works(
        "client-cert-auth",
        "false",
        Bool,
        "Clients must show a certificate that --trusted-ca-file vouches for.",
    ),
    idle("client-cert-file", "", Path, OWN_CALLS),
    idle("client-key-file", "", Path, OWN_CALLS),
    works(
        "client-crl-file",
        "",
        Path,
        "Lists of revoked certificates of clients, in PEM or DER; read again when it changes.",
    ),
    works(
        "client-cert-allowed-hostname",
        "",
        Text,
        "Hosts of which a client's certificate must name one, with commas between them.",
    ),
    works(
        "trusted-ca-file",
        "",
        Path,
        "Who may vouch for clients, in PEM; with it, every client must show a certificate.",
    ),
    works(
        "auto-tls",
        "false",
        Bool,
        "Make a certificate for https:// client URLs; it hides what is said and proves nothing.",
    ),
    works(
        "peer-cert-file",
        "",
        Path,
        "The certificate shown to other members, in PEM; read again when it changes.",
    ),
    works("peer-key-file", "", Path, "The key of --peer-cert-file."),
    works(
        "peer-client-cert-auth",
        "false",
        Bool,
        "Members must show a certificate that --peer-trusted-ca-file vouches for.",
    ),
    works(
        "peer-client-cert-file",
        "",
        Path,
        "The certificate shown when calling other members; default: --peer-cert-file.",
    ),
    works("peer-client-key-file", "", Path, "The key of --peer-client-cert-file."),
    works(
        "peer-trusted-ca-file",
        "",
        Path,
        "Who may vouch for members, in PEM; with it, every member must show a certificate.",
    ),
    works(
        "peer-cert-allowed-cn",
        "",
        Text,
        "The common name that every member's certificate must have.",
    ),
    works(
        "peer-cert-allowed-hostname",
        "",
        Text,
        "Hosts of which a member's certificate must name one, with commas between them.",
    ),
    works(
        "peer-auto-tls",
        "false",
        Bool,
        "Make a certificate for https:// peer URLs; it hides what is said and proves nothing.",
    ),
    works(
        "peer-crl-file",
        "",
        Path,
        "Lists of revoked certificates of members, in PEM or DER; read again when it changes.",
    ),
    works(
        "peer-skip-client-san-verification",
        "false",
        Bool,
        "Let a member speak under any good certificate, not only one that names a host of its URLs.",
    ),
    works(
        "self-signed-cert-validity",
        "1",
        Count(1, 100),
        "Years for which certificates of --auto-tls and --peer-auto-tls are valid.",
    ),
    works(
        "cipher-suites",
        "",
        Text,
        "Cipher suites of TLS 1.2, under Go's names with commas between them; default: all good ones.",
    ),
    works(
        "tls-min-version",
        "TLS1.2",
        Choice(&["TLS1.2", "TLS1.3"]),
        "Least version of TLS, towards clients and members.",
    ),
    works("tls-max-version", "", Choice(&["", "TLS1.2", "TLS1.3"]), "Most version of TLS."),
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
    works(
        "auth-token",
        "simple",
        Text,
        "Tokens that users get: `simple`, or `jwt,sign-method=M,priv-key=FILE,pub-key=FILE,ttl=5m`.",
    ),
    works("bcrypt-cost", "10", Count(4, 31), "Cost of a password's hash; each step doubles it."),
    works(
        "auth-token-ttl",
        "300",
        Count(1, u32::MAX as u64),
        "Seconds after its last use at which a simple token ends.",
    ),
    security("discovery-insecure-transport", "true", Bool),
    security("discovery-insecure-skip-tls-verify", "false", Bool),
    security("discovery-cert", "", Path),
    security("discovery-key", "", Path),
    security("discovery-cacert", "", Path),
    security("discovery-user", "", Text),
    security("discovery-password", "", Text),
];
