//! Certificates made on the spot (`--auto-tls`): they keep listeners out and prove nothing.

use crate::files::TlsError;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The certificate and the key in `directory`, made if they are not there: for these hosts, valid
/// for so many years. Nobody but this user can read the key.
///
/// # Errors
/// They cannot be written, or a host is no host.
pub fn self_signed(
    directory: &Path,
    hosts: &[String],
    years: u64,
) -> Result<(PathBuf, PathBuf), TlsError> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| TlsError::File {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let (certificate_path, key_path) = (directory.join("cert.pem"), directory.join("key.pem"));
    let lifetime = Duration::from_secs(years * 365 * 24 * 3600);
    if is_younger(&certificate_path, lifetime) && key_path.exists() {
        return Ok((certificate_path, key_path));
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|e| failed(directory, &e))?;
    let made = make(hosts, lifetime).map_err(|e| failed(&certificate_path, &e))?;
    for (path, text) in [(&key_path, made.1), (&certificate_path, made.0)] {
        // A file of another age may have other rights.
        let _ = fs::remove_file(path);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| failed(path, &e))?;
    }
    tracing::warn!(
        directory = %directory.display(),
        "made a certificate for itself: it hides what is said and proves nobody's identity"
    );
    Ok((certificate_path, key_path))
}

/// Whether a certificate that was written then is still valid.
fn is_younger(path: &Path, lifetime: Duration) -> bool {
    let written = fs::metadata(path).and_then(|data| data.modified());
    written.is_ok_and(|written| {
        SystemTime::now().duration_since(written).is_ok_and(|age| age < lifetime)
    })
}

fn make(hosts: &[String], lifetime: Duration) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name.push(DnType::OrganizationName, "quorate");
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let now = time::OffsetDateTime::from(SystemTime::now());
    // A clock that is a little behind shall not refuse it.
    params.not_before = now - Duration::from_secs(3600);
    params.not_after = now + lifetime;
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}
