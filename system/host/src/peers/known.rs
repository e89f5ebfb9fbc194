//! What this member remembers of the others: which life of its data directory each one lives.
//!
//! A quorum that once counted a member's disk must never count an empty disk in its place. So a
//! peer's incarnation is written here and synced before the first message from it is heard; a
//! member that comes back without its data meets at least one memory of itself in every quorum.

use super::levels::{Levels, level_of};
use quorate_base::NodeId;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What is remembered of one member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownPeer {
    /// The life of its data directory that has taken part in the cluster.
    pub incarnation: u64,
    /// The name it last gave.
    pub name: String,
    /// The client addresses it last gave.
    pub client_urls: Vec<String>,
}

#[derive(Default)]
struct State {
    joined: bool,
    peers: BTreeMap<NodeId, KnownPeer>,
}

/// The memory, on disk and in memory. Small and rarely written.
pub struct Known {
    path: PathBuf,
    state: Mutex<State>,
    levels: Levels,
}

const HEADING: &str = "quorate peers 1";

impl Known {
    /// Reads the memory of a data directory; a missing file is a member that never joined.
    pub fn open(directory: &Path) -> io::Result<Known> {
        let path = directory.join("peers");
        let state = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text).ok_or_else(|| {
                let why = format!("{} is damaged: it is not a list of peers", path.display());
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        Ok(Known { path, state: Mutex::new(state), levels: Levels::open(directory) })
    }

    /// True when this data directory has taken part in its cluster.
    pub fn joined(&self) -> bool {
        self.lock().joined
    }

    /// Remembers, durably, that this data directory takes part from now on.
    pub fn join(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.joined = true;
        self.save(&state)
    }

    /// The incarnation of a peer, if it is known.
    pub fn incarnation(&self, id: NodeId) -> Option<u64> {
        self.lock().peers.get(&id).map(|peer| peer.incarnation)
    }

    /// Remembers a peer, durably. False when another incarnation of it is known: nothing changes.
    pub fn remember(&self, id: NodeId, peer: KnownPeer) -> io::Result<bool> {
        let mut state = self.lock();
        match state.peers.get(&id) {
            Some(known) if known.incarnation != peer.incarnation => return Ok(false),
            Some(known) if *known == peer => return Ok(true),
            Some(_) | None => {}
        }
        state.peers.insert(id, peer);
        self.save(&state)?;
        Ok(true)
    }

    /// Remembers which build a peer is, by what it told.
    pub fn note_build(&self, id: NodeId, build: &str) {
        self.levels.note(id, level_of(build));
    }

    /// The level of the cluster: the lowest of this build and the others.
    pub fn level(&self, others: impl Iterator<Item = NodeId>) -> u32 {
        let took_part = self.lock().peers.keys().copied().collect::<Vec<_>>();
        self.levels.lowest(others, |id| took_part.contains(&id))
    }

    /// The highest level of this build and the others.
    pub fn highest_level(&self, others: impl Iterator<Item = NodeId>) -> u32 {
        self.levels.highest(others)
    }

    /// Everybody known.
    pub fn all(&self) -> BTreeMap<NodeId, KnownPeer> {
        self.lock().peers.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn save(&self, state: &State) -> io::Result<()> {
        replace(&self.path, render(state).as_bytes())
    }
}

/// Puts these bytes into a file, durably: whoever reads it finds all of them, or what was there before.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(path.parent().expect("a file in a directory"))?.sync_all()
}

fn render(state: &State) -> String {
    let mut body = format!("{HEADING}\njoined {}\n", state.joined);
    for (id, peer) in &state.peers {
        let urls = peer.client_urls.join(",");
        // The name comes last: it may hold spaces.
        body += &format!("peer {:x} {:x} [{urls}] {}\n", id.0, peer.incarnation, peer.name);
    }
    format!("{body}crc {:08x}\n", crc32c::crc32c(body.as_bytes()))
}

fn parse(text: &str) -> Option<State> {
    let (body, crc) = text.rsplit_once("crc ")?;
    if u32::from_str_radix(crc.trim_end(), 16).ok()? != crc32c::crc32c(body.as_bytes()) {
        return None;
    }
    let mut lines = body.lines();
    if lines.next()? != HEADING {
        return None;
    }
    let joined = lines.next()?.strip_prefix("joined ")?.parse().ok()?;
    let mut peers = BTreeMap::new();
    for line in lines {
        let mut words = line.strip_prefix("peer ")?.splitn(4, ' ');
        let id = NodeId(u64::from_str_radix(words.next()?, 16).ok()?);
        let incarnation = u64::from_str_radix(words.next()?, 16).ok()?;
        let urls = words.next()?.strip_prefix('[')?.strip_suffix(']')?;
        let client_urls = urls.split(',').filter(|url| !url.is_empty()).map(str::to_owned);
        let peer = KnownPeer {
            incarnation,
            client_urls: client_urls.collect(),
            name: words.next()?.to_owned(),
        };
        peers.insert(id, peer);
    }
    Some(State { joined, peers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(incarnation: u64) -> KnownPeer {
        KnownPeer {
            incarnation,
            name: "north two".into(),
            client_urls: vec!["http://127.0.0.1:1".into(), "http://[::1]:2".into()],
        }
    }

    #[test]
    fn a_memory_survives_and_another_incarnation_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let known = Known::open(directory.path()).unwrap();
        assert!(!known.joined());
        known.join().unwrap();
        assert!(known.remember(NodeId(9), peer(1)).unwrap());
        assert!(!known.remember(NodeId(9), peer(2)).unwrap());
        let again = Known::open(directory.path()).unwrap();
        assert!(again.joined());
        assert_eq!(again.all(), [(NodeId(9), peer(1))].into());
    }

    #[test]
    fn a_damaged_memory_is_an_error_and_not_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        Known::open(directory.path()).unwrap().remember(NodeId(9), peer(1)).unwrap();
        let path = directory.path().join("peers");
        let text = std::fs::read_to_string(&path).unwrap().replace("peer 9", "peer 8");
        std::fs::write(&path, text).unwrap();
        assert!(Known::open(directory.path()).is_err());
    }
}
