//! `etcdserverpb.KV`.

use crate::budget::Permit;
use crate::caller::Known;
use crate::large::{Found, TakenWhole};
use crate::service::Service;
use crate::{budget, convert, errors, large, leader_watch, outflow, range_stream};
use bytes::{Bytes, BytesMut};
use quorate_host::View;
use quorate_store::{Action, Answer, Outcome, Range, RangeAnswer, ReadError, Txn, validate};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::kv_server::Kv;
use quorate_wire::range_raw::{RawKv, RawRangeResponse};
use quorate_wire::raw::append_range_kv;
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// The service.
pub struct KvService(pub Arc<Service>);

/// Why a view could not answer.
pub fn unreadable(error: ReadError) -> Status {
    match error {
        ReadError::Store(error) => errors::refused(&error),
        ReadError::Engine(error) => Status::internal(error.to_string()),
    }
}

/// What a command answered, with the header revision after it.
pub fn settled(outcome: Outcome) -> Result<(Answer, i64), Status> {
    let Outcome { revision, result } = outcome;
    result.map(|answer| (answer, revision)).map_err(|error| errors::refused(&error))
}

fn mismatch(answer: &Answer) -> Status {
    Status::internal(format!("the state answered another question: {answer:?}"))
}

impl KvService {
    async fn view_for(&self, serializable: bool) -> Result<Arc<View>, Status> {
        if serializable {
            return Ok(self.0.view());
        }
        if self.0.host.is_learner() {
            return Err(errors::not_for_learners());
        }
        self.0.linearizable().await
    }

    /// Finds the answer to a range; `whole` if it cannot be made while it is taken.
    async fn read(
        &self,
        known: &Known,
        range: &Range,
        serializable: bool,
        whole: bool,
    ) -> Result<(Found, Arc<View>), Status> {
        let view = self.view_for(serializable).await?;
        self.0.may_read(known, &view, (&range.range).into())?;
        self.0.ranges.count();
        let found = large::range(&self.0, &view, range, whole).await?;
        Ok((found, view))
    }

    /// Answers a transaction of reads; aside if it has room because it may be large.
    async fn read_txn(
        &self,
        known: &Known,
        txn: Txn,
        stale: bool,
        permit: &Option<Permit>,
    ) -> Result<pb::TxnResponse, Status> {
        let view = self.view_for(stale).await?;
        self.0.may_read_txn(known, &view, &txn)?;
        let revision = view.revision();
        let read = move || view.read_txn(&txn);
        let answer = match permit {
            None => read(),
            Some(_) => self.0.aside.run(read).await,
        };
        match answer.map_err(unreadable)? {
            Answer::Txn { succeeded, answers } => {
                let header = self.0.header(revision);
                Ok(convert::txn_response(succeeded, answers, revision, header))
            }
            other => Err(mismatch(&other)),
        }
    }
}

/// The pairs as they stand in an answer.
fn encode(kvs: &[quorate_store::KeyValue]) -> Bytes {
    let size = |pair: &quorate_store::KeyValue| pair.key.len() + pair.value.len() + 48;
    let mut pairs = BytesMut::with_capacity(kvs.iter().map(size).sum());
    for pair in kvs {
        append_range_kv(convert::key_value_ref(pair), &mut pairs);
    }
    pairs.freeze()
}

impl RawKv for KvService {
    async fn raw_range(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<RawRangeResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let known = Known::of(&request);
        let whole = request.extensions().get::<TakenWhole>().is_some();
        let request = request.into_inner();
        let serializable = request.serializable;
        let range = convert::range(request)?;
        let (found, view) = self.read(&known, &range, serializable, whole).await?;
        let header = self.0.header(view.revision());
        let flow = match found {
            Found::Small(RangeAnswer { kvs, more, count }) => {
                let head = pb::RangeResponse { header, kvs: Vec::new(), more, count };
                let answer = RawRangeResponse { head, kvs: vec![encode(&kvs)] };
                return Ok(Response::new(answer));
            }
            Found::Large(RangeAnswer { kvs, more, count }, permit) if whole => {
                let head = pb::RangeResponse { header, kvs: Vec::new(), more, count };
                let answer = RawRangeResponse { head, kvs: vec![encode(&kvs)] };
                return Ok(budget::until_sent(Response::new(answer), permit));
            }
            Found::Large(answer, permit) => outflow::of_pairs(header, answer, permit)?,
            Found::Flowing(extent, permit) => {
                outflow::of_view(&self.0, known, view, range, extent, permit)?
            }
        };
        let mut response = Response::new(RawRangeResponse::default());
        response.extensions_mut().insert(flow);
        Ok(response)
    }
}

