//! Liars: a protocol wrapped so that what it says is not what it should say.
//!
//! A [`Liar`] runs an honest instance inside and spoils what comes out of it: it withholds, it alters
//! what it says, or it tells different things to different peers. It cannot forge another's name:
//! the world delivers each message with its true sender, as authenticated channels do. This is the
//! bounded, syntactic mutation that found bugs in shipped PBFT code (ByzzFuzz, OOPSLA 2023), and the
//! two-faced instance of Twins (Bano et al., OPODIS 2021) in one place.

use crate::oracles::Violation;
use crate::plain::{PlainWorld, Subject, Waking};
use crate::swarm::Plan;
use quorate_base::{Dice, Input, Instant, NodeId, Out, Output, Protocol};

/// How a node lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// Not at all.
    Honest,
    /// It does not say so many in a million of what it should.
    Withhold(u32),
    /// It alters so many in a million, the same for everybody or not as it happens.
    Mutate(u32),
    /// It says one thing to peers with an even number and another to the rest, in so many in a
    /// million.
    Equivocate(u32),
}

/// A protocol whose messages can be altered into others that can still be read.
pub trait Mutable: Protocol {
    /// Another message, near this one.
    fn mutate(message: &Self::Message, dice: &mut Dice) -> Self::Message;
}

/// See the module's essay.
#[derive(Clone, Debug)]
pub struct Liar<P: Mutable> {
    inner: P,
    lie: Lie,
    dice: Dice,
}

impl<P: Mutable> Liar<P> {
    /// Wraps a protocol.
    pub fn new(inner: P, lie: Lie, dice: Dice) -> Liar<P> {
        Liar { inner, lie, dice }
    }

    /// What it would be if it did not lie.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// True when it says what it should.
    pub fn is_honest(&self) -> bool {
        self.lie == Lie::Honest
    }

    fn spoil(&mut self, to: NodeId, message: P::Message) -> Option<P::Message> {
        match self.lie {
            Lie::Honest => Some(message),
            Lie::Withhold(chance) => (!self.dice.chance(chance)).then_some(message),
            Lie::Mutate(chance) if self.dice.chance(chance) => {
                Some(P::mutate(&message, &mut self.dice))
            }
            Lie::Equivocate(chance) if to.0.is_multiple_of(2) && self.dice.chance(chance) => {
                Some(P::mutate(&message, &mut self.dice))
            }
            Lie::Mutate(_) | Lie::Equivocate(_) => Some(message),
        }
    }

    fn pass_on(&mut self, mut inner: Out<P>, out: &mut Out<Liar<P>>) {
        for output in inner.take() {
            match output {
                Output::Write(ticket, write) => {
                    let mine = out.write(write);
                    assert_eq!(mine, ticket, "the inner protocol continues the tickets");
                }
                Output::Send(ticket, to, message) => {
                    if let Some(message) = self.spoil(to, message) {
                        out.send_after(ticket, to, message);
                    }
                }
                Output::Event(event) => out.event(event),
            }
        }
    }
}

impl<P: Mutable> Protocol for Liar<P> {
    type Message = P::Message;
    type Request = P::Request;
    type Write = P::Write;
    type Event = P::Event;

    fn step(&mut self, now: Instant, input: Input<Self>, out: &mut Out<Self>) {
        let input = match input {
            Input::Received { from, message } => Input::Received { from, message },
            Input::Request(request) => Input::Request(request),
            Input::Durable(ticket) => Input::Durable(ticket),
            Input::Timeout => Input::Timeout,
        };
        let mut inner = Out::after(out.last_ticket());
        self.inner.step(now, input, &mut inner);
        self.pass_on(inner, out);
    }

    fn settle(&mut self, now: Instant, out: &mut Out<Self>) {
        let mut inner = Out::after(out.last_ticket());
        self.inner.settle(now, &mut inner);
        self.pass_on(inner, out);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.inner.next_timeout()
    }
}

/// A protocol among liars as the subject of experiments: what [`Subject`] asks for, of the wrapped
/// protocol. (Coherence wants the trait to be implemented for one's own type, not for [`Liar`].)
pub trait AmongLiars: Mutable + Sized {
    /// The clients, and what the judges need.
    type Load;

    /// The clients of a new world.
    fn load(plan: &Plan, dice: &mut Dice) -> Self::Load;
    /// How a node lies.
    fn lie(plan: &Plan, node: NodeId) -> Lie;
    /// A node comes up; the lies come on top.
    fn wake(plan: &Plan, waking: Waking<'_, Liar<Self>>) -> Self;
    /// It said something to its host.
    fn heard(world: &mut PlainWorld<Liar<Self>>, node: NodeId, event: Self::Event);
    /// It is a client's turn.
    fn tick(world: &mut PlainWorld<Liar<Self>>, client: u64);
    /// What must hold after each turn of a node.
    fn judge(world: &PlainWorld<Liar<Self>>, node: NodeId) -> Result<(), Violation>;
    /// In peace: true when everything is as it should be in the end.
    fn is_finished(world: &PlainWorld<Liar<Self>>) -> bool;
}

impl<P: AmongLiars> Subject for Liar<P> {
    type Load = P::Load;

    fn load(plan: &Plan, dice: &mut Dice) -> P::Load {
        P::load(plan, dice)
    }

    fn wake(plan: &Plan, mut waking: Waking<'_, Self>) -> Self {
        let (lie, dice) = (P::lie(plan, waking.node), waking.dice.fork(1));
        Liar::new(P::wake(plan, waking), lie, dice)
    }

    fn heard(world: &mut PlainWorld<Self>, node: NodeId, event: P::Event) {
        P::heard(world, node, event);
    }

    fn tick(world: &mut PlainWorld<Self>, client: u64) {
        P::tick(world, client);
    }

    fn judge(world: &PlainWorld<Self>, node: NodeId) -> Result<(), Violation> {
        P::judge(world, node)
    }

    fn is_finished(world: &PlainWorld<Self>) -> bool {
        P::is_finished(world)
    }
}
