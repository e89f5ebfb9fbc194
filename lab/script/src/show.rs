//! Words for what members say and do, short enough to read a story by.

use bytes::Bytes;
use quorate_base::NodeId;
use quorate_raft::{Entry, Event, LogId, Membership, Message, Role, Write};
use std::collections::BTreeSet;

/// `5@2` is entry 5 of term 2.
pub fn id(id: LogId) -> String {
    format!("{}@{}", id.index, id.term)
}

/// An entry with its payload.
pub fn entry(entry: &Entry) -> String {
    if entry.payload.is_empty() {
        return format!("{}@{}", entry.index, entry.term);
    }
    match Membership::of_payload(&entry.payload) {
        Some(config) => format!("{}@{}={}", entry.index, entry.term, membership(&config)),
        None => format!("{}@{}={}", entry.index, entry.term, text(&entry.payload)),
    }
}

/// `{1 2 3}`, `{1 2 3 learners 4}`, or `{1 2 4 from 1 2 3}` during a change.
pub fn membership(membership: &Membership) -> String {
    let words = |set: &BTreeSet<NodeId>| {
        set.iter().map(|node| node.0.to_string()).collect::<Vec<_>>().join(" ")
    };
    let Membership { voters, outgoing, learners } = membership;
    let part = |name: &str, set: &BTreeSet<NodeId>| {
        if set.is_empty() { String::new() } else { format!(" {name} {}", words(set)) }
    };
    format!("{{{}{}{}}}", words(voters), part("from", outgoing), part("learners", learners))
}

/// Entries in brackets.
pub fn entries(list: &[Entry]) -> String {
    let words: Vec<String> = list.iter().map(entry).collect();
    format!("[{}]", words.join(" "))
}

fn text(bytes: &Bytes) -> String {
    if bytes.len() > 16 {
        return format!("({} bytes)", bytes.len());
    }
    String::from_utf8_lossy(bytes).replace('\n', "|")
}

fn node(id: Option<NodeId>) -> String {
    id.map_or("-".to_string(), |id| id.to_string())
}

/// The name of a message's kind.
pub fn kind(message: &Message) -> &'static str {
    match message {
        Message::PreVote { .. } => "PreVote",
        Message::PreVoteReply { .. } => "PreVoteReply",
        Message::Vote { .. } => "Vote",
        Message::VoteReply { .. } => "VoteReply",
        Message::Append { .. } => "Append",
        Message::Appended { .. } => "Appended",
        Message::AppendRefused { .. } => "AppendRefused",
        Message::Heartbeat { .. } => "Heartbeat",
        Message::HeartbeatReply { .. } => "HeartbeatReply",
        Message::ReadIndex { .. } => "ReadIndex",
        Message::ReadIndexReply { .. } => "ReadIndexReply",
        Message::SnapshotChunk { .. } => "SnapshotChunk",
        Message::SnapshotAck { .. } => "SnapshotAck",
        Message::TimeoutNow { .. } => "TimeoutNow",
    }
}

/// One message on one line.
pub fn message(message: &Message) -> String {
    let body = match message {
        Message::PreVote { last, .. } => format!("last={}", id(*last)),
        Message::PreVoteReply { granted, .. } | Message::VoteReply { granted, .. } => {
            if *granted { "granted" } else { "refused" }.to_string()
        }
        Message::Vote { last, transfer, .. } => {
            format!("last={}{}", id(*last), if *transfer { " transfer" } else { "" })
        }
        Message::Append { prev, entries: list, commit, .. } => {
            format!("prev={} {} commit={commit}", id(*prev), entries(list))
        }
        Message::Appended { matched, .. } => format!("matched={matched}"),
        Message::AppendRefused { prev_index, hint, .. } => {
            format!("prev={prev_index} hint={}", id(*hint))
        }
        Message::Heartbeat { round, commit, .. } => format!("round={round} commit={commit}"),
        Message::HeartbeatReply { round, .. } => format!("round={round}"),
        Message::ReadIndex { token, .. } => format!("token={token}"),
        Message::ReadIndexReply { token, index, .. } => format!("token={token} index={index}"),
        Message::SnapshotChunk { meta, after, next, done, .. } => {
            let done = if *done { " done" } else { "" };
            format!("last={} ({}..{}]{done}", id(meta.last), text(after), text(next))
        }
        Message::SnapshotAck { last, cursor, .. } => {
            format!("last={} cursor=({})", id(*last), text(cursor))
        }
        Message::TimeoutNow { .. } => String::new(),
    };
    format!("{} term={} {body}", kind(message), message.term()).trim_end().to_string()
}

/// One write on one line.
pub fn write(write: &Write) -> String {
    match write {
        Write::Vote { term, vote } => format!("Vote term={term} vote={}", node(*vote)),
        Write::Append(list) => format!("Append {}", entries(list)),
        Write::Commit(index) => format!("Commit {index}"),
        Write::Snapshot(meta) => format!("Snapshot last={}", id(meta.last)),
        Write::Compact(meta) => format!("Compact base={}", id(meta.last)),
    }
}

/// The name of a write's kind.
pub fn write_kind(write: &Write) -> &'static str {
    match write {
        Write::Vote { .. } => "write Vote",
        Write::Append(_) => "write Append",
        Write::Commit(_) => "write Commit",
        Write::Snapshot(_) => "write Snapshot",
        Write::Compact(_) => "write Compact",
    }
}

/// The name of an event's kind; a new leader has its own.
pub fn event_kind(event: &Event) -> &'static str {
    match event {
        Event::Committed(_) => "committed",
        Event::Status { role: Role::Leader, .. } => "leads",
        Event::Status { .. } => "status",
        Event::ReadReady { .. } => "read answered",
        Event::ReadDropped(_) => "read dropped",
        Event::NotLeader(_) => "refused",
        Event::ChangeRefused { .. } => "change refused",
        Event::ReadLog { .. } => "log read",
        Event::ChunkNeeded { .. } => "chunk needed",
        Event::ChunksDone { .. } => "chunks done",
        Event::InstallChunk { .. } => "chunk stored",
    }
}

/// A role in lower case.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// One event on one line.
pub fn event(event: &Event) -> String {
    match event {
        Event::Committed(list) => format!("commits {}", entries(list)),
        Event::Status { role: now, term, leader } => {
            format!("is {} term={term} leader={}", role(*now), node(*leader))
        }
        Event::ReadReady { token, index } => format!("answers read {token} at {index}"),
        Event::ReadDropped(tokens) => format!("drops reads {tokens:?}"),
        Event::NotLeader(payload) => format!("refuses {}", text(payload)),
        Event::ChangeRefused { why } => format!("changes nothing: {why:?}"),
        Event::ReadLog { to, from, .. } => format!("reads its log from {from} for {to}"),
        Event::ChunkNeeded { to, after } => {
            format!("needs a chunk after ({}) for {to}", text(after))
        }
        Event::ChunksDone { to } => format!("needs no more chunks for {to}"),
        Event::InstallChunk { meta, after, next, done, .. } => {
            let done = if *done { " done" } else { "" };
            format!("stores a chunk of {} ({}..{}]{done}", id(meta.last), text(after), text(next))
        }
    }
}
