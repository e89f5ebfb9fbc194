//! A member that was added to a running cluster learns from it who it is: the rules of [`quorate_node::learning`] at
//! the sockets and in the data directory.
//!
//! It was told some members' addresses and its own. Nothing is believed but what a member says that can be
//! reached under an address of `--initial-cluster`, or of a member that one of those named.

use super::link::greet;
use super::{GREETING_TIMEOUT, Identity, Peer, PeerTls};
use crate::MemberInfo;
use crate::roster::address_of;
use bytes::{Bytes, BytesMut};
use quorate_base::NodeId;
use quorate_node::learning::{Found, Inquiry, Learned, Listing, Start, Step};
use quorate_storage::{DataDir, Disk, aside};
use quorate_wire::hello::{Answer, Purpose, get_answer, put_answer};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// A newcomer, as its flags and its directory's label have it.
pub struct Newcomer<'a> {
    /// Itself; the id means nothing.
    pub me: &'a MemberInfo,
    /// The members that the flags name, itself included.
    pub told: &'a [MemberInfo],
    /// The cluster and the member on the label, if the directory has one.
    pub label: Option<(u64, NodeId)>,
    /// It was admitted before.
    pub took_part: bool,
    /// How it speaks to the others.
    pub tls: Option<PeerTls>,
}

