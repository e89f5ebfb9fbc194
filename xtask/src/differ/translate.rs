//! From an episode's symbols to one server's numbers, and back.
//!
//! Everything that is masked is masked here, and only here, so that this file can be read as the list of what the
//! comparison does not see.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use quorate_wire::etcd::etcdserverpb::compare::TargetUnion;
use quorate_wire::etcd::etcdserverpb::request_op::Request;
use quorate_wire::etcd::etcdserverpb::response_op::Response;
use quorate_wire::etcd::etcdserverpb::{
    DeleteRangeResponse, LeaseTimeToLiveResponse, Member, PutRequest, PutResponse, RangeRequest,
    RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse, WatchResponse,
};
use quorate_wire::etcd::mvccpb::{Event, KeyValue};
use quorate_wire::etcd::v3electionpb::LeaderKey;

use super::op::{BASE, MYSELF, NEAR};

/// Values longer than this are not written out.
const LARGE: usize = 1_000;

/// Seconds by which a lease may be older than its grant and still count as new: an episode on a busy machine, and less
/// than the least that is granted.
const FRESH: i64 = 900;

/// One side's numbers in one episode.
#[derive(Clone, Default, Debug)]
pub struct Numbers {
    /// The server's revision when the episode began.
    pub base: i64,
    /// Its auth revision then.
    pub auth_base: u64,
    /// The ids of members, by what the episode calls them.
    pub members: BTreeMap<u64, u64>,
    /// The ids of leases that the server chose, by what the episode calls them.
    pub chosen: BTreeMap<i64, i64>,
}

impl Numbers {
    /// A revision of the episode as this server counts.
    pub fn revision_out(&self, revision: i64) -> i64 {
        if (BASE - NEAR..BASE + NEAR).contains(&revision) {
            revision - BASE + self.base
        } else {
            revision
        }
    }

    /// A revision of this server as the episode counts.
    pub fn revision_in(&self, revision: i64) -> i64 {
        if revision == 0 { 0 } else { revision - self.base + BASE }
    }

    /// A lease of the episode as this server knows it.
    pub fn lease_out(&self, lease: i64) -> i64 {
        self.chosen.get(&lease).copied().unwrap_or(lease)
    }

    /// A lease of this server as the episode calls it.
    pub fn lease_in(&self, lease: i64) -> i64 {
        let found = self.chosen.iter().find(|(_, real)| **real == lease);
        found.map_or(lease, |(name, _)| *name)
    }

    /// A member of the episode as this server knows it.
    pub fn member_out(&self, member: u64) -> u64 {
        self.members.get(&member).copied().unwrap_or(member)
    }

    /// A member of this server as the episode calls it.
    pub fn member_in(&self, member: u64) -> u64 {
        let found = self.members.iter().find(|(_, real)| **real == member);
        found.map_or(member, |(name, _)| *name)
    }

    /// Translates the proof of an election for this server.
    pub fn leader_out(&self, leader: &mut Option<LeaderKey>) {
        leader.iter_mut().for_each(|leader| leader.rev = self.revision_out(leader.rev));
    }

    /// Masks the proof of an election.
    pub fn leader_in(&self, leader: &mut Option<LeaderKey>) {
        leader.iter_mut().for_each(|leader| leader.rev = self.revision_in(leader.rev));
    }

    /// Masks members: their ids, their order, which is that of the ids, and where the one that answers is, which two
    /// processes on one machine cannot share.
    pub fn members_in(&self, members: &mut [Member]) {
        for member in &mut *members {
            member.id = self.member_in(member.id);
            if member.id == MYSELF {
                member.name = "myself".into();
                for url in member.peer_ur_ls.iter_mut().chain(&mut member.client_ur_ls) {
                    *url = "here".into();
                }
            }
        }
        members.sort_by_key(|member| member.id);
    }

    /// Translates a range for this server.
    pub fn range_out(&self, request: &mut RangeRequest) {
        for revision in [
            &mut request.revision,
            &mut request.min_mod_revision,
            &mut request.max_mod_revision,
            &mut request.min_create_revision,
            &mut request.max_create_revision,
        ] {
            *revision = self.revision_out(*revision);
        }
    }

