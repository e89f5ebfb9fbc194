//! What probes ask: `/health`, `/livez`, `/readyz`, `/version`, over HTTP/1.1 on the client's port.

use std::time::Duration;

use crate::harness::api::alarm_request::AlarmAction;
use crate::harness::api::*;
use crate::harness::http::{look, send};
use crate::harness::*;

/// The longest that a test waits for something to come about.
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_member_that_is_well_says_so() {
    let url = shared_endpoint().await;
    for page in ["/health", "/health?serializable=true", "/health?exclude=NOSPACE&exclude=x"] {
        let answer = look(url, page).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"health":"true","reason":""}"#)
        );
    }
    for (page, text) in [
        ("/livez", "ok\n"),
        ("/livez?verbose", "[+]serializable_read ok\nok\n"),
        ("/livez/serializable_read", "ok\n"),
        ("/readyz", "ok\n"),
        ("/readyz?exclude=nonsense", "ok\n"),
        ("/readyz/linearizable_read?verbose", "[+]linearizable_read ok\nok\n"),
        ("/readyz/data_corruption?verbose", "[+]data_corruption ok\nok\n"),
    ] {
        let answer = look(url, page).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, text), "{page}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{page}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{page}");
    }
}

#[tokio::test]
async fn readiness_lists_its_checks_without_those_excluded() {
    let url = shared_endpoint().await;
    let lines = |body: &str| {
        let mut lines: Vec<String> = body.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let all = look(url, "/readyz?verbose").await;
    let checks = ["data_corruption", "linearizable_read", "non_learner", "serializable_read"];
    let expected = checks.map(|name| format!("[+]{name} ok"));
    assert_eq!(lines(&all.body)[..4], expected);
    assert!(all.body.ends_with("\nok\n"));
    let less = look(url, "/readyz?verbose&exclude=data_corruption&exclude=non_learner").await;
    assert_eq!(lines(&less.body)[..2], [expected[1].clone(), expected[3].clone()]);
}

#[tokio::test]
async fn pages_are_for_looking_at() {
    let url = shared_endpoint().await;
    for page in ["/health", "/livez", "/readyz", "/version"] {
        let answer = send(url, "POST", page, &[], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (405, "Method Not Allowed\n"), "{page}");
        assert_eq!(answer.header("allow"), Some("GET"));
    }
    for page in ["/", "/nope", "/readyz/nope", "/v2/keys"] {
        let answer = look(url, page).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "404 page not found\n"), "{page}");
    }
}

#[tokio::test]
async fn the_version_is_three_numbers() {
    let answer = look(shared_endpoint().await, "/version").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let told = answer.json();
    for name in ["etcdserver", "etcdcluster", "storage"] {
        assert!(told[name].as_str().is_some_and(|text| text.starts_with("3.7.")), "{told}");
    }
    assert_eq!(told["etcdcluster"], "3.7.0");
}

#[tokio::test]
async fn an_alarm_makes_a_member_ill_unless_it_is_excluded() {
    let cluster = Cluster::single(&[]).await;
    let (client, url) = (cluster.client().await, cluster.endpoint(0));
    let member_id = client.status().await.unwrap().header.unwrap().member_id;
    let set = async |action: AlarmAction, kind: AlarmType| {
        let (action, alarm) = (action as i32, kind as i32);
        client.maintenance().alarm(AlarmRequest { action, member_id, alarm }).await.unwrap();
    };
    set(AlarmAction::Activate, AlarmType::Nospace).await;
    let answer = look(url, "/health").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json(), serde_json::json!({"health":"false","reason":"ALARM NOSPACE"}));
    assert_eq!(look(url, "/health?exclude=NOSPACE").await.status, 200);
    assert_eq!(look(url, "/livez").await.status, 200, "a full disk is no reason to restart");
    assert_eq!(look(url, "/readyz").await.status, 200);
    set(AlarmAction::Deactivate, AlarmType::Nospace).await;
    set(AlarmAction::Activate, AlarmType::Corrupt).await;
    let answer = look(url, "/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("[-]data_corruption failed: alarm activated: CORRUPT\n"));
    assert!(answer.body.contains("[+]serializable_read ok\n"), "failures tell everything");
    assert_eq!(look(url, "/livez").await.status, 200);
    assert_eq!(look(url, "/readyz?exclude=data_corruption").await.status, 200);
}

#[tokio::test]
async fn without_a_leader_a_member_lives_and_is_not_ready() {
    let mut cluster = Cluster::three(&[]).await;
    let last = cluster.leader().await;
    for i in 0..3 {
        if i != last {
            cluster.kill(i);
        }
    }
    let url = cluster.endpoint(last).to_owned();
    eventually("the last member knows that it is alone", LIMIT, async || {
        let answer = look(&url, "/health").await;
        answer.status == 503 && answer.json()["reason"] == "RAFT NO LEADER"
    })
    .await;
    assert_eq!(look(&url, "/health?serializable=true").await.status, 200);
    assert_eq!(look(&url, "/livez").await.status, 200);
    assert_eq!(look(&url, "/readyz/serializable_read").await.status, 200);
}

#[tokio::test]
async fn http_and_metrics_may_have_urls_of_their_own() {
    let ports = ports::free_ports(2);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (http, metrics) = (url(ports[0]), url(ports[1]));
    let flags = ["--listen-client-http-urls", &http, "--listen-metrics-urls", &metrics];
    let cluster = Cluster::single(&flags).await;
    assert_eq!(look(&http, "/health").await.status, 200);
    assert_eq!(look(&http, "/metrics").await.status, 200);
    assert_eq!(look(&metrics, "/metrics").await.status, 200);
    assert_eq!(look(&metrics, "/health").await.status, 200);
    assert_eq!(look(&metrics, "/readyz").await.status, 200);
    assert_eq!(look(&metrics, "/version").await.status, 404);
    // gRPC has its port for itself: there is no page there.
    cluster.client().await.put(put("k", "v")).await.unwrap();
    if Kind::current() == Kind::Quorate {
        assert_ne!(look(cluster.endpoint(0), "/health").await.status, 200);
    }
}
