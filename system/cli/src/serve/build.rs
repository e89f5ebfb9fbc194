//! From settings to a member's configuration: what must agree with what, and what this version cannot do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_server::{Config, MemberConfig, Retention, TraceOptions};

use super::FlagError;
use super::settings::{Origin, Setting, Settings};
use super::table::{Effect, Kind};
use super::value;

/// Longest period of automatic compaction: ten years.
const LONGEST_HOURS: u64 = 87_600;

/// Longest election timeout, in milliseconds; etcd's bound.
const MAX_ELECTION_MS: u64 = 50_000;

/// Checks the settings against each other and fills in the configuration.
pub fn config(settings: &Settings) -> Result<Config, FlagError> {
    settings.all().try_for_each(supported)?;
    timing(settings)?;
    let members = cluster(settings)?;
    let data_dir = PathBuf::from(settings.text("data-dir"));
    directory(&data_dir)?;
    Ok(Config {
        name: settings.text("name").to_owned(),
        data_dir,
        listen_client_urls: listen(settings, "listen-client-urls")?,
        advertise_client_urls: settings.urls("advertise-client-urls"),
        listen_peer_urls: listen(settings, "listen-peer-urls")?,
        peer_routes: routes(settings, &members)?,
        initial_cluster: members,
        joins: settings.text("initial-cluster-state") == "existing",
        auto_promote_learners: settings.is("auto-promote-learners"),
        max_learners: settings.count("max-learners"),
        strict_reconfig_check: settings.is("strict-reconfig-check"),
        initial_cluster_token: settings.text("initial-cluster-token").to_owned(),
        heartbeat_interval: settings.time("heartbeat-interval"),
        election_timeout: settings.time("election-timeout"),
        snapshot_catchup_entries: settings.count("snapshot-catchup-entries"),
        slow_apply: settings.time("warning-apply-duration"),
        quota_backend_bytes: settings
            .text("quota-backend-bytes")
            .parse()
            .expect("checked when it was set"),
        max_txn_ops: settings.size("max-txn-ops"),
        max_request_bytes: settings.size("max-request-bytes"),
        max_concurrent_streams: u32::try_from(settings.count("max-concurrent-streams"))
            .expect("its bound fits"),
        max_watchers_per_stream: settings.size("max-watchers-per-stream"),
        max_watchers: settings.size("max-watchers"),
        watch_buffer_bytes: settings.size("watch-buffer-bytes"),
        watch_progress_notify_interval: settings.time("watch-progress-notify-interval"),
        compaction_batch_limit: settings.size("compaction-batch-limit"),
        auto_compaction: retention(settings)?,
        grpc_keepalive_interval: settings.time("grpc-keepalive-interval"),
        grpc_keepalive_timeout: settings.time("grpc-keepalive-timeout"),
        tokens: super::tokens::options(settings)?,
        audit: super::tokens::audit(settings),
        downgrade_check: settings.time("downgrade-check-time"),
        corruption: super::gates::corruption(settings)?,
        client_threads: client_threads(settings),
        edge: super::edge::edge(settings)?,
        unsafe_no_fsync: settings.is("unsafe-no-fsync"),
        traces: traces(settings)?,
        chaos_disk: chaos_disk(settings)?,
    })
}

/// The file that makes the disk late. Only what `quorate up` supervises may be broken: a member that somebody runs for
/// its data must not hang because of a variable that was left in its environment.
fn chaos_disk(settings: &Settings) -> Result<Option<PathBuf>, FlagError> {
    let path = settings.text("chaos-disk");
    // Where nothing is synced, no sync can be late.
    if path.is_empty() || settings.is("unsafe-no-fsync") {
        return Ok(None);
    }
    if !settings.is("exit-with-parent") {
        let origin = &settings.get("chaos-disk").origin;
        return Err(FlagError(format!(
            "--chaos-disk {path:?} ({origin}) makes the disk late on purpose: it is for members that `quorate up` or \
             `quorate chaos` started, with --exit-with-parent; leave it out"
        )));
    }
    Ok(Some(PathBuf::from(path)))
}