#[tonic::async_trait]
impl Kv for KvService {
    async fn range(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<pb::RangeResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let known = Known::of(&request);
        let request = request.into_inner();
        let serializable = request.serializable;
        let range = convert::range(request)?;
        let (found, view) = self.read(&known, &range, serializable, true).await?;
        let (answer, permit) = match found {
            Found::Small(answer) => (answer, None),
            Found::Large(answer, permit) => (answer, permit),
            Found::Flowing(..) => unreachable!("it was to be whole"),
        };
        let answer = convert::range_response(answer, self.0.header(view.revision()));
        Ok(budget::until_sent(Response::new(answer), permit))
    }

    type RangeStreamStream = ReceiverStream<Result<pb::RangeStreamResponse, Status>>;

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let known = Known::of(&request);
        let request = request.into_inner();
        let serializable = request.serializable;
        let range = convert::range(request)?;
        range_stream::check(&range)?;
        let view = self.view_for(serializable).await?;
        self.0.may_read(&known, &view, (&range.range).into())?;
        Ok(Response::new(range_stream::open(self.0.clone(), known, range, view)))
    }

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = self.0.caller(&request)?;
        let put = convert::put(request.into_inner())?;
        match settled(self.0.write(caller, Action::Put(put)).await?)? {
            (Answer::Put { prev }, revision) => Ok(Response::new(pb::PutResponse {
                header: self.0.header(revision),
                prev_kv: prev.map(convert::key_value),
            })),
            (other, _) => Err(mismatch(&other)),
        }
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = self.0.caller(&request)?;
        let delete = convert::delete(request.into_inner())?;
        let permit = match delete.prev_kv {
            true => large::room_for_deleted(&self.0, &self.0.view(), &delete.range).await?,
            false => None,
        };
        match settled(self.0.write(caller, Action::Delete(delete)).await?)? {
            (Answer::Delete { deleted, prev }, revision) => {
                let answer = pb::DeleteRangeResponse {
                    header: self.0.header(revision),
                    deleted,
                    prev_kvs: prev.into_iter().map(convert::key_value).collect(),
                };
                Ok(budget::until_sent(Response::new(answer), permit))
            }
            (other, _) => Err(mismatch(&other)),
        }
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let (caller, known) = (self.0.caller(&request)?, Known::of(&request));
        let request = request.into_inner();
        let stale = convert::all_serializable(&request);
        let txn = convert::txn(request, self.0.limits.max_txn_ops)?;
        validate::check_txn(&txn, self.0.limits.max_txn_ops).map_err(|e| errors::invalid(&e))?;
        let permit = large::room_for_txn(&self.0, &self.0.view(), &txn).await?;
        if validate::is_read_only(&txn) {
            let response = Response::new(self.read_txn(&known, txn, stale, &permit).await?);
            return Ok(budget::until_sent(response, permit));
        }
        match settled(self.0.write(caller, Action::Txn(txn)).await?)? {
            (Answer::Txn { succeeded, answers }, revision) => {
                let header = self.0.header(revision);
                let response = convert::txn_response(succeeded, answers, revision, header);
                Ok(budget::until_sent(Response::new(response), permit))
            }
            (other, _) => Err(mismatch(&other)),
        }
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        leader_watch::check(&self.0, request.metadata())?;
        let caller = self.0.caller(&request)?;
        let pb::CompactionRequest { revision, physical } = request.into_inner();
        let compact = Action::Compact { revision };
        let (_, now) = settled(self.0.write(caller, compact).await?)?;
        if physical {
            let done = self.0.host.compaction_done(revision).await;
            done.map_err(|failure| errors::failed(&failure))?;
        }
        Ok(Response::new(pb::CompactionResponse { header: self.0.header(now) }))
    }
}
