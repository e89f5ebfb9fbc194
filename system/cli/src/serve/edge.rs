//! What stands at a member's sockets, from its flags.

use std::path::{Path, PathBuf};

use quorate_server::{Edge, ListenTls, PeerTls, SelfSigned};
use quorate_tls::{CipherSuites, ClientFiles, ServerFiles, TlsError, Versions};

use super::FlagError;
use super::settings::Settings;
use super::value;

/// The part of the configuration that is about sockets.
///
/// # Errors
/// A URL asks for TLS and nothing says with which certificate; settings that contradict each other.
pub fn edge(settings: &Settings) -> Result<Edge, FlagError> {
    let words = |name: &str| words(settings, name);
    Ok(Edge {
        client_tls: client_tls(settings)?,
        peer_tls: peer_tls(settings)?,
        listen_client_http_urls: settings.urls("listen-client-http-urls"),
        listen_metrics_urls: settings.urls("listen-metrics-urls"),
        extensive_metrics: settings.text("metrics") == "extensive",
        slow_request: settings.time("warning-unary-request-duration"),
        gateway: settings.is("enable-grpc-gateway"),
        cors: words("cors"),
        host_whitelist: words("host-whitelist"),
        max_connections: settings.size("max-connections"),
        max_half_open: settings.size("max-half-open-connections"),
        handshake_timeout: settings.time("handshake-timeout"),
        max_answer_bytes: settings.count("max-answer-bytes"),
    })
}

fn words(settings: &Settings, name: &str) -> Vec<String> {
    value::urls(settings.text(name)).map(str::to_owned).collect()
}

fn path(settings: &Settings, name: &str) -> Option<PathBuf> {
    Some(settings.text(name)).filter(|text| !text.is_empty()).map(PathBuf::from)
}

fn told(error: &TlsError) -> FlagError {
    FlagError(error.to_string())
}

fn versions(settings: &Settings) -> Result<Versions, FlagError> {
    let (least, most) = (settings.text("tls-min-version"), settings.text("tls-max-version"));
    Versions::between(least, most).map_err(|error| told(&error))
}

fn suites(settings: &Settings) -> Result<CipherSuites, FlagError> {
    CipherSuites::named(words(settings, "cipher-suites")).map_err(|error| told(&error))
}

