//! Stories of a node: consensus with what a server needs around it.
//!
//! Every member has one group. Its state machine is the real applier over an engine in memory
//! ([`Desk`]), so copies of an operation are passed over by whoever does so in a server. Commands
//! are short text (see `node/command.rs`); `n2/1:a` is operation 1 of member 2.
//!
//! | verb | what happens |
//! |---|---|
//! | `cluster … [catchup=0 patience=7s]` | entries kept behind a durable state; when questions fail |
//! | `propose 2 a b [lease=5]` | operations that set keys, all in one turn |
//! | `grant 2 5 60`, `revoke 2 5` | operations about lease 5 |
//! | `forget 2 1` | the caller of operation 1 gives up |
//! | `read 2 7 8` | linearizable reads, all in one turn |
//! | `ask 2 1 renew 5`, `ask 2 1 remaining 5` | question 1 about lease 5 |
//! | `list 2 1` | which leases does the member know? |
//! | `inject kind=Forward payload=a`, `kind=Ask token= renew=`, `kind=Told token= seconds=` | forged; any kind with `group=` |
//!
//! | key of `expect` | value |
//! |---|---|
//! | `open=` | proposals that the node keeps until it sees them applied |
//! | `answered= answer.1=` | operations whose callers have an answer, and which: `revision 2`, `unknown` |
//! | `copies=` | operation ids that the applier passed over |
//! | `rev= keys= leases=` | of the state |
//! | `told.1= listed.1=` | seconds, `failed` or `pending`; ids |
//! | `wanted=` | what the member wanted in the log as the leader |
//! | `strays=` | messages for groups that are not here |

mod command;
mod desk;
mod show;

pub(crate) use command::parse_operation;
pub use desk::Desk;

use crate::args::Args;
use crate::player::{Heard, Player, Served};
use crate::{Fallible, forge};
use quorate_base::{Dice, Instant, NodeId};
use quorate_node::{Ask, Config, Event, GroupId, Message, Node, Request, Strong, Tagged};
use quorate_raft::{self as raft, Entry, Raft, Restored};
use std::fmt::Display;
use std::time::Duration;

/// The one group of a story.
const GROUP: GroupId = GroupId(0);

/// What a node is told besides consensus.
#[derive(Clone, Debug)]
pub struct Settings {
    catchup_entries: u64,
    patience: Duration,
}

fn tagged<T>(body: T) -> Tagged<T> {
    Tagged { group: GROUP, body }
}

fn joined<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    words.join(" ")
}

impl Player for Node {
    type Settings = Settings;
    type Desk = Desk;

    fn settings(args: &Args) -> Fallible<Settings> {
        Ok(Settings {
            catchup_entries: args.key("catchup")?.unwrap_or(0),
            patience: args.time("patience")?.unwrap_or(Duration::from_secs(7)),
        })
    }

    fn wake(
        settings: &Settings,
        raft: raft::Config,
        restored: Restored,
        dice: Dice,
        now: Instant,
    ) -> Node {
        let Settings { catchup_entries, patience } = *settings;
        let promotes_learners = true;
        let config = Config { raft, catchup_entries, patience, promotes_learners };
        Node::new([(GROUP, Strong::new(config, restored, dice, now))].into())
    }

    fn raft(&self) -> &Raft {
        self.group(GROUP).expect("every member has the group").raft()
    }

    fn consensus(message: &Tagged<Message>) -> Option<&raft::Message> {
        match &message.body {
            Message::Raft(message) => Some(message),
            Message::Forward(_) | Message::Ask { .. } | Message::Told(_) => None,
        }
    }

    fn plain(write: Tagged<raft::Write>) -> raft::Write {
        assert_eq!(write.group, GROUP, "a write of a group that is not here");
        write.body
    }

    fn ask(request: raft::Request) -> Tagged<Request> {
        tagged(Request::Raft(request))
    }

    fn read_token(request: &Tagged<Request>) -> Option<u64> {
        if let Request::Read { token } = request.body { Some(token) } else { None }
    }

