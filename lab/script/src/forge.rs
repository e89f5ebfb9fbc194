//! Letters that no honest member wrote: `inject kind=Heartbeat term=3 …`.

use crate::Fallible;
use crate::args::Args;
use quorate_raft::{LogId, Message};

/// Builds the message that the arguments describe; numbers that are not given are zero.
pub(crate) fn message(args: &Args) -> Fallible<Message> {
    let number = |name: &str| args.key::<u64>(name).map(Option::unwrap_or_default);
    let kind: String = args.key("kind")?.ok_or("what kind?")?;
    let term = number("term")?;
    let id = LogId { term: number("id_term")?, index: number("id_index")? };
    let granted = args.key("granted")?.unwrap_or(true);
    let (round, commit) = (number("round")?, number("commit")?);
    Ok(match kind.as_str() {
        "PreVote" => Message::PreVote { term, last: id },
        "PreVoteReply" => Message::PreVoteReply { term, granted },
        "Vote" => Message::Vote { term, last: id, transfer: false },
        "VoteReply" => Message::VoteReply { term, granted },
        "Append" => Message::Append { term, prev: id, entries: Vec::new(), commit },
        "Appended" => Message::Appended { term, matched: number("matched")? },
        "AppendRefused" => {
            Message::AppendRefused { term, prev_index: number("prev_index")?, hint: id }
        }
        "Heartbeat" => Message::Heartbeat { term, round, commit },
        "HeartbeatReply" => Message::HeartbeatReply { term, round },
        "ReadIndex" => Message::ReadIndex { term, token: number("token")? },
        "ReadIndexReply" => {
            let (token, index) = (number("token")?, number("index")?);
            Message::ReadIndexReply { term, token, index }
        }
        "TimeoutNow" => Message::TimeoutNow { term },
        other => return Err(format!("cannot forge a `{other}`").into()),
    })
}
