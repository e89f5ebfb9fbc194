//! An empty data directory asks before it votes.
//!
//! How many must answer, and why, is in [`quorate_node::newcomer`]; what they remember is in
//! [`super::Known`]. For a cluster of three that is both others, for five it is three.
//!
//! A newcomer may wait for members that are removed meanwhile, and would wait for ever: it asks again who votes.

use super::learn::members_now;
use super::link::greet;
use super::{GREETING_TIMEOUT, Identity, Peer};
use crate::roster::Roster;
use quorate_node::newcomer::answers_needed;
use quorate_wire::hello::{Answer, Purpose};
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::{info, warn};

/// A newcomer asks who votes by now after so many rounds in vain: some ten seconds.
const ASK_AGAIN: u32 = 100;

/// Waits until it is certain that this member never took part with another data directory. Asks those whom the
/// roster knows to vote; of a newcomer, `told` are the members that its flags name.
///
/// # Errors
/// A sentence for the operator when it did: it must not vote again under this id.
pub async fn admit(identity: &Identity, roster: &Roster, told: &[Peer]) -> Result<(), String> {
    let mut peers = roster.electors();
    let mut needed = answers_needed(peers.len() + 1);
    let mut answered = BTreeSet::new();
    let mut rounds = 0u32;
    while answered.len() < needed {
        if rounds % ASK_AGAIN == ASK_AGAIN - 1
            && !told.is_empty()
            && let Some(listing) = members_now(identity, peers.values().chain(told)).await
        {
            peers = roster.electors_of(listing.members);
            needed = answers_needed(peers.len() + 1);
            answered.retain(|id| peers.contains_key(id));
        }
        for peer in peers.values() {
            if answered.contains(&peer.id) {
                continue;
            }
            match probe(identity, peer).await {
                Some(Answer::Welcome { known: Some(_), .. }) => {
                    return Err(lost_directory(identity, peer));
                }
                Some(Answer::Welcome { known: None, .. }) => {
                    answered.insert(peer.id);
                }
                Some(Answer::Refused { why }) if rounds.is_multiple_of(50) => {
                    warn!(peer = %peer.name, "refused: {why}");
                }
                Some(Answer::Removed { why }) => return Err(why),
                Some(Answer::Refused { .. } | Answer::Cluster { .. }) | None => {}
            }
        }
        if answered.len() < needed {
            if rounds % 50 == 10 {
                let missing = peers.values().filter(|peer| !answered.contains(&peer.id));
                let names: Vec<&str> = missing.map(|peer| peer.name.as_str()).collect();
                info!(
                    "first start: waiting for {} of {} to say that this member is new",
                    needed - answered.len(),
                    names.join(", ")
                );
            }
            rounds += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

async fn probe(identity: &Identity, peer: &Peer) -> Option<Answer> {
    let greeting = greet(peer, identity, Purpose::Probe);
    let (_, answer) = tokio::time::timeout(GREETING_TIMEOUT, greeting).await.ok()?.ok()?;
    Some(answer)
}

fn lost_directory(identity: &Identity, peer: &Peer) -> String {
    let member = format!("{:x}", identity.id.0);
    format!(
        "member {} ({}) already belonged to cluster {:x}, says {}, but its data directory is \
         empty: with a lost memory it could vote twice. Put the old data directory back; if it is \
         lost, replace this member: `quorate member replace {} --peer-urls ...` at one of the \
         others, then start it with the values that this prints",
        identity.name, identity.id, identity.cluster, peer.name, member
    )
}
