//! The calls of the API, one method each.
//!
//! Each is the same three lines around the generated client, so a macro writes them; what differs is named in one row: a
//! read or a write, and the messages.

use crate::channel::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::auth_client::AuthClient;
use quorate_wire::etcd::etcdserverpb::cluster_client::ClusterClient;
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use quorate_wire::etcd::etcdserverpb::lease_client::LeaseClient;
use quorate_wire::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_wire::etcd::etcdserverpb::watch_client::WatchClient;

use crate::call::Kind;
use crate::options::Options;
use crate::{Client, Error};

macro_rules! calls {
    ($($(#[$doc:meta])* $kind:ident $service:ident.$method:ident as $name:ident: $ask:ident -> $answer:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Any [`Error`]; see [`Error::outcome`] for what it says about the request.
                pub async fn $name(&self, request: pb::$ask) -> Result<pb::$answer, Error> {
                    let options = &self.shared.options;
                    self.unary(Kind::$kind, request, |channel, request| {
                        let mut client = $service(channel, options);
                        async move { client.$method(request).await }
                    })
                    .await
                }
            )*
        }
    };
}

calls! {
    /// Reads the keys of an interval.
    Read kv.range as range: RangeRequest -> RangeResponse;
    /// Writes one key.
    Write kv.put as put: PutRequest -> PutResponse;
    /// Deletes the keys of an interval.
    Write kv.delete_range as delete_range: DeleteRangeRequest -> DeleteRangeResponse;
    /// Compares, then runs one of two lists of operations. A transaction of reads alone is treated as a write too: it is
    /// not repeated.
    Write kv.txn as txn: TxnRequest -> TxnResponse;
    /// Forgets the history up to a revision.
    Write kv.compact as compact: CompactionRequest -> CompactionResponse;
    /// Makes a lease.
    Write lease.lease_grant as lease_grant: LeaseGrantRequest -> LeaseGrantResponse;
    /// Ends a lease and deletes its keys.
    Write lease.lease_revoke as lease_revoke: LeaseRevokeRequest -> LeaseRevokeResponse;
    /// Tells how long a lease has to live.
    Read lease.lease_time_to_live as lease_time_to_live: LeaseTimeToLiveRequest -> LeaseTimeToLiveResponse;
    /// Lists the leases.
    Read lease.lease_leases as leases: LeaseLeasesRequest -> LeaseLeasesResponse;
    /// Lists the members.
    Read cluster.member_list as member_list: MemberListRequest -> MemberListResponse;
    /// Adds a member.
    Write cluster.member_add as member_add: MemberAddRequest -> MemberAddResponse;
    /// Removes a member.
    Write cluster.member_remove as member_remove: MemberRemoveRequest -> MemberRemoveResponse;
    /// Changes a member's addresses.
    Write cluster.member_update as member_update: MemberUpdateRequest -> MemberUpdateResponse;
    /// Makes a learner a voter.
    Write cluster.member_promote as member_promote: MemberPromoteRequest -> MemberPromoteResponse;
    /// Lists, raises or lowers alarms.
    Write maintenance.alarm as alarm: AlarmRequest -> AlarmResponse;
    /// Tells how the member is that happens to be asked; see [`Client::only`].
    Read maintenance.status as status: StatusRequest -> StatusResponse;
    /// Gives unused space of the asked member's store back; see [`Client::only`].
    Write maintenance.defragment as defragment: DefragmentRequest -> DefragmentResponse;
    /// Hashes the keys of the asked member; see [`Client::only`].
    Read maintenance.hash_kv as hash_kv: HashKvRequest -> HashKvResponse;
    /// Hands leadership to another member.
    Write maintenance.move_leader as move_leader: MoveLeaderRequest -> MoveLeaderResponse;
    /// Turns access control on.
    Write auth.auth_enable as auth_enable: AuthEnableRequest -> AuthEnableResponse;
    /// Turns access control off.
    Write auth.auth_disable as auth_disable: AuthDisableRequest -> AuthDisableResponse;
    /// Tells whether access control is on.
    Read auth.auth_status as auth_status: AuthStatusRequest -> AuthStatusResponse;
    /// Adds a user.
    Write auth.user_add as user_add: AuthUserAddRequest -> AuthUserAddResponse;
    /// Lists the roles of a user.
    Read auth.user_get as user_get: AuthUserGetRequest -> AuthUserGetResponse;
    /// Lists the users.
    Read auth.user_list as user_list: AuthUserListRequest -> AuthUserListResponse;
    /// Removes a user.
    Write auth.user_delete as user_delete: AuthUserDeleteRequest -> AuthUserDeleteResponse;
    /// Gives a user another password.
    Write auth.user_change_password as user_change_password: AuthUserChangePasswordRequest -> AuthUserChangePasswordResponse;
    /// Gives a user a role.
    Write auth.user_grant_role as user_grant_role: AuthUserGrantRoleRequest -> AuthUserGrantRoleResponse;
    /// Takes a role from a user.
    Write auth.user_revoke_role as user_revoke_role: AuthUserRevokeRoleRequest -> AuthUserRevokeRoleResponse;
    /// Adds a role.
    Write auth.role_add as role_add: AuthRoleAddRequest -> AuthRoleAddResponse;
    /// Lists what a role may do.
    Read auth.role_get as role_get: AuthRoleGetRequest -> AuthRoleGetResponse;
    /// Lists the roles.
    Read auth.role_list as role_list: AuthRoleListRequest -> AuthRoleListResponse;
    /// Removes a role.
    Write auth.role_delete as role_delete: AuthRoleDeleteRequest -> AuthRoleDeleteResponse;
    /// Lets a role do something with an interval of keys.
    Write auth.role_grant_permission as role_grant_permission: AuthRoleGrantPermissionRequest -> AuthRoleGrantPermissionResponse;
    /// Takes that from a role.
    Write auth.role_revoke_permission as role_revoke_permission: AuthRoleRevokePermissionRequest -> AuthRoleRevokePermissionResponse;
    /// Validates, begins or cancels a downgrade of the cluster.
    Write maintenance.downgrade as downgrade: DowngradeRequest -> DowngradeResponse;
}

