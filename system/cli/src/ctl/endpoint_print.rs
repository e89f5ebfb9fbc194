//! Printing what the `endpoint` commands found.

use quorate_client::etcd::etcdserverpb::{DowngradeInfo, HashKvResponse, StatusResponse};

use super::failure::Failure;
use super::json::{self, Object};
use super::output::{Format, Output};
use super::units::format_size;

/// Whether one member is healthy.
#[derive(Debug)]
pub struct Health {
    /// The endpoint asked.
    pub endpoint: String,
    /// Nothing is wrong.
    pub healthy: bool,
    /// How long the check took.
    pub took: String,
    /// What is wrong.
    pub error: String,
}

/// The status of one member.
#[derive(Debug)]
pub struct Status {
    /// The endpoint asked.
    pub endpoint: String,
    /// Its answer.
    pub answer: StatusResponse,
}

/// The hash of one member.
#[derive(Debug)]
pub struct Hash {
    /// The endpoint asked.
    pub endpoint: String,
    /// Its answer.
    pub answer: HashKvResponse,
}

/// Prints health; in the simple format what is unhealthy goes to standard error.
pub fn health(output: &mut Output, list: &[Health]) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            for Health { endpoint, took, error, .. } in list {
                if error.is_empty() {
                    output.line(format!(
                        "{endpoint} is healthy: successfully committed proposal: took = {took}"
                    ));
                } else {
                    eprintln!("{endpoint} is unhealthy: failed to commit proposal: {error}");
                }
            }
        }
        Format::Fields => {
            for Health { endpoint, healthy, took, error } in list {
                output.quoted("Endpoint", endpoint);
                output.field("Health", healthy);
                output.field("Took", took);
                output.field("Error", error);
                output.line("");
            }
        }
        Format::Json => {
            let items = list.iter().map(|item| {
                Object::new()
                    .string("endpoint", &item.endpoint)
                    .value("health", item.healthy)
                    .string("took", &item.took)
                    .some_string("error", &item.error)
                    .end()
            });
            output.line(list_or_null(items));
        }
        Format::Table => {
            let rows: Vec<Vec<String>> = list
                .iter()
                .map(|Health { endpoint, healthy, took, error }| {
                    vec![endpoint.clone(), healthy.to_string(), took.clone(), error.clone()]
                })
                .collect();
            output.table(&["endpoint", "health", "took", "error"], &rows);
        }
        Format::Protobuf => return Err(output.unsupported()),
    }
    Ok(())
}

/// Prints status.
pub fn status(output: &mut Output, list: &[Status]) -> Result<(), Failure> {
    match output.format {
        Format::Simple => list.iter().for_each(|item| output.line(status_row(item).join(", "))),
        Format::Fields => list.iter().for_each(|item| status_fields(output, item)),
        Format::Json => {
            let items = list.iter().map(|item| {
                let object = Object::new().string("Endpoint", &item.endpoint);
                object.raw("Status", &status_json(&item.answer)).end()
            });
            output.line(list_or_null(items));
        }
        Format::Table => {
            let header = [
                "endpoint",
                "ID",
                "version",
                "storage version",
                "db size",
                "in use",
                "percentage not in use",
                "quota",
                "is leader",
                "is learner",
                "raft term",
                "raft index",
                "raft applied index",
                "errors",
                "downgrade target version",
                "downgrade enabled",
            ];
            let rows: Vec<Vec<String>> = list.iter().map(status_row).collect();
            output.table(&header, &rows);
        }
        Format::Protobuf => return Err(output.unsupported()),
    }
    Ok(())
}

fn status_row(Status { endpoint, answer }: &Status) -> Vec<String> {
    let member = answer.header.as_ref().map_or(0, |header| header.member_id);
    let size = |bytes: i64| format_size(bytes.max(0).unsigned_abs());
    let used_percent = answer.db_size_in_use.saturating_mul(100).checked_div(answer.db_size);
    let downgrade = answer.downgrade_info.clone().unwrap_or_default();
    vec![
        endpoint.clone(),
        format!("{member:x}"),
        answer.version.clone(),
        answer.storage_version.clone(),
        size(answer.db_size),
        size(answer.db_size_in_use),
        format!("{}%", 100 - used_percent.unwrap_or(100)),
        size(answer.db_size_quota),
        (answer.leader == member).to_string(),
        answer.is_learner.to_string(),
        answer.raft_term.to_string(),
        answer.raft_index.to_string(),
        answer.raft_applied_index.to_string(),
        answer.errors.join(", "),
        downgrade.target_version,
        downgrade.enabled.to_string(),
    ]
}

fn status_fields(output: &mut Output, Status { endpoint, answer }: &Status) {
    let downgrade = answer.downgrade_info.clone().unwrap_or_default();
    output.header(answer.header.as_ref());
    output.quoted("Version", &answer.version);
    output.quoted("StorageVersion", &answer.storage_version);
    output.field("DBSize", answer.db_size);
    output.field("DBSizeInUse", answer.db_size_in_use);
    output.field("DBSizeQuota", answer.db_size_quota);
    output.field("Leader", answer.leader);
    output.field("IsLearner", answer.is_learner);
    output.field("RaftIndex", answer.raft_index);
    output.field("RaftAppliedIndex", answer.raft_applied_index);
    output.field("Errors", format!("[{}]", answer.errors.join(" ")));
    output.quoted("Endpoint", endpoint);
    output.quoted("DowngradeTargetVersion", &downgrade.target_version);
    output.field("DowngradeEnabled", downgrade.enabled);
    output.line("");
}

