//! A new cluster out of a backup, ours or etcd's, without any process running.
//!
//! Every member of the new cluster gets a data directory of its own, all from the same file: the
//! state as it was, and a log that begins where the state ends. The log's first record is a
//! snapshot at the state's last entry with the new members as its configuration, as if a leader had
//! sent it; so all of them agree on everything up to there, and the first election goes on from the
//! state's term. Cluster, member and directory have new numbers: nobody takes the new members for
//! the old ones.
//!
//! The directory is built beside its place under the name `DIR.restoring` and gets its own name
//! last, when all of it is durable. A failure removes it; a power cut leaves it, under the name
//! that says what it is, and nothing opens it.

use crate::backup::{BackupError, BackupFile, CHECKSUM, Progress};
use crate::etcd::{self, EtcdFile};
use crate::options::{MemberInfo, cluster_id, find_member};
use crate::{RELEASE, View};
use quorate_raft::{LogId, Membership, SnapshotMeta, Write};
use quorate_storage::engine::{Generations, Options as EngineOptions};
use quorate_storage::{DataDir, Log, LogOptions, Meta, random_incarnation, restore, to_record};
use quorate_store::{Installer, Options as StoreOptions};
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The member to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMember {
    /// Where its data will lie; must not exist, or be empty.
    pub data_dir: PathBuf,
    /// Its name, one of `members`.
    pub name: String,
    /// All members of the new cluster, this one included.
    pub members: Vec<MemberInfo>,
    /// Tells clusters with the same addresses apart.
    pub cluster_token: String,
    /// Do not compare the file with the checksum at its end. The parts have their own, which are
    /// compared all the same.
    pub skip_hash_check: bool,
    /// The revision goes up by so much and everything before it is compacted, so that whoever saw
    /// revisions that the file does not know notices; 0 leaves revisions and history as they were.
    pub bump_revision: i64,
}

/// A file that a member can be made from.
#[derive(Debug)]
pub enum Source {
    /// A backup of ours.
    Backup(BackupFile),
    /// A snapshot of etcd 3.4 to 3.7.
    Etcd(EtcdFile),
}

impl Source {
    /// Opens a file as what its first bytes say that it is.
    ///
    /// # Errors
    /// When it cannot be read, or is neither.
    pub fn open(path: &Path) -> Result<Source, BackupError> {
        let (at, magic) = etcd::MAGIC;
        let mut head = Vec::new();
        let file = File::open(path);
        let read = file.and_then(|file| file.take(64).read_to_end(&mut head));
        // A directory cannot be read; the other reader has the words for that.
        if read.is_ok() && head.get(at..at + magic.len()) == Some(&magic) {
            return Ok(Source::Etcd(EtcdFile::open(path)?));
        }
        Ok(Source::Backup(BackupFile::open(path)?))
    }

    /// Checks every byte against the checksum at the end, and returns that.
    ///
    /// # Errors
    /// When the file was cut short or changed.
    pub fn verify(&mut self, progress: Progress) -> Result<[u8; CHECKSUM], BackupError> {
        match self {
            Source::Backup(file) => file.verify(progress),
            Source::Etcd(file) => file.verify(progress),
        }
    }
}

/// What was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestoredMember {
    /// The cluster's id.
    pub cluster_id: u64,
    /// The member's id.
    pub member_id: u64,
    /// The newest revision.
    pub revision: i64,
    /// The number of keys.
    pub keys: u64,
    /// The number of users.
    pub users: usize,
    /// The number of roles.
    pub roles: usize,
    /// Whether users and roles are in force.
    pub auth_enabled: bool,
}

/// What is being done, for a display.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The file is compared with its checksum.
    Checking,
    /// The state is written.
    Writing,
}

/// Makes the data directory of a new member from a backup. Blocks; `progress` hears the phase and
/// how many bytes of how many are done, and ends the work by returning false.
///
/// # Errors
/// One sentence for the operator. Then there is no new directory.
pub fn restore_member(
    backup: &Path,
    new: &NewMember,
    mut progress: impl FnMut(Phase, u64, u64) -> bool,
) -> Result<RestoredMember, String> {
    let me = find_member(&new.name, &new.members)?;
    refuse_data(&new.data_dir)?;
    let mut source = Source::open(backup).map_err(say)?;
    if !new.skip_hash_check {
        source.verify(&mut |done, all| progress(Phase::Checking, done, all)).map_err(say)?;
    }
    let draft = Draft::create(&new.data_dir)?;
    let directory = DataDir::open(&draft.path).map_err(say)?;
    let mut writing = |done, all| progress(Phase::Writing, done, all);
    let view = fill(&directory, &mut source, new.bump_revision, &mut writing)?;
    let label = Meta {
        cluster_id: cluster_id(&new.members, &new.cluster_token),
        member_id: me.id.0,
        name: me.name.clone(),
        created_by: RELEASE.to_owned(),
        incarnation: random_incarnation().map_err(say)?,
    };
    let membership = Membership::of(new.members.iter().map(|member| member.id));
    begin_log(&directory, label.incarnation, view.applied(), &membership)?;
    directory.store_meta(&label).map_err(say)?;
    let auth = view.auth();
    let made = RestoredMember {
        cluster_id: label.cluster_id,
        member_id: label.member_id,
        revision: view.revision(),
        keys: view.keys(),
        users: auth.users().count(),
        roles: auth.roles().count(),
        auth_enabled: auth.enabled(),
    };
    // Nothing may be open any more when the directory gets its name.
    drop((view, directory));
    draft.name(&new.data_dir)?;
    Ok(made)
}

fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Refuses to touch data.
fn refuse_data(path: &Path) -> Result<(), String> {
    let found = match std::fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => return Ok(()),
            Some(_) => "is not empty",
        },
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => "is a file",
        Err(error) => return Err(format!("cannot look at {}: {error}", path.display())),
    };
    Err(format!(
        "data directory {} {found}: nothing is overwritten; name another --data-dir, or remove \
         this one if its data is not needed",
        path.display()
    ))
}

/// Writes the state, durably, and returns what it shows.
fn fill(
    directory: &DataDir,
    source: &mut Source,
    bump: i64,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<View, String> {
    let generations = Generations::open(&directory.state_path(), EngineOptions::small());
    let engine = generations.map_err(say)?.open_current().map_err(say)?;
    let mut applier = match source {
        Source::Backup(file) => {
            let mut installer = Installer::new(engine).map_err(say)?;
            file.chunks(progress, |chunk| installer.push(chunk)).map_err(say)?;
            installer.finish(StoreOptions::default()).map_err(say)?
        }
        Source::Etcd(file) => file.import(engine, progress).map_err(say)?,
    };
    applier.skip_revisions(bump).map_err(say)?;
    // The new cluster has members of its own: those of the old one must not come back with its data.
    applier.forget_members().map_err(say)?;
    let view = applier.publish().map_err(say)?.view;
    let mut engine = applier.into_engine();
    engine.sync().map_err(say)?;
    assert!(engine.is_settled(), "a synced state is on disk");
    Ok(view)
}

/// Makes a log that begins where the state ends, and looks at it as the next start will.
fn begin_log(
    directory: &DataDir,
    incarnation: u64,
    applied: (u64, u64),
    membership: &Membership,
) -> Result<(), String> {
    let (index, term) = applied;
    let disk = || directory.log_disk().map_err(say);
    let (mut log, _) = Log::open(disk()?, LogOptions::new(incarnation)).map_err(say)?;
    // A state in which nothing was applied needs no beginning: an empty log fits it.
    if index > 0 {
        let meta = SnapshotMeta { last: LogId { term, index }, membership: membership.clone() };
        let writes = [Write::Vote { term, vote: None }, Write::Snapshot(meta)];
        log.append(&writes.map(|write| to_record(0, write))).map_err(say)?;
        log.sync().map_err(say)?;
    }
    drop(log);
    let again = LogOptions { must_exist: true, ..LogOptions::new(incarnation) };
    let (mut log, recovered) = Log::open(disk()?, again).map_err(say)?;
    let restored = restore(&mut log, &recovered, applied, None, membership)?;
    assert_eq!(restored.base, LogId { term, index }, "the log begins where the state ends");
    assert_eq!(restored.last_index, index, "there is nothing in the log yet");
    assert_eq!(restored.membership, *membership, "the new members are in force");
    Ok(())
}

/// A directory that is not finished. Dropped before it has its name, it is removed.
struct Draft {
    path: PathBuf,
    is_named: bool,
}

impl Draft {
    fn create(data_dir: &Path) -> Result<Draft, String> {
        let parent = parent_of(data_dir);
        let cannot =
            |path: &Path, error| format!("cannot create the directory {}: {error}", path.display());
        std::fs::create_dir_all(parent).map_err(|error| cannot(parent, error))?;
        let Some(name) = data_dir.file_name() else {
            return Err(format!("{} is no name for a data directory", data_dir.display()));
        };
        let mut name = name.to_owned();
        name.push(".restoring");
        let path = parent.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Draft { path, is_named: false }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(format!(
                "{} exists: another restore is under way, or one was cut short; if none is, \
                 remove that directory and try again",
                path.display()
            )),
            Err(error) => Err(cannot(&path, error)),
        }
    }

    /// Gives the directory its name, durably.
    fn name(mut self, data_dir: &Path) -> Result<(), String> {
        let renamed = std::fs::rename(&self.path, data_dir);
        renamed.map_err(|error| format!("cannot name {}: {error}", data_dir.display()))?;
        self.is_named = true;
        let parent = parent_of(data_dir);
        let synced = File::open(parent).and_then(|directory| directory.sync_all());
        synced.map_err(|error| format!("cannot sync {}: {error}", parent.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_named {
            // If it does not go away, its name still says what it is, and the next try names it.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}
