//! Looking at a world: `status`, `log` and `expect`.
//!
//! `expect leader=1` speaks of the cluster; `expect 2 role=follower commit=5` of a member:
//!
//! | key | value |
//! |---|---|
//! | `leader=`, `committed=`, `wire=` | of the cluster: a number or `none`, entries ever committed, letters under way (all, or `wire.Append=`) |
//! | `up=` | true while it runs |
//! | `role= term= vote= leader= commit= applied= stable=` | as in its status |
//! | `last= base=` | `5@2`: entry 5 of term 2 |
//! | `log=` | terms of the entries after the base: `1 1 2` |
//! | `state=` | payloads applied: `a b` |
//! | `read.7=` | the index, `dropped` or `pending` |
//! | `refused=` | proposals handed back |
//! | `members=`, `removed=` | its configuration: `{1 2 4 from 1 2 3 learners 5}`; true when it knows that it is out |
//! | `hurdle=` | why the last change of configuration could not begin |
//! | `matched.2= next.2= flow.2= flight.2=` | the leader's knowledge of member 2 |
//! | `pending=`, `disk_term=`, `disk_vote=`, `disk_last=` | its disk |
//! | `cached=`, `transfer=`, `timer=` | bytes of entries in memory, target of a handover, next timeout in ms |
//!
//! A protocol may know more: see [`Player::look`], and `node.rs` for what a node knows.

use crate::player::Player;
use crate::story::millis;
use crate::world::{Machine, World};
use crate::{Fallible, show};
use goldenscript::{Argument, Command};
use quorate_base::{NodeId, Protocol, Turn};
use quorate_raft::{FlowKind, Membership, PeerStatus, Raft, Status};

/// One line per member.
pub(crate) fn status<P: Player>(world: &World<P>) -> String {
    let line = |(id, machine): (&NodeId, &Machine<P>)| {
        let Some(turn) = &machine.turn else { return format!("{id} is down") };
        let s = turn.protocol().raft().status();
        format!(
            "{id} {} term={} vote={} leader={} commit={} applied={} last={} base={}{}",
            show::role(s.role),
            s.term,
            node(s.vote),
            node(s.leader),
            s.commit,
            s.applied,
            show::id(s.last),
            show::id(s.base),
            turn.protocol().status(&machine.desk)
        )
    };
    let lines: Vec<String> = world.machines.iter().map(line).collect();
    format!("{}ms\n{}", millis(world.now), lines.join("\n"))
}

/// A member's log on disk and what is under way.
pub(crate) fn log<P: Player>(world: &World<P>, id: NodeId) -> Fallible<String> {
    let machine = world.machines.get(&id).ok_or("no such member")?;
    let platter = &machine.disk.platter;
    let pending: Vec<String> =
        machine.disk.pending.iter().map(|(_, write)| show::write(write)).collect();
    let disk = show::entries(&platter.entries);
    Ok(format!("{id} base={} {disk} pending={pending:?}", show::id(platter.base)))
}

/// Fails unless everything that the command names is so.
pub(crate) fn check<P: Player>(world: &World<P>, command: &Command) -> Fallible<String> {
    let mut subject = None;
    let mut wrong = Vec::new();
    let mut checked = 0;
    for arg in &command.args {
        match arg {
            Argument::Positional(word) => subject = Some(NodeId(word.parse()?)),
            Argument::KeyValue(key, want) => {
                let is = match subject {
                    None => of_cluster(world, key)?,
                    Some(id) => of_member(world, id, key)?,
                };
                checked += 1;
                if is != *want {
                    wrong.push(format!("{key} is {is}, not {want}"));
                }
            }
            _ => return Err("what is expected?".into()),
        }
    }
    match (wrong.is_empty(), checked) {
        (true, 0) => Err("what is expected?".into()),
        (true, _) => Ok("as expected".to_string()),
        (false, _) => Err(format!("{command}: {}\n{}", wrong.join("; "), status(world)).into()),
    }
}

