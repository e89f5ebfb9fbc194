//! One side: sends a request in its own numbers and returns the answer, masked.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use quorate_wire::etcd::etcdserverpb::lease_client::LeaseClient;
use quorate_wire::etcd::etcdserverpb::watch_request::RequestUnion;
use quorate_wire::etcd::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest,
    RangeResponse, ResponseHeader, WatchCancelRequest, WatchProgressRequest,
};
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::op::{Op, STREAMS};
use super::server::{Failure, Server};
use super::translate::Numbers;
use super::watching::{Stream, lock};

/// An answer, ready to be compared.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// All of it, one field a line.
    pub text: String,
    /// Whether it is an error.
    pub refused: bool,
    /// The header's revision, in the episode's numbers; 0 where there is none.
    pub revision: i64,
}

/// One of the two.
pub struct Side {
    /// The process.
    pub server: Server,
    numbers: Arc<Mutex<Numbers>>,
    /// Its streams of watchers, once they are open.
    pub streams: [Option<Stream>; STREAMS],
}

impl Side {
    /// A side that has not begun an episode yet.
    pub fn new(server: Server) -> Side {
        Side { server, numbers: Arc::default(), streams: [None, None] }
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.server.channel.clone())
    }

    fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.server.channel.clone())
    }

    /// Empties the store and begins to count anew.
    pub async fn begin(&mut self) -> Result<(), Failure> {
        self.streams = [None, None];
        let base = self.empty().await.map_err(|status| {
            Failure::Server(format!("{}: cannot empty the store: {status}", self.server.name))
        })?;
        self.numbers = Arc::new(Mutex::new(Numbers { base, ..Numbers::default() }));
        Ok(())
    }

    /// Revokes every lease, deletes every key, compacts everything; returns the revision.
    async fn empty(&self) -> Result<i64, Status> {
        let leases = self.lease().lease_leases(LeaseLeasesRequest {}).await?.into_inner();
        for lease in leases.leases {
            self.lease().lease_revoke(LeaseRevokeRequest { id: lease.id }).await?;
        }
        // The put is for a store that is empty already: a compaction needs a revision that is not compacted yet.
        let put = PutRequest { key: "episode".into(), ..PutRequest::default() };
        self.kv().put(put).await?;
        let all = Bytes::from_static(b"\0");
        let delete = DeleteRangeRequest { key: all.clone(), range_end: all, prev_kv: false };
        let answer = self.kv().delete_range(delete).await?.into_inner();
        let revision = answer.header.unwrap_or_default().revision;
        self.kv().compact(CompactionRequest { revision, physical: true }).await?;
        Ok(revision)
    }

    /// Sends one request. The answer to a request about watchers is what the streams are told, so it is empty here.
    pub async fn send(&mut self, op: &Op) -> Answer {
        let numbers = lock(&self.numbers).clone();
        match op {
            Op::Range(request) => self.range(&numbers, request.clone()).await,
            Op::RangeStream(request) => self.range_stream(&numbers, request.clone()).await,
            Op::Put(request) => {
                let mut request = request.clone();
                numbers.put_out(&mut request);
                answer(self.kv().put(request).await, |a| (numbers.put_in(a), a.header).1)
            }
            Op::Delete(request) => {
                let result = self.kv().delete_range(request.clone()).await;
                answer(result, |a| (numbers.delete_in(a), a.header).1)
            }
            Op::Txn(request) => {
                let mut request = request.clone();
                numbers.txn_out(&mut request);
                answer(self.kv().txn(request).await, |a| (numbers.txn_in(a), a.header).1)
            }
            Op::Compact(request) => {
                let revision = numbers.revision_out(request.revision);
                let request = CompactionRequest { revision, ..*request };
                let result = self.kv().compact(request).await;
                answer(result, |a| (numbers.header_in(&mut a.header), a.header).1)
            }
            Op::Grant { request, lease } => self.grant(&numbers, *request, *lease).await,
            Op::GrantShort(ttl) => self.grant_short(&numbers, *ttl).await,
            Op::Revoke(id) => {
                let request = LeaseRevokeRequest { id: numbers.lease_out(*id) };
                let result = self.lease().lease_revoke(request).await;
                answer(result, |a| (numbers.header_in(&mut a.header), a.header).1)
            }
            Op::TimeToLive(request) => {
                let id = numbers.lease_out(request.id);
                let request = LeaseTimeToLiveRequest { id, ..*request };
                let result = self.lease().lease_time_to_live(request).await;
                answer(result, |a| (numbers.time_to_live_in(a), a.header).1)
            }
            Op::Leases => {
                let result = self.lease().lease_leases(LeaseLeasesRequest {}).await;
                answer(result, |a| {
                    a.leases.iter_mut().for_each(|lease| lease.id = numbers.lease_in(lease.id));
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            Op::KeepAlive(id) => self.keep_alive(&numbers, *id).await,
            Op::Watch(stream, request) => {
                let mut request = request.clone();
                request.start_revision = numbers.revision_out(request.start_revision);
                self.tell(*stream, RequestUnion::CreateRequest(request)).await
            }
            Op::Cancel(stream, watch_id) => {
                let request = WatchCancelRequest { watch_id: *watch_id };
                self.tell(*stream, RequestUnion::CancelRequest(request)).await
            }
            Op::Progress(stream) => {
                self.tell(*stream, RequestUnion::ProgressRequest(WatchProgressRequest {})).await
            }
        }
    }

    async fn range(&self, numbers: &Numbers, mut request: RangeRequest) -> Answer {
        numbers.range_out(&mut request);
        answer(self.kv().range(request).await, |a| (numbers.range_in(a), a.header).1)
    }

    /// A stream of ranges as one answer: pairs in a row, and of everything else the last that was said.
    async fn range_stream(&self, numbers: &Numbers, mut request: RangeRequest) -> Answer {
        numbers.range_out(&mut request);
        let whole = async {
            let mut pieces = self.kv().range_stream(request).await?.into_inner();
            let mut whole = RangeResponse::default();
            while let Some(piece) = pieces.message().await? {
                let mut piece = piece.range_response.unwrap_or_default();
                whole.kvs.append(&mut piece.kvs);
                whole.header = piece.header.or(whole.header);
                whole.more = piece.more;
                whole.count = piece.count.max(whole.count);
            }
            Ok(Response::new(whole))
        };
        answer(whole.await, |a| (numbers.range_in(a), a.header).1)
    }

    async fn grant(&self, numbers: &Numbers, request: LeaseGrantRequest, name: i64) -> Answer {
        let id = numbers.lease_out(request.id);
        let result = self.lease().lease_grant(LeaseGrantRequest { id, ..request }).await;
        if let Ok(granted) = &result
            && request.id == 0
        {
            lock(&self.numbers).chosen.insert(name, granted.get_ref().id);
        }
        let numbers = lock(&self.numbers).clone();
        answer(result, |a| {
            a.id = numbers.lease_in(a.id);
            numbers.header_in(&mut a.header);
            a.header
        })
    }

    async fn grant_short(&self, numbers: &Numbers, ttl: i64) -> Answer {
        let result = self.lease().lease_grant(LeaseGrantRequest { ttl, id: 0 }).await;
        if let Ok(granted) = &result {
            let id = granted.get_ref().id;
            if let Err(status) = self.lease().lease_revoke(LeaseRevokeRequest { id }).await {
                return refusal(&status);
            }
        }
        answer(result, |a| {
            a.id = 0;
            numbers.header_in(&mut a.header);
            a.header
        })
    }

    async fn keep_alive(&self, numbers: &Numbers, id: i64) -> Answer {
        let request = LeaseKeepAliveRequest { id: numbers.lease_out(id) };
        let renewed = async {
            let stream = tokio_stream::once(request);
            let mut answers = self.lease().lease_keep_alive(stream).await?.into_inner();
            let answer = answers.message().await?;
            answer.map(Response::new).ok_or_else(|| Status::cancelled("no answer"))
        };
        answer(renewed.await, |a| {
            a.id = numbers.lease_in(a.id);
            numbers.header_in(&mut a.header);
            a.header
        })
    }

    /// Sends a request about watchers, over a stream that is opened by the first one.
    async fn tell(&mut self, stream: usize, request: RequestUnion) -> Answer {
        match &self.streams[stream] {
            Some(stream) => stream.send(request).await,
            None => {
                let channel = self.server.channel.clone();
                let numbers = Arc::clone(&self.numbers);
                self.streams[stream] = Some(Stream::open(channel, numbers, request).await);
            }
        }
        Answer { text: String::new(), refused: false, revision: 0 }
    }
}

/// Masks a result with `mask`, which returns the header, and writes it out.
fn answer<T: Debug>(
    result: Result<Response<T>, Status>,
    mask: impl FnOnce(&mut T) -> Option<ResponseHeader>,
) -> Answer {
    match result {
        Ok(response) => {
            let mut response = response.into_inner();
            let header = mask(&mut response);
            let revision = header.unwrap_or_default().revision;
            Answer { text: format!("{response:#?}"), refused: false, revision }
        }
        Err(status) => refusal(&status),
    }
}

fn refusal(status: &Status) -> Answer {
    let text = format!("{:?}: {}", status.code(), status.message());
    Answer { text, refused: true, revision: 0 }
}
