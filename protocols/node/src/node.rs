//! A router over groups: what a server thinks, without the server.

use crate::message::{GroupId, Tagged};
use crate::strong::Strong;
use crate::{Event, Message, Request};
use quorate_base::{Input, Instant, NodeId, Out, Protocol};
use quorate_raft as raft;
use std::collections::BTreeMap;

/// A member with all its groups, as one protocol: one inbox, one sequence of tickets, one log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    groups: BTreeMap<GroupId, Strong>,
    /// Messages for groups that this member does not have: a newer configuration, or a mistake.
    strays: u64,
}

impl Node {
    /// A member of these groups.
    pub fn new(groups: BTreeMap<GroupId, Strong>) -> Node {
        Node { groups, strays: 0 }
    }

    /// One group, to look at.
    pub fn group(&self, group: GroupId) -> Option<&Strong> {
        self.groups.get(&group)
    }

    /// How many messages were for groups that are not here.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    fn run(
        &mut self,
        group: GroupId,
        out: &mut Out<Node>,
        act: impl FnOnce(&mut Strong, &mut Out<Strong>),
    ) {
        let Some(strong) = self.groups.get_mut(&group) else {
            self.strays += 1;
            return;
        };
        let mut inner = Out::after(out.last_ticket());
        act(strong, &mut inner);
        out.absorb(
            &mut inner,
            |body| Tagged { group, body },
            |body| Tagged { group, body },
            |body, events| events.push(Tagged { group, body }),
        );
    }

    fn each(&mut self, out: &mut Out<Node>, mut act: impl FnMut(&mut Strong, &mut Out<Strong>)) {
        let groups: Vec<GroupId> = self.groups.keys().copied().collect();
        for group in groups {
            self.run(group, out, &mut act);
        }
    }
}

impl Protocol for Node {
    type Message = Tagged<Message>;
    type Request = Tagged<Request>;
    type Write = Tagged<raft::Write>;
    type Event = Tagged<Event>;

    fn step(&mut self, now: Instant, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Received { from, message: Tagged { group, body } } => {
                self.received(now, from, group, body, out);
            }
            Input::Request(Tagged { group, body }) => {
                self.run(group, out, |strong, inner| {
                    strong.step(now, Input::Request(body), inner);
                });
            }
            Input::Durable(ticket) => {
                self.each(out, |strong, inner| strong.step(now, Input::Durable(ticket), inner));
            }
            Input::Timeout => self.each(out, |strong, inner| {
                strong.step(now, Input::Timeout, inner);
            }),
        }
    }

    fn settle(&mut self, now: Instant, out: &mut Out<Self>) {
        self.each(out, |strong, inner| strong.settle(now, inner));
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.groups.values().filter_map(Strong::next_timeout).min()
    }
}

impl Node {
    fn received(
        &mut self,
        now: Instant,
        from: NodeId,
        group: GroupId,
        message: Message,
        out: &mut Out<Node>,
    ) {
        self.run(group, out, |strong, inner| {
            strong.step(now, Input::Received { from, message }, inner);
        });
    }
}
