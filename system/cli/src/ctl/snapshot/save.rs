//! `snapshot save`: a copy of a member's store in a file.
//!
//! The copy is written to `FILE.part`, checked against the SHA-256 that the server sends last, synced, and only then
//! renamed: a file of the final name is complete and whole, even after a power cut in the middle.
//!
//! With `--data-dir` no server is asked: the directory of a stopped member is read, for a cluster whose quorum is gone.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use quorate_client::etcd::etcdserverpb::SnapshotResponse;
use quorate_host::rescue::{Rescued, rescue};
use sha2::{Digest as _, Sha256};

use super::progress::Progress;
use crate::ctl::failure::{ERROR, Failure, INTERRUPTED, describe};
use crate::ctl::global::Global;

/// Bytes of a SHA-256, which is the last thing in a snapshot.
const DIGEST_BYTES: usize = 32;

/// Arguments of `snapshot save`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate snapshot save backup.db
  quorate snapshot save --endpoints 127.0.0.1:2379 backup_$(date +%Y%m%d_%H%M%S).db

  # A quorum is lost for good: from each stopped survivor; restore the one with the highest term, then index
  quorate snapshot save --data-dir n1.quorate n1.db

There is no time limit unless --command-timeout gives one.")]
pub struct Arguments {
    /// Where to put the snapshot; a file of that name is replaced when the new one is complete
    #[arg(value_name = "FILE")]
    file: Vec<OsString>,
    /// Read a stopped member's data directory instead of asking a running one; needs room for a copy of it beside FILE
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let [path] = arguments.file.as_slice() else {
        return Err(Failure::arguments("snapshot save expects one argument <filename>"));
    };
    match arguments.data_dir {
        Some(data_dir) => save_stopped(PathBuf::from(path), data_dir, global).await,
        None => save(Path::new(path), global).await,
    }
}

async fn save_stopped(path: PathBuf, data_dir: PathBuf, global: &Global) -> Result<(), Failure> {
    let is_cancelled = Arc::new(AtomicBool::new(false));
    let (cancelled, to) = (is_cancelled.clone(), path.clone());
    let work = tokio::task::spawn_blocking(move || read_stopped(&to, &data_dir, &cancelled));
    let interrupted = tokio::spawn(async move {
        // Told to end, it takes what it has made away first.
        if tokio::signal::ctrl_c().await.is_ok() {
            is_cancelled.store(true, Ordering::Relaxed);
        }
    });
    let found = work.await.map_err(|error| Failure::new(ERROR, error))?;
    interrupted.abort();
    let found = found.map_err(|error| Failure::new(ERROR, error))?;
    let mut output = global.output()?;
    output.line(format!("Snapshot saved at {}", path.display()));
    output.line(format!(
        "{} keys at revision {}; the log of {} ends at term {}, index {}",
        found.keys, found.revision, found.label.name, found.last.term, found.last.index
    ));
    if found.undecided > 0 {
        output.line(format!(
            "Of these, the last {} log entries were not known to be committed; they are in the snapshot",
            found.undecided
        ));
    }
    output.flush()
}

fn read_stopped(path: &Path, data_dir: &Path, cancelled: &AtomicBool) -> Result<Rescued, String> {
    let mut scratch = path.as_os_str().to_owned();
    scratch.push(".rescuing");
    let mut partial = Partial::create(path)?;
    let mut broken = None;
    let found = rescue(data_dir, Path::new(&scratch), |blob, remaining| {
        let remaining_bytes = remaining;
        let piece = SnapshotResponse { blob, remaining_bytes, ..SnapshotResponse::default() };
        if cancelled.load(Ordering::Relaxed) {
            return Err(());
        }
        partial.append(&piece).map_err(|error| broken = Some(error))
    });
    let found = match (found, broken) {
        (_, Some(broken)) => return Err(broken),
        (found, None) => found?,
    };
    partial.finish(path)?;
    Ok(found)
}

async fn save(path: &Path, global: &Global) -> Result<(), Failure> {
    let interrupted = |message: String| Failure::new(INTERRUPTED, message);
    let endpoints = global.endpoints()?;
    let (Some(endpoint), true) =
        (endpoints.first(), endpoints.len() == 1 || !global.endpoints_given())
    else {
        let list = endpoints.join(" ");
        let message =
            format!("snapshot must be requested to one selected node, not multiple [{list}]");
        return Err(interrupted(message));
    };
    let client = global.client()?.only(endpoint)?;
    let mut partial = Partial::create(path).map_err(interrupted)?;
    let work = async {
        let mut stream = client.snapshot().await.map_err(|error| interrupted(describe(&error)))?;
        let mut version = String::new();
        while let Some(piece) = stream.message().await.map_err(|status| {
            interrupted(format!("the snapshot stream broke: {}", status.message()))
        })? {
            version.clone_from(&piece.version);
            partial.append(&piece).map_err(interrupted)?;
        }
        Ok::<String, Failure>(version)
    };
    let version = match global.command_timeout() {
        Some(limit) => tokio::time::timeout(limit, work)
            .await
            .map_err(|_| interrupted("context deadline exceeded".to_owned()))??,
        None => work.await?,
    };
    partial.finish(path).map_err(interrupted)?;
    let mut output = global.output()?;
    output.line(format!("Snapshot saved at {}", path.display()));
    if !version.is_empty() {
        output.line(format!("Server version {version}"));
    }
    output.flush()
}

