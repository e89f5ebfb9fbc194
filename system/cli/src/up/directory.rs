//! The directory of a local cluster: whose it is, what it looks like, and the file that describes it.
//!
//! ```text
//! quorate-data/cluster.json    what the other commands read; written whole or not at all
//! quorate-data/control.sock    while it runs, the way to its supervisor
//! quorate-data/up.lock         held with flock by the supervisor
//! quorate-data/n1/data/        the first member's data directory
//! quorate-data/n1/node.log     what it logged, over all of its runs
//! quorate-data/n1/disk         how late its disk is made, for experiments
//! ```
//!
//! `cluster.json` is written before the first member starts, so a directory with members in it and without that file is
//! not ours, and nothing here touches it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

/// The version of `cluster.json` and of the directory around it.
pub const VERSION: u32 = 1;
/// The name of the file that describes the cluster.
pub const FILE: &str = "cluster.json";
/// The name of the control socket.
pub const CONTROL: &str = "control.sock";
const LOCK: &str = "up.lock";

/// `cluster.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterFile {
    /// [`VERSION`].
    pub version: u32,
    /// The cluster's id in hexadecimal digits, once a member has told it.
    pub cluster_id: Option<String>,
    /// The process that looks after the members; `None` while the cluster does not run.
    pub supervisor_pid: Option<u32>,
    /// The control socket, relative to the directory.
    pub control: String,
    /// The first port; member i has `base_port + 10 i` for clients and one more for peers.
    pub base_port: u16,
    /// The links that `quorate node cut` has cut, as `n1->n2`.
    #[serde(default)]
    pub cuts: Vec<String>,
    /// The members.
    pub members: Vec<MemberEntry>,
}

/// A member in `cluster.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberEntry {
    /// Its name.
    pub name: String,
    /// Where clients connect.
    pub client_url: String,
    /// Where it listens for peers. They reach it through a relay.
    pub peer_url: String,
    /// Its process while it runs.
    pub pid: Option<u32>,
    /// Where its data lies.
    pub data_dir: PathBuf,
    /// What it logs.
    pub log_file: PathBuf,
    /// A place for a member that the cluster does not begin with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spare: bool,
}

impl ClusterFile {
    /// The same with places for so many more members.
    pub fn with_spares(mut self, directory: &Path, spares: u16) -> ClusterFile {
        let nodes = u16::try_from(self.members.len()).expect("a cluster is small");
        let all = ClusterFile::new(directory, nodes + spares, self.base_port).members;
        let more = all.into_iter().skip(usize::from(nodes));
        self.members.extend(more.map(|member| MemberEntry { spare: true, ..member }));
        self
    }

    /// A cluster that never ran.
    pub fn new(directory: &Path, nodes: u16, base_port: u16) -> ClusterFile {
        let member = |i: u16| {
            let name = format!("n{}", i + 1);
            MemberEntry {
                client_url: format!("http://127.0.0.1:{}", base_port + 10 * i),
                peer_url: format!("http://127.0.0.1:{}", base_port + 10 * i + 1),
                pid: None,
                data_dir: directory.join(&name).join("data"),
                log_file: directory.join(&name).join("node.log"),
                spare: false,
                name,
            }
        };
        ClusterFile {
            version: VERSION,
            cluster_id: None,
            supervisor_pid: None,
            control: CONTROL.to_owned(),
            base_port,
            cuts: Vec::new(),
            members: (0..nodes).map(member).collect(),
        }
    }

    /// Reads the file of a directory; `None` if there is none. The error is one line.
    pub fn read(directory: &Path) -> Result<Option<ClusterFile>, String> {
        let path = directory.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let tree: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| format!("{} is damaged ({error}): {}", path.display(), WAY_OUT))?;
        let version = tree.get("version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(VERSION)) {
            let found =
                version.map_or("no version".to_owned(), |version| format!("version {version}"));
            return Err(format!(
                "{} was written by another version of quorate ({found}, this one writes {VERSION}): {WAY_OUT}",
                path.display()
            ));
        }
        serde_json::from_value(tree)
            .map(Some)
            .map_err(|error| format!("{} is damaged ({error}): {WAY_OUT}", path.display()))
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let draft = directory.join("cluster.json.new");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&draft, directory.join(FILE))
    }
}

const WAY_OUT: &str = "choose another --data-dir, or delete it with --fresh";

/// What `up` was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How many members, if that was said.
    pub nodes: Option<u16>,
    /// The first port, if that was said.
    pub base_port: Option<u16>,
    /// Delete what was there.
    pub fresh: bool,
}

/// A directory that this process alone uses.
#[derive(Debug)]
pub struct Directory {
    /// Its absolute path.
    pub path: PathBuf,
    /// Holds the lock as long as it is open.
    _lock: File,
}

