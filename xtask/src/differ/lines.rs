//! Requests as lines that look like etcdctl's, for people who want to try a difference by hand.
//!
//! Etcdctl cannot say everything that the API can (empty keys, flags that contradict each other), so a line is close
//! to its language, not in it. Revisions are written `r+N`, counted from the episode's beginning; leases `L1`, `L2`.

use std::fmt::Write as _;

use quorate_wire::etcd::etcdserverpb::compare::TargetUnion;
use quorate_wire::etcd::etcdserverpb::request_op::Request;
use quorate_wire::etcd::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    WatchCreateRequest,
};
use quorate_wire::etcd::v3electionpb::LeaderKey;

use super::op::{
    AuthOp, BASE, Caller, ClusterOp, LEASE, LineOp, MYSELF, NEAR, Op, Request as Sent,
};

/// One request of somebody, on as many lines as it needs.
pub fn line(request: &Sent) -> String {
    let op = plain(&request.op);
    match request.caller {
        Caller::Nobody => op,
        Caller::Liar => format!("--user=(a false token) {op}"),
        Caller::User(name) => format!("--user={name} {op}"),
    }
}

fn plain(op: &Op) -> String {
    match op {
        Op::Range(request) => range("get", request),
        Op::RangeStream(request) => range("get --stream", request),
        Op::Put(request) => put(request),
        Op::Delete(request) => delete(request),
        Op::Txn(request) => txn(request, 0),
        Op::Compact(request) => {
            let physical = if request.physical { " --physical" } else { "" };
            format!("compaction {}{physical}", revision(request.revision))
        }
        Op::Grant { request, lease: name } if request.id == 0 => {
            format!("lease grant {}   # chosen by the server, called {}", request.ttl, lease(*name))
        }
        Op::Grant { request, .. } => {
            format!("lease grant {} --id={}", request.ttl, lease(request.id))
        }
        Op::GrantShort(ttl) => format!("lease grant {ttl}   # and revoked at once"),
        Op::Revoke(id) => format!("lease revoke {}", lease(*id)),
        Op::TimeToLive(request) => {
            let keys = if request.keys { " --keys" } else { "" };
            format!("lease timetolive {}{keys}", lease(request.id))
        }
        Op::Leases => "lease list".into(),
        Op::KeepAlive(id) => format!("lease keep-alive --once {}", lease(*id)),
        Op::Watch(stream, request) => watch(*stream, request),
        Op::Cancel(stream, id) => format!("watch/{stream} cancel {id}"),
        Op::Progress(stream) => format!("watch/{stream} progress"),
        Op::Auth(op) => auth(op),
        Op::Line(op) => standing(op),
        Op::Cluster(op) => cluster(op),
    }
}

fn auth(op: &AuthOp) -> String {
    match op {
        AuthOp::Enable => "auth enable".into(),
        AuthOp::Disable => "auth disable".into(),
        AuthOp::Status => "auth status".into(),
        AuthOp::Login(request) => format!("login {:?} {:?}", request.name, request.password),
        AuthOp::UserAdd(request) => {
            let mut line = format!("user add {:?} {:?}", request.name, request.password);
            let no_password = request.options.as_ref().is_some_and(|options| options.no_password);
            flags(&mut line, &[("no-password", no_password)]);
            line
        }
        AuthOp::UserGet(request) => format!("user get {:?}", request.name),
        AuthOp::UserList => "user list".into(),
        AuthOp::UserDelete(request) => format!("user delete {:?}", request.name),
        AuthOp::UserPassword(request) => {
            format!("user passwd {:?} {:?}", request.name, request.password)
        }
        AuthOp::UserGrant(request) => {
            format!("user grant-role {:?} {:?}", request.user, request.role)
        }
        AuthOp::UserRevoke(request) => {
            format!("user revoke-role {:?} {:?}", request.name, request.role)
        }
        AuthOp::RoleAdd(request) => format!("role add {:?}", request.name),
        AuthOp::RoleGet(request) => format!("role get {:?}", request.role),
        AuthOp::RoleList => "role list".into(),
        AuthOp::RoleDelete(request) => format!("role delete {:?}", request.role),
        AuthOp::RoleGrant(request) => match &request.perm {
            None => format!("role grant-permission {:?} (nothing)", request.name),
            Some(perm) => {
                let kinds = ["read", "write", "readwrite"];
                let kind = kinds.get(perm.perm_type as usize).copied().unwrap_or("(unknown)");
                let interval = interval(&perm.key, &perm.range_end);
                format!("role grant-permission {:?} {kind} {interval}", request.name)
            }
        },
        AuthOp::RoleRevoke(request) => {
            let interval = interval(&request.key, &request.range_end);
            format!("role revoke-permission {:?} {interval}", request.role)
        }
    }
}

