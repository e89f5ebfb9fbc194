//! Which right each call needs: the one table (contract item 65).
//!
//! It is a `match` over an enum that is generated from the `.proto` files, without a wildcard: a
//! call that is new has no row, and without a row this does not compile.

use quorate_wire::etcd::rpcs::Rpc;

/// What a caller needs when authentication is on. Rights on keys are looked at by the service, or
/// when the command is applied, with the request in hand: see [`quorate_store::touch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Nothing, not even a good token: this is how one gets one.
    Nothing,
    /// Nothing, but a token that is shown must be good.
    Anybody,
    /// To be a user.
    User,
    /// To be a user with the role root.
    Root,
    /// The role root, judged where the command stands in the log: the newest users and roles count,
    /// not those that this member knows.
    RootInLog,
    /// Rights on the keys that the request touches.
    Keys,
    /// Rights on keys, and a refusal inside of the stream instead of at its beginning (item 44).
    KeysInStream,
}

impl Needs {
    /// True for what only an administrator does: it is refused when it cannot be audited.
    pub fn is_admin(self) -> bool {
        match self {
            Needs::Root | Needs::RootInLog => true,
            Needs::Nothing | Needs::Anybody | Needs::User | Needs::Keys | Needs::KeysInStream => {
                false
            }
        }
    }
}

/// The table.
pub fn needs(rpc: Rpc) -> Needs {
    match rpc {
        Rpc::KvRange => Needs::Keys,
        Rpc::KvRangeStream => Needs::Keys,
        Rpc::KvPut => Needs::Keys,
        Rpc::KvDeleteRange => Needs::Keys,
        Rpc::KvTxn => Needs::Keys,
        Rpc::KvCompact => Needs::Root,
        Rpc::WatchWatch => Needs::KeysInStream,
        Rpc::LeaseLeaseGrant => Needs::User,
        // WRITE on all keys of the lease, of which there may be none.
        Rpc::LeaseLeaseRevoke => Needs::User,
        Rpc::LeaseLeaseKeepAlive => Needs::Keys,
        // READ on the keys of the lease, when they are asked for.
        Rpc::LeaseLeaseTimeToLive => Needs::User,
        // READ on the keys of all leases.
        Rpc::LeaseLeaseLeases => Needs::User,
        Rpc::GuardSet | Rpc::GuardRemove => Needs::RootInLog,
        Rpc::GuardList => Needs::User,
        Rpc::ClusterMemberAdd => Needs::Root,
        Rpc::ClusterMemberRemove => Needs::Root,
        Rpc::ClusterMemberUpdate => Needs::Root,
        Rpc::ClusterMemberList => Needs::User,
        Rpc::ClusterMemberPromote => Needs::Root,
        // A user may look; to set one takes the role root, and its command says so.
        Rpc::MaintenanceAlarm => Needs::User,
        Rpc::MaintenanceStatus => Needs::User,
        Rpc::MaintenanceDefragment => Needs::Root,
        Rpc::MaintenanceHash => Needs::Root,
        Rpc::MaintenanceHashKV => Needs::Root,
        Rpc::MaintenanceSnapshot => Needs::Root,
        Rpc::MaintenanceMoveLeader => Needs::Root,
        Rpc::MaintenanceDowngrade => Needs::Root,
        Rpc::AuthAuthEnable => Needs::RootInLog,
        Rpc::AuthAuthDisable => Needs::RootInLog,
        Rpc::AuthAuthStatus => Needs::Anybody,
        Rpc::AuthAuthenticate => Needs::Nothing,
        Rpc::AuthUserAdd => Needs::RootInLog,
        // A user may look at itself, and at the roles that it has.
        Rpc::AuthUserGet => Needs::Anybody,
        Rpc::AuthUserList => Needs::Root,
        Rpc::AuthUserDelete => Needs::RootInLog,
        Rpc::AuthUserChangePassword => Needs::RootInLog,
        Rpc::AuthUserGrantRole => Needs::RootInLog,
        Rpc::AuthUserRevokeRole => Needs::RootInLog,
        Rpc::AuthRoleAdd => Needs::RootInLog,
        Rpc::AuthRoleGet => Needs::Anybody,
        Rpc::AuthRoleList => Needs::Root,
        Rpc::AuthRoleDelete => Needs::RootInLog,
        Rpc::AuthRoleGrantPermission => Needs::RootInLog,
        Rpc::AuthRoleRevokePermission => Needs::RootInLog,
        // These put, read and delete keys below the name.
        Rpc::LockLock => Needs::Keys,
        Rpc::LockUnlock => Needs::Keys,
        Rpc::ElectionCampaign => Needs::Keys,
        Rpc::ElectionProclaim => Needs::Keys,
        Rpc::ElectionLeader => Needs::Keys,
        Rpc::ElectionObserve => Needs::Keys,
        Rpc::ElectionResign => Needs::Keys,
    }
}

/// True for calls that go on after their first answer, or wait for others before it: users and
/// roles may change meanwhile.
pub fn is_long(rpc: Rpc) -> bool {
    matches!(
        rpc,
        Rpc::KvRangeStream
            | Rpc::WatchWatch
            | Rpc::LeaseLeaseKeepAlive
            | Rpc::LockLock
            | Rpc::ElectionCampaign
            | Rpc::ElectionObserve
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_leads_to_its_row() {
        for rpc in Rpc::ALL {
            assert_eq!(Rpc::of_path(rpc.path()), Some(rpc));
            let open = matches!(needs(rpc), Needs::Nothing);
            assert_eq!(open, rpc == Rpc::AuthAuthenticate, "{}", rpc.path());
        }
    }
}
