//! Commands as stories write them into the log: short text, with the operation id in front.
//!
//! `n2/1:a` is operation 1 of member 2 and sets the key `a`; `n2.1/1:a` is one of its second life.
//! Without an id nothing is deduplicated. Besides keys there are `a lease 5`, `grant 5 60`,
//! `revoke 5`, and what a leader's clock decides in term 1: `revoke 5 @1`, `left 5=250 @1`.

use crate::Fallible;
use quorate_base::NodeId;
use quorate_store::{Action, Command, OpId, Put};

/// Lives that one member can have in a story.
const LIVES: u64 = 1000;

/// The origin of operations of a member in one of its lives.
pub(super) fn origin(id: NodeId, life: u64) -> u64 {
    assert!(life < LIVES, "{id} cannot have {life} lives");
    id.0 * LIVES + life
}

/// An operation id in words.
pub(super) fn operation(id: OpId) -> String {
    let (node, life) = (NodeId(id.origin / LIVES), id.origin % LIVES);
    let life = if life == 0 { String::new() } else { format!(".{life}") };
    format!("{node}{life}/{}", id.seq)
}

/// A command in words.
pub(super) fn write(command: &Command) -> String {
    let words = action(&command.action);
    if command.id.seq == 0 { words } else { format!("{}:{words}", operation(command.id)) }
}

/// An action in words; those that no story proposes are shown as they are in memory.
pub(super) fn action(action: &Action) -> String {
    match action {
        Action::Put(Put { key, lease: 0, .. }) => String::from_utf8_lossy(key).into_owned(),
        Action::Put(put) => format!("{} lease {}", String::from_utf8_lossy(&put.key), put.lease),
        Action::LeaseGrant { id, ttl } => format!("grant {id} {ttl}"),
        Action::LeaseRevoke { id, term: None } => format!("revoke {id}"),
        Action::LeaseRevoke { id, term: Some(term) } => format!("revoke {id} @{term}"),
        Action::LeaseCheckpoint { term, remaining } => {
            let left: Vec<String> =
                remaining.iter().map(|(id, left)| format!("{id}={left}")).collect();
            format!("left {} @{term}", left.join(" "))
        }
        Action::Delete(_)
        | Action::Txn(_)
        | Action::Compact { .. }
        | Action::Alarm { .. }
        | Action::Guard(_)
        | Action::Member(_)
        | Action::Auth(_)
        | Action::Downgrade(_)
        | Action::AuditCheckpoint { .. } => format!("{action:?}"),
    }
}

/// The command that these words are of.
///
/// # Errors
/// When they are of none.
pub(super) fn parse(payload: &[u8]) -> Fallible<Command> {
    let text = std::str::from_utf8(payload)?;
    let (id, words) = match text.split_once(':') {
        Some((id, words)) => (parse_operation(id)?, words),
        None => (OpId::default(), text),
    };
    let words: Vec<&str> = words.split(' ').collect();
    let term = |word: &str| -> Fallible<u64> {
        Ok(word.strip_prefix('@').ok_or_else(|| format!("`{word}` is no term"))?.parse()?)
    };
    let action = match words.as_slice() {
        ["grant", id, ttl] => Action::LeaseGrant { id: id.parse()?, ttl: ttl.parse()? },
        ["revoke", id] => Action::LeaseRevoke { id: id.parse()?, term: None },
        ["revoke", id, by] => Action::LeaseRevoke { id: id.parse()?, term: Some(term(by)?) },
        ["left", left @ .., by] => {
            let pair = |pair: &&str| -> Fallible<(i64, i64)> {
                let (id, left) = pair.split_once('=').ok_or("a lease has time left: 5=250")?;
                Ok((id.parse()?, left.parse()?))
            };
            let remaining = left.iter().map(pair).collect::<Fallible<_>>()?;
            Action::LeaseCheckpoint { term: term(by)?, remaining }
        }
        [key, "lease", lease] => Action::Put(put(key, lease.parse()?)),
        [key] => Action::Put(put(key, 0)),
        _ => return Err(format!("`{text}` is no command").into()),
    };
    Ok(Command::new(id, action))
}

/// A key that is set; its value does not matter to a story about members.
fn put(key: &str, lease: i64) -> Put {
    Put { key: key.as_bytes().to_vec().into(), lease, ..Put::default() }
}

pub(crate) fn parse_operation(text: &str) -> Fallible<OpId> {
    let wrong = || format!("`{text}` is no operation id");
    let (member, seq) = text.split_once('/').ok_or_else(wrong)?;
    let (node, life) = member.split_once('.').unwrap_or((member, "0"));
    let node = u64::from_str_radix(node.strip_prefix('n').ok_or_else(wrong)?, 16)?;
    Ok(OpId { origin: origin(NodeId(node), life.parse()?), seq: seq.parse()?, floor: 0 })
}