fn standing(op: &LineOp) -> String {
    let proof = |leader: &Option<LeaderKey>| match leader {
        None => "(nothing)".to_owned(),
        Some(leader) => format!("{}@{}", text(&leader.key), revision(leader.rev)),
    };
    match op {
        LineOp::Lock(request) => {
            format!("lock {} with {}", text(&request.name), lease(request.lease))
        }
        LineOp::Unlock(request) => format!("unlock {}", text(&request.key)),
        LineOp::Campaign(request) => format!(
            "elect {} {} with {}",
            text(&request.name),
            text(&request.value),
            lease(request.lease)
        ),
        LineOp::Proclaim(request) => {
            format!("proclaim {} {}", proof(&request.leader), text(&request.value))
        }
        LineOp::Leader(request) => format!("leader {}", text(&request.name)),
        LineOp::Resign(request) => format!("resign {}", proof(&request.leader)),
        LineOp::Observe(request) => format!("elect --listen {}", text(&request.name)),
    }
}

/// Members are written M1, which is the one that answers, M2 and so on.
fn cluster(op: &ClusterOp) -> String {
    let name = |member: u64| match member.checked_sub(MYSELF) {
        Some(distance) if distance < 900 => format!("M{}", distance + 1),
        Some(_) | None => member.to_string(),
    };
    match op {
        ClusterOp::Members(true) => "member list".into(),
        ClusterOp::Members(false) => "member list --consistency=s".into(),
        ClusterOp::AddLearner { url, member } => {
            format!("member add --learner {url:?}   # called {}", name(*member))
        }
        ClusterOp::Update { member, url } => format!("member update {} {url:?}", name(*member)),
        ClusterOp::Promote(member) => format!("member promote {}", name(*member)),
        ClusterOp::Remove(member) => format!("member remove {}", name(*member)),
        ClusterOp::Alarm(request) => {
            let actions = ["get", "activate", "deactivate"];
            let action = actions.get(request.action as usize).copied().unwrap_or("(unknown)");
            format!("alarm {action} {} kind {}", name(request.member_id), request.alarm)
        }
        ClusterOp::Status => "endpoint status".into(),
    }
}

fn revision(revision: i64) -> String {
    if (BASE - NEAR..BASE + NEAR).contains(&revision) {
        format!("r{:+}", revision - BASE)
    } else {
        revision.to_string()
    }
}

fn lease(lease: i64) -> String {
    if (LEASE..LEASE + NEAR).contains(&lease) {
        format!("L{}", lease - LEASE)
    } else {
        lease.to_string()
    }
}

/// Bytes in quotes, unless they are many.
fn text(bytes: &[u8]) -> String {
    if bytes.len() > 40 {
        format!("({} bytes)", bytes.len())
    } else {
        format!("\"{}\"", bytes.escape_ascii())
    }
}

/// An interval: both ends quoted, the second left out for a single key.
fn interval(key: &[u8], end: &[u8]) -> String {
    let quote = |bytes: &[u8]| format!("\"{}\"", bytes.escape_ascii());
    if end.is_empty() { quote(key) } else { format!("{} {}", quote(key), quote(end)) }
}

/// Appends ` --name` for each flag that is set.
fn flags(line: &mut String, flags: &[(&str, bool)]) {
    for (name, _) in flags.iter().filter(|(_, set)| *set) {
        let _ = write!(line, " --{name}");
    }
}

