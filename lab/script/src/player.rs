//! What a story needs of the protocol that it is told about.
//!
//! The world of a story is the same for every protocol built on consensus: disks, wires, a state
//! machine that lists what it applied, judges. A [`Player`] says how one protocol takes part in it:
//! how it wakes up, which of its words are those of consensus, what the host beside it does (its
//! *desk*), and which verbs and expectations are its own. [`Raft`] itself has next to nothing of its
//! own; a [`Node`](quorate_node::Node) has proposals, reads and leases.

use crate::args::Args;
use crate::{Fallible, forge, show};
use quorate_base::{Dice, Instant, NodeId, Protocol};
use quorate_raft::{self as raft, Config, Entry, Raft, Restored};
use std::fmt::Debug;

/// A protocol that stories can be told about. See the module's essay.
pub trait Player: Protocol + Clone + Debug {
    /// What a member is told at its start besides consensus.
    type Settings: Clone + Debug;
    /// What the host beside a member keeps; all but what it applied is lost in a crash.
    type Desk: Debug + Default;

    /// Reads the settings from `cluster …`.
    ///
    /// # Errors
    /// When a value cannot be read.
    fn settings(args: &Args) -> Fallible<Self::Settings>;

    /// A member that starts with what its disk holds.
    fn wake(
        settings: &Self::Settings,
        config: Config,
        restored: Restored,
        dice: Dice,
        now: Instant,
    ) -> Self;

    /// The consensus in it, for the judges.
    fn raft(&self) -> &Raft;

    /// The words of consensus in a message, if it has any.
    fn consensus(message: &Self::Message) -> Option<&raft::Message>;

    /// A write as the disk performs it.
    fn plain(write: Self::Write) -> raft::Write;

    /// A request to the consensus in it.
    fn ask(request: raft::Request) -> Self::Request;

    /// The token of a linearizable read, if this request begins one.
    fn read_token(request: &Self::Request) -> Option<u64>;

    /// The name of a message's kind.
    fn kind(message: &Self::Message) -> &'static str;

    /// One message on one line.
    fn message(message: &Self::Message) -> String;

    /// The name of an event's kind.
    fn event_kind(event: &Self::Event) -> &'static str;

    /// One event on one line.
    fn event(event: &Self::Event) -> String;

    /// What the host does with an event.
    fn hear(desk: &mut Self::Desk, event: Self::Event) -> Heard<Self>;

    /// The desk of a member that starts: its `life`th life (from 0), over what it has applied.
    fn open(id: NodeId, life: u64, state: &[Entry]) -> (Self::Desk, Vec<Self::Request>);

    /// These entries were applied.
    fn applied(desk: &mut Self::Desk, entries: &[Entry]) -> Served<Self>;

    /// A leader's state took the place of the member's own, which consensus must be told.
    fn installed(desk: &mut Self::Desk, told: raft::Request, state: &[Entry]) -> Served<Self>;

    /// The state up to `index` is durable: the log may forget it.
    fn compact(index: u64) -> Self::Request;

    /// The requests of a verb of this protocol, or `None` for a verb that it does not know.
    ///
    /// # Errors
    /// When an argument is missing or cannot be read.
    fn request(
        desk: &mut Self::Desk,
        verb: &str,
        args: &Args,
    ) -> Fallible<Option<Vec<Self::Request>>>;

    /// The message that `inject …` describes.
    ///
    /// # Errors
    /// When the kind is unknown or a number cannot be read.
    fn forge(args: &Args) -> Fallible<Self::Message>;

    /// What `status` adds about a running member.
    fn status(&self, desk: &Self::Desk) -> String;

    /// The value of an expectation that is this protocol's own; `member` is absent while it is down.
    ///
    /// # Errors
    /// When the key needs a running member.
    fn look(member: Option<&Self>, desk: &Self::Desk, key: &str) -> Fallible<Option<String>>;
}

/// What an event comes to.
#[derive(Clone, Debug)]
pub struct Heard<P: Player> {
    /// The same in the words of consensus, which every host handles alike.
    pub consensus: Vec<raft::Event>,
    /// What the host asks of the member because of it.
    pub requests: Vec<P::Request>,
}

/// What the host does after it changed its state.
#[derive(Clone, Debug)]
pub struct Served<P: Player> {
    /// What it tells the member.
    pub requests: Vec<P::Request>,
    /// What the trace says about it, after the member's name.
    pub notes: Vec<String>,
}

impl Player for Raft {
    type Settings = ();
    type Desk = ();

    fn settings(_args: &Args) -> Fallible<()> {
        Ok(())
    }

    fn wake(_: &(), config: Config, restored: Restored, dice: Dice, now: Instant) -> Raft {
        Raft::new(config, restored, dice, now)
    }

    fn raft(&self) -> &Raft {
        self
    }

    fn consensus(message: &raft::Message) -> Option<&raft::Message> {
        Some(message)
    }

    fn plain(write: raft::Write) -> raft::Write {
        write
    }

    fn ask(request: raft::Request) -> raft::Request {
        request
    }

    fn read_token(request: &raft::Request) -> Option<u64> {
        if let raft::Request::Read { token } = request { Some(*token) } else { None }
    }

    fn kind(message: &raft::Message) -> &'static str {
        show::kind(message)
    }

    fn message(message: &raft::Message) -> String {
        show::message(message)
    }

    fn event_kind(event: &raft::Event) -> &'static str {
        show::event_kind(event)
    }

    fn event(event: &raft::Event) -> String {
        show::event(event)
    }

    fn hear(_desk: &mut (), event: raft::Event) -> Heard<Raft> {
        Heard { consensus: vec![event], requests: Vec::new() }
    }

    fn open(_id: NodeId, _life: u64, _state: &[Entry]) -> ((), Vec<raft::Request>) {
        ((), Vec::new())
    }

    fn applied(_desk: &mut (), entries: &[Entry]) -> Served<Raft> {
        let last = entries.last().map(|entry| raft::Request::Applied { index: entry.index });
        Served { requests: last.into_iter().collect(), notes: Vec::new() }
    }

    fn installed(_desk: &mut (), told: raft::Request, _state: &[Entry]) -> Served<Raft> {
        Served { requests: vec![told], notes: Vec::new() }
    }

    fn compact(index: u64) -> raft::Request {
        raft::Request::Compact { index }
    }

    fn request(_desk: &mut (), verb: &str, args: &Args) -> Fallible<Option<Vec<raft::Request>>> {
        Ok(Some(match verb {
            "read" => {
                args.numbers(1)?.into_iter().map(|token| raft::Request::Read { token }).collect()
            }
            "propose" => {
                let payloads = args.payloads(1)?.into_iter();
                payloads.map(|payload| raft::Request::Propose(payload.into())).collect()
            }
            _ => return Ok(None),
        }))
    }

    fn forge(args: &Args) -> Fallible<raft::Message> {
        forge::message(args)
    }

    fn status(&self, _desk: &()) -> String {
        String::new()
    }

    fn look(_member: Option<&Raft>, _desk: &(), _key: &str) -> Fallible<Option<String>> {
        Ok(None)
    }
}
