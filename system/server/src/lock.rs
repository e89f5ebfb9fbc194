//! `v3lockpb.Lock` (contract items 61 and 62): see [`crate::line`] for how a line works.
//!
//! The answer to `Lock` names the key that exists for as long as the lock is held. Its create
//! revision is the *fencing token*: it only grows from holder to holder, so whoever guards a
//! resource can refuse the one before. The answer's metadata carries it ready for use, as
//! `quorate-fence: NAME:TOKEN` (see `docs/fencing.md`); a client that does not look at metadata
//! reads the key.

use crate::line::{self, Claim, Place, Session};
use crate::service::Service;
use crate::{errors, fence, leader_watch};
use bytes::Bytes;
use quorate_store::{Action, Answer, Caller, Delete, KeyRange, Txn, TxnOp};
use quorate_wire::etcd::v3lockpb::lock_server::Lock;
use quorate_wire::etcd::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct LockService(pub Arc<Service>);

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let claim = Claim::of(&self.0, &request)?;
        let (service, request) = (self.0.clone(), request.into_inner());
        line::to_the_end(|gone| lock(service, claim, request, gone)).await
    }

    async fn unlock(
        &self,
        request: Request<UnlockRequest>,
    ) -> Result<Response<UnlockResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = self.0.caller(&request)?;
        let key = request.into_inner().key;
        if key.is_empty() {
            return Err(errors::empty_key());
        }
        let delete = Delete { range: KeyRange::single(key), prev_kv: false };
        let outcome = self.0.write(caller, Action::Delete(delete)).await?;
        match crate::kv::settled(outcome)? {
            (Answer::Delete { .. }, revision) => {
                Ok(Response::new(UnlockResponse { header: self.0.header(revision) }))
            }
            (other, _) => Err(Status::internal(format!("a delete answered {other:?}"))),
        }
    }
}

async fn lock(
    service: Arc<Service>,
    mut claim: Claim,
    request: LockRequest,
    mut gone: line::Gone,
) -> Result<Response<LockResponse>, Status> {
    let caller = claim.caller.clone();
    let session = Session::of(&service, &caller, request.lease).await?;
    let (place, owner, revision) = stand_in_line(&service, caller, &request.name, session).await?;
    let revision = if owner == place.created && gone.try_recv().is_err_and(is_here) {
        revision
    } else {
        let lost = errors::session_expired;
        line::wait(&service, &mut claim, &place, &mut gone, lost).await?.revision()
    };
    let header = service.header(revision);
    let answer = LockResponse { header, key: place.key };
    Ok(fence::with_token(answer, &request.name, place.created))
}

fn is_here(error: tokio::sync::oneshot::error::TryRecvError) -> bool {
    error == tokio::sync::oneshot::error::TryRecvError::Empty
}

/// Puts the caller's key, unless this lease stands there already, and tells whose the lock is: its
/// create revision. One write when nobody else wants the lock.
async fn stand_in_line(
    service: &Service,
    caller: Caller,
    name: &[u8],
    session: Session,
) -> Result<(Place, i64, i64), Status> {
    let (line, key) = (line::line(name), line::key_of(name, session.lease));
    let owner = || TxnOp::Range(line::first(&line));
    let ran = line::run(
        service,
        &caller,
        Txn {
            compares: vec![line::created_at(&key, 0)],
            success: vec![line::put(&key, Bytes::new(), session.lease), owner()],
            failure: vec![TxnOp::Range(line::one(&key)), owner()],
        },
    )
    .await?;
    let created_of = |pairs: Option<&Vec<quorate_store::KeyValue>>| {
        pairs.and_then(|pairs| pairs.first()).map_or(0, |pair| pair.create_revision)
    };
    let created = if ran.succeeded { ran.revision } else { created_of(ran.ranges.first()) };
    let place = Place { line, key, created, session, caller };
    Ok((place, created_of(ran.ranges.last()), ran.revision))
}
