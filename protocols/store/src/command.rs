//! What goes through the log, what is asked of a view, and what comes back: etcd's semantics in
//! plain types, apart from any encoding.

use crate::{AuthChange, AuthError, Caller, Downgrade, Fenced, Guard, GuardChange};
use bytes::Bytes;

/// Identifies one operation over all its copies in the log, so that a retried one is applied once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct OpId {
    /// One life of the process that numbered the operation: random, never used again.
    pub origin: u64,
    /// Counts up from 1 within that life; 0 means "not deduplicated".
    pub seq: u64,
    /// Every operation of the origin below this one has its answer: its copies can be forgotten and
    /// are refused from now on.
    pub floor: u64,
}

/// One entry of the replicated log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Command {
    /// Which operation this is a copy of.
    pub id: OpId,
    /// On whose behalf.
    pub caller: Caller,
    /// What to do.
    pub action: Action,
}

impl Command {
    /// A command that names nobody.
    pub fn new(id: OpId, action: Action) -> Command {
        Command { id, caller: Caller::default(), action }
    }
}

/// What a command does to the state. Requests are checked ([`crate::validate`]) before they get here.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Sets one key.
    Put(Put),
    /// Removes a range of keys.
    Delete(Delete),
    /// Compares, then does one of two lists of operations, all in one revision.
    Txn(Txn),
    /// Forgets versions that a newer one at or below `revision` replaced.
    #[allow(missing_docs)]
    Compact { revision: i64 },
    /// Creates a lease; `id` was picked by the member that took the request and is positive.
    #[allow(missing_docs)]
    LeaseGrant { id: i64, ttl: i64 },
    /// Ends a lease and deletes its keys. With `term`, only if the entry's own term is that one: a
    /// deposed leader's expiry has no effect (trap B7).
    #[allow(missing_docs)]
    LeaseRevoke { id: i64, term: Option<u64> },
    /// Remembers how long leases have still to live, in seconds, if the entry's term is `term`.
    #[allow(missing_docs)]
    LeaseCheckpoint { term: u64, remaining: Vec<(i64, i64)> },
    /// Raises or clears an alarm of a member.
    #[allow(missing_docs)]
    Alarm { raise: bool, member: u64, kind: AlarmKind },
    /// Changes who belongs to the cluster.
    Member(MemberAction),
    /// Changes what is guarded by locks.
    Guard(GuardChange),
    /// Changes users and roles.
    Auth(AuthChange),
    /// Begins a downgrade to an older build, or with `None` ends the one under way.
    Downgrade(Option<Downgrade>),
    /// Says how far the audit log of a member has come, for the members that keep one to write
    /// down: the state takes no part in it.
    #[allow(missing_docs)]
    AuditCheckpoint { member: u64, records: u64, hash: Bytes },
}

/// A change of the table of members, with what it is checked against on every member alike.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MemberAction {
    /// The change.
    pub change: MemberChange,
    /// The members that the cluster began with: the table's beginning when there is none yet.
    pub initial: Vec<Member>,
    /// No more learners than so many.
    pub max_learners: u64,
}

/// One change of the table of members.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum MemberChange {
    /// One more; its id was drawn by the member that took the request.
    Add(Member),
    /// One less, for ever.
    Remove { id: u64 },
    /// Other addresses for peers.
    Update { id: u64, peer_urls: Vec<String> },
    /// A learner shall vote.
    Promote { id: u64 },
    /// A member has started and says how it is called and where clients reach it.
    Publish { id: u64, name: String, client_urls: Vec<String> },
}

/// A member of the cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Member {
    /// Never used again after its removal.
    pub id: u64,
    /// Empty until it has started.
    pub name: String,
    /// Where peers reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started.
    pub client_urls: Vec<String>,
    /// It shall get everything and not vote.
    pub learner: bool,
}

/// A set of keys as etcd writes it: empty `end` is the one key; `end` of `\0` is all keys from
/// `key` on; otherwise `key <= k < end`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct KeyRange {
    /// First key.
    pub key: Bytes,
    /// End, exclusive, with etcd's two special values.
    pub end: Bytes,
}

/// Sets a key. See contract items 14 to 17.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Put {
    /// Not empty.
    pub key: Bytes,
    /// The new value, unless `ignore_value`.
    pub value: Bytes,
    /// The lease that the key is attached to from now on; 0 is none.
    pub lease: i64,
    /// Answer with the pair before this operation.
    pub prev_kv: bool,
    /// Keep the current value.
    pub ignore_value: bool,
    /// Keep the current lease.
    pub ignore_lease: bool,
}

/// Removes keys. See contract items 18 to 20.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Delete {
    /// Which keys.
    pub range: KeyRange,
    /// Answer with the removed pairs.
    pub prev_kv: bool,
}

/// Reads keys. See contract items 1 to 11.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Range {
    /// Which keys.
    pub range: KeyRange,
    /// At most so many pairs; 0 or less is all.
    pub limit: i64,
    /// At which revision; 0 or less is the newest.
    pub revision: i64,
    /// In which order.
    pub order: SortOrder,
    /// By what.
    pub target: SortTarget,
    /// Leave the values out.
    pub keys_only: bool,
    /// Leave everything but the count out.
    pub count_only: bool,
    /// Bounds on revisions, 0 is off.
    pub min_mod_revision: i64,
    /// See `min_mod_revision`.
    pub max_mod_revision: i64,
    /// See `min_mod_revision`.
    pub min_create_revision: i64,
    /// See `min_mod_revision`.
    pub max_create_revision: i64,
}

