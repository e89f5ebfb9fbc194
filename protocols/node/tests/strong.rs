//! What a strong group adds to consensus, told as short stories of three members with perfect disks:
//! proposals that outlive their leader, reads that are asked again, lease questions that wait for
//! the state that they are about.

use bytes::Bytes;
use quorate_base::{Batch, Dice, Input, Instant, NodeId, Turn};
use quorate_node::{Ask, Config, Event, GroupId, LeaseChange, Node, Request, Strong, Tagged};
use quorate_raft::{self as raft, Membership, Restored, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const GROUP: GroupId = GroupId(0);

struct Cluster {
    now: Instant,
    turns: BTreeMap<NodeId, Turn<Node>>,
    /// Members that nobody hears and that hear nobody.
    cut: BTreeSet<NodeId>,
    events: BTreeMap<NodeId, Vec<Event>>,
    /// Payloads in the order in which each member was told to apply them.
    applied: BTreeMap<NodeId, Vec<Bytes>>,
    /// The last entry that a member no longer keeps.
    forgotten: BTreeMap<NodeId, u64>,
    /// Whether members report what they apply.
    applying: bool,
}

fn config(id: NodeId) -> Config {
    Config {
        raft: raft::Config {
            id,
            election_timeout: Duration::from_millis(1_000),
            heartbeat_interval: Duration::from_millis(100),
            max_append_bytes: 1 << 20,
            max_inflight_appends: 16,
            max_cached_bytes: 1 << 20,
            max_held_entries: 1_000,
        },
        catchup_entries: 100,
        patience: Duration::from_secs(7),
        promotes_learners: true,
    }
}

impl Cluster {
    fn new() -> Cluster {
        let ids: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let now = Instant::from_millis(1);
        let turn = |id: NodeId| {
            let membership = Membership::of(ids.iter().copied());
            let restored = Restored { membership, ..Restored::default() };
            let strong = Strong::new(config(id), restored, Dice::new(id.0), now);
            Turn::new(Node::new([(GROUP, strong)].into()))
        };
        Cluster {
            now,
            turns: ids.iter().map(|id| (*id, turn(*id))).collect(),
            cut: BTreeSet::new(),
            events: BTreeMap::new(),
            applied: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            applying: true,
        }
    }

    /// Feeds one input and everything that follows from it at once.
    fn feed(&mut self, to: NodeId, input: Input<Node>) {
        let mut inbox = vec![(to, input)];
        while let Some((to, input)) = inbox.pop() {
            let batch = self.turns.get_mut(&to).unwrap().absorb(self.now, [input]);
            let mut next = self.react(to, batch);
            next.reverse();
            inbox.splice(0..0, next);
        }
    }

    fn react(&mut self, me: NodeId, batch: Batch<Node>) -> Vec<(NodeId, Input<Node>)> {
        let mut next = Vec::new();
        if let Some((ticket, _)) = batch.writes.last() {
            next.push((me, Input::Durable(*ticket)));
        }
        for (_, Tagged { body, .. }) in batch.writes {
            if let raft::Write::Compact(base) = body {
                self.forgotten.insert(me, base.last.index);
            }
        }
        for (to, message) in batch.sends {
            if !self.cut.contains(&me) && !self.cut.contains(&to) {
                next.push((to, Input::Received { from: me, message }));
            }
        }
        for Tagged { body, .. } in batch.events {
            if let Event::Committed(entries) = &body {
                let payloads = entries.iter().map(|entry| entry.payload.clone());
                self.applied.entry(me).or_default().extend(payloads);
                let index = entries.last().unwrap().index;
                if self.applying {
                    next.push((me, request(applied(index, vec![]))));
                }
            }
            self.events.entry(me).or_default().push(body);
        }
        next
    }

    fn ask(&mut self, at: NodeId, body: Request) {
        self.feed(at, request(body));
    }

    /// Lets time pass; members wake at their deadlines.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.now = self.now + Duration::from_millis(10);
            let ids: Vec<NodeId> = self.turns.keys().copied().collect();
            for id in ids {
                if self.turns[&id].next_timeout().is_some_and(|at| at <= self.now) {
                    self.feed(id, Input::Timeout);
                }
            }
        }
    }

    fn raft(&self, id: NodeId) -> &raft::Raft {
        self.turns[&id].protocol().group(GROUP).unwrap().raft()
    }

    fn leader(&self) -> NodeId {
        let leads = |id: &&NodeId| !self.cut.contains(id) && self.raft(**id).is_leader();
        *self.turns.keys().find(leads).expect("somebody leads")
    }

    fn elected() -> (Cluster, NodeId, NodeId) {
        let mut cluster = Cluster::new();
        cluster.pass(5_000);
        let leader = cluster.leader();
        let follower = *cluster.turns.keys().find(|id| **id != leader).unwrap();
        (cluster, leader, follower)
    }

    fn times_applied(&self, at: NodeId, payload: &Bytes) -> usize {
        self.applied[&at].iter().filter(|applied| *applied == payload).count()
    }

    fn told(&self, at: NodeId, wanted: &Event) -> bool {
        self.events.get(&at).is_some_and(|events| events.contains(wanted))
    }
}

fn request(body: Request) -> Input<Node> {
    Input::Request(Tagged { group: GROUP, body })
}

fn applied(index: u64, leases: Vec<LeaseChange>) -> Request {
    Request::Applied { index, answered: Vec::new(), leases }
}

#[test]
fn a_followers_proposal_is_forwarded_and_applied_everywhere() {
    let (mut cluster, leader, follower) = Cluster::elected();
    let payload = Bytes::from_static(b"one");
    cluster.ask(follower, Request::Propose { seq: 1, payload: payload.clone() });
    assert_eq!(cluster.times_applied(leader, &payload), 1);
    assert_eq!(cluster.times_applied(follower, &payload), 1);
}

