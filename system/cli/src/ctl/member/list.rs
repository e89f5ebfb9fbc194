//! `member list`: who belongs to the cluster.

use clap::Args;
use quorate_client::etcd::etcdserverpb::{
    Member, MemberListRequest, MemberListResponse, ResponseHeader,
};

use super::super::failure::Failure;
use super::super::get::serializable;
use super::super::global::Global;
use super::super::json::{self, Object};
use super::super::output::{Format, Output};

/// Arguments of `member list`.
#[derive(Debug, Args)]
#[command(
    after_help = "With --write-out=simple a line per member: id, status, name, peer addresses, client addresses,
whether it is a learner.

Example:
  quorate member list -w table"
)]
pub struct List {
    /// Linearizable (l) or serializable (s, answered by one member at once, may be stale)
    #[arg(long, default_value = "l")]
    consistency: String,
}

/// Runs the command.
pub async fn run(arguments: &List, global: &Global) -> Result<(), Failure> {
    let linearizable = !serializable(&arguments.consistency)?;
    let mut output = global.output()?;
    let request = MemberListRequest { linearizable };
    let answer = global.client()?.member_list(request).await?;
    print(&mut output, &answer)?;
    output.flush()
}

fn print(output: &mut Output, answer: &MemberListResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            answer.members.iter().for_each(|member| output.line(row(member).join(", ")));
        }
        Format::Fields => print_fields(output, answer),
        Format::Json => output.line(list_json(answer, output.hex)),
        Format::Protobuf => output.message(answer),
        Format::Table => {
            let header = ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"];
            let rows: Vec<Vec<String>> = answer.members.iter().map(row).collect();
            output.table(&header, &rows);
        }
    }
    Ok(())
}

fn row(member: &Member) -> Vec<String> {
    let status = if member.name.is_empty() { "unstarted" } else { "started" };
    vec![
        format!("{:x}", member.id),
        status.to_owned(),
        member.name.clone(),
        member.peer_ur_ls.join(","),
        member.client_ur_ls.join(","),
        member.is_learner.to_string(),
    ]
}

fn print_fields(output: &mut Output, answer: &MemberListResponse) {
    output.header(answer.header.as_ref());
    answer.members.iter().for_each(|member| member_fields(output, member));
}

/// One member, a field a line.
pub fn member_fields(output: &mut Output, member: &Member) {
    output.id("ID", member.id);
    output.quoted("Name", &member.name);
    member.peer_ur_ls.iter().for_each(|url| output.quoted("PeerURL", url));
    member.client_ur_ls.iter().for_each(|url| output.quoted("ClientURL", url));
    output.field("IsLearner", member.is_learner);
    output.line("");
}

/// One member. With `--hex` the id is a string, because JSON has no hexadecimal numbers.
pub fn member_json(member: &Member, hex: bool) -> String {
    let urls = |urls: &[String]| urls.iter().map(|url| json::string(url)).collect::<Vec<_>>();
    let object = Object::new();
    let object = match hex {
        true => object.string("ID", &format!("{:x}", member.id)),
        false => object.some("ID", member.id),
    };
    object
        .some_string("name", &member.name)
        .some_list("peerURLs", urls(&member.peer_ur_ls))
        .some_list("clientURLs", urls(&member.client_ur_ls))
        .some("isLearner", member.is_learner)
        .end()
}

fn list_json(answer: &MemberListResponse, hex: bool) -> String {
    let header = match (&answer.header, hex) {
        (Some(header), true) => Some(hex_header(header)),
        (header, _) => json::header(header.as_ref()),
    };
    let object = Object::new().optional("header", header);
    object.some_list("members", answer.members.iter().map(|member| member_json(member, hex))).end()
}

fn hex_header(header: &ResponseHeader) -> String {
    Object::new()
        .string("cluster_id", &format!("{:x}", header.cluster_id))
        .string("member_id", &format!("{:x}", header.member_id))
        .some("revision", header.revision)
        .some("raft_term", header.raft_term)
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> MemberListResponse {
        let member = Member {
            id: 0x6474,
            name: "n1".to_owned(),
            peer_ur_ls: vec!["http://a:1".to_owned()],
            client_ur_ls: vec!["http://a:2".to_owned(), "http://b:2".to_owned()],
            is_learner: false,
        };
        let header = ResponseHeader { cluster_id: 255, member_id: 16, revision: 0, raft_term: 2 };
        let unstarted = Member { id: 1, is_learner: true, ..Member::default() };
        MemberListResponse { header: Some(header), members: vec![member, unstarted] }
    }

    #[test]
    fn members_are_listed_in_every_format() {
        let printed = |format, hex| {
            let mut output = Output::new(format, hex);
            print(&mut output, &answer()).expect("format exists");
            output.text()
        };
        assert_eq!(
            printed(Format::Simple, false),
            "6474, started, n1, http://a:1, http://a:2,http://b:2, false\n1, unstarted, , , , true\n"
        );
        assert_eq!(
            printed(Format::Json, false),
            "{\"header\":{\"cluster_id\":255,\"member_id\":16,\"raft_term\":2},\"members\":[\
             {\"ID\":25716,\"name\":\"n1\",\"peerURLs\":[\"http://a:1\"],\
             \"clientURLs\":[\"http://a:2\",\"http://b:2\"]},{\"ID\":1,\"isLearner\":true}]}\n"
        );
        assert!(printed(Format::Json, true).starts_with(
            "{\"header\":{\"cluster_id\":\"ff\",\"member_id\":\"10\",\"raft_term\":2},\"members\":[{\"ID\":\"6474\","
        ));
        assert!(printed(Format::Fields, true).contains("\"ID\" : 6474\n\"Name\" : \"n1\"\n"));
        assert!(printed(Format::Table, false).contains(" STATUS "));
    }
}
