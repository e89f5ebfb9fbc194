//! The label of a data directory: which cluster, which member, which format.
//!
//! A small text file, so that a person with a pager can answer "whose disk is this?":
//!
//! ```text
//! quorate data directory
//! format = 1
//! cluster-id = 8e9e05c52164694d
//! member-id = 91bc3c398fb3c146
//! name = n1
//! created-by = 0.1.0
//! incarnation = 5f2d6d0a81c7e2b4
//! crc32c = 9a3bd12e
//! ```
//!
//! Numbers are hexadecimal except the format. The checksum covers every line before its own. The
//! file is replaced atomically: written aside, synced, renamed, and the directory synced.

use crate::WITHOUT_ITS_DATA;
use crate::aside;
use crate::disk::{Disk, DiskError};

/// The format of data directories that this build reads and writes.
pub const FORMAT: u32 = 1;

const FILE: &str = "meta";
const TITLE: &str = "quorate data directory";
/// No label is longer; a longer file is not read into memory.
const MAX_BYTES: u64 = 4096;
const MAX_NAME_BYTES: usize = 256;

/// The label of a data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meta {
    /// The cluster that the data belongs to.
    pub cluster_id: u64,
    /// The member that the data belongs to.
    pub member_id: u64,
    /// The member's human name, at most 256 bytes without control characters.
    pub name: String,
    /// The version of Quorate that created the directory.
    pub created_by: String,
    /// Random per directory: a wiped and recreated directory differs, and so does its log.
    pub incarnation: u64,
}

/// A label that cannot be read, written or accepted.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is damaged.
    #[error(
        "{path} is damaged ({problem}): put the right one back; if it is lost, {WITHOUT_ITS_DATA}"
    )]
    Damaged {
        /// The label's file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The directory is in another format.
    #[error(
        "{path} says data format {found}, and this build reads format {FORMAT}: start the release \
         that wrote it (created by {created_by}), or use another data directory"
    )]
    OtherFormat {
        /// The label's file.
        path: String,
        /// Its format.
        found: u32,
        /// The version that created it.
        created_by: String,
    },
    /// The directory holds another cluster's data.
    #[error(
        "{path} belongs to cluster {found:016x}, and this member is configured for cluster \
         {expected:016x}: use another data directory, or the flags this one was created with"
    )]
    OtherCluster {
        /// The label's file.
        path: String,
        /// The cluster that it names.
        found: u64,
        /// The cluster that was expected.
        expected: u64,
    },
    /// The directory holds another member's data.
    #[error(
        "{path} belongs to member {found:016x} ({name}), not to member {expected:016x}: two \
         members must never share or swap data directories; use this member's own"
    )]
    OtherMember {
        /// The label's file.
        path: String,
        /// The member that it names.
        found: u64,
        /// That member's human name.
        name: String,
        /// The member that was expected.
        expected: u64,
    },
    /// The name cannot be written on one line.
    #[error("the member name {name:?} is longer than 256 bytes or has control characters")]
    BadName {
        /// The name.
        name: String,
    },
}

impl Meta {
    /// Reads the label. `None` when the directory has none: it was never initialised.
    pub fn load<D: Disk>(disk: &D) -> Result<Option<Meta>, MetaError> {
        let path = disk.path(FILE);
        let damaged =
            |problem: &str| MetaError::Damaged { path: path.clone(), problem: problem.into() };
        let Some(bytes) = aside::read(disk, FILE, MAX_BYTES + 1)? else { return Ok(None) };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(damaged("it is too long"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is not text"))?;
        Meta::parse(text, &path).map(Some)
    }

    /// Writes the label, durably and atomically: a crash leaves the old one or the new one.
    pub fn store<D: Disk>(&self, disk: &D) -> Result<(), MetaError> {
        if self.name.len() > MAX_NAME_BYTES || self.name.chars().any(char::is_control) {
            return Err(MetaError::BadName { name: self.name.clone() });
        }
        aside::replace(disk, FILE, self.render().as_bytes())?;
        Ok(())
    }

    /// Refuses a directory of another cluster or member.
    pub fn check<D: Disk>(&self, disk: &D, cluster: u64, member: u64) -> Result<(), MetaError> {
        let path = disk.path(FILE);
        if self.cluster_id != cluster {
            let (found, expected) = (self.cluster_id, cluster);
            return Err(MetaError::OtherCluster { path, found, expected });
        }
        if self.member_id != member {
            let (found, name, expected) = (self.member_id, self.name.clone(), member);
            return Err(MetaError::OtherMember { path, found, name, expected });
        }
        Ok(())
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let text = format!(
            "{TITLE}\nformat = {FORMAT}\ncluster-id = {:016x}\nmember-id = {:016x}\nname = {}\n\
             created-by = {}\nincarnation = {:016x}\n",
            self.cluster_id, self.member_id, self.name, self.created_by, self.incarnation
        );
        let crc = crc32c::crc32c(text.as_bytes());
        format!("{text}crc32c = {crc:08x}\n")
    }

    /// Reads the file's text; `path` is for messages.
    pub fn parse(text: &str, path: &str) -> Result<Meta, MetaError> {
        let damaged = |problem: String| MetaError::Damaged { path: path.to_owned(), problem };
        let broken = || damaged("its checksum line is missing".to_owned());
        let (covered, crc) = text.rsplit_once("crc32c = ").ok_or_else(broken)?;
        let crc = crc.strip_suffix('\n').ok_or_else(broken)?;
        let wanted = u32::from_str_radix(crc, 16).map_err(|_| broken())?;
        let found = crc32c::crc32c(covered.as_bytes());
        if found != wanted {
            return Err(damaged(format!("checksum {found:08x}, expected {wanted:08x}")));
        }
        if !covered.starts_with(&format!("{TITLE}\n")) {
            return Err(damaged(format!("its first line is not {TITLE:?}")));
        }
        // Unknown keys are allowed: a later release of the same format may add some.
        let field = |key: &str| {
            let mut pairs = covered.lines().filter_map(|line| line.split_once(" = "));
            let found = pairs.find(|(name, _)| *name == key).map(|(_, value)| value);
            found.ok_or_else(|| damaged(format!("{key} is missing")))
        };
        let number = |key: &str| {
            let value = field(key)?;
            u64::from_str_radix(value, 16).map_err(|_| damaged(format!("{key} = {value}")))
        };
        let created_by = field("created-by")?.to_owned();
        let format = field("format")?;
        match format.parse::<u32>() {
            Ok(FORMAT) => {}
            Ok(found) => {
                return Err(MetaError::OtherFormat { path: path.to_owned(), found, created_by });
            }
            Err(_) => return Err(damaged(format!("format = {format}"))),
        }
        Ok(Meta {
            cluster_id: number("cluster-id")?,
            member_id: number("member-id")?,
            name: field("name")?.to_owned(),
            created_by,
            incarnation: number("incarnation")?,
        })
    }
}
