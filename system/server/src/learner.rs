//! What a learner answers: little, since it may be far behind and decides nothing.
//!
//! Serializable ranges (whose handler looks at that), the member's status, a snapshot of its state, and
//! what monitors ask of every process. Everything else is refused in etcd's words, so that clients go
//! to another endpoint. The look at the role is a lock and two lookups, on every call.

use crate::errors;
use crate::service::Service;

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
