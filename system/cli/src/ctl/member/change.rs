//! `member add`, `remove`, `update`, `promote` and `replace`.

use clap::Args;
use quorate_client::Client;
use quorate_client::etcd::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberPromoteRequest,
    MemberRemoveRequest, MemberUpdateRequest, ResponseHeader, StatusRequest,
};
use std::time::Duration;

use super::super::failure::{ERROR, Failure};
use super::super::global::Global;
use super::super::json::{self, Object};
use super::super::output::{Format, Output};
use super::list::{member_fields, member_json};

/// After so long without an answer a member counts as gone.
const SILENCE: Duration = Duration::from_secs(2);

/// Arguments of `member add`.
#[derive(Debug, Args)]
#[command(after_help = "What it prints is what the new member is started with.

Example:
  quorate member add n4 --peer-urls http://10.0.0.4:2380
  quorate member add n4 --peer-urls http://10.0.0.4:2380 --learner")]
pub struct Add {
    /// The new member's name
    name: Option<String>,
    /// Comma separated peer URLs for the new member
    #[arg(long, default_value = "")]
    peer_urls: String,
    /// The new member gets everything and does not vote yet
    #[arg(long)]
    learner: bool,
}

/// Arguments of `member remove`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate member remove 8e9e05c52164694d")]
pub struct Remove {
    /// The member's id, as `member list` prints it
    id: Option<String>,
}

/// Arguments of `member update`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate member update 8e9e05c52164694d --peer-urls http://10.0.0.9:2380")]
pub struct Update {
    /// The member's id, as `member list` prints it
    id: Option<String>,
    /// Comma separated peer URLs for the updated member
    #[arg(long, default_value = "")]
    peer_urls: String,
}

/// Arguments of `member promote`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate member promote 8e9e05c52164694d")]
pub struct Promote {
    /// The learner's id, as `member list` prints it
    id: Option<String>,
}

/// Arguments of `member replace`.
#[derive(Debug, Args)]
#[command(
    after_help = "The successor begins with an empty data directory and gets everything from the others. It may have the
name and the addresses of the member that it replaces. What this prints is what it is started with.

Example:
  quorate member replace 8e9e05c52164694d --peer-urls http://10.0.0.4:2380 --name n3"
)]
pub struct Replace {
    /// The id of the member that is gone, as `member list` prints it
    id: Option<String>,
    /// Comma separated peer URLs for the successor; default: those of the member that is gone
    #[arg(long, default_value = "")]
    peer_urls: String,
    /// The successor's name; default: that of the member that is gone
    #[arg(long, default_value = "")]
    name: String,
    /// Replace it even if it answers
    #[arg(long)]
    force: bool,
}

fn id_of(id: Option<&String>) -> Result<u64, Failure> {
    let id = id.ok_or_else(|| Failure::arguments("member ID is not provided"))?;
    u64::from_str_radix(id, 16).map_err(|error| {
        Failure::arguments(format!("bad member ID arg ({error}), expecting ID in Hex"))
    })
}

fn urls_of(urls: &str) -> Result<Vec<String>, Failure> {
    if urls.is_empty() {
        return Err(Failure::arguments("member peer urls not provided"));
    }
    Ok(urls.split(',').map(str::to_owned).collect())
}

/// Runs `member add`.
pub async fn add(arguments: &Add, global: &Global) -> Result<(), Failure> {
    let missing = || Failure::arguments("member name not provided");
    let name = arguments.name.as_ref().ok_or_else(missing)?;
    let peer_ur_ls = urls_of(&arguments.peer_urls)?;
    let mut output = global.output()?;
    let request = MemberAddRequest { peer_ur_ls, is_learner: arguments.learner };
    let answer = global.client()?.member_add(request).await?;
    print_added(&mut output, &answer, name);
    output.flush()
}

/// Runs `member remove`.
pub async fn remove(arguments: &Remove, global: &Global) -> Result<(), Failure> {
    let id = id_of(arguments.id.as_ref())?;
    let mut output = global.output()?;
    let answer = global.client()?.member_remove(MemberRemoveRequest { id }).await?;
    let header = answer.header.as_ref();
    if output.format == Format::Simple {
        output.line(format!("Member {id:16x} removed from cluster {:16x}", cluster(header)));
    } else {
        print_members(&mut output, &answer, header, None, &answer.members);
    }
    output.flush()
}

