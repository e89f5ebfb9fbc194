//! `etcdserverpb.Cluster`: who belongs to it, and changing that.
//!
//! A change goes through the log like any write and is checked there, alike on every member. What only
//! this member can judge is looked at before: whether enough members have started, and whether
//! enough of them answer, so that the cluster survives the change (`--strict-reconfig-check`). As in
//! etcd this is a courtesy and no guarantee: what it sees may be old when the change is applied.

use crate::errors;
use crate::kv::settled;
use crate::service::Service;
use quorate_base::NodeId;
use quorate_host::{Ask, MemberInfo};
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

    fn voters(&self) -> Vec<MemberInfo> {
        let members = self.0.host.members();
        members.into_iter().filter(|member| !member.learner).collect()
    }

    /// Before one more voter: a majority of those to come must have started, and all of those there
    /// must answer.
    fn check_add(&self) -> Result<(), Status> {
        let voters = self.voters();
        let started = voters.iter().filter(|member| !member.name.is_empty()).count();
        let all = voters.len() + 1;
        // One member may always get a second one.
        let alone = started == 1 && voters.len() == 1;
        if !alone && started < all / 2 + 1 {
            return Err(errors::not_enough_started());
        }
        if !voters.iter().all(|member| self.is_connected(member.id)) {
            return Err(errors::unhealthy());
        }
        Ok(())
    }

    /// Before one voter less: a majority of those left must have started and answer. Who is silent
    /// already is no loss.
    fn check_remove(&self, id: u64) -> Result<(), Status> {
        let voters = self.voters();
        if !voters.iter().any(|member| member.id.0 == id) {
            return Ok(());
        }
        let rest: Vec<&MemberInfo> = voters.iter().filter(|member| member.id.0 != id).collect();
        let started = rest.iter().filter(|member| !member.name.is_empty()).count();
        let quorum = rest.len() / 2 + 1;
        if started < quorum {
            return Err(errors::not_enough_started());
        }
        let healthy = rest.iter().filter(|member| self.is_connected(member.id)).count();
        if self.is_connected(NodeId(id)) && healthy < quorum {
            return Err(errors::unhealthy());
        }
        Ok(())
    }

    /// Before a learner votes: a majority of those to come must have started.
    fn check_promote(&self) -> Result<(), Status> {
        let voters = self.voters();
        let started = voters.iter().filter(|member| !member.name.is_empty()).count() + 1;
        if started < voters.len().div_ceil(2) + 1 {
            return Err(errors::not_enough_started());
        }
        Ok(())
    }

    fn is_connected(&self, id: NodeId) -> bool {
        id.0 == self.0.host.member_id() || self.0.host.status().connected_peers.contains(&id)
    }

    fn is_strict(&self) -> bool {
        self.0.limits.strict_reconfig_check
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
        if self.is_strict() && !learner {
            self.check_add()?;
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
        if self.is_strict() {
            self.check_remove(id)?;
        }
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
        if self.is_strict() {
            self.check_promote()?;
        }
        let members = self.change(caller, MemberChange::Promote { id }).await?;
        Ok(Response::new(pb::MemberPromoteResponse { header: self.header(), members }))
    }
}
