//! How a node takes its turns, and how it ends.

use super::{DOWN_MS, Event, World};
use crate::host::Host;
use crate::trace::{self, What};
use quorate_base::{Batch, Input, Instant, NodeId};
use std::time::Duration;

impl<H: Host> World<H> {
    /// Hands an input to a node; nobody hears it when the node is down.
    pub fn feed(&mut self, node: NodeId, input: Input<H::Protocol>) {
        let wait = match self.plan.turn_us {
            0 => 0,
            most => self.dice.below(most),
        };
        let now = self.now;
        let member = self.member_mut(node);
        if member.turn.is_none() {
            return;
        }
        member.inbox.push(input);
        let at = now + Duration::from_micros(wait * member.slowness + (member.slowness - 1));
        if member.turn_at.is_none_or(|due| at < due) {
            member.turn_at = Some(at);
            let life = member.life;
            self.queue.push(at, Event::Turn { node, life });
        }
    }

    /// Until when a node stands still.
    pub(super) fn paused(&self, node: NodeId) -> Option<Instant> {
        self.member(node).paused_until.filter(|until| *until > self.now)
    }

    pub(super) fn timer(&mut self, node: NodeId, life: u64) {
        let now = self.now;
        let member = self.member_mut(node);
        if member.life != life || member.timer_at != Some(now) {
            return;
        }
        member.timer_at = None;
        let shown = member.clock.show(now);
        let due = member.turn.as_ref().and_then(|turn| turn.next_timeout());
        if due.is_some_and(|due| due <= shown) {
            self.take_turn(node, None, true);
        } else {
            self.arm(node);
        }
    }

    /// Forgets when the timer was to fire and asks again: the clock has changed.
    pub(super) fn rearm(&mut self, node: NodeId) {
        self.member_mut(node).timer_at = None;
        self.arm(node);
    }

    pub(super) fn arm(&mut self, node: NodeId) {
        let now = self.now;
        let member = self.member_mut(node);
        let Some(shown) = member.turn.as_ref().and_then(|turn| turn.next_timeout()) else { return };
        let Some(at) = member.clock.when(shown, now) else { return };
        // A little later than now, so that a protocol that is never content cannot stop time.
        let at = at.max(now + Duration::from_micros(10));
        if member.timer_at.is_none_or(|due| at < due) {
            member.timer_at = Some(at);
            let life = member.life;
            self.queue.push(at, Event::Timer { node, life });
        }
    }

    /// The node takes what is in its inbox, and this.
    pub(super) fn take_turn(
        &mut self,
        node: NodeId,
        input: Option<Input<H::Protocol>>,
        timeout: bool,
    ) {
        if let Some(until) = self.paused(node) {
            return self.take_turn_at(until, node, input, timeout);
        }
        let now = self.now;
        let member = self.member_mut(node);
        member.turn_at = None;
        let Some(turn) = &mut member.turn else { return };
        let shown = member.clock.show(now);
        // Most turns have one input; chains of iterators would move it more often than needed.
        let batch = match (member.inbox.is_empty(), timeout) {
            (true, false) => turn.absorb(shown, input),
            (true, true) => turn.absorb(shown, Some(Input::Timeout)),
            (false, _) => {
                let inputs = std::mem::take(&mut member.inbox);
                let timeout = timeout.then_some(Input::Timeout);
                turn.absorb(shown, inputs.into_iter().chain(input).chain(timeout))
            }
        };
        self.carry_out(node, batch);
        self.arm(node);
    }

    /// The node stands still: its turn comes when it goes on.
    fn take_turn_at(
        &mut self,
        until: Instant,
        node: NodeId,
        input: Option<Input<H::Protocol>>,
        timeout: bool,
    ) {
        let member = self.member_mut(node);
        let life = member.life;
        member.inbox.extend(input);
        member.turn_at = Some(until);
        if timeout {
            member.timer_at = Some(until);
            self.queue.push(until, Event::Timer { node, life });
        }
        self.queue.push(until, Event::Turn { node, life });
    }

    /// True when this was the last effect of a node that is to end between two of them.
    fn ends_here(&mut self, node: NodeId) -> bool {
        let member = self.member_mut(node);
        if member.turn.is_none() {
            return true;
        }
        let Some(left) = &mut member.effects_left else { return false };
        if *left > 0 {
            *left -= 1;
            return false;
        }
        member.effects_left = None;
        let power = self.dice.below(2) == 0;
        self.count("crashes between effects");
        self.crash(node, power, "between two effects");
        true
    }

    fn carry_out(&mut self, node: NodeId, batch: Batch<H::Protocol>) {
        let Batch { writes, sends, events } = batch;
        if !writes.is_empty() {
            H::wrote(self, node, &writes);
        }
        H::turned(self, node);
        for (to, message) in sends {
            if self.ends_here(node) {
                return;
            }
            if H::sending(self, node, to, &message) {
                self.send(node, to, message);
            }
        }
        if !writes.is_empty() {
            if self.ends_here(node) {
                return;
            }
            H::persist(self, node, writes);
        }
        for event in events {
            if self.ends_here(node) {
                return;
            }
            H::hear(self, node, event);
        }
    }

    /// A node ends, with or without its power, and comes back after a while.
    pub fn crash(&mut self, node: NodeId, power: bool, why: &str) {
        let member = self.member_mut(node);
        if member.turn.take().is_none() {
            return;
        }
        member.life += 1;
        member.inbox.clear();
        (member.turn_at, member.timer_at, member.paused_until) = (None, None, None);
        member.effects_left = None;
        let soon = member.crashes_again > 0;
        let life = member.life;
        self.count("crashes");
        let content = trace::hash(0, why.as_bytes());
        let what = What::Crash { power };
        self.trace.add(self.now, Some(node), what, content, || why.to_owned());
        H::fall(self, node, power);
        let rest = self.dice.between(1, if soon { 20 } else { DOWN_MS });
        let at = self.now + Duration::from_millis(rest);
        self.queue.push(at, Event::Wake { node, life });
    }
}
