//! `elect`: running for an office, or following who holds it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

use clap::Args;
use quorate_client::Client;
use quorate_client::etcd::etcdserverpb::{RangeResponse, WatchCreateRequest};
use quorate_client::etcd::mvccpb::event::EventType;

use super::failure::{ERROR, Failure};
use super::global::Global;
use super::output::Output;
use super::{answers, lock};

/// The lease of a candidate.
const SESSION_TTL: Duration = Duration::from_secs(60);

/// Observes and participates in leader election
#[derive(Debug, Args)]
#[command(
    after_help = "With a proposal it runs for the office, prints its key and proposal when elected, and holds the
office until it is interrupted. With -l it prints who is elected, and every change.

Examples:
  quorate elect scheduler host1
  quorate elect scheduler -l"
)]
pub struct Arguments {
    /// Name of the election, and what to say when elected
    #[arg(value_name = "ELECTION [PROPOSAL]")]
    words: Vec<OsString>,
    /// observation mode
    #[arg(long, short)]
    listen: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    match (&arguments.words[..], arguments.listen) {
        ([name], true) => observe(name.as_bytes(), global).await,
        ([name, proposal], false) => {
            campaign(name.as_bytes(), proposal.clone().into_vec(), global).await
        }
        ([_], false) => Err(Failure::arguments("no proposal argument but -l not set")),
        ([_, _], true) => Err(Failure::arguments("proposal given but -l is set")),
        ([] | [_, _, _, ..], _) => Err(Failure::arguments(
            "elect takes one election name argument and an optional proposal argument",
        )),
    }
}

async fn campaign(name: &[u8], proposal: Vec<u8>, global: &Global) -> Result<(), Failure> {
    let client = global.client()?;
    let session = client.session(SESSION_TTL).await?;
    let place = lock::stand(&client, name, &session, proposal).await?;
    let held = lock::hold(&client, &place, &session, "elect: session expired", global).await;
    let closed = session.close().await;
    held?;
    Ok(closed?)
}

async fn observe(name: &[u8], global: &Global) -> Result<(), Failure> {
    let client = global.client()?;
    let mut output = global.output()?;
    tokio::select! {
        ended = follow(&client, name, &mut output) => ended,
        () = lock::interrupted() => Ok(()),
    }
}

/// Prints who is elected, what it proposes, and who comes after it.
async fn follow(client: &Client, name: &[u8], output: &mut Output) -> Result<(), Failure> {
    let prefix = [name, b"/"].concat();
    loop {
        let first = client.first_in_line(name).await?;
        let revision = first.header.map_or(0, |header| header.revision);
        let elected = first.kvs.first().cloned();
        let watched = elected.as_ref().map(|pair| pair.key.clone());
        if let Some(pair) = elected {
            print(output, RangeResponse { kvs: vec![pair], more: false, count: 0, ..first })?;
        }
        // The key of the elected, or whoever comes first.
        let request = match watched {
            Some(key) => WatchCreateRequest { key, ..WatchCreateRequest::default() },
            None => WatchCreateRequest {
                key: prefix.clone().into(),
                range_end: quorate_client::prefix_end(&prefix),
                ..WatchCreateRequest::default()
            },
        };
        let waits = !request.range_end.is_empty();
        let start_revision = revision + 1;
        let mut watcher = client.watch(WatchCreateRequest { start_revision, ..request }).await?;
        'watching: loop {
            let Some(answer) = watcher.next().await? else { break };
            if answer.canceled {
                return Err(Failure::new(ERROR, "elect: observer lost"));
            }
            for event in answer.events {
                if waits || event.r#type() == EventType::Delete {
                    break 'watching;
                }
                let kvs = event.kv.into_iter().collect();
                print(output, RangeResponse { header: answer.header, kvs, ..Default::default() })?;
            }
        }
    }
}

fn print(output: &mut Output, answer: RangeResponse) -> Result<(), Failure> {
    answers::range(output, &answer)?;
    output.flush()
}