/// Runs `member update`.
pub async fn update(arguments: &Update, global: &Global) -> Result<(), Failure> {
    let id = id_of(arguments.id.as_ref())?;
    let peer_ur_ls = urls_of(&arguments.peer_urls)?;
    let mut output = global.output()?;
    let answer = global.client()?.member_update(MemberUpdateRequest { id, peer_ur_ls }).await?;
    let header = answer.header.as_ref();
    if output.format == Format::Simple {
        output.line(format!("Member {id:16x} updated in cluster {:16x}", cluster(header)));
    } else {
        print_members(&mut output, &answer, header, None, &answer.members);
    }
    output.flush()
}

/// Runs `member promote`.
pub async fn promote(arguments: &Promote, global: &Global) -> Result<(), Failure> {
    let id = id_of(arguments.id.as_ref())?;
    let mut output = global.output()?;
    let answer = global.client()?.member_promote(MemberPromoteRequest { id }).await?;
    let header = answer.header.as_ref();
    if output.format == Format::Simple {
        output.line(format!("Member {id:16x} promoted in cluster {:16x}", cluster(header)));
    } else {
        print_members(&mut output, &answer, header, None, &answer.members);
    }
    output.flush()
}

/// Runs `member replace`: removal first, so that the successor may have the addresses. What would make
/// the addition fail is looked for before; a failure in between leaves one member less, and says how to go on.
pub async fn replace(arguments: &Replace, global: &Global) -> Result<(), Failure> {
    let id = id_of(arguments.id.as_ref())?;
    let mut output = global.output()?;
    let client = global.client()?;
    let list = client.member_list(MemberListRequest { linearizable: true }).await?;
    let gone = list.members.iter().find(|member| member.id == id);
    let Some(gone) = gone else {
        return Err(Failure::new(ERROR, format!("there is no member {id:x}: see member list")));
    };
    expect_replaceable(gone, &list.members).map_err(|why| Failure::new(ERROR, why))?;
    if !arguments.force {
        expect_silent(gone, &client).await?;
    }
    let name = if arguments.name.is_empty() { &gone.name } else { &arguments.name };
    let peer_ur_ls = match arguments.peer_urls.as_str() {
        "" => gone.peer_ur_ls.clone(),
        urls => urls_of(urls)?,
    };
    client.member_remove(MemberRemoveRequest { id }).await?;
    let urls = peer_ur_ls.join(",");
    let request = MemberAddRequest { peer_ur_ls, is_learner: false };
    let answer = client.member_add(request).await.map_err(|error| {
        let again = format!("quorate member add {name} --peer-urls {urls}");
        let why =
            format!("member {id:x} is removed, its successor is not added ({error}): {again}");
        Failure::new(ERROR, why)
    })?;
    if output.format == Format::Simple {
        let cluster = cluster(answer.header.as_ref());
        output.line(format!("Member {id:16x} removed from cluster {cluster:16x}"));
    }
    print_added(&mut output, &answer, name);
    output.flush()
}

/// Whether a successor could be added: the rule is the cluster's own (`quorate_node::strict::may_add`), which it
/// applies when the member to be replaced has left already.
fn expect_replaceable(gone: &Member, members: &[Member]) -> Result<(), String> {
    let others = || members.iter().filter(|member| member.id != gone.id && !member.is_learner);
    let (count, started) = (others().count(), others().filter(|m| !m.name.is_empty()).count());
    if count == 0 {
        return Err(format!(
            "member {:x} is the only one that votes: there is nobody to take its place from",
            gone.id
        ));
    }
    if (count, started) == (1, 1) || started > count.div_ceil(2) {
        return Ok(());
    }
    let waited = others().filter(|member| member.name.is_empty()).map(|m| format!("{:x}", m.id));
    Err(format!(
        "nothing was changed: of the {count} other voters {started} have started, too few for a successor to be \
         added: start the others, or remove them first (quorate member remove {})",
        waited.collect::<Vec<_>>().join(", ")
    ))
}

