//! A member as a process: its sockets, its services, its end.

use crate::audit::Audit;
use crate::auth::AuthService;
use crate::cluster::ClusterService;
use crate::election::ElectionService;
use crate::front::accept::Thread;
use crate::front::listen::{Listener, Serves, cannot_listen};
use crate::front::{Front, FrontOptions};
use crate::guard::GuardService;
use crate::kv::KvService;
use crate::lease::LeaseService;
use crate::lock::LockService;
use crate::maintenance::MaintenanceService;
use crate::metrics::Metrics;
use crate::service::{Limits, Service};
use crate::services::Services;
use crate::trace::Tracer;
use crate::watch::WatchService;
use crate::{Config, ServeError, secure};
use quorate_base::{Instant, NodeId};
use quorate_host::{Host, HostOptions, PeerTls};
use quorate_store::{Action, Retainer, Retention};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::v3electionpb::election_server::ElectionServer;
use quorate_wire::etcd::v3lockpb::lock_server::LockServer;
use quorate_wire::etcd::{DESCRIPTOR_SET, GRPC_OVERHEAD_BYTES};
use quorate_wire::native::v1::guard_server::GuardServer;
use quorate_wire::range_raw::RawKvServer;
use quorate_wire::watch_raw::RawWatchServer;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tonic::service::Routes;

/// How often requests that have waited too long are looked for.
const EXPIRE_EVERY: Duration = Duration::from_millis(200);

/// How often this member looks whether the others know its name and addresses.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);

/// How often the free space is looked at.
const SPACE_EVERY: Duration = Duration::from_secs(2);

/// Progress is told at most so often, whatever was asked for.
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// etcd's default quota.
const DEFAULT_QUOTA: u64 = 2 << 30;

/// Runs a member until `stop` resolves, then drains and returns. Blocks the calling thread.
///
/// # Errors
/// One sentence for the operator. After [`ServeError::Fatal`] the process must exit.
pub fn run(
    config: Config,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    end_on_panic();
    let peers = listen(&config.listen_peer_urls, "--listen-peer-urls")?;
    let clients = listen_for_clients(&config)?;
    let peer_tls = config.edge.peer_tls.as_ref().map(secure::between_members).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ServeError::Start(error.to_string()))?;
    let mut stop = std::pin::pin!(stop);
    let host = runtime.block_on(async {
        tokio::select! {
            host = start_host(host_options(&config, peers, peer_tls)) => host.map(Some),
            () = &mut stop => Ok(None),
        }
    });
    let Some(host) = host.map_err(ServeError::Start)? else {
        tracing::info!("stopped before it was admitted");
        return Ok(());
    };
    let start = |(options, every)| Audit::start(options, host.member_id(), every);
    let audit = config.audit.clone().map(start).transpose().map_err(ServeError::Start)?;
    let service = Service::new(host.clone(), limits(&config), config.tokens.clone(), audit);
    let service = service.map_err(|error| ServeError::Start(error.to_string()))?;
    runtime.block_on(crate::corruption::before_serving(&service, config.corruption));
    let (stopping, stopped) = watch::channel(false);
    let tracer = config.traces.as_ref().map(Tracer::start).transpose();
    let tracer = tracer.map_err(ServeError::Start)?;
    let servers = serve(&config, &service, clients, &stopped, tracer.as_ref())?;
    tracing::info!(
        name = %config.name,
        client_urls = %config.advertise_client_urls.join(","),
        "ready to serve clients"
    );
    crate::notify::ready();
    let ending = runtime.block_on(async {
        tokio::select! {
            () = &mut stop => Ok(()),
            why = host.failed() => Err(ServeError::Fatal(why)),
            () = look_after(&service, &config) => Ok(()),
        }
    });
    if ending.is_ok() {
        tracing::info!("stopping");
        crate::notify::stopping();
        runtime.block_on(crate::leave::hand_over(&host, config.election_timeout));
        stopping.send_replace(true);
        servers.into_iter().for_each(|server| drop(server.join()));
        if let Some(tracer) = tracer {
            tracer.stop();
        }
        host.stop();
    }
    ending
}

/// Starts the host on a thread of its own: a new member waits for its peers for as long as it takes,
/// and whoever asks for its end must not wait with it.
async fn start_host(options: HostOptions) -> Result<Host, String> {
    let (sender, started) = tokio::sync::oneshot::channel();
    let start = move || drop(sender.send(quorate_host::start(options)));
    let thread = std::thread::Builder::new().name("start".into()).spawn(start);
    thread.map_err(|error| error.to_string())?;
    started.await.unwrap_or_else(|_| Err("the starting thread ended".to_owned()))
}

/// A broken assertion ends the process: a member that has lost its core or its disk's thread must
/// not go on looking alive. A panic on a thread that serves clients ends that client's call only.
fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        let thread = std::thread::current();
        if !thread.name().is_some_and(|name| name.starts_with("client-")) {
            std::process::abort();
        }
    }));
}

