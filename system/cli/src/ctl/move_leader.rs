//! `move-leader`: hands leadership to another member.

use clap::Args;
use quorate_client::etcd::etcdserverpb::{MoveLeaderRequest, StatusRequest};

use super::failure::{ERROR, Failure};
use super::global::Global;
use super::output::Format;

/// Arguments of `move-leader`.
#[derive(Debug, Args)]
#[command(
    about = "Transfers leadership to another etcd cluster member",
    after_help = "The leader itself must be among --endpoints: only it can hand over.

Example:
  quorate move-leader 91bc3c398fb3c146"
)]
pub struct Arguments {
    /// The id of the member that shall lead, as `member list` prints it
    id: Option<String>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let missing = || Failure::arguments("move-leader command needs 1 argument");
    let id = arguments.id.ok_or_else(missing)?;
    let target_id = u64::from_str_radix(&id, 16).map_err(Failure::arguments)?;
    let mut output = global.output()?;
    let client = global.client()?;
    let endpoints = global.endpoints()?;
    for endpoint in &endpoints {
        let Ok(member) = client.only(endpoint) else { continue };
        let Ok(status) = member.status(StatusRequest {}).await else { continue };
        let me = status.header.map_or(0, |header| header.member_id);
        if status.leader != me {
            continue;
        }
        let answer = member.move_leader(MoveLeaderRequest { target_id }).await?;
        match output.format {
            Format::Simple => {
                output.line(format!("Leadership transferred from {me:x} to {target_id:x}"));
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
    Err(Failure::new(ERROR, format!("no leader endpoint given at {endpoints:?}")))
}
