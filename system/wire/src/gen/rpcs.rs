/// Every call of the API.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rpc {
    /// `/etcdserverpb.KV/Range`
    KvRange,
    /// `/etcdserverpb.KV/RangeStream`
    KvRangeStream,
    /// `/etcdserverpb.KV/Put`
    KvPut,
    /// `/etcdserverpb.KV/DeleteRange`
    KvDeleteRange,
    /// `/etcdserverpb.KV/Txn`
    KvTxn,
    /// `/etcdserverpb.KV/Compact`
    KvCompact,
    /// `/etcdserverpb.Watch/Watch`
    WatchWatch,
    /// `/etcdserverpb.Lease/LeaseGrant`
    LeaseLeaseGrant,
    /// `/etcdserverpb.Lease/LeaseRevoke`
    LeaseLeaseRevoke,
    /// `/etcdserverpb.Lease/LeaseKeepAlive`
    LeaseLeaseKeepAlive,
    /// `/etcdserverpb.Lease/LeaseTimeToLive`
    LeaseLeaseTimeToLive,
    /// `/etcdserverpb.Lease/LeaseLeases`
    LeaseLeaseLeases,
    /// `/etcdserverpb.Cluster/MemberAdd`
    ClusterMemberAdd,
    /// `/etcdserverpb.Cluster/MemberRemove`
    ClusterMemberRemove,
    /// `/etcdserverpb.Cluster/MemberUpdate`
    ClusterMemberUpdate,
    /// `/etcdserverpb.Cluster/MemberList`
    ClusterMemberList,
    /// `/etcdserverpb.Cluster/MemberPromote`
    ClusterMemberPromote,
    /// `/etcdserverpb.Maintenance/Alarm`
    MaintenanceAlarm,
    /// `/etcdserverpb.Maintenance/Status`
    MaintenanceStatus,
    /// `/etcdserverpb.Maintenance/Defragment`
    MaintenanceDefragment,
    /// `/etcdserverpb.Maintenance/Hash`
    MaintenanceHash,
    /// `/etcdserverpb.Maintenance/HashKV`
    MaintenanceHashKV,
    /// `/etcdserverpb.Maintenance/Snapshot`
    MaintenanceSnapshot,
    /// `/etcdserverpb.Maintenance/MoveLeader`
    MaintenanceMoveLeader,
    /// `/etcdserverpb.Maintenance/Downgrade`
    MaintenanceDowngrade,
    /// `/etcdserverpb.Auth/AuthEnable`
    AuthAuthEnable,
    /// `/etcdserverpb.Auth/AuthDisable`
    AuthAuthDisable,
    /// `/etcdserverpb.Auth/AuthStatus`
    AuthAuthStatus,
    /// `/etcdserverpb.Auth/Authenticate`
    AuthAuthenticate,
    /// `/etcdserverpb.Auth/UserAdd`
    AuthUserAdd,
    /// `/etcdserverpb.Auth/UserGet`
    AuthUserGet,
    /// `/etcdserverpb.Auth/UserList`
    AuthUserList,
    /// `/etcdserverpb.Auth/UserDelete`
    AuthUserDelete,
    /// `/etcdserverpb.Auth/UserChangePassword`
    AuthUserChangePassword,
    /// `/etcdserverpb.Auth/UserGrantRole`
    AuthUserGrantRole,
    /// `/etcdserverpb.Auth/UserRevokeRole`
    AuthUserRevokeRole,
    /// `/etcdserverpb.Auth/RoleAdd`
    AuthRoleAdd,
    /// `/etcdserverpb.Auth/RoleGet`
    AuthRoleGet,
    /// `/etcdserverpb.Auth/RoleList`
    AuthRoleList,
    /// `/etcdserverpb.Auth/RoleDelete`
    AuthRoleDelete,
    /// `/etcdserverpb.Auth/RoleGrantPermission`
    AuthRoleGrantPermission,
    /// `/etcdserverpb.Auth/RoleRevokePermission`
    AuthRoleRevokePermission,
    /// `/v3lockpb.Lock/Lock`
    LockLock,
    /// `/v3lockpb.Lock/Unlock`
    LockUnlock,
    /// `/v3electionpb.Election/Campaign`
    ElectionCampaign,
    /// `/v3electionpb.Election/Proclaim`
    ElectionProclaim,
    /// `/v3electionpb.Election/Leader`
    ElectionLeader,
    /// `/v3electionpb.Election/Observe`
    ElectionObserve,
    /// `/v3electionpb.Election/Resign`
    ElectionResign,
    /// `/quorate.v1.Guard/Set`
    GuardSet,
    /// `/quorate.v1.Guard/Remove`
    GuardRemove,
    /// `/quorate.v1.Guard/List`
    GuardList,
}

