//! The state at one revision, for whoever reads it over a long time.
//!
//! A view is exact and costs nothing to take, but holding one keeps what the engine would like to
//! throw away: the memtables of its moment, 16 MiB each, and the tables that merges have replaced
//! since. What is written meanwhile decides how much that comes to, so time is what has to be
//! bounded, not the number of views:
//!
//! - after [`EXCHANGE`] a view is exchanged for the newest one, which says the same of the same
//!   revision, from the history;
//! - that is impossible when the revision was compacted meanwhile. A reader that keeps up keeps the
//!   view then, and never hears of the compaction, for [`LONGEST`] at most;
//! - a reader that does not read lets go of it ([`Pinned::let_go`]), after [`PATIENCE`], and takes
//!   the newest one when it comes back.
//!
//! Whoever has lost his view to a compaction is told `compacted`, as with etcd.

use crate::service::Service;
use quorate_host::View;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a view is held for a reader that does not read.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a view is held while there is another one that says the same.
const EXCHANGE: Duration = Duration::from_secs(10);

/// How long a view is held at all.
const LONGEST: Duration = Duration::from_secs(60);

/// A revision, and a view to read it from.
pub struct Pinned {
    revision: i64,
    held: Option<(Arc<View>, Instant)>,
}

impl Pinned {
    /// Reads `revision` from `view`, which must have it, as long as that is good.
    pub fn new(view: Arc<View>, revision: i64) -> Pinned {
        Pinned { revision, held: Some((view, Instant::now())) }
    }

    /// A view to read the revision from now. If all have forgotten it, reading fails.
    pub fn view(&mut self, service: &Service) -> Arc<View> {
        if let Some((view, since)) = &self.held {
            let age = since.elapsed();
            if age < EXCHANGE {
                return view.clone();
            }
            let newest_has_it = service.view().compacted() <= self.revision;
            if age < LONGEST && !newest_has_it {
                return view.clone();
            }
        }
        let view = service.view();
        self.held = Some((view.clone(), Instant::now()));
        view
    }

    /// Holds nothing until the next question.
    pub fn let_go(&mut self) {
        self.held = None;
    }
}
