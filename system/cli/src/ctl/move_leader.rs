//! `move-leader`: hands leadership to another member.

use clap::Args;
use quorate_client::Client;
use quorate_client::etcd::etcdserverpb::{
    MemberListRequest, MoveLeaderRequest, MoveLeaderResponse, StatusRequest,
};

use super::failure::{ERROR, Failure};
use super::global::Global;
use super::output::{Format, Output};

/// Arguments of `move-leader`.
#[derive(Debug, Args)]
#[command(
    about = "Transfers leadership to another etcd cluster member",
    after_help = "The leader itself must be among --endpoints: only it can hand over.

Examples:
  quorate move-leader 91bc3c398fb3c146

  # Before this member goes down: to whoever else votes; nothing to do if it does not lead
  quorate move-leader --away --endpoints http://127.0.0.1:2379"
)]
pub struct Arguments {
    /// The id of the member that shall lead, as `member list` prints it
    id: Option<String>,
    /// From the members at --endpoints to any other, if one of them leads
    #[arg(long, conflicts_with = "id")]
    away: bool,
}

/// A leader that was asked, and how to reach it.
struct Leading {
    id: u64,
    member: Client,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let target = match (&arguments.id, arguments.away) {
        (Some(id), _) => Some(u64::from_str_radix(id, 16).map_err(Failure::arguments)?),
        (None, true) => None,
        (None, false) => return Err(Failure::arguments("move-leader command needs 1 argument")),
    };
    let mut output = global.output()?;
    let client = global.client()?;
    let endpoints = global.endpoints()?;
    let mut answered = false;
    for endpoint in &endpoints {
        let Ok(member) = client.only(endpoint) else { continue };
        let Ok(status) = member.status(StatusRequest {}).await else { continue };
        answered = true;
        let id = status.header.map_or(0, |header| header.member_id);
        if status.leader != id {
            continue;
        }
        let leading = Leading { id, member };
        let (target_id, answer) = match target {
            Some(target_id) => {
                (target_id, leading.member.move_leader(MoveLeaderRequest { target_id }).await?)
            }
            None => match hand_over(&leading).await? {
                Some(done) => done,
                None => return nothing(output, &format!("{id:x} is the only member that votes")),
            },
        };
        match output.format {
            Format::Simple => {
                output.line(format!("Leadership transferred from {id:x} to {target_id:x}"));
            }
            Format::Protobuf => output.message(&answer),
            Format::Json => {
                let header = super::json::header(answer.header.as_ref());
                output.line(super::json::Object::new().optional("header", header).end());
            }
            Format::Fields | Format::Table => return Err(output.unsupported()),
        }
        return output.flush();
    }
    if arguments.away && answered {
        return nothing(output, "no member at these endpoints leads");
    }
    Err(Failure::new(ERROR, format!("no leader endpoint given at {endpoints:?}")))
}

fn nothing(mut output: Output, why: &str) -> Result<(), Failure> {
    output.line(format!("Nothing to hand over: {why}"));
    output.flush()
}

/// Gives leadership to the first of the other voters that takes it; `None` when there is none.
async fn hand_over(leading: &Leading) -> Result<Option<(u64, MoveLeaderResponse)>, Failure> {
    let list = leading.member.member_list(MemberListRequest::default()).await?;
    let voters = list.members.iter().filter(|member| !member.is_learner && member.id != leading.id);
    let mut refused = None;
    for voter in voters {
        let target_id = voter.id;
        match leading.member.move_leader(MoveLeaderRequest { target_id }).await {
            Ok(answer) => return Ok(Some((target_id, answer))),
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(None), |error| Err(error.into()))
}
