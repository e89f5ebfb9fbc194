//! Who the members are, from the side of those who carry messages: whom to speak to, whom to hear.
//!
//! Two truths meet here. The *table* in the applied state says who belongs and where they listen; the
//! *configuration* of consensus says who counts at the moment. A member is spoken to while either of
//! them knows it: one that was just added has no place in the configuration yet, and one that is
//! on its way out is still needed for the majority that lets it go. Only who is in neither is refused,
//! and hears why. Before the first change of the configuration nothing in the log says who counts: the founders do.
//!
//! A member that was away while the cluster changed may hear from members that it does not know, and so
//! may a newcomer from one that is being removed and still leads. They belong to the same cluster, so
//! they are heard, and everybody brings its addresses along: without them they could never be answered.
//!
//! Nothing here opens a socket: the product's host dials the [`Contact`]s, the simulator's wires ask
//! the same values.

use quorate_base::{NodeId, mutant};
use quorate_raft::Raft;
use quorate_store::{Member, Members};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A member that was removed still answers whoever asked for that, for so long.
pub const FAREWELL: Duration = Duration::from_millis(500);

/// What is known of a member to be spoken to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// Its name; its id while it has published none.
    pub name: String,
    /// Where it listens for its peers.
    pub peer_urls: Vec<String>,
}

/// Who asks to be heard, as it says itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Visitor<'a> {
    /// Who it is.
    pub from: NodeId,
    /// Whom it believes to have reached.
    pub to: NodeId,
    /// Its name.
    pub name: &'a str,
    /// Where it listens; releases before this one did not say that of first members.
    pub peer_urls: &'a [String],
}

/// What a visitor is to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// It may be heard.
    Open,
    /// It was removed, and nobody waits for it any more: it is told so.
    Removed,
    /// It looks for somebody else, or nobody knows it and it cannot be answered.
    Mistaken,
}

/// Whom a member speaks to and hears.
#[derive(Clone, Debug)]
pub struct Roster {
    me: NodeId,
    /// The members that this one was started with, or learned of when it joined.
    first: Vec<Member>,
    table: Arc<Members>,
    /// Everybody whom consensus speaks to or waits for.
    counted: BTreeSet<NodeId>,
    /// Members that spoke to us before we heard of them.
    strangers: BTreeMap<NodeId, Contact>,
    /// What follows from all of these.
    contacts: BTreeMap<NodeId, Contact>,
    /// Of which configuration and conversation `counted` is.
    mark: Option<((u64, u64), usize)>,
    /// The contacts may differ from those that were taken last.
    changed: bool,
}

impl Roster {
    /// A roster that knows no configuration yet.
    pub fn new(me: NodeId, first: Vec<Member>, table: Arc<Members>) -> Roster {
        let counted = first.iter().map(|member| NodeId(member.id)).collect();
        let (strangers, contacts) = (BTreeMap::new(), BTreeMap::new());
        let (mark, changed) = (None, true);
        let mut roster = Roster { me, first, table, counted, strangers, contacts, mark, changed };
        roster.settle();
        roster
    }

    /// Looks at the newest table and at consensus; true when either is new.
    pub fn follow(&mut self, table: &Arc<Members>, raft: &Raft) -> bool {
        let mark = (raft.config_indexes(), raft.peers().count());
        if self.mark == Some(mark) && Arc::ptr_eq(table, &self.table) {
            return false;
        }
        self.counted = raft.membership().members();
        let unheard = self.counted.is_empty() && !mutant!(NODE_345_NOBODY_VOTES);
        self.counted.extend(raft.committed_membership().members());
        self.counted.extend(raft.peers());
        if unheard {
            // Who joined lately and has the log from its beginning has seen no configuration: it is still the
            // founders', whatever the table has asked for since.
            self.counted.extend(table.founders().iter().copied().map(NodeId));
        }
        (self.table, self.mark) = (table.clone(), Some(mark));
        self.settle();
        true
    }

    /// The members that this one began with.
    pub fn first(&self) -> &[Member] {
        &self.first
    }

    /// Everybody to speak to.
    pub fn contacts(&self) -> &BTreeMap<NodeId, Contact> {
        &self.contacts
    }

    /// The others who vote, as the table has it: what a quorum can be made of.
    pub fn electors(&self) -> BTreeSet<NodeId> {
        match self.table.is_empty() {
            true => self.electors_of(&self.first),
            false => self.electors_of(self.table.present()),
        }
    }