/// How client URLs are secured, if any of them is.
fn client_tls(settings: &Settings) -> Result<Option<ListenTls>, FlagError> {
    let lists = ["listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"];
    let urls: Vec<String> = lists.iter().flat_map(|list| settings.urls(list)).collect();
    let Some(secure) = urls.iter().find(|url| value::is_secure(url)) else {
        return unused(settings, &["cert-file", "key-file", "client-cert-auth", "auto-tls"], &urls);
    };
    let (certificate, key) = (path(settings, "cert-file"), path(settings, "key-file"));
    let trusted = path(settings, "trusted-ca-file");
    if settings.is("client-cert-auth") && trusted.is_none() {
        return Err(FlagError(
            "--client-cert-auth needs --trusted-ca-file: who shall vouch for clients?".to_owned(),
        ));
    }
    let checks = ["client-crl-file", "client-cert-allowed-hostname"];
    checks_somebody(settings, &checks, "trusted-ca-file", trusted.is_some())?;
    let directory = Path::new(settings.text("data-dir")).join("fixtures").join("client");
    let (certificate, key, self_signed) =
        certificate_of(settings, secure, certificate, key, ("cert-file", "auto-tls"), directory)?;
    let files = ServerFiles {
        certificate,
        key,
        trusted,
        revoked: path(settings, "client-crl-file"),
        allowed_common_name: None,
        allowed_hosts: words(settings, "client-cert-allowed-hostname"),
        versions: versions(settings)?,
        suites: suites(settings)?,
        protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(Some(ListenTls { files, self_signed }))
}

/// How members secure what they say to each other, if their URLs say so.
fn peer_tls(settings: &Settings) -> Result<Option<PeerTls>, FlagError> {
    let urls = settings.urls("listen-peer-urls");
    let Some(secure) = urls.iter().find(|url| value::is_secure(url)) else {
        let flags = ["peer-cert-file", "peer-key-file", "peer-client-cert-auth", "peer-auto-tls"];
        return unused(settings, &flags, &urls);
    };
    let members = value::members(settings.text("initial-cluster")).unwrap_or_default();
    let all = urls.iter().chain(members.iter().flat_map(|(_, urls)| urls));
    if let Some(plain) = all.into_iter().find(|url| !value::is_secure(url)) {
        return Err(FlagError(format!(
            "members speak TLS with all others or with none: {secure} is secure and {plain} is not"
        )));
    }
    let (certificate, key) = (path(settings, "peer-cert-file"), path(settings, "peer-key-file"));
    let trusted = path(settings, "peer-trusted-ca-file");
    if settings.is("peer-client-cert-auth") && trusted.is_none() {
        return Err(FlagError(
            "--peer-client-cert-auth needs --peer-trusted-ca-file: who shall vouch for members?"
                .to_owned(),
        ));
    }
    let checks = ["peer-crl-file", "peer-cert-allowed-cn", "peer-cert-allowed-hostname"];
    checks_somebody(settings, &checks, "peer-trusted-ca-file", trusted.is_some())?;
    let directory = Path::new(settings.text("data-dir")).join("fixtures").join("peer");
    let names = ("peer-cert-file", "peer-auto-tls");
    let (certificate, key, self_signed) =
        certificate_of(settings, secure, certificate, key, names, directory)?;
    let own = (certificate.clone(), key.clone());
    let shown = path(settings, "peer-client-cert-file").zip(path(settings, "peer-client-key-file"));
    let dial = ClientFiles {
        trusted: trusted.clone(),
        identity: Some(shown.unwrap_or(own)),
        // Certificates that members made for themselves: there is nobody to vouch for them.
        skip_verify: self_signed.is_some() && trusted.is_none(),
        versions: versions(settings)?,
        suites: suites(settings)?,
        protocols: Vec::new(),
    };
    let common_name = settings.text("peer-cert-allowed-cn");
    let files = ServerFiles {
        certificate,
        key,
        trusted,
        revoked: path(settings, "peer-crl-file"),
        allowed_common_name: Some(common_name.to_owned()).filter(|name| !name.is_empty()),
        allowed_hosts: words(settings, "peer-cert-allowed-hostname"),
        versions: versions(settings)?,
        suites: suites(settings)?,
        protocols: Vec::new(),
    };
    let check_names = !settings.is("peer-skip-client-san-verification");
    Ok(Some(PeerTls { listen: ListenTls { files, self_signed }, dial, check_names }))
}

/// What is said about certificates that nobody is asked for would protect nothing.
fn checks_somebody(
    settings: &Settings,
    flags: &[&str],
    needed: &str,
    given: bool,
) -> Result<(), FlagError> {
    let said = flags.iter().find(|flag| !settings.text(flag).is_empty());
    match said {
        Some(flag) if !given => Err(FlagError(format!(
            "--{flag} needs --{needed}: without it nobody who calls is asked for a certificate"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Protection that was asked for and that no URL uses would be a door left open.
fn unused<T>(settings: &Settings, flags: &[&str], urls: &[String]) -> Result<Option<T>, FlagError> {
    let given = flags.iter().find(|flag| {
        let value = settings.text(flag);
        !value.is_empty() && value::boolean(value) != Some(false)
    });
    match given {
        None => Ok(None),
        Some(flag) => Err(FlagError(format!(
            "--{flag} is set and no URL is secure ({}): write https:// instead of http://",
            urls.join(",")
        ))),
    }
}

/// The certificate and key of a listening side: those named, or those it makes for itself.
fn certificate_of(
    settings: &Settings,
    secure: &str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    (named, made): (&str, &str),
    directory: PathBuf,
) -> Result<(PathBuf, PathBuf, Option<SelfSigned>), FlagError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok((certificate, key, None)),
        (None, None) if settings.is(made) => {
            let own = SelfSigned {
                hosts: hosts(settings),
                years: settings.count("self-signed-cert-validity"),
                directory: directory.clone(),
            };
            Ok((directory.join("cert.pem"), directory.join("key.pem"), Some(own)))
        }
        (None, None) => Err(FlagError(format!(
            "{secure} needs a certificate: name it with --{named} and its key file, or let the member make one \
             for itself with --{made}"
        ))),
        (Some(_), None) | (None, Some(_)) => {
            Err(FlagError(format!("--{named} and its key file belong together: one is missing")))
        }
    }
}

/// The hosts under which this member is reached.
fn hosts(settings: &Settings) -> Vec<String> {
    let lists = [
        "listen-client-urls",
        "advertise-client-urls",
        "listen-peer-urls",
        "initial-advertise-peer-urls",
    ];
    let urls = lists.iter().flat_map(|list| settings.urls(list));
    let mut hosts: Vec<String> = urls
        .filter_map(|url| value::host_and_port(&url).ok().map(|(host, _)| host.to_owned()))
        .map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned())
        .chain(["localhost".to_owned(), "127.0.0.1".to_owned()])
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

#[cfg(test)]
mod tests {
    use super::super::{arguments, settings::Settings};
    use super::*;

    fn of(flags: &str) -> Result<Edge, String> {
        let words: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        let line = arguments::parse(&words).map_err(|error| error.0)?;
        let (settings, _) = Settings::gather(line, &|_| None).map_err(|error| error.0)?;
        edge(&settings).map_err(|error| error.0)
    }

    const SECURE: &str =
        "--listen-client-urls https://127.0.0.1:1 --advertise-client-urls https://h:1";

    #[track_caller]
    fn refuses(flags: &str, part: &str) {
        let error = of(flags).expect_err(flags);
        assert!(error.contains(part), "{error:?} does not contain {part:?}");
    }

    #[test]
    fn a_secure_url_needs_a_certificate_and_a_certificate_a_secure_url() {
        assert_eq!(of("").unwrap().client_tls, None);
        refuses(SECURE, "--cert-file");
        refuses(&format!("{SECURE} --cert-file c"), "belong together");
        refuses("--cert-file c --key-file k", "https://");
        refuses("--auto-tls", "no URL is secure");
        refuses(&format!("{SECURE} --cert-file c --key-file k --client-cert-auth"), "vouch");
        for flag in ["--client-crl-file l", "--client-cert-allowed-hostname h"] {
            let flags = format!("{SECURE} --cert-file c --key-file k {flag}");
            refuses(&flags, "nobody who calls is asked for a certificate");
        }
        let flags = format!("{SECURE} --cert-file c --key-file k --trusted-ca-file t");
        let tls = of(&flags).unwrap().client_tls.unwrap();
        assert_eq!(tls.files.trusted, Some(PathBuf::from("t")));
        assert_eq!(tls.self_signed, None);
    }

    #[test]
    fn a_member_may_make_a_certificate_for_its_hosts() {
        let flags = format!("{SECURE} --auto-tls --data-dir d --self-signed-cert-validity 3");
        let tls = of(&flags).unwrap().client_tls.unwrap();
        let own = tls.self_signed.unwrap();
        assert_eq!((own.years, own.directory), (3, PathBuf::from("d/fixtures/client")));
        assert_eq!(own.hosts, ["127.0.0.1", "h", "localhost"]);
        assert_eq!(tls.files.key, PathBuf::from("d/fixtures/client/key.pem"));
    }

    #[test]
    fn members_are_secure_together_or_not_at_all() {
        let urls = "--listen-peer-urls https://127.0.0.1:2 --initial-advertise-peer-urls https://127.0.0.1:2";
        refuses(urls, "--peer-cert-file");
        refuses("--peer-auto-tls", "no URL is secure");
        let mixed = "--initial-cluster default=https://127.0.0.1:2,n2=http://127.0.0.1:3";
        refuses(&format!("{urls} --peer-auto-tls {mixed}"), "http://127.0.0.1:3 is not");
        let auto = of(&format!("{urls} --peer-auto-tls")).unwrap().peer_tls.unwrap();
        assert!(auto.dial.skip_verify && auto.listen.self_signed.is_some());
        let files = "--peer-cert-file c --peer-key-file k --peer-trusted-ca-file t";
        let tls = of(&format!("{urls} {files}")).unwrap().peer_tls.unwrap();
        assert!(!tls.dial.skip_verify && tls.check_names);
        assert_eq!(tls.dial.identity, Some((PathBuf::from("c"), PathBuf::from("k"))));
    }

    #[test]
    fn versions_and_suites_are_checked() {
        refuses(
            &format!("{SECURE} --auto-tls --tls-min-version TLS1.3 --tls-max-version TLS1.2"),
            "above",
        );
        refuses(&format!("{SECURE} --auto-tls --cipher-suites TLS_NOPE"), "TLS_NOPE");
        let flags = format!("{SECURE} --auto-tls --tls-min-version TLS1.3");
        assert!(!of(&flags).unwrap().client_tls.unwrap().files.versions.twelve);
    }
}
