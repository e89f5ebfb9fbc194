//! JSON Web Tokens as etcd signs them: claims `username`, `revision` and `exp`.
//!
//! The algorithm is the one that `sign-method` names, whatever a token says: a token that says
//! another is refused before its signature is looked at. `ring` does the arithmetic; what is here
//! is three strings with dots between them.

use super::der::{self, Pem};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, UnparsedPublicKey};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Why keys cannot be used, or a token not be signed.
#[derive(Debug, Error)]
pub enum JwtError {
    /// The method is none that we sign with.
    #[error(
        "{0:?} is no sign-method of --auth-token=jwt: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA are"
    )]
    Method(String),
    /// A file cannot be read.
    #[error("--auth-token=jwt: {0}: {1}")]
    File(String, std::io::Error),
    /// The method needs a key that was not given.
    #[error("--auth-token=jwt with {0} needs a key: give priv-key, or pub-key to verify only")]
    MissingKey(String),
    /// A shared secret signs and verifies; there is no public half of it.
    #[error("--auth-token=jwt with {0} needs a shared secret: name its file with priv-key")]
    MissingSecret(String),
    /// A file holds no key of the method.
    #[error("--auth-token=jwt: {0} holds no key for {1}")]
    BadKey(String, String),
    /// The two keys do not belong together.
    #[error("--auth-token=jwt: pub-key and priv-key do not belong together")]
    Mismatch,
    /// There is only a public key.
    #[error("tokens cannot be signed with a public key alone")]
    VerifyOnly,
    /// The system's source of randomness failed, or a key refused to sign.
    #[error("the token could not be signed")]
    Signing,
}

