//! What a server thinks, without the server.
//!
//! A [`Node`] is a router over consensus groups; each group ([`Strong`] so far) wraps its consensus
//! with what clients need of a member: forwarding, retries that cannot apply twice, shared read
//! indices, leases counted down by the leader, log compaction. All of it is one [`Protocol`] value,
//! so the host drives it with a real disk and network, and the simulator with bad ones.
//!
//! Deliberately absent: applying (that is `store::Applier`, beside this and behind a queue),
//! encoding (payloads are opaque here, but for the actions that the leader itself asks for), and
//! connections: peers are [`NodeId`]s. What can be said of those without a socket stands beside the
//! protocol, for the host and the simulator alike: whom to speak to and to hear ([`Roster`]), what a
//! member must know before it speaks ([`newcomer`]) and how it learns that ([`learning`]), which changes of members are refused ([`strict`]).
//!
//! [`Protocol`]: quorate_base::Protocol
//! [`NodeId`]: quorate_base::NodeId

#![forbid(unsafe_code)]

pub mod learning;
mod leases;
mod message;
pub mod newcomer;
mod node;
mod roster;
mod seats;
pub mod strict;
mod strong;

pub use message::{Ask, Config, Event, GroupId, LeaseChange, Message, Request, Seat, Tagged};
pub use node::Node;
pub use roster::{Contact, Door, FAREWELL, Roster, Visitor};
pub use seats::seats;
pub use strong::Strong;
