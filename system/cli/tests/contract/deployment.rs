//! What `deploy/` says of a member, held against members: ports, probes, selectors, and the hook before a stop.
//!
//! That the flags are ours and all have an effect is another test's matter (`tests/serve.rs`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::http::look;
use crate::harness::*;

fn manifest() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes/quorate.yaml");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What follows `before` on each line that has it, up to the next comma, brace or bracket.
fn after<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(before));
    lines.map(|(_, rest)| rest.split([',', '}', ']']).next().unwrap_or_default().trim()).collect()
}

#[test]
fn the_parts_of_the_manifest_find_each_other() {
    let manifest = manifest();
    let selectors = [after(&manifest, "selector: {"), after(&manifest, "matchLabels: {")].concat();
    assert_eq!(selectors.len(), 5, "{selectors:?}");
    let labels = after(&manifest, "      labels: {");
    assert!(selectors.iter().all(|selector| labels.contains(selector)), "{selectors:?} {labels:?}");
    // Ports: what a service leads to, what a probe asks and what is announced is where a member listens.
    let listened =
        |flag: &str| after(&manifest, flag)[0].rsplit_once(':').expect("a port").1.to_owned();
    let ports = [
        ("client", listened("- --listen-client-urls=")),
        ("peer", listened("- --listen-peer-urls=")),
    ];
    for (name, port) in &ports {
        let container = format!("{{name: {name}, containerPort: {port}}}");
        assert!(manifest.contains(&container), "no {container}");
        let service = format!("{{name: {name}, port: {port}, targetPort: {name}}}");
        assert!(manifest.contains(&service), "no {service}");
    }
    let probes: Vec<&str> = manifest.lines().filter(|line| line.contains("httpGet: ")).collect();
    let probed = after(&probes.join("\n"), "port: ").len();
    assert_eq!(probed, 3, "{probes:?}");
    for probe in probes {
        assert_eq!(after(probe, "port: "), [ports[0].0], "pages are served to clients");
    }
    let advertised = after(&manifest, "- --advertise-client-urls=")[0];
    assert!(advertised.ends_with(&format!(":{}", ports[0].1)), "{advertised}");
    // The headless service is the one that gives the names which members advertise.
    let service = after(&manifest, "serviceName: ")[0];
    assert!(manifest.contains(&format!("name: {service}\n")), "no service {service}");
    assert!(manifest.contains(&format!("$(POD_NAME).{service}:{}", ports[1].1)));
    let replicas: usize = after(&manifest, "replicas: ")[0].parse().expect("a number");
    let cluster = manifest.lines().find(|line| line.contains("--initial-cluster=")).expect("it");
    for member in 0..replicas {
        let url = format!("quorate-{member}=http://quorate-{member}.{service}:{}", ports[1].1);
        assert!(cluster.contains(&url), "{url} in {cluster}");
    }
}

#[tokio::test]
async fn the_probes_are_answered_and_the_hook_before_a_stop_moves_the_leader() {
    if Kind::current() == Kind::Etcd {
        return;
    }
    let manifest = manifest();
    let mut cluster = Cluster::three(&[]).await;
    let leader = cluster.leader().await;
    let probes = after(&manifest, "httpGet: {path: ");
    assert_eq!(probes, ["/readyz", "/livez", "/readyz"]);
    for path in probes {
        assert_eq!(look(cluster.endpoint(leader), path).await.status, 200, "{path}");
    }
    let hook = manifest.lines().find_map(|line| line.trim().strip_prefix("command: ["));
    let hook = hook.expect("a preStop hook").trim_end_matches(']');
    let words: Vec<String> = hook
        .split(", ")
        .map(|word| word.replace("http://127.0.0.1:2379", cluster.endpoint(leader)))
        .collect();
    assert_eq!(words[0], "quorate", "the image has one binary");
    let client = cluster.client_of(leader).await;
    client.write("before", "1").await;
    let hook = Command::new(Kind::Quorate.program()).args(&words[1..]).output().expect("it runs");
    assert!(hook.status.success(), "{}", String::from_utf8_lossy(&hook.stderr));
    // It has moved before the hook returned: whoever is stopped now leads nobody.
    let told = client.status().await.expect("the member still serves");
    assert_ne!(told.leader, told.header.expect("a header").member_id, "it still leads");
    assert_ne!(told.leader, 0, "nobody leads");
    client.write("between", "1").await;
    cluster.signal(leader, Signal::TERM);
    let other = cluster.client_of((leader + 1) % 3).await;
    other.write("after", "1").await;
    for _ in 0..400 {
        if cluster.ended(leader).is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not end within the time that the manifest gives: {}", cluster.log(leader));
}
