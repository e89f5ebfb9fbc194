//! The roster of [`quorate_node::Roster`] at the sockets of the core's thread: contacts become addresses
//! to dial, which a route may replace.

use crate::MemberInfo;
use crate::peers::{KnownPeer, Peer};
use quorate_base::NodeId;
pub use quorate_node::newcomer::address_of;
use quorate_node::{Contact, Door, Visitor};
use quorate_raft::Raft;
use quorate_store::{Member, Members};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Shared by the core and the sockets of its thread.
pub struct Roster {
    /// `(name, host:port)`: dial this address instead of the member's own.
    routes: Vec<(String, String)>,
    inner: RefCell<quorate_node::Roster>,
}

impl Roster {
    /// A roster that knows no configuration yet.
    pub fn new(
        me: NodeId,
        first: &[MemberInfo],
        routes: Vec<(String, String)>,
        table: Arc<Members>,
    ) -> Roster {
        let first = first.iter().map(MemberInfo::to_member).collect();
        Roster { routes, inner: RefCell::new(quorate_node::Roster::new(me, first, table)) }
    }

    /// See [`quorate_node::Roster::follow`].
    pub fn follow(&self, table: &Arc<Members>, raft: &Raft) -> bool {
        self.inner.borrow_mut().follow(table, raft)
    }

    /// All members of this table, as a newcomer is told; `known` has what the table does not say.
    pub fn members(&self, table: &Members, known: &BTreeMap<NodeId, KnownPeer>) -> Vec<Member> {
        let inner = self.inner.borrow();
        let first: Vec<MemberInfo> = inner.first().iter().map(MemberInfo::of_member).collect();
        members(&first, table, known).iter().map(MemberInfo::to_member).collect()
    }

    /// Whom to have a connection to, when that may be different from the last answer.
    pub fn take_changes(&self) -> Option<BTreeMap<NodeId, Peer>> {
        let mut inner = self.inner.borrow_mut();
        inner.take_changes().map(|contacts| self.dialled(contacts))
    }

    /// Everybody to have a connection to.
    pub fn peers(&self) -> BTreeMap<NodeId, Peer> {
        self.dialled(self.inner.borrow().contacts())
    }

    /// Those of them who vote: whom an empty directory asks.
    pub fn electors(&self) -> BTreeMap<NodeId, Peer> {
        let (mut peers, electors) = (self.peers(), self.inner.borrow().electors());
        peers.retain(|id, _| electors.contains(id));
        peers
    }

    /// Those of these members who vote, but for this one.
    pub fn electors_of(&self, members: Vec<Member>) -> BTreeMap<NodeId, Peer> {
        let electors = self.inner.borrow().electors_of(&members);
        let contact = |member: Member| Contact { name: member.name, peer_urls: member.peer_urls };
        let members = members.into_iter().map(|member| (NodeId(member.id), contact(member)));
        self.dialled(&members.filter(|(id, _)| electors.contains(id)).collect())
    }

    fn dialled(&self, contacts: &BTreeMap<NodeId, Contact>) -> BTreeMap<NodeId, Peer> {
        contacts.iter().map(|(id, contact)| (*id, self.peer(*id, contact))).collect()
    }

    fn peer(&self, id: NodeId, contact: &Contact) -> Peer {
        let Contact { name, peer_urls } = contact;
        let route = self.routes.iter().find(|(known, _)| known == name);
        let addresses = match route {
            Some((_, address)) => vec![address.clone()],
            None => peer_urls.iter().map(|url| address_of(url)).collect(),
        };
        Peer { id, name: name.clone(), addresses }
    }

    /// True for a member that was removed and that nobody waits for any more.
    pub fn is_out(&self, id: NodeId) -> bool {
        self.inner.borrow().is_out(id)
    }

    /// Where a member listens, as `host:port`, if it is known.
    pub fn addresses(&self, id: NodeId) -> Option<Vec<String>> {
        let inner = self.inner.borrow();
        inner.contacts().get(&id).map(|contact| self.peer(id, contact).addresses)
    }

    /// See [`quorate_node::Roster::open`].
    pub fn open(&self, visitor: Visitor<'_>) -> Door {
        self.inner.borrow_mut().open(visitor)
    }
}

/// All members: those of the table, or the first ones while there is none. What a member has not
/// published is taken from its greeting.
pub fn members(
    first: &[MemberInfo],
    table: &Members,
    known: &BTreeMap<NodeId, KnownPeer>,
) -> Vec<MemberInfo> {
    let mut members: Vec<MemberInfo> = if table.is_empty() {
        first.to_vec()
    } else {
        table.present().map(MemberInfo::of_member).collect()
    };
    for member in &mut members {
        let Some(peer) = known.get(&member.id) else { continue };
        if member.client_urls.is_empty() || table.is_empty() {
            member.client_urls = peer.client_urls.clone();
        }
        if member.name.is_empty() {
            member.name = peer.name.clone();
        }
    }
    members
}

impl MemberInfo {
    /// As the table has it.
    pub fn of_member(member: &Member) -> MemberInfo {
        MemberInfo {
            id: NodeId(member.id),
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            learner: member.learner,
        }
    }

    /// As the table has it.
    pub fn to_member(&self) -> Member {
        Member {
            id: self.id.0,
            name: self.name.clone(),
            peer_urls: self.peer_urls.clone(),
            client_urls: self.client_urls.clone(),
            learner: self.learner,
        }
    }
}
