//! `etcdserverpb.Watch` (contract items 38 to 54).
//!
//! A stream of watchers is one value, polled by the connection that reads it: no task and no queue
//! of its own. It prepares one answer at a time, so a client that does not read costs its cursors
//! and at most one answer ([`stream`]); who of them has something to look at is known by [`crowd`], what a
//! watcher wants and where it stands by [`watcher`].

mod crowd;
mod stream;
mod watcher;

use crate::caller::Known;
use crate::leader_watch;
use crate::service::Service;
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::watch_raw::{RawWatch, RawWatchResponse};
use std::pin::Pin;
use std::sync::Arc;
use stream::Watchers;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

/// The service.
pub struct WatchService(pub Arc<Service>);

impl RawWatch for WatchService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<RawWatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let led = leader_watch::while_led(&self.0, request.metadata())?;
        let known = Known::of(&request);
        let watchers = Watchers::new(self.0.clone(), known, request.into_inner());
        Ok(Response::new(leader_watch::guard(watchers, led)))
    }
}
