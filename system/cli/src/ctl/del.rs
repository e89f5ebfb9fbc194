//! `del`: deleting keys.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use quorate_client::etcd::etcdserverpb::DeleteRangeRequest;

use super::answers;
use super::failure::Failure;
use super::get::interval;
use super::global::Global;

/// How long a range given by its two ends can be taken back.
const SECOND_THOUGHTS: Duration = Duration::from_secs(2);

/// Removes the specified key or range of keys [key, range_end)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate del foo                 prints the number of keys deleted
  quorate del --prefix config/    every key under config/
  quorate del a m --range         the keys from a up to, not including, m
  quorate del foo --prev-kv       prints what was deleted too")]
pub struct Arguments {
    /// The key, and optionally the end of a range (not included)
    #[arg(value_name = "KEY")]
    keys: Vec<OsString>,
    /// Every key that starts with KEY
    #[arg(long)]
    prefix: bool,
    /// Every key from KEY on, in byte order
    #[arg(long)]
    from_key: bool,
    /// Print the pairs as they were
    #[arg(long)]
    prev_kv: bool,
    /// Delete a range given by its two ends at once, without a warning
    #[arg(long)]
    range: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let ends = match arguments.keys.as_slice() {
        [key, end] if !arguments.range => Some((key.clone(), end.clone())),
        _ => None,
    };
    let request = arguments.request()?;
    let mut output = global.output()?;
    if let Some((key, end)) = ends {
        eprintln!(
            "Warning: Keys between {key:?} and {end:?} will be deleted. Please interrupt the command within next 2 \
             seconds to cancel. You can provide `--range` flag to avoid the delay."
        );
        tokio::time::sleep(SECOND_THOUGHTS).await;
    }
    let answer = global.client()?.delete_range(request).await?;
    answers::delete(&mut output, &answer)?;
    output.flush()
}

impl Arguments {
    /// The request that the arguments describe.
    ///
    /// # Errors
    /// Arguments that are missing, too many, or contradict each other.
    pub fn request(self) -> Result<DeleteRangeRequest, Failure> {
        if self.keys.is_empty() || self.keys.len() > 2 {
            let message =
                "del command needs one argument as key and an optional argument as range_end";
            return Err(Failure::arguments(message));
        }
        let (key, range_end) = interval(self.keys, self.prefix, self.from_key)?;
        Ok(DeleteRangeRequest { key, range_end, prev_kv: self.prev_kv })
    }
}
