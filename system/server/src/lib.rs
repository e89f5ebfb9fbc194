//! One member of a cluster, as its clients see it.

mod config;

pub use config::{Config, MemberConfig};

use thiserror::Error;

/// Why a member could not start or had to stop. One line for the operator, naming the way out.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// It could not start.
    #[error("{0}")]
    Start(String),
    /// It had to stop: what it promised could not be kept.
    #[error("{0}")]
    Fatal(String),
}

/// Runs a member until `stop` resolves, then drains and returns. Blocks the calling thread.
pub fn run(
    _config: Config,
    _stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    Err(ServeError::Start("the server is being assembled".to_owned()))
}
