//! One call, with everything that is tried for it.

use std::time::Duration;

use crate::channel::Channel;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Response, Status};

use quorate_wire::etcd::etcdserverpb::auth_client::AuthClient;
use quorate_wire::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_wire::etcd::etcdserverpb::{AuthenticateRequest, StatusRequest};

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
    /// The endpoint that is being asked.
    asking: Option<usize>,
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
            Err(_) => {
                if let Some(index) = attempts.asking {
                    self.shared.picker.slot(index).doubt();
                }
                // Where every endpoint was out of reach the request was never sent. Where one was not, nobody knows.
                Err(if attempts.reasons.len() == self.shared.picker.count() {
                    attempts.not_connected()
                } else {
                    Error::Timeout { after }
                })
            }
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
            if let Err(error) = self.find_out(slot, attempts.made).await {
                attempts.note(index, slot, &error);
                continue;
            }
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

    /// Finds out whether anybody answers at an endpoint, where there are others to turn to. The kernel of a member that is
    /// held, or whose machine is stuck, goes on accepting connections; a write sent there is lost to the caller, because
    /// it may still be applied, so it must not be sent on a guess.
    pub(crate) async fn find_out(&self, slot: &Slot, attempt: usize) -> Result<(), Error> {
        let count = self.shared.picker.count();
        if count == 1 || slot.has_answered() {
            return Ok(());
        }
        // Little patience while there are others, more when all of them are slow.
        let patience = self.shared.options.dial_timeout;
        let patience = if attempt <= count { patience / 4 } else { patience };
        let mut client = MaintenanceClient::new(slot.channel.clone());
        match tokio::time::timeout(patience, client.status(StatusRequest {})).await {
            // Whatever it says, somebody is there; if nobody is, the request itself will tell.
            Ok(_) => Ok(()),
            Err(_) => {
                let reasons = format!("{} (no answer within {patience:?})", slot.name);
                Err(Error::NotConnected { reasons })
            }
        }
    }

    /// A request for this endpoint, with the token if there is one; fetches the token first where that is needed.
    pub(crate) async fn request<Q>(&self, slot: &Slot, message: Q) -> Result<Request<Q>, Status> {
        let mut request = Request::new(message);
        if let Some(token) = self.token(slot).await? {
            request.metadata_mut().insert("token", token);
        }
        for fence in &self.shared.options.fences {
            let value = ascii(&fence.to_string())?;
            request.metadata_mut().append(quorate_wire::fence::METADATA, value);
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
        let pause = FIRST_PAUSE;
        Self { tried: Vec::new(), made: 0, pause, asking: None, reasons: Vec::new() }
    }

    /// The next endpoint, after a pause if all were tried.
    pub(crate) async fn next<'a>(&mut self, client: &'a Client) -> (usize, &'a Slot) {
        self.made += 1;
        if let Some(picked) = client.shared.picker.pick(&self.tried) {
            self.asking = Some(picked.0);
            return picked;
        }
        self.asking = None;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.tried.clear();
        self.reasons.clear();
        let picked = client.shared.picker.pick(&[]).expect("a client has at least one endpoint");
        self.asking = Some(picked.0);
        picked
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
