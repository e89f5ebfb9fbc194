//! What the certificate of the other side says.

use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// A certificate that was verified in a handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerCertificate {
    der: CertificateDer<'static>,
}

/// The object identifier 2.5.4.3 (common name) as DER writes it.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Takes one element off the front: its tag and its content.
fn take<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        // Names are short: more than two bytes of length are nobody's name.
        0x81 | 0x82 => {
            let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    *input = after;
    Some((tag, content))
}

impl PeerCertificate {
    /// The leaf of a chain.
    pub fn of(chain: Option<&[CertificateDer<'_>]>) -> Option<PeerCertificate> {
        Some(PeerCertificate { der: chain?.first()?.clone().into_owned() })
    }

    /// The subject's common name; the last one if there are several, as Go takes it.
    pub fn common_name(&self) -> Option<String> {
        let certificate = EndEntityCert::try_from(&self.der).ok()?;
        let mut names = certificate.subject();
        let mut found = None;
        while let Some((SET, mut set)) = take(&mut names) {
            while let Some((SEQUENCE, mut pair)) = take(&mut set) {
                if let Some((OBJECT_IDENTIFIER, COMMON_NAME)) = take(&mut pair) {
                    let (_, text) = take(&mut pair)?;
                    found = String::from_utf8(text.to_vec()).ok();
                }
            }
        }
        found.filter(|name| !name.is_empty())
    }

    /// Whether it stands for this host, a name or an IP address.
    pub fn is_valid_for(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let (Ok(certificate), Ok(name)) =
            (EndEntityCert::try_from(&self.der), ServerName::try_from(host))
        else {
            return false;
        };
        certificate.verify_is_valid_for_subject_name(&name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate(common_name: &str, hosts: &[&str]) -> PeerCertificate {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("hosts");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "an organisation");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        PeerCertificate { der: params.self_signed(&key).expect("signed").der().clone() }
    }

    #[test]
    fn the_common_name_is_found_among_others() {
        assert_eq!(certificate("alice", &[]).common_name().as_deref(), Some("alice"));
        let long = "ä".repeat(100);
        assert_eq!(certificate(&long, &[]).common_name(), Some(long));
        assert_eq!(certificate("", &[]).common_name(), None);
    }

    #[test]
    fn a_certificate_stands_for_the_hosts_that_it_names() {
        let certificate =
            certificate("n1", &["n1.example", "*.cluster.example", "127.0.0.2", "::1"]);
        for host in ["n1.example", "n7.cluster.example", "127.0.0.2", "[::1]"] {
            assert!(certificate.is_valid_for(host), "{host}");
        }
        for host in ["n2.example", "n1", "a.b.cluster.example", "127.0.0.1", "", "not a host"] {
            assert!(!certificate.is_valid_for(host), "{host}");
        }
    }

    #[test]
    fn nonsense_has_no_name() {
        for bytes in [&b""[..], b"\x30", b"\x30\x82\xff\xff", b"\x31\x84\0\0\0\x01"] {
            let certificate = PeerCertificate { der: bytes.to_vec().into() };
            assert_eq!(certificate.common_name(), None);
            assert!(!certificate.is_valid_for("localhost"));
        }
        let mut long = &[0x31, 0x82, 0x01][..];
        assert_eq!(take(&mut long), None);
    }
}
