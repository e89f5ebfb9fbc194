//! `snapshot restore`: the data directory of a new member, made while nothing runs.
//!
//! The flags are those of `etcdutl snapshot restore`, and what they mean is what `quorate serve` would make of them: the
//! same words must describe the same member, or the member that was made could not be started.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use quorate_host::offline::{NewMember, Phase, RestoredMember, restore_member};

use super::progress::Progress;
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::global::Global;
use crate::serve::{self, FlagError};

/// Arguments of `snapshot restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "Makes one member of a new cluster; a cluster of three needs three restores of the same file,
each with its own --name, --data-dir and --initial-advertise-peer-urls. Then start each member with `quorate serve` and
the same flags. Choose a new --initial-cluster-token, so that members of the old cluster cannot mistake it for theirs.

FILE is a snapshot of Quorate or of etcd 3.4 to 3.7 (`etcdctl snapshot save`): keys, their history down to the last
compaction, leases, users and roles come along, and whether access control is on.

Examples:
  quorate snapshot restore backup.db --data-dir new-data
  quorate serve --data-dir new-data

  quorate snapshot restore backup.db --name n1 --data-dir n1.data \\
    --initial-advertise-peer-urls http://10.0.0.1:2380 --initial-cluster-token after-the-fire \\
    --initial-cluster n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://10.0.0.3:2380"
)]
pub struct Arguments {
    /// The snapshot to restore
    #[arg(value_name = "FILE")]
    file: Vec<OsString>,
    /// The new data directory; must not exist yet, or be empty [default: NAME.quorate]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The member's name, one of --initial-cluster [default: default]
    #[arg(long)]
    name: Option<String>,
    /// All members of the new cluster [default: this one alone]
    #[arg(long, value_name = "NAME=URL,...")]
    initial_cluster: Option<String>,
    /// Tells the new cluster from others with the same addresses [default: etcd-cluster]
    #[arg(long, value_name = "TOKEN")]
    initial_cluster_token: Option<String>,
    /// Where the other members reach this one [default: http://localhost:2380]
    #[arg(long, value_name = "URL,...")]
    initial_advertise_peer_urls: Option<String>,
    /// Do not compare the file with the SHA-256 at its end
    #[arg(long)]
    skip_hash_check: bool,
    /// Raise the revision by so much and compact everything before it, so that watchers and caches that saw a later
    /// future than the file holds notice; 0 keeps revisions and history
    #[arg(long, value_name = "N", default_value_t = BUMP, value_parser = clap::value_parser!(i64).range(0..))]
    bump_revision: i64,
    /// Accepted for the sake of etcdutl's scripts: a raised revision always is
    #[arg(long, hide = true)]
    mark_compacted: bool,
}

/// Far above what a cluster writes between a snapshot and its loss: a week at 1,500 writes a second.
const BUMP: i64 = 1_000_000_000;

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let [path] = arguments.file.as_slice() else {
        return Err(Failure::arguments(
            "snapshot restore requires exactly one argument <filename>",
        ));
    };
    let path = path.clone();
    let new = arguments.member()?;
    let is_cancelled = Arc::new(AtomicBool::new(false));
    let (cancelled, member) = (is_cancelled.clone(), new.clone());
    let work = tokio::task::spawn_blocking(move || restore(Path::new(&path), &member, &cancelled));
    let interrupted = tokio::spawn(async move {
        // A restore that is told to end takes what it has made away first.
        if tokio::signal::ctrl_c().await.is_ok() {
            is_cancelled.store(true, Ordering::Relaxed);
        }
    });
    let made = work.await.map_err(|error| Failure::new(ERROR, error))?;
    interrupted.abort();
    let made = made.map_err(|error| Failure::new(ERROR, error))?;
    let mut output = global.output()?;
    output.line(format!(
        "Restored {} keys at revision {} into {}",
        made.keys,
        made.revision,
        new.data_dir.display()
    ));
    if made.users > 0 || made.roles > 0 {
        output.line(format!(
            "Users: {}, roles: {}; access control is {}",
            made.users,
            made.roles,
            if made.auth_enabled { "on" } else { "off" }
        ));
    }
    output.line(format!(
        "Member {} ({:x}) of cluster {:x}: start it with `quorate serve` and the same flags",
        new.name, made.member_id, made.cluster_id
    ));
    output.flush()
}

fn restore(path: &Path, new: &NewMember, cancelled: &AtomicBool) -> Result<RestoredMember, String> {
    let mut progress = Progress::new();
    restore_member(path, new, |phase, done, all| {
        let what = match phase {
            Phase::Checking => "checking",
            Phase::Writing => "restoring",
        };
        progress.show(what, done, all);
        !cancelled.load(Ordering::Relaxed)
    })
}

impl Arguments {
    /// The member that the flags describe.
    ///
    /// # Errors
    /// As `quorate serve` would refuse them.
    fn member(&self) -> Result<NewMember, Failure> {
        let flags = [
            ("data-dir", &self.data_dir),
            ("name", &self.name),
            ("initial-cluster", &self.initial_cluster),
            ("initial-cluster-token", &self.initial_cluster_token),
            ("initial-advertise-peer-urls", &self.initial_advertise_peer_urls),
        ];
        let given = flags
            .into_iter()
            .filter_map(|(name, value)| value.as_ref().map(|value| format!("--{name}={value}")));
        let config = serve::described_by(&given.collect::<Vec<_>>())
            .map_err(|FlagError(text)| Failure::arguments(text))?;
        Ok(NewMember {
            members: config.members(),
            data_dir: config.data_dir,
            name: config.name,
            cluster_token: config.initial_cluster_token,
            skip_hash_check: self.skip_hash_check,
            bump_revision: self.bump_revision,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn member(line: &str) -> Result<NewMember, Failure> {
        Line::try_parse_from(line.split(' ')).expect(line).arguments.member()
    }

    #[test]
    fn flags_mean_what_they_mean_to_serve() {
        let alone = member("restore f.db").expect("fine");
        assert_eq!((alone.name.as_str(), alone.members.len()), ("default", 1));
        assert_eq!(alone.data_dir, Path::new("default.quorate"));
        let three = "n1=http://a:1,n2=http://b:1,n3=http://c:1";
        let second = member(&format!(
            "restore f.db --name n2 --initial-cluster {three} --data-dir d \
             --initial-advertise-peer-urls http://b:1 --initial-cluster-token t --skip-hash-check"
        ))
        .expect("fine");
        assert_eq!(second.members.len(), 3);
        assert!(second.skip_hash_check);
        assert_eq!(second.cluster_token, "t");
    }

    #[test]
    fn contradictions_are_refused_before_anything_is_made() {
        for (line, part) in [
            ("restore f.db --name x --initial-cluster n1=http://a:1", "couldn't find local name"),
            ("restore f.db --initial-cluster default=http://a:1", "--initial-advertise-peer-urls"),
            ("restore f.db --initial-advertise-peer-urls a:1", "expected http://host:port"),
            ("restore f.db --initial-cluster nonsense", "name"),
        ] {
            let failure = member(line).expect_err(line);
            assert_eq!(failure.code, 128, "{line}");
            let message = failure.message.expect("said");
            assert!(message.contains(part), "{message}");
        }
    }
}
