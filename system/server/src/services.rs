//! All gRPC services behind one door: who calls is found out, a learner sends its clients on, and then the
//! service answers.
//!
//! Keys and leases are what clients call all the time, so they are reached directly. The others are behind tonic's
//! router, which boxes and clones more on the way than a put costs its member otherwise.

use crate::kv::KvService;
use crate::lease::LeaseService;
use crate::service::Service;
use crate::{caller, corruption, learner};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::range_raw::RawKvServer;
use std::convert::Infallible;
use std::sync::Arc;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;
use tower::Service as _;

/// The services of a member.
pub struct Services {
    /// What they share.
    pub service: Arc<Service>,
    /// Keys.
    pub kv: RawKvServer<KvService>,
    /// Leases.
    pub lease: pb::lease_server::LeaseServer<LeaseService>,
    /// All others, and what is said of calls that nobody answers.
    pub rest: Routes,
}

impl Services {
    /// Answers a call.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        caller::gate(&self.service, request, |request| self.pass(request)).await
    }

    async fn pass(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let refusal = learner::refusal(&self.service, path)
            .or_else(|| corruption::refusal(&self.service, path));
        if let Some(status) = refusal {
            return status.into_http();
        }
        let answered = if path.starts_with("/etcdserverpb.KV/") {
            self.kv.clone().call(request).await
        } else if path.starts_with("/etcdserverpb.Lease/") {
            self.lease.clone().call(request).await
        } else {
            self.rest.clone().call(request).await
        };
        answered.unwrap_or_else(|never: Infallible| match never {})
    }
}
