//! `v3electionpb.Election` (contract item 63): see [`crate::line`] for how a line works.
//!
//! The elected is the first in line; what it says of itself is the value of its key. Its proof is
//! the key with its create revision, and proclaiming and resigning are transactions on that: one
//! that was elected before changes nothing. A campaign whose key has gone while it waited is told
//! so ("election: not leader"), where etcd would congratulate it.

use crate::caller::Known;
use crate::follow::{Follow, News};
use crate::kv::unreadable;
use crate::line::{self, Claim, Place, Session};
use crate::service::Service;
use crate::standing::Standing;
use crate::{convert, errors, fence, leader_watch};
use bytes::Bytes;
use quorate_store::{Caller, KeyRange, KeyValue, Txn, TxnOp};
use quorate_wire::etcd::v3electionpb::election_server::Election;
use quorate_wire::etcd::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse,
};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

/// The service.
pub struct ElectionService(pub Arc<Service>);

#[tonic::async_trait]
impl Election for ElectionService {
    async fn campaign(
        &self,
        request: Request<CampaignRequest>,
    ) -> Result<Response<CampaignResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let claim = Claim::of(&self.0, &request)?;
        let (service, request) = (self.0.clone(), request.into_inner());
        line::to_the_end(|gone| campaign(service, claim, request, gone)).await
    }

    async fn proclaim(
        &self,
        request: Request<ProclaimRequest>,
    ) -> Result<Response<ProclaimResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = self.0.caller(&request)?;
        let ProclaimRequest { leader, value } = request.into_inner();
        let leader = leader.ok_or_else(errors::leader_key_missing)?;
        let session = Session::of(&self.0, &caller, leader.lease).await?;
        let revision = proclaim(&self.0, &proven(leader, session, caller), value).await?;
        Ok(Response::new(ProclaimResponse { header: self.0.header(revision) }))
    }

    async fn leader(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<LeaderResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let known = Known::of(&request);
        let line = line::line(&request.into_inner().name);
        let view = self.0.linearizable().await?;
        self.0.may_read(&known, &view, (&line).into())?;
        let elected = view.range(&line::first(&line)).map_err(unreadable)?.kvs.into_iter().next();
        let elected = elected.ok_or_else(errors::nobody_elected)?;
        Ok(Response::new(told(&self.0, elected, view.revision())))
    }

    type ObserveStream = Pin<Box<dyn Stream<Item = Result<LeaderResponse, Status>> + Send>>;

    async fn observe(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let led = leader_watch::while_led(&self.0, request.metadata())?;
        let known = Known::of(&request);
        let line = line::line(&request.into_inner().name);
        let view = self.0.linearizable().await?;
        self.0.may_read(&known, &view, (&line).into())?;
        let (answers, receiver) = mpsc::channel(1);
        let service = self.0.clone();
        let standing = Standing::of(known, &view);
        let mut observer = Observer { standing, line, answers: answers.clone() };
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = observer.observe(&service) => ended,
                () = answers.closed() => return,
            };
            if let Err(error) = ended {
                // An observer that has gone away needs no reason.
                let _ = answers.send(Err(error)).await;
            }
        });
        Ok(Response::new(leader_watch::guard(ReceiverStream::new(receiver), led)))
    }

    async fn resign(
        &self,
        request: Request<ResignRequest>,
    ) -> Result<Response<ResignResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = self.0.caller(&request)?;
        let leader = request.into_inner().leader.ok_or_else(errors::leader_key_missing)?;
        let session = Session { lease: leader.lease, ours: false };
        let place = proven(leader, session, caller);
        let revision = line::leave(&self.0, &place).await?.revision;
        Ok(Response::new(ResignResponse { header: self.0.header(revision) }))
    }
}

fn told(service: &Service, elected: KeyValue, revision: i64) -> LeaderResponse {
    let kv = Some(convert::key_value(elected));
    LeaderResponse { header: service.header(revision), kv }
}

/// The place that the caller says it has.
fn proven(leader: LeaderKey, session: Session, caller: Caller) -> Place {
    let line = line::line(&leader.name);
    Place { line, key: leader.key, created: leader.rev, session, caller }
}

/// Changes the value of the place's key, if it is still the same one.
async fn proclaim(service: &Service, place: &Place, value: Bytes) -> Result<i64, Status> {
    let compares = vec![line::created_at(&place.key, place.created)];
    let success = vec![line::put(&place.key, value, place.session.lease)];
    let txn = Txn { compares, success, failure: Vec::new() };
    let ran = line::run(service, &place.caller, txn).await?;
    if ran.succeeded { Ok(ran.revision) } else { Err(errors::not_elected()) }
}

