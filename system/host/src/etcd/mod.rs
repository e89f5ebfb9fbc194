//! A snapshot that etcd 3.4 to 3.7 saved, read for what it holds: the way in from etcd.
//!
//! The file is etcd's storage as it was ([`bolt`]) with a SHA-256 of it at the end; a copy of a
//! member's `member/snap/db` is the same without the checksum. In it, by bucket:
//!
//! | bucket | key | value |
//! |---|---|---|
//! | `key` | main revision u64 · `_` · sub-revision u64 (big-endian), `t` for a delete | the pair |
//! | `lease` | id u64 | id, granted and remaining seconds |
//! | `meta` | `scheduledCompactRev`, `finishedCompactRev` | a revision, as in `key` |
//! | `auth` | `authEnabled`, `authRevision` | 1 or 0; u64 (big-endian) |
//! | `authUsers`, `authRoles` | name | the user with its hash and roles; the role ([`users`]) |
//!
//! Members, alarms and the place in etcd's own log belong to the cluster that was, not to its data.

mod bolt;
mod users;

use crate::backup::{BLOCK, BackupError, CHECKSUM, Progress, hexadecimal};
use bolt::{Bolt, BoltError};
use bytes::{Buf, Bytes};
use prost::Message;
use quorate_store::{Applier, Engine, Importer, KeyValue, Lease};
use quorate_wire::etcd::mvccpb;
use quorate_wire::etcd_file::LeaseRecord;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Where the magic number of etcd's storage lies in a file, and what it is.
pub const MAGIC: (usize, [u8; 4]) = (16, bolt::MAGIC.to_le_bytes());

/// Bytes of pairs after which what came in is handed to the engine.
const PUBLISH_BYTES: u64 = 4 << 20;

/// Bytes read at a time for the checksum.
const PIECE: usize = 1 << 20;

/// What an [`EtcdFile`] holds besides pairs and leases, and what it comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// The newest revision.
    pub revision: i64,
    /// The revision of the last compaction, 0 if there was none.
    pub compacted: i64,
    /// Entries of all buckets, as `etcdutl snapshot status` counts them.
    pub entries: u64,
    /// Users.
    pub users: u64,
    /// Roles.
    pub roles: u64,
}

/// An open snapshot of etcd's.
#[derive(Debug)]
pub struct EtcdFile {
    path: PathBuf,
    file: File,
    bolt: Bolt,
    size: u64,
    /// Bytes of storage in front of the checksum; all of them when there is none.
    content: u64,
}

/// One recorded change.
enum Change {
    Put { sub: u32, pair: KeyValue },
    Delete { revision: i64, sub: u32, key: Bytes },
}

impl EtcdFile {
    /// Opens a file in which somebody saw [`MAGIC`].
    ///
    /// # Errors
    /// When it cannot be read, or its meta pages are damaged.
    pub fn open(path: &Path) -> Result<EtcdFile, BackupError> {
        let io = |source| BackupError::Io { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        // Storage is whole pages; the checksum is what is left over.
        let content =
            if size % BLOCK as u64 == CHECKSUM as u64 { size - CHECKSUM as u64 } else { size };
        let bolt = Bolt::open(file.try_clone().map_err(io)?, content);
        let bolt = bolt.map_err(|error| damaged(path, &error))?;
        Ok(EtcdFile { path: path.to_path_buf(), file, bolt, size, content })
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Checks every byte against the checksum at the end, and returns that.
    ///
    /// # Errors
    /// When the file was changed, cut short, or has no checksum.
    pub fn verify(&mut self, progress: Progress) -> Result<[u8; CHECKSUM], BackupError> {
        if !self.is_summed() {
            let what = "it has no checksum at its end: if it is a copy of a member's db file, say \
                        --skip-hash-check";
            return Err(BackupError::Malformed { path: self.path.clone(), what: what.to_owned() });
        }
        let found = self.sum(progress)?;
        let mut wanted = [0; CHECKSUM];
        self.file.read_exact(&mut wanted).map_err(|source| self.unreadable(source))?;
        if found != wanted {
            let (found, wanted) = (hexadecimal(&found), hexadecimal(&wanted));
            return Err(BackupError::WrongSum { path: self.path.clone(), found, wanted });
        }
        Ok(found)
    }

    /// True when there is a checksum at the end: a copy of a member's db file has none.
    pub fn is_summed(&self) -> bool {
        self.content < self.size
    }

    /// The checksum of what is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sum(&mut self, progress: Progress) -> Result<[u8; CHECKSUM], BackupError> {
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.unreadable(source))?;
        let (mut sum, mut piece, mut done) = (Sha256::new(), vec![0; PIECE], 0);
        while done < self.content {
            let length = PIECE.min((self.content - done) as usize);
            let read = self.file.read_exact(&mut piece[..length]);
            read.map_err(|source| self.unreadable(source))?;
            sum.update(&piece[..length]);
            done += length as u64;
            if !progress(done, self.content) {
                return Err(BackupError::Interrupted);
            }
        }
        Ok(sum.finalize().into())
    }

    fn unreadable(&self, source: std::io::Error) -> BackupError {
        BackupError::Io { path: self.path.clone(), source }
    }

