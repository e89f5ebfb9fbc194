//! One call, with everything that is tried for it.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use quorate_wire::etcd::etcdserverpb::AuthenticateRequest;
use quorate_wire::etcd::etcdserverpb::auth_client::AuthClient;

use crate::error::Error;
use crate::options::Credentials;
use crate::picker::Slot;
use crate::{Client, MAX_ATTEMPTS};

/// Pause after every endpoint was tried once; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Whether a call changes anything, which decides when it may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It changes nothing: repeated when a member is unavailable or the connection breaks.
    Read,
    /// It may change something: repeated only when it was never sent.
    Write,
}

/// The walk over the endpoints that one call makes.
#[derive(Debug)]
pub(crate) struct Attempts {
    tried: Vec<usize>,
    pub(crate) made: usize,
    pause: Duration,
    /// Why each endpoint of this round could not be reached.
    reasons: Vec<String>,
}

impl Client {
    /// Sends a request to one endpoint after the other until there is an answer, an error that is final, or no time.
    pub(crate) async fn unary<Q, R, F, A>(
        &self,
        kind: Kind,
        request: Q,
        send: F,
    ) -> Result<R, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> A,
        A: Future<Output = Result<Response<R>, Status>>,
    {
        let timeout = self.shared.options.request_timeout;
        let deadline = timeout.map(|timeout| (Instant::now() + timeout, timeout));
        let mut attempts = Attempts::new();
        let work = self.attempt_until_final(kind, &request, &send, &mut attempts);
        let Some((deadline, after)) = deadline else {
            return work.await;
        };
        match tokio::time::timeout_at(deadline, work).await {
            Ok(result) => result,
            // The last word was that nobody could be reached, which is better news than that nobody answered.
            Err(_) if !attempts.reasons.is_empty() => Err(attempts.not_connected()),
            Err(_) => Err(Error::Timeout { after }),
        }
    }

    async fn attempt_until_final<Q, R, F, A>(
        &self,
        kind: Kind,
        request: &Q,
        send: &F,
        attempts: &mut Attempts,
    ) -> Result<R, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> A,
        A: Future<Output = Result<Response<R>, Status>>,
    {
        let mut refreshed = false;
        loop {
            let (index, slot) = attempts.next(self).await;
            let answer = match self.request(slot, request.clone()).await {
                Ok(request) => send(slot.channel.clone(), request).await,
                Err(status) => Err(status),
            };
            let error = match answer {
                Ok(response) => {
                    slot.mark(true);
                    return Ok(response.into_inner());
                }
                Err(status) => Error::of(&status, &slot.name),
            };
            if wants_new_token(&error) && !refreshed && self.forget_token() {
                refreshed = true;
                continue;
            }
            attempts.note(index, slot, &error);
            if !error.may_repeat(kind == Kind::Read) {
                return Err(error);
            }
            if attempts.made >= MAX_ATTEMPTS {
                return Err(if attempts.reasons.is_empty() {
                    error
                } else {
                    attempts.not_connected()
                });
            }
        }
    }

    /// A request for this endpoint, with the token if there is one; fetches the token first where that is needed.
    pub(crate) async fn request<Q>(&self, slot: &Slot, message: Q) -> Result<Request<Q>, Status> {
        let mut request = Request::new(message);
        if let Some(token) = self.token(slot).await? {
            request.metadata_mut().insert("token", token);
        }
        Ok(request)
    }

    async fn token(&self, slot: &Slot) -> Result<Option<MetadataValue<Ascii>>, Status> {
        let (name, password) = match &self.shared.options.credentials {
            None => return Ok(None),
            Some(Credentials::Token(token)) => return ascii(token).map(Some),
            Some(Credentials::Password { name, password }) => (name.clone(), password.clone()),
        };
        let known = self.shared.token.lock().expect("nothing panics with the lock held").clone();
        if known.is_some() {
            return Ok(known);
        }
        let request = AuthenticateRequest { name, password };
        match AuthClient::new(slot.channel.clone()).authenticate(request).await {
            Ok(answer) => {
                let token = ascii(&answer.into_inner().token)?;
                *self.shared.token.lock().expect("nothing panics with the lock held") =
                    Some(token.clone());
                Ok(Some(token))
            }
            Err(status) if status.message() == "etcdserver: authentication is not enabled" => {
                Ok(None)
            }
            Err(status) => Err(status),
        }
    }

    /// True if there was a token that could be renewed.
    fn forget_token(&self) -> bool {
        self.shared.token.lock().expect("nothing panics with the lock held").take().is_some()
    }
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self { tried: Vec::new(), made: 0, pause: FIRST_PAUSE, reasons: Vec::new() }
    }

    /// The next endpoint, after a pause if all were tried.
    pub(crate) async fn next<'a>(&mut self, client: &'a Client) -> (usize, &'a Slot) {
        self.made += 1;
        if let Some(picked) = client.shared.picker.pick(&self.tried) {
            return picked;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.tried.clear();
        self.reasons.clear();
        client.shared.picker.pick(&[]).expect("a client has at least one endpoint")
    }

    /// Notes how an attempt failed.
    pub(crate) fn note(&mut self, index: usize, slot: &Slot, error: &Error) {
        self.tried.push(index);
        match error {
            Error::NotConnected { reasons } => {
                slot.mark(false);
                self.reasons.push(reasons.clone());
            }
            Error::Server { .. }
            | Error::ConnectionLost { .. }
            | Error::Timeout { .. }
            | Error::Settings(_) => self.reasons.clear(),
        }
    }

    /// Does not ask this endpoint again in this round.
    pub(crate) fn pass(&mut self, index: usize) {
        self.tried.push(index);
    }

    /// The error of a call for which nobody could be reached.
    pub(crate) fn not_connected(&self) -> Error {
        Error::NotConnected { reasons: self.reasons.join(", ") }
    }
}

/// The answers after which etcd's clients fetch a new token and try again.
fn wants_new_token(error: &Error) -> bool {
    error.is("etcdserver: invalid auth token")
        || error.is("etcdserver: revision of auth store is old")
        || error.is("etcdserver: user name is empty")
}

fn ascii(token: &str) -> Result<MetadataValue<Ascii>, Status> {
    token.parse().map_err(|_| Status::invalid_argument("the token has characters outside ASCII"))
}
