//! A backup out of a stopped member's data directory: the way on when a quorum is gone for good.
//!
//! A cluster that has lost its quorum cannot say any more what is committed, and a member that is
//! left may not decide it alone. An operator may: whatever was acknowledged is in the log of every
//! quorum, so the survivor whose log ends with the highest (term, index) misses the least (the order
//! of votes, Raft, section 5.4.1). What is written here is that member's state with *all* entries
//! of its log applied, also those that it does not know to be committed. They may have been
//! acknowledged; leaving them out could lose a write that a client was promised, taking them in can
//! only make one happen whose client was told nothing.
//!
//! The directory is locked and copied, and the log is applied to the copy: if somebody finds the lost
//! machines after all, the member takes part in its old cluster as if nobody had looked.

use crate::apply::decode;
use crate::backup;
use crate::start::open_state;
use bytes::Bytes;
use quorate_raft::{LogId, Membership, Restored};
use quorate_storage::engine::LsmEngine;
use quorate_storage::{DataDir, Log, LogOptions, Meta, restore};
use quorate_store::Applier;
use std::fs::DirBuilder;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Entries applied before their events are forgotten.
const BATCH: usize = 2_048;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rescued {
    /// The member's label.
    pub label: Meta,
    /// The end of its log. Of several survivors the one with the highest pair misses the least.
    pub last: LogId,
    /// Entries at the end that it did not know to be committed. They are in the backup.
    pub undecided: u64,
    /// The newest revision.
    pub revision: i64,
    /// The number of keys.
    pub keys: u64,
}

/// Writes a backup of a stopped member. Blocks; needs room for a copy of the directory at `scratch`,
/// which must not exist and is gone afterwards. `send` takes the backup's blobs in order, with the
/// bytes that still follow, and ends the work by refusing one.
///
/// # Errors
/// One sentence for the operator: no such directory, a process has it open, it is damaged, no room.
pub fn rescue(
    data_dir: &Path,
    scratch: &Path,
    send: impl FnMut(Bytes, u64) -> Result<(), ()>,
) -> Result<Rescued, String> {
    let label = data_dir.join("meta");
    match label.try_exists() {
        Ok(true) => {}
        Ok(false) => {
            return Err(format!(
                "{} is no data directory of a member: it has no file {}",
                data_dir.display(),
                label.display()
            ));
        }
        Err(error) => return Err(format!("cannot look at {}: {error}", data_dir.display())),
    }
    // Held until the end: nobody may start the member while it is copied.
    let original = DataDir::open(data_dir).map_err(say)?;
    let copy = Copy::of(original.path(), scratch)?;
    let directory = DataDir::open(&copy.path).map_err(say)?;
    let label = directory.meta().map_err(say)?.ok_or("the label vanished")?;
    let (mut applier, _generations) = open_state(&directory)?;
    let restored = read_log(&directory, &label, &applier)?;
    let last = LogId { term: last_term(&restored), index: restored.last_index };
    // What was applied is committed, whatever the log remembers of it.
    let decided = restored.commit.max(restored.applied);
    apply_all(&mut applier, restored)?;
    let view = applier.publish().map_err(say)?.view;
    backup::write(&view, send).map_err(|stopped| match stopped {
        backup::Stopped::Reader => "interrupted".to_owned(),
        backup::Stopped::State(error) => error,
    })?;
    let undecided = last.index.saturating_sub(decided);
    Ok(Rescued { label, last, undecided, revision: view.revision(), keys: view.keys() })
}

fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn read_log(
    directory: &DataDir,
    label: &Meta,
    applier: &Applier<LsmEngine>,
) -> Result<Restored, String> {
    let options = LogOptions { must_exist: true, ..LogOptions::new(label.incarnation) };
    let (mut log, recovered) =
        Log::open(directory.log_disk().map_err(say)?, options).map_err(say)?;
    let config = applier.config().clone().and_then(Membership::decode);
    restore(&mut log, &recovered, applier.applied(), config, &Membership::default())
}

fn last_term(restored: &Restored) -> u64 {
    restored.term_starts.last().map_or(restored.base.term, |(_, term)| *term)
}

fn apply_all(applier: &mut Applier<LsmEngine>, restored: Restored) -> Result<(), String> {
    for (done, entry) in restored.entries.into_iter().enumerate() {
        if let Some(membership) = Membership::of_payload(&entry.payload) {
            applier.configure(entry.index, entry.term, &membership.encode()).map_err(say)?;
        } else {
            let command = decode(&entry).map_err(say)?;
            applier.apply(entry.index, entry.term, command.as_ref()).map_err(say)?;
        }
        if done % BATCH == BATCH - 1 {
            applier.publish().map_err(say)?;
        }
    }
    Ok(())
}

/// A copy of a data directory. Dropped, it is removed.
struct Copy {
    path: PathBuf,
}

impl Copy {
    fn of(original: &Path, path: &Path) -> Result<Copy, String> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(format!(
                    "{} exists: another rescue is under way, or one was cut short; if none is, \
                     remove that directory and try again",
                    path.display()
                ));
            }
            Err(error) => return Err(cannot(original, path, &error)),
        }
        let copy = Copy { path: path.to_path_buf() };
        copy_tree(original, path).map_err(|error| cannot(original, path, &error))?;
        Ok(copy)
    }
}

fn cannot(original: &Path, path: &Path, error: &Error) -> String {
    format!("cannot copy {} to {}: {error}", original.display(), path.display())
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            DirBuilder::new().mode(0o700).create(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl Drop for Copy {
    fn drop(&mut self) {
        // If it does not go away, its name still says what it is, and the next try names it.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
