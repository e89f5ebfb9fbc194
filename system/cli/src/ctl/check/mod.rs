//! `check perf` and `check datascale`: what a cluster bears, with etcd's workloads and limits.
//!
//! Workloads, keys, limits and lines are etcdctl's, so that the figures of the two can be compared. The load is open:
//! writes are due at a steady rate and go to as many connections as the workload names; while all of them wait, what is
//! due is not made up for.

mod datascale;
mod load;
mod perf;

use clap::{Args, Subcommand};
use quorate_client::Client;
use quorate_client::etcd::etcdserverpb::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, RangeRequest,
};
use quorate_client::prefix_end;

use super::failure::{BAD_FEATURE, Failure, INVALID_INPUT};
use super::global::Global;

/// The commands below `check`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the performance of the etcd cluster
    #[command(
        after_help = "Writes at a steady rate for 60 s: s 150, m 1,000, l 8,000, xl 15,000 a second, over 50, 200, 500 and
1,000 connections. It passes with 90% of the rate, no write above 500 ms and a deviation of at most 100 ms.

Example:
  quorate check perf --load=l"
    )]
    Perf {
        #[command(flatten)]
        arguments: Arguments,
        /// The prefix for writing the performance check's keys
        #[arg(long, default_value = "/etcdctl-check-perf/")]
        prefix: String,
    },
    /// Check the memory usage of holding data for different workloads on a given server endpoint
    #[command(
        after_help = "Writes 1 KiB pairs: s 10,000, m 100,000, l 1,000,000, xl 3,000,000, and compares the resident memory of
the first endpoint, from its /metrics, before and after.

Example:
  quorate check datascale --load=m"
    )]
    Datascale {
        #[command(flatten)]
        arguments: Arguments,
        /// The prefix for writing the datascale check's keys
        #[arg(long, default_value = "/etcdctl-check-datascale/")]
        prefix: String,
    },
}

/// Arguments of both.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The workload: s(small), m(medium), l(large), xl(xLarge)
    #[arg(long, default_value = "s")]
    load: String,
    /// Compact storage with last revision after test is finished
    #[arg(long)]
    auto_compact: bool,
    /// Defragment storage after test is finished
    #[arg(long)]
    auto_defrag: bool,
}

/// A size of workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Small,
    Medium,
    Large,
    ExtraLarge,
}

impl Arguments {
    fn size(&self) -> Result<Size, Failure> {
        match self.load.as_str() {
            "s" | "small" => Ok(Size::Small),
            "m" | "medium" => Ok(Size::Medium),
            "l" | "large" => Ok(Size::Large),
            "xl" | "xLarge" => Ok(Size::ExtraLarge),
            other => Err(Failure::new(BAD_FEATURE, format!("unknown load option {other}"))),
        }
    }
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::Perf { arguments, prefix } => perf::run(&arguments, &prefix, global).await,
        Command::Datascale { arguments, prefix } => {
            datascale::run(&arguments, &prefix, global).await
        }
    }
}

/// A client per connection.
fn clients(global: &Global, count: usize) -> Result<Vec<Client>, Failure> {
    (0..count).map(|_| global.client_with_timeout(Some(load::PATIENCE))).collect()
}

/// Refuses to write where there are keys already: they would be deleted afterwards.
async fn check_is_empty(client: &Client, prefix: &str, way_out: &str) -> Result<(), Failure> {
    let request = RangeRequest { limit: 1, ..under(prefix) };
    if client.range(request).await?.kvs.is_empty() {
        return Ok(());
    }
    let message = format!("prefix {prefix:?} has keys. Delete with {way_out} first");
    Err(Failure::new(INVALID_INPUT, message))
}

fn under(prefix: &str) -> RangeRequest {
    let (key, range_end) = (prefix.to_owned().into(), prefix_end(prefix.as_bytes()));
    RangeRequest { key, range_end, ..RangeRequest::default() }
}

/// Keys that a clean-up deletes in one request: a cluster in use should not stand still for a million.
const DELETED_AT_ONCE: i64 = 10_000;

/// Deletes the keys of the check; the revision of that.
async fn clean_up(client: &Client, prefix: &str) -> Result<i64, quorate_client::Error> {
    let RangeRequest { mut key, range_end, .. } = under(prefix);
    loop {
        let left = RangeRequest {
            key: key.clone(),
            range_end: range_end.clone(),
            limit: DELETED_AT_ONCE + 1,
            keys_only: true,
            ..RangeRequest::default()
        };
        // The first key of the next request ends this one.
        let mut left = client.range(left).await?.kvs;
        let next = left.pop().filter(|_| left.len() as i64 == DELETED_AT_ONCE).map(|kv| kv.key);
        let until = next.clone().unwrap_or_else(|| range_end.clone());
        let request = DeleteRangeRequest { key, range_end: until, prev_kv: false };
        let answer = client.delete_range(request).await?;
        match next {
            Some(next) => key = next,
            None => return Ok(answer.header.map_or(0, |header| header.revision)),
        }
    }
}

async fn compact(client: &Client, revision: i64) -> Result<(), Failure> {
    println!("Compacting with revision {revision}");
    client.compact(CompactionRequest { revision, physical: true }).await?;
    println!("Compacted with revision {revision}");
    Ok(())
}

async fn defragment(client: &Client) -> Result<(), Failure> {
    for endpoint in &client.options().endpoints {
        println!("Defragmenting {endpoint:?}");
        client.only(endpoint)?.defragment(DefragmentRequest {}).await?;
        println!("Defragmented {endpoint:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_have_short_and_long_names() {
        let size = |load: &str| {
            let load = load.to_owned();
            Arguments { load, auto_compact: false, auto_defrag: false }.size()
        };
        assert_eq!(size("xLarge").expect("fine"), size("xl").expect("fine"));
        let failure = size("huge").expect_err("no such");
        assert_eq!(failure.code, 4);
        assert_eq!(failure.message.as_deref(), Some("unknown load option huge"));
    }
}
