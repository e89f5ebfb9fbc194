//! `/metrics`: etcd's names, with numbers that mean what they mean there.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::http::look;
use crate::harness::*;

/// The longest that a test waits for something to come about.
const LIMIT: Duration = Duration::from_secs(20);

/// The samples of a page, `name{labels}` and number, in its order.
async fn samples(url: &str) -> Vec<(String, f64)> {
    let answer = look(url, "/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let lines = answer.body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}

/// The one sample that this is a name of, labels included.
fn value(samples: &[(String, f64)], name: &str) -> f64 {
    let found: Vec<_> = samples.iter().filter(|(known, _)| known == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0].1
}

/// What the alert rules and the dashboard of etcd's own mixin look at.
const WATCHED: &[&str] = &[
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_proposals_pending",
    "etcd_server_proposals_failed_total",
    "etcd_server_slow_apply_total",
    "etcd_server_read_indexes_failed_total",
    "etcd_server_quota_backend_bytes",
    "etcd_disk_wal_fsync_duration_seconds_count",
    "etcd_disk_backend_commit_duration_seconds_count",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_network_client_grpc_received_bytes_total",
    "etcd_network_client_grpc_sent_bytes_total",
    "etcd_server_health_success",
    "etcd_server_health_failures",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
];

#[tokio::test]
async fn what_alerts_look_at_is_there() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for i in 0..5 {
        client.put(put(format!("k{i}"), "v")).await.unwrap();
    }
    client.range(prefix("k")).await.unwrap();
    let seen = samples(cluster.endpoint(0)).await;
    for name in WATCHED {
        value(&seen, name);
    }
    assert_eq!(value(&seen, "etcd_server_has_leader"), 1.0);
    assert_eq!(value(&seen, "etcd_server_is_leader"), 1.0);
    assert!(value(&seen, "etcd_server_proposals_applied_total") >= 5.0);
    assert!(value(&seen, "etcd_disk_wal_fsync_duration_seconds_count") >= 1.0);
    assert_eq!(value(&seen, "etcd_server_quota_backend_bytes"), 2_147_483_648.0);
    assert_eq!(value(&seen, "etcd_mvcc_put_total"), 5.0);
    assert!(
        seen.iter().any(|(name, _)| name.starts_with("etcd_server_version{server_version=\"3.7"))
    );
    assert!(seen.iter().any(|(name, _)| name.starts_with("etcd_server_id{server_id=")));
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let cluster = Cluster::single(&["--metrics", "extensive"]).await;
    let client = cluster.client().await;
    let before = samples(cluster.endpoint(0)).await;
    client.put(put("k", vec![b'x'; 1_000])).await.unwrap();
    client.put(put("", "v")).await.unwrap_err();
    client.read("k").await.unwrap();
    let after = samples(cluster.endpoint(0)).await;
    let grown = |name: &str| value(&after, name) - value(&before, name);
    let put = r#"grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary""#;
    assert_eq!(grown(&format!("grpc_server_started_total{{{put}}}")), 2.0);
    assert_eq!(grown(&format!(r#"grpc_server_handled_total{{grpc_code="OK",{put}}}"#)), 1.0);
    let refused = format!(r#"grpc_server_handled_total{{grpc_code="InvalidArgument",{put}}}"#);
    assert_eq!(grown(&refused), 1.0);
    assert_eq!(grown(&format!("grpc_server_msg_received_total{{{put}}}")), 2.0);
    // Etcd counts a refusal as a message that was sent; see docs/etcd-differences.md.
    let sent = if Kind::current() == Kind::Etcd { 2.0 } else { 1.0 };
    assert_eq!(grown(&format!("grpc_server_msg_sent_total{{{put}}}")), sent);
    assert_eq!(grown(&format!("grpc_server_handling_seconds_count{{{put}}}")), 2.0);
    let bytes = grown("etcd_network_client_grpc_received_bytes_total");
    assert!((1_000.0..3_000.0).contains(&bytes), "{bytes}");
    assert!(grown("etcd_network_client_grpc_sent_bytes_total") > 1_000.0, "the pair was read");
    let count = r#"etcd_server_request_duration_seconds_count{success="true",type="Put"}"#;
    assert_eq!(value(&after, count), 1.0);
    let watch = r#"grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream""#;
    value(&after, &format!("grpc_server_started_total{{{watch}}}"));
}

#[tokio::test]
async fn a_leader_measures_the_way_to_its_peers() {
    let cluster = Cluster::three(&[]).await;
    eventually("both peers have answered", LIMIT, async || {
        let seen = samples(cluster.endpoint(cluster.leader().await)).await;
        let name = "etcd_network_peer_round_trip_time_seconds_count{To=";
        seen.iter().filter(|(known, count)| known.starts_with(name) && *count > 0.0).count() == 2
    })
    .await;
    let mut follower = Vec::new();
    eventually("a follower knows that it is one", LIMIT, async || {
        follower = samples(cluster.endpoint(cluster.follower().await)).await;
        let of = |name: &str| value(&follower, name);
        (of("etcd_server_is_leader"), of("etcd_server_has_leader")) == (0.0, 1.0)
    })
    .await;
    let peers = follower.iter().filter(|(name, _)| name.starts_with("etcd_network_known_peers{"));
    assert!(peers.count() >= 2);
}

/// The names of metrics in a PromQL expression, or in anything else that mentions them.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let known = ["etcd_", "grpc_server_", "process_", "quorate_"];
    let names = words.filter(|word| known.iter().any(|prefix| word.starts_with(prefix)));
    names.map(str::to_owned).collect()
}

/// The labels that a PromQL expression names, in braces and behind `by` and `without`.
fn labels(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (open, close, before) in [('{', '}', ""), ('(', ')', "by "), ('(', ')', "without ")] {
        for (at, _) in expression.match_indices(&format!("{before}{open}")) {
            let list = &expression[at + before.len() + 1..];
            let list = list.split(close).next().expect("a part");
            let names = list.split(',').map(|item| item.split(['=', '!']).next().unwrap_or(item));
            found.extend(names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
        }
    }
    found
}

#[test]
fn labels_are_found_where_promql_has_them() {
    let found = labels("sum by (job, le) (rate(a{x=\"1\",y=~\"2.*\"}[5m])) / on() b{z!=\"3\"}");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["job", "le", "x", "y", "z"]);
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_there() {
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let text = |name: &str| std::fs::read_to_string(deploy.join(name)).expect(name);
    let dashboard: serde_json::Value =
        serde_json::from_str(&text("grafana/quorate.json")).expect("JSON");
    let (mut names, mut asked) = (BTreeSet::new(), Vec::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let found = named(expression);
            assert!(!found.is_empty(), "{expression} asks for nothing");
            names.extend(found.clone());
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            let legend = legend.split("{{").skip(1).filter_map(|part| part.split("}}").next());
            asked.push((
                found,
                &labels(expression) | &legend.map(|l| l.trim().to_owned()).collect(),
            ));
        }
    }
    assert!(names.len() > 20, "{names:?}");
    let rules = text("prometheus/alerts.yml");
    let expressions = rules
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.contains("summary:"));
    for line in expressions {
        names.extend(named(line));
        let is_rule = line.trim_start().starts_with("expr:");
        asked.extend(is_rule.then(|| (named(line), labels(line))));
    }
    if Kind::current() == Kind::Etcd {
        // Some are our own, and etcd shows this one from the first failure on.
        names.retain(|name| !name.starts_with("quorate_"));
        names.remove("etcd_network_peer_sent_failures_total");
    }

    let cluster = Cluster::three(&[]).await;
    let leader = cluster.leader().await;
    let client = cluster.client_of(leader).await;
    client.put(put("k", "v")).await.unwrap();
    let url = cluster.endpoint(leader).to_owned();
    let mut missing = BTreeSet::new();
    for _ in 0..100 {
        let seen = samples(&url).await;
        let exposed: BTreeSet<&str> =
            seen.iter().map(|(name, _)| name.split('{').next().expect("a name")).collect();
        missing = names.iter().filter(|name| !exposed.contains(name.as_str())).cloned().collect();
        if missing.is_empty() {
            // Every label that an expression names is one of a metric in it, or comes with every scrape.
            for (names, labels) in &asked {
                let has = |label: &str| {
                    let samples = seen.iter().filter(|(sample, _)| {
                        names.contains(sample.split('{').next().expect("a name"))
                    });
                    let mut labels = samples.flat_map(|(sample, _)| sample.split(['{', ',']));
                    labels.any(|part| part.starts_with(&format!("{label}=")))
                };
                for label in
                    labels.iter().filter(|label| !["job", "instance"].contains(&&label[..]))
                {
                    assert!(has(label), "{label} is no label of {names:?}");
                }
            }
            return;
        }
        // The peers may not have met yet.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not exposed by a leader that has peers and has taken a put: {missing:?}");
}
