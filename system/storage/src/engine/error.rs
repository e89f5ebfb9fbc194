//! What goes wrong below the engine trait, with the path and what to do about it.

use crate::WITHOUT_ITS_DATA;
use quorate_store::EngineError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A state directory that cannot be opened, filled or switched.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused. Nothing that was synced is lost; repair the disk or the
    /// permissions, or make room on it, and start again.
    #[error("cannot {action} {path}: {source}; {} and start again", cure(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },

    /// Another process holds the directory. Two writers would destroy it.
    #[error("{path} is in use by another process; stop that one first")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },

    /// The tables do not read as they were written. The member must be rebuilt from its peers.
    #[error("{path} is damaged ({reason}): {WITHOUT_ITS_DATA}")]
    Damaged {
        /// The directory of tables, or the pointer to it.
        path: PathBuf,
        /// What the tables said.
        reason: String,
    },

    /// The directory was written by another release.
    #[error(
        "{path} says {found:?}, this release reads {expected:?}; start the release that wrote it"
    )]
    Format {
        /// The file that names the format.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this release understands.
        expected: &'static str,
    },
}

/// What to do about an error of the operating system.
fn cure(source: &std::io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full: free some space",
        _ => "repair the disk or its permissions",
    }
}

impl StateError {
    /// Wraps an error of the operating system.
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> StateError {
        let path = path.to_path_buf();
        move |source| StateError::Io { action, path, source }
    }

    /// Sorts an error of the tables: the disk's fault, or damage.
    pub(crate) fn tables(action: &'static str, path: &Path, error: lsm_tree::Error) -> StateError {
        match error {
            lsm_tree::Error::Io(source) => {
                StateError::Io { action, path: path.to_path_buf(), source }
            }
            other => StateError::Damaged { path: path.to_path_buf(), reason: format!("{other:?}") },
        }
    }
}

impl From<StateError> for EngineError {
    fn from(error: StateError) -> EngineError {
        EngineError(error.to_string())
    }
}
