//! Guarded prefixes, and the tokens that writes carry.

use bytes::Bytes;
use quorate_wire::native::v1 as pb;
use quorate_wire::native::v1::guard_client::GuardClient;

use crate::call::Kind;
use crate::{Client, Error};

/// A hold of a lock, as writes carry it. As text it is `NAME:TOKEN`, the name escaped as in a URL where it must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fence {
    /// Name of the lock.
    pub lock: Bytes,
    /// The create revision of the holder's key: see [`crate::Place::token`].
    pub token: i64,
}

impl std::fmt::Display for Fence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&quorate_wire::fence::write(&self.lock, self.token))
    }
}

impl Fence {
    /// Reads one or several, with commas between them.
    ///
    /// # Errors
    /// [`Error::Settings`] saying what is wrong.
    pub fn parse(text: &str) -> Result<Vec<Fence>, Error> {
        let fences = quorate_wire::fence::read(text).map_err(Error::Settings)?;
        Ok(fences.into_iter().map(|(lock, token)| Fence { lock, token }).collect())
    }
}

macro_rules! calls {
    ($($(#[$doc:meta])* $kind:ident $method:ident as $name:ident: $ask:ident -> $answer:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Any [`Error`]; a server of etcd has no such call and answers Unimplemented.
                pub async fn $name(&self, request: pb::$ask) -> Result<pb::$answer, Error> {
                    self.unary(Kind::$kind, request, |channel, request| {
                        let mut client = GuardClient::new(channel);
                        async move { client.$method(request).await }
                    })
                    .await
                }
            )*
        }
    };
}

calls! {
    /// Lets writes under a prefix need the token of a lock.
    Write set as guard_set: GuardSetRequest -> GuardSetResponse;
    /// Lets them need it no longer.
    Write remove as guard_remove: GuardRemoveRequest -> GuardRemoveResponse;
    /// Lists what is guarded, with who holds the locks.
    Read list as guard_list: GuardListRequest -> GuardListResponse;
}
