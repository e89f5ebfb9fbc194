//! A client of the etcd v3 API, for Quorate and for etcd itself.
//!
//! [`Client`] is a cheap handle over one channel per endpoint. A call goes to the endpoints in turn and fails over from
//! those that cannot be reached; what may be repeated is what etcd's own clients repeat: reads when a member is
//! unavailable, writes only when they were never sent. An [`Error`] says whether a failed write was not applied or whether
//! that is unknown, and carries etcd's text.
//!
//! Calls are those of the API, with its messages ([`quorate_wire::etcd`]); [`Watcher`] and [`KeepAlive`] are streams that
//! outlive connections: a watcher resumes after the last revision it has seen, so that the caller sees no gap and no
//! event twice.
//!
//! [`Client::stand_in_line`] is the recipe of locks and elections, [`Session`] the lease behind it, and [`Fence`] the token
//! that guarded keys ask for.

mod call;
mod calls;
mod channel;
mod connect;
mod error;
mod guard;
mod keep_alive;
mod line;
mod options;
mod picker;
mod session;
mod watch;

pub use error::{Error, Outcome};
pub use guard::Fence;
pub use keep_alive::KeepAlive;
pub use line::Place;
pub use options::{Credentials, Options, Tls};
pub use quorate_wire::etcd;
pub use quorate_wire::native::v1 as native;
pub use session::Session;
pub use watch::Watcher;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tonic::metadata::{Ascii, MetadataValue};

/// Most times that one call is sent, counting every endpoint that it was sent to.
pub const MAX_ATTEMPTS: usize = 100;

/// A handle to a cluster; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    picker: picker::Picker,
    token: Mutex<Option<MetadataValue<Ascii>>>,
}

impl Client {
    /// Prepares a client; connections are made when they are needed. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is no endpoint or one that cannot be read.
    pub fn new(options: Options) -> Result<Self, Error> {
        let picker = picker::Picker::new(&options)?;
        Ok(Self { shared: Arc::new(Shared { options, picker, token: Mutex::new(None) }) })
    }

    /// A client with the same settings for one endpoint alone, for the calls that concern one member (`status`,
    /// `hash_kv`, `defragment`, `snapshot`).
    ///
    /// # Errors
    /// [`Error::Settings`] if the endpoint cannot be read.
    pub fn only(&self, endpoint: &str) -> Result<Self, Error> {
        let endpoints = vec![endpoint.to_owned()];
        Self::new(Options { endpoints, ..self.shared.options.clone() })
    }

    /// The settings that the client was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }
}

/// The end of the interval of all keys that start with `prefix`: the prefix plus one. A prefix of nothing but 0xff bytes
/// (or an empty one) has no end, which is written as one zero byte.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|byte| *byte != 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
        None => FROM_KEY,
    }
}

/// As `range_end`: every key from the given one on.
pub const FROM_KEY: Bytes = Bytes::from_static(b"\0");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_prefix_plus_one() {
        assert_eq!(prefix_end(b"a"), "b");
        assert_eq!(prefix_end(b"a\xff\xff"), "b");
        assert_eq!(prefix_end(b"\xff"), FROM_KEY);
        assert_eq!(prefix_end(b""), FROM_KEY);
    }
}