impl Directory {
    /// Takes a directory, makes it if need be, and finds out or decides what it holds. The error is one line.
    pub fn open(path: &Path, wanted: Wanted) -> Result<(Directory, ClusterFile), String> {
        let shown = path.display();
        refuse_foreign(path)?;
        fs::create_dir_all(path).map_err(|error| format!("{shown}: {error}"))?;
        let absolute = path.canonicalize().map_err(|error| format!("{shown}: {error}"))?;
        let directory = Directory { _lock: lock(path)?, path: absolute };
        if wanted.fresh {
            directory.wipe().map_err(|error| format!("{shown} cannot be deleted: {error}"))?;
        }
        let found = ClusterFile::read(&directory.path)?;
        let cluster = match found.filter(|found| directory.has_begun(found)) {
            Some(cluster) => agree(cluster, wanted, path)?,
            None => {
                let (nodes, base) = (wanted.nodes.unwrap_or(3), wanted.base_port.unwrap_or(2379));
                if u32::from(base) + 10 * u32::from(nodes) > 65536 {
                    return Err(format!(
                        "--base-port {base} leaves no room for {nodes} nodes: expected at most {}",
                        65536 - 10 * u32::from(nodes)
                    ));
                }
                ClusterFile::new(&directory.path, nodes, base)
            }
        };
        Ok((directory, cluster))
    }

    /// Whether a cluster has become more than a description: one that never started, for a slip in the flags perhaps,
    /// may still take another shape.
    fn has_begun(&self, cluster: &ClusterFile) -> bool {
        let has_data = |member: &MemberEntry| self.path.join(&member.name).join("data").exists();
        cluster.cluster_id.is_some() || cluster.members.iter().any(has_data)
    }

