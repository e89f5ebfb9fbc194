//! On whose behalf a request is made.
//!
//! [`gate`] stands before every service: it finds out who calls, refuses what the table of
//! [`crate::rights`] refuses, and leaves a [`Known`] in the request's extensions. While
//! authentication is off it does nothing. A service asks [`Service::caller`] for what its entry in
//! the log names, and [`Service::may_read`] before it reads.
//!
//! A token comes in the metadata `token`, or in `authorization` with `Bearer ` before it; without
//! one, the common name of a client's certificate counts, if the listener left it
//! ([`PeerIdentity`]).

use crate::audit::{self, Call};
use crate::errors;
use crate::identity::PeerIdentity;
use crate::rights::{Needs, is_long, needs};
use crate::service::Service;
use bytes::Bytes;
use quorate_host::View;
use quorate_store::touch::{Right, Span, Touch};
use quorate_store::{Caller, StoreError, User};
use quorate_wire::etcd::rpcs::Rpc;
use std::time::{Duration, Instant};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request as HttpRequest, Response as HttpResponse};
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Request, Status};

/// How long a token that names a later place in the log than this member has applied is waited for.
const TOKEN_PATIENCE: Duration = Duration::from_secs(2);

/// What a caller showed.
#[derive(Clone, Default, Debug)]
struct Shown {
    token: Option<Bytes>,
    common_name: Option<Bytes>,
}

impl Shown {
    fn of(headers: &HeaderMap, peer: Option<&PeerIdentity>) -> Shown {
        let header = |name| headers.get(name).map(|value| Bytes::copy_from_slice(value.as_bytes()));
        let token = header("token").or_else(|| header("authorization"));
        let token = token.map(|token| match token.strip_prefix(b"Bearer ") {
            Some(rest) => token.slice_ref(rest),
            None => token,
        });
        Shown { token, common_name: peer.map(|peer| peer.common_name.clone().into()) }
    }
}

/// Who calls, as far as this member knows.
#[derive(Clone, Default, Debug)]
pub struct Known {
    shown: Shown,
    /// What an entry names.
    caller: Caller,
    /// The token itself says at which auth revision it was signed.
    pinned: bool,
    /// The token is no good.
    refused: bool,
}

impl Known {
    /// Who makes a request; nobody, while authentication is off.
    pub fn of<T>(request: &Request<T>) -> Known {
        request.extensions().get::<Known>().cloned().unwrap_or_default()
    }

    /// The user's name, if one is known.
    pub fn user(&self) -> Option<&Bytes> {
        match &self.caller.user {
            User::Named(name) => Some(name),
            User::Nobody | User::Member => None,
        }
    }

    /// The same user, whatever its token says about when it was signed.
    pub fn unpinned(self) -> Known {
        Known { pinned: false, ..self }
    }

    /// True when somebody has looked at what the caller showed: it is a user, or a liar.
    pub fn is_identified(&self) -> bool {
        self.refused || self.user().is_some()
    }

    fn good(&self) -> Result<&Known, Status> {
        if self.refused { Err(errors::invalid_auth_token()) } else { Ok(self) }
    }
}

