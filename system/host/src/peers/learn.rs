//! A member that was added to a running cluster learns from it who it is.
//!
//! It was told some members' addresses and its own. The others know the cluster's id, and which id was
//! drawn for the member at that address; neither can be computed. Nothing is believed but what a
//! member says that can be reached under an address of `--initial-cluster`.
//!
//! Whoever has a label on its directory knows its id, and asks again only because it ended before its state
//! named the others. It must not wait for a leader: the others may need its vote to have one.

use super::link::greet;
use super::{GREETING_TIMEOUT, Identity, Peer, PeerTls};
use crate::MemberInfo;
use crate::roster::address_of;
use quorate_base::NodeId;
use quorate_node::newcomer::find;
use quorate_store::Member;
use quorate_wire::hello::{Answer, Purpose};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// What a newcomer learned.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The cluster.
    pub cluster: u64,
    /// This member.
    pub me: MemberInfo,
    /// All members, this one included.
    pub members: Vec<MemberInfo>,
}

/// Asks the members that the flags name until one of them answers and knows this one. `label` is the cluster
/// and the member of a directory that has a label.
///
/// # Errors
/// A sentence for the operator when the cluster does not know this member.
pub fn learn(
    me: &MemberInfo,
    told: &[MemberInfo],
    label: Option<(u64, NodeId)>,
    tls: Option<PeerTls>,
) -> Result<Learned, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(ask(me, told, label, tls))
}

async fn ask(
    me: &MemberInfo,
    told: &[MemberInfo],
    label: Option<(u64, NodeId)>,
    tls: Option<PeerTls>,
) -> Result<Learned, String> {
    let (known_cluster, known_id) = label.unwrap_or((0, NodeId(0)));
    let identity = Identity {
        cluster: known_cluster,
        id: known_id,
        name: me.name.clone(),
        client_urls: Vec::new(),
        peer_urls: Vec::new(),
        incarnation: 0,
        tls,
    };
    let others: Vec<&MemberInfo> = told.iter().filter(|member| member.name != me.name).collect();
    if others.is_empty() {
        return Err(
            "--initial-cluster-state existing: --initial-cluster names no other member to \
                    ask; use the value that `quorate member add` printed"
                .to_owned(),
        );
    }
    let mut stranger_to = 0;
    let mut tell_at = Instant::now() + Duration::from_secs(1);
    for round in 0u32.. {
        for other in &others {
            let addresses = other.peer_urls.iter().map(|url| address_of(url)).collect();
            let peer = Peer { id: NodeId(0), name: other.name.clone(), addresses };
            let greeting = greet(&peer, &identity, Purpose::Learn);
            let answer = tokio::time::timeout(GREETING_TIMEOUT, greeting).await;
            match answer {
                Ok(Ok((_, Answer::Cluster { cluster, members }))) if label.is_some() => {
                    if cluster == known_cluster {
                        return Ok(remembered(cluster, known_id, me, &members));
                    }
                    warn!(peer = %other.name, "it belongs to cluster {cluster:x}, this member to {known_cluster:x}");
                }
                Ok(Ok((_, Answer::Cluster { cluster, members }))) => {
                    match find(&me.peer_urls, &members) {
                        Some(me) => return Ok(learned(cluster, me, &members)),
                        // It may be behind the one that took the addition.
                        None => stranger_to += 1,
                    }
                    if stranger_to > 10 * others.len() {
                        return Err(unknown(me, &other.name));
                    }
                }
                Ok(Ok((_, Answer::Refused { why } | Answer::Removed { why })))
                    if round.is_multiple_of(50) =>
                {
                    warn!(peer = %other.name, "refused: {why}");
                }
                Ok(Ok(_) | Err(_)) | Err(_) => {}
            }
        }
        if Instant::now() >= tell_at {
            tell_at += Duration::from_secs(10);
            info!("joining: waiting for one of the members of --initial-cluster to answer");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    unreachable!("it asks until it is answered")
}

fn learned(cluster: u64, me: &Member, members: &[Member]) -> Learned {
    let info = MemberInfo::of_member;
    Learned { cluster, me: info(me), members: members.iter().map(info).collect() }
}

/// What a member with a label learned: the list may be older than itself.
fn remembered(cluster: u64, id: NodeId, flags: &MemberInfo, members: &[Member]) -> Learned {
    let mut members: Vec<MemberInfo> = members.iter().map(MemberInfo::of_member).collect();
    let listed = members.iter().find(|member| member.id == id).cloned();
    let me = listed.unwrap_or_else(|| {
        members.push(MemberInfo { id, ..flags.clone() });
        MemberInfo { id, ..flags.clone() }
    });
    Learned { cluster, me, members }
}

fn unknown(me: &MemberInfo, by: &str) -> String {
    format!(
        "no member of the cluster has the peer URLs {}, says {by}: add this one first (quorate \
         member add {} --peer-urls {}), and start it with the values that this prints",
        me.peer_urls.join(","),
        me.name,
        me.peer_urls.join(",")
    )
}
