//! `etcdctl` on the cluster: members, endpoints, hashes, snapshots.

use std::collections::BTreeSet;

use crate::harness::Cluster;
use crate::tools::etcdctls;

#[test]
fn etcdctl_lists_members() {
    for ctl in etcdctls(Cluster::shared()) {
        let list = ctl.run(&["member", "list"]);
        let rows =
            list.lines().map(|line| line.split(", ").collect::<Vec<_>>()).collect::<Vec<_>>();
        let column = |i: usize| rows.iter().map(|row| row[i]).collect::<BTreeSet<_>>();
        assert_eq!(rows.len(), 3, "{list}");
        assert_eq!(column(1), BTreeSet::from(["started"]));
        assert_eq!(column(2), BTreeSet::from(["n1", "n2", "n3"]));
        let urls =
            ctl.endpoints().iter().map(|endpoint| format!("http://{endpoint}")).collect::<Vec<_>>();
        assert_eq!(column(4), urls.iter().map(String::as_str).collect());
        assert_eq!(column(5), BTreeSet::from(["false"]));

        let json: serde_json::Value =
            serde_json::from_str(&ctl.run(&["member", "list", "-w", "json"])).unwrap();
        assert_eq!(json["members"].as_array().unwrap().len(), 3);
        assert_eq!(json["header"].get("revision"), None, "membership has no revision");
        let table = ctl.run(&["member", "list", "-w", "table"]);
        assert!(table.contains("CLIENT ADDRS") && table.contains("started"), "{table}");
    }
}

#[test]
fn etcdctl_tells_the_status_of_every_endpoint() {
    for ctl in etcdctls(Cluster::shared()) {
        let json = ctl.run(&["endpoint", "status", "-w", "json"]);
        let answers: serde_json::Value = serde_json::from_str(&json).unwrap();
        let answers = answers.as_array().unwrap();
        assert_eq!(answers.len(), 3);
        let field = |name: &str| {
            let values = answers.iter().map(|answer| answer["Status"][name].to_string());
            values.collect::<BTreeSet<_>>()
        };
        assert_eq!(field("leader").len(), 1, "one leader: {json}");
        assert_eq!(field("raftTerm").len(), 1, "one term: {json}");
        assert!(field("version").iter().all(|version| version.starts_with("\"3.7.")), "{json}");
        let members =
            answers.iter().map(|answer| answer["Status"]["header"]["member_id"].to_string());
        let members = members.collect::<BTreeSet<_>>();
        assert_eq!(members.len(), 3);
        assert!(members.is_superset(&field("leader")), "{json}");
        let simple = ctl.run(&["endpoint", "status"]);
        assert_eq!(simple.lines().count(), 3);
        assert_eq!(
            simple.lines().filter(|line| line.contains(", true, false, ")).count(),
            1,
            "{simple}"
        );
        assert!(ctl.run(&["endpoint", "status", "-w", "table"]).contains("RAFT TERM"));
    }
}

#[test]
fn etcdctl_finds_every_endpoint_healthy() {
    for ctl in etcdctls(Cluster::shared()) {
        // 3.4 tells the good news on its standard error.
        let health = ctl.run_both(&["endpoint", "health"]);
        assert_eq!(health.lines().count(), 3, "{health}");
        assert!(
            health
                .lines()
                .all(|line| line.contains(" is healthy: successfully committed proposal")),
            "{health}"
        );
        // Asked through one member, it finds the others in the member list.
        let one = ctl.at(ctl.endpoints()[0]);
        let json = one.run(&["endpoint", "health", "--cluster", "-w", "json"]);
        let answers: serde_json::Value = serde_json::from_str(&json).unwrap();
        let healthy = answers.as_array().unwrap().iter().filter(|answer| answer["health"] == true);
        assert_eq!(healthy.count(), 3, "{json}");
        let (code, _) = ctl.at("127.0.0.1:1").fail(&["endpoint", "health"]);
        assert_eq!(code, 1);
    }
}

#[test]
fn etcdctl_compares_hashes() {
    // A cluster of its own, where nobody writes between one member's answer and the next.
    let cluster = Cluster::start();
    for ctl in etcdctls(&cluster) {
        for value in ["1", "2"] {
            ctl.run(&["put", &ctl.keys("hash"), value]);
        }
        // A linearizable read of each member makes sure that it has applied the writes.
        for endpoint in ctl.endpoints() {
            assert_eq!(
                ctl.at(endpoint).run(&["get", &ctl.keys("hash"), "--print-value-only"]),
                "2\n"
            );
        }
        let hashes = ctl.run(&["endpoint", "hashkv"]);
        let distinct = hashes.lines().map(|line| line.split(", ").nth(1).expect("a hash"));
        assert_eq!(
            (hashes.lines().count(), distinct.collect::<BTreeSet<_>>().len()),
            (3, 1),
            "{hashes}"
        );
    }
}

#[test]
fn etcdctl_saves_a_snapshot() {
    for ctl in etcdctls(Cluster::shared()) {
        ctl.run(&["put", &ctl.keys("snapshot"), "v"]);
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = directory.path().join("backup.db");
        let path = file.to_str().unwrap();
        // A snapshot is of one member.
        let printed = ctl.at(ctl.endpoints()[0]).run(&["snapshot", "save", path]);
        assert!(printed.contains(&format!("Snapshot saved at {path}")), "{printed}");
        let size = file.metadata().unwrap().len();
        assert!(size > 32 && size % 512 == 32, "{size} bytes: the data, and a digest of 32");
    }
}

#[test]
fn etcdctl_lists_alarms_and_defragments() {
    for ctl in etcdctls(Cluster::shared()) {
        assert_eq!(ctl.run(&["alarm", "list"]), "");
        let printed = ctl.run(&["defrag"]);
        assert_eq!(printed.lines().count(), 3, "{printed}");
        assert!(
            printed.lines().all(|line| line.starts_with("Finished defragmenting etcd member[")),
            "{printed}"
        );
    }
}

#[test]
fn etcdctl_fails_with_its_exit_codes() {
    for ctl in etcdctls(Cluster::shared()) {
        let (code, complaint) = ctl.fail(&["put", "", "v"]);
        assert_eq!(code, 1);
        assert!(complaint.contains("etcdserver: key is not provided"), "{complaint}");
        let (code, _) = ctl.fail(&["put", &ctl.keys("codes"), "v", "--lease", "1234"]);
        assert_eq!(code, 1);
        let (code, _) = ctl.fail(&["put"]);
        assert_eq!(code, 128);
    }
}