/// How a number is written.
type Spelt = fn(i64) -> String;

/// Appends ` --name=value` for each value that is not zero.
fn values(line: &mut String, values: &[(&str, i64, Spelt)]) {
    for (name, value, show) in values.iter().filter(|(_, value, _)| *value != 0) {
        let _ = write!(line, " --{name}={}", show(*value));
    }
}

fn range(verb: &str, request: &RangeRequest) -> String {
    let mut line = format!("{verb} {}", interval(&request.key, &request.range_end));
    let number: fn(i64) -> String = |number| number.to_string();
    values(
        &mut line,
        &[
            ("limit", request.limit, number),
            ("rev", request.revision, revision),
            ("order", request.sort_order.into(), number),
            ("sort-by", request.sort_target.into(), number),
            ("min-mod-rev", request.min_mod_revision, revision),
            ("max-mod-rev", request.max_mod_revision, revision),
            ("min-create-rev", request.min_create_revision, revision),
            ("max-create-rev", request.max_create_revision, revision),
        ],
    );
    flags(
        &mut line,
        &[
            ("consistency=s", request.serializable),
            ("keys-only", request.keys_only),
            ("count-only", request.count_only),
        ],
    );
    line
}

fn put(request: &PutRequest) -> String {
    let mut line = format!("put {} {}", interval(&request.key, b""), text(&request.value));
    values(&mut line, &[("lease", request.lease, lease)]);
    flags(
        &mut line,
        &[
            ("prev-kv", request.prev_kv),
            ("ignore-value", request.ignore_value),
            ("ignore-lease", request.ignore_lease),
        ],
    );
    line
}

fn delete(request: &DeleteRangeRequest) -> String {
    let mut line = format!("del {}", interval(&request.key, &request.range_end));
    flags(&mut line, &[("prev-kv", request.prev_kv)]);
    line
}

fn watch(stream: usize, request: &WatchCreateRequest) -> String {
    let mut line = format!("watch/{stream} {}", interval(&request.key, &request.range_end));
    let number: fn(i64) -> String = |number| number.to_string();
    values(
        &mut line,
        &[("rev", request.start_revision, revision), ("id", request.watch_id, number)],
    );
    for filter in &request.filters {
        let _ = write!(line, " --filter={filter}");
    }
    flags(
        &mut line,
        &[
            ("prev-kv", request.prev_kv),
            ("progress-notify", request.progress_notify),
            ("fragment", request.fragment),
        ],
    );
    line
}

fn txn(request: &TxnRequest, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let mut text = "txn".to_owned();
    for compare in &request.compare {
        let _ = write!(text, "\n{indent}if {}", condition(compare));
    }
    let branches = [("then", &request.success), ("else", &request.failure)];
    for (word, operations) in branches {
        for RequestOp { request } in operations {
            let operation = match request {
                None => "(nothing)".into(),
                Some(Request::RequestRange(request)) => range("get", request),
                Some(Request::RequestPut(request)) => put(request),
                Some(Request::RequestDeleteRange(request)) => delete(request),
                Some(Request::RequestTxn(request)) => txn(request, depth + 1),
            };
            let _ = write!(text, "\n{indent}{word} {operation}");
        }
    }
    text
}

fn condition(compare: &Compare) -> String {
    let result = ["=", ">", "<", "!="].get(compare.result as usize).copied().unwrap_or("(unknown)");
    let targets = ["version", "create", "mod", "value", "lease"];
    let target = targets.get(compare.target as usize).copied().unwrap_or("(unknown)");
    let operand = match &compare.target_union {
        None => "(nothing)".into(),
        Some(TargetUnion::Version(version)) => version.to_string(),
        Some(TargetUnion::CreateRevision(number)) => format!("create {}", revision(*number)),
        Some(TargetUnion::ModRevision(number)) => format!("mod {}", revision(*number)),
        Some(TargetUnion::Value(value)) => text(value),
        Some(TargetUnion::Lease(id)) => lease(*id),
    };
    format!("{target}({}) {result} {operand}", interval(&compare.key, &compare.range_end))
}
