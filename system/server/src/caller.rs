//! On whose behalf a request is made, as the log will record it.

use crate::service::Service;
use quorate_store::Caller;
use tonic::{Request, Status};

impl Service {
    /// The caller of a request: what its entry in the log names.
    ///
    /// # Errors
    /// When the request claims to be what it cannot show.
    pub fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let fences = crate::fence::of_request(request.metadata())?;
        Ok(Caller { fences, ..Caller::default() })
    }
}
