//! Tokens: how a caller shows again that it knew a password.
//!
//! - *Simple* tokens are random words that every member keeps in a table, see
//!   [`quorate_host::Tokens`]. They live while they are used.
//! - *JSON Web Tokens* ([`jwt`]) are signed and carry what they say with them: user, auth revision,
//!   end of life. No member keeps them; any change of users or roles makes them old.

mod der;
mod jwt;

pub use jwt::{JwtError, JwtKeys};

use crate::errors;
use bytes::Bytes;
use quorate_host::Tokens;
use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;
use tonic::Status;

/// Letters of a simple token's random part; 16 of 52 are more than 91 bits.
const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const PREFIX: usize = 16;

/// Which tokens a member issues and takes.
#[derive(Clone, Debug)]
pub enum TokenKind {
    /// Random words.
    Simple,
    /// Signed claims.
    Jwt(std::sync::Arc<JwtKeys>),
}

impl PartialEq for TokenKind {
    fn eq(&self, other: &TokenKind) -> bool {
        match (self, other) {
            (TokenKind::Simple, TokenKind::Simple) => true,
            (TokenKind::Jwt(mine), TokenKind::Jwt(other)) => std::sync::Arc::ptr_eq(mine, other),
            (TokenKind::Simple | TokenKind::Jwt(_), _) => false,
        }
    }
}

impl Eq for TokenKind {}

/// How this member deals with tokens and passwords.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenOptions {
    /// Which tokens.
    pub kind: TokenKind,
    /// A simple token that was not used for so long is worth nothing.
    pub ttl: Duration,
    /// The cost of a password's hash, 4 to 31: each step doubles it.
    pub bcrypt_cost: u32,
}

impl TokenOptions {
    /// Whose token it is, and at which auth revision it was signed, if it says so.
    pub(crate) fn read(&self, token: &[u8], simple: &Tokens) -> Option<(Bytes, Option<u64>)> {
        match &self.kind {
            TokenKind::Simple => Some((simple.user_of(token, self.ttl)?, None)),
            TokenKind::Jwt(keys) => {
                let (user, revision) = keys.verify(token)?;
                Some((user, Some(revision)))
            }
        }
    }

    /// The place in the log that a simple token names as its origin.
    pub(crate) fn issued_at(&self, token: &[u8]) -> Option<u64> {
        match self.kind {
            TokenKind::Jwt(_) => None,
            TokenKind::Simple => {
                let dot = token.iter().position(|byte| *byte == b'.')?;
                std::str::from_utf8(&token[dot + 1..]).ok()?.parse().ok()
            }
        }
    }

    /// The random part of a new simple token; `None` when tokens are signed instead.
    pub(crate) fn prefix(&self) -> Result<Option<Bytes>, Status> {
        match self.kind {
            TokenKind::Jwt(_) => Ok(None),
            TokenKind::Simple => Ok(Some(random_word()?)),
        }
    }

    /// A signed token.
    pub(crate) fn sign(&self, user: &str, revision: u64) -> Result<String, Status> {
        match &self.kind {
            TokenKind::Simple => Err(Status::internal("simple tokens are not signed")),
            TokenKind::Jwt(keys) => keys.sign(user, revision).map_err(|error| match error {
                JwtError::VerifyOnly => {
                    Status::unknown("auth: token signing attempted with verify-only key")
                }
                other => Status::internal(other.to_string()),
            }),
        }
    }

    pub(crate) fn bcrypt_cost(&self) -> u32 {
        self.bcrypt_cost
    }
}

fn random_word() -> Result<Bytes, Status> {
    let random = SystemRandom::new();
    let mut word = Vec::with_capacity(PREFIX);
    while word.len() < PREFIX {
        let mut byte = [0];
        random.fill(&mut byte).map_err(|_| errors::no_randomness())?;
        // What is beyond the last whole turn of the alphabet would favour its first letters.
        if byte[0] < 208 {
            word.push(LETTERS[usize::from(byte[0]) % LETTERS.len()]);
        }
    }
    Ok(word.into())
}
