//! `etcdctl` on data: what it prints is what other people's scripts parse.

use crate::harness::Cluster;
use crate::tools::{Etcdctl, etcdctls};

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// Runs `test` with every etcdctl of this machine against the shared cluster, with a prefix of its
/// own.
fn each(name: &str, test: impl Fn(&Etcdctl, &dyn Fn(&str) -> String)) {
    for ctl in etcdctls(Cluster::shared()) {
        let prefix = ctl.keys(name);
        test(&ctl, &|key| format!("{prefix}{key}"));
    }
}

/// A number in the JSON that etcdctl prints.
fn number(json: &str, pointer: &str) -> i64 {
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let found = value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {json}"));
    found.as_i64().unwrap_or_else(|| panic!("{pointer} is no number in {json}"))
}

#[test]
fn etcdctl_puts_gets_and_deletes() {
    each("kv", |ctl, key| {
        let (a, b) = (key("a"), key("b"));
        assert_eq!(ctl.run(&["put", &a, "1"]), "OK\n");
        assert_eq!(ctl.run(&["get", &a]), format!("{a}\n1\n"));
        assert_eq!(ctl.run(&["put", &a, "2", "--prev-kv"]), format!("OK\n{a}\n1\n"));
        assert_eq!(ctl.run_with_input(&["put", &b], "from stdin"), "OK\n");
        assert_eq!(ctl.run(&["get", &b, "--print-value-only"]), "from stdin\n");
        assert_eq!(ctl.run(&["put", &a, "--ignore-lease", "3"]), "OK\n");
        assert_eq!(ctl.run(&["get", &key("none")]), "");
        assert_eq!(ctl.run(&["del", &a, "--prev-kv"]), format!("1\n{a}\n3\n"));
        assert_eq!(ctl.run(&["del", &a]), "0\n");
        assert_eq!(ctl.run(&["del", &key(""), "--prefix"]), "1\n");
    });
}

#[test]
fn etcdctl_gets_ranges_orders_and_old_revisions() {
    each("range", |ctl, key| {
        for (name, value) in [("a", "3"), ("b", "2"), ("c", "1")] {
            ctl.run(&["put", &key(name), value]);
        }
        let prefix = key("");
        let get = |flags: &[&str]| {
            let args = [&["get", &prefix, "--prefix"], flags].concat();
            ctl.run(&args).replace(&prefix, "")
        };
        assert_eq!(get(&[]), "a\n3\nb\n2\nc\n1\n");
        assert_eq!(get(&["--keys-only"]), "a\n\nb\n\nc\n\n");
        assert_eq!(get(&["--limit", "2", "--print-value-only"]), "3\n2\n");
        assert_eq!(get(&["--sort-by", "value", "--print-value-only"]), "1\n2\n3\n");
        assert_eq!(get(&["--order", "DESCEND", "--print-value-only"]), "1\n2\n3\n");
        // A member that has answered a linearizable read has it all.
        let one = ctl.at(ctl.endpoints()[0]);
        one.run(&["get", &prefix, "--prefix"]);
        let stale = ["get", &prefix, "--prefix", "--consistency", "s", "--print-value-only"];
        assert_eq!(one.run(&stale).replace(&prefix, ""), "3\n2\n1\n");
        assert_eq!(number(&get(&["--limit", "1", "-w", "json"]), "/count"), 3);

        let json = ctl.run(&["get", &key("a"), "-w", "json"]);
        let made = number(&json, "/kvs/0/mod_revision");
        assert_eq!(number(&json, "/kvs/0/version"), 1);
        ctl.run(&["put", &key("a"), "4"]);
        let old = ctl.run(&["get", &key("a"), "--rev", &made.to_string(), "--print-value-only"]);
        assert_eq!(old, "3\n");
        let fields = ctl.run(&["get", &key("a"), "-w", "fields"]);
        assert!(fields.contains("\"Version\" : 2\n"), "{fields}");
        assert_eq!(
            ctl.run(&["del", &key("a"), &key("c"), "--range"][..3 + usize::from(is_new(ctl))]),
            "2\n"
        );
    });
}

/// Since 3.6 a delete of an interval asks to be meant, with `--range`, or waits two seconds.
fn is_new(ctl: &Etcdctl) -> bool {
    !ctl.run(&["version"]).starts_with("etcdctl version: 3.4")
}

#[test]
fn etcdctl_runs_transactions() {
    each("txn", |ctl, key| {
        let (a, b) = (key("a"), key("b"));
        ctl.run(&["put", &a, "1"]);
        ctl.run(&["put", &b, "1"]);
        let script = format!(
            "value(\"{a}\") = \"1\"\nversion(\"{b}\") > \"0\"\n\nput {a} 2\nget {a}\n\nget {b}\ndel {b}\n\n"
        );
        assert_eq!(ctl.run_with_input(&["txn"], &script), format!("SUCCESS\n\nOK\n\n{a}\n2\n"));
        assert_eq!(ctl.run_with_input(&["txn"], &script), format!("FAILURE\n\n{b}\n1\n\n1\n"));
    });
}

