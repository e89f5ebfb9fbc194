//! Reading certificates, keys and lists, and what else a configuration is made of.

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{RootCertStore, SupportedProtocolVersion};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why TLS cannot be set up. Names the file or the setting.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{path}: {why}", path = path.display())]
    #[allow(missing_docs)]
    File { path: PathBuf, why: String },
    /// The settings contradict each other, or name what is not there.
    #[error("{0}")]
    Settings(String),
}

impl TlsError {
    fn file(path: &Path, why: impl std::fmt::Display) -> TlsError {
        TlsError::File { path: path.to_owned(), why: why.to_string() }
    }
}

/// The TLS versions that are spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    /// Not only 1.3.
    pub twelve: bool,
    /// Not only 1.2.
    pub thirteen: bool,
}

impl Versions {
    /// 1.2 and 1.3.
    pub const ALL: Versions = Versions { twelve: true, thirteen: true };

    /// From etcd's flags: `TLS1.2`, `TLS1.3`, or nothing for no bound.
    ///
    /// # Errors
    /// The least is above the most, or neither is known.
    pub fn between(least: &str, most: &str) -> Result<Versions, TlsError> {
        let twelve = least != "TLS1.3";
        let thirteen = most != "TLS1.2";
        if !twelve && !thirteen {
            let why = format!("the least TLS version {least} is above the most, {most}");
            return Err(TlsError::Settings(why));
        }
        Ok(Versions { twelve, thirteen })
    }

    pub(crate) fn list(self) -> Vec<&'static SupportedProtocolVersion> {
        let twelve = self.twelve.then_some(&rustls::version::TLS12);
        twelve.into_iter().chain(self.thirteen.then_some(&rustls::version::TLS13)).collect()
    }
}

/// Which of the cipher suites of TLS 1.2 are offered; those of 1.3 always are, as in Go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CipherSuites(Vec<String>);

impl CipherSuites {
    /// From their names; none is all.
    ///
    /// # Errors
    /// A name is unknown, or of a suite that is too weak to be offered.
    pub fn named(names: Vec<String>) -> Result<CipherSuites, TlsError> {
        let known = of_twelve();
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            return Err(TlsError::Settings(format!(
                "{name:?} is no cipher suite of TLS 1.2 that is offered here; those are {}",
                known.join(", ")
            )));
        }
        Ok(CipherSuites(names))
    }

    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = ring::default_provider();
        if !self.0.is_empty() {
            provider
                .cipher_suites
                .retain(|suite| suite.tls13().is_some() || self.0.contains(&name(suite)));
        }
        Arc::new(provider)
    }
}

fn name(suite: &rustls::SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite())
}

fn of_twelve() -> Vec<String> {
    let suites = ring::default_provider().cipher_suites;
    suites.iter().filter(|suite| suite.tls13().is_none()).map(name).collect()
}

/// The certificates in a file, the leaf first.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|e| TlsError::file(path, e))?;
    let read: Result<Vec<_>, _> = read.collect();
    let read = read.map_err(|e| TlsError::file(path, e))?;
    if read.is_empty() {
        return Err(TlsError::file(path, "there is no certificate in it"));
    }
    Ok(read)
}

/// The key in a file.
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| TlsError::file(path, e))
}

/// The authorities in a file.
pub(crate) fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|e| TlsError::file(path, e))?;
    }
    Ok(Arc::new(store))
}

/// The lists of revoked certificates in a file, in PEM or DER.
pub(crate) fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = std::fs::read(path).map_err(|e| TlsError::file(path, e))?;
    if !bytes.starts_with(b"-----BEGIN") {
        return Ok(vec![CertificateRevocationListDer::from(bytes)]);
    }
    let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let read = read.map_err(|e| TlsError::file(path, e))?;
    // Without one everybody who was revoked would be let in again.
    if read.is_empty() {
        return Err(TlsError::file(
            path,
            "there is no list of revoked certificates (X509 CRL) in it",
        ));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_unknown_suites_are_refused_by_name() {
        let good = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned();
        let chosen = CipherSuites::named(vec![good.clone()]).expect("offered");
        let suites = &chosen.provider().cipher_suites;
        assert!(suites.iter().any(|suite| name(suite) == good));
        assert_eq!(suites.iter().filter(|suite| suite.tls13().is_none()).count(), 1);
        let weak = CipherSuites::named(vec!["TLS_RSA_WITH_RC4_128_SHA".to_owned()]);
        assert!(weak.expect_err("weak").to_string().contains(&good));
    }

    #[test]
    fn versions_have_an_order() {
        assert_eq!(Versions::between("TLS1.2", ""), Ok(Versions::ALL));
        let only_new = Versions::between("TLS1.3", "TLS1.3").expect("one");
        assert_eq!((only_new.twelve, only_new.list().len()), (false, 1));
        assert!(Versions::between("TLS1.3", "TLS1.2").is_err());
    }
}
