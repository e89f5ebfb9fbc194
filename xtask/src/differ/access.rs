//! The rest of a side: users and roles, locks and elections, members and alarms.

use std::time::Duration;

use quorate_wire::etcd::etcdserverpb::alarm_request::AlarmAction;
use quorate_wire::etcd::etcdserverpb::auth_client::AuthClient;
use quorate_wire::etcd::etcdserverpb::cluster_client::ClusterClient;
use quorate_wire::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_wire::etcd::etcdserverpb::{
    AlarmRequest, AlarmResponse, AuthDisableRequest, AuthEnableRequest, AuthRoleDeleteRequest,
    AuthRoleListRequest, AuthStatusRequest, AuthUserDeleteRequest, AuthUserListRequest,
    AuthenticateRequest, DeleteRangeRequest, MemberAddRequest, MemberListRequest,
    MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest, RangeRequest, StatusRequest,
};
use quorate_wire::etcd::v3electionpb::election_client::ElectionClient;
use quorate_wire::etcd::v3lockpb::lock_client::LockClient;
use tonic::{Code, Response, Status};

use super::execute::{Answer, Called, Side, answer, refusal};
use super::op::{AuthOp, Caller, ClusterOp, LineOp, MYSELF};
use super::people::{PASSWORDS, ROOT};
use super::translate::Numbers;
use super::watching::lock;

/// Masks a header and returns it, for the answers that are nothing else or have nothing else to mask.
macro_rules! headed {
    ($numbers:expr, $result:expr) => {
        answer($result, |a| {
            $numbers.header_in(&mut a.header);
            a.header
        })
    };
}

impl Side {
    fn people(&self, caller: Caller) -> AuthClient<Called> {
        AuthClient::new(self.channel(caller))
    }

    fn maintenance(&self, caller: Caller) -> MaintenanceClient<Called> {
        MaintenanceClient::new(self.channel(caller))
    }

    fn members(&self, caller: Caller) -> ClusterClient<Called> {
        ClusterClient::new(self.channel(caller))
    }

