//! The end of the process when a promise can no longer be kept.

use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Collects the first reason to stop. Cheap to clone.
///
/// After a failed sync, a full disk or a damaged log nothing may be acknowledged any more: the
/// host stops answering at once, tells the reason, and the process exits and recovers from its log.
#[derive(Clone)]
pub struct Fatal {
    reason: Arc<Mutex<Option<String>>>,
    stopped: watch::Sender<bool>,
}

impl Fatal {
    /// Nothing is wrong yet.
    pub fn new() -> Fatal {
        Fatal { reason: Arc::default(), stopped: watch::Sender::new(false) }
    }

    /// Something is: the first reason counts.
    pub fn stop(&self, reason: String) {
        let mut first = self.reason.lock().expect("no holder of this lock panics");
        if first.is_none() {
            tracing::error!("this member stops: {reason}");
            *first = Some(reason);
            self.stopped.send_replace(true);
        }
    }

    /// The reason, if there is one.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().expect("no holder of this lock panics").clone()
    }

    /// Resolves when something is wrong.
    pub async fn wait(&self) {
        // The sender lives in self: waiting can only end by the value.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }
}

impl Default for Fatal {
    fn default() -> Fatal {
        Fatal::new()
    }
}
