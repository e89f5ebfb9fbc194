//! What a host is told at its start, and how members and clusters get their numbers.

use quorate_base::NodeId;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// A member, for whoever asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberInfo {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where peers reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has told.
    pub client_urls: Vec<String>,
    /// It gets everything and does not vote.
    pub learner: bool,
}

/// Everything that a host needs.
pub struct HostOptions {
    /// Where everything lies.
    pub data_dir: PathBuf,
    /// This member's name, one of `members`.
    pub name: String,
    /// All members, this one included.
    pub members: Vec<MemberInfo>,
    /// Tells clusters with the same addresses apart.
    pub cluster_token: String,
    /// With an empty directory, ask the other members who this one is instead of founding a cluster.
    pub joins: bool,
    /// As the leader, put learners forward for promotion when they have caught up.
    pub promotes_learners: bool,
    /// `(name, host:port)`: dial this address instead of the member's own.
    pub peer_routes: Vec<(String, String)>,
    /// How members secure what they say to each other; `None` is in the clear.
    pub peer_tls: Option<crate::PeerTls>,
    /// Bound sockets on which peers arrive.
    pub peer_listeners: Vec<TcpListener>,
    /// See `Config` of the server.
    pub heartbeat_interval: Duration,
    /// See `Config` of the server.
    pub election_timeout: Duration,
    /// See `Config` of the server.
    pub catchup_entries: u64,
    /// A request without an answer for so long has failed.
    pub patience: Duration,
    /// Versions pruned in one step of a compaction.
    pub sweep_budget: usize,
    /// A batch whose application takes longer is counted and warned of; zero is never.
    pub slow_apply: Duration,
    /// Do not sync the log.
    pub unsafe_no_fsync: bool,
    /// A file that says how late the disk of the log is; for experiments.
    pub chaos_disk: Option<PathBuf>,
}

/// FNV-1a: stable for ever, which is all that an id needs.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        for byte in *part {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // Parts are separated, so that ("ab", "c") differs from ("a", "bc").
        hash = (hash ^ 0xff).wrapping_mul(0x0100_0000_01b3);
    }
    hash.max(1)
}

/// A member's id: from its peer URLs and the cluster's token, the same on every member.
pub fn member_id(peer_urls: &[String], token: &str) -> NodeId {
    let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    let mut parts: Vec<&[u8]> = vec![b"member", token.as_bytes()];
    parts.extend(urls.iter().map(|url| url.as_bytes()));
    NodeId(hash(&parts))
}

/// A cluster's id: from its initial members and its token.
pub fn cluster_id(members: &[MemberInfo], token: &str) -> u64 {
    let mut ids: Vec<[u8; 8]> = members.iter().map(|member| member.id.0.to_be_bytes()).collect();
    ids.sort_unstable();
    let mut parts: Vec<&[u8]> = vec![b"cluster", token.as_bytes()];
    parts.extend(ids.iter().map(|id| &id[..]));
    hash(&parts)
}

/// The member of this name.
///
/// # Errors
/// A sentence that names those there are.
pub(crate) fn find_member(name: &str, members: &[MemberInfo]) -> Result<MemberInfo, String> {
    let found = members.iter().find(|member| member.name == name);
    let names = || members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
    found
        .cloned()
        .ok_or_else(|| format!("member {name:?} is not in the initial cluster ({})", names()))
}
