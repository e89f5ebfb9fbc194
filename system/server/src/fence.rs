//! Fencing tokens at the edge: out of a request's metadata, into an answer's, and in the words of a
//! refusal.
//!
//! What the tokens are for is `quorate_store`'s guard module; how they are written is
//! [`quorate_wire::fence`].

use quorate_store::{Fence, Fenced};
use quorate_wire::fence;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

/// Locks whose tokens one request may carry.
const MAX_FENCES: usize = 64;

/// The tokens that a request carries.
///
/// # Errors
/// When something under the key is no token, or there are too many: a client that meant to be
/// fenced must not go unfenced.
pub fn of_request(metadata: &MetadataMap) -> Result<Vec<Fence>, Status> {
    let mut fences = Vec::new();
    for value in metadata.get_all(fence::METADATA) {
        let refuse = |why: String| {
            Status::invalid_argument(format!("quorate: metadata {}: {why}", fence::METADATA))
        };
        let text = value.to_str().map_err(|_| refuse("it is not ASCII".to_owned()))?;
        let read = fence::read(text).map_err(refuse)?;
        fences.extend(read.into_iter().map(|(lock, token)| Fence { lock, token }));
        if fences.len() > MAX_FENCES {
            return Err(refuse(format!("more than {MAX_FENCES} tokens, the limit")));
        }
    }
    Ok(fences)
}

/// The answer with the token that its caller holds from now on, as it must be sent.
pub fn with_token<T>(answer: T, lock: &[u8], token: i64) -> Response<T> {
    let mut response = Response::new(answer);
    let value = fence::write(lock, token).parse().expect("a token is written in ASCII");
    response.metadata_mut().insert(fence::METADATA, value);
    response
}

/// The refusal of a write that lacks a token. Its metadata says the same to programs: the lock with
/// the token that would do under `quorate-fence-current` (0 when nobody holds the lock), the prefix
/// under `quorate-fence-prefix`.
pub fn refused(fenced: &Fenced) -> Status {
    let Fenced { guard, current, given } = fenced;
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (prefix, lock) = (name(&guard.prefix), name(&guard.lock));
    let carries = match given {
        Some(token) => format!("the request carries the token {token}"),
        None => "the request carries no token of it".to_owned(),
    };
    let (holds, way_out) = match (current, given) {
        (None, _) => ("nobody holds it".to_owned(), "take the lock first"),
        (Some(token), Some(old)) if old < token => (
            format!("the current one is {token}"),
            "the lock was lost: stop, and take it again before writing",
        ),
        (Some(token), _) => (
            format!("the current one is {token}"),
            "only the holder may write, with the metadata quorate-fence: LOCK:TOKEN",
        ),
    };
    let text = format!(
        "quorate: fenced: keys under \"{prefix}\" are guarded by lock \"{lock}\": {carries}, {holds}; \
         {way_out}"
    );
    let mut status = Status::failed_precondition(text);
    let current = fence::write(&guard.lock, current.unwrap_or(0));
    let metadata = status.metadata_mut();
    metadata.insert("quorate-fence-current", current.parse().expect("written in ASCII"));
    let prefix = fence::escape(&guard.prefix).parse().expect("written in ASCII");
    metadata.insert("quorate-fence-prefix", prefix);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_store::Guard;

    #[test]
    fn tokens_come_from_all_entries() {
        let mut metadata = MetadataMap::new();
        assert_eq!(of_request(&metadata).expect("none is fine"), []);
        metadata.append("quorate-fence", "a:1".parse().unwrap());
        metadata.append("quorate-fence", "b:2,c:3".parse().unwrap());
        let fences = of_request(&metadata).expect("three");
        assert_eq!(fences.len(), 3);
        assert_eq!(fences[2], Fence { lock: "c".into(), token: 3 });
        metadata.append("quorate-fence", "nonsense".parse().unwrap());
        let error = of_request(&metadata).expect_err("never passed over");
        assert!(error.message().contains("LOCK:TOKEN"), "{error:?}");
    }

    #[test]
    fn a_refusal_names_prefix_lock_and_tokens() {
        let guard = Guard { prefix: "orders/".into(), lock: "orders-lock".into() };
        let text = |current, given| {
            refused(&Fenced { guard: guard.clone(), current, given }).message().to_owned()
        };
        let late = text(Some(15), Some(12));
        for word in ["orders/", "orders-lock", "carries the token 12", "current one is 15", "lost"]
        {
            assert!(late.contains(word), "{late}");
        }
        assert!(text(None, None).contains("nobody holds it; take the lock first"));
        assert!(text(Some(15), None).contains("no token of it"));
    }
}
