//! `alarm`: what the members complain about.

use std::ffi::OsString;

use clap::Subcommand;
use quorate_client::etcd::etcdserverpb::alarm_request::AlarmAction;
use quorate_client::etcd::etcdserverpb::{AlarmMember, AlarmRequest, AlarmResponse, AlarmType};

use super::failure::Failure;
use super::global::Global;
use super::json::{self, Object};
use super::output::{Format, Output};

/// The commands below `alarm`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Disarms all alarms
    #[command(after_help = "Example:
  quorate alarm disarm    after space was made with compaction and deletes")]
    Disarm {
        #[arg(hide = true)]
        extra: Vec<OsString>,
    },
    /// Lists all alarms
    #[command(after_help = "Example:
  quorate alarm list")]
    List {
        #[arg(hide = true)]
        extra: Vec<OsString>,
    },
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    let refuse = |name: &str, extra: &[OsString]| match extra {
        [] => Ok(()),
        _ => Err(Failure::arguments(format!("alarm {name} command accepts no arguments"))),
    };
    let mut output = global.output()?;
    let client = global.client()?;
    let list = AlarmRequest { action: AlarmAction::Get as i32, ..AlarmRequest::default() };
    let answer = match command {
        Command::List { extra } => {
            refuse("list", &extra)?;
            client.alarm(list).await?
        }
        Command::Disarm { extra } => {
            refuse("disarm", &extra)?;
            // The API disarms one alarm of one member at a time.
            let raised = client.alarm(list).await?.alarms;
            let mut answer = AlarmResponse::default();
            for AlarmMember { member_id, alarm } in raised {
                let action = AlarmAction::Deactivate as i32;
                let disarmed = client.alarm(AlarmRequest { action, member_id, alarm }).await?;
                answer.alarms.extend(disarmed.alarms);
            }
            answer
        }
    };
    print(&mut output, &answer)?;
    output.flush()
}

fn print(output: &mut Output, answer: &AlarmResponse) -> Result<(), Failure> {
    let name = |alarm: &AlarmMember| match AlarmType::try_from(alarm.alarm) {
        Ok(kind) => kind.as_str_name().to_owned(),
        Err(_) => alarm.alarm.to_string(),
    };
    match output.format {
        Format::Simple => {
            for alarm in &answer.alarms {
                output.line(format!("memberID:{} alarm:{}", alarm.member_id, name(alarm)));
            }
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            for alarm in &answer.alarms {
                output.id("MemberID", alarm.member_id);
                output.field("AlarmType", name(alarm));
                output.line("");
            }
        }
        Format::Json => {
            let alarms = answer.alarms.iter().map(|alarm| {
                Object::new().some("memberID", alarm.member_id).some("alarm", alarm.alarm).end()
            });
            let object = Object::new().optional("header", json::header(answer.header.as_ref()));
            output.line(object.some_list("alarms", alarms).end());
        }
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_have_names() {
        let alarms =
            vec![AlarmMember { member_id: 5, alarm: 1 }, AlarmMember { member_id: 6, alarm: 2 }];
        let answer = AlarmResponse { header: None, alarms };
        let printed = |format| {
            let mut output = Output::new(format, false);
            print(&mut output, &answer).expect("format exists");
            output.text()
        };
        assert_eq!(printed(Format::Simple), "memberID:5 alarm:NOSPACE\nmemberID:6 alarm:CORRUPT\n");
        assert_eq!(
            printed(Format::Json),
            "{\"alarms\":[{\"memberID\":5,\"alarm\":1},{\"memberID\":6,\"alarm\":2}]}\n"
        );
        assert!(printed(Format::Fields).contains("\"MemberID\" : 5\n\"AlarmType\" : NOSPACE\n"));
    }
}
