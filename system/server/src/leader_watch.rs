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

/// Resolves with what ends a stream: the member has been without a leader for too long, or its
/// state is wrong.
pub type Ending = Pin<Box<dyn Future<Output = Status> + Send>>;

/// Like [`check`], for a stream: also returns what ends it later.
pub fn while_led(service: &Arc<Service>, metadata: &MetadataMap) -> Result<Ending, Status> {
    check(service, metadata)?;
    let is_required = required(metadata);
    let mut quarantine = service.host.quarantine();
    let leader = service.host.leader();
    let patience = service.limits.leaderless_patience;
    Ok(Box::pin(async move {
        let leaderless = async {
            match is_required {
                true => leaderless(leader, patience).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = leaderless => errors::no_leader(),
            // The host outlives its streams.
            _ = quarantine.wait_for(|quarantined| *quarantined) => errors::corrupt(),
        }
    }))
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

/// Ends a stream with the status that `ending` resolves with.
pub fn guard<T: Send + 'static>(
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ending: Ending,
) -> Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>> {
    Box::pin(Guarded { stream: Box::pin(stream), ending: Some(ending) })
}

struct Guarded<S> {
    stream: Pin<Box<S>>,
    /// `None` once it has resolved and been told.
    ending: Option<Ending>,
}

impl<T, S: Stream<Item = Result<T, Status>>> Stream for Guarded<S> {
    type Item = Result<T, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        use std::task::Poll;
        let Some(ending) = self.ending.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(status) = ending.as_mut().poll(context) {
            self.ending = None;
            return Poll::Ready(Some(Err(status)));
        }
        self.stream.as_mut().poll_next(context)
    }
}
