//! Bringing a member up: directory, log, state, threads.

use crate::apply::{ApplyQueue, ApplyThread, Outlets};
use crate::bulk::{BulkQueue, BulkThread};
use crate::clock::Clock;
use crate::core::{Core, Linker, Shared};
use crate::fatal::Fatal;
use crate::feed::Feed;
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::logger::{self, LogQueue};
use crate::options::find_member;
use crate::peers::{self, Acceptor, Evidence, Identity, Known, Newcomer, Peer};
use crate::pending::Pending;
use crate::questions::Questions;
use crate::roster::Roster;
use crate::slow::SlowLog;
use crate::stats::Stats;
use crate::status::StatusBoard;
use crate::{Host, HostOptions, Inner, MemberInfo, RELEASE, Stopping, View, cluster_id};
use arc_swap::ArcSwap;
use quorate_base::{Dice, NodeId};
use quorate_node::newcomer::{Standing, standing};
use quorate_node::{Config, GroupId, Node, Strong};
use quorate_raft::{self as raft, Membership, Restored};
use quorate_storage::engine::{Generations, LsmEngine, Options as EngineOptions};
use quorate_storage::{
    DataDir, Disk, Log, LogOptions, Meta, WITHOUT_ITS_DATA, random_incarnation, restore,
};
use quorate_store::{Applier, Fingerprints, Members};
use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::{oneshot, watch};

/// Writes of this member that may wait for their answers at once (contract item 35).
const MAX_PENDING: usize = 5_000;

/// Bytes in one append, and appends under way to one follower.
const APPEND_BYTES: usize = 1 << 20;
const APPENDS_IN_FLIGHT: usize = 64;

/// The log keeps at most so many entries, or so many tails for slow followers, behind the state that a
/// follower is being sent.
const HELD_ENTRIES: u64 = 100_000;
const HELD_TAILS: u64 = 100;

/// Bytes of entries in memory beyond what is applied and replicated.
const CACHED_BYTES: usize = 64 << 20;

/// What lies on the disk, opened and checked.
struct Opened<D: Disk> {
    directory: DataDir,
    known: Arc<Known>,
    incarnation: u64,
    log: Log<D>,
    restored: Restored,
    applier: Applier<LsmEngine>,
    generations: Generations,
    view: View,
    fingerprints: Fingerprints,
}

/// Starts a member and returns when its data is open and its threads run; it may not have met its
/// peers yet. Call it from a thread that may block.
///
/// # Errors
/// One sentence for the operator: the directory is in use, another cluster's, damaged, or this
/// member belonged to the cluster with another directory.
pub fn start(options: HostOptions) -> Result<Host, String> {
    if options.unsafe_no_fsync {
        tracing::warn!("the log is not synced: acknowledged writes can be lost");
        start_on(options, crate::unsynced::Unsynced)
    } else if let Some(told) = options.chaos_disk.clone() {
        start_on(options, move |disk| crate::delayed::Delayed::new(disk, told.clone()))
    } else {
        start_on(options, |disk| disk)
    }
}

fn start_on<D: Disk>(
    mut options: HostOptions,
    wrap: impl Fn(quorate_storage::RealDisk) -> D,
) -> Result<Host, String> {
    let (opened, who) = open(&options, wrap)?;
    let identity = Identity {
        cluster: who.cluster,
        id: who.me.id,
        name: options.name.clone(),
        client_urls: who.client_urls,
        peer_urls: who.me.peer_urls.clone(),
        incarnation: opened.incarnation,
        tls: options.peer_tls.clone(),
    };
    let flags = std::mem::replace(&mut options.members, who.members);
    let told = if options.joins { peers::others(&options.name, &flags) } else { Vec::new() };
    // Remembered before anything is told, like any other member's.
    let listeners = std::mem::take(&mut options.peer_listeners);
    run(options, opened, identity, listeners, told)
}

/// Who this member is and who the others are, as far as it knows before it speaks to anyone.
struct Who {
    cluster: u64,
    me: MemberInfo,
    members: Vec<MemberInfo>,
    /// Where its clients reach it, according to its own flags.
    client_urls: Vec<String>,
    /// Who voted before any change; empty when only the log or a snapshot can tell.
    founders: Membership,
}

