//! `lease`: time to live.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use quorate_client::etcd::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse, ResponseHeader,
};

use super::failure::{BAD_CONNECTION, ERROR, Failure, describe};
use super::global::Global;
use super::json::{self, Object};
use super::output::{Format, Output};
use super::units::parse_number;

/// The commands below `lease`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Creates leases
    Grant(Grant),
    /// Revokes leases: their keys are deleted
    #[command(after_help = "Example:
  quorate lease revoke 326969472b0c5d05")]
    Revoke(Lease),
    /// Gets lease information
    #[command(after_help = "Examples:
  quorate lease timetolive 326969472b0c5d05
  quorate lease timetolive 326969472b0c5d05 --keys")]
    Timetolive(TimeToLive),
    /// Lists all active leases
    #[command(after_help = "Example:
  quorate lease list -w json")]
    List,
    /// Keeps leases alive (renew)
    #[command(after_help = "Examples:
  quorate lease keep-alive 326969472b0c5d05          until interrupted
  quorate lease keep-alive --once 326969472b0c5d05")]
    KeepAlive(KeepAlive),
}

/// Arguments of `lease grant`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate lease grant 60    a lease of sixty seconds; prints its id")]
pub struct Grant {
    /// Time to live in seconds
    #[arg(value_name = "TTL")]
    ttl: Vec<OsString>,
}

/// A lease.
#[derive(Debug, Args)]
pub struct Lease {
    /// The lease (in hexadecimal)
    #[arg(value_name = "LEASE")]
    lease: Vec<OsString>,
}

/// Arguments of `lease timetolive`.
#[derive(Debug, Args)]
pub struct TimeToLive {
    #[command(flatten)]
    lease: Lease,
    /// Print its keys too
    #[arg(long)]
    keys: bool,
}

/// Arguments of `lease keep-alive`.
#[derive(Debug, Args)]
pub struct KeepAlive {
    #[command(flatten)]
    lease: Lease,
    /// Renew once and end
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::Grant(arguments) => grant(&arguments, global).await,
        Command::Revoke(lease) => {
            let id = lease.id("lease revoke command needs 1 argument")?;
            revoke(id, global).await
        }
        Command::Timetolive(arguments) => {
            let id = arguments.lease.id("lease timetolive command needs lease ID as argument")?;
            time_to_live(id, arguments.keys, global).await
        }
        Command::List => list(global).await,
        Command::KeepAlive(arguments) => {
            let id = arguments.lease.id("lease keep-alive command needs lease ID as argument")?;
            if arguments.once { renew_once(id, global).await } else { keep_alive(id, global).await }
        }
    }
}

impl Lease {
    fn id(&self, usage: &str) -> Result<i64, Failure> {
        let [lease] = self.lease.as_slice() else {
            return Err(Failure::arguments(usage));
        };
        parse_number(&lease.to_string_lossy(), 16).map_err(|reason| {
            Failure::arguments(format!("bad lease ID arg ({reason}), expecting ID in Hex"))
        })
    }
}

async fn grant(arguments: &Grant, global: &Global) -> Result<(), Failure> {
    let [ttl] = arguments.ttl.as_slice() else {
        return Err(Failure::arguments("lease grant command needs TTL argument"));
    };
    let ttl = parse_number(&ttl.to_string_lossy(), 10)
        .map_err(|reason| Failure::arguments(format!("bad TTL ({reason})")))?;
    let mut output = global.output()?;
    let request = LeaseGrantRequest { ttl, id: 0 };
    let answer = global.client()?.lease_grant(request).await;
    let answer = answer.map_err(|error| {
        Failure::new(ERROR, format!("failed to grant lease ({})", describe(&error)))
    })?;
    print_grant(&mut output, &answer)?;
    output.flush()
}

