//! From the settings about TLS to what sockets use.

use crate::ServeError;
use crate::config::ListenTls;
use quorate_tls::{ServerTls, TlsError, self_signed};

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
