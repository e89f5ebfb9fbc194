//! `etcdserverpb.Maintenance`.

use crate::caller::Known;
use crate::kv::{settled, unreadable};
use crate::service::Service;
use crate::{convert, downgrade, errors};
use quorate_base::NodeId;
use quorate_host::backup;
use quorate_store::{Action, AlarmKind, Answer, Caller};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::maintenance_server::Maintenance;
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// The release of etcd whose API this is; clients compare it.
pub const ETCD_VERSION: &str = "3.7.0";

/// The service.
pub struct MaintenanceService(pub Arc<Service>);

/// Blobs of a snapshot that wait for a slow reader.
const SNAPSHOT_BUFFER: usize = 4;

fn kind(alarm: i32) -> Option<AlarmKind> {
    match pb::AlarmType::try_from(alarm) {
        Ok(pb::AlarmType::Nospace) => Some(AlarmKind::NoSpace),
        Ok(pb::AlarmType::Corrupt) => Some(AlarmKind::Corrupt),
        Ok(pb::AlarmType::None) | Err(_) => None,
    }
}

impl MaintenanceService {
    async fn set_alarm(
        &self,
        caller: Caller,
        raise: bool,
        request: &pb::AlarmRequest,
    ) -> Result<pb::AlarmResponse, Status> {
        let Some(kind) = kind(request.alarm) else {
            // Nothing is named, so nothing changes.
            let header = self.0.header(self.0.view().revision());
            return Ok(pb::AlarmResponse { header, alarms: Vec::new() });
        };
        let action = Action::Alarm { raise, member: request.member_id, kind };
        match settled(self.0.write(caller, action).await?)? {
            (Answer::Alarm { alarms }, revision) => Ok(pb::AlarmResponse {
                header: self.0.header(revision),
                alarms: alarms.into_iter().map(convert::alarm).collect(),
            }),
            (other, _) => Err(Status::internal(format!("an alarm answered {other:?}"))),
        }
    }

    fn list_alarms(&self, request: &pb::AlarmRequest) -> pb::AlarmResponse {
        let view = self.0.view();
        let wanted = kind(request.alarm);
        let alarms = view.alarms().iter().copied();
        let alarms = alarms.filter(|alarm| wanted.is_none_or(|wanted| alarm.kind == wanted));
        pb::AlarmResponse {
            header: self.0.header(view.revision()),
            alarms: alarms.map(convert::alarm).collect(),
        }
    }
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    async fn alarm(
        &self,
        request: Request<pb::AlarmRequest>,
    ) -> Result<Response<pb::AlarmResponse>, Status> {
        let (caller, known) = (self.0.caller(&request)?, Known::of(&request));
        let request = request.into_inner();
        if request.action != i32::from(pb::alarm_request::AlarmAction::Get) {
            self.0.may_manage(&known, &self.0.view())?;
        }
        let response = match pb::alarm_request::AlarmAction::try_from(request.action) {
            Ok(pb::alarm_request::AlarmAction::Get) => self.list_alarms(&request),
            Ok(pb::alarm_request::AlarmAction::Activate) => {
                self.set_alarm(caller, true, &request).await?
            }
            Ok(pb::alarm_request::AlarmAction::Deactivate) => {
                self.set_alarm(caller, false, &request).await?
            }
            Err(_) => return Err(Status::invalid_argument("etcdserver: unknown alarm action")),
        };
        Ok(Response::new(response))
    }

    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        let view = self.0.view();
        let status = self.0.host.status();
        let mut errors = Vec::new();
        if status.leader.is_none() {
            errors.push("etcdserver: no leader".to_owned());
        }
        for alarm in view.alarms() {
            let name = match alarm.kind {
                AlarmKind::NoSpace => "NOSPACE",
                AlarmKind::Corrupt => "CORRUPT",
            };
            // As Go prints the message: a member that is zero is left out.
            let member = match alarm.member {
                0 => String::new(),
                id => format!("memberID:{id} "),
            };
            errors.push(format!("{member}alarm:{name} "));
        }
        Ok(Response::new(pb::StatusResponse {
            header: self.0.header(view.revision()),
            version: ETCD_VERSION.to_owned(),
            // What is not flushed yet counts as well: the size is never below what is in use.
            db_size: self.0.host.disk_bytes().max(view.size().total) as i64,
            leader: status.leader.map_or(0, |leader| leader.0),
            raft_index: status.last_index,
            raft_term: status.term,
            raft_applied_index: view.applied().0,
            errors,
            db_size_in_use: view.size().live as i64,
            is_learner: self.0.host.is_learner(),
            storage_version: "3.7.0".to_owned(),
            db_size_quota: self.0.limits.quota_bytes.map_or(0, |quota| quota as i64),
            downgrade_info: Some(downgrade::info(&view)),
        }))
    }

    async fn defragment(
        &self,
        _request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        // The engine reclaims space by itself, in small pieces: there is nothing to wait for.
        Ok(Response::new(pb::DefragmentResponse { header: self.0.header(0) }))
    }

    async fn hash(
        &self,
        _request: Request<pb::HashRequest>,
    ) -> Result<Response<pb::HashResponse>, Status> {
        let view = self.0.view();
        let revision = view.revision();
        let hash = tokio::task::spawn_blocking(move || view.hash()).await;
        let hash = hash.map_err(|error| Status::internal(error.to_string()))?;
        let hash = hash.map_err(unreadable)?;
        Ok(Response::new(pb::HashResponse { header: self.0.header(revision), hash }))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        let asked = request.into_inner().revision;
        let view = self.0.view();
        let revision = view.revision();
        // It walks the whole state: not on a thread that serves clients.
        let hash = tokio::task::spawn_blocking(move || view.hash_kv(asked)).await;
        let hash = hash.map_err(|error| Status::internal(error.to_string()))?;
        let hash = hash.map_err(unreadable)?;
        Ok(Response::new(pb::HashKvResponse {
            header: self.0.header(revision),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.hash_revision,
        }))
    }

    type SnapshotStream = ReceiverStream<Result<pb::SnapshotResponse, Status>>;

    async fn snapshot(
        &self,
        _request: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let view = self.0.linearizable().await?;
        let header = self.0.header(view.revision());
        let (sender, receiver) = tokio::sync::mpsc::channel(SNAPSHOT_BUFFER);
        tokio::task::spawn_blocking(move || {
            let send = |blob: bytes::Bytes, remaining_bytes: u64| {
                let version = ETCD_VERSION.to_owned();
                let part = pb::SnapshotResponse { header, remaining_bytes, blob, version };
                sender.blocking_send(Ok(part)).map_err(|_| ())
            };
            if let Err(backup::Stopped::State(why)) = backup::write(&view, send) {
                // The reader may be gone as well; then nobody needs to know.
                let _ = sender.blocking_send(Err(Status::internal(why)));
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        let target = NodeId(request.into_inner().target_id);
        let me = NodeId(self.0.host.member_id());
        if self.0.host.status().leader != Some(me) {
            return Err(errors::not_leader());
        }
        if target == me || !self.0.host.is_voter(target) {
            return Err(errors::bad_leader_transferee());
        }
        let moved = self.0.host.transfer(target).await;
        moved.map_err(|failure| errors::failed(&failure))?;
        let header = self.0.header(self.0.view().revision());
        Ok(Response::new(pb::MoveLeaderResponse { header }))
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        let caller = self.0.caller(&request)?;
        downgrade::answer(&self.0, caller, request.into_inner()).await.map(Response::new)
    }
}