/// Where spans are told, if anywhere.
fn traces(settings: &Settings) -> Result<Option<TraceOptions>, FlagError> {
    if !settings.is("enable-distributed-tracing") {
        return Ok(None);
    }
    let collector = settings.text("distributed-tracing-address");
    if let Err(expected) = value::host_and_port(&format!("http://{collector}")) {
        let origin = &settings.get("distributed-tracing-address").origin;
        return Err(FlagError(format!(
            "--distributed-tracing-address {collector:?} ({origin}) is no address of a collector, such as \
             localhost:4317: {expected}"
        )));
    }
    let rate = settings.count("distributed-tracing-sampling-rate");
    Ok(Some(TraceOptions {
        collector: collector.to_owned(),
        service_name: settings.text("distributed-tracing-service-name").to_owned(),
        instance_id: settings.text("distributed-tracing-instance-id").to_owned(),
        sampling_per_million: u32::try_from(rate).expect("its bound fits"),
    }))
}

/// What is kept of the past, in etcd's words: hours, a duration, or a number of revisions.
fn retention(settings: &Settings) -> Result<Option<Retention>, FlagError> {
    let text = settings.text("auto-compaction-retention");
    let mode = settings.text("auto-compaction-mode");
    let number = text.parse::<u64>().ok();
    let refuse = |expected: &str| {
        let text = format!(
            "--auto-compaction-retention {text:?} with --auto-compaction-mode={mode}: expected {expected}"
        );
        Err(FlagError(text))
    };
    match (mode, number) {
        (_, Some(0)) => Ok(None),
        ("revision", Some(kept)) => match i64::try_from(kept) {
            Ok(kept) => Ok(Some(Retention::Revisions(kept))),
            Err(_) => refuse("a smaller number of revisions"),
        },
        ("revision", None) => refuse("a number of revisions, such as 1000"),
        (_, Some(hours @ 1..=LONGEST_HOURS)) => {
            Ok(Some(Retention::Period(Duration::from_secs(hours * 3_600))))
        }
        (_, Some(_)) => refuse("at most 87600 hours"),
        (_, None) => match value::duration(text) {
            Some(period) if period.is_zero() => Ok(None),
            Some(period) if period >= Duration::from_secs(1) => Ok(Some(Retention::Period(period))),
            Some(_) => refuse("at least 1s"),
            None => refuse("hours, such as 8, or a duration, such as 30m"),
        },
    }
}

/// Refuses what would leave a door open or found another cluster than the one asked for.
fn supported(setting: &Setting) -> Result<(), FlagError> {
    let is_default = match setting.flag.kind {
        Kind::Bool => value::boolean(&setting.value) == value::boolean(setting.flag.default),
        Kind::Text
        | Kind::Name
        | Kind::Path
        | Kind::Count(..)
        | Kind::Signed
        | Kind::Milliseconds
        | Kind::Duration
        | Kind::Urls
        | Kind::PeerUrls
        | Kind::Listen
        | Kind::Members
        | Kind::Routes
        | Kind::Choice(_) => setting.value == setting.flag.default,
    };
    let (name, origin) = (setting.flag.name, &setting.origin);
    match setting.flag.effect {
        Effect::Works | Effect::Nothing(_) => Ok(()),
        Effect::Security | Effect::Refused(_) if is_default => Ok(()),
        Effect::Security => Err(FlagError(format!(
            "--{name} ({origin}) is not supported yet, and a member without the protection it asks for is not \
             started: leave it out only if this network needs none"
        ))),
        Effect::Refused(instead) => {
            Err(FlagError(format!("--{name} ({origin}) is not supported: {instead}")))
        }
    }
}

fn timing(settings: &Settings) -> Result<(), FlagError> {
    let heartbeat = settings.count("heartbeat-interval");
    let election = settings.count("election-timeout");
    if election < 5 * heartbeat {
        return Err(FlagError(format!(
            "--election-timeout {election} ms should be at least 5 times --heartbeat-interval {heartbeat} ms"
        )));
    }
    if election > MAX_ELECTION_MS {
        return Err(FlagError(format!(
            "--election-timeout {election} ms is too long: it must not exceed {MAX_ELECTION_MS} ms"
        )));
    }
    Ok(())
}

