//! The etcd contract, behaviour by behaviour, against a real process.
//!
//! Each test is named after one numbered behaviour of the etcd v3 API that clients lean on (`c04_…`
//! is number 4 of the checklist in docs/etcd-differences.md), starts or shares a real server, and
//! speaks gRPC to it with the generated client and nothing in between. The same tests judge two
//! servers:
//!
//! ```text
//! cargo test -p quorate --test contract
//! QUORATE_CONTRACT_SERVER=etcd QUORATE_ETCD_BIN=/path/to/etcd cargo test -p quorate --test contract
//! ```
//!
//! The second line is how the tests themselves are tested: where real etcd disagrees, the test is
//! wrong, unless the difference is meant, and then it is listed with its reason in
//! docs/etcd-differences.md and the test names what each server does.
//!
//! No test waits for a fixed time to let something happen: it polls with a limit, or asks for
//! something else that must be answered later than what it is looking for.

mod audit;
mod auth;
mod auth_gateway;
mod auth_lines;
mod auth_rights;
mod auth_streams;
mod auth_table;
mod cluster;
mod compaction;
mod deployment;
mod downgrade;
mod election;
mod floods;
mod gateway;
mod guard;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of faults, which need other parts of it")]
mod harness;
mod health;
mod kv;
mod large_answers;
mod leases;
mod limits;
mod lock;
mod maintenance;
mod members;
mod metrics;
mod range_stream;
mod ranges;
mod tls;
mod tls_peers;
mod traces;
mod txn;
mod txn_checks;
mod watch;
mod watch_events;
mod watch_progress;
