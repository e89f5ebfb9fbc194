//! `quorate status`: how the members of a local cluster are, as they tell any client.
//!
//! Where the members are and which links are cut is read from `cluster.json`; everything else comes from the public API:
//! one linearizable read, which succeeds only with a quorum, and after it each member's status. A member that does not
//! answer is told apart by how: nobody listens on its port, or somebody does and says nothing for a second.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use quorate_client::etcd::etcdserverpb::{RangeRequest, StatusRequest, StatusResponse};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::columns;
use crate::up::DATA_DIR;
use crate::up::control;
use crate::up::directory::{ClusterFile, MemberEntry};
use crate::up::ready::client_of;

/// How long a member may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// The exit code for a cluster that is not well, as etcdctl's.
const UNHEALTHY: u8 = 5;

/// Show the members of the cluster that `quorate up` runs.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 all is well, 1 there is no such cluster, 5 a member, its leader or the quorum is missing."
)]
pub struct StatusArguments {
    /// The data directory of the cluster
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// How to print
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    write_out: Output,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Output {
    Table,
    Json,
}

/// What is printed.
#[derive(Serialize, Debug)]
struct Report {
    cluster_id: Option<String>,
    /// Every member answers and knows a leader, and a quorum serves.
    healthy: bool,
    /// A linearizable read was answered.
    quorum: bool,
    /// The name of the leader, if the members that answer know one.
    leader: Option<String>,
    members: Vec<Member>,
    /// The links that lose every packet.
    cuts: Vec<String>,
    /// What is amiss and what would help, one line each.
    advice: Vec<String>,
}

/// One member.
#[derive(Serialize, Debug)]
struct Member {
    name: String,
    client_url: String,
    /// `ok`, or why it did not answer.
    state: String,
    #[serde(flatten)]
    told: Option<Told>,
}

/// What a member tells of itself.
#[derive(Serialize, Debug)]
struct Told {
    id: String,
    role: &'static str,
    term: u64,
    log_index: u64,
    applied_index: u64,
    /// Log entries behind the furthest member that answers.
    lag: u64,
    revision: i64,
    /// Files on the disk, the log with its reserve included.
    db_size_bytes: i64,
    /// Keys and values that a read can still see.
    db_size_in_use_bytes: i64,
    errors: Vec<String>,
    #[serde(skip)]
    leader: u64,
    #[serde(skip)]
    member: u64,
}

/// Prints the status.
pub fn main(arguments: &StatusArguments) -> ExitCode {
    let cluster = match control::running(&arguments.data_dir) {
        Ok(cluster) => cluster,
        Err(text) => {
            eprintln!("quorate status: {text}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = match runtime {
        Ok(runtime) => runtime.block_on(examine(&cluster)),
        Err(error) => {
            eprintln!("quorate status: {error}");
            return ExitCode::FAILURE;
        }
    };
    match arguments.write_out {
        Output::Table => print!("{}", table(&report)),
        Output::Json => match serde_json::to_string(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("quorate status: {error}"),
        },
    }
    if report.healthy { ExitCode::SUCCESS } else { ExitCode::from(UNHEALTHY) }
}

/// Asks all members at once. The quorum is asked for first, because an election that is under way then has its result
/// in what the members tell.
async fn examine(cluster: &ClusterFile) -> Report {
    let quorum = has_quorum(cluster).await;
    let mut looks = JoinSet::new();
    for (index, member) in cluster.members.iter().cloned().enumerate() {
        looks.spawn(async move { (index, look(&member).await) });
    }
    let mut answers = looks.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    let answers = answers.into_iter().map(|(_, answer)| answer).collect::<Vec<_>>();
    report(cluster, answers, quorum)
}

/// What one member tells, or how it does not answer.
async fn look(member: &MemberEntry) -> Result<StatusResponse, String> {
    let address = member.client_url.trim_start_matches("http://");
    match timeout(ANSWER_LIMIT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => return Err("does not run: nobody listens on its port".to_owned()),
        Err(_) => return Err("no answer in 1 s: its port does not accept".to_owned()),
    }
    let client = client_of(&member.client_url, ANSWER_LIMIT)?;
    match client.status(StatusRequest {}).await {
        Ok(status) => Ok(status),
        Err(quorate_client::Error::Timeout { .. } | quorate_client::Error::NotConnected { .. }) => {
            Err("no answer in 1 s: paused or overloaded".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether some member can serve a linearizable read.
async fn has_quorum(cluster: &ClusterFile) -> bool {
    let mut reads = JoinSet::new();
    for member in cluster.members.iter().cloned() {
        reads.spawn(async move {
            let Ok(client) = client_of(&member.client_url, ANSWER_LIMIT) else { return false };
            let read = RangeRequest { key: b"\0".to_vec().into(), ..Default::default() };
            client.range(read).await.is_ok()
        });
    }
    while let Some(read) = reads.join_next().await {
        if read.unwrap_or(false) {
            return true;
        }
    }
    false
}

/// Puts the answers together.
fn report(
    cluster: &ClusterFile,
    answers: Vec<Result<StatusResponse, String>>,
    quorum: bool,
) -> Report {
    let furthest = answers.iter().flatten().map(|status| status.raft_index).max().unwrap_or(0);
    let member = |(entry, answer): (&MemberEntry, Result<StatusResponse, String>)| {
        let (state, told) = match answer {
            Ok(status) => ("ok".to_owned(), Some(told(&status, furthest))),
            Err(reason) => (reason, None),
        };
        Member { name: entry.name.clone(), client_url: entry.client_url.clone(), state, told }
    };
    let members = cluster.members.iter().zip(answers).map(member).collect::<Vec<_>>();
    // A leader that was cut off may not know yet that it is none; the later term is right.
    let newest =
        members.iter().filter_map(|member| member.told.as_ref()).max_by_key(|told| told.term);
    let leader = newest.map(|told| told.leader).filter(|leader| *leader != 0);
    let is_leader =
        |member: &&Member| member.told.as_ref().is_some_and(|told| Some(told.member) == leader);
    let leader = members.iter().find(is_leader).map(|member| member.name.clone());
    let follows = |member: &Member| member.told.as_ref().is_some_and(|told| told.leader != 0);
    let healthy = quorum && leader.is_some() && members.iter().all(follows);
    let mut report = Report {
        cluster_id: cluster.cluster_id.clone(),
        healthy,
        quorum,
        leader,
        members,
        cuts: cluster.cuts.clone(),
        advice: vec![],
    };
    report.advice = advice(&report);
    report
}

fn told(status: &StatusResponse, furthest: u64) -> Told {
    let header = status.header.unwrap_or_default();
    let role = match () {
        () if status.is_learner => "learner",
        () if status.leader == 0 => "no leader",
        () if status.leader == header.member_id => "leader",
        () => "follower",
    };
    Told {
        id: format!("{:x}", header.member_id),
        role,
        term: status.raft_term,
        log_index: status.raft_index,
        applied_index: status.raft_applied_index,
        lag: furthest.saturating_sub(status.raft_index),
        revision: header.revision,
        db_size_bytes: status.db_size,
        db_size_in_use_bytes: status.db_size_in_use,
        errors: status.errors.clone(),
        leader: status.leader,
        member: header.member_id,
    }
}

/// What is amiss, and the command that would help.
fn advice(report: &Report) -> Vec<String> {
    let total = report.members.len();
    let missing = report.members.iter().filter(|member| member.told.is_none()).collect::<Vec<_>>();
    let names = missing.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    let (needed, there) = (total / 2 + 1, total - missing.len());
    if !report.quorum {
        lines.push(if there < needed {
            format!("The quorum is lost: {there} of {total} members answer, {needed} are needed; missing: {names}.")
        } else {
            format!(
                "No quorum: {there} of {total} members answer, but no linearizable read succeeded within a second; an \
                 election may be under way."
            )
        });
    }
    if !report.cuts.is_empty() {
        lines.push(format!(
            "Links are cut: {}; to heal them: quorate node heal",
            report.cuts.join(" ")
        ));
    }
    let strangers = report
        .members
        .iter()
        .filter(|member| member.told.as_ref().is_some_and(|told| told.leader == 0));
    lines.extend(strangers.map(|member| format!("{} knows no leader.", member.name)));
    for member in missing {
        let name = &member.name;
        lines.push(if member.state.starts_with("does not run") {
            format!("{name} does not run: quorate node restart {name}")
        } else {
            format!(
                "{name} does not answer: quorate node resume {name}, or quorate node restart {name}"
            )
        });
    }
    lines
}

fn table(report: &Report) -> String {
    let heading = [
        "NAME", "ENDPOINT", "ID", "ROLE", "TERM", "LOG", "APPLIED", "LAG", "REVISION", "IN USE",
        "ON DISK", "STATE",
    ];
    let rows = report.members.iter().map(|member| {
        let cells = match &member.told {
            Some(told) => [
                told.id.clone(),
                told.role.to_owned(),
                told.term.to_string(),
                told.log_index.to_string(),
                told.applied_index.to_string(),
                told.lag.to_string(),
                told.revision.to_string(),
                size(told.db_size_in_use_bytes),
                size(told.db_size_bytes),
            ],
            None => std::array::from_fn(|_| "-".to_owned()),
        };
        let errors = member.told.iter().flat_map(|told| &told.errors).cloned();
        let state =
            std::iter::once(member.state.clone()).chain(errors).collect::<Vec<_>>().join("; ");
        let mut row = vec![member.name.clone(), member.client_url.clone()];
        row.extend(cells);
        row.push(state);
        row
    });
    let mut text = columns::table(&heading, rows);
    if !report.advice.is_empty() {
        text.push('\n');
    }
    for line in &report.advice {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// A number of bytes for reading.
fn size(bytes: i64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value.abs() < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_client::etcd::etcdserverpb::ResponseHeader;
    use std::path::Path;

    fn answer(member: u64, leader: u64, index: u64) -> Result<StatusResponse, String> {
        let header = ResponseHeader { member_id: member, revision: 7, ..Default::default() };
        Ok(StatusResponse {
            header: Some(header),
            leader,
            raft_term: 2,
            raft_index: index,
            raft_applied_index: index,
            db_size: 20480,
            db_size_in_use: 30,
            ..Default::default()
        })
    }

    fn made(answers: Vec<Result<StatusResponse, String>>, quorum: bool) -> Report {
        report(&ClusterFile::new(Path::new("/d"), 3, 2379), answers, quorum)
    }

    #[test]
    fn a_whole_cluster_is_well() {
        let report = made(vec![answer(1, 2, 9), answer(2, 2, 10), answer(3, 2, 10)], true);
        assert!(report.healthy);
        assert_eq!(report.leader.as_deref(), Some("n2"));
        let text = table(&report);
        let second = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
        let expected = [
            "n1",
            "http://127.0.0.1:2379",
            "1",
            "follower",
            "2",
            "9",
            "9",
            "1",
            "7",
            "30",
            "B",
            "20.0",
            "KiB",
            "ok",
        ];
        assert_eq!(second, expected);
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_lost_quorum_says_who_is_missing_and_what_helps() {
        let gone = || Err("does not run: nobody listens on its port".to_owned());
        let paused = || Err("no answer in 1 s: paused or overloaded".to_owned());
        let report = made(vec![gone(), answer(2, 0, 10), paused()], false);
        assert!(!report.healthy && !report.quorum);
        assert_eq!(report.leader, None);
        assert_eq!(
            report.advice,
            [
                "The quorum is lost: 1 of 3 members answer, 2 are needed; missing: n1, n3.",
                "n2 knows no leader.",
                "n1 does not run: quorate node restart n1",
                "n3 does not answer: quorate node resume n3, or quorate node restart n3",
            ]
        );
        let stranger = made(vec![answer(1, 0, 10), answer(2, 2, 10), answer(3, 2, 10)], true);
        assert!(!stranger.healthy && stranger.leader.as_deref() == Some("n2"));
        assert_eq!(stranger.advice, ["n1 knows no leader."]);
        let one_down = made(vec![gone(), answer(2, 2, 10), answer(3, 2, 10)], true);
        assert!(!one_down.healthy && one_down.quorum);
        assert_eq!(one_down.advice, ["n1 does not run: quorate node restart n1"]);
    }

    #[test]
    fn json_has_what_the_table_has() {
        let report = made(vec![answer(1, 1, 9), Err("gone".to_owned()), answer(3, 1, 9)], true);
        let tree = serde_json::to_value(&report).unwrap();
        assert_eq!(tree["leader"], "n1");
        assert_eq!(tree["members"][0]["role"], "leader");
        assert_eq!(tree["members"][0]["log_index"], 9);
        assert_eq!(tree["members"][1]["state"], "gone");
        assert!(tree["members"][1].get("role").is_none());
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }
}