/// The members of the initial cluster, this one among them under the URLs that it advertises.
fn cluster(settings: &Settings) -> Result<Vec<MemberConfig>, FlagError> {
    let (name, list) = (settings.text("name"), settings.text("initial-cluster"));
    if name.is_empty() {
        return Err(FlagError("--name must not be empty".to_owned()));
    }
    if settings.is_given("listen-client-urls") && !settings.is_given("advertise-client-urls") {
        return Err(FlagError(
            "--advertise-client-urls is required when --listen-client-urls is set: clients must be told where to \
             connect"
                .to_owned(),
        ));
    }
    let members = value::members(list).expect("checked when it was set");
    let Some((_, own)) = members.iter().find(|(known, _)| known == name) else {
        let hint = match settings.get("name").origin {
            Origin::Default => "; set --name",
            Origin::File(_) | Origin::Environment(_) | Origin::Flag => "",
        };
        return Err(FlagError(format!(
            "couldn't find local name {name:?} in the initial cluster configuration --initial-cluster={list}{hint}"
        )));
    };
    let advertised = settings.urls("initial-advertise-peer-urls");
    let bare = |url: &str| url.trim_end_matches('/').to_owned();
    let has = |urls: &[String], url: &String| urls.iter().any(|known| bare(known) == bare(url));
    if let Some(url) = own.iter().find(|url| !has(&advertised, url)) {
        return Err(FlagError(format!(
            "--initial-cluster has {name}={url} but missing from --initial-advertise-peer-urls={}",
            advertised.join(",")
        )));
    }
    if let Some(url) = advertised.iter().find(|url| !has(own, url)) {
        return Err(FlagError(format!(
            "--initial-advertise-peer-urls has {url} but missing from --initial-cluster={list}"
        )));
    }
    Ok(members.into_iter().map(|(name, peer_urls)| MemberConfig { name, peer_urls }).collect())
}

fn listen(settings: &Settings, name: &str) -> Result<Vec<String>, FlagError> {
    let urls = settings.urls(name);
    if urls.is_empty() {
        return Err(FlagError(format!(
            "--{name} is empty: name at least one URL, such as http://127.0.0.1:2379"
        )));
    }
    Ok(urls)
}

fn routes(
    settings: &Settings,
    members: &[MemberConfig],
) -> Result<Vec<(String, String)>, FlagError> {
    let routes = value::routes(settings.text("peer-route")).expect("checked when it was set");
    // A local experiment may have places for members that join later.
    let later = settings.is("exit-with-parent");
    for (name, _) in &routes {
        if !later && !members.iter().any(|member| member.name == *name) {
            let known = members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>();
            return Err(FlagError(format!(
                "--peer-route names {name:?}, which is not in --initial-cluster; its members are {}",
                known.join(", ")
            )));
        }
    }
    Ok(routes)
}

/// The data directory is the server's to open; here only what contradicts the flags.
fn directory(path: &Path) -> Result<(), FlagError> {
    if path.join("member").is_dir() && !path.join("meta").exists() {
        return Err(FlagError(format!(
            "--data-dir {}: this is a data directory of etcd, which cannot be read; choose another one",
            path.display()
        )));
    }
    Ok(())
}