    /// Translates a put for this server.
    pub fn put_out(&self, request: &mut PutRequest) {
        request.lease = self.lease_out(request.lease);
    }

    /// Translates a transaction, and those inside of it, for this server.
    pub fn txn_out(&self, request: &mut TxnRequest) {
        for compare in &mut request.compare {
            match &mut compare.target_union {
                Some(
                    TargetUnion::CreateRevision(revision) | TargetUnion::ModRevision(revision),
                ) => {
                    *revision = self.revision_out(*revision);
                }
                Some(TargetUnion::Lease(lease)) => *lease = self.lease_out(*lease),
                Some(TargetUnion::Version(_) | TargetUnion::Value(_)) | None => {}
            }
        }
        for RequestOp { request } in request.success.iter_mut().chain(&mut request.failure) {
            match request {
                Some(Request::RequestRange(range)) => self.range_out(range),
                Some(Request::RequestPut(put)) => self.put_out(put),
                Some(Request::RequestTxn(txn)) => self.txn_out(txn),
                Some(Request::RequestDeleteRange(_)) | None => {}
            }
        }
    }

    /// Masks who answered; a header that is missing stays missing.
    pub fn header_in(&self, header: &mut Option<ResponseHeader>) {
        if let Some(header) = header {
            (header.cluster_id, header.member_id, header.raft_term) = (0, 0, 0);
            header.revision = self.revision_in(header.revision);
        }
    }

    /// Masks a pair. A large value becomes its length and a hash, which is no mask, but shorter.
    pub fn pair_in(&self, pair: &mut KeyValue) {
        if pair.value.len() > LARGE {
            let mut hasher = DefaultHasher::new();
            pair.value.hash(&mut hasher);
            pair.value = format!("{} bytes, {:x}", pair.value.len(), hasher.finish()).into();
        }
        pair.create_revision = self.revision_in(pair.create_revision);
        pair.mod_revision = self.revision_in(pair.mod_revision);
        pair.lease = self.lease_in(pair.lease);
    }

    /// Masks an answer to a range.
    pub fn range_in(&self, answer: &mut RangeResponse) {
        self.header_in(&mut answer.header);
        answer.kvs.iter_mut().for_each(|pair| self.pair_in(pair));
    }

    /// Masks an answer to a put.
    pub fn put_in(&self, answer: &mut PutResponse) {
        self.header_in(&mut answer.header);
        answer.prev_kv.iter_mut().for_each(|pair| self.pair_in(pair));
    }

    /// Masks an answer to a delete.
    pub fn delete_in(&self, answer: &mut DeleteRangeResponse) {
        self.header_in(&mut answer.header);
        answer.prev_kvs.iter_mut().for_each(|pair| self.pair_in(pair));
    }

    /// Masks an answer to a transaction, and those inside of it.
    pub fn txn_in(&self, answer: &mut TxnResponse) {
        self.header_in(&mut answer.header);
        for ResponseOp { response } in &mut answer.responses {
            match response {
                Some(Response::ResponseRange(range)) => self.range_in(range),
                Some(Response::ResponsePut(put)) => self.put_in(put),
                Some(Response::ResponseDeleteRange(delete)) => self.delete_in(delete),
                Some(Response::ResponseTxn(txn)) => self.txn_in(txn),
                None => {}
            }
        }
    }

    /// Masks what is left of a lease: what was granted, when that was a moment ago. Its keys are in no order.
    pub fn time_to_live_in(&self, answer: &mut LeaseTimeToLiveResponse) {
        self.header_in(&mut answer.header);
        answer.id = self.lease_in(answer.id);
        answer.keys.sort_unstable();
        if (0..FRESH).contains(&(answer.granted_ttl - answer.ttl)) {
            answer.ttl = answer.granted_ttl;
        }
    }

    /// Masks an answer on a stream of watchers, its events included.
    pub fn watch_in(&self, answer: &mut WatchResponse) {
        self.header_in(&mut answer.header);
        answer.compact_revision = self.revision_in(answer.compact_revision);
        for Event { kv, prev_kv, .. } in &mut answer.events {
            kv.iter_mut().chain(prev_kv).for_each(|pair| self.pair_in(pair));
        }
    }
}
