//! Locks and elections as a client keeps them: etcd's recipe, in the same keys.
//!
//! A line is all keys under `NAME/`; whoever stands there longest is first, and the first holds the lock or the office.
//! Each waits for the one before it with a watcher that outlives connections, so a wait survives the member that it began
//! with (a call of the Lock service does not). Everybody who uses the recipe or the service stands in the same line.
//!
//! The create revision of the first key is the fencing token: it grows from holder to holder. Send it with every write
//! ([`crate::Options::fences`]) under a prefix that the lock guards, and the cluster refuses what comes too late.

use bytes::Bytes;
use quorate_wire::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_wire::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_wire::etcd::etcdserverpb::request_op::Request;
use quorate_wire::etcd::etcdserverpb::response_op::Response;
use quorate_wire::etcd::etcdserverpb::watch_create_request::FilterType;
use quorate_wire::etcd::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse, WatchCreateRequest,
};
use quorate_wire::etcd::mvccpb::KeyValue;
use quorate_wire::etcd::mvccpb::event::EventType;
use tonic::Code;

use crate::{Client, Error, prefix_end};

/// A place in line. It lasts until [`Place::leave`], or until its lease ends.
#[derive(Debug, Clone)]
pub struct Place {
    client: Client,
    prefix: Vec<u8>,
    key: Bytes,
    token: i64,
    revision: i64,
    is_first: bool,
}

impl Client {
    /// Stands in line for the lock or the office called `name`, with a key that `lease` bounds. A lease that stands there
    /// already keeps its place.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn stand_in_line(
        &self,
        name: &[u8],
        lease: i64,
        value: impl Into<Bytes>,
    ) -> Result<Place, Error> {
        let prefix = [name, b"/"].concat();
        let sign = if lease < 0 { "-" } else { "" };
        let key = [name, format!("/{sign}{:x}", lease.unsigned_abs()).as_bytes()].concat();
        let (key, value) = (Bytes::from(key), value.into());
        let put = PutRequest { key: key.clone(), value, lease, ..PutRequest::default() };
        let owner = || op(Request::RequestRange(first(&prefix)));
        let mine = op(Request::RequestRange(one(&key)));
        let answer = self
            .txn(TxnRequest {
                compare: vec![created_at(&key, 0)],
                success: vec![op(Request::RequestPut(put)), owner()],
                failure: vec![mine, owner()],
            })
            .await?;
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        let created = |at| range_at(&answer, at).map_or(0, |pair| pair.create_revision);
        let token = if answer.succeeded { revision } else { created(0) };
        let is_first = created(1) == token;
        Ok(Place { client: self.clone(), prefix, key, token, revision, is_first })
    }

    /// Who is first in the line called `name`, with the header of that moment.
    ///
    /// # Errors
    /// Any [`Error`]; nobody in line is no error but an answer without pairs.
    pub async fn first_in_line(&self, name: &[u8]) -> Result<RangeResponse, Error> {
        self.range(first(&[name, b"/"].concat())).await
    }
}

impl Place {
    /// The key of this place.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// The fencing token: the revision that created the key.
    #[must_use]
    pub fn token(&self) -> i64 {
        self.token
    }

    /// The revision at which this place was known to be the first; before [`Place::wait`], the one at which it was taken.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Waits until this place is the first. May be dropped; the place stays.
    ///
    /// # Errors
    /// The text `mutex: session is expired` when the key has gone: its lease ended. Any other [`Error`].
    pub async fn wait(&mut self) -> Result<(), Error> {
        if self.is_first {
            return Ok(());
        }
        while let Some((before, revision)) = self.one_before().await? {
            self.until_deleted(&before, revision).await?;
        }
        let answer = self.client.range(one(&self.key)).await?;
        if !answer.kvs.iter().any(|pair| pair.create_revision == self.token) {
            return Err(self.lost());
        }
        self.revision = answer.header.as_ref().map_or(0, |header| header.revision);
        self.is_first = true;
        Ok(())
    }

    /// Gives the place up; if it has gone already, nothing happens.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn leave(&self) -> Result<(), Error> {
        let delete = DeleteRangeRequest { key: self.key.clone(), ..DeleteRangeRequest::default() };
        let txn = TxnRequest {
            compare: vec![created_at(&self.key, self.token)],
            success: vec![op(Request::RequestDeleteRange(delete))],
            failure: Vec::new(),
        };
        self.client.txn(txn).await.map(drop)
    }

    fn lost(&self) -> Error {
        let message = "mutex: session is expired".to_owned();
        Error::Server { code: Code::Unknown, message }
    }

    /// The key directly before this one, and the revision at which it stood there.
    async fn one_before(&self) -> Result<Option<(Bytes, i64)>, Error> {
        let request = RangeRequest {
            sort_order: SortOrder::Descend as i32,
            max_create_revision: self.token - 1,
            ..first(&self.prefix)
        };
        let answer = self.client.range(request).await?;
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        Ok(answer.kvs.into_iter().next().map(|pair| (pair.key, revision)))
    }

    /// Returns when the key before this one was deleted, or this one was.
    async fn until_deleted(&self, before: &Bytes, revision: i64) -> Result<(), Error> {
        let request = WatchCreateRequest {
            key: self.prefix.clone().into(),
            range_end: prefix_end(&self.prefix),
            start_revision: revision + 1,
            filters: vec![FilterType::Noput as i32],
            ..WatchCreateRequest::default()
        };
        let mut watcher = self.client.watch(request).await?;
        while let Some(answer) = watcher.next().await? {
            let mut deleted =
                answer.events.iter().filter(|event| event.r#type() == EventType::Delete);
            let concerns = |key: &Bytes| key == before || *key == self.key;
            if deleted.any(|event| event.kv.as_ref().is_some_and(|pair| concerns(&pair.key))) {
                return Ok(());
            }
        }
        // Compacted: what stands before is asked anew.
        Ok(())
    }
}

fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn one(key: &Bytes) -> RangeRequest {
    RangeRequest { key: key.clone(), ..RangeRequest::default() }
}

fn first(prefix: &[u8]) -> RangeRequest {
    RangeRequest {
        key: prefix.to_vec().into(),
        range_end: prefix_end(prefix),
        limit: 1,
        sort_order: SortOrder::Ascend as i32,
        sort_target: SortTarget::Create as i32,
        ..RangeRequest::default()
    }
}

fn created_at(key: &Bytes, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Create as i32,
        key: key.clone(),
        target_union: Some(TargetUnion::CreateRevision(revision)),
        ..Compare::default()
    }
}

/// The first pair of the range answer at a place. Puts answer no pairs.
fn range_at(answer: &TxnResponse, at: usize) -> Option<&KeyValue> {
    match answer.responses.get(at)?.response.as_ref()? {
        Response::ResponseRange(range) => range.kvs.first(),
        Response::ResponsePut(_) | Response::ResponseDeleteRange(_) | Response::ResponseTxn(_) => {
            None
        }
    }
}