/// The file being written. Dropped before [`Partial::finish`] it removes itself.
struct Partial {
    path: PathBuf,
    file: File,
    /// Of everything but the last [`DIGEST_BYTES`] bytes so far, which are `tail`.
    digest: Sha256,
    tail: Vec<u8>,
    written: u64,
    progress: Progress,
    finished: bool,
}

impl Partial {
    /// # Errors
    /// The file cannot be created, in etcdctl's words.
    fn create(path: &Path) -> Result<Self, String> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|error| format!("could not open {} ({error})", path.display()))?;
        let (digest, tail) = (Sha256::new(), Vec::new());
        let progress = Progress::new();
        Ok(Self { path, file, digest, tail, written: 0, progress, finished: false })
    }

    /// # Errors
    /// The file cannot be written.
    fn append(&mut self, piece: &SnapshotResponse) -> Result<(), String> {
        let path = self.path.display();
        self.file
            .write_all(&piece.blob)
            .map_err(|error| format!("cannot write {path}: {error}"))?;
        self.written += piece.blob.len() as u64;
        self.tail.extend_from_slice(&piece.blob);
        let known = self.tail.len().saturating_sub(DIGEST_BYTES);
        self.digest.update(&self.tail[..known]);
        self.tail.drain(..known);
        self.progress.show("saved", self.written, self.written + piece.remaining_bytes);
        Ok(())
    }

    /// Checks, syncs and renames.
    ///
    /// # Errors
    /// The bytes do not match their digest, or the file cannot be synced or renamed.
    fn finish(mut self, path: &Path) -> Result<(), String> {
        let digest = std::mem::take(&mut self.digest).finalize();
        if self.tail.len() != DIGEST_BYTES || self.tail != digest.as_slice() {
            let reason =
                "the SHA-256 at its end does not match: it was cut short or changed on the way";
            return Err(format!(
                "the snapshot is damaged ({reason}); nothing was saved, try again"
            ));
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // The rename is durable only when the directory is synced too.
        let result = self.file.sync_all().and_then(|()| std::fs::rename(&self.path, path));
        let result = result.and_then(|()| File::open(directory)?.sync_all());
        result.map_err(|error| format!("cannot save {}: {error}", path.display()))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing better can be done about a file that does not go away; it says `.part`.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(blob: &[u8]) -> SnapshotResponse {
        SnapshotResponse { blob: blob.to_vec().into(), ..SnapshotResponse::default() }
    }

    #[test]
    fn a_whole_snapshot_gets_its_name_and_a_damaged_one_does_not() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("s.db");
        let data = vec![7; 100_000];
        let digest = Sha256::digest(&data).to_vec();
        // However the bytes are cut into pieces.
        for cut in [1, 31, 32, 33, 99_990] {
            let mut partial = Partial::create(&path).expect("create");
            let (first, second) = data.split_at(cut);
            [first, second, &digest[..5], &digest[5..]].into_iter().for_each(|blob| {
                partial.append(&piece(blob)).expect("append");
            });
            partial.finish(&path).expect("whole");
            let saved = std::fs::read(&path).expect("saved");
            assert_eq!(saved.len(), data.len() + DIGEST_BYTES);
            std::fs::remove_file(&path).expect("remove");
        }
        for damaged in [&data[..data.len() - 1], &data[..0], b"short"] {
            let mut partial = Partial::create(&path).expect("create");
            partial.append(&piece(damaged)).expect("append");
            partial.append(&piece(&digest)).expect("append");
            let error = partial.finish(&path).expect_err("damaged");
            assert!(error.contains("SHA-256"), "{error}");
        }
        assert_eq!(
            std::fs::read_dir(directory.path()).expect("list").count(),
            0,
            "nothing is left"
        );
    }

    #[test]
    fn a_directory_that_does_not_exist_is_named() {
        let error = Partial::create(Path::new("/nosuch/s.db")).err().expect("no directory");
        assert!(error.starts_with("could not open /nosuch/s.db.part"), "{error}");
    }
}