async fn campaign(
    service: Arc<Service>,
    mut claim: Claim,
    request: CampaignRequest,
    mut gone: line::Gone,
) -> Result<Response<CampaignResponse>, Status> {
    let CampaignRequest { name, lease, value } = request;
    let caller = claim.caller.clone();
    let session = Session::of(&service, &caller, lease).await?;
    let key = line::key_of(&name, session.lease);
    let ran = line::run(
        &service,
        &caller,
        Txn {
            compares: vec![line::created_at(&key, 0)],
            success: vec![line::put(&key, value.clone(), session.lease)],
            failure: vec![TxnOp::Range(line::one(&key))],
        },
    )
    .await?;
    // This lease may stand there already, perhaps with another value.
    let known = ran.ranges.into_iter().flatten().next();
    let created = known.as_ref().map_or(ran.revision, |pair| pair.create_revision);
    let place = Place { line: line::line(&name), key: key.clone(), created, session, caller };
    if known.is_some_and(|pair| pair.value != value)
        && let Err(error) = proclaim(&service, &place, value).await
    {
        line::give_up(&service, &place).await;
        return Err(error);
    }
    line::wait(&service, &mut claim, &place, &mut gone, errors::not_elected).await?;
    let leader = LeaderKey { name: name.clone(), key, rev: created, lease: session.lease };
    let header = service.header(ran.revision);
    let answer = CampaignResponse { header, leader: Some(leader) };
    Ok(fence::with_token(answer, &name, created))
}

/// Somebody who wants to hear who is elected.
struct Observer {
    standing: Standing,
    line: KeyRange,
    answers: mpsc::Sender<Result<LeaderResponse, Status>>,
}

impl Observer {
    /// Tells who is elected, what it proclaims, and who comes after it, until the observer goes.
    async fn observe(&mut self, service: &Arc<Service>) -> Result<(), Status> {
        loop {
            let view = service.linearizable().await?;
            let first = line::first(&self.line);
            let elected = view.range(&first).map_err(unreadable)?.kvs.into_iter().next();
            let (elected, revision) = match elected {
                Some(elected) => (elected, view.revision()),
                None => match next_candidate(service, &self.line, view.revision()).await? {
                    Some(candidate) => candidate,
                    None => continue,
                },
            };
            let line = KeyRange::single(elected.key.clone());
            let mut follow = Follow::after(service, [line], revision);
            if !self.tell(service, elected, revision).await?
                || !self.tell_proclamations(service, &mut follow).await?
            {
                return Ok(());
            }
        }
    }

    /// Until the elected's key is deleted. False when the observer has gone.
    async fn tell_proclamations(
        &mut self,
        service: &Service,
        follow: &mut Follow,
    ) -> Result<bool, Status> {
        loop {
            let News::Events { events, revision } = follow.next().await? else { return Ok(true) };
            for delivery in &events {
                let event = delivery.encoded.event();
                if event.delete {
                    return Ok(true);
                }
                if !self.tell(service, event.kv.clone(), revision).await? {
                    return Ok(false);
                }
            }
        }
    }

    /// Tells one thing, if the observer may still hear it. False when it has gone.
    async fn tell(
        &mut self,
        service: &Service,
        elected: KeyValue,
        revision: i64,
    ) -> Result<bool, Status> {
        // Room first: what is judged is told at once.
        let Ok(place) = self.answers.reserve().await else { return Ok(false) };
        self.standing.may_read(service, &service.view(), (&self.line).into())?;
        place.send(Ok(told(service, elected, revision)));
        Ok(true)
    }
}

/// The first put into an empty line, with its revision; `None` if it cannot be told any more.
async fn next_candidate(
    service: &Arc<Service>,
    line: &KeyRange,
    revision: i64,
) -> Result<Option<(KeyValue, i64)>, Status> {
    let mut follow = Follow::after(service, [line.clone()], revision);
    loop {
        let News::Events { events, .. } = follow.next().await? else { return Ok(None) };
        let puts = events.iter().map(|delivery| delivery.encoded.event());
        if let Some(put) = puts.into_iter().find(|event| !event.delete) {
            return Ok(Some((put.kv.clone(), put.kv.mod_revision)));
        }
    }
}
