//! Who called: the header `traceparent` of W3C's Trace Context, and ids of our own.

use http::HeaderMap;
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::atomic::{AtomicU64, Ordering};

/// The most characters of `tracestate` that are passed on, as W3C asks for at least.
const STATE_LENGTH: usize = 512;

/// The span of a caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Its trace.
    pub trace: u128,
    /// Itself.
    pub span: u64,
    /// Whether it is recorded.
    pub sampled: bool,
    /// What its vendors say of it.
    pub state: String,
}

impl Remote {
    /// What the headers of a call say; nonsense is nobody.
    pub fn of(headers: &HeaderMap) -> Option<Remote> {
        let parent = headers.get("traceparent")?.to_str().ok()?;
        let (trace, span, sampled) = traceparent(parent)?;
        let states = headers.get_all("tracestate").iter().filter_map(|value| value.to_str().ok());
        let state = states.collect::<Vec<_>>().join(",");
        let state = if state.len() > STATE_LENGTH { String::new() } else { state };
        Some(Remote { trace, span, sampled, state })
    }
}

/// `version-trace-span-flags`, in lower-case hexadecimal digits. Later versions may go on behind that.
fn traceparent(text: &str) -> Option<(u128, u64, bool)> {
    let hex = |text: &str, length: usize| {
        let good = text.len() == length
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        good.then(|| u128::from_str_radix(text, 16).expect("digits"))
    };
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let span = hex(parts.next()?, 16)? as u64;
    let flags = hex(parts.next()?, 2)?;
    let ends = parts.next().is_none() || version > 0;
    (version < 0xff && trace != 0 && span != 0 && ends).then_some((trace, span, flags & 1 == 1))
}

/// Makes ids that nobody else makes: a start from the system's randomness, then SplitMix64.
#[derive(Debug)]
pub struct Ids {
    state: AtomicU64,
}

impl Ids {
    /// Ids that begin anywhere.
    pub fn new() -> Ids {
        let mut start = [0; 8];
        SystemRandom::new().fill(&mut start).expect("the system has randomness");
        Ids { state: AtomicU64::new(u64::from_ne_bytes(start)) }
    }

    /// The id of a span; never zero, which is none.
    pub fn span(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        loop {
            let state = self.state.fetch_add(STEP, Ordering::Relaxed);
            // The dice of the protocols, whose first number is a function of the seed.
            let id = quorate_base::Dice::new(state).next_u64();
            if id != 0 {
                return id;
            }
        }
    }

    /// The id of a trace.
    pub fn trace(&self) -> u128 {
        u128::from(self.span()) << 64 | u128::from(self.span())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_as_w3c_writes_them() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{trace}-b7ad6b7169203331-01");
        let ids = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331);
        assert_eq!(traceparent(&good), Some((ids.0, ids.1, true)));
        assert_eq!(traceparent(&good.replace("-01", "-00")), Some((ids.0, ids.1, false)));
        assert_eq!(traceparent(&good.replace("-01", "-03")), Some((ids.0, ids.1, true)));
        assert_eq!(traceparent(&format!("cc{}-more", &good[2..])), Some((ids.0, ids.1, true)));
        for nonsense in [
            "",
            "00",
            &good[..good.len() - 1],
            &good.to_uppercase(),
            &good.replace("00-", "ff-"),
            &format!("{good}-more"),
            &good.replace(trace, "00000000000000000000000000000000"),
            &good.replace("b7ad6b7169203331", "0000000000000000"),
            &good.replace("b7ad", "+7ad"),
        ] {
            assert_eq!(traceparent(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn ids_differ() {
        let ids = Ids::new();
        let some: std::collections::BTreeSet<u64> = (0..1_000).map(|_| ids.span()).collect();
        assert_eq!(some.len(), 1_000);
        assert_ne!(ids.trace(), ids.trace());
    }
}
