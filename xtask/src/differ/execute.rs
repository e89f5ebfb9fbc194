//! One side: sends a request in its own numbers and returns the answer, masked.

use std::collections::BTreeMap;
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
use quorate_wire::etcd::v3electionpb::LeaderKey;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::access::line;
use super::op::{Caller, MYSELF, Op, Request, STREAMS};
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
    /// The proof of an election that was won.
    pub leader: Option<LeaderKey>,
}

impl Answer {
    /// What stands for a request without an answer of its own.
    pub fn empty() -> Answer {
        Answer::of(String::new())
    }

    /// Words that are not the server's.
    pub fn of(text: String) -> Answer {
        Answer { text, refused: false, revision: 0, leader: None }
    }
}

/// Answers may be so large.
pub const LARGEST: usize = 64 << 20;

/// A connection on which every request carries a token.
pub type Called = InterceptedService<Channel, Token>;

/// Puts a token, if there is one, into a request's metadata.
#[derive(Clone)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

/// One of the two.
pub struct Side {
    /// The process.
    pub server: Server,
    pub(super) numbers: Arc<Mutex<Numbers>>,
    /// The token of each user's last login.
    pub(super) tokens: BTreeMap<String, String>,
    /// Its streams of watchers, once they are open.
    pub streams: [Option<Stream>; STREAMS],
    /// Whether the revisions of answers with events are compared.
    pub headers: bool,
}

impl Side {
    /// A side that has not begun an episode yet.
    pub fn new(server: Server) -> Side {
        Side {
            server,
            numbers: Arc::default(),
            tokens: BTreeMap::new(),
            streams: [None, None],
            headers: false,
        }
    }

    /// The connection, with `caller`'s token on every request.
    pub(super) fn channel(&self, caller: Caller) -> Called {
        let token = match caller {
            Caller::Nobody => None,
            Caller::Liar => Some("nobody.gave.this".to_owned()),
            Caller::User(name) => self.tokens.get(name).cloned(),
        };
        let token = token.and_then(|token| token.parse().ok());
        InterceptedService::new(self.server.channel.clone(), Token(token))
    }

    pub(super) fn kv(&self, caller: Caller) -> KvClient<Called> {
        KvClient::new(self.channel(caller)).max_decoding_message_size(LARGEST)
    }

    fn lease(&self, caller: Caller) -> LeaseClient<Called> {
        LeaseClient::new(self.channel(caller))
    }

    /// Empties the store and begins to count anew.
    pub async fn begin(&mut self) -> Result<(), Failure> {
        self.streams = [None, None];
        let name = self.server.name;
        let failed =
            |status: Status| Failure::Server(format!("{name}: cannot empty the store: {status}"));
        let auth_base = self.forget_people().await.map_err(failed)?;
        let myself = self.forget_members().await.map_err(failed)?;
        let base = self.empty().await.map_err(failed)?;
        let members = BTreeMap::from([(MYSELF, myself)]);
        self.tokens.clear();
        self.numbers =
            Arc::new(Mutex::new(Numbers { base, auth_base, members, ..Numbers::default() }));
        Ok(())
    }

    /// Revokes every lease, deletes every key, compacts everything; returns the revision.
    async fn empty(&self) -> Result<i64, Status> {
        let nobody = Caller::Nobody;
        let leases = self.lease(nobody).lease_leases(LeaseLeasesRequest {}).await?.into_inner();
        for lease in leases.leases {
            self.lease(nobody).lease_revoke(LeaseRevokeRequest { id: lease.id }).await?;
        }
        // The put is for a store that is empty already: a compaction needs a revision that is not compacted yet.
        let put = PutRequest { key: "episode".into(), ..PutRequest::default() };
        self.kv(nobody).put(put).await?;
        let all = Bytes::from_static(b"\0");
        let delete = DeleteRangeRequest { key: all.clone(), range_end: all, prev_kv: false };
        let answer = self.kv(nobody).delete_range(delete).await?.into_inner();
        let revision = answer.header.unwrap_or_default().revision;
        self.kv(nobody).compact(CompactionRequest { revision, physical: true }).await?;
        Ok(revision)
    }