/// Binds every address of a list of URLs on which peers arrive.
fn listen(urls: &[String], flag: &str) -> Result<Vec<TcpListener>, ServeError> {
    let bind = |url: &String| {
        let address = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let bound = TcpListener::bind(address.trim_end_matches('/'));
        let listener = bound.and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        listener.map_err(|error| ServeError::Start(cannot_listen(url, flag, &error)))
    };
    urls.iter().map(bind).collect()
}

/// Binds every socket on which clients arrive.
fn listen_for_clients(config: &Config) -> Result<Vec<Listener>, ServeError> {
    let edge = &config.edge;
    let apart = !edge.listen_client_http_urls.is_empty();
    let main = if apart { Serves::Grpc } else { Serves::Everything };
    let lists = [
        (&config.listen_client_urls, "--listen-client-urls", main),
        (&edge.listen_client_http_urls, "--listen-client-http-urls", Serves::Http),
        (&edge.listen_metrics_urls, "--listen-metrics-urls", Serves::Metrics),
    ];
    let all = lists.into_iter().flat_map(|(urls, flag, serves)| {
        urls.iter().map(move |url| Listener::bind(url, flag, serves))
    });
    all.collect()
}

fn host_options(
    config: &Config,
    peer_listeners: Vec<TcpListener>,
    peer_tls: Option<PeerTls>,
) -> HostOptions {
    HostOptions {
        peer_tls,
        data_dir: config.data_dir.clone(),
        name: config.name.clone(),
        members: config.members(),
        cluster_token: config.initial_cluster_token.clone(),
        joins: config.joins,
        promotes_learners: config.auto_promote_learners,
        peer_routes: config.peer_routes.clone(),
        peer_listeners,
        heartbeat_interval: config.heartbeat_interval,
        election_timeout: config.election_timeout,
        catchup_entries: config.snapshot_catchup_entries,
        slow_apply: config.slow_apply,
        // etcd's request timeout: 5 s and two elections.
        patience: Duration::from_secs(5) + 2 * config.election_timeout,
        sweep_budget: config.compaction_batch_limit,
        unsafe_no_fsync: config.unsafe_no_fsync,
        chaos_disk: config.chaos_disk.clone(),
    }
}

fn limits(config: &Config) -> Limits {
    let half_more = config.election_timeout.mul_f64(1.5);
    Limits {
        max_txn_ops: config.max_txn_ops,
        max_request_bytes: config.max_request_bytes,
        quota_bytes: match config.quota_backend_bytes {
            0 => Some(DEFAULT_QUOTA),
            1.. => Some(config.quota_backend_bytes as u64),
            _ => None,
        },
        max_watchers_per_stream: config.max_watchers_per_stream,
        max_watchers: config.max_watchers,
        watch_buffer_bytes: config.watch_buffer_bytes,
        progress_interval: config.watch_progress_notify_interval.max(MIN_PROGRESS_INTERVAL),
        leaderless_patience: 3 * config.election_timeout,
        min_lease_ttl: half_more.as_secs_f64().ceil() as i64,
        max_answer_bytes: config.edge.max_answer_bytes,
        answer_patience: Duration::from_secs(5),
        max_learners: config.max_learners,
        strict_reconfig_check: config.strict_reconfig_check,
    }
}

/// Starts the threads that serve clients. Each has its own runtime and accepts on every socket.
fn serve(
    config: &Config,
    service: &Arc<Service>,
    listeners: Vec<Listener>,
    stopped: &watch::Receiver<bool>,
    tracer: Option<&Arc<Tracer>>,
) -> Result<Vec<JoinHandle<()>>, ServeError> {
    let start = |error: &dyn std::fmt::Display| ServeError::Start(error.to_string());
    let services = Arc::new(services(config, service).map_err(ServeError::Start)?);
    let count = config.client_threads.max(1);
    let edge = &config.edge;
    let metrics = Metrics::new(count, edge.extensive_metrics, edge.slow_request, tracer);
    let tls = config.edge.client_tls.as_ref().map(secure::listening).transpose()?;
    let front = Front::new(service.clone(), metrics.clone(), front_options(config), tls);
    let mut threads = Vec::new();
    for number in 0..count {
        let clones = listeners.iter().map(Listener::try_clone);
        let listeners = clones.collect::<io::Result<Vec<_>>>().map_err(|e| start(&e))?;
        let thread = Thread {
            front: front.clone(),
            services: services.clone(),
            calls: metrics.shard(number),
            listeners,
            stopped: stopped.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| start(&e))?;
        let run = move || {
            if let Err(error) = runtime.block_on(thread.run()) {
                tracing::error!("a client thread ended: {error}");
            }
            runtime.shutdown_timeout(Duration::from_millis(100));
        };
        let thread = std::thread::Builder::new().name(format!("client-{number}")).spawn(run);
        threads.push(thread.map_err(|e| start(&e))?);
    }
    Ok(threads)
}

