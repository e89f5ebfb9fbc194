//! What a run was made of: requests by kind and by what is special about them, and what watchers were told.
//!
//! A comparison proves something about what was really asked. The list stands at the end of the output, so that a kind
//! that nobody draws any more is seen.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate_wire::etcd::etcdserverpb::compare::TargetUnion;
use quorate_wire::etcd::etcdserverpb::request_op::Request as Operation;
use quorate_wire::etcd::etcdserverpb::{RangeRequest, RequestOp, TxnRequest, WatchCreateRequest};

use super::op::{AuthOp, Caller, ClusterOp, LineOp, Op, Request};

#[derive(Default, Debug)]
struct Count {
    sent: u64,
    /// Refused by etcd.
    refused: u64,
    /// What it took, until both sides had answered and told what there was to tell.
    took: Duration,
}

/// How often everything happened.
#[derive(Default, Debug)]
pub struct Counts {
    numbers: BTreeMap<&'static str, Count>,
}

impl Counts {
    /// Counts something that is no request.
    pub fn add(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            self.numbers.entry(what).or_default().sent += times;
        }
    }

    /// Counts a request under its kind, and under everything that is special about it.
    pub fn request(&mut self, request: &Request, refused: bool, took: Duration) {
        let mut labels = vec![kind(&request.op)];
        match &request.op {
            Op::Range(request) => of_range(request, &mut labels),
            Op::Txn(request) => of_txn(request, 1, &mut labels),
            Op::Watch(_, request) => of_watch(request, &mut labels),
            _ => {}
        }
        match request.caller {
            Caller::Nobody => {}
            Caller::Liar => labels.push("by: somebody with a false token"),
            Caller::User(name) if name == super::people::ROOT => labels.push("by: root"),
            Caller::User(_) => labels.push("by: another user"),
        }
        labels.sort_unstable();
        labels.dedup();
        for label in labels {
            let number = self.numbers.entry(label).or_default();
            number.sent += 1;
            number.refused += u64::from(refused);
            number.took += took;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:>8} {:>8} {:>8}", "sent", "refused", "seconds")?;
        for (what, Count { sent, refused, took }) in &self.numbers {
            writeln!(out, "{sent:>8} {refused:>8} {:>8.1}  {what}", took.as_secs_f64())?;
        }
        Ok(())
    }
}

fn of_range(request: &RangeRequest, labels: &mut Vec<&'static str>) {
    let filters = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    let special = [
        (request.revision > 0, "range: at a revision"),
        (request.limit > 0, "range: with a limit"),
        (request.sort_order != 0 || request.sort_target != 0, "range: sorted"),
        (filters != [0; 4], "range: filtered by revisions"),
        (request.keys_only, "range: keys only"),
        (request.count_only, "range: count only"),
        (request.serializable, "range: serializable"),
    ];
    labels.extend(special.iter().filter(|(is, _)| *is).map(|(_, label)| label));
}

fn of_txn(request: &TxnRequest, depth: usize, labels: &mut Vec<&'static str>) {
    labels.extend(match depth {
        1 => None,
        2 => Some("txn: nested"),
        _ => Some("txn: nested twice"),
    });
    for compare in &request.compare {
        labels.push(match compare.target_union {
            None => "txn: compares with nothing",
            Some(TargetUnion::Version(_)) => "txn: compares a version",
            Some(TargetUnion::CreateRevision(_)) => "txn: compares a create revision",
            Some(TargetUnion::ModRevision(_)) => "txn: compares a mod revision",
            Some(TargetUnion::Value(_)) => "txn: compares a value",
            Some(TargetUnion::Lease(_)) => "txn: compares a lease",
        });
        if !compare.range_end.is_empty() {
            labels.push("txn: compares a range");
        }
    }
    for RequestOp { request } in request.success.iter().chain(&request.failure) {
        match request {
            Some(Operation::RequestRange(range)) if range.revision > 0 => {
                labels.push("txn: reads at a revision");
            }
            Some(Operation::RequestTxn(inner)) => of_txn(inner, depth + 1, labels),
            Some(
                Operation::RequestRange(_)
                | Operation::RequestPut(_)
                | Operation::RequestDeleteRange(_),
            )
            | None => {}
        }
    }
}

fn of_watch(request: &WatchCreateRequest, labels: &mut Vec<&'static str>) {
    let special = [
        (request.start_revision > 0, "watch: from a revision"),
        (request.prev_kv, "watch: with the pair before"),
        (!request.filters.is_empty(), "watch: filtered"),
        (request.fragment, "watch: answers may be split"),
        (request.watch_id != 0, "watch: with an id"),
    ];
    labels.extend(special.iter().filter(|(is, _)| *is).map(|(_, label)| label));
}

fn kind(op: &Op) -> &'static str {
    match op {
        Op::Range(_) => "range",
        Op::RangeStream(_) => "range stream",
        Op::Put(_) => "put",
        Op::Delete(_) => "delete",
        Op::Txn(_) => "txn",
        Op::Compact(_) => "compact",
        Op::Grant { .. } | Op::GrantShort(_) => "lease grant",
        Op::Revoke(_) => "lease revoke",
        Op::TimeToLive(_) => "lease time to live",
        Op::Leases => "lease list",
        Op::KeepAlive(_) => "lease keep alive",
        Op::Watch(..) => "watch",
        Op::Cancel(..) => "watch cancel",
        Op::Progress(_) => "watch progress",
        Op::Auth(op) => auth_kind(op),
        Op::Line(op) => match op {
            LineOp::Lock(_) => "lock",
            LineOp::Unlock(_) => "unlock",
            LineOp::Campaign(_) => "election campaign",
            LineOp::Proclaim(_) => "election proclaim",
            LineOp::Leader(_) => "election leader",
            LineOp::Resign(_) => "election resign",
            LineOp::Observe(_) => "election observe",
        },
        Op::Cluster(op) => match op {
            ClusterOp::Members(_) => "member list",
            ClusterOp::AddLearner { .. } => "member add",
            ClusterOp::Update { .. } => "member update",
            ClusterOp::Promote(_) => "member promote",
            ClusterOp::Remove(_) => "member remove",
            ClusterOp::Alarm(request) => match request.action {
                0 => "alarm get",
                1 => "alarm activate",
                _ => "alarm deactivate",
            },
            ClusterOp::Status => "status",
        },
    }
}

fn auth_kind(op: &AuthOp) -> &'static str {
    match op {
        AuthOp::Enable => "auth enable",
        AuthOp::Disable => "auth disable",
        AuthOp::Status => "auth status",
        AuthOp::Login(_) => "auth login",
        AuthOp::UserAdd(_) => "user add",
        AuthOp::UserGet(_) => "user get",
        AuthOp::UserList => "user list",
        AuthOp::UserDelete(_) => "user delete",
        AuthOp::UserPassword(_) => "user change password",
        AuthOp::UserGrant(_) => "user grant role",
        AuthOp::UserRevoke(_) => "user revoke role",
        AuthOp::RoleAdd(_) => "role add",
        AuthOp::RoleGet(_) => "role get",
        AuthOp::RoleList => "role list",
        AuthOp::RoleDelete(_) => "role delete",
        AuthOp::RoleGrant(_) => "role grant permission",
        AuthOp::RoleRevoke(_) => "role revoke permission",
    }
}