    /// Sends one request. The answer to a request about watchers is what the streams are told, so it is empty here.
    pub async fn send(&mut self, request: &Request) -> Answer {
        let numbers = lock(&self.numbers).clone();
        let caller = request.caller;
        match &request.op {
            Op::Range(request) => self.range(caller, &numbers, request.clone()).await,
            Op::RangeStream(request) => self.range_stream(caller, &numbers, request.clone()).await,
            Op::Put(request) => {
                let mut request = request.clone();
                numbers.put_out(&mut request);
                answer(self.kv(caller).put(request).await, |a| (numbers.put_in(a), a.header).1)
            }
            Op::Delete(request) => {
                let result = self.kv(caller).delete_range(request.clone()).await;
                answer(result, |a| (numbers.delete_in(a), a.header).1)
            }
            Op::Txn(request) => {
                let mut request = request.clone();
                numbers.txn_out(&mut request);
                answer(self.kv(caller).txn(request).await, |a| (numbers.txn_in(a), a.header).1)
            }
            Op::Compact(request) => {
                let revision = numbers.revision_out(request.revision);
                let request = CompactionRequest { revision, ..*request };
                let result = self.kv(caller).compact(request).await;
                answer(result, |a| (numbers.header_in(&mut a.header), a.header).1)
            }
            Op::Grant { request, lease } => self.grant(caller, &numbers, *request, *lease).await,
            Op::GrantShort(ttl) => self.grant_short(caller, &numbers, *ttl).await,
            Op::Revoke(id) => {
                let request = LeaseRevokeRequest { id: numbers.lease_out(*id) };
                let result = self.lease(caller).lease_revoke(request).await;
                answer(result, |a| (numbers.header_in(&mut a.header), a.header).1)
            }
            Op::TimeToLive(request) => {
                let id = numbers.lease_out(request.id);
                let request = LeaseTimeToLiveRequest { id, ..*request };
                let result = self.lease(caller).lease_time_to_live(request).await;
                answer(result, |a| (numbers.time_to_live_in(a), a.header).1)
            }
            Op::Leases => {
                let result = self.lease(caller).lease_leases(LeaseLeasesRequest {}).await;
                answer(result, |a| {
                    a.leases.iter_mut().for_each(|lease| lease.id = numbers.lease_in(lease.id));
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            Op::KeepAlive(id) => self.keep_alive(caller, &numbers, *id).await,
            Op::Watch(stream, request) => {
                let mut request = request.clone();
                request.start_revision = numbers.revision_out(request.start_revision);
                self.tell(caller, *stream, RequestUnion::CreateRequest(request)).await
            }
            Op::Cancel(stream, watch_id) => {
                let request = WatchCancelRequest { watch_id: *watch_id };
                self.tell(caller, *stream, RequestUnion::CancelRequest(request)).await
            }
            Op::Progress(stream) => {
                let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
                self.tell(caller, *stream, request).await
            }
            Op::Auth(op) => self.auth(caller, &numbers, op).await,
            Op::Line(op) => line(self.channel(caller), numbers, op.clone()).await,
            Op::Cluster(op) => self.cluster(caller, &numbers, op).await,
        }
    }

    async fn range(&self, caller: Caller, numbers: &Numbers, mut request: RangeRequest) -> Answer {
        numbers.range_out(&mut request);
        answer(self.kv(caller).range(request).await, |a| (numbers.range_in(a), a.header).1)
    }

    /// A stream of ranges as one answer: pairs in a row, and of everything else the last that was said.
    async fn range_stream(
        &self,
        caller: Caller,
        numbers: &Numbers,
        mut request: RangeRequest,
    ) -> Answer {
        numbers.range_out(&mut request);
        let whole = async {
            let mut pieces = self.kv(caller).range_stream(request).await?.into_inner();
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

    async fn grant(
        &self,
        caller: Caller,
        numbers: &Numbers,
        request: LeaseGrantRequest,
        name: i64,
    ) -> Answer {
        let id = numbers.lease_out(request.id);
        let result = self.lease(caller).lease_grant(LeaseGrantRequest { id, ..request }).await;
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

    async fn grant_short(&self, caller: Caller, numbers: &Numbers, ttl: i64) -> Answer {
        let result = self.lease(caller).lease_grant(LeaseGrantRequest { ttl, id: 0 }).await;
        if let Ok(granted) = &result {
            let id = granted.get_ref().id;
            if let Err(status) = self.lease(caller).lease_revoke(LeaseRevokeRequest { id }).await {
                return refusal(&status);
            }
        }
        answer(result, |a| {
            a.id = 0;
            numbers.header_in(&mut a.header);
            a.header
        })
    }

    async fn keep_alive(&self, caller: Caller, numbers: &Numbers, id: i64) -> Answer {
        let request = LeaseKeepAliveRequest { id: numbers.lease_out(id) };
        let renewed = async {
            let stream = tokio_stream::once(request);
            let mut answers = self.lease(caller).lease_keep_alive(stream).await?.into_inner();
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
    async fn tell(&mut self, caller: Caller, stream: usize, request: RequestUnion) -> Answer {
        match &self.streams[stream] {
            Some(stream) => stream.send(request).await,
            None => {
                let channel = self.channel(caller);
                let numbers = Arc::clone(&self.numbers);
                self.streams[stream] =
                    Some(Stream::open(channel, numbers, self.headers, request).await);
            }
        }
        Answer::empty()
    }
}

/// Masks a result with `mask`, which returns the header, and writes it out.
pub(super) fn answer<T: Debug>(
    result: Result<Response<T>, Status>,
    mask: impl FnOnce(&mut T) -> Option<ResponseHeader>,
) -> Answer {
    match result {
        Ok(response) => {
            let mut response = response.into_inner();
            let header = mask(&mut response);
            let revision = header.unwrap_or_default().revision;
            Answer { revision, ..Answer::of(format!("{response:#?}")) }
        }
        Err(status) => refusal(&status),
    }
}

pub(super) fn refusal(status: &Status) -> Answer {
    let text = format!("{:?}: {}", status.code(), status.message());
    Answer { refused: true, ..Answer::of(text) }
}
