//! `etcdserverpb.Auth`: users, roles and tokens (contract item 65).
//!
//! Changes go through the log and are judged there. A password never does: what the log holds is
//! its hash, made on a thread that serves no clients, and what was checked against it is named by
//! the auth revision at which it was checked.

use crate::caller::Known;
use crate::errors;
use crate::kv::settled;
use crate::service::Service;
use bytes::Bytes;
use quorate_store::{
    Action, Allows, Answer, AuthChange, AuthError, Caller, Grant, KeyRange, MAX_KEY_BYTES, ROOT,
    StoreError,
};
use quorate_wire::etcd::authpb;
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::auth_server::Auth;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct AuthService(pub Arc<Service>);

fn text(name: &Bytes) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// bcrypt looks at so many bytes; etcd refuses more, and so do we.
const MAX_PASSWORD_BYTES: usize = 72;

/// Refuses a name that no engine could hold as a part of a key: its entry would stop every member.
fn check_name(name: &str) -> Result<(), Status> {
    match name.len() {
        bytes if bytes > MAX_KEY_BYTES => Err(errors::name_too_long(bytes, MAX_KEY_BYTES)),
        _short => Ok(()),
    }
}

fn sleeping(error: tokio::task::JoinError) -> Status {
    Status::internal(error.to_string())
}

impl AuthService {
    /// Puts a change through the log; returns the header of its answer.
    async fn change<T>(
        &self,
        request: &Request<T>,
        change: AuthChange,
    ) -> Result<Option<pb::ResponseHeader>, Status> {
        let caller = self.0.caller(request)?;
        match settled(self.0.write(caller, Action::Auth(change)).await?)? {
            (Answer::Auth, revision) => Ok(self.0.header(revision)),
            (other, _) => Err(Status::internal(format!("a change of users answered {other:?}"))),
        }
    }

    /// The hash of a password. It takes tens of milliseconds of a core.
    async fn hash(&self, password: String) -> Result<Bytes, Status> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Status::unknown("bcrypt: password length exceeds 72 bytes"));
        }
        let cost = self.0.tokens.bcrypt_cost();
        let hash = tokio::task::spawn_blocking(move || bcrypt::hash(password, cost)).await;
        let hash = hash.map_err(sleeping)?.map_err(|error| Status::internal(error.to_string()))?;
        Ok(hash.into())
    }

    /// Checks a password against what the newest state says; returns the auth revision of that.
    async fn check_password(&self, name: &str, password: String) -> Result<u64, Status> {
        let view = self.0.linearizable().await?;
        let auth = view.auth();
        if !auth.enabled() {
            return Err(errors::auth_not_enabled());
        }
        let user = auth.user(name.as_bytes()).ok_or_else(errors::authentication_failed)?;
        let hash = user.password.clone().ok_or_else(errors::no_password_user)?;
        let verify = move || {
            // An empty hash is a password that was taken away.
            std::str::from_utf8(&hash).is_ok_and(|hash| {
                password.len() <= MAX_PASSWORD_BYTES
                    && bcrypt::verify(password, hash).unwrap_or(false)
            })
        };
        let right = tokio::task::spawn_blocking(verify).await.map_err(sleeping)?;
        if right { Ok(auth.revision()) } else { Err(errors::authentication_failed()) }
    }

    /// What may be looked at by root, or by whom it is about.
    async fn look<T>(
        &self,
        request: &Request<T>,
        is_own: impl FnOnce(&quorate_store::Auth, &Bytes) -> bool,
    ) -> Result<Arc<quorate_host::View>, Status> {
        let known = Known::of(request);
        let view = self.0.linearizable().await?;
        if let Err(refusal) = self.0.may_manage(&known, &view) {
            let own = known.user().is_some_and(|user| is_own(view.auth(), user));
            if !own {
                return Err(refusal);
            }
        }
        Ok(view)
    }
}

/// A permission as etcd shows it.
fn shown(range: &KeyRange, allows: Allows) -> authpb::Permission {
    let kind = match allows {
        Allows::Read => authpb::permission::Type::Read,
        Allows::Write => authpb::permission::Type::Write,
        Allows::ReadWrite => authpb::permission::Type::Readwrite,
    };
    authpb::Permission {
        perm_type: kind.into(),
        key: range.key.clone(),
        range_end: range.end.clone(),
    }
}

fn granted(permission: authpb::Permission) -> Result<Grant, Status> {
    let allows = match authpb::permission::Type::try_from(permission.perm_type) {
        Ok(authpb::permission::Type::Read) => Allows::Read,
        Ok(authpb::permission::Type::Write) => Allows::Write,
        Ok(authpb::permission::Type::Readwrite) => Allows::ReadWrite,
        Err(_) => return Err(errors::invalid_auth_management()),
    };
    Ok(Grant { range: KeyRange { key: permission.key, end: permission.range_end }, allows })
}