impl Rpc {
    /// All of them, in the order of their files.
    pub const ALL: [Rpc; 52] = [
        Rpc::KvRange,
        Rpc::KvRangeStream,
        Rpc::KvPut,
        Rpc::KvDeleteRange,
        Rpc::KvTxn,
        Rpc::KvCompact,
        Rpc::WatchWatch,
        Rpc::LeaseLeaseGrant,
        Rpc::LeaseLeaseRevoke,
        Rpc::LeaseLeaseKeepAlive,
        Rpc::LeaseLeaseTimeToLive,
        Rpc::LeaseLeaseLeases,
        Rpc::ClusterMemberAdd,
        Rpc::ClusterMemberRemove,
        Rpc::ClusterMemberUpdate,
        Rpc::ClusterMemberList,
        Rpc::ClusterMemberPromote,
        Rpc::MaintenanceAlarm,
        Rpc::MaintenanceStatus,
        Rpc::MaintenanceDefragment,
        Rpc::MaintenanceHash,
        Rpc::MaintenanceHashKV,
        Rpc::MaintenanceSnapshot,
        Rpc::MaintenanceMoveLeader,
        Rpc::MaintenanceDowngrade,
        Rpc::AuthAuthEnable,
        Rpc::AuthAuthDisable,
        Rpc::AuthAuthStatus,
        Rpc::AuthAuthenticate,
        Rpc::AuthUserAdd,
        Rpc::AuthUserGet,
        Rpc::AuthUserList,
        Rpc::AuthUserDelete,
        Rpc::AuthUserChangePassword,
        Rpc::AuthUserGrantRole,
        Rpc::AuthUserRevokeRole,
        Rpc::AuthRoleAdd,
        Rpc::AuthRoleGet,
        Rpc::AuthRoleList,
        Rpc::AuthRoleDelete,
        Rpc::AuthRoleGrantPermission,
        Rpc::AuthRoleRevokePermission,
        Rpc::LockLock,
        Rpc::LockUnlock,
        Rpc::ElectionCampaign,
        Rpc::ElectionProclaim,
        Rpc::ElectionLeader,
        Rpc::ElectionObserve,
        Rpc::ElectionResign,
        Rpc::GuardSet,
        Rpc::GuardRemove,
        Rpc::GuardList,
    ];

