//! How the load generator reaches the members: in the clear and as nobody, or over TLS and as a user.
//!
//! With `--secure` clients and members speak TLS, members show each other certificates, and every call carries the
//! token of a user whose role may write all keys: what a careful operator runs. Both systems have the same certificate,
//! and simple tokens, which are their default.

use std::path::Path;

use http::HeaderValue;
use quorate_tls::{CipherSuites, ClientFiles, ClientTls, TlsError, Versions, self_signed};
use quorate_wire::etcd::authpb::permission::Type;
use quorate_wire::etcd::authpb::{Permission, UserAddOptions};
use quorate_wire::etcd::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest,
};

use super::connection::Connection;
use super::failure::{Failure, Result, rpc_failure};

/// Who loads the systems.
const USER: &str = "bench";

/// Nobody has to guess it.
const PASSWORD: &str = "bench";

/// Every member's host.
const HOST: &str = "127.0.0.1";

/// What it takes to reach the members of one cluster.
#[derive(Clone, Default)]
pub struct Access {
    /// How connections are secured; `None` is in the clear.
    pub tls: Option<ClientTls>,
    /// The token that calls carry.
    pub token: Option<HeaderValue>,
    /// Whether calls need a token by now.
    is_on: bool,
}

impl Access {
    /// Access over TLS, and the flags that members need for it. The certificate is made in `directory`.
    pub fn secure(directory: &Path) -> Result<(Access, Vec<String>)> {
        let failed = |error: TlsError| Failure::Setup(error.to_string());
        let made = self_signed(&directory.join("certificate"), &[HOST.to_owned()], 1);
        let (certificate, key) = made.map_err(failed)?;
        let tls = ClientTls::new(ClientFiles {
            trusted: Some(certificate.clone()),
            identity: None,
            skip_verify: false,
            versions: Versions::between("TLS1.3", "").map_err(failed)?,
            suites: CipherSuites::named(Vec::new()).map_err(failed)?,
            protocols: vec![b"h2".to_vec()],
        });
        let tls = Some(tls.map_err(failed)?);
        let (certificate, key) = (certificate.display(), key.display());
        let flags = vec![
            format!("--cert-file={certificate}"),
            format!("--key-file={key}"),
            format!("--peer-cert-file={certificate}"),
            format!("--peer-key-file={key}"),
            format!("--peer-trusted-ca-file={certificate}"),
            "--peer-client-cert-auth=true".to_owned(),
            // Longer than any run.
            "--auth-token-ttl=86400".to_owned(),
        ];
        Ok((Access { tls, token: None, is_on: false }, flags))
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Makes the users and switches authentication on, if connections are secured.
    pub async fn switch_on(&mut self, address: &str) -> Result<()> {
        if self.tls.is_none() || self.is_on {
            return Ok(());
        }
        let mut auth = Connection::open(address, self).await?.auth();
        for name in ["root", USER] {
            let options = Some(UserAddOptions::default());
            let (name, password) = (name.to_owned(), PASSWORD.to_owned());
            let role = name.clone();
            let user =
                AuthUserAddRequest { name, password, options, ..AuthUserAddRequest::default() };
            auth.user_add(user.clone()).await.map_err(rpc_failure("add a user"))?;
            let added = auth.role_add(AuthRoleAddRequest { name: role.clone() }).await;
            added.map_err(rpc_failure("add a role"))?;
            let grant = AuthUserGrantRoleRequest { user: user.name, role };
            auth.user_grant_role(grant).await.map_err(rpc_failure("grant a role"))?;
        }
        let all = b"\0".to_vec();
        let perm = Permission {
            perm_type: Type::Readwrite.into(),
            key: all.clone().into(),
            range_end: all.into(),
        };
        let grant = AuthRoleGrantPermissionRequest { name: USER.to_owned(), perm: Some(perm) };
        auth.role_grant_permission(grant).await.map_err(rpc_failure("grant a permission"))?;
        let enabled = auth.auth_enable(AuthEnableRequest::default()).await;
        enabled.map_err(rpc_failure("enable authentication"))?;
        self.is_on = true;
        Ok(())
    }

    /// Gets a new token, if calls need one: a cluster that was killed has forgotten the old one.
    pub async fn log_in(&mut self, address: &str) -> Result<()> {
        if !self.is_on {
            return Ok(());
        }
        self.token = None;
        let request = AuthenticateRequest { name: USER.to_owned(), password: PASSWORD.to_owned() };
        let answer = Connection::open(address, self).await?.auth().authenticate(request).await;
        let token = answer.map_err(rpc_failure("log in"))?.into_inner().token;
        let token = HeaderValue::from_str(&token);
        self.token = Some(token.map_err(|_| Failure::Wrong("a token is no text".to_owned()))?);
        Ok(())
    }
}
