//! Simple tokens: who showed a password lately, as every member knows it.
//!
//! A token comes through the log ([`quorate_store::AuthChange::Authenticate`]), so that it is good
//! on every member; how long it lives since it was last used is each member's own business. None of
//! it is state: a member that restarts, or takes a whole state from another, may know fewer tokens
//! than were issued, never more, and its clients log in again.

use bytes::Bytes;
use quorate_store::TokenChange;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

struct Token {
    user: Bytes,
    used: Instant,
}

/// All tokens that this member knows.
#[derive(Default)]
pub struct Tokens {
    known: Mutex<BTreeMap<Bytes, Token>>,
}

impl Tokens {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Bytes, Token>> {
        self.known.lock().expect("no holder of this lock panics")
    }

    /// Takes note of what the log says, in its order.
    pub(crate) fn note(&self, changes: Vec<TokenChange>) {
        if changes.is_empty() {
            return;
        }
        let mut known = self.lock();
        for change in changes {
            match change {
                TokenChange::Issued { user, token } => {
                    known.insert(token, Token { user, used: Instant::now() });
                }
                TokenChange::UserForgotten { user } => known.retain(|_, token| token.user != user),
                TokenChange::AllForgotten => known.clear(),
            }
        }
    }

    /// Forgets everything: what happened to tokens meanwhile is not known.
    pub(crate) fn forget_all(&self) {
        self.lock().clear();
    }

    /// Whose token it is, if it was used within `ttl`; that use counts.
    pub fn user_of(&self, token: &[u8], ttl: Duration) -> Option<Bytes> {
        let mut known = self.lock();
        let found = known.get_mut(token)?;
        if found.used.elapsed() > ttl {
            known.remove(token);
            return None;
        }
        found.used = Instant::now();
        Some(found.user.clone())
    }

    /// Removes what nobody used within `ttl`. Call it now and then.
    pub fn purge(&self, ttl: Duration) {
        self.lock().retain(|_, token| token.used.elapsed() <= ttl);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(user: &'static str, token: &'static str) -> TokenChange {
        TokenChange::Issued { user: user.into(), token: token.into() }
    }

    #[test]
    fn a_token_lives_while_it_is_used_and_dies_with_its_user() {
        let (tokens, ttl) = (Tokens::default(), Duration::from_secs(60));
        tokens.note(vec![issued("a", "a.1"), issued("a", "a.2"), issued("b", "b.3")]);
        assert_eq!(tokens.user_of(b"a.1", ttl), Some("a".into()));
        assert_eq!(tokens.user_of(b"a.9", ttl), None);
        tokens.note(vec![TokenChange::UserForgotten { user: "a".into() }]);
        assert_eq!(tokens.user_of(b"a.2", ttl), None);
        assert_eq!(tokens.user_of(b"b.3", ttl), Some("b".into()));
        assert_eq!(tokens.user_of(b"b.3", Duration::ZERO), None, "not used for longer than that");
        assert_eq!(tokens.user_of(b"b.3", ttl), None, "and it does not come back");
        tokens.note(vec![issued("b", "b.4"), TokenChange::AllForgotten]);
        assert_eq!(tokens.user_of(b"b.4", ttl), None);
    }
}
