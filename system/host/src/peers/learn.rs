//! A member that was added to a running cluster learns from it who it is.
//!
//! It was told some members' addresses and its own. The others know the cluster's id, and which id was
//! drawn for the member at that address; neither can be computed. Nothing is believed but what a
//! member says that can be reached under an address of `--initial-cluster`.
//!
//! What it learned is kept in its directory. It may end before its state on disk names the others, and so may
//! all of them together: then there is nobody to ask, because whoever does not know yet who it is answers nobody. A
//! directory of a build that kept nothing asks again, and does not wait for a leader: the others may need its
//! vote to have one.

use super::known::replace;
use super::link::greet;
use super::{GREETING_TIMEOUT, Identity, Peer, PeerTls};
use crate::MemberInfo;
use crate::roster::address_of;
use bytes::{BufMut, Bytes, BytesMut};
use quorate_base::NodeId;
use quorate_node::newcomer::find;
use quorate_store::Member;
use quorate_wire::hello::{Answer, Purpose, get_answer, put_answer};
use std::io;
use std::path::Path;
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

/// What this directory keeps; or else asks the members that the flags name until one of them answers and
/// knows this one. `label` is the cluster and the member of a directory that has a label.
///
/// # Errors
/// A sentence for the operator when the cluster does not know this member, or the directory cannot be read or
/// written.
pub fn learn(
    directory: &Path,
    me: &MemberInfo,
    told: &[MemberInfo],
    label: Option<(u64, NodeId)>,
    tls: Option<PeerTls>,
) -> Result<Learned, String> {
    let path = directory.join(FILE);
    let say = |error: io::Error| format!("{}: {error}", path.display());
    if let Some((cluster, id)) = label
        && let Some((of, members)) = kept(&path).map_err(say)?
        && of == cluster
    {
        return Ok(remembered(cluster, id, me, &members));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let learned = runtime.block_on(ask(me, told, label, tls))?;
    keep(&path, &learned).map_err(say)?;
    Ok(learned)
}

/// Where it is kept: the answer as it came, and a checksum.
const FILE: &str = "learned";

fn keep(path: &Path, learned: &Learned) -> io::Result<()> {
    let members = learned.members.iter().map(MemberInfo::to_member).collect();
    let mut bytes = BytesMut::new();
    put_answer(&mut bytes, &Answer::Cluster { cluster: learned.cluster, members });
    bytes.put_u32(crc32c::crc32c(&bytes));
    replace(path, &bytes)
}

fn kept(path: &Path) -> io::Result<Option<(u64, Vec<Member>)>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = || {
        let why = "it is damaged: remove it, and start this member while another one runs";
        io::Error::new(io::ErrorKind::InvalidData, why)
    };
    let split = bytes.len().checked_sub(4).ok_or_else(damaged)?;
    let (body, sum) = (bytes.slice(..split), &bytes[split..]);
    if sum != crc32c::crc32c(&body).to_be_bytes() {
        return Err(damaged());
    }
    match get_answer(body) {
        Ok(Answer::Cluster { cluster, members }) => Ok(Some((cluster, members))),
        Ok(Answer::Welcome { .. } | Answer::Refused { .. } | Answer::Removed { .. }) | Err(_) => {
            Err(damaged())
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_is_there_after_a_restart_and_damage_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        assert_eq!(kept(&path).unwrap(), None);
        let member = |id: u64, name: &str| MemberInfo {
            id: NodeId(id),
            name: name.to_owned(),
            peer_urls: vec![format!("http://m{id}:1")],
            client_urls: Vec::new(),
            learner: id == 9,
        };
        let (me, members) = (member(9, "new"), vec![member(3, "old one"), member(9, "new")]);
        keep(&path, &Learned { cluster: 7, me: me.clone(), members: members.clone() }).unwrap();
        // Nobody is asked: there are no others, and no network.
        let told = [me.clone()];
        let label = Some((7, NodeId(9)));
        let learned = learn(directory.path(), &me, &told, label, None).unwrap();
        assert_eq!((learned.cluster, learned.me, learned.members), (7, me.clone(), members));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let refused = learn(directory.path(), &me, &told, label, None).unwrap_err();
            assert!(refused.contains("it is damaged"), "{at}: {refused}");
        }
    }
}
