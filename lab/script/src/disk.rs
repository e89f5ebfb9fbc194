//! A disk as Raft's host sees it: writes in ticket order, durable up to a point, the rest lost in a
//! crash.

use quorate_base::{NodeId, Ticket};
use quorate_raft::{Entry, LogId, Membership, Restored, SnapshotMeta, Write};
use std::collections::VecDeque;

/// What survives a crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Platter {
    /// The newest durable term.
    pub term: u64,
    /// The vote in it.
    pub vote: Option<NodeId>,
    /// The commit hint.
    pub commit: u64,
    /// The entry before the first one kept.
    pub base: LogId,
    /// The configuration at the base.
    pub membership: Membership,
    /// The entries after the base, contiguous.
    pub entries: Vec<Entry>,
}

impl Platter {
    /// A new member's disk.
    pub fn new(membership: Membership) -> Platter {
        Platter {
            term: 0,
            vote: None,
            commit: 0,
            base: LogId::default(),
            membership,
            entries: Vec::new(),
        }
    }

    /// Performs one write.
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::Vote { term, vote } => {
                assert!(term >= self.term, "term went back on disk");
                (self.term, self.vote) = (term, vote);
            }
            Write::Append(entries) => {
                let first = entries.first().expect("an append has entries").index;
                self.entries.retain(|entry| entry.index < first);
                assert_eq!(self.last().index + 1, first, "a gap in the log on disk");
                self.entries.extend(entries);
            }
            Write::Commit(index) => self.commit = index,
            Write::Snapshot(meta) => self.restart_after(meta.last, meta.membership),
            Write::Compact(SnapshotMeta { last, membership }) => {
                self.entries.retain(|entry| entry.index > last.index);
                (self.base, self.membership) = (last, membership);
            }
        }
    }

    /// The log restarts after `last`, keeping what follows only when it held `last`.
    pub fn restart_after(&mut self, last: LogId, membership: Membership) {
        let held = self.term_at(last.index) == Some(last.term);
        self.entries.retain(|entry| held && entry.index > last.index);
        self.base = last;
        self.membership = membership;
    }

    /// The newest entry.
    pub fn last(&self) -> LogId {
        self.entries
            .last()
            .map_or(self.base, |entry| LogId { term: entry.term, index: entry.index })
    }

    /// The term of an entry on this disk.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        let at = index.checked_sub(self.base.index + 1)?;
        self.entries.get(usize::try_from(at).ok()?).map(|entry| entry.term)
    }

    /// Entries from `from` on, at most `max_bytes` of payload but at least one.
    pub fn read(&self, from: u64, max_bytes: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let mut found = Vec::new();
        if from <= self.base.index {
            return found;
        }
        for entry in self.entries.iter().filter(|entry| entry.index >= from) {
            bytes += entry.payload.len();
            if !found.is_empty() && bytes > max_bytes {
                break;
            }
            found.push(entry.clone());
        }
        found
    }

    /// What a member finds here at its start, over a state that has applied up to `applied`.
    pub fn restored(&self, applied: u64) -> Restored {
        Restored {
            term: self.term.max(self.last().term),
            vote: self.vote,
            commit: self.commit,
            applied,
            base: self.base,
            membership: self.membership.clone(),
            configs: self.configs().collect(),
            term_starts: self.term_starts(),
            last_index: self.last().index,
            entries: self.entries.iter().filter(|entry| entry.index > applied).cloned().collect(),
        }
    }

    /// The configurations in its entries.
    pub fn configs(&self) -> impl Iterator<Item = (u64, Membership)> {
        let config = |entry: &Entry| Some((entry.index, Membership::of_payload(&entry.payload)?));
        self.entries.iter().filter_map(config)
    }

    /// Where each term begins.
    pub fn term_starts(&self) -> Vec<(u64, u64)> {
        let mut starts: Vec<(u64, u64)> = Vec::new();
        for entry in &self.entries {
            if starts.last().is_none_or(|(_, term)| *term != entry.term) {
                starts.push((entry.index, entry.term));
            }
        }
        starts
    }
}

/// A platter and the writes that are not on it yet.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What survives.
    pub platter: Platter,
    /// What does not yet, in ticket order.
    pub pending: VecDeque<(Ticket, Write)>,
    /// When held, writes wait until they are synced one by one.
    pub held: bool,
}

impl Disk {
    /// A disk with nothing under way.
    pub fn new(platter: Platter) -> Disk {
        Disk { platter, pending: VecDeque::new(), held: false }
    }

    /// All configurations that are on this disk or on their way to it.
    pub fn memberships(&self) -> Vec<Membership> {
        let mut found = vec![self.platter.membership.clone()];
        found.extend(self.platter.configs().map(|(_, membership)| membership));
        for (_, write) in &self.pending {
            if let Write::Append(entries) = write {
                let configs = entries.iter().map(|entry| Membership::of_payload(&entry.payload));
                found.extend(configs.flatten());
            }
        }
        found
    }

    /// Makes the oldest `count` pending writes durable. Says up to which ticket.
    pub fn sync(&mut self, count: usize) -> Option<Ticket> {
        let mut reached = None;
        for _ in 0..count {
            let Some((ticket, write)) = self.pending.pop_front() else { break };
            self.platter.apply(write);
            reached = Some(ticket);
        }
        reached
    }

    /// The power fails. The oldest `survivors` pending writes had reached the platter without
    /// anybody having been told; the rest is gone.
    pub fn crash(&mut self, survivors: usize) {
        self.sync(survivors);
        self.pending.clear();
    }
}
