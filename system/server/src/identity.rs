//! Who a connection is, as its certificate says.

/// What the certificate of a client says about it. In the extensions of every request that comes
/// over a connection whose certificate was verified (`--client-cert-auth`), and of no other: calls
/// that the JSON gateway makes for somebody do not inherit it (CVE-2018-16886).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerIdentity {
    /// The subject's common name: the user, where access control is on. Never empty.
    pub common_name: String,
}
