//! Who opened a stream, for as long as the stream is open.
//!
//! A stream may outlive the token that it was opened with, its user's password, its user, and the
//! time in which nobody was asked who they are. What counts on it is who was identified when it was
//! opened, judged by the users and roles of *now* each time that something is told or done:
//!
//! - A token that ends does not end a stream: it was good when it was shown, and an idle watcher has
//!   no way to show another.
//! - A right that is taken away is gone, see [`Standing::may_read`].
//! - A password that changes, and a user that is deleted, end what was opened before: somebody may
//!   have had a reason. A user of the same name that is made anew is another.
//! - A stream that was opened while authentication was off is its opener's from the moment that it
//!   is turned on, if that one showed a certificate or a token that is good by now; otherwise it is
//!   nobody's, and ends.

use crate::caller::Known;
use crate::errors;
use crate::service::Service;
use bytes::Bytes;
use quorate_host::View;
use quorate_store::touch::{Right, Span};
use tonic::Status;

/// The caller of a stream.
#[derive(Clone, Debug)]
pub struct Standing {
    known: Known,
    /// The hash of its user's password as of then.
    password: Option<Bytes>,
    /// The auth revision of the last look; 0 when nothing was judged.
    looked_at: u64,
}

/// The auth revision; 0 while nothing is judged.
fn revision_of(view: &View) -> u64 {
    let auth = view.auth();
    if auth.enabled() { auth.revision() } else { 0 }
}

fn password_of(known: &Known, view: &View) -> Option<Bytes> {
    let user = known.user().and_then(|name| view.auth().user(name));
    user.and_then(|user| user.password.clone())
}

impl Standing {
    /// Whoever the gate has found to open a stream.
    pub fn of(known: Known, view: &View) -> Standing {
        let (password, looked_at) = (password_of(&known, view), revision_of(view));
        Standing { known, password, looked_at }
    }

    /// The caller was identified once more, by the same token or certificate.
    pub fn renew(&mut self, known: Known, view: &View) {
        (self.password, self.known) = (password_of(&known, view), known);
    }

    /// True when users, roles, or whether they count have changed since this was asked last.
    pub fn is_outdated(&mut self, view: &View) -> bool {
        let now = revision_of(view);
        std::mem::replace(&mut self.looked_at, now) != now
    }

    /// Whether the stream's caller may read keys now.
    ///
    /// # Errors
    /// Why not, in etcd's words.
    pub fn may_read(
        &mut self,
        service: &Service,
        view: &View,
        span: Span<'_>,
    ) -> Result<(), Status> {
        self.confirm(service, view)?;
        service.may_read(&self.known, view, span)
    }

    /// Whether it may write them.
    ///
    /// # Errors
    /// Why not, in etcd's words.
    pub fn may_write(
        &mut self,
        service: &Service,
        view: &View,
        span: Span<'_>,
    ) -> Result<(), Status> {
        self.confirm(service, view)?;
        service.may_write(&self.known, view, span)
    }

    /// Whether it has a right on every key of a lease.
    ///
    /// # Errors
    /// Why not, in etcd's words.
    pub fn may_lease(
        &mut self,
        service: &Service,
        view: &View,
        lease: i64,
        right: Right,
    ) -> Result<(), Status> {
        self.confirm(service, view)?;
        service.may_lease(&self.known, view, lease, right)
    }

    /// Whether it is still the one who was identified.
    fn confirm(&mut self, service: &Service, view: &View) -> Result<(), Status> {
        if !view.auth().enabled() {
            return Ok(());
        }
        if !self.known.is_identified() {
            self.known = service.identify_again(&self.known, view);
            self.password = password_of(&self.known, view);
        }
        self.known = std::mem::take(&mut self.known).unpinned();
        let Some(name) = self.known.user() else { return Ok(()) };
        let is_there = view.auth().user(name).is_some();
        if self.password.is_some() && !(is_there && password_of(&self.known, view) == self.password)
        {
            return Err(errors::invalid_auth_token());
        }
        Ok(())
    }
}
