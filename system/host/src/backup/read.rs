//! Reading a backup back: first whether it is whole, then what is in it.
//!
//! The checksum at the end is looked at before anything is believed, so that a file that was cut
//! short or changed is refused as such, and not as whatever its bytes happen to say. Reading it
//! twice costs less than an answer that nobody can explain.

use super::{BLOCK, CHECKSUM, MAGIC};
use bytes::Bytes;
use quorate_store::{InstallError, Summary, Survey};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// A backup that cannot be used. The file is untouched.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system refused.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else than a backup.
    #[error("{path} is not a backup of Quorate: {what}")]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        what: &'static str,
    },
    /// The bytes are not those that were saved.
    #[error(
        "{path} is damaged: its content has the SHA-256 {found}, and {wanted} is written at its \
         end. It was cut short or changed after it was saved: use another copy of it"
    )]
    WrongSum {
        /// The file.
        path: PathBuf,
        /// The checksum of what is there, in hexadecimal.
        found: String,
        /// The checksum of what was saved.
        wanted: String,
    },
    /// The bytes are no state.
    #[error("{path} is damaged: {what}; use another copy of it")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The state in it cannot be taken: this build does not know it, or it cannot be written.
    #[error("cannot take the state out of {path}: {what}")]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// Whoever reads it wants no more.
    #[error("interrupted")]
    Interrupted,
}

/// Told how many bytes of how many are done; false ends the work.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// An open backup. Each of its methods reads it from the beginning.
#[derive(Debug)]
pub struct BackupFile {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes before the checksum.
    content: u64,
}

impl BackupFile {
    /// Opens a file that begins like a backup.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn open(path: &Path) -> Result<BackupFile, BackupError> {
        let fail = |source| BackupError::Io { path: path.to_path_buf(), source };
        let other = |what| BackupError::NotABackup { path: path.to_path_buf(), what };
        let mut file = File::open(path).map_err(fail)?;
        let data = file.metadata().map_err(fail)?;
        if !data.is_file() {
            return Err(other("it is not a regular file"));
        }
        let mut head = Vec::new();
        (&mut file).take(BLOCK as u64).read_to_end(&mut head).map_err(fail)?;
        if !head.starts_with(MAGIC) {
            return Err(other(match head.is_empty() {
                true => "it is empty",
                false => "its first bytes are not those of one, nor of a snapshot of etcd",
            }));
        }
        if data.len() < (BLOCK + CHECKSUM) as u64 {
            let what = format!("it was cut short after {} bytes", data.len());
            return Err(BackupError::Malformed { path: path.to_path_buf(), what });
        }
        let content = data.len() - CHECKSUM as u64;
        Ok(BackupFile { path: path.to_path_buf(), file: BufReader::new(file), content })
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.content + CHECKSUM as u64
    }

    /// Checks every byte against the checksum at the end, and returns that.
    ///
    /// # Errors
    /// When the file was cut short or changed.
    pub fn verify(&mut self, progress: Progress) -> Result<[u8; CHECKSUM], BackupError> {
        self.seek(0)?;
        let mut sum = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut done = 0;
        while done < self.content {
            let length = PIECE.min((self.content - done) as usize);
            self.read(&mut piece[..length])?;
            sum.update(&piece[..length]);
            done += length as u64;
            if !progress(done, self.content) {
                return Err(BackupError::Interrupted);
            }
        }
        let mut wanted = [0; CHECKSUM];
        self.read(&mut wanted)?;
        let found: [u8; CHECKSUM] = sum.finalize().into();
        if found != wanted {
            let (found, wanted) = (hexadecimal(&found), hexadecimal(&wanted));
            return Err(BackupError::WrongSum { path: self.path.clone(), found, wanted });
        }
        if !self.content.is_multiple_of(BLOCK as u64) {
            return Err(self.malformed("it does not end where a backup ends"));
        }
        Ok(found)
    }

    /// Hands out the chunks of the state in order; `take` says which was the last.
    ///
    /// # Errors
    /// When the file has no such chunks, or `take` refuses one.
    pub fn chunks(
        &mut self,
        progress: Progress,
        mut take: impl FnMut(&Bytes) -> Result<bool, InstallError>,
    ) -> Result<(), BackupError> {
        let mut at = MAGIC.len() as u64;
        self.seek(at)?;
        loop {
            let mut length = [0; 4];
            if self.content - at < 4 {
                return Err(self.malformed("it ends before the state does"));
            }
            self.read(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            at += 4;
            if self.content - at < length {
                return Err(self.malformed("a chunk reaches beyond its end"));
            }
            let mut chunk = vec![0; length as usize];
            self.read(&mut chunk)?;
            at += length;
            let last = take(&chunk.into()).map_err(|error| self.refused(&error))?;
            if !progress(at, self.content) {
                return Err(BackupError::Interrupted);
            }
            if last {
                break;
            }
        }
        let rest = self.content - at;
        let mut padding = vec![0; rest.min(BLOCK as u64) as usize];
        self.read(&mut padding)?;
        if rest >= BLOCK as u64 || padding.iter().any(|byte| *byte != 0) {
            return Err(self.malformed("there is more in it than the state"));
        }
        Ok(())
    }

    /// What the state says about itself. Nothing of it is kept in memory.
    ///
    /// # Errors
    /// As [`BackupFile::chunks`].
    pub fn summary(&mut self, progress: Progress) -> Result<Summary, BackupError> {
        let mut survey = Survey::default();
        self.chunks(progress, |chunk| survey.push(chunk))?;
        survey.finish().map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &InstallError) -> BackupError {
        match error {
            InstallError::Malformed(_) | InstallError::OutOfOrder | InstallError::Incomplete => {
                self.malformed(&error.to_string())
            }
            InstallError::Engine(error) => {
                BackupError::State { path: self.path.clone(), what: error.to_string() }
            }
        }
    }

    fn malformed(&self, what: &str) -> BackupError {
        BackupError::Malformed { path: self.path.clone(), what: what.to_owned() }
    }

    fn seek(&mut self, to: u64) -> Result<(), BackupError> {
        let result = self.file.seek(SeekFrom::Start(to));
        result.map_err(|source| BackupError::Io { path: self.path.clone(), source }).map(|_| ())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), BackupError> {
        let result = self.file.read_exact(into);
        result.map_err(|source| BackupError::Io { path: self.path.clone(), source })
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