    /// A request about users and roles.
    pub async fn auth(&mut self, caller: Caller, numbers: &Numbers, op: &AuthOp) -> Answer {
        let mut people = self.people(caller);
        match op.clone() {
            AuthOp::Enable => headed!(numbers, people.auth_enable(AuthEnableRequest {}).await),
            AuthOp::Disable => headed!(numbers, people.auth_disable(AuthDisableRequest {}).await),
            AuthOp::Status => answer(people.auth_status(AuthStatusRequest {}).await, |a| {
                a.auth_revision = a.auth_revision.wrapping_sub(numbers.auth_base);
                numbers.header_in(&mut a.header);
                a.header
            }),
            AuthOp::Login(request) => {
                let result = people.authenticate(request.clone()).await;
                if let Ok(given) = &result {
                    self.tokens.insert(request.name, given.get_ref().token.clone());
                }
                answer(result, |a| {
                    a.token = if a.token.is_empty() { "none" } else { "a token" }.into();
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            AuthOp::UserAdd(request) => headed!(numbers, people.user_add(request).await),
            AuthOp::UserGet(request) => headed!(numbers, people.user_get(request).await),
            AuthOp::UserList => headed!(numbers, people.user_list(AuthUserListRequest {}).await),
            AuthOp::UserDelete(request) => headed!(numbers, people.user_delete(request).await),
            AuthOp::UserPassword(request) => {
                headed!(numbers, people.user_change_password(request).await)
            }
            AuthOp::UserGrant(request) => headed!(numbers, people.user_grant_role(request).await),
            AuthOp::UserRevoke(request) => {
                headed!(numbers, people.user_revoke_role(request).await)
            }
            AuthOp::RoleAdd(request) => headed!(numbers, people.role_add(request).await),
            AuthOp::RoleGet(request) => headed!(numbers, people.role_get(request).await),
            AuthOp::RoleList => headed!(numbers, people.role_list(AuthRoleListRequest {}).await),
            AuthOp::RoleDelete(request) => headed!(numbers, people.role_delete(request).await),
            AuthOp::RoleGrant(request) => {
                headed!(numbers, people.role_grant_permission(request).await)
            }
            AuthOp::RoleRevoke(request) => {
                headed!(numbers, people.role_revoke_permission(request).await)
            }
        }
    }

    /// A request about members, alarms and the member that answers.
    pub async fn cluster(&mut self, caller: Caller, numbers: &Numbers, op: &ClusterOp) -> Answer {
        let mut cluster = self.members(caller);
        match op.clone() {
            ClusterOp::Members(linearizable) => {
                answer(cluster.member_list(MemberListRequest { linearizable }).await, |a| {
                    numbers.members_in(&mut a.members);
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            ClusterOp::AddLearner { url, member } => {
                let request = MemberAddRequest { peer_ur_ls: vec![url], is_learner: true };
                let mut result = cluster.member_add(request.clone()).await;
                if result.as_ref().is_err_and(|status| status.code() == Code::NotFound) {
                    // Etcd makes an id of the address and the second, and this one was removed in this second.
                    tokio::time::sleep(Duration::from_millis(1_100)).await;
                    result = cluster.member_add(request).await;
                }
                if let Ok(added) = &result
                    && let Some(real) = added.get_ref().member.as_ref().map(|added| added.id)
                {
                    lock(&self.numbers).members.insert(member, real);
                }
                let numbers = lock(&self.numbers).clone();
                answer(result, |a| {
                    numbers.members_in(&mut a.members);
                    numbers.members_in(a.member.as_mut_slice());
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            ClusterOp::Update { member, url } => {
                let id = numbers.member_out(member);
                let request = MemberUpdateRequest { id, peer_ur_ls: vec![url] };
                answer(cluster.member_update(request).await, |a| {
                    numbers.members_in(&mut a.members);
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            ClusterOp::Promote(member) => {
                let request = MemberPromoteRequest { id: numbers.member_out(member) };
                answer(cluster.member_promote(request).await, |a| {
                    numbers.members_in(&mut a.members);
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            ClusterOp::Remove(member) => {
                let request = MemberRemoveRequest { id: numbers.member_out(member) };
                answer(cluster.member_remove(request).await, |a| {
                    numbers.members_in(&mut a.members);
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            ClusterOp::Alarm(request) => {
                let member_id = numbers.member_out(request.member_id);
                let request = AlarmRequest { member_id, ..request };
                answer(self.maintenance(caller).alarm(request).await, |a| {
                    a.alarms.iter_mut().for_each(|alarm| {
                        alarm.member_id = numbers.member_in(alarm.member_id);
                    });
                    // They are in no order.
                    a.alarms.sort_by_key(|alarm| (alarm.member_id, alarm.alarm));
                    numbers.header_in(&mut a.header);
                    a.header
                })
            }
            ClusterOp::Status => self.status(caller, numbers).await,
        }
    }

    /// What two different servers can have in common of their state: who leads, whether it learns, and what is wrong.
    async fn status(&self, caller: Caller, numbers: &Numbers) -> Answer {
        match self.maintenance(caller).status(StatusRequest {}).await {
            Err(status) => refusal(&status),
            Ok(response) => {
                let status = response.into_inner();
                let real = numbers.member_out(MYSELF).to_string();
                let spell = |error: &String| {
                    let words: Vec<&str> = error.split_whitespace().collect();
                    words.join(" ").replace(&real, "myself")
                };
                let mut errors: Vec<String> = status.errors.iter().map(spell).collect();
                errors.sort_unstable();
                let leader = numbers.member_in(status.leader);
                let learner = status.is_learner;
                Answer::of(format!("leader {leader}, learner: {learner}, errors: {errors:?}"))
            }
        }
    }

    /// Turns authentication off and deletes users and roles; returns the auth revision.
    pub(super) async fn forget_people(&mut self) -> Result<u64, Status> {
        let caller = self.administrator().await?;
        let mut people = self.people(caller);
        if people.auth_status(AuthStatusRequest {}).await?.into_inner().enabled {
            people.auth_disable(AuthDisableRequest {}).await?;
        }
        let mut people = self.people(Caller::Nobody);
        for name in people.user_list(AuthUserListRequest {}).await?.into_inner().users {
            people.user_delete(AuthUserDeleteRequest { name }).await?;
        }
        for role in people.role_list(AuthRoleListRequest {}).await?.into_inner().roles {
            people.role_delete(AuthRoleDeleteRequest { role }).await?;
        }
        Ok(people.auth_status(AuthStatusRequest {}).await?.into_inner().auth_revision)
    }

    /// Clears alarms and removes every member but the one that answers, whose id is returned.
    pub(super) async fn forget_members(&mut self) -> Result<u64, Status> {
        let mut maintenance = self.maintenance(Caller::Nobody);
        let ask = |action: AlarmAction, member_id, alarm| AlarmRequest {
            action: action.into(),
            member_id,
            alarm,
        };
        let raised: AlarmResponse =
            maintenance.alarm(ask(AlarmAction::Get, 0, 0)).await?.into_inner();
        for alarm in raised.alarms {
            let off = ask(AlarmAction::Deactivate, alarm.member_id, alarm.alarm);
            maintenance.alarm(off).await?;
        }
        let mut cluster = self.members(Caller::Nobody);
        let list = cluster.member_list(MemberListRequest { linearizable: true }).await?;
        let list = list.into_inner();
        let myself = list.header.unwrap_or_default().member_id;
        for member in list.members.iter().filter(|member| member.id != myself) {
            cluster.member_remove(MemberRemoveRequest { id: member.id }).await?;
        }
        Ok(myself)
    }

    /// Somebody who may do everything: nobody in particular, or root with whatever password it has by now.
    async fn administrator(&mut self) -> Result<Caller, Status> {
        let mut people = self.people(Caller::Nobody);
        if !people.auth_status(AuthStatusRequest {}).await?.into_inner().enabled {
            return Ok(Caller::Nobody);
        }
        let mut refused = Status::unauthenticated("no password of root is known");
        for password in PASSWORDS {
            let request = AuthenticateRequest { name: ROOT.into(), password: password.into() };
            match people.authenticate(request).await {
                Ok(given) => {
                    // Under a name of its own: an episode's own logins of root are not touched.
                    self.tokens.insert(JUDGE.into(), given.into_inner().token);
                    return Ok(Caller::User(JUDGE));
                }
                Err(status) => refused = status,
            }
        }
        Err(refused)
    }

    /// Whether authentication is on.
    pub async fn is_guarded(&mut self) -> bool {
        let status = self.people(Caller::Nobody).auth_status(AuthStatusRequest {}).await;
        status.is_ok_and(|status| status.get_ref().enabled)
    }

    /// Deletes a key, whoever may.
    pub async fn delete_key(&mut self, key: &[u8]) -> Result<(), Status> {
        let caller = self.administrator().await?;
        let request =
            DeleteRangeRequest { key: key.to_vec().into(), ..DeleteRangeRequest::default() };
        self.kv(caller).delete_range(request).await.map(drop)
    }

    /// Whether a key exists, whoever may read it.
    pub async fn has_key(&mut self, key: &[u8]) -> Result<bool, Status> {
        let caller = self.administrator().await?;
        let request =
            RangeRequest { key: key.to_vec().into(), count_only: true, ..RangeRequest::default() };
        Ok(self.kv(caller).range(request).await?.into_inner().count > 0)
    }
}

/// A request about locks and elections.
///
/// It stands alone because it may wait, and be called back, while the side goes on.
pub async fn line(channel: Called, numbers: Numbers, op: LineOp) -> Answer {
    let mut election = ElectionClient::new(channel.clone());
    let mut locks = LockClient::new(channel);
    match op {
        LineOp::Lock(request) => {
            let result = locks.lock(request).await.map_err(any_code);
            headed!(numbers, result)
        }
        LineOp::Unlock(request) => headed!(numbers, locks.unlock(request).await.map_err(any_code)),
        LineOp::Campaign(request) => {
            let result = election.campaign(request).await.map_err(any_code);
            let mut won = None;
            let answer = answer(result, |a| {
                numbers.leader_in(&mut a.leader);
                numbers.header_in(&mut a.header);
                won = a.leader.clone();
                a.header
            });
            Answer { leader: won, ..answer }
        }
        LineOp::Proclaim(mut request) => {
            numbers.leader_out(&mut request.leader);
            headed!(numbers, election.proclaim(request).await.map_err(any_code))
        }
        LineOp::Leader(request) => {
            let result = election.leader(request).await.map_err(any_code);
            answer(result, |a| {
                a.kv.iter_mut().for_each(|pair| numbers.pair_in(pair));
                numbers.header_in(&mut a.header);
                a.header
            })
        }
        LineOp::Resign(mut request) => {
            numbers.leader_out(&mut request.leader);
            headed!(numbers, election.resign(request).await.map_err(any_code))
        }
        LineOp::Observe(request) => {
            let first = async {
                let mut answers = election.observe(request).await?.into_inner();
                let first = answers.message().await?;
                first.map(Response::new).ok_or_else(|| Status::cancelled("no answer"))
            };
            answer(first.await.map_err(any_code), |a| {
                a.kv.iter_mut().for_each(|pair| numbers.pair_in(pair));
                numbers.header_in(&mut a.header);
                a.header
            })
        }
    }
}

/// What is written down of a stream that ended without a word.
pub const ENDED: &str = "Cancelled: no answer";

/// What the administrator's token is kept under.
const JUDGE: &str = "(the judge)";

/// Locks and elections call the store from inside of etcd, and a refusal comes out with its text and the code Unknown; ours
/// have the text's code (docs/etcd-differences.md). Only the text is compared.
fn any_code(status: Status) -> Status {
    if status.message().starts_with("etcdserver: ") {
        Status::new(Code::Unknown, status.message())
    } else {
        status
    }
}