impl Service {
    /// The caller of a request: what its entry in the log names.
    ///
    /// # Errors
    /// When the request claims to be what it cannot show.
    pub fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let fences = crate::fence::of_request(request.metadata())?;
        match request.extensions().get::<Known>() {
            None => Ok(Caller { fences, ..Caller::default() }),
            Some(known) => Ok(Caller { fences, ..known.good()?.caller.clone() }),
        }
    }

    /// Finds out anew who calls, from what was shown when a stream was opened.
    pub fn identify_again(&self, known: &Known, view: &View) -> Known {
        if view.auth().enabled() { self.identify(known.shown.clone(), view) } else { known.clone() }
    }

    fn identify(&self, shown: Shown, view: &View) -> Known {
        let auth_revision = view.auth().revision();
        let named = |user: Bytes, auth_revision, pinned| Known {
            shown: shown.clone(),
            caller: Caller { user: User::Named(user), auth_revision, fences: Vec::new() },
            pinned,
            refused: false,
        };
        match (&shown.token, &shown.common_name) {
            (Some(token), _) => match self.tokens.read(token, self.host.tokens()) {
                Some((user, None)) => named(user, auth_revision, false),
                Some((user, Some(signed_at))) => named(user, signed_at, true),
                None => Known { shown, refused: true, ..Known::default() },
            },
            (None, Some(name)) => named(name.clone(), auth_revision, false),
            (None, None) => Known { shown, ..Known::default() },
        }
    }

    /// Waits until this member has applied the entry that issued a simple token.
    async fn await_token(&self, shown: &Shown) {
        let Some(index) = shown.token.as_deref().and_then(|token| self.tokens.issued_at(token))
        else {
            return;
        };
        let began = Instant::now();
        while self.view().applied().0 < index && began.elapsed() < TOKEN_PATIENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether the caller may read keys, by the very view that it would read them from. What is
    /// allowed and what is read are of the same moment, so neither can change in between.
    ///
    /// # Errors
    /// Why not, in etcd's words.
    pub fn may_read(&self, known: &Known, view: &View, span: Span<'_>) -> Result<(), Status> {
        audit::note_span(span, Right::Read);
        self.may(known, view, |auth, caller| {
            auth.check_range(caller, span, Right::Read).map_err(errors::unauthorized)
        })
    }

    /// Whether keys are shown to the caller in a list of many: what it may not read is left out.
    pub fn sees(&self, known: &Known, view: &View, span: Span<'_>) -> bool {
        let read = |auth: &quorate_store::Auth, caller: &quorate_store::Caller| {
            auth.check_range(caller, span, Right::Read).map_err(errors::unauthorized)
        };
        self.may(known, view, read).is_ok()
    }

    /// Whether the caller may write keys, as far as this view knows: a write itself is judged where
    /// it stands in the log.
    ///
    /// # Errors
    /// Why not, in etcd's words.
    pub fn may_write(&self, known: &Known, view: &View, span: Span<'_>) -> Result<(), Status> {
        self.may(known, view, |auth, caller| {
            auth.check_range(caller, span, Right::Write).map_err(errors::unauthorized)
        })
    }

    /// Whether the caller may do everything that a read-only transaction touches.
    ///
    /// # Errors
    /// Why not, in etcd's words.
    pub fn may_read_txn(
        &self,
        known: &Known,
        view: &View,
        txn: &quorate_store::Txn,
    ) -> Result<(), Status> {
        self.may(known, view, |auth, caller| {
            let keys = |lease| view.lease_keys(lease);
            quorate_store::touch::visit_txn(txn, &mut |touch: Touch<'_>| {
                auth.judge_touch(caller, touch, &keys)
            })
            .map_err(crate::kv::unreadable)
        })
    }

    /// Whether the caller has a right on every key of a lease.
    ///
    /// # Errors
    /// Why not, in etcd's words.
    pub fn may_lease(
        &self,
        known: &Known,
        view: &View,
        lease: i64,
        right: Right,
    ) -> Result<(), Status> {
        self.may(known, view, |auth, caller| {
            auth.check_named(caller).map_err(errors::unauthorized)?;
            if auth.check_root(caller).is_ok() {
                return Ok(());
            }
            let keys = view.lease_keys(lease);
            let keys = keys.map_err(|error| crate::kv::unreadable(error.into()))?;
            let check = |key: &Bytes| auth.check_range(caller, Span::key(key), right);
            keys.iter().try_for_each(check).map_err(errors::unauthorized)
        })
    }

    /// Whether the caller has the role root.
    ///
    /// # Errors
    /// Why not, in etcd's words.
    pub fn may_manage(&self, known: &Known, view: &View) -> Result<(), Status> {
        self.may(known, view, |auth, caller| auth.check_root(caller).map_err(errors::unauthorized))
    }

    fn may(
        &self,
        known: &Known,
        view: &View,
        check: impl FnOnce(&quorate_store::Auth, &Caller) -> Result<(), Status>,
    ) -> Result<(), Status> {
        let auth = view.auth();
        if !auth.enabled() {
            return Ok(());
        }
        let mut caller = known.good()?.caller.clone();
        if !known.pinned && known.user().is_some() {
            // A token in a table, or a certificate, says who; the view says what that allows now.
            caller.auth_revision = auth.revision();
        } else if known.pinned && caller.auth_revision != auth.revision() {
            return Err(errors::auth_old_revision());
        }
        check(auth, &caller)
    }
}