/// With a table of members in its state a member needs no flags to know who it is. Without one, the
/// flags name the cluster's first members, which its ids are computed from; whoever was added later
/// asks those who are there.
fn who(
    options: &HostOptions,
    (directory, known): (&DataDir, &Known),
    label: Option<&Meta>,
    table: &Members,
    config: Option<&Membership>,
) -> Result<Who, String> {
    let told = find_member(&options.name, &options.members);
    let own = options.members.iter().find(|member| member.name == options.name);
    let client_urls = own.map(|me| me.client_urls.clone()).unwrap_or_default();
    if let Some(label) = label {
        let (cluster, id) = (label.cluster_id, label.member_id);
        match standing(id, table, config) {
            Standing::Untold => {}
            Standing::Removed => return Err(peers::removed(&label.name, NodeId(id), cluster)),
            Standing::Member { me, members, founders } => {
                let me = MemberInfo::of_member(&me);
                let members = members.iter().map(MemberInfo::of_member).collect();
                return Ok(Who { cluster, me, members, client_urls, founders });
            }
        }
    }
    let me = told?;
    let cluster = cluster_id(&options.members, &options.cluster_token);
    let is_founder = label.is_some_and(|label| label.member_id == me.id.0);
    if options.joins && !is_founder {
        let label = label.map(|label| (label.cluster_id, NodeId(label.member_id)));
        let (me, told, tls) = (&me, &options.members, options.peer_tls.clone());
        let took_part = known.joined();
        let learned = peers::learn(directory, &Newcomer { me, told, label, took_part, tls })?;
        return Ok(Who {
            cluster: learned.cluster,
            me: MemberInfo::of_member(&learned.me),
            members: learned.members.iter().map(MemberInfo::of_member).collect(),
            client_urls,
            founders: Membership::default(),
        });
    }
    let members = options.members.clone();
    let founders = Membership::of(members.iter().map(|member| member.id));
    Ok(Who { cluster, me, members, client_urls, founders })
}

fn open<D: Disk>(
    options: &HostOptions,
    wrap: impl Fn(quorate_storage::RealDisk) -> D,
) -> Result<(Opened<D>, Who), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let directory = DataDir::open(&options.data_dir).map_err(|e| say(&e))?;
    if let Some(mode) = directory.permissions_too_open() {
        tracing::warn!("others may read the data directory (mode {mode:o}): chmod 700 it");
    }
    let label = directory.meta().map_err(|e| say(&e))?;
    let known = Arc::new(Known::open(directory.path()).map_err(|e| say(&e))?);
    if label.is_none() {
        // A log without a label was never acknowledged to anyone, unless the label is what is lost.
        if known.joined() {
            return Err(lost_label(directory.path()));
        }
        directory.discard_unlabelled_log().map_err(|e| say(&e))?;
    }
    let state = match &label {
        Some(_) => Some(open_state(&directory)?),
        None => None,
    };
    let nobody = Arc::default();
    let table = state.as_ref().map_or(&nobody, |(applier, _)| applier.members());
    let config = state.as_ref().and_then(|(applier, _)| applier.config().clone());
    let config = config.and_then(Membership::decode);
    let who = who(options, (&directory, &known), label.as_ref(), table, config.as_ref())?;
    let meta = directory.meta_of(who.cluster, who.me.id.0).map_err(|e| say(&e))?;
    let incarnation = match &meta {
        Some(meta) => meta.incarnation,
        None => random_incarnation().map_err(|e| say(&e))?,
    };
    let disk = wrap(directory.log_disk().map_err(|e| say(&e))?);
    let log_options = LogOptions { must_exist: meta.is_some(), ..LogOptions::new(incarnation) };
    let (mut log, recovered) = Log::open(disk, log_options).map_err(|e| say(&e))?;
    if meta.is_none() {
        let label = Meta {
            cluster_id: who.cluster,
            member_id: who.me.id.0,
            name: options.name.clone(),
            created_by: RELEASE.to_owned(),
            incarnation,
        };
        directory.store_meta(&label).map_err(|e| say(&e))?;
    }
    let (mut applier, generations) = match state {
        Some(state) => state,
        None => open_state(&directory)?,
    };
    let config = applier.config().clone().and_then(Membership::decode);
    let restored = restore(&mut log, &recovered, applier.applied(), config, &who.founders)?;
    tracing::info!(
        term = restored.term,
        last_index = restored.last_index,
        applied = restored.applied,
        replay = restored.entries.len(),
        "the data directory is open"
    );
    let published = applier.publish().map_err(|e| say(&e))?;
    let mut fingerprints = Fingerprints::default();
    fingerprints.note(published.fingerprints);
    let opened = Opened {
        directory,
        known,
        incarnation,
        log,
        restored,
        applier,
        generations,
        view: published.view,
        fingerprints,
    };
    Ok((opened, who))
}