    /// What is in it, without its pairs.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn contents(&self, progress: Progress) -> Result<Contents, BackupError> {
        let mut contents = Contents { compacted: self.compacted()?, ..Contents::default() };
        let (mut done, mut last) = (0, contents.compacted.max(1));
        self.each("key", &mut |key, value| {
            last = last.max(revision_of(&key)?.0);
            contents.entries += 1;
            done += (key.len() + value.len()) as u64;
            if progress(done.min(self.content), self.content) {
                Ok(())
            } else {
                Err(STOPPED.into())
            }
        })?;
        contents.revision = last;
        for bucket in ["meta", "lease", "alarm", "cluster", "members", "members_removed", "auth"] {
            contents.entries += self.count(bucket)?;
        }
        contents.users = self.count("authUsers")?;
        contents.roles = self.count("authRoles")?;
        contents.entries += contents.users + contents.roles;
        Ok(contents)
    }

    /// Plays its changes back into an engine that holds nothing.
    ///
    /// # Errors
    /// When it is damaged, or the engine fails.
    pub fn import<E: Engine>(
        &self,
        engine: E,
        progress: Progress,
    ) -> Result<Applier<E>, BackupError> {
        let importer = Importer::new(engine, self.compacted()?);
        let mut importer = importer.map_err(|error| self.malformed(&error))?;
        self.each("lease", &mut |_, value| {
            let lease = LeaseRecord::decode(value).map_err(|error| error.to_string())?;
            let LeaseRecord { id, ttl, remaining } = lease;
            importer.lease(Lease { id, ttl, remaining }).map_err(|error| error.to_string())
        })?;
        let auth = self.users_and_roles()?;
        importer.auth(auth).map_err(|error| self.malformed(&error))?;
        let (mut done, mut unpublished) = (0, 0);
        self.each("key", &mut |key, value| {
            let bytes = (key.len() + value.len()) as u64;
            done += bytes;
            unpublished += bytes;
            match change_of(&key, value)? {
                Change::Put { sub, pair } => importer.put(sub, pair),
                Change::Delete { revision, sub, key } => importer.delete(revision, sub, key),
            }
            .map_err(|error| error.to_string())?;
            if unpublished >= PUBLISH_BYTES {
                unpublished = 0;
                importer.publish().map_err(|error| error.to_string())?;
            }
            if progress(done.min(self.content), self.content) {
                Ok(())
            } else {
                Err(STOPPED.into())
            }
        })?;
        progress(self.content, self.content);
        importer.finish().map_err(|error| self.malformed(&error))
    }

    fn count(&self, bucket: &str) -> Result<u64, BackupError> {
        let mut count = 0;
        self.each(bucket, &mut |_, _| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// A compaction that was scheduled counts: etcd finishes it when it starts.
    fn compacted(&self) -> Result<i64, BackupError> {
        let mut compacted = 0;
        self.each("meta", &mut |key, value| {
            if &key[..] == b"scheduledCompactRev" || &key[..] == b"finishedCompactRev" {
                compacted = compacted.max(revision_of(&value)?.0);
            }
            Ok(())
        })?;
        Ok(compacted)
    }

    fn each(
        &self,
        bucket: &str,
        visit: &mut dyn FnMut(Bytes, Bytes) -> Result<(), String>,
    ) -> Result<(), BackupError> {
        self.bolt.each(bucket.as_bytes(), visit).map_err(|error| damaged(&self.path, &error))
    }

    fn malformed(&self, what: &impl ToString) -> BackupError {
        BackupError::Malformed { path: self.path.clone(), what: what.to_string() }
    }
}

/// What a visitor says when its user wants no more.
const STOPPED: &str = "interrupted";

fn damaged(path: &Path, error: &BoltError) -> BackupError {
    match error {
        BoltError::Stopped(what) if what == STOPPED => BackupError::Interrupted,
        BoltError::Io(_) | BoltError::Malformed(_) | BoltError::Stopped(_) => {
            BackupError::Malformed { path: path.to_path_buf(), what: error.to_string() }
        }
    }
}

/// Main and sub-revision, and true for a delete.
fn revision_of(mut bytes: &[u8]) -> Result<(i64, u32, bool), String> {
    let whole = matches!(
        (bytes.len(), bytes.get(8), bytes.get(17)),
        (17, Some(b'_'), None) | (18, Some(b'_'), Some(b't'))
    );
    if !whole {
        return Err(format!("{bytes:02x?} is no revision"));
    }
    let delete = bytes.len() == 18;
    let revision = bytes.get_i64();
    bytes.advance(1);
    let sub = bytes.get_i64();
    let sub = u32::try_from(sub).map_err(|_| format!("revision {revision} has {sub} changes"))?;
    Ok((revision, sub, delete))
}

fn change_of(key: &[u8], value: Bytes) -> Result<Change, String> {
    let (revision, sub, delete) = revision_of(key)?;
    let pair =
        mvccpb::KeyValue::decode(value).map_err(|error| format!("revision {revision}: {error}"))?;
    if delete {
        return Ok(Change::Delete { revision, sub, key: pair.key });
    }
    if pair.mod_revision != revision {
        let named = pair.mod_revision;
        return Err(format!("a pair of revision {named} is recorded as of revision {revision}"));
    }
    let pair = KeyValue {
        key: pair.key,
        value: pair.value,
        create_revision: pair.create_revision,
        mod_revision: revision,
        version: pair.version,
        lease: pair.lease,
    };
    Ok(Change::Put { sub, pair })
}
