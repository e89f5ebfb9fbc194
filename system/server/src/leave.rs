//! Leaving without being missed: a leader that is asked to stop hands over first.
//!
//! If it just stopped, the others would notice by silence, and for an election timeout nobody would
//! be answered. So it picks a successor, which catches up and leads within a round trip, and only
//! then stops taking requests; what is under way goes on through the new leader. It is worth a
//! little time, not an argument: a member that nobody can take over from stops all the same.

use quorate_base::NodeId;
use quorate_host::Host;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// All attempts together take no longer: whoever asked for the end waits.
const LONGEST: Duration = Duration::from_secs(2);

/// The least time for one attempt.
const SHORTEST: Duration = Duration::from_millis(300);

/// Hands leadership over if this member leads and somebody takes it.
pub async fn hand_over(host: &Host, election_timeout: Duration) {
    let me = NodeId(host.member_id());
    let leads = || host.status().leader == Some(me);
    let others: Vec<NodeId> = host
        .members()
        .iter()
        .map(|member| member.id)
        .filter(|id| *id != me && host.is_voter(*id))
        .collect();
    if !leads() || others.is_empty() {
        return;
    }
    let begun = Instant::now();
    let patience = election_timeout.max(SHORTEST);
    for successor in others {
        if begun.elapsed() + SHORTEST > LONGEST {
            break;
        }
        let left = LONGEST.saturating_sub(begun.elapsed()).min(patience);
        if let Ok(Ok(())) = timeout(left, host.transfer(successor)).await {
            tracing::info!(%successor, "handed leadership over");
            return;
        }
        if !leads() {
            tracing::info!("another member leads by now");
            return;
        }
    }
    tracing::warn!("nobody took leadership over: the others elect a leader when this one is gone");
}
