//! Keeping a lease alive.

use std::time::Duration;

use quorate_wire::etcd::etcdserverpb::LeaseKeepAliveResponse;
use tokio::time::Instant;

use crate::{Client, Error};

/// Renews a lease three times per lifetime, through whatever member can be reached. See [`Client::keep_alive`].
#[derive(Debug)]
pub struct KeepAlive {
    client: Client,
    id: i64,
    /// When to renew next.
    due: Instant,
    /// When the lease has certainly ended if it is not renewed; unknown before the first renewal.
    expires: Option<Instant>,
}

impl Client {
    /// Keeps a lease alive for as long as [`KeepAlive::next`] is called.
    #[must_use]
    pub fn keep_alive(&self, id: i64) -> KeepAlive {
        KeepAlive { client: self.clone(), id, due: Instant::now(), expires: None }
    }
}

impl KeepAlive {
    /// Waits until a renewal is due and makes it: `Ok(None)` when the lease is gone.
    ///
    /// # Errors
    /// Any [`Error`] that lasted until the lease had certainly ended, and any on the first renewal.
    pub async fn next(&mut self) -> Result<Option<LeaseKeepAliveResponse>, Error> {
        tokio::time::sleep_until(self.due).await;
        loop {
            let asked = Instant::now();
            match self.client.keep_alive_once(self.id).await {
                Ok(None) => return Ok(None),
                Ok(Some(answer)) => {
                    let lifetime = Duration::from_secs(answer.ttl.unsigned_abs());
                    self.due = asked + lifetime / 3;
                    self.expires = Some(asked + lifetime);
                    return Ok(Some(answer));
                }
                Err(error) => {
                    if self.expires.is_none_or(|expires| Instant::now() >= expires) {
                        return Err(error);
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
