//! Who may and who did: `--auth-token`, `--auth-token-ttl`, `--bcrypt-cost`, `--audit-log…`.
//!
//! `--auth-token=jwt,sign-method=ES256,priv-key=ec.pem,ttl=5m`: a kind, then options with commas
//! between them, as in etcd. The files are read once, at the start.

use super::FlagError;
use super::settings::Settings;
use super::value;
use quorate_server::audit::AuditOptions;
use quorate_server::{JwtError, JwtKeys, TokenKind, TokenOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a signed token lives unless `ttl` says otherwise.
const JWT_TTL: Duration = Duration::from_secs(300);

/// What the flags say.
pub fn options(settings: &Settings) -> Result<TokenOptions, FlagError> {
    Ok(TokenOptions {
        kind: kind(settings.text("auth-token"))?,
        ttl: Duration::from_secs(settings.count("auth-token-ttl")),
        bcrypt_cost: u32::try_from(settings.count("bcrypt-cost")).expect("its bound fits"),
    })
}

/// What the flags of the audit log say.
pub fn audit(settings: &Settings) -> Option<(AuditOptions, Duration)> {
    let path = settings.text("audit-log");
    let options = AuditOptions {
        path: path.into(),
        max_bytes: settings.count("audit-log-max-bytes"),
        max_files: settings.size("audit-log-max-files"),
    };
    let every = settings.time("audit-checkpoint-interval").max(Duration::from_millis(100));
    (!path.is_empty()).then_some((options, every))
}

fn kind(text: &str) -> Result<TokenKind, FlagError> {
    let mut parts = text.split(',');
    let kind = parts.next().unwrap_or_default();
    let mut options = BTreeMap::new();
    for part in parts {
        let wrong = || {
            let text = format!("--auth-token {text:?}: {part:?} is no option: write name=value");
            FlagError(text)
        };
        let (name, value) = part.split_once('=').ok_or_else(wrong)?;
        if options.insert(name, value).is_some() {
            return Err(FlagError(format!("--auth-token {text:?}: {name} occurs twice")));
        }
    }
    match kind {
        "simple" => Ok(TokenKind::Simple),
        "jwt" => jwt(&options),
        _ => Err(FlagError(format!("--auth-token {text:?}: the kinds are `simple` and `jwt`"))),
    }
}

fn jwt(options: &BTreeMap<&str, &str>) -> Result<TokenKind, FlagError> {
    const KNOWN: [&str; 4] = ["sign-method", "pub-key", "priv-key", "ttl"];
    if let Some(name) = options.keys().find(|name| !KNOWN.contains(name)) {
        let text = format!("--auth-token=jwt has no option {name:?}: it has {}", KNOWN.join(", "));
        return Err(FlagError(text));
    }
    let say = |error: JwtError| FlagError(error.to_string());
    let ttl = match options.get("ttl") {
        None => JWT_TTL,
        Some(text) => value::duration(text).ok_or_else(|| {
            FlagError(format!("--auth-token=jwt: ttl {text:?} is no duration, such as 5m"))
        })?,
    };
    let file = |name: &str| {
        let path = options.get(name).filter(|path| !path.is_empty());
        let read = path.map(|path| {
            std::fs::read(path).map_err(|error| JwtError::File((*path).to_owned(), error))
        });
        read.transpose()
    };
    let method = options.get("sign-method").copied().unwrap_or_default();
    let (private, public) = (file("priv-key").map_err(say)?, file("pub-key").map_err(say)?);
    let keys = JwtKeys::new(method, private.as_deref(), public.as_deref(), ttl);
    Ok(TokenKind::Jwt(Arc::new(keys.map_err(say)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_read_as_etcd_reads_it() {
        assert_eq!(kind("simple").unwrap(), TokenKind::Simple);
        for (wrong, why) in [
            ("jwt", "no sign-method"),
            ("opaque", "the kinds are"),
            ("jwt,ttl", "write name=value"),
            ("jwt,ttl=1s,ttl=2s", "occurs twice"),
            ("jwt,sign-method=HS256", "needs a shared secret"),
            ("jwt,sign-method=HS256,priv-key=/nowhere/at/all", "/nowhere/at/all"),
            ("jwt,colour=red", "no option"),
            ("jwt,sign-method=HS256,ttl=soon", "no duration"),
        ] {
            let error = kind(wrong).unwrap_err();
            assert!(error.0.contains(why), "{wrong}: {}", error.0);
        }
    }
}