/// Opens the state of a data directory; an empty one if there is none.
pub fn open_state(directory: &DataDir) -> Result<(Applier<LsmEngine>, Generations), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let generations = Generations::open(&directory.state_path(), EngineOptions::small());
    let generations = generations.map_err(|e| say(&e))?;
    let engine = generations.open_current().map_err(|e| say(&e))?;
    let applier = Applier::open(engine, crate::feed::STORE).map_err(|e| say(&e))?;
    Ok((applier, generations))
}

fn lost_label(directory: &Path) -> String {
    format!(
        "{} is missing, although the directory's list of peers says that it took part in a cluster: \
         put the file back; if it is lost, {WITHOUT_ITS_DATA}",
        directory.join("meta").display()
    )
}

/// Starts the threads around what was opened.
fn run<D: Disk>(
    options: HostOptions,
    opened: Opened<D>,
    identity: Identity,
    listeners: Vec<TcpListener>,
    told: Vec<Peer>,
) -> Result<Host, String> {
    let Opened {
        directory,
        known,
        incarnation: _,
        log,
        restored,
        applier,
        generations,
        view,
        fingerprints,
    } = opened;
    let mut dice = Dice::new(random_incarnation().map_err(|error| error.to_string())?);
    let origin = dice.next_u64();
    let fatal = Fatal::new();
    let inbox = Arc::new(Inbox::default());
    let log_queue = Arc::new(LogQueue::default());
    let apply_queue = Arc::new(ApplyQueue::default());
    let bulk_queue = Arc::new(BulkQueue::default());
    let gate = Arc::new(Gate::default());
    let questions = Arc::new(Questions::default());
    let board = Arc::new(StatusBoard::new(&restored));
    let pending = Arc::new(Pending::new(origin, MAX_PENDING));
    let feed = Arc::new(Feed::new(view.revision()));
    let stats = Arc::new(Stats::default());
    let (swept_sender, swept) = watch::channel(view.swept());
    gate.open(view.applied().0);
    let view = Arc::new(ArcSwap::from_pointee(view));
    let fingerprints = Arc::new(Mutex::new(fingerprints));
    let evidence = Evidence::new(view.clone(), fingerprints.clone());
    let quarantine = options.data_dir.join(crate::compare::QUARANTINE).exists();
    let quarantine = watch::Sender::new(quarantine);
    let generations = Arc::new(Mutex::new(generations));

    let mut threads: Vec<(&'static str, JoinHandle<()>)> = Vec::new();
    let shared = Shared {
        clock: Clock::start(),
        inbox: inbox.clone(),
        log: log_queue.clone(),
        apply: apply_queue.clone(),
        bulk: bulk_queue.clone(),
        gate: gate.clone(),
        questions: questions.clone(),
        board: board.clone(),
        stats: stats.clone(),
        view: view.clone(),
        fatal: fatal.clone(),
    };
    let core = CorePlan {
        config: node_config(&options, identity.id),
        restored,
        dice: dice.fork(1),
        members: options.members.clone(),
        routes: options.peer_routes.clone(),
        identity: identity.clone(),
        known: known.clone(),
        listeners,
        told,
        evidence: evidence.clone(),
        shared,
    };
    threads.push(("core", start_core(core)?));

    let tokens = Arc::new(crate::Tokens::default());
    let checkpoints = Arc::new(crate::audit::Checkpoints::default());
    let outlets = Outlets {
        view: view.clone(),
        pending: pending.clone(),
        gate: gate.clone(),
        feed: feed.clone(),
        fingerprints,
        swept: swept_sender,
        inbox: inbox.clone(),
        stats: stats.clone(),
        tokens: tokens.clone(),
        checkpoints: checkpoints.clone(),
        slow: SlowLog::new(options.slow_apply),
        fatal: fatal.clone(),
    };
    let apply = ApplyThread::new(applier, generations.clone(), options.sweep_budget, outlets);
    let bulk = BulkThread {
        reader: log.reader(),
        view: view.clone(),
        generations,
        apply: apply_queue.clone(),
        inbox: inbox.clone(),
        quarantine: quarantine.subscribe(),
        fatal: fatal.clone(),
    };
    threads.push(("apply", spawn("apply", apply, &apply_queue, ApplyThread::run)?));
    threads.push(("bulk", spawn("bulk", bulk, &bulk_queue, BulkThread::run)?));
    let (queue, log_inbox, log_fatal) = (log_queue.clone(), inbox.clone(), fatal.clone());
    let log_stats = stats.clone();
    let run_log = move || {
        // The directory's lock lives as long as its log.
        let _directory = directory;
        logger::run(log, queue, log_inbox, log_fatal, &log_stats);
    };
    let thread = std::thread::Builder::new().name("log".into()).spawn(run_log);
    threads.push(("log", thread.map_err(|error| error.to_string())?));

    let inner = Inner {
        cluster_id: identity.cluster,
        id: identity.id,
        identity,
        members: options.members,
        known,
        routes: options.peer_routes,
        evidence,
        quarantine,
        view,
        inbox,
        pending,
        questions,
        board,
        gate,
        feed,
        stats,
        swept,
        tokens,
        checkpoints,
        fatal,
        dice: Mutex::new(dice),
        patience: options.patience,
        data_dir: options.data_dir,
        stopping: Stopping {
            log: log_queue,
            apply: apply_queue,
            bulk: bulk_queue,
            threads: Mutex::new(threads),
        },
    };
    Ok(Host { inner: Arc::new(inner) })
}

fn spawn<T: Send + 'static, Q: Send + Sync + 'static>(
    name: &str,
    thread: T,
    queue: &Arc<Q>,
    run: fn(T, Arc<Q>),
) -> Result<JoinHandle<()>, String> {
    let queue = queue.clone();
    let started = std::thread::Builder::new().name(name.into()).spawn(move || run(thread, queue));
    started.map_err(|error| format!("cannot start the {name} thread: {error}"))
}

fn node_config(options: &HostOptions, id: NodeId) -> Config {
    Config {
        raft: raft::Config {
            id,
            election_timeout: options.election_timeout,
            heartbeat_interval: options.heartbeat_interval,
            max_append_bytes: APPEND_BYTES,
            max_inflight_appends: APPENDS_IN_FLIGHT,
            max_cached_bytes: CACHED_BYTES,
            max_held_entries: options.catchup_entries.saturating_mul(HELD_TAILS).max(HELD_ENTRIES),
        },
        catchup_entries: options.catchup_entries,
        patience: options.patience,
        promotes_learners: options.promotes_learners,
    }
}

/// Everything that the core's thread needs to begin.
struct CorePlan {
    config: Config,
    restored: Restored,
    dice: Dice,
    members: Vec<MemberInfo>,
    routes: Vec<(String, String)>,
    identity: Identity,
    known: Arc<Known>,
    listeners: Vec<TcpListener>,
    /// The members that the flags of a newcomer name.
    told: Vec<Peer>,
    evidence: Evidence,
    shared: Shared,
}

/// Starts the core's thread and waits until this member is admitted: with an empty directory it
/// must first hear that it is new.
fn start_core(plan: CorePlan) -> Result<JoinHandle<()>, String> {
    let (sender, admitted) = oneshot::channel();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => {
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, run_core(plan, sender));
            }
            Err(error) => drop(sender.send(Err(error.to_string()))),
        }
    };
    let thread = std::thread::Builder::new().name("core".into()).spawn(run);
    let thread = thread.map_err(|error| error.to_string())?;
    match admitted.blocking_recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(why)) => Err(why),
        Err(_) => Err("the core thread ended at its start".to_owned()),
    }
}

