//! Errors as etcd's clients know them: they look the text up, and a wrong code would change what
//! they retry (contract 1.1). Every text of this server is in this file.

use quorate_host::Failure;
use quorate_store::{AuthError, StoreError, ValidationError};
use tonic::{Code, Status};

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:ident, $text:literal;)*) => {
        $($(#[$doc])* pub fn $name() -> Status { Status::new(Code::$code, $text) })*
    };
}

errors! {
    /// A key is empty.
    empty_key = InvalidArgument, "etcdserver: key is not provided";
    /// `ignore_value` or `ignore_lease` on a missing key, or a request op without a request.
    key_not_found = InvalidArgument, "etcdserver: key not found";
    /// `ignore_value` with a value.
    value_provided = InvalidArgument, "etcdserver: value is provided";
    /// `ignore_lease` with a lease.
    lease_provided = InvalidArgument, "etcdserver: lease is provided";
    /// More operations than `--max-txn-ops`.
    too_many_ops = InvalidArgument, "etcdserver: too many operations in txn request";
    /// Two puts of a key, or a put inside a deleted range.
    duplicate_key = InvalidArgument, "etcdserver: duplicate key given in txn request";
    /// An unknown sort order or target.
    invalid_sort_option = InvalidArgument, "etcdserver: invalid sort option";
    /// An unknown relation or target of a compare.
    invalid_compare = InvalidArgument, "etcdserver: invalid compare option";
    /// More bytes than `--max-request-bytes`.
    request_too_large = InvalidArgument, "etcdserver: request is too large";
    /// The revision is gone.
    compacted = OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    /// The revision does not exist yet.
    future_revision = OutOfRange, "etcdserver: mvcc: required revision is a future revision";
    /// A lease of more than 9,000,000,000 seconds.
    lease_ttl_too_large = OutOfRange, "etcdserver: too large lease TTL";
    /// The quota is used up.
    no_space = ResourceExhausted, "etcdserver: mvcc: database space exceeded";
    /// Too much is under way.
    too_many_requests = ResourceExhausted, "etcdserver: too many requests";
    /// No such lease.
    lease_not_found = NotFound, "etcdserver: requested lease not found";
    /// The lease id is taken.
    lease_exists = FailedPrecondition, "etcdserver: lease already exists";
    /// Nobody leads.
    no_leader = Unavailable, "etcdserver: no leader";
    /// Only the leader may.
    not_leader = FailedPrecondition, "etcdserver: not leader";
    /// The server is going away.
    stopped = Unavailable, "etcdserver: server stopped";
    /// No answer in time.
    timeout = Unavailable, "etcdserver: request timed out";
    /// No answer in time, and no leader.
    timeout_leader_failed =
        Unavailable, "etcdserver: request timed out, possibly due to previous leader failure";
    /// Authentication cannot be turned on without a user root.
    root_user_not_exist = FailedPrecondition, "etcdserver: root user does not exist";
    /// Nor without its role.
    root_role_not_exist = FailedPrecondition, "etcdserver: root user does not have root role";
    /// The user is there already.
    user_exists = FailedPrecondition, "etcdserver: user name already exists";
    /// Nobody is named: no token came, or a name is empty.
    user_empty = InvalidArgument, "etcdserver: user name is empty";
    /// No such user.
    user_not_found = FailedPrecondition, "etcdserver: user name not found";
    /// The role is there already.
    role_exists = FailedPrecondition, "etcdserver: role name already exists";
    /// No such role.
    role_not_found = FailedPrecondition, "etcdserver: role name not found";
    /// A role without a name.
    role_empty = InvalidArgument, "etcdserver: role name is empty";
    /// Wrong name or password.
    authentication_failed =
        InvalidArgument, "etcdserver: authentication failed, invalid user ID or password";
    /// A user that has none gave a password. etcd has no code for it.
    no_password_user =
        Unknown, "auth: authentication failed, password was given for no password user";
    /// The caller may not.
    permission_denied = PermissionDenied, "etcdserver: permission denied";
    /// The role to revoke was never granted.
    role_not_granted = FailedPrecondition, "etcdserver: role is not granted to the user";
    /// The permission to revoke was never granted.
    permission_not_granted =
        FailedPrecondition, "etcdserver: permission is not granted to the role";
    /// A grant without a permission.
    permission_not_given = InvalidArgument, "etcdserver: permission not given";
    /// There is nobody to be while authentication is off.
    auth_not_enabled = FailedPrecondition, "etcdserver: authentication is not enabled";
    /// The token is unknown, expired, or not ours.
    invalid_auth_token = Unauthenticated, "etcdserver: invalid auth token";
    /// It would lock everybody out, or the range of a permission is none.
    invalid_auth_management = InvalidArgument, "etcdserver: invalid auth management";
    /// Users or roles changed since the caller was identified.
    auth_old_revision = InvalidArgument, "etcdserver: revision of auth store is old";
    /// The CORRUPT alarm is on.
    corrupt = DataLoss, "etcdserver: corrupt cluster";
    /// A stream of a range in an order that needs all of it first.
    stream_of_custom_order =
        Unimplemented, "RangeStream does not support custom sort orders";
    /// A stream of a range with bounds on revisions.
    stream_of_filters = Unimplemented, "RangeStream does not support revision filters";
    /// Some member's build could not read the command.
    not_capable = FailedPrecondition, "etcdserver: not capable";
    /// The lease ended, and with it the place in the line for a lock.
    session_expired = Unknown, "mutex: session is expired";
    /// Nobody is elected.
    nobody_elected = Unknown, "election: no leader";
    /// The caller is not the elected one (any more).
    not_elected = Unknown, "election: not leader";
    /// The proof of being elected is missing.
    leader_key_missing = Unknown, "\"leader\" field must be provided";
    /// The caller went away.
    canceled = Cancelled, "etcdserver: request canceled";
    /// A member with this id exists, or did.
    member_exists = FailedPrecondition, "etcdserver: member ID already exist";
    /// No such member.
    member_not_found = NotFound, "etcdserver: member not found";
    /// Another member has one of these peer addresses.
    peer_url_exists = FailedPrecondition, "etcdserver: Peer URLs already exists";
    /// Peer addresses that are none.
    bad_member_urls = InvalidArgument, "etcdserver: given member URLs are invalid";
    /// Too few members have started for this change.
    not_enough_started =
        FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members";
    /// Too few members answer for this change.
    unhealthy = Unavailable, "etcdserver: unhealthy cluster";
    /// The member votes already.
    not_a_learner = FailedPrecondition, "etcdserver: can only promote a learner member";
    /// The learner has not caught up.
    learner_not_ready =
        FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader";
    /// As many learners as there may be.
    too_many_learners = FailedPrecondition, "etcdserver: too many learner members in cluster";
    /// A learner answers little.
    not_for_learners = FailedPrecondition, "etcdserver: rpc not supported for learner";
    /// A large answer waited for its client for too long. etcd keeps it for ever.
    not_taken = DeadlineExceeded,
        "quorate: nothing of the answer was taken for 60 seconds; ask for less at a time (limit), or in the order of the keys";
    /// A guard without a lock.
    empty_lock = InvalidArgument, "quorate: lock name is not provided";
    /// No build is named like this.
    wrong_downgrade_format = InvalidArgument, "etcdserver: wrong downgrade target version format";
    /// The cluster cannot go back to that.
    invalid_downgrade_target = InvalidArgument, "etcdserver: invalid downgrade target version";
    /// It goes back already.
    downgrade_in_process = FailedPrecondition, "etcdserver: cluster has a downgrade job in progress";
    /// It does not go back.
    no_inflight_downgrade = FailedPrecondition, "etcdserver: no inflight downgrade job";
    /// An action that there is not. etcd has no code for it.
    unknown_method = Unknown, "etcdserver: unknown method";
    /// A call that the transfer does not allow.
    bad_leader_transferee = FailedPrecondition, "etcdserver: bad leader transferee";
}

/// A delete that needs more of the disk than there is.
pub fn no_room_to_delete(moved: u64, needed: u64, free: u64) -> Status {
    let [moved, needed, free] = [moved, needed, free].map(|bytes| bytes >> 20);
    Status::resource_exhausted(format!(
        "quorate: this delete writes {moved} MiB once more, into history, which needs {needed} MiB of free \
         disk, and {free} MiB are free: delete fewer keys at once and compact in between"
    ))
}

/// What only an administrator does is not done when it cannot be audited.
pub fn not_audited(why: &str) -> Status {
    Status::resource_exhausted(format!(
        "quorate: the audit log cannot be written ({why}): make room for it, or start this member \
         without --audit-log; until then administration is refused here"
    ))
}

/// The system's source of randomness failed: without it there are no tokens.
pub fn no_randomness() -> Status {
    Status::internal("the system gives no random bytes")
}

/// A key that no engine of ours could hold; etcd has no such error.
pub fn key_too_long(bytes: usize, limit: usize) -> Status {
    Status::invalid_argument(format!(
        "etcdserver: key is too long: it has {bytes} bytes, the limit is {limit}"
    ))
}

/// A user or role of such a name would be a key that no engine of ours could hold.
pub fn name_too_long(bytes: usize, limit: usize) -> Status {
    Status::invalid_argument(format!(
        "quorate: the name of a user or role has {bytes} bytes, the limit is {limit}"
    ))
}

fn guard_exists(prefix: &[u8], lock: &[u8]) -> Status {
    let (prefix, lock) = (String::from_utf8_lossy(prefix), String::from_utf8_lossy(lock));
    Status::failed_precondition(format!(
        "quorate: keys under \"{prefix}\" are guarded by lock \"{lock}\" already: take that guard \
         away first"
    ))
}

fn guard_not_found(prefix: &[u8]) -> Status {
    let prefix = String::from_utf8_lossy(prefix);
    Status::not_found(format!("quorate: \"{prefix}\" is not a guarded prefix"))
}

/// A call that a later release answers.
pub fn not_yet(what: &str) -> Status {
    Status::unimplemented(format!("{what} is not part of this release of Quorate yet"))
}

/// What the state refused.
pub fn refused(error: &StoreError) -> Status {
    match error {
        StoreError::KeyNotFound => key_not_found(),
        StoreError::LeaseNotFound => lease_not_found(),
        StoreError::LeaseExists => lease_exists(),
        StoreError::Compacted { .. } => compacted(),
        StoreError::FutureRevision { .. } => future_revision(),
        StoreError::NoSpace => no_space(),
        StoreError::Corrupt => corrupt(),
        StoreError::Auth(error) => unauthorized(*error),
        StoreError::MemberExists { .. } => member_exists(),
        StoreError::MemberNotFound { .. } => member_not_found(),
        StoreError::PeerUrlExists => peer_url_exists(),
        StoreError::NotALearner { .. } => not_a_learner(),
        StoreError::TooManyLearners { .. } => too_many_learners(),
        StoreError::LastMember { .. } => not_enough_started(),
        StoreError::Fenced(fenced) => crate::fence::refused(fenced),
        StoreError::GuardExists(guard) => guard_exists(&guard.prefix, &guard.lock),
        StoreError::GuardNotFound { prefix } => guard_not_found(prefix),
        StoreError::DowngradeInProcess => downgrade_in_process(),
        StoreError::NoDowngrade => no_inflight_downgrade(),
        StoreError::TooManyGuards { limit } => Status::resource_exhausted(format!(
            "quorate: {limit} prefixes are guarded, the limit: guard a shorter prefix instead"
        )),
    }
}

/// Who may not, and what cannot be done to users and roles.
pub fn unauthorized(error: AuthError) -> Status {
    match error {
        AuthError::RootUserNotExist => root_user_not_exist(),
        AuthError::RootRoleNotExist => root_role_not_exist(),
        AuthError::UserExists => user_exists(),
        AuthError::UserEmpty => user_empty(),
        AuthError::UserNotFound => user_not_found(),
        AuthError::RoleExists => role_exists(),
        AuthError::RoleNotFound => role_not_found(),
        AuthError::RoleEmpty => role_empty(),
        AuthError::Failed => authentication_failed(),
        AuthError::NoPasswordUser => no_password_user(),
        AuthError::PermissionDenied => permission_denied(),
        AuthError::RoleNotGranted => role_not_granted(),
        AuthError::PermissionNotGranted => permission_not_granted(),
        AuthError::NotEnabled => auth_not_enabled(),
        AuthError::OldRevision => auth_old_revision(),
        AuthError::InvalidManagement => invalid_auth_management(),
    }
}

/// What a check of the request refused.
pub fn invalid(error: &ValidationError) -> Status {
    match error {
        ValidationError::EmptyKey => empty_key(),
        ValidationError::TooManyOps { .. } => too_many_ops(),
        ValidationError::DuplicateKey { .. } => duplicate_key(),
        ValidationError::ValueProvided => value_provided(),
        ValidationError::LeaseProvided => lease_provided(),
        ValidationError::InvalidSortOption => invalid_sort_option(),
        ValidationError::EmptyOp => key_not_found(),
        ValidationError::LeaseTtlTooLarge { .. } => lease_ttl_too_large(),
        ValidationError::EmptyLock => empty_lock(),
    }
}

/// What the host could not do. Except for the first, nobody knows whether a write was applied.
pub fn failed(failure: &Failure) -> Status {
    match failure {
        Failure::TooManyRequests { .. } => too_many_requests(),
        Failure::TooLarge { .. } => request_too_large(),
        Failure::NotCapable { .. } => {
            tracing::warn!("refused a request: {failure}");
            not_capable()
        }
        Failure::Timeout => timeout(),
        Failure::TimeoutNoLeader => timeout_leader_failed(),
        Failure::Stopped => stopped(),
        Failure::State(why) => Status::internal(why.clone()),
    }
}
