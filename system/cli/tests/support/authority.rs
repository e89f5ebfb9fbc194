//! Certificates of an authority that a test makes up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};
use time::OffsetDateTime;

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Somebody who vouches for others.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
    pub certificate: PathBuf,
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Says<'a> {
    pub common_name: &'a str,
    pub hosts: &'a [&'a str],
    pub serial: u64,
    pub expired: bool,
}

impl Authority {
    /// An authority whose files lie in `directory`.
    pub fn new(directory: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        let certificate = directory.join(format!("{name}.pem"));
        std::fs::write(&certificate, issuer.pem()).expect("written");
        Authority { issuer, directory: directory.to_owned(), certificate }
    }

    /// Vouches for somebody; the files are called `name`.
    pub fn issue(&self, name: &str, says: &Says<'_>) -> Identity {
        let hosts: Vec<String> = says.hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("hosts");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, says.common_name);
        params.serial_number = Some(SerialNumber::from(says.serial));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = OffsetDateTime::now_utc();
        let (day, year) = (Duration::from_secs(86_400), Duration::from_secs(365 * 86_400));
        params.not_before = now - year;
        params.not_after = if says.expired { now - day } else { now + year };
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let identity = Identity {
            certificate: self.directory.join(format!("{name}.crt")),
            key: self.directory.join(format!("{name}.key")),
        };
        std::fs::write(&identity.certificate, signed.pem()).expect("written");
        std::fs::write(&identity.key, key.serialize_pem()).expect("written");
        identity
    }

    /// A list that revokes these serial numbers, as a file.
    pub fn revoke(&self, serials: &[u64]) -> PathBuf {
        let now = OffsetDateTime::now_utc();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now - Duration::from_secs(3600),
            next_update: now + Duration::from_secs(86_400),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("signed");
        let path = self.directory.join("revoked.pem");
        std::fs::write(&path, list.pem().expect("PEM")).expect("written");
        path
    }
}

/// A client's certificate for `common_name`.
pub fn client(common_name: &str) -> Says<'_> {
    Says { common_name, hosts: &[], serial: 7, expired: false }
}

/// A server's certificate for this machine.
pub fn server() -> Says<'static> {
    Says { common_name: "server", hosts: &["127.0.0.1", "localhost"], serial: 2, expired: false }
}
