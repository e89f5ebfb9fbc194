//! The contract between a protocol and its host: inputs, outputs, tickets.

use crate::{Instant, NodeId};
use std::fmt::Debug;

/// A pure state machine that talks to peers of its own kind.
pub trait Protocol {
    /// What peers say to each other.
    type Message: Clone + Eq + Debug;
    /// What the local host asks for.
    type Request: Clone + Eq + Debug;
    /// What must survive a crash.
    type Write: Clone + Eq + Debug;
    /// What the local host must know.
    type Event: Clone + Eq + Debug;

    /// Absorbs one input. Cheap: no write is repeated and no message is built that [`settle`] could
    /// build once for a whole batch.
    ///
    /// [`settle`]: Protocol::settle
    fn step(&mut self, now: Instant, input: Input<Self>, out: &mut Out<Self>);

    /// Speaks once after a batch of inputs: one write, at most one append per peer. It adds no
    /// waiting, since a turn runs as soon as the inbox is not empty.
    fn settle(&mut self, _now: Instant, _out: &mut Out<Self>) {}

    /// When to step with [`Input::Timeout`] if nothing else happens first.
    fn next_timeout(&self) -> Option<Instant>;
}

/// A number given to each write of one machine, in order, never twice in one life of its process.
///
/// Ticket 0 is durable from the start: it stands for "nothing to wait for".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u64);

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input<P: Protocol + ?Sized> {
    /// A peer spoke. Messages may be lost, late, doubled and reordered; `from` is authenticated.
    Received {
        /// Who spoke.
        from: NodeId,
        /// What it said.
        message: P::Message,
    },
    /// The local host asks for something.
    Request(P::Request),
    /// Every write up to this ticket is on stable storage.
    Durable(Ticket),
    /// Time has passed; the protocol looks at `now` and its own deadlines.
    Timeout,
}

/// What to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output<P: Protocol + ?Sized> {
    /// Persist this, in ticket order.
    Write(Ticket, P::Write),
    /// Send this when every write up to the ticket is durable.
    Send(Ticket, NodeId, P::Message),
    /// Tell the local host.
    Event(P::Event),
}

/// Collects what a protocol says during one turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Out<P: Protocol + ?Sized> {
    last: Ticket,
    outputs: Vec<Output<P>>,
}

impl<P: Protocol + ?Sized> Out<P> {
    /// An empty collection whose next write gets the ticket after `last`.
    pub fn after(last: Ticket) -> Out<P> {
        Out { last, outputs: Vec::new() }
    }

    /// Asks for `write` to be made durable and returns the ticket that says when it is.
    pub fn write(&mut self, write: P::Write) -> Ticket {
        self.last = Ticket(self.last.0 + 1);
        self.outputs.push(Output::Write(self.last, write));
        self.last
    }

    /// The ticket of the newest write said so far: waiting for it is waiting for all of them.
    pub fn last_ticket(&self) -> Ticket {
        self.last
    }

    /// Sends at once, whatever the disk does.
    pub fn send(&mut self, to: NodeId, message: P::Message) {
        self.send_after(Ticket(0), to, message);
    }

    /// Holds the promise until every write up to `ticket` is durable.
    pub fn send_after(&mut self, ticket: Ticket, to: NodeId, message: P::Message) {
        assert!(ticket <= self.last, "a promise cannot wait for a write that nobody asked for");
        self.outputs.push(Output::Send(ticket, to, message));
    }

    /// Tells the local host.
    pub fn event(&mut self, event: P::Event) {
        self.outputs.push(Output::Event(event));
    }

    /// Everything said so far, in order; the collection is empty afterwards and its tickets go on.
    pub fn take(&mut self) -> Vec<Output<P>> {
        std::mem::take(&mut self.outputs)
    }

    /// Moves what another protocol said into this collection, giving its tickets new numbers.
    ///
    /// A protocol that composes others (a router over groups) runs each with an `Out` that starts
    /// at this one's [`last_ticket`](Out::last_ticket), and maps the outputs with this. Since the
    /// tickets continue, they need no translation; this only asserts it.
    pub fn absorb<Q: Protocol>(
        &mut self,
        inner: &mut Out<Q>,
        mut message: impl FnMut(Q::Message) -> P::Message,
        mut write: impl FnMut(Q::Write) -> P::Write,
        mut event: impl FnMut(Q::Event, &mut Vec<P::Event>),
    ) {
        let mut events = Vec::new();
        for output in inner.take() {
            match output {
                Output::Write(ticket, inner_write) => {
                    let mine = self.write(write(inner_write));
                    assert_eq!(mine, ticket, "an inner protocol must continue the outer tickets");
                }
                Output::Send(ticket, to, inner_message) => {
                    self.send_after(ticket, to, message(inner_message));
                }
                Output::Event(inner_event) => {
                    event(inner_event, &mut events);
                    events.drain(..).for_each(|event| self.event(event));
                }
            }
        }
    }
}
