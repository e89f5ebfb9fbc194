//! `compaction`: forgetting history.

use std::ffi::OsString;

use clap::Args;
use quorate_client::etcd::etcdserverpb::CompactionRequest;

use super::failure::{ERROR, Failure};
use super::global::Global;
use super::units::parse_number;

/// Compacts the event history
#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate compaction 1234    revisions before 1234 can no longer be read or watched")]
pub struct Arguments {
    /// History before this revision goes
    #[arg(value_name = "REVISION")]
    revision: Vec<OsString>,
    /// Wait until the old revisions are gone from disk
    #[arg(long)]
    physical: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let [revision] = arguments.revision.as_slice() else {
        return Err(Failure::arguments("compaction command needs 1 argument"));
    };
    let revision = parse_number(&revision.to_string_lossy(), 10)
        .map_err(|reason| Failure::new(ERROR, reason))?;
    let mut output = global.output()?;
    let request = CompactionRequest { revision, physical: arguments.physical };
    global.client()?.compact(request).await?;
    output.line(format!("compacted revision {revision}"));
    output.flush()
}