    fn kind(message: &Tagged<Message>) -> &'static str {
        show::kind(message)
    }

    fn message(message: &Tagged<Message>) -> String {
        show::message(message)
    }

    fn event_kind(event: &Tagged<Event>) -> &'static str {
        show::event_kind(&event.body)
    }

    fn event(event: &Tagged<Event>) -> String {
        show::event(&event.body)
    }

    fn hear(desk: &mut Desk, event: Tagged<Event>) -> Heard<Node> {
        let mut heard = Heard { consensus: Vec::new(), requests: Vec::new() };
        match event.body {
            Event::Committed(entries) => heard.consensus.push(raft::Event::Committed(entries)),
            Event::ReadReady { tokens, index } => {
                let ready = tokens.into_iter().map(|token| raft::Event::ReadReady { token, index });
                heard.consensus.extend(ready);
            }
            Event::ReadFailed { tokens } => {
                heard.consensus.push(raft::Event::ReadDropped(tokens));
            }
            Event::Told { token, seconds } => {
                desk.told.insert(token, Some(seconds));
            }
            Event::AskFailed { token } => {
                desk.told.insert(token, None);
            }
            Event::Leases { token, ids } => {
                desk.listed.insert(token, ids);
            }
            Event::Act(action) => heard.requests.push(desk.want(action)),
            Event::Status { role, term, leader } => {
                heard.consensus.push(raft::Event::Status { role, term, leader });
            }
            Event::Raft(event) => heard.consensus.push(event),
        }
        heard
    }

    fn open(id: NodeId, life: u64, state: &[Entry]) -> (Desk, Vec<Tagged<Request>>) {
        let mut desk = Desk::new(id, life);
        let mut requests = Vec::new();
        if !state.is_empty() {
            requests.push(desk.replace(state));
        }
        (desk, requests)
    }

    fn applied(desk: &mut Desk, entries: &[Entry]) -> Served<Node> {
        desk.apply(entries)
    }

    fn installed(desk: &mut Desk, told: raft::Request, state: &[Entry]) -> Served<Node> {
        desk.install(told, state)
    }

    fn compact(index: u64) -> Tagged<Request> {
        tagged(Request::Synced { index })
    }

    fn request(desk: &mut Desk, verb: &str, args: &Args) -> Fallible<Option<Vec<Tagged<Request>>>> {
        Ok(Some(match verb {
            "propose" => {
                let lease = args.key::<i64>("lease")?;
                let suffix = lease.map(|id| format!(" lease {id}")).unwrap_or_default();
                let words = args.payloads(1)?.into_iter();
                let words = words.map(|word| [word.as_slice(), suffix.as_bytes()].concat());
                words.map(|words| desk.propose(&words)).collect::<Fallible<_>>()?
            }
            "grant" | "revoke" => {
                let words = joined([verb].into_iter().chain(args.words().skip(1)));
                vec![desk.propose(words.as_bytes())?]
            }
            "forget" => args.numbers(1)?.into_iter().map(|seq| desk.forget(seq)).collect(),
            "read" => {
                let tokens = args.numbers(1)?.into_iter();
                tokens.map(|token| tagged(Request::Read { token })).collect()
            }
            "ask" => {
                let (token, lease) = (args.number(1)?, args.number(3)?);
                let ask = match args.word(2)? {
                    "renew" => Ask::Renew(lease),
                    "remaining" => Ask::Remaining(lease),
                    other => return Err(format!("nobody asks `{other}`").into()),
                };
                vec![tagged(Request::Ask { token, ask })]
            }
            "list" => vec![tagged(Request::ListLeases { token: args.number(1)? })],
            _ => return Ok(None),
        }))
    }

    fn forge(args: &Args) -> Fallible<Tagged<Message>> {
        let token = args.key("token")?.unwrap_or(0);
        let body = match args.key::<String>("kind")?.as_deref() {
            Some("Forward") => {
                let payload: String = args.key("payload")?.ok_or("which payload?")?;
                Message::Forward(vec![payload.into()])
            }
            Some("Ask") => {
                let applied = args.key("applied")?.unwrap_or(0);
                let lease = args.key("renew")?.ok_or("renew which lease?")?;
                Message::Ask { applied, asks: vec![(token, Ask::Renew(lease))] }
            }
            Some("Told") => Message::Told(vec![(token, args.key("seconds")?.unwrap_or(0))]),
            _ => Message::Raft(forge::message(args)?),
        };
        Ok(Tagged { group: GroupId(args.key("group")?.unwrap_or(0)), body })
    }

    fn status(&self, desk: &Desk) -> String {
        let strong = self.group(GROUP).expect("every member has the group");
        format!(" open={} rev={}", strong.pending_proposals(), desk.revision())
    }

    fn look(member: Option<&Node>, desk: &Desk, key: &str) -> Fallible<Option<String>> {
        if let Some((field, number)) = key.split_once('.') {
            let number = number.parse::<u64>()?;
            return Ok(match field {
                "answer" => {
                    Some(desk.answers.get(&number).cloned().unwrap_or_else(|| "pending".into()))
                }
                "told" => Some(match desk.told.get(&number) {
                    None => "pending".to_string(),
                    Some(None) => "failed".to_string(),
                    Some(Some(seconds)) => seconds.to_string(),
                }),
                "listed" => desk.listed.get(&number).map(joined),
                _ => None,
            });
        }
        let running = || member.ok_or("the member is down");
        Ok(Some(match key {
            "open" => {
                let strong = running()?.group(GROUP).expect("every member has the group");
                strong.pending_proposals().to_string()
            }
            "strays" => running()?.strays().to_string(),
            "answered" => joined(desk.answers.keys()),
            "copies" => joined(&desk.copies),
            "rev" => desk.revision().to_string(),
            "keys" => joined(desk.keys()),
            "leases" => joined(desk.leases()),
            "wanted" => desk.wanted.join(", "),
            _ => return Ok(None),
        }))
    }
}
