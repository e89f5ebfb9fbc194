//! The side that is called.

use crate::certificate::PeerCertificate;
use crate::files::{CipherSuites, TlsError, Versions, certificates, key, revoked, roots};
use crate::reload::Reloading;
use rustls::ServerConfig;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use std::io;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a listening side is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFiles {
    /// Its certificate, with those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who may vouch for those who call. With this they must show a certificate.
    pub trusted: Option<PathBuf>,
    /// Certificates that do not count any more.
    pub revoked: Option<PathBuf>,
    /// The common name that a caller's certificate must have, if any.
    pub allowed_common_name: Option<String>,
    /// Hosts of which a caller's certificate must name one, if there are any.
    pub allowed_hosts: Vec<String>,
    /// The versions spoken.
    pub versions: Versions,
    /// The cipher suites of TLS 1.2.
    pub suites: CipherSuites,
    /// What may be spoken over it, best first.
    pub protocols: Vec<Vec<u8>>,
}

impl ServerFiles {
    fn paths(&self) -> Vec<PathBuf> {
        let paths = [Some(&self.certificate), Some(&self.key)];
        let paths = paths.into_iter().chain([self.trusted.as_ref(), self.revoked.as_ref()]);
        paths.flatten().cloned().collect()
    }

    fn build(&self) -> Result<ServerConfig, TlsError> {
        let provider = self.suites.provider();
        let say = |error: &dyn std::fmt::Display, path: &PathBuf| TlsError::File {
            path: path.clone(),
            why: error.to_string(),
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions.list())
            .map_err(|error| TlsError::Settings(error.to_string()))?;
        let builder = match &self.trusted {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots(path)?, provider);
                let verifier = match &self.revoked {
                    None => verifier,
                    // A list says who is revoked by whom; of other authorities it says nothing.
                    Some(list) => verifier
                        .with_crls(revoked(list)?)
                        .only_check_end_entity_revocation()
                        .allow_unknown_revocation_status(),
                };
                let listed = self.revoked.as_ref().unwrap_or(path);
                builder.with_client_cert_verifier(verifier.build().map_err(|e| match e {
                    VerifierBuilderError::InvalidCrl(why) => TlsError::File {
                        path: listed.clone(),
                        why: format!(
                            "{why:?}: a list of revoked certificates must be of version 2 with a \
                             crlNumber (openssl: crl_extensions with authorityKeyIdentifier)"
                        ),
                    },
                    other => say(&other, listed),
                })?)
            }
        };
        let (certificate, key) = (certificates(&self.certificate)?, key(&self.key)?);
        let config = builder.with_single_cert(certificate, key);
        let mut config = config.map_err(|error| say(&error, &self.certificate))?;
        config.alpn_protocols.clone_from(&self.protocols);
        Ok(config)
    }
}

/// A listening side.
pub struct ServerTls {
    files: ServerFiles,
    config: Reloading<ServerConfig>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// They are missing, or do not belong together.
    pub fn new(files: ServerFiles) -> Result<ServerTls, TlsError> {
        let from = files.clone();
        let config = Reloading::new(files.paths(), move || from.build())?;
        Ok(ServerTls { files, config })
    }

    /// Whether callers must show a certificate.
    pub fn verifies(&self) -> bool {
        self.files.trusted.is_some()
    }

    /// The handshake with one caller, and its certificate if it was asked for one.
    ///
    /// # Errors
    /// It failed, or the certificate is not one of those allowed.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, Option<PeerCertificate>)> {
        let acceptor = TlsAcceptor::from(self.config.get());
        let stream = acceptor.accept(stream).await?;
        let certificate = PeerCertificate::of(stream.get_ref().1.peer_certificates());
        self.check(certificate.as_ref())
            .map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why))?;
        Ok((stream, certificate))
    }

    fn check(&self, certificate: Option<&PeerCertificate>) -> Result<(), String> {
        let ServerFiles { allowed_common_name, allowed_hosts, .. } = &self.files;
        let Some(certificate) = certificate else { return Ok(()) };
        if let Some(allowed) = allowed_common_name {
            let shown = certificate.common_name().unwrap_or_default();
            if shown != *allowed {
                return Err(format!("the certificate's common name {shown:?} is not {allowed:?}"));
            }
        }
        let names_one = || allowed_hosts.iter().any(|host| certificate.is_valid_for(host));
        if !allowed_hosts.is_empty() && !names_one() {
            let hosts = allowed_hosts.join(", ");
            return Err(format!("the certificate names none of the hosts allowed: {hosts}"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("ServerTls").field(&self.files).finish()
    }
}