enum Signer {
    Hmac(hmac::Key),
    Rsa(Box<RsaKeyPair>, &'static dyn signature::RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The keys of a member, ready for use.
pub struct JwtKeys {
    method: String,
    ttl: Duration,
    /// `None` when tokens are only verified here.
    signer: Option<Signer>,
    /// Verifies, for all but HMAC.
    public: Option<(&'static dyn signature::VerificationAlgorithm, Vec<u8>)>,
}

impl std::fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are nobody's to print.
        write!(f, "JwtKeys({}, {:?})", self.method, self.ttl)
    }
}

type Encoding = &'static dyn signature::RsaEncoding;
type Verifier = &'static dyn signature::VerificationAlgorithm;

fn rsa_of(method: &str) -> Option<(Encoding, Verifier)> {
    Some(match method {
        "RS256" => (&signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => (&signature::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => (&signature::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512),
        "PS256" => (&signature::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256),
        "PS384" => (&signature::RSA_PSS_SHA384, &signature::RSA_PSS_2048_8192_SHA384),
        "PS512" => (&signature::RSA_PSS_SHA512, &signature::RSA_PSS_2048_8192_SHA512),
        _ => return None,
    })
}

fn hmac_of(method: &str) -> Option<hmac::Algorithm> {
    match method {
        "HS256" => Some(hmac::HMAC_SHA256),
        "HS384" => Some(hmac::HMAC_SHA384),
        "HS512" => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

type EcdsaOf = (&'static signature::EcdsaSigningAlgorithm, Verifier);

fn ecdsa_of(method: &str) -> Option<EcdsaOf> {
    match method {
        "ES256" => {
            Some((&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &signature::ECDSA_P256_SHA256_FIXED))
        }
        "ES384" => {
            Some((&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &signature::ECDSA_P384_SHA384_FIXED))
        }
        _ => None,
    }
}

fn rsa_key(pem: &Pem) -> Option<RsaKeyPair> {
    match pem.label.as_str() {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&pem.der).ok(),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&pem.der).ok(),
        _ => None,
    }
}

fn ecdsa_key(
    algorithm: &'static signature::EcdsaSigningAlgorithm,
    pem: &Pem,
) -> Option<EcdsaKeyPair> {
    let random = SystemRandom::new();
    match pem.label.as_str() {
        "PRIVATE KEY" => EcdsaKeyPair::from_pkcs8(algorithm, &pem.der, &random).ok(),
        "EC PRIVATE KEY" => {
            let (secret, public) = der::ec_private_key(&pem.der)?;
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, &secret, &public, &random).ok()
        }
        _ => None,
    }
}

fn public_key(pem: &Pem) -> Option<Vec<u8>> {
    match pem.label.as_str() {
        "PUBLIC KEY" => der::public_key(&pem.der),
        "RSA PUBLIC KEY" => Some(pem.der.clone()),
        _ => None,
    }
}

impl JwtKeys {
    /// Keys from what the flag names: a method, and the contents of the files.
    ///
    /// # Errors
    /// When they do not fit together.
    pub fn new(
        method: &str,
        private: Option<&[u8]>,
        public: Option<&[u8]>,
        ttl: Duration,
    ) -> Result<JwtKeys, JwtError> {
        let keys = |signer, public| JwtKeys { method: method.to_owned(), ttl, signer, public };
        let missing = || JwtError::MissingKey(method.to_owned());
        if let Some(algorithm) = hmac_of(method) {
            let secret = private.filter(|key| !key.is_empty());
            let secret = secret.ok_or_else(|| JwtError::MissingSecret(method.to_owned()))?;
            return Ok(keys(Some(Signer::Hmac(hmac::Key::new(algorithm, secret))), None));
        }
        let bad = |which: &str| JwtError::BadKey(which.to_owned(), method.to_owned());
        let pem = |key: &[u8], which: &str| {
            std::str::from_utf8(key).ok().and_then(der::key_of).ok_or_else(|| bad(which))
        };
        let private = private.map(|key| pem(key, "priv-key")).transpose()?;
        let (signer, own, verifier): (Option<Signer>, Option<Vec<u8>>, Verifier) =
            if let Some((encoding, verifier)) = rsa_of(method) {
                let key =
                    private.map(|pem| rsa_key(&pem).ok_or_else(|| bad("priv-key"))).transpose()?;
                let own = key.as_ref().map(|key| key.public_key().as_ref().to_vec());
                (key.map(|key| Signer::Rsa(Box::new(key), encoding)), own, verifier)
            } else if let Some((algorithm, verifier)) = ecdsa_of(method) {
                let read = |pem: Pem| ecdsa_key(algorithm, &pem).ok_or_else(|| bad("priv-key"));
                let key = private.map(read).transpose()?;
                let own = key.as_ref().map(|key| key.public_key().as_ref().to_vec());
                (key.map(Signer::Ecdsa), own, verifier)
            } else if method == "EdDSA" {
                let read = |pem: Pem| {
                    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pem.der);
                    key.map_err(|_| bad("priv-key"))
                };
                let key = private.map(read).transpose()?;
                let own = key.as_ref().map(|key| key.public_key().as_ref().to_vec());
                (key.map(Signer::Ed25519), own, &signature::ED25519)
            } else {
                return Err(JwtError::Method(method.to_owned()));
            };
        let named = public.map(|key| pem(key, "pub-key")).transpose()?;
        let named = named.map(|pem| public_key(&pem).ok_or_else(|| bad("pub-key"))).transpose()?;
        if let (Some(named), Some(own)) = (&named, &own)
            && named != own
        {
            return Err(JwtError::Mismatch);
        }
        let public = named.or(own).ok_or_else(missing)?;
        Ok(keys(signer, Some((verifier, public))))
    }

    /// A token for a user, at an auth revision.
    pub(crate) fn sign(&self, user: &str, revision: u64) -> Result<String, JwtError> {
        let signer = self.signer.as_ref().ok_or(JwtError::VerifyOnly)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = serde_json::json!({ "alg": self.method, "typ": "JWT" }).to_string();
        let claims = serde_json::json!({
            "username": user, "revision": revision, "exp": (now + self.ttl).as_secs(),
        });
        let claims = claims.to_string();
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let message = format!("{}.{}", encode(head.as_bytes()), encode(claims.as_bytes()));
        let random = SystemRandom::new();
        let failed = |_| JwtError::Signing;
        let signed = match signer {
            Signer::Hmac(key) => hmac::sign(key, message.as_bytes()).as_ref().to_vec(),
            Signer::Rsa(key, encoding) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &random, message.as_bytes(), &mut signed).map_err(failed)?;
                signed
            }
            Signer::Ecdsa(key) => {
                key.sign(&random, message.as_bytes()).map_err(failed)?.as_ref().to_vec()
            }
            Signer::Ed25519(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{message}.{}", encode(&signed)))
    }

    /// Whose token it is and at which auth revision it was signed, if it is ours and alive.
    pub(crate) fn verify(&self, token: &[u8]) -> Option<(Bytes, u64)> {
        let token = std::str::from_utf8(token).ok()?;
        let (message, signed) = token.rsplit_once('.')?;
        let (head, claims) = message.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let head: serde_json::Value = serde_json::from_slice(&decode(head)?).ok()?;
        if head.get("alg")?.as_str()? != self.method {
            return None;
        }
        let signed = decode(signed)?;
        match (&self.public, &self.signer) {
            (Some((algorithm, key)), _) => {
                UnparsedPublicKey::new(*algorithm, key).verify(message.as_bytes(), &signed).ok()?
            }
            (None, Some(Signer::Hmac(key))) => {
                hmac::verify(key, message.as_bytes(), &signed).ok()?;
            }
            (None, Some(Signer::Rsa(..) | Signer::Ecdsa(_) | Signer::Ed25519(_)) | None) => {
                return None;
            }
        }
        let claims: serde_json::Value = serde_json::from_slice(&decode(claims)?).ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        if !is_current(&claims, now)? {
            return None;
        }
        let user = claims.get("username")?.as_str()?.to_owned();
        Some((user.into(), claims.get("revision")?.as_u64()?))
    }
}

/// Whether a token's time has come and is not over, in seconds since 1970, fractions included (RFC 7519,
/// 4.1.4 and 4.1.5). One that names no end has none, as in etcd: whoever signs decides. `None` for what is no time.
fn is_current(claims: &serde_json::Value, now: f64) -> Option<bool> {
    let time = |name: &str, unless: f64| match claims.get(name) {
        None => Some(unless),
        Some(time) => time.as_f64(),
    };
    let (begins, ends) = (time("nbf", f64::NEG_INFINITY)?, time("exp", f64::INFINITY)?);
    Some(begins <= now && now < ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn pem(label: &str, der: &[u8]) -> Vec<u8> {
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
    }

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let random = SystemRandom::new();
        let ec = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::generate_pkcs8(ec, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let cases = [
            ("HS256", b"a shared secret".to_vec()),
            ("ES256", pem("PRIVATE KEY", ec.as_ref())),
            ("EdDSA", pem("PRIVATE KEY", ed.as_ref())),
        ];
        for (method, key) in &cases {
            let keys = JwtKeys::new(method, Some(key), None, HOUR).unwrap();
            let token = keys.sign("alice", 7).unwrap();
            assert_eq!(keys.verify(token.as_bytes()), Some(("alice".into(), 7)), "{method}");
            for at in 0..token.len() {
                let mut changed = token.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'Q' } else { b'A' };
                let same = token.as_bytes() == changed;
                // The last letter of a part may have bits that stand for nothing.
                let told = keys.verify(&changed);
                assert!(same || told.is_none() || told == keys.verify(token.as_bytes()), "{at}");
            }
            let dead = JwtKeys::new(method, Some(key), None, Duration::ZERO).unwrap();
            assert_eq!(keys.verify(dead.sign("alice", 7).unwrap().as_bytes()), None, "expired");
            for (other, key) in &cases {
                let others = JwtKeys::new(other, Some(key), None, HOUR).unwrap();
                assert_eq!(others.verify(token.as_bytes()).is_some(), method == other);
            }
        }
    }

    #[test]
    fn a_token_counts_in_its_time() {
        let at = |claims: serde_json::Value| is_current(&claims, 1_000.0);
        assert_eq!(at(serde_json::json!({})), Some(true));
        assert_eq!(at(serde_json::json!({ "exp": 1_000.5, "nbf": 999.5 })), Some(true));
        assert_eq!(at(serde_json::json!({ "exp": 1_000 })), Some(false));
        assert_eq!(at(serde_json::json!({ "nbf": 1_001, "exp": 2_000 })), Some(false));
        assert_eq!(at(serde_json::json!({ "exp": "2000" })), None);
        assert_eq!(at(serde_json::json!({ "nbf": null })), None);
    }

    #[test]
    fn keys_that_do_not_fit_are_refused_by_name() {
        let new = |method, key: Option<&[u8]>| JwtKeys::new(method, key, None, HOUR);
        assert!(matches!(new("none", None), Err(JwtError::Method(_))));
        assert!(matches!(new("HS256", None), Err(JwtError::MissingSecret(_))));
        assert!(matches!(new("ES256", None), Err(JwtError::MissingKey(_))));
        assert!(matches!(new("RS256", Some(b"no key")), Err(JwtError::BadKey(..))));
    }
}
