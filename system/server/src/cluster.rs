//! `etcdserverpb.Cluster`: who belongs to it. Changing that comes with a later release.

use crate::errors;
use crate::service::Service;
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::cluster_server::Cluster;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct ClusterService(pub Arc<Service>);

impl ClusterService {
    /// Cluster answers carry no revision (item 66).
    fn header(&self) -> Option<pb::ResponseHeader> {
        self.0.header(0)
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.into_inner().linearizable {
            self.0.linearizable().await?;
        }
        let members = self.0.host.members().into_iter().map(|member| pb::Member {
            id: member.id.0,
            name: member.name,
            peer_ur_ls: member.peer_urls,
            client_ur_ls: member.client_urls,
            is_learner: false,
        });
        let members = members.collect();
        Ok(Response::new(pb::MemberListResponse { header: self.header(), members }))
    }

    async fn member_add(
        &self,
        _request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        Err(errors::not_yet("Cluster.MemberAdd"))
    }

    async fn member_remove(
        &self,
        _request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        Err(errors::not_yet("Cluster.MemberRemove"))
    }

    async fn member_update(
        &self,
        _request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        Err(errors::not_yet("Cluster.MemberUpdate"))
    }

    async fn member_promote(
        &self,
        _request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        Err(errors::not_yet("Cluster.MemberPromote"))
    }
}