#[test]
fn a_proposal_outlives_its_leader() {
    let (mut cluster, leader, follower) = Cluster::elected();
    cluster.cut.insert(leader);
    let payload = Bytes::from_static(b"two");
    cluster.ask(follower, Request::Propose { seq: 1, payload: payload.clone() });
    assert!(!cluster.applied[&follower].contains(&payload), "the leader is cut off");
    cluster.pass(6_000);
    assert_ne!(cluster.leader(), leader);
    assert!(cluster.times_applied(follower, &payload) >= 1, "sent again to the next leader");
}

#[test]
fn what_is_kept_for_slow_followers_goes_when_the_disk_is_nearly_full() {
    let (mut cluster, leader, _) = Cluster::elected();
    for seq in 1..=150 {
        cluster.ask(leader, Request::Propose { seq, payload: Bytes::from_static(b"some") });
    }
    cluster.ask(leader, Request::Trim);
    assert_eq!(cluster.forgotten.get(&leader), None, "no state is durable yet");
    cluster.ask(leader, Request::Synced { index: 140 });
    assert_eq!(cluster.forgotten.get(&leader), Some(&40));
    cluster.ask(leader, Request::Trim);
    assert_eq!(cluster.forgotten.get(&leader), Some(&90));
}

fn unreachable(peer: NodeId) -> Request {
    Request::Raft(raft::Request::Unreachable { peer })
}

#[test]
fn a_leader_whose_connections_end_is_replaced_before_the_timeout() {
    let (mut cluster, leader, _) = Cluster::elected();
    cluster.cut.insert(leader);
    let others: Vec<NodeId> = cluster.turns.keys().copied().filter(|id| *id != leader).collect();
    for id in &others {
        cluster.ask(*id, unreachable(leader));
    }
    cluster.pass(300);
    assert!(others.contains(&cluster.leader()));
}

#[test]
fn a_wrong_hint_about_the_leader_changes_nothing() {
    let (mut cluster, leader, follower) = Cluster::elected();
    let term = cluster.raft(leader).term();
    cluster.ask(follower, unreachable(leader));
    cluster.pass(3_000);
    assert_eq!((cluster.leader(), cluster.raft(leader).term()), (leader, term));
    assert_eq!(cluster.raft(follower).leader(), Some(leader), "it follows again");
}

#[test]
fn a_forgotten_proposal_is_not_sent_again() {
    let (mut cluster, leader, follower) = Cluster::elected();
    cluster.cut.insert(leader);
    let payload = Bytes::from_static(b"three");
    cluster.ask(follower, Request::Propose { seq: 1, payload: payload.clone() });
    cluster.ask(follower, Request::Forget { seq: 1 });
    cluster.pass(6_000);
    assert_eq!(cluster.times_applied(follower, &payload), 0);
}

#[test]
fn a_read_survives_the_loss_of_its_leader_and_gives_up_without_a_quorum() {
    let (mut cluster, leader, follower) = Cluster::elected();
    cluster.cut.insert(leader);
    cluster.ask(follower, Request::Read { token: 7 });
    cluster.pass(6_000);
    let index = cluster.raft(follower).commit();
    let ready = |event: &Event| match event {
        Event::ReadReady { tokens, index: at } => tokens.contains(&7) && *at <= index,
        _ => false,
    };
    assert!(cluster.events[&follower].iter().any(ready), "asked again of the next leader");

    let ids: Vec<NodeId> = cluster.turns.keys().copied().collect();
    cluster.cut.extend(ids);
    cluster.ask(follower, Request::Read { token: 8 });
    cluster.pass(9_000);
    assert!(cluster.told(follower, &Event::ReadFailed { tokens: vec![8] }));
}

#[test]
fn a_lease_question_waits_for_the_state_that_its_asker_has_seen() {
    let (mut cluster, leader, follower) = Cluster::elected();
    let granted = || vec![LeaseChange::Granted { id: 5, ttl: 60 }];
    // The follower has applied the grant; the leader's apply lags behind.
    cluster.applying = false;
    let payload = Bytes::from_static(b"grant");
    cluster.ask(follower, Request::Propose { seq: 1, payload });
    let index = cluster.raft(leader).commit();
    cluster.ask(follower, applied(index, granted()));
    cluster.ask(follower, Request::Ask { token: 1, ask: Ask::Renew(5) });
    assert!(!cluster.told(follower, &Event::Told { token: 1, seconds: 0 }), "not 'unknown'");
    cluster.ask(leader, applied(index, granted()));
    assert!(cluster.told(follower, &Event::Told { token: 1, seconds: 60 }));
    cluster.ask(follower, Request::Ask { token: 2, ask: Ask::Renew(6) });
    assert!(cluster.told(follower, &Event::Told { token: 2, seconds: 0 }), "no such lease");
}

#[test]
fn only_the_leader_asks_for_the_end_of_a_lease_and_names_its_term() {
    let (mut cluster, leader, _) = Cluster::elected();
    let ids: Vec<NodeId> = cluster.turns.keys().copied().collect();
    for id in &ids {
        let index = cluster.raft(*id).commit();
        cluster.ask(*id, applied(index, vec![LeaseChange::Granted { id: 5, ttl: 3 }]));
    }
    cluster.pass(4_500);
    let term = Some(cluster.raft(leader).term());
    let revoke = Event::Act(quorate_store::Action::LeaseRevoke { id: 5, term });
    for id in ids {
        assert_eq!(cluster.told(id, &revoke), id == leader, "{id}");
        let role = cluster.raft(id).role();
        assert_eq!(role == Role::Leader, id == leader);
    }
}
