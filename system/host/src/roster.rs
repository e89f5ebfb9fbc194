//! Who the members are, from the side of the sockets.
//!
//! Two truths meet here. The *table* in the applied state says who belongs and where they listen; the
//! *configuration* of consensus says who counts at the moment. A member is spoken to while either of
//! them knows it: one that was just added has no place in the configuration yet, and one that is
//! on its way out is still needed for the majority that lets it go. Only who is in neither is refused,
//! and hears why.
//!
//! A member that was away while the cluster changed may hear from members that it does not know.
//! They belong to the same cluster, so they are heard, and they bring their addresses along: without
//! them it could never answer the one that has the entries it missed.

use crate::MemberInfo;
use crate::peers::{KnownPeer, Peer};
use quorate_base::NodeId;
use quorate_store::{Member, Members};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Shared by the core and the sockets of its thread.
pub struct Roster {
    me: NodeId,
    /// The members that this one was started with, or learned of when it joined.
    first: Vec<MemberInfo>,
    /// `(name, host:port)`: dial this address instead of the member's own.
    routes: Vec<(String, String)>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    table: Arc<Members>,
    /// Everybody whom consensus speaks to or waits for.
    counted: BTreeSet<NodeId>,
    /// Members that spoke to us before we heard of them.
    strangers: BTreeMap<NodeId, Peer>,
    /// Something here is different from what the links were made for.
    changed: bool,
}

impl Roster {
    /// A roster that knows no configuration yet.
    pub fn new(
        me: NodeId,
        first: Vec<MemberInfo>,
        routes: Vec<(String, String)>,
        table: Arc<Members>,
    ) -> Roster {
        let counted = first.iter().map(|member| member.id).collect();
        let state = State { table, counted, changed: true, ..State::default() };
        Roster { me, first, routes, state: RefCell::new(state) }
    }

    /// Takes note of a newer table and configuration.
    pub fn update(&self, table: Arc<Members>, counted: BTreeSet<NodeId>) {
        let mut state = self.state.borrow_mut();
        (state.table, state.counted, state.changed) = (table, counted, true);
    }

    /// The newest table that was taken note of.
    pub fn table(&self) -> Arc<Members> {
        self.state.borrow().table.clone()
    }

    /// All members, as a newcomer is told; `known` has what the table does not say.
    pub fn members(&self, known: &BTreeMap<NodeId, KnownPeer>) -> Vec<Member> {
        members(&self.first, &self.table(), known).iter().map(MemberInfo::to_member).collect()
    }

    /// Whom to have a connection to, when that may be different from the last answer.
    pub fn take_changes(&self) -> Option<BTreeMap<NodeId, Peer>> {
        let changed = std::mem::take(&mut self.state.borrow_mut().changed);
        changed.then(|| self.peers())
    }

    /// Everybody to have a connection to.
    pub fn peers(&self) -> BTreeMap<NodeId, Peer> {
        let state = self.state.borrow();
        let mut peers = state.strangers.clone();
        let mut add = |id: NodeId, name: &str, urls: &[String]| {
            peers.insert(id, self.peer(id, name, urls));
        };
        for member in &self.first {
            if state.table.is_empty() || state.counted.contains(&member.id) {
                add(member.id, &member.name, &member.peer_urls);
            }
        }
        for (id, urls) in state.table.removed() {
            if state.counted.contains(&NodeId(id)) {
                add(NodeId(id), &NodeId(id).to_string(), urls);
            }
        }
        for member in state.table.present() {
            let id = NodeId(member.id);
            let unnamed = id.to_string();
            let name = if member.name.is_empty() { &unnamed } else { &member.name };
            add(id, name, &member.peer_urls);
        }
        peers.retain(|id, _| *id != self.me && !state.is_out(*id));
        peers
    }

    fn peer(&self, id: NodeId, name: &str, urls: &[String]) -> Peer {
        let route = self.routes.iter().find(|(known, _)| known == name);
        let addresses = match route {
            Some((_, address)) => vec![address.clone()],
            None => urls.iter().map(|url| address_of(url)).collect(),
        };
        Peer { id, name: name.to_owned(), addresses }
    }

    /// True for a member that was removed and that nobody waits for any more.
    pub fn is_out(&self, id: NodeId) -> bool {
        self.state.borrow().is_out(id)
    }

    /// Where a member listens, as `host:port`, if it is known.
    pub fn addresses(&self, id: NodeId) -> Option<Vec<String>> {
        self.peers().remove(&id).map(|peer| peer.addresses)
    }

    /// True for members that the table, the configuration or the first list knows.
    pub fn knows(&self, id: NodeId) -> bool {
        self.peers().contains_key(&id)
    }

    /// A member of this cluster that nobody has told us of speaks to us.
    pub fn meet(&self, id: NodeId, name: &str, peer_urls: &[String]) {
        let peer = self.peer(id, name, peer_urls);
        let mut state = self.state.borrow_mut();
        state.strangers.insert(id, peer);
        state.changed = true;
    }
}

impl State {
    fn is_out(&self, id: NodeId) -> bool {
        self.table.is_removed(id.0) && !self.counted.contains(&id)
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

/// `host:port` of a URL; the command line has checked its form.
pub fn address_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.trim_end_matches('/').to_owned()
}
