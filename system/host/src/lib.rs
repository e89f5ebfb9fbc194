//! The world around a node: a real disk, network and clock driving `Turn`.
//!
//! Few threads, big batches. On a small machine a cross-core wake-up costs more than a request, so
//! a member has four threads of its own beside those that serve clients:
//!
//! | thread | does | wakes for |
//! |---|---|---|
//! | core ([`core`]) | turns all groups; sockets to the peers | the inbox, the next deadline, a socket |
//! | log ([`logger`]) | writes and syncs what gathered | writes |
//! | apply ([`apply`]) | commands to state, answers, events | committed entries |
//! | bulk ([`bulk`]) | log reads and snapshots | slow followers |
//!
//! A write's way: the client's thread encodes and numbers it ([`pending`]) and leaves it in the
//! [`inbox`]; the core appends it, or forwards it to the leader; the log thread syncs it while the
//! followers do; the core commits; the apply thread applies, publishes a view, and answers. A
//! linearizable read takes only a read index from the core, shared with every read that came in the
//! same turn, waits at the [`gate`] until this member has applied it, and reads a view on its own
//! thread. A serializable read asks nobody.
//!
//! Deliberately absent: retries of a failed sync, sleeping to make batches larger, and locks held
//! while anything waits.

#![forbid(unsafe_code)]

mod apply;
mod audit;
pub mod backup;
mod beacons;
mod bulk;
mod clock;
mod compare;
mod core;
mod delayed;
mod ears;
pub mod etcd;
mod failure;
mod fatal;
mod feed;
mod gate;
pub mod half_open;
mod inbox;
mod logger;
pub mod offline;
mod options;
mod past;
mod peers;
mod pending;
mod questions;
pub mod rescue;
mod roster;
pub mod slow;
mod start;
pub mod stats;
mod status;
mod tokens;
mod unsynced;

pub use audit::AuditCheckpoint;
pub use compare::Comparison;
pub use ears::{Ear, Ears, Heard};
pub use failure::Failure;
pub use feed::{EncodedEvent, Feed};
pub use options::{HostOptions, MemberInfo, cluster_id, member_id};
pub use peers::PeerTls;
pub use quorate_node::Ask;
pub use start::start;
pub use status::Status;
pub use tokens::Tokens;

use crate::fatal::Fatal;
use crate::inbox::Inbox;
use crate::peers::Identity;
use crate::pending::Pending;
use crate::questions::Questions;
use crate::status::StatusBoard;
use arc_swap::ArcSwap;
use quorate_base::{Dice, NodeId};
use quorate_node::Request;
use quorate_raft as raft;
use quorate_store::{Action, Caller, Command, MemberAction, MemberChange, Outcome};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// The level of this build, see [`Host::level`].
pub const LEVEL: u32 = peers::LEVEL;

/// This release.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The newest applied state of the default keyspace: shared, frozen, cheap to clone.
pub type View = quorate_store::View<quorate_storage::engine::View>;

/// A running member. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    cluster_id: u64,
    id: NodeId,
    identity: peers::Identity,
    members: Vec<MemberInfo>,
    known: Arc<peers::Known>,
    /// `(name, host:port)`: a peer's other address.
    routes: Vec<(String, String)>,
    evidence: peers::Evidence,
    quarantine: watch::Sender<bool>,
    view: Arc<ArcSwap<View>>,
    inbox: Arc<Inbox>,
    pending: Arc<Pending>,
    questions: Arc<Questions>,
    board: Arc<StatusBoard>,
    gate: Arc<gate::Gate>,
    feed: Arc<Feed>,
    stats: Arc<stats::Stats>,
    swept: watch::Receiver<i64>,
    tokens: Arc<Tokens>,
    checkpoints: Arc<audit::Checkpoints>,
    fatal: Fatal,
    dice: Mutex<Dice>,
    patience: Duration,
    data_dir: PathBuf,
    stopping: Stopping,
}