/// The order of a range's answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SortOrder {
    /// As they come: by key, ascending.
    #[default]
    None,
    /// Smallest first.
    Ascend,
    /// Greatest first.
    Descend,
}

/// What a range is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(missing_docs)]
pub enum SortTarget {
    #[default]
    Key,
    Version,
    Create,
    Mod,
    Value,
}

/// Compare, then or else. See contract items 21 to 30.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Txn {
    /// All must hold.
    pub compares: Vec<Compare>,
    /// Done when they do.
    pub success: Vec<TxnOp>,
    /// Done when they do not.
    pub failure: Vec<TxnOp>,
}

/// One operation inside a transaction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum TxnOp {
    Range(Range),
    Put(Put),
    Delete(Delete),
    Txn(Txn),
}

/// One condition: `target of each key in range` `result` `operand`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Compare {
    /// Which keys; with more than one, it must hold for each that exists.
    pub range: KeyRange,
    /// The relation.
    pub result: CompareResult,
    /// The field and what it is compared with.
    pub target: CompareTarget,
}

/// A relation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum CompareResult {
    Equal,
    Greater,
    Less,
    NotEqual,
}

/// A field with the operand.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum CompareTarget {
    Version(i64),
    Create(i64),
    Mod(i64),
    Value(Bytes),
    Lease(i64),
}

/// A key, its value and where it stands in history.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision that created it (anew, after a delete).
    pub create_revision: i64,
    /// The revision that last wrote it.
    pub mod_revision: i64,
    /// Writes since its creation, the creation included.
    pub version: i64,
    /// The lease that it is attached to, 0 if none.
    pub lease: i64,
}

/// The answer to a range.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RangeAnswer {
    /// The pairs, in the asked order.
    pub kvs: Vec<KeyValue>,
    /// True when the limit cut some off.
    pub more: bool,
    /// All keys in the range at that revision, whatever the limit and the filters.
    pub count: i64,
}

/// What a command or a read answers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Answer {
    Range(RangeAnswer),
    Put {
        prev: Option<KeyValue>,
    },
    Delete {
        deleted: i64,
        prev: Vec<KeyValue>,
    },
    Txn {
        succeeded: bool,
        answers: Vec<Answer>,
    },
    Compact,
    LeaseGrant {
        id: i64,
        ttl: i64,
    },
    LeaseRevoke,
    LeaseCheckpoint,
    Alarm {
        alarms: Vec<Alarm>,
    },
    /// All members after a change.
    Members(Vec<Member>),
    Guard,
    Auth,
    /// The token that was issued, if members keep tokens, and the auth revision.
    Authenticate {
        token: Option<Bytes>,
        revision: u64,
    },
    AuditCheckpoint,
    Downgrade,
}

/// What a member that keeps tokens must know, in the order of the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum TokenChange {
    Issued {
        user: Bytes,
        token: Bytes,
    },
    /// The user's tokens are worth nothing any more.
    UserForgotten {
        user: Bytes,
    },
    AllForgotten,
}

/// An alarm that is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Alarm {
    /// The member it is about.
    pub member: u64,
    /// What is wrong there.
    pub kind: AlarmKind,
}

/// What can be wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AlarmKind {
    /// The member is out of space: no more puts.
    NoSpace,
    /// The member's state differs from the others': no more writes.
    Corrupt,
}

/// One change of one key, as watchers see it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Event {
    /// True for a delete; then only `key` and `mod_revision` of `kv` are set.
    pub delete: bool,
    /// The pair after the change.
    pub kv: KeyValue,
    /// The pair before it, if there was one.
    pub prev: Option<KeyValue>,
}

/// A request that the state refuses: the same on every member, and nothing was changed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum StoreError {
    /// `ignore_value` or `ignore_lease` on a key that is not there.
    KeyNotFound,
    /// The lease does not exist.
    LeaseNotFound,
    /// A lease with this id exists.
    LeaseExists,
    /// The revision was compacted away; the second number is the compacted revision.
    #[allow(missing_docs)]
    Compacted { asked: i64, compacted: i64 },
    /// The revision does not exist yet; the second number is the current revision.
    #[allow(missing_docs)]
    FutureRevision { asked: i64, current: i64 },
    /// The NOSPACE alarm is on.
    NoSpace,
    /// The CORRUPT alarm is on.
    Corrupt,
    /// A member with this id exists, or did.
    #[allow(missing_docs)]
    MemberExists { id: u64 },
    /// There is no such member.
    #[allow(missing_docs)]
    MemberNotFound { id: u64 },
    /// Another member has one of these peer addresses.
    PeerUrlExists,
    /// The member votes already.
    #[allow(missing_docs)]
    NotALearner { id: u64 },
    /// There are as many learners as there may be.
    #[allow(missing_docs)]
    TooManyLearners { limit: u64 },
    /// Without its last voter a cluster could decide nothing, not even to begin anew.
    #[allow(missing_docs)]
    LastMember { id: u64 },
    /// The caller may not, or users and roles are not as the change needs them.
    Auth(AuthError),
    /// A downgrade is under way.
    DowngradeInProcess,
    /// None is.
    NoDowngrade,
    /// The keys are guarded, and the command does not carry the token.
    Fenced(Box<Fenced>),
    /// The prefix is guarded by another lock.
    GuardExists(Box<Guard>),
    /// The prefix is not guarded.
    #[allow(missing_docs)]
    GuardNotFound { prefix: Bytes },
    /// There are as many guards as there may be.
    #[allow(missing_docs)]
    TooManyGuards { limit: usize },
}