/// A member that answers is no dead machine, and would end at once.
async fn expect_silent(gone: &Member, client: &Client) -> Result<(), Failure> {
    for url in &gone.client_ur_ls {
        let Ok(client) = client.only(url) else { continue };
        let asked = tokio::time::timeout(SILENCE, client.status(StatusRequest::default())).await;
        let Ok(Ok(status)) = asked else { continue };
        if status.header.is_some_and(|header| header.member_id == gone.id) {
            let why = format!(
                "nothing was changed: member {:x} ({}) runs and answers at {url}: stop it first, or say --force",
                gone.id, gone.name
            );
            return Err(Failure::new(ERROR, why));
        }
    }
    Ok(())
}

fn cluster(header: Option<&ResponseHeader>) -> u64 {
    header.map_or(0, |header| header.cluster_id)
}

fn print_added(output: &mut Output, answer: &MemberAddResponse, name: &str) {
    let header = answer.header.as_ref();
    let new = answer.member.clone().unwrap_or_default();
    if output.format != Format::Simple {
        return print_members(output, answer, header, Some(&new), &answer.members);
    }
    output.line(format!("Member {:16x} added to cluster {:16x}", new.id, cluster(header)));
    let mut all = Vec::new();
    for member in &answer.members {
        let name = if member.id == new.id { name } else { &member.name };
        all.extend(member.peer_ur_ls.iter().map(|url| format!("{name}={url}")));
    }
    output.line("");
    output.line(format!("ETCD_NAME={name:?}"));
    output.line(format!("ETCD_INITIAL_CLUSTER={:?}", all.join(",")));
    output.line(format!("ETCD_INITIAL_ADVERTISE_PEER_URLS={:?}", new.peer_ur_ls.join(",")));
    output.line("ETCD_INITIAL_CLUSTER_STATE=\"existing\"");
}

/// The formats that show the whole answer.
fn print_members(
    output: &mut Output,
    answer: &impl prost::Message,
    header: Option<&ResponseHeader>,
    new: Option<&Member>,
    members: &[Member],
) {
    match output.format {
        Format::Protobuf => output.message(answer),
        Format::Json => {
            let object = Object::new().optional("header", json::header(header));
            let object = object.optional("member", new.map(|new| member_json(new, output.hex)));
            let members = members.iter().map(|member| member_json(member, output.hex));
            let text = object.some_list("members", members).end();
            output.line(text);
        }
        Format::Simple | Format::Fields | Format::Table => {
            output.header(header);
            new.into_iter().chain(members).for_each(|member| member_fields(output, member));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_member_is_printed_with_what_it_is_started_with() {
        let member = |id, name: &str| Member {
            id,
            name: name.to_owned(),
            peer_ur_ls: vec![format!("http://h{id}:2380")],
            ..Member::default()
        };
        let header = ResponseHeader { cluster_id: 0xfeed, ..ResponseHeader::default() };
        let answer = MemberAddResponse {
            header: Some(header),
            member: Some(member(10, "")),
            members: vec![member(1, "n1"), member(10, "")],
        };
        let mut output = Output::new(Format::Simple, false);
        print_added(&mut output, &answer, "n2");
        assert_eq!(
            output.text(),
            "Member                a added to cluster             feed\n\n\
             ETCD_NAME=\"n2\"\n\
             ETCD_INITIAL_CLUSTER=\"n1=http://h1:2380,n2=http://h10:2380\"\n\
             ETCD_INITIAL_ADVERTISE_PEER_URLS=\"http://h10:2380\"\n\
             ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n"
        );
    }

    #[test]
    fn nobody_is_removed_whose_successor_could_not_be_added() {
        let member = |(at, name): (usize, char)| Member {
            id: at as u64 + 1,
            name: if name == '-' { String::new() } else { name.to_string() },
            ..Member::default()
        };
        // The first is to be replaced; a dash has never started.
        for (members, fine) in [
            ("a", false),
            ("ab", true),
            ("a-", false),
            ("abc", true),
            ("ab-", false),
            ("abc-", false),
            ("abcd-", true),
        ] {
            let all: Vec<Member> = members.chars().enumerate().map(member).collect();
            let found = expect_replaceable(&all[0], &all);
            assert_eq!(found.is_ok(), fine, "{members}: {found:?}");
        }
    }

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(id_of(Some(&"ff".to_owned())).ok(), Some(255));
        assert!(id_of(Some(&"n1".to_owned())).is_err() && id_of(None).is_err());
    }
}
