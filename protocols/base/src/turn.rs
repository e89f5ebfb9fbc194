//! The one driver of every protocol: batches in, batches out, promises kept in between.

use crate::{Input, Instant, NodeId, Out, Output, Protocol, Ticket};
use std::collections::VecDeque;

/// Drives one protocol. See the crate's essay for the host's duties.
#[derive(Clone, Debug)]
pub struct Turn<P: Protocol> {
    protocol: P,
    issued: Ticket,
    durable: Ticket,
    /// Promises that wait for the disk, by ascending ticket.
    gated: VecDeque<(Ticket, NodeId, P::Message)>,
}

/// What a turn asks the host to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch<P: Protocol> {
    /// To be persisted in this order, after the writes of all earlier batches.
    pub writes: Vec<(Ticket, P::Write)>,
    /// Free to leave now, in any order the network likes.
    pub sends: Vec<(NodeId, P::Message)>,
    /// For the local host, in order.
    pub events: Vec<P::Event>,
}

impl<P: Protocol> Batch<P> {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.sends.is_empty() && self.events.is_empty()
    }
}

impl<P: Protocol> Turn<P> {
    /// Starts driving `protocol`; nothing is in flight.
    pub fn new(protocol: P) -> Turn<P> {
        Turn { protocol, issued: Ticket(0), durable: Ticket(0), gated: VecDeque::new() }
    }

    /// The protocol, to look at.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The newest ticket given out.
    pub fn issued(&self) -> Ticket {
        self.issued
    }

    /// The newest ticket known durable.
    pub fn durable(&self) -> Ticket {
        self.durable
    }

    /// Promises that wait for the disk, with the tickets that release them, in ascending order.
    pub fn gated(&self) -> impl Iterator<Item = &(Ticket, NodeId, P::Message)> {
        self.gated.iter()
    }

    /// When the protocol wants [`Input::Timeout`] if nothing else happens first.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.protocol.next_timeout()
    }

    /// Feeds a batch of inputs, lets the protocol settle, and returns what to do.
    ///
    /// `Durable` inputs first release the promises that waited for them, then reach the protocol.
    pub fn absorb(&mut self, now: Instant, inputs: impl IntoIterator<Item = Input<P>>) -> Batch<P> {
        let mut out = Out::after(self.issued);
        let mut batch = Batch { writes: Vec::new(), sends: Vec::new(), events: Vec::new() };
        for input in inputs {
            if let Input::Durable(ticket) = &input {
                // Sends said earlier in this batch must join the queue before it is released.
                self.sort(out.take(), &mut batch);
                self.issued = out.last_ticket();
                self.release(*ticket, &mut batch);
            }
            self.protocol.step(now, input, &mut out);
        }
        self.protocol.settle(now, &mut out);
        self.issued = out.last_ticket();
        self.sort(out.take(), &mut batch);
        batch
    }

    /// Releases the promises that waited for `ticket`.
    fn release(&mut self, ticket: Ticket, batch: &mut Batch<P>) {
        assert!(ticket <= self.issued, "durable {ticket:?} was never issued ({:?})", self.issued);
        assert!(ticket >= self.durable, "durable went back from {:?} to {ticket:?}", self.durable);
        self.durable = ticket;
        while self.gated.front().is_some_and(|(gate, _, _)| *gate <= ticket) {
            let (_, to, message) = self.gated.pop_front().expect("front was just looked at");
            batch.sends.push((to, message));
        }
    }

    /// Puts each output where it belongs.
    fn sort(&mut self, outputs: Vec<Output<P>>, batch: &mut Batch<P>) {
        for output in outputs {
            match output {
                Output::Write(ticket, write) => batch.writes.push((ticket, write)),
                Output::Event(event) => batch.events.push(event),
                Output::Send(ticket, to, message) if ticket <= self.durable => {
                    batch.sends.push((to, message));
                }
                Output::Send(ticket, to, message) => {
                    // Nearly always at the back: protocols promise in the order they write.
                    let at = self.gated.partition_point(|(gate, _, _)| *gate <= ticket);
                    self.gated.insert(at, (ticket, to, message));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes each request and promises it to node 2; echoes messages at once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Scribe {
        seen: Vec<Ticket>,
    }

    impl Protocol for Scribe {
        type Message = u32;
        type Request = u32;
        type Write = u32;
        type Event = Ticket;

        fn step(&mut self, _now: Instant, input: Input<Self>, out: &mut Out<Self>) {
            match input {
                Input::Received { from, message } => out.send(from, message),
                Input::Request(value) => {
                    let ticket = out.write(value);
                    out.send_after(ticket, NodeId(2), value);
                }
                Input::Durable(ticket) => {
                    self.seen.push(ticket);
                    out.event(ticket);
                }
                Input::Timeout => {}
            }
        }

        fn next_timeout(&self) -> Option<Instant> {
            None
        }
    }

    fn scribe() -> Turn<Scribe> {
        Turn::new(Scribe { seen: Vec::new() })
    }

    #[test]
    fn promises_wait_for_their_write_and_free_sends_do_not() {
        let mut turn = scribe();
        let batch = turn.absorb(
            Instant(0),
            [
                Input::Request(10),
                Input::Request(11),
                Input::Received { from: NodeId(3), message: 9 },
            ],
        );
        assert_eq!(batch.writes, vec![(Ticket(1), 10), (Ticket(2), 11)]);
        assert_eq!(batch.sends, vec![(NodeId(3), 9)]);
        let batch = turn.absorb(Instant(1), [Input::Durable(Ticket(1))]);
        assert_eq!(batch.sends, vec![(NodeId(2), 10)]);
        let batch = turn.absorb(Instant(2), [Input::Durable(Ticket(2))]);
        assert_eq!(batch.sends, vec![(NodeId(2), 11)]);
        assert_eq!(batch.events, vec![Ticket(2)]);
    }

    #[test]
    fn several_absorbs_may_lie_before_one_durable() {
        let mut turn = scribe();
        turn.absorb(Instant(0), [Input::Request(1)]);
        turn.absorb(Instant(0), [Input::Request(2)]);
        let batch = turn.absorb(Instant(1), [Input::Request(3), Input::Durable(Ticket(2))]);
        assert_eq!(batch.sends, vec![(NodeId(2), 1), (NodeId(2), 2)]);
        assert_eq!(batch.writes, vec![(Ticket(3), 3)]);
    }

    #[test]
    #[should_panic(expected = "was never issued")]
    fn durable_cannot_outrun_the_tickets() {
        scribe().absorb(Instant(0), [Input::Durable(Ticket(1))]);
    }

    #[test]
    #[should_panic(expected = "durable went back")]
    fn durable_cannot_go_back() {
        let mut turn = scribe();
        turn.absorb(Instant(0), [Input::Request(1), Input::Request(2)]);
        turn.absorb(Instant(0), [Input::Durable(Ticket(2))]);
        turn.absorb(Instant(0), [Input::Durable(Ticket(1))]);
    }
}
