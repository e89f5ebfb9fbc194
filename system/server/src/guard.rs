//! `quorate.v1.Guard`: prefixes that need the token of a lock to be written.

use crate::caller::Known;
use crate::kv::{settled, unreadable};
use crate::service::Service;
use crate::{errors, leader_watch, line};
use quorate_store::{Action, Answer, GuardChange, KeyRange};
use quorate_wire::native::v1::guard_server::Guard;
use quorate_wire::native::v1::{
    GuardListRequest, GuardListResponse, GuardRemoveRequest, GuardRemoveResponse, GuardSetRequest,
    GuardSetResponse, Guarded,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct GuardService(pub Arc<Service>);

impl GuardService {
    /// Puts a change through the log; the revision for the header.
    async fn change<T>(&self, request: &Request<T>, change: GuardChange) -> Result<i64, Status> {
        let caller = self.0.caller(request)?;
        match settled(self.0.write(caller, Action::Guard(change)).await?)? {
            (Answer::Guard, revision) => Ok(revision),
            (other, _) => Err(Status::internal(format!("a guard answered {other:?}"))),
        }
    }
}

fn check_name(bytes: &[u8]) -> Result<(), Status> {
    // A key under it has at least one byte more.
    let limit = quorate_store::MAX_KEY_BYTES - 1;
    if bytes.len() > limit { Err(errors::key_too_long(bytes.len(), limit)) } else { Ok(()) }
}

#[tonic::async_trait]
impl Guard for GuardService {
    async fn set(
        &self,
        request: Request<GuardSetRequest>,
    ) -> Result<Response<GuardSetResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let GuardSetRequest { prefix, lock } = request.get_ref().clone();
        if lock.is_empty() {
            return Err(errors::empty_lock());
        }
        check_name(&prefix)?;
        check_name(&lock)?;
        let revision = self.change(&request, GuardChange::Set { prefix, lock }).await?;
        Ok(Response::new(GuardSetResponse { header: self.0.header(revision) }))
    }

    async fn remove(
        &self,
        request: Request<GuardRemoveRequest>,
    ) -> Result<Response<GuardRemoveResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let prefix = request.get_ref().prefix.clone();
        let revision = self.change(&request, GuardChange::Remove { prefix }).await?;
        Ok(Response::new(GuardRemoveResponse { header: self.0.header(revision) }))
    }

    async fn list(
        &self,
        request: Request<GuardListRequest>,
    ) -> Result<Response<GuardListResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let known = Known::of(&request);
        let view = self.0.linearizable().await?;
        let mut guards = Vec::with_capacity(view.guards().len());
        for (prefix, lock) in view.guards() {
            // Who holds a lock is the business of those who may read what it guards.
            let range = KeyRange::prefix(prefix.clone());
            if !self.0.sees(&known, &view, (&range).into()) {
                continue;
            }
            let line = view.range(&line::first(&line::line(lock))).map_err(unreadable)?;
            let holder = line.kvs.into_iter().next().unwrap_or_default();
            guards.push(Guarded {
                prefix: prefix.clone(),
                lock: lock.clone(),
                token: holder.create_revision,
                holder: holder.key,
            });
        }
        Ok(Response::new(GuardListResponse { header: self.0.header(view.revision()), guards }))
    }
}
