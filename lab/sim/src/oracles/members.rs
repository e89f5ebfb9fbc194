//! Who belongs to the cluster, written down again in the plainest way, to compare with.

use quorate_store::{Member, MemberAction, MemberChange};
use std::collections::{BTreeMap, BTreeSet};

/// The members as the commands of the log make them.
#[derive(Clone, Debug, Default)]
pub struct Members {
    present: BTreeMap<u64, Member>,
    removed: BTreeSet<u64>,
}

impl Members {
    /// Whether the change is one that the cluster takes, and takes it.
    pub fn change(&mut self, action: &MemberAction) -> bool {
        let mut next = self.clone();
        if next.present.is_empty() && next.removed.is_empty() {
            next.present = action.initial.iter().map(|one| (one.id, one.clone())).collect();
        }
        let taken = next.perform(action);
        if taken {
            *self = next;
        }
        taken
    }

    /// The row of one who belongs.
    pub fn get(&self, id: u64) -> Option<&Member> {
        self.present.get(&id)
    }

    /// The ids of those who belong; empty while nothing was changed.
    pub fn ids(&self) -> BTreeSet<u64> {
        self.present.keys().copied().collect()
    }

    /// The ids of those who belong and vote; empty while nothing was changed.
    pub fn voters(&self) -> BTreeSet<u64> {
        self.present.values().filter(|one| !one.learner).map(|one| one.id).collect()
    }

    /// The ids of those who belonged once.
    pub fn removed(&self) -> &BTreeSet<u64> {
        &self.removed
    }

    fn perform(&mut self, action: &MemberAction) -> bool {
        match &action.change {
            MemberChange::Add(new) => {
                let used = self.present.contains_key(&new.id) || self.removed.contains(&new.id);
                let learners = self.present.values().filter(|one| one.learner).count() as u64;
                let many = new.learner && learners >= action.max_learners;
                let free = self.free(new.id, &new.peer_urls);
                !used && !many && free && self.present.insert(new.id, new.clone()).is_none()
            }
            MemberChange::Remove { id } => {
                let votes = |one: &&Member| !one.learner && one.id != *id;
                let left = self.present.values().filter(votes).count();
                let known = self.present.get(id).is_some_and(|one| one.learner || left > 0);
                known && self.present.remove(id).is_some() && self.removed.insert(*id)
            }
            MemberChange::Update { id, peer_urls } => {
                let free = self.free(*id, peer_urls);
                let known = self.present.get_mut(id).filter(|_| free);
                known.map(|one| one.peer_urls = peer_urls.clone()).is_some()
            }
            MemberChange::Promote { id } => {
                let learner = self.present.get_mut(id).filter(|one| one.learner);
                learner.map(|one| one.learner = false).is_some()
            }
            MemberChange::Publish { id, .. } => self.present.contains_key(id),
        }
    }

    fn free(&self, id: u64, urls: &[String]) -> bool {
        let others = self.present.values().filter(|one| one.id != id);
        others.flat_map(|one| &one.peer_urls).all(|url| !urls.contains(url))
    }
}
