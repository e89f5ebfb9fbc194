//! Leases as clients see them, and what must hold of them.
//!
//! A lease that was granted or renewed lives for its time, counted on the clock of whichever member
//! counts it down: clocks may be wrong, but none may be cheated. It may live longer. What a leader
//! says that has been deposed and does not know it yet binds nobody, in etcd as here: a keep-alive
//! asks no quorum.

use super::{Server, Waiting, call, finish};
use crate::oracles::expect;
use crate::replica::machine::Machine;
use crate::server::ask;
use quorate_base::NodeId;
use quorate_node::{Ask, Request};
use quorate_store::{Action, Command};
use std::time::Duration;

/// A lease lives for so long, on the clock of whichever member counts it down.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    /// How far each member's clock had gone when it was asked for.
    since: Vec<Duration>,
    lasts: Duration,
}

pub(super) fn begin_renewal(world: &mut Server, at: usize, member: NodeId) {
    let Some(lease) = world.load.history.leases().last() else { return };
    let token = world.load.token();
    let since = world.now;
    world.load.clients[at].operation = token;
    call(world, at, member, || format!("renew lease {lease}"));
    let began = elapsed(world);
    world.load.clients[at].waiting = Waiting::Renewal { token, lease, at: member, since, began };
    world.feed(member, ask(Request::Ask { token, ask: Ask::Renew(lease) }));
}

/// Looks who believes to lead.
pub fn note_leaders(world: &mut Server) {
    let leads = |node: &NodeId| world.protocol(*node).is_some_and(|m| m.raft().is_leader());
    if world.nodes().filter(leads).count() > 1 {
        world.load.two_led_at = Some(world.now);
    }
}

/// The leader renewed a lease, or says that there is none.
pub fn renewed(world: &mut Server, token: u64, seconds: i64) {
    for at in 0..world.load.clients.len() {
        if let Waiting::Renewal { token: waited, lease, began, at: member, since } =
            world.load.clients[at].waiting.clone()
            && waited == token
        {
            note_leaders(world);
            if world.load.two_led_at.is_some_and(|at| at >= since) {
                world.count("renewals in doubt");
            } else {
                promise_life(world, lease, &began, seconds);
            }
            finish(world, at, member);
        }
    }
}

/// How far the clock of each member has gone.
pub(super) fn elapsed(world: &Server) -> Vec<Duration> {
    world.nodes().map(|node| world.member(node).clock.elapsed(world.now)).collect()
}

/// The leader's count cannot have begun before its client asked: `since` is what the clocks had gone
/// by then. The later of two promises holds on each clock.
pub(super) fn promise_life(world: &mut Server, lease: i64, since: &[Duration], seconds: i64) {
    let lasts = Duration::from_secs(seconds.max(0) as u64);
    let fresh = Promise { since: since.to_vec(), lasts };
    let known = world.load.promises.entry(lease).or_insert_with(|| fresh.clone());
    if known.lasts <= lasts {
        *known = fresh;
    }
}

pub(super) fn judge_expiry(world: &mut Server, term: u64, command: &Command) {
    let Action::LeaseRevoke { id, term: Some(named) } = &command.action else { return };
    if *named != term {
        return;
    }
    world.count("expired leases");
    let Some(promise) = world.load.promises.remove(id) else { return };
    let Some(leader) = world.oracles.leader_of(term) else { return };
    let passed = elapsed(world)[leader.0 as usize - 1];
    let due = promise.since[leader.0 as usize - 1] + promise.lasts;
    let verdict = expect(passed >= due, "lease-lives-its-time", || {
        format!("lease {id} is revoked when the clock of {leader} went {passed:?}, due at {due:?}")
    });
    world.judge(verdict);
}