fn print_grant(output: &mut Output, answer: &LeaseGrantResponse) -> Result<(), Failure> {
    let LeaseGrantResponse { id, ttl, .. } = *answer;
    match output.format {
        Format::Simple => output.line(format!("lease {id:016x} granted with TTL({ttl}s)")),
        Format::Fields => {
            output.header(answer.header.as_ref());
            output.lease_id("ID", id);
            output.field("TTL", ttl);
        }
        Format::Json => {
            let object = at_top(answer.header.as_ref()).value("ID", id).value("TTL", ttl);
            output.line(object.string("Error", &answer.error).end());
        }
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

async fn revoke(id: i64, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    let answer = global.client()?.lease_revoke(LeaseRevokeRequest { id }).await;
    let answer = answer.map_err(|error| {
        Failure::new(ERROR, format!("failed to revoke lease ({})", describe(&error)))
    })?;
    print_revoke(&mut output, id, &answer)?;
    output.flush()
}

fn print_revoke(output: &mut Output, id: i64, answer: &LeaseRevokeResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => output.line(format!("lease {id:016x} revoked")),
        Format::Fields => output.header(answer.header.as_ref()),
        Format::Json => {
            let header = json::header(answer.header.as_ref());
            output.line(Object::new().optional("header", header).end());
        }
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

async fn time_to_live(id: i64, keys: bool, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    let request = LeaseTimeToLiveRequest { id, keys };
    let answer = global.client()?.lease_time_to_live(request).await;
    let answer = answer.map_err(|error| Failure::call(BAD_CONNECTION, &error))?;
    print_time_to_live(&mut output, keys, &answer)?;
    output.flush()
}

fn print_time_to_live(
    output: &mut Output,
    keys: bool,
    answer: &LeaseTimeToLiveResponse,
) -> Result<(), Failure> {
    let LeaseTimeToLiveResponse { id, ttl, granted_ttl, .. } = *answer;
    match output.format {
        Format::Simple if granted_ttl == 0 && ttl == -1 => {
            output.line(format!("lease {id:016x} already expired"));
        }
        Format::Simple => {
            let text =
                format!("lease {id:016x} granted with TTL({granted_ttl}s), remaining({ttl}s)");
            let mut line = text.into_bytes();
            if keys {
                line.extend_from_slice(b", attached keys([");
                line.extend_from_slice(&answer.keys.join(&b' '));
                line.extend_from_slice(b"])");
            }
            output.line(line);
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            output.lease_id("ID", id);
            output.field("TTL", ttl);
            output.field("GrantedTTL", granted_ttl);
            answer.keys.iter().for_each(|key| output.quoted("Key", key));
        }
        Format::Json => {
            let keys = match answer.keys.as_slice() {
                [] => "null".to_owned(),
                keys => json::list(keys.iter().map(|key| json::base64(key))),
            };
            let object = at_top(answer.header.as_ref()).value("id", id).value("ttl", ttl);
            output.line(object.value("granted-ttl", granted_ttl).raw("keys", &keys).end());
        }
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

async fn list(global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    let answer = global.client()?.leases(LeaseLeasesRequest {}).await;
    let answer = answer.map_err(|error| Failure::call(BAD_CONNECTION, &error))?;
    print_list(&mut output, &answer)?;
    output.flush()
}

fn print_list(output: &mut Output, answer: &LeaseLeasesResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            output.line(format!("found {} leases", answer.leases.len()));
            answer.leases.iter().for_each(|lease| output.line(format!("{:016x}", lease.id)));
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            answer.leases.iter().for_each(|lease| output.lease_id("ID", lease.id));
        }
        Format::Json => {
            let leases =
                answer.leases.iter().map(|lease| Object::new().value("id", lease.id).end());
            output.line(at_top(answer.header.as_ref()).raw("leases", &json::list(leases)).end());
        }
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

async fn renew_once(id: i64, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    let answer = global.client()?.keep_alive_once(id).await;
    let answer = answer.map_err(|error| Failure::call(BAD_CONNECTION, &error))?;
    let Some(answer) = answer else {
        return Err(Failure::new(BAD_CONNECTION, "etcdserver: requested lease not found"));
    };
    print_renewal(&mut output, &answer)?;
    output.flush()
}

async fn keep_alive(id: i64, global: &Global) -> Result<(), Failure> {
    let mut output = global.output()?;
    let mut renewals = global.client()?.keep_alive(id);
    loop {
        let renewal = renewals.next().await;
        match renewal.map_err(|error| Failure::call(BAD_CONNECTION, &error))? {
            Some(answer) => print_renewal(&mut output, &answer)?,
            None if output.format == Format::Simple => {
                output.line(format!("lease {id:016x} expired or revoked."));
                return output.flush();
            }
            None => return Ok(()),
        }
        output.flush()?;
    }
}

fn print_renewal(output: &mut Output, answer: &LeaseKeepAliveResponse) -> Result<(), Failure> {
    let LeaseKeepAliveResponse { id, ttl, .. } = *answer;
    match output.format {
        Format::Simple => output.line(format!("lease {id:016x} keepalived with TTL({ttl})")),
        Format::Fields => {
            output.header(answer.header.as_ref());
            output.lease_id("ID", id);
            output.field("TTL", ttl);
        }
        Format::Json => {
            output.line(at_top(answer.header.as_ref()).value("ID", id).value("TTL", ttl).end());
        }
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// An object that starts with the header's own fields, as etcdctl prints the answers about leases.
fn at_top(header: Option<&ResponseHeader>) -> Object {
    match header {
        Some(header) => json::header_fields(Object::new(), header),
        None => Object::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_client::etcd::etcdserverpb::LeaseStatus;

    fn header() -> Option<ResponseHeader> {
        Some(ResponseHeader { cluster_id: 7, member_id: 8, revision: 3, raft_term: 2 })
    }

    fn printed(format: Format, print: impl FnOnce(&mut Output) -> Result<(), Failure>) -> String {
        let mut output = Output::new(format, false);
        print(&mut output).expect("format exists");
        output.text()
    }

    const TOP: &str = r#"{"cluster_id":7,"member_id":8,"revision":3,"raft_term":2"#;

    #[test]
    fn a_grant_prints_the_id_in_sixteen_digits() {
        let answer =
            LeaseGrantResponse { header: header(), id: 0x1f, ttl: 100, error: String::new() };
        let print = |output: &mut Output| print_grant(output, &answer);
        assert_eq!(
            printed(Format::Simple, print),
            "lease 000000000000001f granted with TTL(100s)\n"
        );
        let json = format!("{TOP},\"ID\":31,\"TTL\":100,\"Error\":\"\"}}\n");
        assert_eq!(printed(Format::Json, print), json);
        assert!(printed(Format::Fields, print).ends_with("\"ID\" : 31\n\"TTL\" : 100\n"));
    }

    #[test]
    fn a_lease_that_is_gone_has_expired() {
        let gone =
            LeaseTimeToLiveResponse { header: header(), id: 1, ttl: -1, ..Default::default() };
        let print = |output: &mut Output| print_time_to_live(output, false, &gone);
        assert_eq!(printed(Format::Simple, print), "lease 0000000000000001 already expired\n");
        let json = format!("{TOP},\"id\":1,\"ttl\":-1,\"granted-ttl\":0,\"keys\":null}}\n");
        assert_eq!(printed(Format::Json, print), json);
    }

    #[test]
    fn keys_of_a_lease_are_listed_on_request() {
        let keys = vec!["a".into(), "b".into()];
        let answer = LeaseTimeToLiveResponse { header: None, id: 1, ttl: 9, granted_ttl: 10, keys };
        let with_keys = |output: &mut Output| print_time_to_live(output, true, &answer);
        let text =
            "lease 0000000000000001 granted with TTL(10s), remaining(9s), attached keys([a b])\n";
        assert_eq!(printed(Format::Simple, with_keys), text);
        assert!(printed(Format::Json, with_keys).ends_with("\"keys\":[\"YQ==\",\"Yg==\"]}\n"));
    }

    #[test]
    fn a_list_of_no_leases_is_a_list() {
        let none = LeaseLeasesResponse { header: header(), leases: Vec::new() };
        assert_eq!(printed(Format::Simple, |output| print_list(output, &none)), "found 0 leases\n");
        let json = printed(Format::Json, |output| print_list(output, &none));
        assert_eq!(json, format!("{TOP},\"leases\":[]}}\n"));
        let one = LeaseLeasesResponse { header: None, leases: vec![LeaseStatus { id: 5 }] };
        assert_eq!(
            printed(Format::Json, |output| print_list(output, &one)),
            "{\"leases\":[{\"id\":5}]}\n"
        );
    }

    #[test]
    fn ids_are_hexadecimal() {
        let lease = |words: &[&str]| Lease { lease: words.iter().map(OsString::from).collect() };
        assert_eq!(lease(&["1f"]).id("usage").expect("fine"), 31);
        assert_eq!(lease(&[]).id("usage").expect_err("missing").code, 128);
        let failure = lease(&["zz"]).id("usage").expect_err("no number");
        assert!(failure.message.expect("said").ends_with("expecting ID in Hex"));
    }
}