fn of_cluster<P: Player>(world: &World<P>, key: &str) -> Fallible<String> {
    if let Some(kind) = key.strip_prefix("wire.") {
        let letters = world.wire.iter().filter(|letter| P::kind(&letter.message) == kind);
        return Ok(letters.count().to_string());
    }
    match key {
        "leader" => Ok(number(world.leader())),
        "committed" => Ok(world.oracle.committed.len().to_string()),
        "wire" => Ok(world.wire.len().to_string()),
        _ => Err(format!("a cluster has no `{key}`").into()),
    }
}

fn of_member<P: Player>(world: &World<P>, id: NodeId, key: &str) -> Fallible<String> {
    let machine = world.machines.get(&id).ok_or("no such member")?;
    let platter = &machine.disk.platter;
    match key {
        "up" => return Ok(machine.turn.is_some().to_string()),
        "refused" => return Ok(machine.refused.len().to_string()),
        "hurdle" => {
            let last = machine.hurdles.last();
            return Ok(last.map_or("none".to_string(), |why| format!("{why:?}")));
        }
        "pending" => return Ok(machine.disk.pending.len().to_string()),
        "disk_term" => return Ok(platter.term.to_string()),
        "disk_vote" => return Ok(number(platter.vote)),
        "disk_last" => return Ok(show::id(platter.last())),
        "state" => {
            let payloads = machine.app.state.iter().filter(|entry| {
                !entry.payload.is_empty() && !Membership::is_payload(&entry.payload)
            });
            let words = payloads.map(|entry| String::from_utf8_lossy(&entry.payload).to_string());
            return Ok(words.collect::<Vec<_>>().join(" "));
        }
        _ => {}
    }
    if let Some(token) = key.strip_prefix("read.") {
        return Ok(match machine.reads.get(&token.parse()?) {
            None => "pending".to_string(),
            Some(None) => "dropped".to_string(),
            Some(Some(index)) => index.to_string(),
        });
    }
    let member = machine.turn.as_ref().map(Turn::protocol);
    if let Some(own) = P::look(member, &machine.desk, key)? {
        return Ok(own);
    }
    let raft = world.raft(id).ok_or_else(|| format!("{id} is down"))?;
    of_raft(raft, &raft.status(), key)
}

fn of_raft(raft: &Raft, status: &Status, key: &str) -> Fallible<String> {
    if let Some((field, peer)) = key.split_once('.') {
        let peer = NodeId(peer.parse()?);
        let peer = status.peers.iter().find(|known| known.id == peer);
        return of_peer(peer.ok_or("no such peer; is it leader?")?, field);
    }
    Ok(match key {
        "role" => show::role(status.role).to_string(),
        "term" => status.term.to_string(),
        "vote" => number(status.vote),
        "leader" => number(status.leader),
        "commit" => status.commit.to_string(),
        "applied" => status.applied.to_string(),
        "stable" => status.stable.to_string(),
        "cached" => status.cached_bytes.to_string(),
        "last" => show::id(status.last),
        "members" => show::membership(raft.membership()),
        "removed" => raft.is_removed().to_string(),
        "base" => show::id(status.base),
        "transfer" => number(status.transfer),
        "timer" => raft.next_timeout().map_or("none".to_string(), |at| millis(at).to_string()),
        "log" => {
            let terms = (status.base.index + 1..=status.last.index).filter_map(|i| raft.term_at(i));
            terms.map(|term| term.to_string()).collect::<Vec<_>>().join(" ")
        }
        _ => return Err(format!("a member has no `{key}`").into()),
    })
}

fn of_peer(peer: &PeerStatus, field: &str) -> Fallible<String> {
    Ok(match field {
        "matched" => peer.matched.to_string(),
        "next" => peer.next.to_string(),
        "flight" => peer.in_flight.to_string(),
        "flow" => match peer.flow {
            FlowKind::Probe => "probe".to_string(),
            FlowKind::Replicate => "replicate".to_string(),
            FlowKind::Snapshot => "snapshot".to_string(),
        },
        _ => return Err(format!("a peer has no `{field}`").into()),
    })
}

fn number(id: Option<NodeId>) -> String {
    id.map_or("none".to_string(), |id| id.0.to_string())
}

fn node(id: Option<NodeId>) -> String {
    id.map_or("-".to_string(), |id| id.to_string())
}
