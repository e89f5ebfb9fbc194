//! The side that calls.

use crate::files::{CipherSuites, TlsError, Versions, certificates, key, roots};
use crate::reload::Reloading;
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a calling side is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFiles {
    /// Who may vouch for those who are called; without this, the system's authorities.
    pub trusted: Option<PathBuf>,
    /// The certificate and the key to show, if any.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Believe everybody. For trying things out, and for certificates that members made themselves.
    pub skip_verify: bool,
    /// The versions spoken.
    pub versions: Versions,
    /// The cipher suites of TLS 1.2.
    pub suites: CipherSuites,
    /// What shall be spoken over it, best first.
    pub protocols: Vec<Vec<u8>>,
}

/// Where systems keep the authorities that they trust.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl ClientFiles {
    fn paths(&self) -> Vec<PathBuf> {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.trusted.iter().chain(identity).cloned().collect()
    }

    fn build(&self) -> Result<ClientConfig, TlsError> {
        let provider = self.suites.provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions.list())
            .map_err(|error| TlsError::Settings(error.to_string()))?;
        let builder = if self.skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((path, key_path)) => {
                let config = builder.with_client_auth_cert(certificates(path)?, key(key_path)?);
                config.map_err(|error| TlsError::File {
                    path: path.clone(),
                    why: error.to_string(),
                })?
            }
        };
        config.alpn_protocols.clone_from(&self.protocols);
        Ok(config)
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        if let Some(path) = &self.trusted {
            return roots(path);
        }
        let known = SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
        let Some(path) = known else {
            let why = "this system has no bundle of authorities; name one (--cacert)";
            return Err(TlsError::Settings(why.to_owned()));
        };
        let mut store = RootCertStore::empty();
        // A system's bundle holds old ones that nobody can read any more; they vouch for nobody.
        store.add_parsable_certificates(certificates(&path)?);
        Ok(Arc::new(store))
    }
}

/// A calling side. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<Reloading<ClientConfig>>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// They are missing, or do not belong together.
    pub fn new(files: ClientFiles) -> Result<ClientTls, TlsError> {
        let paths = files.paths();
        let config = Reloading::new(paths, move || files.build())?;
        Ok(ClientTls { config: Arc::new(config) })
    }

    /// The handshake with `host`, a name or an IP address.
    ///
    /// # Errors
    /// It failed, or the certificate does not stand for the host.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(self.config.get()).connect(name, stream).await
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ClientTls")
    }
}

/// Believes every certificate, and still checks that its owner signs.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