/// What this directory keeps; or else asks the members that the flags name until one of them answers and
/// knows this one, and keeps that.
///
/// # Errors
/// A sentence for the operator when the cluster does not know this member, or the directory cannot be read or
/// written.
pub fn learn(directory: &DataDir, newcomer: &Newcomer<'_>) -> Result<Learned, String> {
    let Newcomer { me, label, took_part, .. } = *newcomer;
    let others = newcomer.others();
    let kept = kept(directory)?;
    let found = Found { label, took_part, kept };
    let inquiry = match Start::new(me.to_member(), others.len(), found) {
        Start::Knows(learned) => return Ok(learned),
        Start::Asks(inquiry) => inquiry,
    };
    if others.is_empty() {
        return Err(
            "--initial-cluster-state existing: --initial-cluster names no other member to \
                    ask; use the value that `quorate member add` printed"
                .to_owned(),
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(ask(directory, newcomer, inquiry, &others))
}

/// Where it is kept: the answer as it came, and a checksum.
const FILE: &str = "learned";
/// No list is longer.
const MAX_BYTES: u64 = 1 << 20;

fn keep(directory: &DataDir, listing: Listing) -> Result<(), String> {
    let Listing { cluster, members } = listing;
    let mut bytes = BytesMut::new();
    put_answer(&mut bytes, &Answer::Cluster { cluster, members });
    let kept = aside::replace_checked(directory.disk(), FILE, &bytes);
    kept.map_err(|error| error.to_string())
}

fn kept(directory: &DataDir) -> Result<Option<Listing>, String> {
    let disk = directory.disk();
    let damaged = || {
        let path = disk.path(FILE);
        format!("{path}: it is damaged: remove it, and start this member while another one runs")
    };
    let read = aside::read_checked(disk, FILE, MAX_BYTES).map_err(|error| error.to_string())?;
    let Some(bytes) = read.map_err(|_| damaged())? else { return Ok(None) };
    match get_answer(Bytes::from(bytes)) {
        Ok(Answer::Cluster { cluster, members }) => Ok(Some(Listing { cluster, members })),
        Ok(Answer::Welcome { .. } | Answer::Refused { .. } | Answer::Removed { .. }) | Err(_) => {
            Err(damaged())
        }
    }
}

impl Newcomer<'_> {
    fn others(&self) -> Vec<Peer> {
        others(&self.me.name, self.told)
    }

    fn asks_as(&self, id: NodeId) -> Identity {
        Identity {
            cluster: self.label.map_or(0, |(cluster, _)| cluster),
            id,
            name: self.me.name.clone(),
            client_urls: Vec::new(),
            peer_urls: Vec::new(),
            incarnation: 0,
            tls: self.tls.clone(),
        }
    }
}

/// The members that flags name beside the one called `name`, of whom no id is known.
pub fn others(name: &str, told: &[MemberInfo]) -> Vec<Peer> {
    let others = told.iter().filter(|member| member.name != name);
    let peer = |other: &MemberInfo| Peer {
        id: NodeId(0),
        name: other.name.clone(),
        addresses: other.peer_urls.iter().map(|url| address_of(url)).collect(),
    };
    others.map(peer).collect()
}

async fn ask(
    directory: &DataDir,
    newcomer: &Newcomer<'_>,
    mut inquiry: Inquiry,
    others: &[Peer],
) -> Result<Learned, String> {
    let identity = newcomer.asks_as(inquiry.asks_as());
    let mut tell_at = Instant::now() + Duration::from_secs(1);
    for round in 0u32.. {
        for other in others {
            let Some(listing) = listing(other, &identity, round.is_multiple_of(50)).await else {
                continue;
            };
            match inquiry.answered(listing) {
                Step::Learned(unkept) => {
                    keep(directory, unkept.listing())?;
                    return Ok(unkept.kept());
                }
                Step::AskOn => {}
                Step::OtherCluster(cluster) => {
                    let own = identity.cluster;
                    warn!(peer = %other.name, "it belongs to cluster {cluster:x}, this member to {own:x}");
                }
                Step::Unknown => return Err(unknown(newcomer.me, &other.name)),
                Step::Removed => {
                    let (cluster, id) = newcomer.label.expect("only a labelled one was removed");
                    return Err(super::removed(&newcomer.me.name, id, cluster));
                }
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

/// Whom this member lists; nothing when it does not answer. Why it refuses is said if `tells`.
async fn listing(other: &Peer, identity: &Identity, tells: bool) -> Option<Listing> {
    let greeting = greet(other, identity, Purpose::Learn);
    match tokio::time::timeout(GREETING_TIMEOUT, greeting).await {
        Ok(Ok((_, Answer::Cluster { cluster, members }))) => Some(Listing { cluster, members }),
        Ok(Ok((_, Answer::Refused { why } | Answer::Removed { why }))) if tells => {
            warn!(peer = %other.name, "refused: {why}");
            None
        }
        Ok(Ok(_) | Err(_)) | Err(_) => None,
    }
}

/// The members of this cluster by now, from whoever of these answers first: for a member that has not taken
/// part yet, and knows only those of an earlier day.
pub async fn members_now<'a>(
    identity: &Identity,
    others: impl Iterator<Item = &'a Peer>,
) -> Option<Listing> {
    let nobody = Identity { id: NodeId(0), ..identity.clone() };
    for other in others {
        let listing = listing(other, &nobody, false).await;
        if let Some(listing) = listing.filter(|listing| listing.cluster == identity.cluster) {
            return Some(listing);
        }
    }
    None
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
        let temporary = tempfile::tempdir().unwrap();
        let directory = DataDir::open(temporary.path()).unwrap();
        assert_eq!(kept(&directory).unwrap(), None);
        let member = |id: u64, name: &str| MemberInfo {
            id: NodeId(id),
            name: name.to_owned(),
            peer_urls: vec![format!("http://m{id}:1")],
            client_urls: Vec::new(),
            learner: id == 9,
        };
        let me = member(9, "new");
        let members = vec![member(3, "old one").to_member(), me.to_member()];
        keep(&directory, Listing { cluster: 7, members: members.clone() }).unwrap();
        // Nobody is asked: there are no others, and no network.
        let told = [me.clone()];
        let label = Some((7, NodeId(9)));
        let newcomer = Newcomer { me: &me, told: &told, label, took_part: true, tls: None };
        let learned = learn(&directory, &newcomer).unwrap();
        assert_eq!((learned.cluster, learned.me, learned.members), (7, me.to_member(), members));
        // Who has not taken part would ask.
        let refused = learn(&directory, &Newcomer { took_part: false, ..newcomer }).unwrap_err();
        assert!(refused.contains("names no other member to ask"), "{refused}");
        let newcomer = Newcomer { me: &me, told: &told, label, took_part: true, tls: None };
        let path = temporary.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let refused = learn(&directory, &newcomer).unwrap_err();
            assert!(refused.contains("it is damaged"), "{at}: {refused}");
        }
    }
}