/// Half of the processors, as the threads of the node itself need the others; more than eight gain nothing.
fn client_threads(settings: &Settings) -> usize {
    match settings.size("client-threads") {
        0 => std::thread::available_parallelism().map_or(1, |count| (count.get() / 2).clamp(1, 8)),
        threads => threads,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{arguments, settings::Settings};
    use super::*;

    fn build(flags: &str) -> Result<Config, String> {
        let words: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        let line = arguments::parse(&words).map_err(|error| error.0)?;
        let (settings, _) = Settings::gather(line, &|_| None).map_err(|error| error.0)?;
        config(&settings).map_err(|error| error.0)
    }

    #[track_caller]
    fn refuses(flags: &str, parts: &[&str]) {
        let error = build(flags).expect_err(flags);
        assert!(!error.contains('\n'), "{error:?} is more than one line");
        for part in parts {
            assert!(error.contains(part), "{error:?} does not contain {part:?}");
        }
    }

    #[test]
    fn the_defaults_make_a_member_of_its_own() {
        let config = build("").unwrap();
        assert_eq!(config.name, "default");
        assert_eq!(config.initial_cluster[0].peer_urls, ["http://localhost:2380"]);
        assert_eq!(config.listen_client_urls, ["http://localhost:2379"]);
        assert_eq!(config.election_timeout.as_millis(), 1000);
        assert_eq!(config.max_concurrent_streams, u32::MAX);
        assert!((1..=8).contains(&config.client_threads), "{}", config.client_threads);
    }

    #[test]
    fn retention_is_read_as_etcd_reads_it() {
        let kept = |flags: &str| build(flags).expect(flags).auto_compaction;
        let period = |seconds| Some(Retention::Period(Duration::from_secs(seconds)));
        assert_eq!(kept("--auto-compaction-retention 8"), period(8 * 3_600));
        assert_eq!(kept("--auto-compaction-retention 1h30m"), period(5_400));
        assert_eq!(kept("--auto-compaction-retention 0"), None);
        assert_eq!(kept("--auto-compaction-retention 0s"), None);
        let mode = "--auto-compaction-mode revision --auto-compaction-retention";
        assert_eq!(kept(&format!("{mode} 1000")), Some(Retention::Revisions(1_000)));
        refuses(&format!("{mode} 10m"), &["\"10m\"", "a number of revisions"]);
        refuses("--auto-compaction-retention 10ms", &["at least 1s"]);
        refuses("--auto-compaction-retention 99999999", &["87600 hours"]);
        refuses("--auto-compaction-retention -5", &["hours, such as 8"]);
    }

    #[test]
    fn a_member_of_three_is_told_everything() {
        let config = build(
            "--name n2 --listen-client-urls http://127.0.0.1:1 --advertise-client-urls http://127.0.0.1:1 \
             --listen-peer-urls http://127.0.0.1:2 --initial-advertise-peer-urls http://127.0.0.1:2 \
             --initial-cluster n1=http://127.0.0.1:3,n2=http://127.0.0.1:2/,n3=http://127.0.0.1:4 \
             --peer-route n1=127.0.0.1:9 --peer-route=n3=127.0.0.1:10 --client-threads 3 \
             --watch-progress-notify-interval 1m30s --quota-backend-bytes -1",
        )
        .unwrap();
        let names: Vec<&str> =
            config.initial_cluster.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["n1", "n2", "n3"]);
        assert_eq!(config.peer_routes[1], ("n3".to_owned(), "127.0.0.1:10".to_owned()));
        assert_eq!((config.client_threads, config.quota_backend_bytes), (3, -1));
        assert_eq!(config.watch_progress_notify_interval.as_secs(), 90);
    }

    #[test]
    fn contradictions_are_named() {
        refuses("--heartbeat-interval 300", &["--election-timeout 1000 ms", "5 times", "300 ms"]);
        refuses("--election-timeout 50001", &["50001 ms is too long", "50000 ms"]);
        refuses(
            "--listen-client-urls http://127.0.0.1:1",
            &["--advertise-client-urls is required"],
        );
        refuses(
            "--initial-cluster n1=http://localhost:2380",
            &["couldn't find local name \"default\"", "set --name"],
        );
        refuses(
            "--initial-cluster default=http://localhost:1",
            &[
                "--initial-cluster has default=http://localhost:1 but missing from --initial-advertise-peer-urls",
            ],
        );
        refuses(
            "--initial-cluster default=http://localhost:1 \
             --initial-advertise-peer-urls http://localhost:1,http://localhost:2",
            &[
                "--initial-advertise-peer-urls has http://localhost:2 but missing from --initial-cluster",
            ],
        );
        refuses("--peer-route x=h:1", &["\"x\"", "its members are default"]);
        assert!(build("--initial-cluster-state existing").unwrap().joins);
        refuses("--chaos-disk /late", &["--chaos-disk", "on purpose", "leave it out"]);
        build("--chaos-disk /late --exit-with-parent --peer-route x=h:1").unwrap();
        refuses("--listen-peer-urls=", &["--listen-peer-urls is empty"]);
    }

    #[test]
    fn protection_that_is_missing_is_an_error() {
        for flag in ["--discovery-cert=c", "--discovery-key=k"] {
            let name = flag.split('=').next().unwrap();
            refuses(flag, &[name, "not supported yet"]);
        }
        build("--client-cert-auth=false --auth-token simple --tls-min-version TLS1.2").unwrap();
        refuses("--discovery-srv example.com", &["--initial-cluster"]);
        refuses("--force-new-cluster", &["not supported"]);
    }

    #[test]
    fn a_directory_of_etcd_is_told_from_ours() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("member")).unwrap();
        refuses(&format!("--data-dir {}", directory.path().display()), &["directory of etcd"]);
    }
}