/// Stands before every service: `next` is what answers a call that may pass.
pub async fn gate<N: Future<Output = HttpResponse<Body>>>(
    service: &Service,
    mut request: HttpRequest<Body>,
    next: impl FnOnce(HttpRequest<Body>) -> N,
) -> HttpResponse<Body> {
    let Some(rpc) = Rpc::of_path(request.uri().path()) else { return next(request).await };
    let Some(audit) = &service.audit else {
        return match recognize_all(service, rpc, &mut request).await {
            (_, Ok(())) => next(request).await,
            (_, Err(refusal)) => refusal.into_http(),
        };
    };
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(|info| info.remote_addr);
    let (user, admitted) = recognize_all(service, rpc, &mut request).await;
    let call = Call { rpc, user, peer };
    let announced = match &admitted {
        Ok(()) => audit.announce(&call, needs(rpc)).await,
        Err(_) => Ok(()),
    };
    let work = async {
        match (admitted, announced) {
            (Err(refusal), _) => refusal.into_http(),
            (Ok(()), Err(why)) => errors::not_audited(&why).into_http(),
            (Ok(()), Ok(())) => next(request).await,
        }
    };
    audit.witness(service, call, work, came_to).await
}

/// The code of an answer, and whether it says that the caller may not.
fn came_to(response: &HttpResponse<Body>) -> (i32, bool) {
    let Some(status) = Status::from_header_map(response.headers()) else { return (0, true) };
    let code = status.code();
    let unknown = [errors::user_empty(), errors::auth_old_revision()];
    let unnamed = unknown.iter().any(|known| known.message() == status.message());
    let refused = matches!(code, Code::PermissionDenied | Code::Unauthenticated) || unnamed;
    (code.into(), !refused)
}

/// Finds out who calls and leaves that in the request; judges by the table.
async fn recognize_all(
    service: &Service,
    rpc: Rpc,
    request: &mut HttpRequest<Body>,
) -> (Option<Bytes>, Result<(), Status>) {
    let shown = |request: &HttpRequest<Body>| {
        Shown::of(request.headers(), request.extensions().get::<PeerIdentity>())
    };
    if !service.view().auth().enabled() {
        if is_long(rpc) {
            // It may still be open when authentication is turned on.
            let known = Known { shown: shown(request), ..Known::default() };
            request.extensions_mut().insert(known);
        }
        return (None, Ok(()));
    }
    let shown = shown(request);
    service.await_token(&shown).await;
    let view = service.view();
    let known = service.identify(shown, &view);
    let (user, admitted) = (known.user().cloned(), admit(needs(rpc), &known, &view));
    request.extensions_mut().insert(known);
    (user, admitted)
}

/// Judges by the table alone.
fn admit(needs: Needs, known: &Known, view: &View) -> Result<(), Status> {
    let refused = |error| errors::refused(&StoreError::Auth(error));
    let auth = view.auth();
    match needs {
        Needs::Nothing | Needs::KeysInStream => Ok(()),
        Needs::Anybody | Needs::RootInLog => known.good().map(drop),
        Needs::User | Needs::Keys => auth.check_named(&known.good()?.caller).map_err(refused),
        Needs::Root => auth.check_root(&known.good()?.caller).map_err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_both_places() {
        let mut headers = HeaderMap::new();
        let peer = PeerIdentity { common_name: "alice".into() };
        let of = |headers: &HeaderMap| Shown::of(headers, Some(&peer));
        assert_eq!(of(&headers).common_name, Some("alice".into()));
        headers.insert("authorization", "Bearer abc.5".parse().unwrap());
        assert_eq!(of(&headers).token, Some("abc.5".into()));
        headers.insert("token", "xyz".parse().unwrap());
        assert_eq!(of(&headers).token, Some("xyz".into()));
    }
}