    /// The others among these members who vote.
    pub fn electors_of<'a>(
        &self,
        members: impl IntoIterator<Item = &'a Member>,
    ) -> BTreeSet<NodeId> {
        let votes = |member: &&Member| !member.learner && member.id != self.me.0;
        members.into_iter().filter(votes).map(|member| NodeId(member.id)).collect()
    }

    /// Everybody to speak to, when it may be different from the last time.
    pub fn take_changes(&mut self) -> Option<&BTreeMap<NodeId, Contact>> {
        std::mem::take(&mut self.changed).then_some(&self.contacts)
    }

    /// True for a member that was removed and that nobody waits for any more.
    pub fn is_out(&self, id: NodeId) -> bool {
        self.table.is_removed(id.0) && !self.counted.contains(&id)
    }

    /// Whether somebody who comes to us is heard. Whom nobody has told us of is remembered.
    pub fn open(&mut self, visitor: Visitor<'_>) -> Door {
        let Visitor { from, to, name, peer_urls } = visitor;
        if self.is_out(from) && !mutant!(NODE_340_REMOVED_IS_HEARD) {
            return Door::Removed;
        }
        let known = self.contacts.contains_key(&from);
        if to == self.me && !known && !peer_urls.is_empty() {
            let stranger = Contact { name: name.to_owned(), peer_urls: peer_urls.to_vec() };
            self.strangers.insert(from, stranger);
            self.settle();
            return Door::Open;
        }
        if to == self.me && known { Door::Open } else { Door::Mistaken }
    }

    fn settle(&mut self) {
        self.changed = true;
        let mut contacts = self.strangers.clone();
        let mut add = |id: NodeId, name: &str, urls: &[String]| {
            let name = if name.is_empty() { id.to_string() } else { name.to_owned() };
            contacts.insert(id, Contact { name, peer_urls: urls.to_vec() });
        };
        for member in &self.first {
            if self.table.is_empty() || self.counted.contains(&NodeId(member.id)) {
                add(NodeId(member.id), &member.name, &member.peer_urls);
            }
        }
        for (id, urls) in self.table.removed() {
            if self.counted.contains(&NodeId(id)) {
                add(NodeId(id), "", urls);
            }
        }
        for member in self.table.present() {
            add(NodeId(member.id), &member.name, &member.peer_urls);
        }
        contacts.retain(|id, _| *id != self.me && !self.is_out(*id));
        self.contacts = contacts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::{Dice, Instant};
    use quorate_raft::{Membership, Restored};
    use quorate_store::{
        Action, Applier, Command, MemEngine, MemberAction, MemberChange, OpId, Options,
    };

    fn member(id: u64) -> Member {
        let urls = vec![format!("http://m{id}:1")];
        let (name, client_urls) = (format!("m{id}"), Vec::new());
        Member { id, name, peer_urls: urls, client_urls, learner: false }
    }

    #[test]
    fn a_stranger_is_heard_when_it_can_be_answered_and_asks_for_us() {
        let first = (1..=3).map(member).collect();
        let mut roster = Roster::new(NodeId(1), first, Arc::default());
        assert!(roster.take_changes().is_some() && roster.take_changes().is_none());
        let visitor = |from, to, peer_urls| Visitor {
            from: NodeId(from),
            to: NodeId(to),
            name: "m4",
            peer_urls,
        };
        let urls = ["http://m4:1".to_owned()];
        assert_eq!(roster.open(visitor(2, 1, &[])), Door::Open);
        assert_eq!(roster.open(visitor(2, 3, &[])), Door::Mistaken);
        assert_eq!(roster.open(visitor(4, 1, &[])), Door::Mistaken);
        assert_eq!(roster.open(visitor(4, 2, &urls)), Door::Mistaken);
        assert!(!roster.contacts().contains_key(&NodeId(4)));
        assert_eq!(roster.open(visitor(4, 1, &urls)), Door::Open);
        let contacts = roster.take_changes().expect("it is new");
        assert_eq!(contacts.keys().map(|id| id.0).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(contacts[&NodeId(4)].peer_urls, urls);
    }

    /// The table after the founders 1 and 2 were replaced by 3.
    fn replaced() -> Arc<Members> {
        let mut applier = Applier::open(MemEngine::default(), Options::default()).expect("memory");
        let initial: Vec<Member> = (1..=2).map(member).collect();
        let changes = [
            MemberChange::Add(member(3)),
            MemberChange::Remove { id: 1 },
            MemberChange::Remove { id: 2 },
        ];
        for (index, change) in (1..).zip(changes) {
            let initial = initial.clone();
            let action = Action::Member(MemberAction { change, initial, max_learners: 0 });
            let command = Command::new(OpId::default(), action);
            let outcome = applier.apply(index, 1, Some(&command)).expect("memory");
            assert!(outcome.expect("it is new").result.is_ok());
        }
        applier.members().clone()
    }

    /// A follower whose log holds this configuration, or none yet.
    fn raft(membership: Membership) -> Raft {
        let config = quorate_raft::Config {
            id: NodeId(3),
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            max_append_bytes: 1 << 20,
            max_inflight_appends: 1,
            max_cached_bytes: 1 << 20,
            max_held_entries: 1,
        };
        let restored = Restored { membership, ..Restored::default() };
        Raft::new(config, restored, Dice::new(1), Instant(0))
    }

    #[test]
    fn founders_that_were_removed_are_heard_until_a_configuration_lets_them_go() {
        let table = replaced();
        let visitor =
            |from| Visitor { from: NodeId(from), to: NodeId(3), name: "m", peer_urls: &[] };
        let mut roster = Roster::new(NodeId(3), (1..=3).map(member).collect(), Arc::default());
        roster.follow(&table, &raft(Membership::default()));
        assert_eq!([1, 2].map(|from| roster.open(visitor(from))), [Door::Open; 2]);
        assert_eq!(roster.contacts().keys().map(|id| id.0).collect::<Vec<_>>(), [1, 2]);
        let mut roster = Roster::new(NodeId(3), (1..=3).map(member).collect(), Arc::default());
        roster.follow(&table, &raft(Membership::of([NodeId(2), NodeId(3)])));
        assert_eq!([1, 2].map(|from| roster.open(visitor(from))), [Door::Removed, Door::Open]);
    }
}