#[tonic::async_trait]
impl Auth for AuthService {
    async fn auth_enable(
        &self,
        request: Request<pb::AuthEnableRequest>,
    ) -> Result<Response<pb::AuthEnableResponse>, Status> {
        let header = self.change(&request, AuthChange::Enable).await?;
        Ok(Response::new(pb::AuthEnableResponse { header }))
    }

    async fn auth_disable(
        &self,
        request: Request<pb::AuthDisableRequest>,
    ) -> Result<Response<pb::AuthDisableResponse>, Status> {
        let header = self.change(&request, AuthChange::Disable).await?;
        Ok(Response::new(pb::AuthDisableResponse { header }))
    }

    async fn auth_status(
        &self,
        _request: Request<pb::AuthStatusRequest>,
    ) -> Result<Response<pb::AuthStatusResponse>, Status> {
        let view = self.0.linearizable().await?;
        Ok(Response::new(pb::AuthStatusResponse {
            header: self.0.header(view.revision()),
            enabled: view.auth().enabled(),
            auth_revision: view.auth().revision(),
        }))
    }

    async fn authenticate(
        &self,
        request: Request<pb::AuthenticateRequest>,
    ) -> Result<Response<pb::AuthenticateResponse>, Status> {
        let pb::AuthenticateRequest { name, password } = request.into_inner();
        loop {
            let auth_revision = self.check_password(&name, password.clone()).await?;
            let token = self.0.tokens.prefix()?;
            let login = AuthChange::Authenticate { user: name.clone().into(), token };
            let caller = Caller { auth_revision, ..Caller::default() };
            let outcome = self.0.write(caller, Action::Auth(login)).await?;
            if outcome.result == Err(StoreError::Auth(AuthError::OldRevision)) {
                // Users or roles changed since the password was checked: it is checked again.
                continue;
            }
            let (answer, revision) = settled(outcome)?;
            let Answer::Authenticate { token, revision: signed_at } = answer else {
                return Err(Status::internal(format!("a login answered {answer:?}")));
            };
            let token = match token {
                Some(token) => text(&token),
                None => self.0.tokens.sign(&name, signed_at)?,
            };
            let header = self.0.header(revision);
            return Ok(Response::new(pb::AuthenticateResponse { header, token }));
        }
    }

    async fn user_add(
        &self,
        mut request: Request<pb::AuthUserAddRequest>,
    ) -> Result<Response<pb::AuthUserAddResponse>, Status> {
        let asked = std::mem::take(request.get_mut());
        check_name(&asked.name)?;
        let none = asked.options.is_some_and(|options| options.no_password);
        let password = if none { None } else { Some(self.hash(asked.password).await?) };
        let change = AuthChange::UserAdd { user: asked.name.into(), password };
        let header = self.change(&request, change).await?;
        Ok(Response::new(pb::AuthUserAddResponse { header }))
    }

    async fn user_get(
        &self,
        request: Request<pb::AuthUserGetRequest>,
    ) -> Result<Response<pb::AuthUserGetResponse>, Status> {
        let name = Bytes::from(request.get_ref().name.clone());
        let view = self.look(&request, |_, user| *user == name).await?;
        let user = view.auth().user(&name).ok_or_else(errors::user_not_found)?;
        let roles = user.roles.iter().map(text).collect();
        Ok(Response::new(pb::AuthUserGetResponse { header: self.0.header(view.revision()), roles }))
    }

    async fn user_list(
        &self,
        request: Request<pb::AuthUserListRequest>,
    ) -> Result<Response<pb::AuthUserListResponse>, Status> {
        let view = self.look(&request, |_, _| false).await?;
        let users = view.auth().users().map(text).collect();
        Ok(Response::new(pb::AuthUserListResponse {
            header: self.0.header(view.revision()),
            users,
        }))
    }

    async fn user_delete(
        &self,
        request: Request<pb::AuthUserDeleteRequest>,
    ) -> Result<Response<pb::AuthUserDeleteResponse>, Status> {
        let user = Bytes::from(request.get_ref().name.clone());
        let header = self.change(&request, AuthChange::UserDelete { user }).await?;
        Ok(Response::new(pb::AuthUserDeleteResponse { header }))
    }

