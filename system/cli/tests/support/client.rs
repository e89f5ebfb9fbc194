//! A client that speaks to one member and hides nothing: one method per call, the answer as it
//! came.
//!
//! No call retries and none waits longer than [`CALL_LIMIT`], so that a server that never answers
//! fails one test instead of hanging the run.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::api::auth_client::AuthClient;
use super::api::cluster_client::ClusterClient;
use super::api::kv_client::KvClient;
use super::api::lease_client::LeaseClient;
use super::api::maintenance_client::MaintenanceClient;
use super::api::watch_client::WatchClient;
use super::api::*;

/// The longest that one call may take; for a stream, until its first answer.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that a client takes, in bytes: whatever a server sends.
const ANSWER_LIMIT: usize = i32::MAX as usize;

/// A connection to one member. Clones share it.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    token: Token,
}

/// A connection on which every call carries the client's token.
pub type Line = InterceptedService<Channel, Token>;

/// Puts a token into the metadata of each call, if there is one.
#[derive(Clone, Default)]
pub struct Token(Option<String>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value = token.parse().map_err(|_| Status::internal("a token of other letters"))?;
            request.metadata_mut().insert("token", value);
        }
        Ok(request)
    }
}

impl Client {
    /// Connects to `endpoint`, a URL with the scheme `http`.
    pub async fn connect(endpoint: &str) -> Result<Client, tonic::transport::Error> {
        let endpoint = Client::endpoint(endpoint, CALL_LIMIT)?;
        Ok(Client { channel: endpoint.connect().await?, token: Token::default() })
    }

    /// A client whose calls take at most `limit` and which connects at its first call, and again
    /// after each time that it lost its member.
    pub fn patient(endpoint: &str, limit: Duration) -> Client {
        let endpoint = Client::endpoint(endpoint, limit).expect("a URL of the harness");
        Client { channel: endpoint.connect_lazy(), token: Token::default() }
    }

