//! A request as it is drawn and replayed: symbolic where the two servers must be told different numbers.
//!
//! Requests are the API's own messages. Revisions in them are either meant as they are (zero, negative, absurd) or are
//! counted from the episode's first revision, which is called [`BASE`]; leases are numbered from [`LEASE`], members from
//! [`MYSELF`]. Each side translates them before it sends, and back before it answers. Who sends is a name, and each side
//! has the tokens.

use quorate_wire::etcd::etcdserverpb::{
    AlarmRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest, AuthUserAddRequest,
    AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest, AuthenticateRequest, CompactionRequest,
    DeleteRangeRequest, LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest,
    TxnRequest, WatchCreateRequest,
};
use quorate_wire::etcd::v3electionpb::{
    CampaignRequest, LeaderRequest, ProclaimRequest, ResignRequest,
};
use quorate_wire::etcd::v3lockpb::{LockRequest, UnlockRequest};

/// The revision with which every episode begins, as it stands in requests and in masked answers.
pub const BASE: i64 = 1_000_000;

/// Revisions nearer to [`BASE`] than this are counted from it; others go out as they are.
pub const NEAR: i64 = 500_000;

/// The first lease of an episode, as it stands in requests and in masked answers.
pub const LEASE: i64 = 7_000_000_000;

/// The member that answers, as it stands in requests and in masked answers; those that are added follow.
pub const MYSELF: u64 = 1;

/// How many streams of watchers an episode has.
pub const STREAMS: usize = 2;

/// Who sends a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// Somebody without a token.
    Nobody,
    /// Somebody with a token that no server gave.
    Liar,
    /// A user, by the token of its last login; without one, like nobody.
    User(&'static str),
}

/// One request of somebody.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Whose token it carries. A stream of watchers carries that of its first request.
    pub caller: Caller,
    /// What is asked.
    pub op: Op,
}

/// Users, roles and what they may.
#[derive(Clone, PartialEq, Debug)]
pub enum AuthOp {
    Enable,
    Disable,
    Status,
    /// The token in the answer is the user's from then on.
    Login(AuthenticateRequest),
    UserAdd(AuthUserAddRequest),
    UserGet(AuthUserGetRequest),
    UserList,
    UserDelete(AuthUserDeleteRequest),
    UserPassword(AuthUserChangePasswordRequest),
    UserGrant(AuthUserGrantRoleRequest),
    UserRevoke(AuthUserRevokeRoleRequest),
    RoleAdd(AuthRoleAddRequest),
    RoleGet(AuthRoleGetRequest),
    RoleList,
    RoleDelete(AuthRoleDeleteRequest),
    RoleGrant(AuthRoleGrantPermissionRequest),
    RoleRevoke(AuthRoleRevokePermissionRequest),
}

impl AuthOp {
    /// Whether it may change what somebody may do. Tokens that a login gives do not.
    pub fn changes(&self) -> bool {
        match self {
            AuthOp::Status
            | AuthOp::Login(_)
            | AuthOp::UserGet(_)
            | AuthOp::UserList
            | AuthOp::RoleGet(_)
            | AuthOp::RoleList => false,
            AuthOp::Enable
            | AuthOp::Disable
            | AuthOp::UserAdd(_)
            | AuthOp::UserDelete(_)
            | AuthOp::UserPassword(_)
            | AuthOp::UserGrant(_)
            | AuthOp::UserRevoke(_)
            | AuthOp::RoleAdd(_)
            | AuthOp::RoleDelete(_)
            | AuthOp::RoleGrant(_)
            | AuthOp::RoleRevoke(_) => true,
        }
    }
}

/// Locks and elections.
#[derive(Clone, PartialEq, Debug)]
pub enum LineOp {
    Lock(LockRequest),
    Unlock(UnlockRequest),
    Campaign(CampaignRequest),
    Proclaim(ProclaimRequest),
    Leader(LeaderRequest),
    Resign(ResignRequest),
    /// The first answer of an Observe stream.
    Observe(LeaderRequest),
}

impl LineOp {
    /// Whether the answer may have to wait for somebody else, and if so, the key that stands in line for it.
    pub fn waits(&self) -> Option<Option<Vec<u8>>> {
        let place = |name: &[u8], lease: i64| {
            let mut key = name.to_vec();
            key.extend_from_slice(format!("/{lease:x}").as_bytes());
            key
        };
        match self {
            LineOp::Lock(request) => Some(Some(place(&request.name, request.lease))),
            LineOp::Campaign(request) => Some(Some(place(&request.name, request.lease))),
            LineOp::Observe(_) => Some(None),
            LineOp::Unlock(_) | LineOp::Proclaim(_) | LineOp::Leader(_) | LineOp::Resign(_) => None,
        }
    }
}

/// Members, alarms and the state of the one that answers.
#[derive(Clone, PartialEq, Debug)]
pub enum ClusterOp {
    /// Cluster.MemberList, linearizable or not.
    Members(bool),
    /// A learner that nobody starts is added, at an address of its own, or at none.
    AddLearner {
        url: String,
        member: u64,
    },
    /// Another address for a member.
    Update {
        member: u64,
        url: String,
    },
    Promote(u64),
    Remove(u64),
    Alarm(AlarmRequest),
    Status,
}