/// What must be told to end, in order, and waited for.
struct Stopping {
    log: Arc<logger::LogQueue>,
    apply: Arc<apply::ApplyQueue>,
    bulk: Arc<bulk::BulkQueue>,
    threads: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
}

impl Host {
    /// The cluster.
    pub fn cluster_id(&self) -> u64 {
        self.inner.cluster_id
    }

    /// This member.
    pub fn member_id(&self) -> u64 {
        self.inner.id.0
    }

    /// The term, which every answer carries.
    pub fn term(&self) -> u64 {
        self.inner.board.term()
    }

    /// The newest published state of this member.
    pub fn view(&self) -> Arc<View> {
        self.inner.view.load_full()
    }

    /// Consensus as this member sees it.
    pub fn status(&self) -> Status {
        self.inner.board.get()
    }

    /// Follows the known leader.
    pub fn leader(&self) -> watch::Receiver<Option<NodeId>> {
        self.inner.board.leader()
    }

    /// The checkpoints of audit logs that were applied since the last call.
    pub fn audit_checkpoints(&self) -> Vec<AuditCheckpoint> {
        self.inner.checkpoints.take()
    }

    /// The simple tokens that this member knows.
    pub fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// Recent events, and the wake-ups that tell of new ones.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.inner.feed
    }

    /// What this member has counted so far.
    pub fn stats(&self) -> &stats::Stats {
        &self.inner.stats
    }

    /// Commands of this member's clients that wait for their answers.
    pub fn pending_proposals(&self) -> usize {
        self.inner.pending.count()
    }

    /// Committed entries that are not applied yet.
    pub fn apply_lag(&self) -> u64 {
        self.inner.board.commit().saturating_sub(self.inner.view.load().applied().0)
    }

    /// Bytes of the state's files; the log beside them is bounded and mostly prepared in advance.
    pub fn disk_bytes(&self) -> u64 {
        directory_bytes(&self.inner.data_dir.join("state"))
    }

    /// Bytes that the file system still has for this member.
    pub fn free_bytes(&self) -> Option<u64> {
        quorate_storage::free_bytes(&self.inner.data_dir)
    }

    /// Gives up the part of the log that is kept for slow followers: they get the state instead.
    pub fn trim_log(&self) {
        self.inner.inbox.request(Request::Trim);
    }

    /// The level of the cluster: the lowest of its members' builds, and of the one that it goes back
    /// to. What needs a higher one is refused, see [`Failure::NotCapable`].
    pub fn level(&self) -> u32 {
        // An engine that cannot be read ends the member by other ways.
        let downgrade = self.view().downgrade().unwrap_or_default();
        downgrade.map_or(u32::MAX, |downgrade| downgrade.level).min(self.level_of_builds())
    }

    /// The lowest level of the members' builds.
    pub fn level_of_builds(&self) -> u32 {
        self.inner.known.level(self.others())
    }

    /// The highest level of the members' builds.
    pub fn highest_build(&self) -> u32 {
        self.inner.known.highest_level(self.others())
    }

    fn others(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.inner.id;
        self.members().into_iter().map(|member| member.id).filter(move |id| *id != me)
    }

    /// Puts an action through the log on somebody's behalf and waits for what it did.
    ///
    /// # Errors
    /// With [`Failure::TooManyRequests`], [`Failure::TooLarge`] and [`Failure::NotCapable`] it was
    /// certainly not applied; with any other, nobody knows.
    pub async fn propose(
        &self,
        caller: Caller,
        action: Action,
        max_bytes: usize,
    ) -> Result<Outcome, Failure> {
        let needed = peers::needed(&caller, &action);
        // Most commands are as old as the log.
        let level = if needed > 1 { self.level() } else { needed };
        if needed > level {
            return Err(Failure::NotCapable { needed, level });
        }
        let (id, answered) = self.inner.pending.begin()?;
        // If the caller goes away, nobody needs to retry for it.
        let mut forget = Forget { inner: &self.inner, seq: id.seq, armed: true };
        let payload = quorate_wire::command::encode(&Command { id, caller, action });
        // Whatever was configured, no entry may be larger than the log takes.
        let max_bytes = max_bytes.min(quorate_storage::log::MAX_PAYLOAD_BYTES);
        if payload.len() > max_bytes {
            forget.armed = false;
            self.inner.pending.forget(id.seq);
            return Err(Failure::TooLarge { bytes: payload.len(), limit: max_bytes });
        }
        self.inner.inbox.request(Request::Propose { seq: id.seq, payload });
        let answer = answered.await.unwrap_or(Err(Failure::Stopped));
        forget.armed = false;
        answer
    }

    /// Waits until [`Host::view`] answers a linearizable read that began with this call.
    pub async fn read_index(&self) -> Result<(), Failure> {
        let (waiter, ready) = oneshot::channel();
        self.inner.inbox.read(waiter);
        ready.await.unwrap_or(Err(Failure::Stopped))
    }

    /// Asks the leader about a lease; seconds.
    pub async fn ask(&self, ask: Ask) -> Result<i64, Failure> {
        let (token, answered) = self.inner.questions.begin();
        self.inner.inbox.request(Request::Ask { token, ask });
        answered.await.unwrap_or(Err(Failure::Stopped))
    }

    /// The leases that this member knows; on the leader, first to expire first.
    pub async fn leases(&self) -> Result<Vec<i64>, Failure> {
        let (token, listed) = self.inner.questions.begin_list();
        self.inner.inbox.request(Request::ListLeases { token });
        listed.await.map_err(|_| Failure::Stopped)
    }

    /// Waits until versions below this revision are really gone.
    pub async fn compaction_done(&self, revision: i64) -> Result<(), Failure> {
        let mut swept = self.inner.swept.clone();
        let wait = swept.wait_for(|swept| *swept >= revision);
        match tokio::time::timeout(self.inner.patience, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Failure::Stopped),
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// A lease id that is very likely free: positive, never 0.
    pub fn random_lease_id(&self) -> i64 {
        let mut dice = self.inner.dice.lock().expect("no holder of this lock panics");
        ((dice.next_u64() >> 1) as i64).max(1)
    }

    /// Hands leadership to another member and waits until it leads.
    pub async fn transfer(&self, to: NodeId) -> Result<(), Failure> {
        let mut leader = self.inner.board.leader();
        self.inner.inbox.request(Request::Raft(raft::Request::Transfer { to }));
        let moved = leader.wait_for(|leader| *leader == Some(to));
        match tokio::time::timeout(self.inner.patience, moved).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Failure::Stopped),
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// All members, with the client addresses that each has told.
    pub fn members(&self) -> Vec<MemberInfo> {
        let table = self.view().members().clone();
        roster::members(&self.inner.members, &table, &self.inner.known.all())
    }

    /// A member id that is very likely free: never 0.
    pub fn random_member_id(&self) -> u64 {
        let mut dice = self.inner.dice.lock().expect("no holder of this lock panics");
        dice.next_u64().max(1)
    }

    /// True for a member that votes and will go on to do so.
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.inner.board.with_membership(|now| now.voters.contains(&id))
    }

    /// True while this member does not vote: also before it has heard that it belongs.
    pub fn is_learner(&self) -> bool {
        let id = self.inner.id;
        self.inner.board.with_membership(|now| !now.is_voter(id))
    }

    /// Changes who belongs to the cluster and waits until consensus has followed.
    ///
    /// # Errors
    /// As [`Host::propose`]; when the table was changed and consensus did not follow in time, it goes on
    /// to do so.
    pub async fn change_members(
        &self,
        caller: Caller,
        change: MemberChange,
        max_learners: u64,
    ) -> Result<Outcome, Failure> {
        let initial = self.members().iter().map(MemberInfo::to_member).collect();
        let done = self.expected(&change);
        let action = Action::Member(MemberAction { change, initial, max_learners });
        let outcome = self.propose(caller, action, usize::MAX).await?;
        if outcome.result.is_ok() {
            let mut roles = self.inner.board.roles();
            let followed = roles.wait_for(|(_, committed)| done(committed));
            match tokio::time::timeout(self.inner.patience, followed).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(Failure::Stopped),
                Err(_) => return Err(self.inner.board.why_no_answer()),
            }
        }
        Ok(outcome)
    }

    /// What the configuration looks like when a change has been followed.
    fn expected(&self, change: &MemberChange) -> impl Fn(&raft::Membership) -> bool + use<> {
        let me = self.inner.id;
        let (there, gone, votes) = match change {
            MemberChange::Add(member) => (Some(NodeId(member.id)), None, None),
            // Who removes itself may not live to see the end of it.
            MemberChange::Remove { id } => (None, Some(NodeId(*id)).filter(|id| *id != me), None),
            MemberChange::Promote { id } => (None, None, Some(NodeId(*id))),
            MemberChange::Update { .. } | MemberChange::Publish { .. } => (None, None, None),
        };
        move |committed| {
            there.is_none_or(|id| committed.contains(id))
                && gone.is_none_or(|id| !committed.contains(id))
                && votes.is_none_or(|id| committed.voters.contains(&id))
        }
    }

    /// The caller of commands that this member gives for reasons of its own. It names nobody while
    /// authentication is off, so that the log stays readable for the release before.
    pub fn myself(&self) -> Caller {
        if self.view().auth().enabled() { Caller::member() } else { Caller::default() }
    }

    /// Says how this member is called and where clients reach it, once the table of members is there and
    /// says otherwise. Call it now and then.
    pub async fn publish_itself(&self) {
        let view = self.view();
        let Identity { id, name, client_urls, .. } = &self.inner.identity;
        let outdated = view.members().get(id.0);
        let outdated = outdated.filter(|me| me.name != *name || me.client_urls != *client_urls);
        if outdated.is_some() {
            let (name, client_urls) = (name.clone(), client_urls.clone());
            let change = MemberChange::Publish { id: id.0, name, client_urls };
            let told = self.change_members(self.myself(), change, 0).await;
            if let Err(failure) = told {
                tracing::debug!("not published yet: {failure}");
            }
        }
    }

    /// Resolves when the member can no longer keep its promises, with the reason.
    pub async fn failed(&self) -> String {
        self.inner.fatal.wait().await;
        self.inner.fatal.reason().unwrap_or_default()
    }

    /// Fails what has waited too long. Call it a few times a second.
    pub fn expire(&self) {
        let failure = self.inner.board.why_no_answer();
        let overdue = self.inner.pending.expire(Instant::now(), self.inner.patience, &failure);
        self.inner.stats.failed_proposals.add(overdue.len() as u64);
        for seq in overdue {
            self.inner.inbox.request(Request::Forget { seq });
        }
        self.inner.gate.expire(Instant::now(), self.inner.patience, &failure);
    }

    /// Ends the member's threads: what was acknowledged is on disk already, so this only makes the
    /// next start quicker. Blocks until they have ended.
    pub fn stop(&self) {
        let stopping = &self.inner.stopping;
        self.inner.inbox.stop();
        let mut threads = stopping.threads.lock().expect("no holder of this lock panics");
        for (name, thread) in threads.drain(..) {
            match name {
                "log" => stopping.log.stop(),
                "apply" => stopping.apply.stop(),
                "bulk" => stopping.bulk.push(bulk::Job::Stop),
                _ => {}
            }
            if thread.join().is_err() {
                tracing::error!("the {name} thread panicked");
            }
        }
    }
}

/// Stops the retries of a proposal whose caller went away.
struct Forget<'a> {
    inner: &'a Inner,
    seq: u64,
    armed: bool,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.inner.pending.forget(self.seq);
            self.inner.inbox.request(Request::Forget { seq: self.seq });
        }
    }
}

fn directory_bytes(path: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => directory_bytes(&entry.path()),
            Ok(_) => entry.metadata().map_or(0, |data| data.len()),
            Err(_) => 0,
        })
        .sum()
}
