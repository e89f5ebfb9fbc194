//! From the settings about TLS to what sockets use.

use crate::ServeError;
use crate::config::{ListenTls, PeerTls};
use quorate_tls::{ClientTls, ServerTls, TlsError, self_signed};
use std::sync::Arc;

fn told(error: &TlsError) -> ServeError {
    ServeError::Start(format!("TLS: {error}"))
}

/// A listening side; makes its certificate first if it is asked to.
///
/// # Errors
/// A sentence that names the file.
pub fn listening(tls: &ListenTls) -> Result<ServerTls, ServeError> {
    if let Some(own) = &tls.self_signed {
        self_signed(&own.directory, &own.hosts, own.years).map_err(|error| told(&error))?;
    }
    ServerTls::new(tls.files.clone()).map_err(|error| told(&error))
}

/// Both sides between members.
///
/// # Errors
/// As [`listening`].
pub fn between_members(tls: &PeerTls) -> Result<quorate_host::PeerTls, ServeError> {
    let server = Arc::new(listening(&tls.listen)?);
    let client = ClientTls::new(tls.dial.clone()).map_err(|error| told(&error))?;
    Ok(quorate_host::PeerTls { server, client, check_names: tls.check_names })
}