#[test]
fn etcdctl_watches_from_a_revision() {
    each("watch", |ctl, key| {
        let (a, prefix) = (key("a"), key(""));
        ctl.run(&["put", &a, "1"]);
        let json = ctl.run(&["get", &a, "-w", "json"]);
        let from = number(&json, "/kvs/0/mod_revision").to_string();
        let watching = ctl.start(&["watch", &prefix, "--prefix", "--rev", &from, "--prev-kv"]);
        assert_eq!(watching.lines(3), ["PUT", &a, "1"]);
        ctl.run(&["put", &a, "2"]);
        // Before an update and a deletion it prints the pair that was there.
        assert_eq!(watching.lines(5), ["PUT", &a, "1", &a, "2"]);
        ctl.run(&["del", &a]);
        assert_eq!(watching.lines(4), ["DELETE", &a, "2", &a]);
    });
}

#[test]
fn etcdctl_manages_leases() {
    each("lease", |ctl, key| {
        let granted = ctl.run(&["lease", "grant", "60"]);
        let id = granted.split(' ').nth(1).expect("an id").to_owned();
        assert_eq!(granted, format!("lease {id} granted with TTL(60s)\n"));
        ctl.run(&["put", &key("a"), "v", "--lease", &id]);
        let told = ctl.run(&["lease", "timetolive", &id, "--keys"]);
        assert!(
            told.starts_with(&format!("lease {id} granted with TTL(60s), remaining(")),
            "{told}"
        );
        assert!(told.ends_with(&format!("s), attached keys([{}])\n", key("a"))), "{told}");
        let kept = ctl.run(&["lease", "keep-alive", "--once", &id]);
        assert_eq!(kept, format!("lease {id} keepalived with TTL(60)\n"));
        // The member that has the key has the lease in its list.
        let one = ctl.at(ctl.endpoints()[0]);
        one.run(&["get", &key("a")]);
        let list = one.run(&["lease", "list"]);
        assert!(list.starts_with("found ") && list.lines().any(|line| line == id), "{list}");
        assert_eq!(ctl.run(&["lease", "revoke", &id]), format!("lease {id} revoked\n"));
        assert_eq!(ctl.run(&["lease", "timetolive", &id]), format!("lease {id} already expired\n"));
        assert_eq!(ctl.run(&["get", &key("a")]), "");
        let (code, complaint) = ctl.fail(&["lease", "revoke", &id]);
        assert_eq!(code, 1);
        assert!(complaint.contains("etcdserver: requested lease not found"), "{complaint}");
    });
}

#[test]
fn etcdctl_holds_locks_over_plain_keys_and_leases() {
    each("lock", |ctl, key| {
        let name = key("l");
        assert_eq!(ctl.run(&["lock", &name, "echo", "held"]), "held\n");
        // Held by one, the lock makes the next wait until it is let go.
        let holder = ctl.start(&["lock", &name]);
        assert!(holder.lines(1)[0].starts_with(&name));
        let waiter = ctl.start(&["lock", &name, "echo", "mine"]);
        let keys =
            || ctl.run(&["get", &name, "--prefix", "--keys-only"]).split_whitespace().count();
        assert!((0..500).any(|_| keys() == 2), "the second one never queued up");
        holder.interrupt();
        assert_eq!(waiter.lines(1), ["mine"]);
    });
}

#[test]
fn etcdctl_compacts() {
    // A cluster of its own: a compaction would pull history from under the other tests.
    let cluster = Cluster::start();
    for ctl in etcdctls(&cluster) {
        let key = ctl.keys("compact");
        for value in ["1", "2", "3"] {
            ctl.run(&["put", &key, value]);
        }
        let json = ctl.run(&["get", &key, "-w", "json"]);
        let now = number(&json, "/kvs/0/mod_revision");
        let (at, before) = (now.to_string(), (now - 1).to_string());
        assert_eq!(
            ctl.run(&["compaction", &at, "--physical"]),
            format!("compacted revision {at}\n")
        );
        assert_eq!(ctl.run(&["get", &key, "--rev", &at, "--print-value-only"]), "3\n");
        for args in [&["get", &key, "--rev", &before][..], &["compaction", &before]] {
            let (code, complaint) = ctl.fail(args);
            assert_eq!(code, 1);
            assert!(complaint.contains(&format!("Error: {COMPACTED}")), "{complaint}");
        }
        // A watch waits for nobody: it asks the member that has just refused, which knows of the compaction.
        let one = ctl.at(ctl.endpoints()[0]);
        one.fail(&["get", &key, "--rev", &before]);
        let (_, complaint) = one.fail(&["watch", &key, "--rev", &before]);
        assert!(complaint.contains(COMPACTED), "{complaint}");
        let (_, complaint) = ctl.fail(&["compaction", &(now + 10).to_string()]);
        assert!(complaint.contains("required revision is a future revision"), "{complaint}");
    }
}