impl Client {
    /// Streams a copy of the asked member's store; see [`Client::only`]. The timeout of the settings covers the start of
    /// the stream, not its end.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn snapshot(&self) -> Result<Streaming<pb::SnapshotResponse>, Error> {
        let options = &self.shared.options;
        self.unary(Kind::Read, pb::SnapshotRequest {}, |channel, request| {
            let mut client = maintenance(channel, options);
            async move { client.snapshot(request).await }
        })
        .await
    }

    /// Reads the keys of an interval in pieces and puts them together; from a member that cannot send pieces, at once.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn range_stream(
        &self,
        request: pb::RangeRequest,
    ) -> Result<pb::RangeResponse, Error> {
        let options = &self.shared.options;
        self.unary(Kind::Read, request, |channel, request| {
            range_in_pieces(kv(channel, options), request)
        })
        .await
    }

    /// Renews a lease once: `Ok(None)` if it is gone.
    ///
    /// # Errors
    /// Any [`Error`]; renewing is harmless, so it is repeated like a read.
    pub async fn keep_alive_once(
        &self,
        id: i64,
    ) -> Result<Option<pb::LeaseKeepAliveResponse>, Error> {
        let options = &self.shared.options;
        let answer = self.unary(Kind::Read, id, |channel, request: Request<i64>| {
            let client = lease(channel, options);
            keep_alive_once(client, request)
        });
        Ok(answer.await?.filter(|answer| answer.ttl > 0))
    }
}

/// The last piece carries the header, `more` and `count`.
async fn range_in_pieces(
    mut client: KvClient<Channel>,
    request: Request<pb::RangeRequest>,
) -> Result<Response<pb::RangeResponse>, Status> {
    let mut fallback = Request::new(request.get_ref().clone());
    *fallback.metadata_mut() = request.metadata().clone();
    let stream = client.range_stream(request).await;
    let mut whole = pb::RangeResponse::default();
    let collected = match stream {
        Ok(stream) => collect(stream.into_inner(), &mut whole).await,
        Err(status) => Err(status),
    };
    match collected {
        Ok(()) => Ok(Response::new(whole)),
        Err(status) if status.code() == Code::Unimplemented => client.range(fallback).await,
        Err(status) => Err(status),
    }
}

async fn collect(
    mut pieces: Streaming<pb::RangeStreamResponse>,
    whole: &mut pb::RangeResponse,
) -> Result<(), Status> {
    while let Some(piece) = pieces.message().await? {
        let piece = piece.range_response.unwrap_or_default();
        let mut kvs = std::mem::take(&mut whole.kvs);
        kvs.extend(piece.kvs);
        *whole = pb::RangeResponse { kvs, ..piece };
    }
    Ok(())
}

async fn keep_alive_once(
    mut client: LeaseClient<Channel>,
    request: Request<i64>,
) -> Result<Response<Option<pb::LeaseKeepAliveResponse>>, Status> {
    let request = request.map(|id| tokio_stream::once(pb::LeaseKeepAliveRequest { id }));
    let mut answers = client.lease_keep_alive(request).await?.into_inner();
    Ok(Response::new(answers.message().await?))
}

/// The generated clients, with the limits of the settings.
pub(crate) fn kv(channel: Channel, options: &Options) -> KvClient<Channel> {
    KvClient::new(channel)
        .max_encoding_message_size(options.max_request_bytes)
        .max_decoding_message_size(options.max_answer_bytes)
}

pub(crate) fn lease(channel: Channel, options: &Options) -> LeaseClient<Channel> {
    LeaseClient::new(channel)
        .max_encoding_message_size(options.max_request_bytes)
        .max_decoding_message_size(options.max_answer_bytes)
}

pub(crate) fn watch(channel: Channel, options: &Options) -> WatchClient<Channel> {
    WatchClient::new(channel)
        .max_encoding_message_size(options.max_request_bytes)
        .max_decoding_message_size(options.max_answer_bytes)
}

fn cluster(channel: Channel, options: &Options) -> ClusterClient<Channel> {
    ClusterClient::new(channel)
        .max_encoding_message_size(options.max_request_bytes)
        .max_decoding_message_size(options.max_answer_bytes)
}

fn maintenance(channel: Channel, options: &Options) -> MaintenanceClient<Channel> {
    MaintenanceClient::new(channel)
        .max_encoding_message_size(options.max_request_bytes)
        .max_decoding_message_size(options.max_answer_bytes)
}

fn auth(channel: Channel, options: &Options) -> AuthClient<Channel> {
    AuthClient::new(channel)
        .max_encoding_message_size(options.max_request_bytes)
        .max_decoding_message_size(options.max_answer_bytes)
}