/// What is asked.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// KV.Range.
    Range(RangeRequest),
    /// KV.RangeStream, its pieces put together.
    RangeStream(RangeRequest),
    /// KV.Put.
    Put(PutRequest),
    /// KV.DeleteRange.
    Delete(DeleteRangeRequest),
    /// KV.Txn.
    Txn(TxnRequest),
    /// KV.Compact.
    Compact(CompactionRequest),
    /// Lease.LeaseGrant. With an id of zero the server chooses, and `lease` is what the id is called from then on.
    Grant {
        /// What is sent.
        request: LeaseGrantRequest,
        /// The name of the id that the server chooses.
        lease: i64,
    },
    /// A grant of so few seconds that it is revoked at once: how a short time is rounded.
    GrantShort(i64),
    /// Lease.LeaseRevoke.
    Revoke(i64),
    /// Lease.LeaseTimeToLive.
    TimeToLive(LeaseTimeToLiveRequest),
    /// Lease.LeaseLeases.
    Leases,
    /// One renewal over a Lease.LeaseKeepAlive stream of its own.
    KeepAlive(i64),
    /// Watch.Watch: a watcher is created on a stream.
    Watch(usize, WatchCreateRequest),
    /// Watch.Watch: a watcher is cancelled.
    Cancel(usize, i64),
    /// Watch.Watch: progress is asked for, until both sides tell.
    Progress(usize),
    /// The service Auth.
    Auth(AuthOp),
    /// The services Lock and Election.
    Line(LineOp),
    /// The services Cluster and Maintenance.
    Cluster(ClusterOp),
}

impl Op {
    /// Requests that are one step simpler: what shrinking tries.
    pub fn simpler(&self) -> Vec<Op> {
        match self {
            Op::Range(request) => simpler_range(request).into_iter().map(Op::Range).collect(),
            Op::RangeStream(request) => {
                simpler_range(request).into_iter().map(Op::RangeStream).collect()
            }
            Op::Put(request) => simpler_put(request).into_iter().map(Op::Put).collect(),
            Op::Delete(request) => {
                let mut plain = request.clone();
                plain.prev_kv = false;
                if plain == *request { Vec::new() } else { vec![Op::Delete(plain)] }
            }
            Op::Txn(request) => simpler_txn(request).into_iter().map(Op::Txn).collect(),
            Op::Watch(stream, request) => simpler_watch(request)
                .into_iter()
                .map(|request| Op::Watch(*stream, request))
                .collect(),
            Op::Compact(_)
            | Op::Grant { .. }
            | Op::GrantShort(_)
            | Op::Revoke(_)
            | Op::TimeToLive(_)
            | Op::Leases
            | Op::KeepAlive(_)
            | Op::Cancel(..)
            | Op::Progress(_)
            | Op::Auth(_)
            | Op::Line(_)
            | Op::Cluster(_) => Vec::new(),
        }
    }
}

/// The versions of `request` that each of `edits` makes, without those that change nothing.
fn edited<T: Clone + PartialEq>(request: &T, edits: &[fn(&mut T)]) -> Vec<T> {
    let versions = edits.iter().map(|edit| {
        let mut version = request.clone();
        edit(&mut version);
        version
    });
    versions.filter(|version| version != request).collect()
}

fn simpler_range(request: &RangeRequest) -> Vec<RangeRequest> {
    edited(
        request,
        &[
            |r| r.limit = 0,
            |r| r.revision = 0,
            |r| (r.sort_order, r.sort_target) = (0, 0),
            |r| r.serializable = false,
            |r| r.keys_only = false,
            |r| r.count_only = false,
            |r| (r.min_mod_revision, r.max_mod_revision) = (0, 0),
            |r| (r.min_create_revision, r.max_create_revision) = (0, 0),
        ],
    )
}

fn simpler_put(request: &PutRequest) -> Vec<PutRequest> {
    edited(
        request,
        &[
            |r| r.value = Default::default(),
            |r| r.lease = 0,
            |r| r.prev_kv = false,
            |r| r.ignore_value = false,
            |r| r.ignore_lease = false,
        ],
    )
}

fn simpler_watch(request: &WatchCreateRequest) -> Vec<WatchCreateRequest> {
    edited(
        request,
        &[
            |r| r.start_revision = 0,
            |r| r.filters.clear(),
            |r| r.prev_kv = false,
            |r| r.watch_id = 0,
            |r| r.fragment = false,
            |r| r.progress_notify = false,
        ],
    )
}

fn simpler_txn(request: &TxnRequest) -> Vec<TxnRequest> {
    let mut versions = Vec::new();
    for index in 0..request.compare.len() {
        let mut version = request.clone();
        version.compare.remove(index);
        versions.push(version);
    }
    for index in 0..request.success.len() {
        let mut version = request.clone();
        version.success.remove(index);
        versions.push(version);
    }
    for index in 0..request.failure.len() {
        let mut version = request.clone();
        version.failure.remove(index);
        versions.push(version);
    }
    versions
}