    /// The call under a path.
    pub fn of_path(path: &str) -> Option<Rpc> {
        match path {
            "/etcdserverpb.KV/Range" => Some(Rpc::KvRange),
            "/etcdserverpb.KV/RangeStream" => Some(Rpc::KvRangeStream),
            "/etcdserverpb.KV/Put" => Some(Rpc::KvPut),
            "/etcdserverpb.KV/DeleteRange" => Some(Rpc::KvDeleteRange),
            "/etcdserverpb.KV/Txn" => Some(Rpc::KvTxn),
            "/etcdserverpb.KV/Compact" => Some(Rpc::KvCompact),
            "/etcdserverpb.Watch/Watch" => Some(Rpc::WatchWatch),
            "/etcdserverpb.Lease/LeaseGrant" => Some(Rpc::LeaseLeaseGrant),
            "/etcdserverpb.Lease/LeaseRevoke" => Some(Rpc::LeaseLeaseRevoke),
            "/etcdserverpb.Lease/LeaseKeepAlive" => Some(Rpc::LeaseLeaseKeepAlive),
            "/etcdserverpb.Lease/LeaseTimeToLive" => Some(Rpc::LeaseLeaseTimeToLive),
            "/etcdserverpb.Lease/LeaseLeases" => Some(Rpc::LeaseLeaseLeases),
            "/etcdserverpb.Cluster/MemberAdd" => Some(Rpc::ClusterMemberAdd),
            "/etcdserverpb.Cluster/MemberRemove" => Some(Rpc::ClusterMemberRemove),
            "/etcdserverpb.Cluster/MemberUpdate" => Some(Rpc::ClusterMemberUpdate),
            "/etcdserverpb.Cluster/MemberList" => Some(Rpc::ClusterMemberList),
            "/etcdserverpb.Cluster/MemberPromote" => Some(Rpc::ClusterMemberPromote),
            "/etcdserverpb.Maintenance/Alarm" => Some(Rpc::MaintenanceAlarm),
            "/etcdserverpb.Maintenance/Status" => Some(Rpc::MaintenanceStatus),
            "/etcdserverpb.Maintenance/Defragment" => Some(Rpc::MaintenanceDefragment),
            "/etcdserverpb.Maintenance/Hash" => Some(Rpc::MaintenanceHash),
            "/etcdserverpb.Maintenance/HashKV" => Some(Rpc::MaintenanceHashKV),
            "/etcdserverpb.Maintenance/Snapshot" => Some(Rpc::MaintenanceSnapshot),
            "/etcdserverpb.Maintenance/MoveLeader" => Some(Rpc::MaintenanceMoveLeader),
            "/etcdserverpb.Maintenance/Downgrade" => Some(Rpc::MaintenanceDowngrade),
            "/etcdserverpb.Auth/AuthEnable" => Some(Rpc::AuthAuthEnable),
            "/etcdserverpb.Auth/AuthDisable" => Some(Rpc::AuthAuthDisable),
            "/etcdserverpb.Auth/AuthStatus" => Some(Rpc::AuthAuthStatus),
            "/etcdserverpb.Auth/Authenticate" => Some(Rpc::AuthAuthenticate),
            "/etcdserverpb.Auth/UserAdd" => Some(Rpc::AuthUserAdd),
            "/etcdserverpb.Auth/UserGet" => Some(Rpc::AuthUserGet),
            "/etcdserverpb.Auth/UserList" => Some(Rpc::AuthUserList),
            "/etcdserverpb.Auth/UserDelete" => Some(Rpc::AuthUserDelete),
            "/etcdserverpb.Auth/UserChangePassword" => Some(Rpc::AuthUserChangePassword),
            "/etcdserverpb.Auth/UserGrantRole" => Some(Rpc::AuthUserGrantRole),
            "/etcdserverpb.Auth/UserRevokeRole" => Some(Rpc::AuthUserRevokeRole),
            "/etcdserverpb.Auth/RoleAdd" => Some(Rpc::AuthRoleAdd),
            "/etcdserverpb.Auth/RoleGet" => Some(Rpc::AuthRoleGet),
            "/etcdserverpb.Auth/RoleList" => Some(Rpc::AuthRoleList),
            "/etcdserverpb.Auth/RoleDelete" => Some(Rpc::AuthRoleDelete),
            "/etcdserverpb.Auth/RoleGrantPermission" => Some(Rpc::AuthRoleGrantPermission),
            "/etcdserverpb.Auth/RoleRevokePermission" => Some(Rpc::AuthRoleRevokePermission),
            "/v3lockpb.Lock/Lock" => Some(Rpc::LockLock),
            "/v3lockpb.Lock/Unlock" => Some(Rpc::LockUnlock),
            "/v3electionpb.Election/Campaign" => Some(Rpc::ElectionCampaign),
            "/v3electionpb.Election/Proclaim" => Some(Rpc::ElectionProclaim),
            "/v3electionpb.Election/Leader" => Some(Rpc::ElectionLeader),
            "/v3electionpb.Election/Observe" => Some(Rpc::ElectionObserve),
            "/v3electionpb.Election/Resign" => Some(Rpc::ElectionResign),
            "/quorate.v1.Guard/Set" => Some(Rpc::GuardSet),
            "/quorate.v1.Guard/Remove" => Some(Rpc::GuardRemove),
            "/quorate.v1.Guard/List" => Some(Rpc::GuardList),
            _ => None,
        }
    }

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Rpc::KvRange => "/etcdserverpb.KV/Range",
            Rpc::KvRangeStream => "/etcdserverpb.KV/RangeStream",
            Rpc::KvPut => "/etcdserverpb.KV/Put",
            Rpc::KvDeleteRange => "/etcdserverpb.KV/DeleteRange",
            Rpc::KvTxn => "/etcdserverpb.KV/Txn",
            Rpc::KvCompact => "/etcdserverpb.KV/Compact",
            Rpc::WatchWatch => "/etcdserverpb.Watch/Watch",
            Rpc::LeaseLeaseGrant => "/etcdserverpb.Lease/LeaseGrant",
            Rpc::LeaseLeaseRevoke => "/etcdserverpb.Lease/LeaseRevoke",
            Rpc::LeaseLeaseKeepAlive => "/etcdserverpb.Lease/LeaseKeepAlive",
            Rpc::LeaseLeaseTimeToLive => "/etcdserverpb.Lease/LeaseTimeToLive",
            Rpc::LeaseLeaseLeases => "/etcdserverpb.Lease/LeaseLeases",
            Rpc::ClusterMemberAdd => "/etcdserverpb.Cluster/MemberAdd",
            Rpc::ClusterMemberRemove => "/etcdserverpb.Cluster/MemberRemove",
            Rpc::ClusterMemberUpdate => "/etcdserverpb.Cluster/MemberUpdate",
            Rpc::ClusterMemberList => "/etcdserverpb.Cluster/MemberList",
            Rpc::ClusterMemberPromote => "/etcdserverpb.Cluster/MemberPromote",
            Rpc::MaintenanceAlarm => "/etcdserverpb.Maintenance/Alarm",
            Rpc::MaintenanceStatus => "/etcdserverpb.Maintenance/Status",
            Rpc::MaintenanceDefragment => "/etcdserverpb.Maintenance/Defragment",
            Rpc::MaintenanceHash => "/etcdserverpb.Maintenance/Hash",
            Rpc::MaintenanceHashKV => "/etcdserverpb.Maintenance/HashKV",
            Rpc::MaintenanceSnapshot => "/etcdserverpb.Maintenance/Snapshot",
            Rpc::MaintenanceMoveLeader => "/etcdserverpb.Maintenance/MoveLeader",
            Rpc::MaintenanceDowngrade => "/etcdserverpb.Maintenance/Downgrade",
            Rpc::AuthAuthEnable => "/etcdserverpb.Auth/AuthEnable",
            Rpc::AuthAuthDisable => "/etcdserverpb.Auth/AuthDisable",
            Rpc::AuthAuthStatus => "/etcdserverpb.Auth/AuthStatus",
            Rpc::AuthAuthenticate => "/etcdserverpb.Auth/Authenticate",
            Rpc::AuthUserAdd => "/etcdserverpb.Auth/UserAdd",
            Rpc::AuthUserGet => "/etcdserverpb.Auth/UserGet",
            Rpc::AuthUserList => "/etcdserverpb.Auth/UserList",
            Rpc::AuthUserDelete => "/etcdserverpb.Auth/UserDelete",
            Rpc::AuthUserChangePassword => "/etcdserverpb.Auth/UserChangePassword",
            Rpc::AuthUserGrantRole => "/etcdserverpb.Auth/UserGrantRole",
            Rpc::AuthUserRevokeRole => "/etcdserverpb.Auth/UserRevokeRole",
            Rpc::AuthRoleAdd => "/etcdserverpb.Auth/RoleAdd",
            Rpc::AuthRoleGet => "/etcdserverpb.Auth/RoleGet",
            Rpc::AuthRoleList => "/etcdserverpb.Auth/RoleList",
            Rpc::AuthRoleDelete => "/etcdserverpb.Auth/RoleDelete",
            Rpc::AuthRoleGrantPermission => "/etcdserverpb.Auth/RoleGrantPermission",
            Rpc::AuthRoleRevokePermission => "/etcdserverpb.Auth/RoleRevokePermission",
            Rpc::LockLock => "/v3lockpb.Lock/Lock",
            Rpc::LockUnlock => "/v3lockpb.Lock/Unlock",
            Rpc::ElectionCampaign => "/v3electionpb.Election/Campaign",
            Rpc::ElectionProclaim => "/v3electionpb.Election/Proclaim",
            Rpc::ElectionLeader => "/v3electionpb.Election/Leader",
            Rpc::ElectionObserve => "/v3electionpb.Election/Observe",
            Rpc::ElectionResign => "/v3electionpb.Election/Resign",
            Rpc::GuardSet => "/quorate.v1.Guard/Set",
            Rpc::GuardRemove => "/quorate.v1.Guard/Remove",
            Rpc::GuardList => "/quorate.v1.Guard/List",
        }
    }
}
