//! What every etcd service of this member shares: the host, the limits, the header.

use crate::aside::Aside;
use crate::audit::{self, Audit};
use crate::budget::Budget;
use crate::errors;
use crate::space::Space;
use crate::token::TokenOptions;
use crate::trace;
use quorate_host::stats::Counter;
use quorate_host::{Host, View};
use quorate_store::{Action, Caller, Outcome};
use quorate_wire::etcd::etcdserverpb as pb;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tonic::Status;

/// A member that is so far behind with applying takes no more writes (contract item 35), entries.
pub const MAX_APPLY_LAG: u64 = 5_000;

/// The limits of this member's API; see `quorate serve --help` for the flags.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Operations in one list of a transaction.
    pub max_txn_ops: usize,
    /// Bytes of an encoded write.
    pub max_request_bytes: usize,
    /// Logical bytes of the state; `None` is no quota.
    pub quota_bytes: Option<u64>,
    /// Watchers of one stream.
    pub max_watchers_per_stream: usize,
    /// Watchers of this member.
    pub max_watchers: usize,
    /// Bytes of one watch answer.
    pub watch_buffer_bytes: usize,
    /// Between progress notices.
    pub progress_interval: std::time::Duration,
    /// Without a leader for so long, streams that require one are cancelled.
    pub leaderless_patience: std::time::Duration,
    /// A lease lives at least so long, in seconds.
    pub min_lease_ttl: i64,
    /// Bytes of large answers in memory at once.
    pub max_answer_bytes: u64,
    /// How long a large answer waits for room.
    pub answer_patience: std::time::Duration,
    /// Most learners of the cluster.
    pub max_learners: u64,
    /// Refuse changes of members that too few healthy ones would be left for.
    pub strict_reconfig_check: bool,
}

/// The services' common ground. Cheap to clone through its `Arc`.
pub struct Service {
    /// The member beneath.
    pub host: Host,
    /// What it takes.
    pub limits: Limits,
    /// Tokens and passwords.
    pub tokens: TokenOptions,
    /// Who did what, if that is written down.
    pub audit: Option<Audit>,
    /// Watchers open on this member.
    pub watchers: AtomicUsize,
    /// Room for large answers.
    pub budget: Budget,
    /// What the disk has left.
    pub space: Space,
    /// Where long reads are done.
    pub aside: Aside,
    /// Ranges answered.
    pub ranges: Counter,
    /// How often waits for locks and elections were woken.
    pub line_wakes: Counter,
    /// Large answers that were read as a whole to learn how long they are.
    pub surveys: Counter,
}

impl Service {
    /// The services of one member.
    ///
    /// # Errors
    /// When its threads cannot be started.
    pub fn new(
        host: Host,
        limits: Limits,
        tokens: TokenOptions,
        audit: Option<Audit>,
    ) -> std::io::Result<Arc<Service>> {
        let budget = Budget::new(limits.max_answer_bytes, limits.answer_patience);
        Ok(Arc::new(Service {
            host,
            limits,
            tokens,
            audit,
            watchers: AtomicUsize::new(0),
            budget,
            space: Space::default(),
            aside: Aside::start()?,
            ranges: Counter::default(),
            line_wakes: Counter::default(),
            surveys: Counter::default(),
        }))
    }

    /// The newest state of this member.
    pub fn view(&self) -> Arc<View> {
        self.host.view()
    }

    /// The header of an answer at this revision.
    pub fn header(&self, revision: i64) -> Option<pb::ResponseHeader> {
        Some(pb::ResponseHeader {
            cluster_id: self.host.cluster_id(),
            member_id: self.host.member_id(),
            revision,
            raft_term: self.host.term(),
        })
    }

    /// Waits until the newest view answers a read that begins now.
    pub async fn linearizable(&self) -> Result<Arc<View>, Status> {
        let _span = trace::child("read index");
        self.host.read_index().await.map_err(|failure| errors::failed(&failure))?;
        Ok(self.host.view())
    }

    /// Puts an action through the log on the caller's behalf and returns what it answered.
    pub async fn write(&self, caller: Caller, action: Action) -> Result<Outcome, Status> {
        audit::note(&action);
        self.check_load()?;
        self.check_quota(&action).await?;
        self.check_room(&action).await?;
        let mut span = trace::child("log and apply");
        let proposal = self.host.propose(caller, action, self.limits.max_request_bytes);
        match proposal.await {
            Ok(outcome) => {
                if let Some(span) = &mut span {
                    span.attribute("quorate.revision", trace::Value::Number(outcome.revision));
                }
                Ok(outcome)
            }
            Err(failure) => Err(errors::failed(&failure)),
        }
    }

    fn check_load(&self) -> Result<(), Status> {
        let lag = self.host.apply_lag();
        if lag > MAX_APPLY_LAG { Err(errors::too_many_requests()) } else { Ok(()) }
    }
}