    /// Deletes what `up` and its members made, and nothing else.
    fn wipe(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if is_member(&entry) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        // The description goes last: without it the rest would be nobody's.
        for name in [CONTROL, "cluster.json.new", FILE] {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// The cluster that a directory holds, if it is the one that was asked for.
fn agree(found: ClusterFile, wanted: Wanted, path: &Path) -> Result<ClusterFile, String> {
    let (shown, count, base) = (path.display(), found.members.len(), found.base_port);
    if let Some(nodes) = wanted.nodes.filter(|nodes| usize::from(*nodes) != count) {
        return Err(format!(
            "{shown} holds a cluster of {count}, not of {nodes}: leave out --nodes, {WAY_OUT}"
        ));
    }
    if let Some(port) = wanted.base_port.filter(|port| *port != base) {
        return Err(format!(
            "{shown} holds a cluster whose addresses begin at port {base}, not {port}: leave out --base-port, {WAY_OUT}"
        ));
    }
    if found.members.iter().any(|member| member.spare) {
        return Err(format!(
            "{shown} is what `quorate chaos` left of a cluster whose members came and went: {WAY_OUT}"
        ));
    }
    let count = u16::try_from(count).ok().filter(|count| [1, 3, 5].contains(count));
    let count =
        count.ok_or_else(|| format!("{shown} is damaged (its number of members): {WAY_OUT}"))?;
    let absolute = path.canonicalize().map_err(|error| format!("{shown}: {error}"))?;
    // Everything else follows from the shape, also when the directory was moved.
    Ok(ClusterFile { cluster_id: found.cluster_id, ..ClusterFile::new(&absolute, count, base) })
}

/// A directory with something in it that `up` did not make is not ours to use, let alone to delete.
fn refuse_foreign(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let entries = match fs::read_dir(path) {
        Ok(entries) => {
            entries.collect::<io::Result<Vec<_>>>().map_err(|e| format!("{shown}: {e}"))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{shown}: {error}")),
    };
    let known = [FILE, "cluster.json.new", CONTROL, LOCK];
    let is_known = |entry: &fs::DirEntry| {
        entry.file_name().to_str().is_some_and(|name| known.contains(&name)) || is_member(entry)
    };
    if let Some(entry) = entries.iter().find(|entry| !is_known(entry)) {
        return Err(format!(
            "{shown} holds {:?}, which `quorate up` did not make: choose another --data-dir",
            entry.file_name()
        ));
    }
    if entries.iter().any(is_member) && !path.join(FILE).exists() {
        return Err(format!(
            "{shown} has no {FILE}, so it is not known to be of `quorate up`: choose another --data-dir"
        ));
    }
    Ok(())
}

/// Whether an entry is the directory of a member: `n1`, `n2`, …
fn is_member(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let number = name.to_str().and_then(|name| name.strip_prefix('n'));
    let is_number = number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    is_number && entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn lock(directory: &Path) -> Result<File, String> {
    let path = directory.join(LOCK);
    let fail = |error: io::Error| format!("{}: {error}", path.display());
    let mut options = File::options();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(&path).map_err(fail)?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        // Only for the message.
        let _ = file.read_to_string(&mut holder);
        return Err(format!(
            "{} is in use by another `quorate up` (process {}): stop that one, or choose another --data-dir \
             and --base-port",
            directory.display(),
            holder.trim()
        ));
    }
    file.set_len(0).map_err(fail)?;
    file.rewind().map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Wanted = Wanted { nodes: None, base_port: None, fresh: false };

    fn made(path: &Path, nodes: u16) {
        let (directory, cluster) =
            Directory::open(path, Wanted { nodes: Some(nodes), ..ANY }).unwrap();
        cluster.write(&directory.path).unwrap();
        fs::create_dir_all(&cluster.members[0].data_dir).unwrap();
    }

    #[test]
    fn a_cluster_that_never_began_may_take_another_shape() {
        let temporary = tempfile::tempdir().unwrap();
        let wanted = |nodes| Wanted { nodes: Some(nodes), ..ANY };
        let (directory, cluster) = Directory::open(temporary.path(), wanted(1)).unwrap();
        cluster.write(&directory.path).unwrap();
        drop(directory);
        let (directory, cluster) = Directory::open(temporary.path(), wanted(5)).unwrap();
        assert_eq!(cluster.members.len(), 5);
        fs::create_dir_all(&cluster.members[4].data_dir).unwrap();
        cluster.write(&directory.path).unwrap();
        drop(directory);
        refuses(temporary.path(), wanted(1), "holds a cluster of 5, not of 1");
    }

    #[track_caller]
    fn refuses(path: &Path, wanted: Wanted, part: &str) {
        let error = Directory::open(path, wanted).unwrap_err();
        assert!(
            error.contains(part) && !error.contains('\n'),
            "{error:?} does not contain {part:?}"
        );
    }

    #[test]
    fn a_new_directory_gets_the_shape_that_was_asked_for() {
        let temporary = tempfile::tempdir().unwrap();
        let wanted = Wanted { nodes: Some(5), base_port: Some(4000), fresh: false };
        let (directory, cluster) = Directory::open(&temporary.path().join("a/b"), wanted).unwrap();
        assert_eq!(cluster.members.len(), 5);
        assert_eq!(cluster.members[4].name, "n5");
        assert_eq!(cluster.members[4].client_url, "http://127.0.0.1:4040");
        assert_eq!(cluster.members[4].peer_url, "http://127.0.0.1:4041");
        assert_eq!(cluster.members[4].data_dir, directory.path.join("n5/data"));
        refuses(
            &temporary.path().join("c"),
            Wanted { base_port: Some(65530), ..ANY },
            "at most 65506",
        );
    }

    #[test]
    fn a_cluster_keeps_its_shape_and_another_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        made(temporary.path(), 1);
        let (_, cluster) = Directory::open(temporary.path(), ANY).unwrap();
        assert_eq!(cluster.members.len(), 1);
        refuses(
            temporary.path(),
            Wanted { nodes: Some(3), ..ANY },
            "holds a cluster of 1, not of 3",
        );
        refuses(
            temporary.path(),
            Wanted { base_port: Some(1), ..ANY },
            "begin at port 2379, not 1",
        );
    }

    #[test]
    fn two_cannot_use_one_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let _first = Directory::open(temporary.path(), ANY).unwrap();
        let holder = format!("in use by another `quorate up` (process {})", std::process::id());
        refuses(temporary.path(), ANY, &holder);
        refuses(temporary.path(), Wanted { fresh: true, ..ANY }, &holder);
    }

    #[test]
    fn fresh_deletes_only_what_is_ours() {
        let temporary = tempfile::tempdir().unwrap();
        made(temporary.path(), 1);
        let fresh = Wanted { nodes: Some(3), base_port: None, fresh: true };
        let (_, cluster) = Directory::open(temporary.path(), fresh).unwrap();
        assert_eq!(cluster.members.len(), 3);
        assert!(!temporary.path().join("n1").exists());

        made(temporary.path(), 3);
        fs::write(temporary.path().join("thesis.txt"), "years of work").unwrap();
        refuses(temporary.path(), fresh, "thesis.txt");
        assert!(temporary.path().join("n1/data").exists());
        assert!(temporary.path().join("thesis.txt").exists());
    }

    #[test]
    fn members_without_a_description_are_not_ours() {
        let temporary = tempfile::tempdir().unwrap();
        fs::create_dir(temporary.path().join("n1")).unwrap();
        refuses(temporary.path(), Wanted { fresh: true, ..ANY }, "has no cluster.json");
        assert!(temporary.path().join("n1").exists());
    }

    #[test]
    fn other_versions_and_damage_are_told_apart() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join(FILE);
        fs::write(&file, "{\"version\": 2}").unwrap();
        refuses(temporary.path(), ANY, "another version of quorate (version 2, this one writes 1)");
        fs::write(&file, "{").unwrap();
        refuses(temporary.path(), ANY, "is damaged");
        Directory::open(temporary.path(), Wanted { fresh: true, ..ANY }).unwrap();
    }
}
