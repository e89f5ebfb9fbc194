//! `endpoint`: how each member is.
//!
//! These commands ask every endpoint on its own instead of letting one answer for all.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use quorate_client::etcd::etcdserverpb::alarm_request::AlarmAction;
use quorate_client::etcd::etcdserverpb::{
    AlarmRequest, AlarmType, HashKvRequest, MemberListRequest, RangeRequest, StatusRequest,
};
use quorate_client::{Client, Error};

use super::endpoint_print::{self, Hash, Health, Status};
use super::failure::{ERROR, Failure};
use super::global::Global;
use super::units::format_duration;

/// Arguments of `endpoint`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Ask every member that the cluster lists, not only the given endpoints
    #[arg(long, global = true)]
    cluster: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the healthiness of endpoints: can it read through a quorum, and is there no alarm
    #[command(after_help = "Examples:
  quorate endpoint health --cluster
  quorate endpoint health --endpoints 127.0.0.1:2379,127.0.0.1:22379")]
    Health,
    /// Prints out the status of endpoints
    ///
    /// With --write-out=simple a line per endpoint: endpoint, ID, version, storage version, db size, in use, percentage
    /// not in use, quota, is leader, is learner, raft term, raft index, raft applied index, errors, downgrade target
    /// version, downgrade enabled.
    #[command(after_help = "Example:
  quorate endpoint status --cluster -w table")]
    Status,
    /// Prints the KV history hash for each endpoint
    #[command(after_help = "Example:
  quorate endpoint hashkv --cluster --rev 100    the same hash from every member")]
    Hashkv {
        /// The newest revision to hash, 0 for the newest there is
        #[arg(long, default_value_t = 0)]
        rev: i64,
    },
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let client = global.client()?;
    let endpoints = endpoints(arguments.cluster, &client, global).await?;
    match arguments.command {
        Command::Health => health(&client, endpoints, global).await,
        Command::Status => status(&client, endpoints, global).await,
        Command::Hashkv { rev } => hash(&client, endpoints, rev, global).await,
    }
}

/// The endpoints to ask: those given, or all that the members advertise.
pub async fn endpoints(
    all_of_cluster: bool,
    client: &Client,
    global: &Global,
) -> Result<Vec<String>, Failure> {
    if !all_of_cluster {
        return global.endpoints();
    }
    let answer = client.member_list(MemberListRequest { linearizable: true }).await;
    let answer = answer.map_err(|error| {
        let message = format!("failed to fetch endpoints from etcd cluster member list: {error}");
        Failure::new(ERROR, message)
    })?;
    Ok(answer.members.into_iter().flat_map(|member| member.client_ur_ls).collect())
}

async fn health(client: &Client, endpoints: Vec<String>, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    let mut checks = tokio::task::JoinSet::new();
    for endpoint in endpoints {
        let client = client.clone();
        checks.spawn(async move { check(&client, endpoint).await });
    }
    // In the order in which they answer, as etcdctl lists them.
    let results = checks.join_all().await;
    let all_healthy = results.iter().all(|health| health.error.is_empty());
    endpoint_print::health(&mut output, &results)?;
    output.flush()?;
    if all_healthy { Ok(()) } else { Err(Failure::new(ERROR, "unhealthy cluster")) }
}

/// A member is healthy if it can read through a quorum and no alarm is raised.
async fn check(client: &Client, endpoint: String) -> Health {
    let started = Instant::now();
    let problem = match client.only(&endpoint) {
        Ok(client) => find_problem(&client).await,
        Err(error) => Some((error.to_string(), Duration::ZERO)),
    };
    let (error, took) = problem.unwrap_or_else(|| (String::new(), started.elapsed()));
    Health { endpoint, healthy: error.is_empty(), took: format_duration(took), error }
}

/// What is wrong, and how long it took to find out.
async fn find_problem(client: &Client) -> Option<(String, Duration)> {
    let started = Instant::now();
    let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
    match client.range(request).await {
        Ok(_) => {}
        // Being refused takes a quorum too.
        Err(error) if error.is("etcdserver: permission denied") => {}
        Err(error) => return Some((error.to_string(), started.elapsed())),
    }
    let took = started.elapsed();
    let request = AlarmRequest { action: AlarmAction::Get as i32, ..AlarmRequest::default() };
    let Ok(answer) = client.alarm(request).await else {
        return Some(("Unable to fetch the alarm list".to_owned(), took));
    };
    if answer.alarms.is_empty() {
        return None;
    }
    let names = answer.alarms.iter().map(|alarm| match AlarmType::try_from(alarm.alarm) {
        Ok(AlarmType::Nospace) => "NOSPACE ",
        Ok(AlarmType::Corrupt) => "CORRUPT ",
        Ok(AlarmType::None) | Err(_) => "UNKNOWN ",
    });
    Some((format!("Active Alarm(s): {}", names.collect::<String>()), took))
}

async fn status(client: &Client, endpoints: Vec<String>, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    let mut statuses = Vec::new();
    let mut failed = false;
    for endpoint in endpoints {
        match ask_status(client, &endpoint).await {
            Ok(status) => statuses.push(status),
            Err(error) => {
                failed = true;
                eprintln!("Failed to get the status of endpoint {endpoint} ({error})");
            }
        }
    }
    endpoint_print::status(&mut output, &statuses)?;
    output.flush()?;
    if failed { Err(Failure::silent(ERROR)) } else { Ok(()) }
}

async fn ask_status(client: &Client, endpoint: &str) -> Result<Status, Error> {
    let answer = client.only(endpoint)?.status(StatusRequest {}).await?;
    Ok(Status { endpoint: endpoint.to_owned(), answer })
}

async fn hash(
    client: &Client,
    endpoints: Vec<String>,
    revision: i64,
    global: &Global,
) -> Result<(), Failure> {
    let mut output = global.output()?;
    let mut hashes = Vec::new();
    let mut last_error = None;
    for endpoint in endpoints {
        match ask_hash(client, &endpoint, revision).await {
            Ok(hash) => hashes.push(hash),
            Err(error) => {
                eprintln!("Failed to get the hash of endpoint {endpoint} ({error})");
                last_error = Some(error);
            }
        }
    }
    endpoint_print::hash(&mut output, &hashes)?;
    output.flush()?;
    last_error.map_or(Ok(()), |error| Err(Failure::from(error)))
}

async fn ask_hash(client: &Client, endpoint: &str, revision: i64) -> Result<Hash, Error> {
    let answer = client.only(endpoint)?.hash_kv(HashKvRequest { revision }).await?;
    Ok(Hash { endpoint: endpoint.to_owned(), answer })
}
