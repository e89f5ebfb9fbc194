//! Messages on their way: put on the wires, held back, lost, doubled, delivered.

use super::{Event, Held, World};
use crate::host::{Host, MessageOf};
use crate::network::Fate;
use crate::trace::{What, Why};
use quorate_base::{Input, NodeId};
use std::time::Duration;

impl<H: Host> World<H> {
    /// Puts a message on the wires.
    pub(super) fn send(&mut self, from: NodeId, to: NodeId, message: MessageOf<H>) {
        self.sent += 1;
        let id = self.sent;
        let content = H::digest(&message);
        let what = What::Send { message: id, to };
        self.trace.add(self.now, Some(from), what, content, || H::describe(&message));
        if to.0 == 0 || to.0 > self.members.len() as u64 {
            return self.log(from, What::Lose { message: id, from, why: Why::Down });
        }
        match self.network.fate(from, to) {
            Fate::Never(why) => {
                if why == Why::Corrupt {
                    self.count("corrupt frames refused");
                }
                self.log(to, What::Lose { message: id, from, why });
            }
            Fate::Once(delay) => self.set_out(from, to, id, message, delay),
            Fate::Twice(first, second) => {
                self.log(from, What::Duplicate { message: id, to });
                self.set_out(from, to, id, message.clone(), first);
                self.set_out(from, to, id, message, second);
            }
        }
    }

    pub(super) fn set_out(
        &mut self,
        from: NodeId,
        to: NodeId,
        id: u64,
        message: MessageOf<H>,
        delay: Duration,
    ) {
        self.network.sets_out(from, to);
        self.queue.push(self.now + delay, Event::Deliver { from, to, id, message });
    }

    pub(super) fn deliver(&mut self, from: NodeId, to: NodeId, id: u64, message: MessageOf<H>) {
        if let Some(until) = self.paused(to) {
            return self.queue.push(until, Event::Deliver { from, to, id, message });
        }
        self.network.arrives(from, to);
        let cut = self.network.is_cut(from, to);
        if cut || !self.is_up(to) {
            let why = if cut { Why::Cut } else { Why::Down };
            return self.log(to, What::Lose { message: id, from, why });
        }
        if self.network.is_clogged(from, to) {
            return self.held.push(Held { from, to, id, message });
        }
        let what = What::Deliver { message: id, from };
        self.trace.add(self.now, Some(to), what, 0, || H::describe(&message));
        if !H::arriving(self, from, to) {
            return;
        }
        let input = Input::Received { from, message };
        let member = self.member(to);
        if self.plan.turn_us == 0 && member.inbox.is_empty() && member.slowness == 1 {
            return self.take_turn(to, Some(input), false);
        }
        self.feed(to, input);
    }

    /// Lets go what clogged links held back, of those that are clogged no more.
    pub(super) fn release_held(&mut self) {
        let now = self.now;
        for held in std::mem::take(&mut self.held) {
            let Held { from, to, id, message } = held;
            if self.network.is_clogged(from, to) {
                self.held.push(Held { from, to, id, message });
            } else {
                self.network.sets_out(from, to);
                self.queue.push(now, Event::Deliver { from, to, id, message });
            }
        }
    }
}
