//! Who belongs to the cluster: names and addresses behind the ids that consensus counts.
//!
//! Which ids vote is consensus's own, in its own entries (`quorate_raft`). This table is what the
//! operator asked for: changes are commands like any other, checked here against the same table on
//! every member, and the leader then brings the group's configuration to what the table says. So a
//! change is refused once, for everybody, and survives any leader.
//!
//! - *A removed id is remembered for ever*, with its addresses: it is never accepted again, so a
//!   member that comes back from the dead is known for what it is (etcd#20967).
//! - *A cluster that was never changed has no table*: its members are what all of them were started
//!   with. The first change brings that list along and it becomes the table's beginning, so that
//!   nothing is written for clusters that never need it.
//! - A limit such as `--max-learners` belongs to the member that took the request, so it travels in the
//!   command: applying must come to the same on all of them.

use crate::engine::{EngineError, EngineRead};
use crate::layout::{self, MEMBER};
use crate::{Member, MemberAction, MemberChange, StoreError};
use bytes::{BufMut, Bytes};
use quorate_base::mutant;
use std::collections::{BTreeMap, BTreeSet};

/// The table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    present: BTreeMap<u64, Member>,
    removed: BTreeMap<u64, Vec<String>>,
    /// The members that the cluster began with, present or not.
    founders: BTreeSet<u64>,
}

/// What a change comes to in the engine.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

impl Members {
    /// True while nothing was ever changed: the members are those that the cluster began with.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty() && self.removed.is_empty()
    }

    /// Those who belong, by id.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        self.present.values()
    }

    /// The member with this id.
    pub fn get(&self, id: u64) -> Option<&Member> {
        self.present.get(&id)
    }

    /// True for an id that was removed and never comes back.
    pub fn is_removed(&self, id: u64) -> bool {
        self.removed.contains_key(&id)
    }

    /// The ids of the members that the cluster began with: who took part before any change.
    pub fn founders(&self) -> &BTreeSet<u64> {
        &self.founders
    }

    /// Those who were removed, with the peer addresses they had.
    pub fn removed(&self) -> impl Iterator<Item = (u64, &[String])> {
        self.removed.iter().map(|(id, urls)| (*id, urls.as_slice()))
    }

    /// Applies a change. Says which rows are different, or why nothing is.
    pub(crate) fn change(&mut self, action: &MemberAction) -> Result<Vec<Row>, StoreError> {
        let mut next = self.clone();
        let mut touched = BTreeSet::new();
        if next.is_empty() {
            touched.extend(action.initial.iter().map(|member| member.id));
            let rows = action.initial.iter().map(|member| (member.id, member.clone()));
            next.present = rows.collect();
            next.founders = next.present.keys().copied().collect();
        }
        touched.insert(next.perform(action)?);
        *self = next;
        Ok(touched.into_iter().map(|id| self.row(id)).collect())
    }

    fn perform(&mut self, action: &MemberAction) -> Result<u64, StoreError> {
        match &action.change {
            MemberChange::Add(member) => {
                let used = self.is_removed(member.id) && !mutant!(STORE_322_REMOVED_ID_RETURNS);
                if self.present.contains_key(&member.id) || used {
                    return Err(StoreError::MemberExists { id: member.id });
                }
                self.check_urls(member.id, &member.peer_urls)?;
                let learners = self.present().filter(|member| member.learner).count() as u64;
                if member.learner && learners >= action.max_learners {
                    return Err(StoreError::TooManyLearners { limit: action.max_learners });
                }
                self.present.insert(member.id, member.clone());
                Ok(member.id)
            }
            MemberChange::Remove { id } => {
                let voters = self.present().filter(|member| !member.learner).count();
                let member = self.known(*id)?;
                if !member.learner && voters == 1 {
                    return Err(StoreError::LastMember { id: *id });
                }
                let urls = std::mem::take(&mut member.peer_urls);
                self.present.remove(id);
                self.removed.insert(*id, urls);
                Ok(*id)
            }
            MemberChange::Update { id, peer_urls } => {
                self.known(*id)?;
                self.check_urls(*id, peer_urls)?;
                self.known(*id)?.peer_urls = peer_urls.clone();
                Ok(*id)
            }
            MemberChange::Promote { id } => {
                let member = self.known(*id)?;
                if !member.learner {
                    return Err(StoreError::NotALearner { id: *id });
                }
                member.learner = false;
                Ok(*id)
            }
            MemberChange::Publish { id, name, client_urls } => {
                let member = self.known(*id)?;
                (member.name, member.client_urls) = (name.clone(), client_urls.clone());
                Ok(*id)
            }
        }
    }

    fn known(&mut self, id: u64) -> Result<&mut Member, StoreError> {
        self.present.get_mut(&id).ok_or(StoreError::MemberNotFound { id })
    }

    fn check_urls(&self, id: u64, urls: &[String]) -> Result<(), StoreError> {
        let mut others = self.present().filter(|member| member.id != id);
        if others.any(|member| member.peer_urls.iter().any(|url| urls.contains(url))) {
            return Err(StoreError::PeerUrlExists);
        }
        Ok(())
    }

    /// Reads the table.
    pub(crate) fn load<R: EngineRead>(engine: &R) -> Result<Members, EngineError> {
        let mut members = Members::default();
        for pair in engine.range(&[MEMBER], Some(&[MEMBER + 1])) {
            let (key, value) = pair?;
            let broken = || EngineError("a member of the table cannot be read".into());
            if key.len() != 9 {
                return Err(broken());
            }
            let id = layout::read_u64(&key, 1);
            let (kind, member) = read(id, &value).ok_or_else(broken)?;
            if kind & FOUNDER != 0 {
                members.founders.insert(id);
            }
            match (kind & !FOUNDER, member) {
                (REMOVED, member) => drop(members.removed.insert(id, member.peer_urls)),
                (_, member) => drop(members.present.insert(id, member)),
            }
        }
        Ok(members)
    }

    fn row(&self, id: u64) -> Row {
        let mut value = Vec::new();
        let founder = if self.founders.contains(&id) { FOUNDER } else { 0 };
        match (self.present.get(&id), self.removed.get(&id)) {
            (Some(member), _) => {
                value.push(founder | if member.learner { LEARNER } else { VOTER });
                put_text(&mut value, &member.name);
                put_texts(&mut value, &member.peer_urls);
                put_texts(&mut value, &member.client_urls);
            }
            (None, urls) => {
                value.push(founder | REMOVED);
                put_text(&mut value, "");
                put_texts(&mut value, urls.map(Vec::as_slice).unwrap_or_default());
                put_texts(&mut value, &[]);
            }
        }
        (layout::plain(MEMBER, &id.to_be_bytes()), value)
    }
}

