//! `defrag`: giving unused space back. Quorate needs no defragmentation and answers at once; etcd does it.

use std::time::Instant;

use clap::Args;
use quorate_client::etcd::etcdserverpb::DefragmentRequest;
use quorate_client::{Client, Error};

use super::endpoint::endpoints;
use super::failure::{ERROR, Failure};
use super::global::Global;
use super::units::format_duration;

/// Defragments the storage of the members with given endpoints
#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate defrag --cluster")]
pub struct Arguments {
    /// Every member that the cluster lists, not only the given endpoints
    #[arg(long)]
    cluster: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let client = global.client()?;
    let mut output = global.output()?;
    let mut failed = false;
    for endpoint in endpoints(arguments.cluster, &client, global).await? {
        let started = Instant::now();
        let result = defragment(&client, &endpoint).await;
        let took = format_duration(started.elapsed());
        match result {
            Ok(()) => {
                output.line(format!("Finished defragmenting etcd member[{endpoint}]. took {took}"));
                output.flush()?;
            }
            Err(error) => {
                failed = true;
                eprintln!("Failed to defragment etcd member[{endpoint}]. took {took}. ({error})");
            }
        }
    }
    if failed { Err(Failure::silent(ERROR)) } else { Ok(()) }
}

async fn defragment(client: &Client, endpoint: &str) -> Result<(), Error> {
    client.only(endpoint)?.defragment(DefragmentRequest {}).await?;
    Ok(())
}
