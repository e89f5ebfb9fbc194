//! What one member is told at its start. Parsing flags, environment and files is the command
//! line's work; here every value has its type and its unit.

use crate::audit::AuditOptions;
use crate::corruption::CorruptionChecks;
use crate::token::TokenOptions;
use crate::trace::TraceOptions;
use quorate_host::{MemberInfo, member_id};
use quorate_store::Retention;
use quorate_tls::{ClientFiles, ServerFiles};
use std::path::PathBuf;
use std::time::Duration;

/// A member of the initial cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberConfig {
    /// Its name.
    pub name: String,
    /// Where peers reach it, e.g. `http://10.0.0.1:2380`. At least one.
    pub peer_urls: Vec<String>,
}

/// Everything a member is told. There is no default: whoever starts a member decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This member's name; it must occur in `initial_cluster`.
    pub name: String,
    /// Where everything lies.
    pub data_dir: PathBuf,
    /// Where clients connect: `http://host:port`. At least one.
    pub listen_client_urls: Vec<String>,
    /// What clients are told to connect to.
    pub advertise_client_urls: Vec<String>,
    /// Where peers connect.
    pub listen_peer_urls: Vec<String>,
    /// All members, this one included.
    pub initial_cluster: Vec<MemberConfig>,
    /// With an empty directory, join the running cluster of these members.
    pub joins: bool,
    /// Tells clusters apart that have the same addresses.
    pub initial_cluster_token: String,
    /// As the leader, promote learners that have caught up.
    pub auto_promote_learners: bool,
    /// Most learners of a cluster.
    pub max_learners: u64,
    /// Refuse changes of members that too few healthy ones would be left for.
    pub strict_reconfig_check: bool,
    /// Connect to a peer at another address than its URL, `(name, host:port)`: for fault injection.
    pub peer_routes: Vec<(String, String)>,
    /// Time between a leader's beacons.
    pub heartbeat_interval: Duration,
    /// Least time without a leader before an election.
    pub election_timeout: Duration,
    /// Log entries kept for slow followers behind a durable state.
    pub snapshot_catchup_entries: u64,
    /// A batch of log entries that takes longer to apply is warned of; zero is never.
    pub slow_apply: Duration,
    /// Logical bytes after which puts are refused; 0 is the default of 2 GiB, negative is none.
    pub quota_backend_bytes: i64,
    /// Most operations in a transaction.
    pub max_txn_ops: usize,
    /// Most bytes of a request.
    pub max_request_bytes: usize,
    /// Most streams (calls under way) of one client connection.
    pub max_concurrent_streams: u32,
    /// Most watchers of one watch stream.
    pub max_watchers_per_stream: usize,
    /// Most watchers of this member.
    pub max_watchers: usize,
    /// Most bytes of one watch answer before the cursor waits for its reader.
    pub watch_buffer_bytes: usize,
    /// Time between progress notices of an idle watcher.
    pub watch_progress_notify_interval: Duration,
    /// Versions pruned in one step of a compaction.
    pub compaction_batch_limit: usize,
    /// What of the past is kept by itself; `None` compacts only on request.
    pub auto_compaction: Option<Retention>,
    /// HTTP/2 pings to clients.
    pub grpc_keepalive_interval: Duration,
    /// How long a client may take to answer one.
    pub grpc_keepalive_timeout: Duration,
    /// Tokens and passwords.
    pub tokens: TokenOptions,
    /// The audit log, if there is one, and the time between its checkpoints.
    pub audit: Option<(AuditOptions, Duration)>,
    /// When to compare this member's state with the others'.
    pub corruption: CorruptionChecks,
    /// Between looks at whether a downgrade is over; zero is never.
    pub downgrade_check: Duration,
    /// Threads that serve clients.
    pub client_threads: usize,
    /// What stands at the sockets.
    pub edge: Edge,
    /// Do not sync the log. Acknowledged writes can be lost; for tests of that very thing.
    pub unsafe_no_fsync: bool,
    /// Where spans of calls are told, if anywhere.
    pub traces: Option<TraceOptions>,
    /// A file that says how late the disk is to be: milliseconds, `hang`, or nothing. For experiments.
    pub chaos_disk: Option<PathBuf>,
}

/// A listening side of TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenTls {
    /// What it is made of.
    pub files: ServerFiles,
    /// Make the certificate first, into the directory where `files` expects it.
    pub self_signed: Option<SelfSigned>,
}

/// A certificate that a member makes for itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelfSigned {
    /// Where it lies.
    pub directory: PathBuf,
    /// The hosts that it names.
    pub hosts: Vec<String>,
    /// How long it is valid.
    pub years: u64,
}

/// Both sides of TLS between members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerTls {
    /// For those who come.
    pub listen: ListenTls,
    /// For those who are gone to.
    pub dial: ClientFiles,
    /// A member speaks only under a certificate that names the host of one of its peer URLs.
    pub check_names: bool,
}

/// How a member meets its clients at the sockets, beyond where they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Where everything but gRPC is served; empty is on `listen_client_urls`, beside gRPC.
    pub listen_client_http_urls: Vec<String>,
    /// How `https://` and `unixs://` URLs for clients are secured; needed if there is one.
    pub client_tls: Option<ListenTls>,
    /// How members secure what they say to each other; `None` is in the clear.
    pub peer_tls: Option<PeerTls>,
    /// Where metrics and health are served besides.
    pub listen_metrics_urls: Vec<String>,
    /// Whether calls are measured by method, which makes the page of metrics long.
    pub extensive_metrics: bool,
    /// A unary call that takes longer is warned of; zero is never.
    pub slow_request: Duration,
    /// Serve the JSON gateway.
    pub gateway: bool,
    /// Origins whose pages may call; `*` is any.
    pub cors: Vec<String>,
    /// Names under which the member may be called without TLS; `*` is any.
    pub host_whitelist: Vec<String>,
    /// Most client connections.
    pub max_connections: usize,
    /// Most client connections whose handshakes are not finished.
    pub max_half_open: usize,
    /// How long the handshakes may take.
    pub handshake_timeout: Duration,
    /// Most bytes of large answers in memory at once.
    pub max_answer_bytes: u64,
}

impl Config {
    /// The members with their ids, as every one of them computes them.
    pub fn members(&self) -> Vec<MemberInfo> {
        let member = |member: &MemberConfig| {
            let is_me = member.name == self.name;
            MemberInfo {
                id: member_id(&member.peer_urls, &self.initial_cluster_token),
                name: member.name.clone(),
                peer_urls: member.peer_urls.clone(),
                client_urls: if is_me { self.advertise_client_urls.clone() } else { Vec::new() },
                learner: false,
            }
        };
        self.initial_cluster.iter().map(member).collect()
    }
}