fn front_options(config: &Config) -> FrontOptions {
    let edge = &config.edge;
    FrontOptions {
        max_concurrent_streams: config.max_concurrent_streams,
        // As in etcd, 0 never pings.
        keepalive_interval: Some(config.grpc_keepalive_interval).filter(|every| !every.is_zero()),
        keepalive_timeout: config.grpc_keepalive_timeout,
        max_connections: edge.max_connections,
        max_half_open: edge.max_half_open,
        handshake_timeout: edge.handshake_timeout,
        max_message_bytes: config.max_request_bytes + GRPC_OVERHEAD_BYTES,
        gateway: edge.gateway,
        cors: edge.cors.clone(),
        hosts: edge.host_whitelist.clone(),
    }
}

fn services(config: &Config, service: &Arc<Service>) -> Result<Services, String> {
    let limit = config.max_request_bytes + GRPC_OVERHEAD_BYTES;
    let kv = RawKvServer::new(Arc::new(KvService(service.clone())));
    let watch = RawWatchServer::new(Arc::new(WatchService(service.clone())));
    let lease = pb::lease_server::LeaseServer::new(LeaseService(service.clone()));
    let cluster = pb::cluster_server::ClusterServer::new(ClusterService(service.clone()));
    let auth = pb::auth_server::AuthServer::new(AuthService(service.clone()));
    let maintenance = MaintenanceService(service.clone());
    let maintenance = pb::maintenance_server::MaintenanceServer::new(maintenance);
    let lock = LockServer::new(LockService(service.clone()));
    let election = ElectionServer::new(ElectionService(service.clone()));
    let guard = GuardServer::new(GuardService(service.clone()));
    let (_, health) = tonic_health::server::health_reporter();
    let reflect = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = reflect().build_v1().map_err(|error| error.to_string())?;
    let reflection_alpha = reflect().build_v1alpha().map_err(|error| error.to_string())?;
    let rest = Routes::new(watch.max_decoding_message_size(limit))
        .add_service(cluster.max_decoding_message_size(limit))
        .add_service(maintenance.max_decoding_message_size(limit))
        .add_service(auth.max_decoding_message_size(limit))
        .add_service(lock.max_decoding_message_size(limit))
        .add_service(election.max_decoding_message_size(limit))
        .add_service(guard.max_decoding_message_size(limit))
        .add_service(health)
        .add_service(reflection)
        .add_service(reflection_alpha);
    let rest = rest.into_axum_router().fallback(crate::fallback::unknown_call);
    Ok(Services {
        service: service.clone(),
        kv: kv.max_decoding_message_size(limit),
        lease: lease.max_decoding_message_size(limit),
        rest: Routes::from(rest),
    })
}

/// The housekeeping of a serving member; never returns. Raising an alarm is a write that may wait
/// for a quorum, and it is the other half that ends such a wait: neither waits for the other.
async fn look_after(service: &Arc<Service>, config: &Config) {
    let expire = async {
        let mut ticks = tokio::time::interval(EXPIRE_EVERY);
        loop {
            ticks.tick().await;
            service.host.expire();
            service.host.tokens().purge(service.tokens.ttl);
        }
    };
    let space = async {
        let mut ticks = tokio::time::interval(SPACE_EVERY);
        loop {
            ticks.tick().await;
            service.watch_space().await;
        }
    };
    let publish = async {
        let mut ticks = tokio::time::interval(PUBLISH_EVERY);
        loop {
            ticks.tick().await;
            service.host.publish_itself().await;
        }
    };
    let audit = crate::audit::keep(service.clone());
    let compact = compact(service, config.auto_compaction);
    let election = config.election_timeout;
    let compare = crate::corruption::watch_over(service, config.corruption, election);
    let downgrade = crate::downgrade::watch_over(service, config.downgrade_check);
    tokio::join!(expire, space, publish, compact, audit, compare, downgrade);
}

/// Compacts by itself, on the leader: what is forgotten is decided once and goes through the log.
async fn compact(service: &Service, retention: Option<Retention>) {
    let Some(retention) = retention else { return };
    let mut retainer = Retainer::new(retention);
    let mut ticks = tokio::time::interval(retainer.pace());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let origin = std::time::Instant::now();
    loop {
        ticks.tick().await;
        let now = Instant(origin.elapsed().as_nanos() as u64);
        let (revision, compacted) = {
            let view = service.view();
            (view.revision(), view.compacted())
        };
        let due = retainer.observe(now, revision, compacted);
        let me = Some(NodeId(service.host.member_id()));
        let Some(target) = due.filter(|_| service.host.status().leader == me) else { continue };
        let compaction = Action::Compact { revision: target };
        match service
            .host
            .propose(service.host.myself(), compaction, service.limits.max_request_bytes)
            .await
        {
            Ok(outcome) if outcome.result.is_ok() => {
                tracing::info!(revision = target, "compacted by itself");
            }
            // Somebody else compacted, or there is no quorum now: the next interval comes.
            Ok(_) | Err(_) => {}
        }
    }
}
