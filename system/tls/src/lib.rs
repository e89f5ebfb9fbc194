//! TLS for everybody here: members towards clients, members among themselves, and clients.
//!
//! rustls with `ring`, TLS 1.2 and 1.3. What this crate adds is what an operator expects around it:
//! settings are files that may be replaced while a member runs ([`Reloading`]: new handshakes use
//! the new ones, and a broken file changes nothing but the log), errors name the file, and a
//! certificate can be asked whom it stands for ([`PeerCertificate`]).
//!
//! Deliberately absent: a default that does not verify. Who wants that says so
//! ([`ClientFiles::skip_verify`], `--auto-tls`).

#![forbid(unsafe_code)]

mod certificate;
mod client;
mod files;
mod reload;
mod self_signed;
mod server;

pub use certificate::PeerCertificate;
pub use client::{ClientFiles, ClientTls};
pub use files::{CipherSuites, TlsError, Versions};
pub use reload::Reloading;
pub use self_signed::self_signed;
pub use server::{ServerFiles, ServerTls};
pub use tokio_rustls::{client::TlsStream as ClientStream, server::TlsStream as ServerStream};

#[cfg(test)]
mod tests {
    /// Two providers of cryptography would be twice the code to trust, and the other one needs a C++
    /// toolchain.
    #[test]
    fn ring_is_the_only_provider() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains("name = \"ring\""));
        assert!(!lock.contains("name = \"aws-lc-rs\""), "a dependency brings aws-lc-rs");
    }
}
