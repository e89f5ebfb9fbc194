//! The `hasleader` contract (item 54): a caller that asks for it is not served by a member without
//! a leader, and its open streams end when the member has been without one for too long.

use crate::errors;
use crate::service::Service;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::Stream;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// The metadata key with which a caller asks for it.
const HAS_LEADER: &str = "hasleader";

fn required(metadata: &MetadataMap) -> bool {
    metadata.get(HAS_LEADER).is_some_and(|value| value.as_bytes() == b"true")
}

/// Refuses a call that requires a leader when there is none.
pub fn check(service: &Service, metadata: &MetadataMap) -> Result<(), Status> {
    if required(metadata) && service.host.status().leader.is_none() {
        return Err(errors::no_leader());
    }
    Ok(())
}

/// Resolves when the member has been without a leader for too long.
pub type Leaderless = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Like [`check`], for a stream: also returns what ends it later, if the caller asked for that.
pub fn while_led(
    service: &Arc<Service>,
    metadata: &MetadataMap,
) -> Result<Option<Leaderless>, Status> {
    check(service, metadata)?;
    if !required(metadata) {
        return Ok(None);
    }
    let leader = service.host.leader();
    let patience = service.limits.leaderless_patience;
    Ok(Some(Box::pin(leaderless(leader, patience))))
}

async fn leaderless(
    mut leader: tokio::sync::watch::Receiver<Option<quorate_base::NodeId>>,
    patience: Duration,
) {
    loop {
        if leader.wait_for(Option::is_none).await.is_err() {
            return;
        }
        let back = leader.wait_for(Option::is_some);
        if tokio::time::timeout(patience, back).await.is_err() {
            return;
        }
    }
}

/// Ends a stream with "no leader" when `leaderless` resolves.
pub fn guard<T: Send + 'static>(
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    leaderless: Option<Leaderless>,
) -> Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>> {
    match leaderless {
        None => Box::pin(stream),
        Some(leaderless) => {
            Box::pin(Guarded { stream: Box::pin(stream), leaderless: Some(leaderless) })
        }
    }
}

struct Guarded<S> {
    stream: Pin<Box<S>>,
    /// `None` once it has resolved and been told.
    leaderless: Option<Leaderless>,
}

impl<T, S: Stream<Item = Result<T, Status>>> Stream for Guarded<S> {
    type Item = Result<T, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        use std::task::Poll;
        let Some(leaderless) = self.leaderless.as_mut() else { return Poll::Ready(None) };
        if leaderless.as_mut().poll(context).is_ready() {
            self.leaderless = None;
            return Poll::Ready(Some(Err(errors::no_leader())));
        }
        self.stream.as_mut().poll_next(context)
    }
}
