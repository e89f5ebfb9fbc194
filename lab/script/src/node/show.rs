//! Words for what nodes say to each other and to their hosts.

use super::{GROUP, command};
use crate::show;
use bytes::Bytes;
use quorate_node::{Ask, Event, Message, Tagged};
use quorate_raft as raft;

/// The name of a message's kind: consensus goes by its own names.
pub(super) fn kind(message: &Tagged<Message>) -> &'static str {
    match &message.body {
        Message::Raft(message) => show::kind(message),
        Message::Forward(_) => "Forward",
        Message::Ask { .. } => "Ask",
        Message::Told(_) => "Told",
    }
}

/// One message on one line.
pub(super) fn message(message: &Tagged<Message>) -> String {
    let body = match &message.body {
        Message::Raft(message) => show::message(message),
        Message::Forward(payloads) => {
            let words: Vec<_> = payloads.iter().map(payload).collect();
            format!("Forward [{}]", words.join(", "))
        }
        Message::Ask { applied, asks } => {
            let words: Vec<String> =
                asks.iter().map(|(token, ask)| format!("{token}: {}", question(*ask))).collect();
            format!("Ask applied={applied} [{}]", words.join(", "))
        }
        Message::Told(answers) => {
            let words: Vec<String> =
                answers.iter().map(|(token, seconds)| format!("{token}: {seconds}s")).collect();
            format!("Told [{}]", words.join(", "))
        }
    };
    if message.group == GROUP { body } else { format!("{} {body}", message.group) }
}

fn payload(payload: &Bytes) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

fn question(ask: Ask) -> String {
    match ask {
        Ask::Renew(id) => format!("renew {id}"),
        Ask::Remaining(id) => format!("remaining {id}"),
        Ask::CaughtUp(id) => format!("caught up {id}"),
    }
}

/// The name of an event's kind.
pub(super) fn event_kind(event: &Event) -> &'static str {
    match event {
        Event::Committed(_) => "committed",
        Event::ReadReady { .. } => "read answered",
        Event::ReadFailed { .. } => "read dropped",
        Event::Told { .. } => "told",
        Event::Leases { .. } => "leases",
        Event::AskFailed { .. } => "ask failed",
        Event::Act(_) => "act",
        Event::Status { role: raft::Role::Leader, .. } => "leads",
        Event::Status { .. } => "status",
        Event::Raft(event) => show::event_kind(event),
    }
}

/// One event on one line.
pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Committed(entries) => format!("commits {}", show::entries(entries)),
        Event::ReadReady { tokens, index } => format!("answers reads {tokens:?} at {index}"),
        Event::ReadFailed { tokens } => format!("gives up reads {tokens:?}"),
        Event::Told { token, seconds } => format!("is told {seconds}s for question {token}"),
        Event::Leases { token, ids } => format!("lists leases {ids:?} for {token}"),
        Event::AskFailed { token } => format!("gives up question {token}"),
        Event::Act(action) => format!("wants `{}` in the log", command::action(action)),
        Event::Status { role, term, leader } => {
            show::event(&raft::Event::Status { role: *role, term: *term, leader: *leader })
        }
        Event::Raft(event) => show::event(event),
    }
}