    fn endpoint(url: &str, limit: Duration) -> Result<Endpoint, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(url.to_owned())?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).timeout(limit);
        Ok(endpoint.tcp_nodelay(true))
    }

    /// The connection itself, for services that this client does not wrap.
    pub fn channel(&self) -> Line {
        InterceptedService::new(self.channel.clone(), self.token.clone())
    }

    /// The same connection, with a token on each call.
    pub fn with_token(&self, token: &str) -> Client {
        Client { channel: self.channel.clone(), token: Token(Some(token.to_owned())) }
    }

    pub fn auth(&self) -> AuthClient<Line> {
        AuthClient::new(self.channel())
    }

    /// Shows a password and returns the token.
    pub async fn login(&self, name: &str, password: &str) -> Result<String, Status> {
        let request = AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        Ok(self.auth().authenticate(request).await?.into_inner().token)
    }

    pub fn kv(&self) -> KvClient<Line> {
        KvClient::new(self.channel()).max_decoding_message_size(ANSWER_LIMIT)
    }

    pub fn lease(&self) -> LeaseClient<Line> {
        LeaseClient::new(self.channel())
    }

    pub fn maintenance(&self) -> MaintenanceClient<Line> {
        MaintenanceClient::new(self.channel())
    }

    pub fn watch(&self) -> WatchClient<Line> {
        WatchClient::new(self.channel()).max_decoding_message_size(ANSWER_LIMIT)
    }

    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.kv().range(request).await.map(Response::into_inner)
    }

    pub async fn put(&self, request: PutRequest) -> Result<PutResponse, Status> {
        self.kv().put(request).await.map(Response::into_inner)
    }

    pub async fn delete(&self, request: DeleteRangeRequest) -> Result<DeleteRangeResponse, Status> {
        self.kv().delete_range(request).await.map(Response::into_inner)
    }

    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Status> {
        self.kv().txn(request).await.map(Response::into_inner)
    }

    /// Compacts up to `revision`; with `physical`, returns only when the old versions are gone.
    pub async fn compact(
        &self,
        revision: i64,
        physical: bool,
    ) -> Result<CompactionResponse, Status> {
        self.kv().compact(CompactionRequest { revision, physical }).await.map(Response::into_inner)
    }

    /// Puts a pair and returns its revision.
    pub async fn write(&self, key: &str, value: &str) -> i64 {
        let answer = self.put(super::put(key, value)).await.expect("put");
        answer.header.expect("a header").revision
    }

    /// The newest value of a key, if there is one.
    pub async fn read(&self, key: &str) -> Option<KeyValue> {
        let answer = self.range(super::get(key)).await.expect("range");
        assert!(answer.kvs.len() <= 1, "one key, but {} pairs", answer.kvs.len());
        answer.kvs.into_iter().next()
    }

    /// The revision of the store.
    pub async fn revision(&self) -> i64 {
        let answer = self.range(super::get("no such key")).await.expect("range");
        answer.header.expect("a header").revision
    }

    /// Grants a lease of `ttl` seconds whose id the server chooses.
    pub async fn grant(&self, ttl: i64) -> i64 {
        self.grant_with(ttl, 0).await.expect("grant").id
    }

    pub async fn grant_with(&self, ttl: i64, id: i64) -> Result<LeaseGrantResponse, Status> {
        self.lease().lease_grant(LeaseGrantRequest { ttl, id }).await.map(Response::into_inner)
    }

    pub async fn revoke(&self, id: i64) -> Result<LeaseRevokeResponse, Status> {
        self.lease().lease_revoke(LeaseRevokeRequest { id }).await.map(Response::into_inner)
    }

    /// What is left of a lease, with its keys.
    pub async fn time_to_live(&self, id: i64) -> Result<LeaseTimeToLiveResponse, Status> {
        let request = LeaseTimeToLiveRequest { id, keys: true };
        self.lease().lease_time_to_live(request).await.map(Response::into_inner)
    }

    pub async fn leases(&self) -> Result<Vec<i64>, Status> {
        let answer = self.lease().lease_leases(LeaseLeasesRequest {}).await?.into_inner();
        Ok(answer.leases.iter().map(|lease| lease.id).collect())
    }

    /// Renews a lease once, over a stream of its own.
    pub async fn keep_alive(&self, id: i64) -> Result<LeaseKeepAliveResponse, Status> {
        let (sender, mut answers) = self.keep_alive_stream(id).await?;
        let answer = answers.message().await?;
        drop(sender);
        answer.ok_or_else(|| Status::internal("the stream ended without an answer"))
    }

    /// Opens a keep-alive stream whose first request is for lease `id`.
    pub async fn keep_alive_stream(&self, id: i64) -> Result<KeepAlives, Status> {
        // The request goes into the channel before the call: a server may hold back its headers
        // until it has something to answer.
        let (sender, receiver) = mpsc::channel(16);
        sender.send(LeaseKeepAliveRequest { id }).await.expect("the receiver is at hand");
        let answers = self.lease().lease_keep_alive(ReceiverStream::new(receiver)).await?;
        Ok((sender, answers.into_inner()))
    }

    pub async fn status(&self) -> Result<StatusResponse, Status> {
        self.maintenance().status(StatusRequest {}).await.map(Response::into_inner)
    }

    pub async fn members(&self, linearizable: bool) -> Result<MemberListResponse, Status> {
        let mut cluster = ClusterClient::new(self.channel());
        cluster.member_list(MemberListRequest { linearizable }).await.map(Response::into_inner)
    }

    /// The alarms of all members, after `action` on one kind of alarm of one member.
    pub async fn alarm(
        &self,
        action: alarm_request::AlarmAction,
        member_id: u64,
        alarm: AlarmType,
    ) -> Result<Vec<AlarmMember>, Status> {
        let request = AlarmRequest { action: action as i32, member_id, alarm: alarm as i32 };
        Ok(self.maintenance().alarm(request).await?.into_inner().alarms)
    }

    pub async fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, Status> {
        self.maintenance().hash_kv(HashKvRequest { revision }).await.map(Response::into_inner)
    }
}

/// Both ends of a keep-alive stream.
pub type KeepAlives = (mpsc::Sender<LeaseKeepAliveRequest>, Streaming<LeaseKeepAliveResponse>);
