//! A lease that is kept alive for as long as its owner lives.

use std::time::Duration;

use quorate_wire::etcd::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Client, Error};

/// A lease with somebody who renews it. Dropped, it is renewed no more and ends by itself; see [`Session::close`].
#[derive(Debug)]
pub struct Session {
    client: Client,
    lease: i64,
    ended: watch::Receiver<bool>,
    renewing: JoinHandle<()>,
}

impl Client {
    /// Grants a lease of `ttl` and keeps it alive.
    ///
    /// # Errors
    /// Any [`Error`] of the grant.
    pub async fn session(&self, ttl: Duration) -> Result<Session, Error> {
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let lease = self.lease_grant(LeaseGrantRequest { ttl, id: 0 }).await?.id;
        let (end, ended) = watch::channel(false);
        let mut renewals = self.keep_alive(lease);
        let renewing = tokio::spawn(async move {
            while let Ok(Some(_)) = renewals.next().await {}
            end.send_replace(true);
        });
        Ok(Session { client: self.clone(), lease, ended, renewing })
    }
}

impl Session {
    /// The lease.
    #[must_use]
    pub fn lease(&self) -> i64 {
        self.lease
    }

    /// Resolves when the lease has certainly ended.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // A sender that is gone renews no more either.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Ends the lease now: its keys are deleted.
    ///
    /// # Errors
    /// Any [`Error`]; the lease then ends by itself.
    pub async fn close(self) -> Result<(), Error> {
        self.renewing.abort();
        let request = LeaseRevokeRequest { id: self.lease };
        self.client.lease_revoke(request).await.map(drop)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}