fn status_json(answer: &StatusResponse) -> String {
    let downgrade = |info: &DowngradeInfo| {
        let object = Object::new().some("enabled", info.enabled);
        object.some_string("targetVersion", &info.target_version).end()
    };
    Object::new()
        .optional("header", json::header(answer.header.as_ref()))
        .some_string("version", &answer.version)
        .some("dbSize", answer.db_size)
        .some("leader", answer.leader)
        .some("raftIndex", answer.raft_index)
        .some("raftTerm", answer.raft_term)
        .some("raftAppliedIndex", answer.raft_applied_index)
        .some_list("errors", answer.errors.iter().map(|error| json::string(error)))
        .some("dbSizeInUse", answer.db_size_in_use)
        .some("isLearner", answer.is_learner)
        .some_string("storageVersion", &answer.storage_version)
        .some("dbSizeQuota", answer.db_size_quota)
        .optional("downgradeInfo", answer.downgrade_info.as_ref().map(downgrade))
        .end()
}

/// Prints hashes.
pub fn hash(output: &mut Output, list: &[Hash]) -> Result<(), Failure> {
    let row = |Hash { endpoint, answer }: &Hash| {
        vec![endpoint.clone(), answer.hash.to_string(), answer.hash_revision.to_string()]
    };
    match output.format {
        Format::Simple => list.iter().for_each(|item| output.line(row(item).join(", "))),
        Format::Fields => {
            for Hash { endpoint, answer } in list {
                output.header(answer.header.as_ref());
                output.quoted("Endpoint", endpoint);
                output.field("Hash", answer.hash);
                output.field("HashRevision", answer.hash_revision);
                output.line("");
            }
        }
        Format::Json => {
            let items = list.iter().map(|Hash { endpoint, answer }| {
                let hash = Object::new()
                    .optional("header", json::header(answer.header.as_ref()))
                    .some("hash", answer.hash)
                    .some("compact_revision", answer.compact_revision)
                    .some("hash_revision", answer.hash_revision);
                Object::new().string("Endpoint", endpoint).raw("HashKV", &hash.end()).end()
            });
            output.line(list_or_null(items));
        }
        Format::Table => {
            let rows: Vec<Vec<String>> = list.iter().map(row).collect();
            output.table(&["endpoint", "hash", "hash_revision"], &rows);
        }
        Format::Protobuf => return Err(output.unsupported()),
    }
    Ok(())
}

/// etcdctl prints `null` where it has nothing at all to list.
fn list_or_null(items: impl Iterator<Item = String>) -> String {
    match json::list(items).as_str() {
        "[]" => "null".to_owned(),
        list => list.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_client::etcd::etcdserverpb::ResponseHeader;

    fn printed<T>(
        format: Format,
        print: fn(&mut Output, &[T]) -> Result<(), Failure>,
        list: &[T],
    ) -> String {
        let mut output = Output::new(format, false);
        print(&mut output, list).expect("format exists");
        output.text()
    }

    fn header() -> Option<ResponseHeader> {
        Some(ResponseHeader { cluster_id: 7, member_id: 0x6474, revision: 5, raft_term: 2 })
    }

    fn member() -> Status {
        let answer = StatusResponse {
            header: header(),
            version: "3.7.3".to_owned(),
            storage_version: "3.7.0".to_owned(),
            db_size: 20_480,
            db_size_in_use: 16_384,
            db_size_quota: 2_147_483_648,
            leader: 0x6474,
            raft_index: 10,
            raft_applied_index: 10,
            raft_term: 2,
            downgrade_info: Some(DowngradeInfo::default()),
            ..StatusResponse::default()
        };
        Status { endpoint: "127.0.0.1:60125".to_owned(), answer }
    }

    #[test]
    fn a_status_reads_as_etcdctls() {
        assert_eq!(
            printed(Format::Simple, status, &[member()]),
            "127.0.0.1:60125, 6474, 3.7.3, 3.7.0, 20 kB, 16 kB, 20%, 2.1 GB, true, false, 2, 10, 10, , , false\n"
        );
        assert_eq!(
            printed(Format::Json, status, &[member()]),
            "[{\"Endpoint\":\"127.0.0.1:60125\",\"Status\":{\"header\":{\"cluster_id\":7,\"member_id\":25716,\
             \"revision\":5,\"raft_term\":2},\"version\":\"3.7.3\",\"dbSize\":20480,\"leader\":25716,\
             \"raftIndex\":10,\"raftTerm\":2,\"raftAppliedIndex\":10,\"dbSizeInUse\":16384,\
             \"storageVersion\":\"3.7.0\",\"dbSizeQuota\":2147483648,\"downgradeInfo\":{}}}]\n"
        );
        assert!(printed(Format::Fields, status, &[member()]).contains("\"Errors\" : []\n"));
        assert_eq!(printed(Format::Json, status, &[]), "null\n");
    }

    #[test]
    fn an_empty_store_is_not_divided_by() {
        let mut empty = member();
        empty.answer.db_size = 0;
        assert!(status_row(&empty).contains(&"0%".to_owned()));
    }

    #[test]
    fn health_and_hash_read_as_etcdctls() {
        let well = Health {
            endpoint: "a:1".to_owned(),
            healthy: true,
            took: "4.6ms".to_owned(),
            error: String::new(),
        };
        assert_eq!(
            printed(Format::Json, health, &[well]),
            "[{\"endpoint\":\"a:1\",\"health\":true,\"took\":\"4.6ms\"}]\n"
        );
        let answer =
            HashKvResponse { header: header(), hash: 9, compact_revision: -1, hash_revision: 5 };
        let list = [Hash { endpoint: "a:1".to_owned(), answer }];
        assert_eq!(printed(Format::Simple, hash, &list), "a:1, 9, 5\n");
        assert!(printed(Format::Json, hash, &list).ends_with(
            "\"raft_term\":2},\"hash\":9,\"compact_revision\":-1,\"hash_revision\":5}}]\n"
        ));
    }
}
