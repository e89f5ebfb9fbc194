//! `etcdserverpb.Cluster`: who belongs to it, and changing that.
//!
//! A change goes through the log like any write and is checked there, alike on every member. What only
//! this member can judge is looked at before: whether enough members have started, and whether
//! enough of them answer, so that the cluster survives the change (`--strict-reconfig-check`, whose
//! rules are in [`quorate_node::strict`]).

use crate::errors;
use crate::kv::settled;
use crate::service::Service;
use quorate_base::NodeId;
use quorate_host::{Ask, MemberInfo};
use quorate_node::strict::{self, Seen, Unsafe};
use quorate_store::{Answer, Member, MemberChange};
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

    async fn change(
        &self,
        caller: quorate_store::Caller,
        change: MemberChange,
    ) -> Result<Vec<pb::Member>, Status> {
        let limit = self.0.limits.max_learners;
        let outcome = self.0.host.change_members(caller, change, limit).await;
        match settled(outcome.map_err(|failure| errors::failed(&failure))?)? {
            (Answer::Members(members), _) => Ok(members.into_iter().map(from_member).collect()),
            (other, _) => Err(Status::internal(format!("a change of members answered {other:?}"))),
        }
    }

    /// The members as this one sees them now, for the checks that it makes.
    fn seen(&self) -> Vec<Seen> {
        let seen =
            |member: &MemberInfo| Seen::of(&member.to_member(), self.is_connected(member.id));
        self.0.host.members().iter().map(seen).collect()
    }

    /// Refuses what would leave a cluster that cannot go on (`--strict-reconfig-check`).
    fn check(&self, check: impl FnOnce(&[Seen]) -> Result<(), Unsafe>) -> Result<(), Status> {
        if !self.0.limits.strict_reconfig_check {
            return Ok(());
        }
        check(&self.seen()).map_err(|why| match why {
            Unsafe::NotEnoughStarted => errors::not_enough_started(),
            Unsafe::Unhealthy => errors::unhealthy(),
        })
    }

    fn is_connected(&self, id: NodeId) -> bool {
        id.0 == self.0.host.member_id() || self.0.host.status().connected_peers.contains(&id)
    }
}

fn from_member(member: Member) -> pb::Member {
    pb::Member {
        id: member.id,
        name: member.name,
        peer_ur_ls: member.peer_urls,
        client_ur_ls: member.client_urls,
        is_learner: member.learner,
    }
}

/// Peer URLs as etcd takes them: a scheme that peers speak, a host and a port, nothing behind.
fn check_urls(urls: &[String]) -> Result<(), Status> {
    let fine = |url: &String| {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let address = rest.map(|rest| rest.trim_end_matches('/'));
        address.and_then(|address| address.rsplit_once(':')).is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        })
    };
    if urls.is_empty() || !urls.iter().all(fine) {
        return Err(errors::bad_member_urls());
    }
    Ok(())
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
        let members = self.0.host.members();
        let members = members.iter().map(|member| from_member(member.to_member())).collect();
        Ok(Response::new(pb::MemberListResponse { header: self.header(), members }))
    }

    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let pb::MemberAddRequest { peer_ur_ls: peer_urls, is_learner: learner } =
            request.into_inner();
        check_urls(&peer_urls)?;
        if !learner {
            self.check(strict::may_add)?;
        }
        let id = self.0.host.random_member_id();
        let (name, client_urls) = (String::new(), Vec::new());
        let member = Member { id, name, peer_urls, client_urls, learner };
        let members = self.change(caller, MemberChange::Add(member)).await?;
        let member = members.iter().find(|member| member.id == id).cloned();
        Ok(Response::new(pb::MemberAddResponse { header: self.header(), member, members }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let id = request.into_inner().id;
        self.check(|members| strict::may_remove(members, id))?;
        let members = self.change(caller, MemberChange::Remove { id }).await?;
        Ok(Response::new(pb::MemberRemoveResponse { header: self.header(), members }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let pb::MemberUpdateRequest { id, peer_ur_ls: peer_urls } = request.into_inner();
        check_urls(&peer_urls)?;
        let members = self.change(caller, MemberChange::Update { id, peer_urls }).await?;
        Ok(Response::new(pb::MemberUpdateResponse { header: self.header(), members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let id = request.into_inner().id;
        match self.0.host.members().iter().find(|member| member.id.0 == id) {
            None => return Err(errors::member_not_found()),
            Some(member) if !member.learner => return Err(errors::not_a_learner()),
            Some(_) => {}
        }
        let ready = self.0.host.ask(Ask::CaughtUp(id)).await;
        if ready.map_err(|failure| errors::failed(&failure))? == 0 {
            return Err(errors::learner_not_ready());
        }
        self.check(strict::may_promote)?;
        let members = self.change(caller, MemberChange::Promote { id }).await?;
        Ok(Response::new(pb::MemberPromoteResponse { header: self.header(), members }))
    }
}