async fn run_core(plan: CorePlan, admitted: oneshot::Sender<Result<(), String>>) {
    let CorePlan {
        config,
        restored,
        dice,
        members,
        routes,
        identity,
        known,
        listeners,
        told,
        evidence,
        shared,
    } = plan;
    let table = shared.view.load().members().clone();
    let roster = Rc::new(Roster::new(identity.id, &members, routes, table));
    let acceptor = Rc::new(Acceptor {
        identity: identity.clone(),
        roster: roster.clone(),
        known: known.clone(),
        inbox: shared.inbox.clone(),
        stats: shared.stats.clone(),
        evidence,
        open: Cell::new(known.joined()),
        speaking: RefCell::default(),
    });
    for listener in listeners {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                tokio::task::spawn_local(peers::serve(listener, acceptor.clone()));
            }
            Err(error) => {
                let _ = admitted.send(Err(error.to_string()));
                return;
            }
        }
    }
    if !known.joined() {
        let joined = match peers::admit(&identity, &roster, &told).await {
            Ok(()) => known.join().map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        if let Err(why) = joined {
            let _ = admitted.send(Err(why));
            return;
        }
        acceptor.open.set(true);
    }
    let now = shared.clock.now();
    let strong = Strong::new(config, restored, dice, now);
    let node = Node::new([(GroupId(0), strong)].into());
    if admitted.send(Ok(())).is_ok() {
        let linker = Linker { identity, known };
        Core::new(node, shared, roster, linker).run().await;
    }
}