const VOTER: u8 = 1;
const LEARNER: u8 = 2;
const REMOVED: u8 = 3;
/// Added to one of these.
const FOUNDER: u8 = 0x10;

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u32(text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

fn put_texts(out: &mut Vec<u8>, texts: &[String]) {
    out.put_u32(texts.len() as u32);
    texts.iter().for_each(|text| put_text(out, text));
}

fn read(id: u64, value: &Bytes) -> Option<(u8, Member)> {
    let mut rest = &value[..];
    let kind = take(&mut rest, 1)?[0];
    if ![VOTER, LEARNER, REMOVED].contains(&(kind & !FOUNDER)) {
        return None;
    }
    let name = get_text(&mut rest)?;
    let peer_urls = get_texts(&mut rest)?;
    let client_urls = get_texts(&mut rest)?;
    let learner = kind & !FOUNDER == LEARNER;
    rest.is_empty().then_some((kind, Member { id, name, peer_urls, client_urls, learner }))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn get_number(rest: &mut &[u8]) -> Option<usize> {
    take(rest, 4).map(|bytes| layout::read_u32(bytes, 0) as usize)
}

fn get_text(rest: &mut &[u8]) -> Option<String> {
    let count = get_number(rest)?;
    String::from_utf8(take(rest, count)?.to_vec()).ok()
}

fn get_texts(rest: &mut &[u8]) -> Option<Vec<String>> {
    let count = get_number(rest)?;
    (0..count).map(|_| get_text(rest)).collect()
}
