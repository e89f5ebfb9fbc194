//! Clients that other people wrote, against three real processes.
//!
//! The contract tests of the product speak its own generated client; a misreading that both sides
//! share would pass there. Here nothing on the client's side is ours: the Rust crate `etcd-client`,
//! the command line `etcdctl` (from Debian, and of the newest version where it was built), the official
//! Go client with its concurrency, namespace and leasing packages, the npm package `etcd3`, and a few
//! lines of Python that speak JSON.
//!
//! The server is the `quorate` binary that `QUORATE_BIN` names (by default the newer of
//! `target/debug/quorate` and `target/release/quorate`), or a real etcd with
//! `QUORATE_CONTRACT_SERVER=etcd` and `QUORATE_ETCD_BIN`, which is how these tests are tested. A
//! client that is not installed is skipped with a printed line, unless `QUORATE_FOREIGN_REQUIRE`
//! names it.

mod crate_auth;
mod crate_cluster;
mod crate_kv;
mod crate_watch_lease;
mod etcdctl_admin;
mod etcdctl_kv;
mod go_client;
mod harness;
mod node_etcd3;
mod python_gateway;
mod tools;