    async fn user_change_password(
        &self,
        mut request: Request<pb::AuthUserChangePasswordRequest>,
    ) -> Result<Response<pb::AuthUserChangePasswordResponse>, Status> {
        let asked = std::mem::take(request.get_mut());
        // As in etcd, an empty password takes the old one away and sets none.
        let password = match asked.password.is_empty() {
            true => Bytes::new(),
            false => self.hash(asked.password).await?,
        };
        let change = AuthChange::UserPassword { user: asked.name.into(), password };
        let header = self.change(&request, change).await?;
        Ok(Response::new(pb::AuthUserChangePasswordResponse { header }))
    }

    async fn user_grant_role(
        &self,
        request: Request<pb::AuthUserGrantRoleRequest>,
    ) -> Result<Response<pb::AuthUserGrantRoleResponse>, Status> {
        let pb::AuthUserGrantRoleRequest { user, role } = request.get_ref().clone();
        let change = AuthChange::UserGrantRole { user: user.into(), role: role.into() };
        let header = self.change(&request, change).await?;
        Ok(Response::new(pb::AuthUserGrantRoleResponse { header }))
    }

    async fn user_revoke_role(
        &self,
        request: Request<pb::AuthUserRevokeRoleRequest>,
    ) -> Result<Response<pb::AuthUserRevokeRoleResponse>, Status> {
        let pb::AuthUserRevokeRoleRequest { name, role } = request.get_ref().clone();
        let change = AuthChange::UserRevokeRole { user: name.into(), role: role.into() };
        let header = self.change(&request, change).await?;
        Ok(Response::new(pb::AuthUserRevokeRoleResponse { header }))
    }

    async fn role_add(
        &self,
        request: Request<pb::AuthRoleAddRequest>,
    ) -> Result<Response<pb::AuthRoleAddResponse>, Status> {
        check_name(&request.get_ref().name)?;
        let role = Bytes::from(request.get_ref().name.clone());
        let header = self.change(&request, AuthChange::RoleAdd { role }).await?;
        Ok(Response::new(pb::AuthRoleAddResponse { header }))
    }

    async fn role_get(
        &self,
        request: Request<pb::AuthRoleGetRequest>,
    ) -> Result<Response<pb::AuthRoleGetResponse>, Status> {
        let name = Bytes::from(request.get_ref().role.clone());
        let has = |auth: &quorate_store::Auth, user: &Bytes| {
            auth.user(user).is_some_and(|user| user.roles.contains(&name))
        };
        let view = self.look(&request, has).await?;
        let role = view.auth().role(&name).ok_or_else(errors::role_not_found)?;
        let perm = if name == ROOT {
            // What root may do is written nowhere; this is how etcd shows it.
            let all = KeyRange { key: Bytes::new(), end: Bytes::from_static(&[0]) };
            vec![shown(&all, Allows::ReadWrite)]
        } else {
            role.iter().map(|(range, allows)| shown(range, *allows)).collect()
        };
        Ok(Response::new(pb::AuthRoleGetResponse { header: self.0.header(view.revision()), perm }))
    }

    async fn role_list(
        &self,
        request: Request<pb::AuthRoleListRequest>,
    ) -> Result<Response<pb::AuthRoleListResponse>, Status> {
        let view = self.look(&request, |_, _| false).await?;
        let roles = view.auth().roles().map(text).collect();
        Ok(Response::new(pb::AuthRoleListResponse {
            header: self.0.header(view.revision()),
            roles,
        }))
    }

    async fn role_delete(
        &self,
        request: Request<pb::AuthRoleDeleteRequest>,
    ) -> Result<Response<pb::AuthRoleDeleteResponse>, Status> {
        let role = Bytes::from(request.get_ref().role.clone());
        let header = self.change(&request, AuthChange::RoleDelete { role }).await?;
        Ok(Response::new(pb::AuthRoleDeleteResponse { header }))
    }

    async fn role_grant_permission(
        &self,
        request: Request<pb::AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<pb::AuthRoleGrantPermissionResponse>, Status> {
        let pb::AuthRoleGrantPermissionRequest { name, perm } = request.get_ref().clone();
        let grant = granted(perm.ok_or_else(errors::permission_not_given)?)?;
        let change = AuthChange::RoleGrant { role: name.into(), grant };
        let header = self.change(&request, change).await?;
        Ok(Response::new(pb::AuthRoleGrantPermissionResponse { header }))
    }

    async fn role_revoke_permission(
        &self,
        request: Request<pb::AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<pb::AuthRoleRevokePermissionResponse>, Status> {
        let asked = request.get_ref().clone();
        let range = KeyRange { key: asked.key, end: asked.range_end };
        let change = AuthChange::RoleRevoke { role: asked.role.into(), range };
        let header = self.change(&request, change).await?;
        Ok(Response::new(pb::AuthRoleRevokePermissionResponse { header }))
    }
}
