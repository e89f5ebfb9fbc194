//! What a learner answers: little, since it may be far behind and decides nothing.
//!
//! Serializable ranges (whose handler looks at that), the member's status, a snapshot of its state, and
//! what monitors ask of every process. Everything else is refused in etcd's words, so that clients go
//! to another endpoint. The look at the role is a lock and two lookups, on every call.

use crate::errors;
use crate::service::Service;
use axum::body::Body;
use std::sync::Arc;
use tonic::codegen::http::{Request, Response};

/// The calls of etcd's services that a learner answers.
const ANSWERED: [&str; 3] = [
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Snapshot",
];

/// The packages of etcd's services; others are about the process.
const PACKAGES: [&str; 3] = ["/etcdserverpb.", "/v3lockpb.", "/v3electionpb."];

/// The answer to a call that a learner does not answer.
pub fn refusal(service: &Service, path: &str) -> Option<tonic::Status> {
    let ours = PACKAGES.iter().any(|package| path.starts_with(package));
    let refused = ours && !ANSWERED.contains(&path) && service.host.is_learner();
    refused.then(errors::not_for_learners)
}

/// Lets a call pass, or refuses it: as a learner, or in quarantine.
pub async fn guard(
    axum::extract::State(service): axum::extract::State<Arc<Service>>,
    request: Request<Body>,
    next: axum::middleware::Next,
) -> Response<Body> {
    let path = request.uri().path();
    match refusal(&service, path).or_else(|| crate::corruption::refusal(&service, path)) {
        Some(status) => status.into_http(),
        None => next.run(request).await,
    }
}
