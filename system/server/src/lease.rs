//! `etcdserverpb.Lease`.

use crate::caller::Known;
use crate::errors;
use crate::kv::{settled, unreadable};
use crate::leader_watch::{self, while_led};
use crate::service::Service;
use crate::standing::Standing;
use quorate_host::Ask;
use quorate_store::touch::Right;
use quorate_store::{Action, AlarmKind, Answer, Caller, StoreError};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::lease_server::Lease;
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

/// No lease lives longer, in seconds.
const MAX_TTL: i64 = 9_000_000_000;

/// Answers of one keep-alive stream that wait for a slow reader.
const KEEP_ALIVE_BUFFER: usize = 16;

/// The service.
pub struct LeaseService(pub Arc<Service>);

/// Why a lease that would live too long is refused: like etcd, which looks when it applies the grant, for an alarm first.
fn too_large(service: &Service) -> Status {
    let view = service.view();
    let raised = |kind: AlarmKind| view.alarms().iter().any(|alarm| alarm.kind == kind);
    if raised(AlarmKind::Corrupt) {
        errors::refused(&StoreError::Corrupt)
    } else if raised(AlarmKind::NoSpace) {
        errors::refused(&StoreError::NoSpace)
    } else {
        errors::lease_ttl_too_large()
    }
}

#[tonic::async_trait]
impl Lease for LeaseService {
    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = self.0.caller(&request)?;
        let pb::LeaseGrantRequest { ttl, id } = request.into_inner();
        if ttl > MAX_TTL {
            return Err(too_large(&self.0));
        }
        let Granted { id, ttl, revision } = grant(&self.0, &caller, id, ttl).await?;
        let (header, error) = (self.0.header(revision), String::new());
        Ok(Response::new(pb::LeaseGrantResponse { header, id, ttl, error }))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = self.0.caller(&request)?;
        let id = request.into_inner().id;
        let outcome = self.0.write(caller, Action::LeaseRevoke { id, term: None }).await?;
        let (_, revision) = settled(outcome)?;
        Ok(Response::new(pb::LeaseRevokeResponse { header: self.0.header(revision) }))
    }

    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let led = while_led(&self.0, request.metadata())?;
        let mut standing = Standing::of(Known::of(&request), &self.0.view());
        let mut requests = request.into_inner();
        let (answers, receiver) = tokio::sync::mpsc::channel(KEEP_ALIVE_BUFFER);
        let service = self.0.clone();
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let answer = keep_alive(&service, &mut standing, request.id).await;
                let failed = answer.is_err();
                if answers.send(answer).await.is_err() || failed {
                    break;
                }
            }
        });
        Ok(Response::new(leader_watch::guard(ReceiverStream::new(receiver), led)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let known = Known::of(&request);
        let pb::LeaseTimeToLiveRequest { id, keys } = request.into_inner();
        let view = self.0.linearizable().await?;
        if keys {
            self.0.may_lease(&known, &view, id, Right::Read)?;
        }
        let header = self.0.header(view.revision());
        let gone =
            pb::LeaseTimeToLiveResponse { header, id, ttl: -1, granted_ttl: 0, keys: Vec::new() };
        let lease = view.lease(id).map_err(|error| unreadable(error.into()))?;
        let Some(lease) = lease else { return Ok(Response::new(gone)) };
        let asked = self.0.host.ask(Ask::Remaining(id)).await;
        let ttl = asked.map_err(|failure| errors::failed(&failure))?;
        if ttl < 0 {
            return Ok(Response::new(gone));
        }
        let keys = if keys {
            view.lease_keys(id).map_err(|error| unreadable(error.into()))?
        } else {
            Vec::new()
        };
        Ok(Response::new(pb::LeaseTimeToLiveResponse {
            header,
            id,
            ttl,
            granted_ttl: lease.ttl,
            keys,
        }))
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = Known::of(&request);
        let known = self.0.host.leases().await.map_err(|failure| errors::failed(&failure))?;
        let view = self.0.view();
        if view.auth().enabled() {
            let may = |id: &i64| self.0.may_lease(&caller, &view, *id, Right::Read);
            known.iter().try_for_each(may)?;
        }
        let leases = known.into_iter().map(|id| pb::LeaseStatus { id }).collect();
        let header = self.0.header(self.0.view().revision());
        Ok(Response::new(pb::LeaseLeasesResponse { header, leases }))
    }
}

/// A lease that was granted.
pub struct Granted {
    /// Its id.
    pub id: i64,
    /// Seconds that it really has.
    pub ttl: i64,
    /// The revision after the grant, which raises none.
    pub revision: i64,
}

/// Grants a lease. With id 0 this member picks one, and another if that one is taken.
pub async fn grant(
    service: &Service,
    caller: &Caller,
    id: i64,
    ttl: i64,
) -> Result<Granted, Status> {
    let ttl = ttl.max(service.limits.min_lease_ttl);
    loop {
        let chosen = if id == 0 { service.host.random_lease_id() } else { id };
        let outcome = service.write(caller.clone(), Action::LeaseGrant { id: chosen, ttl }).await?;
        if id == 0 && outcome.result == Err(StoreError::LeaseExists) {
            continue;
        }
        return match settled(outcome)? {
            (Answer::LeaseGrant { id, ttl }, revision) => Ok(Granted { id, ttl, revision }),
            (other, _) => Err(Status::internal(format!("a grant answered {other:?}"))),
        };
    }
}

/// One renewal. The header is that of the moment before it (item 56).
async fn keep_alive(
    service: &Service,
    standing: &mut Standing,
    id: i64,
) -> Result<pb::LeaseKeepAliveResponse, Status> {
    standing.may_lease(service, &service.view(), id, Right::Write)?;
    let header = service.header(service.view().revision());
    let asked = service.host.ask(Ask::Renew(id)).await;
    let ttl = asked.map_err(|failure| errors::failed(&failure))?;
    Ok(pb::LeaseKeepAliveResponse { header, id, ttl })
}
