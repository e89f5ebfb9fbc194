//! `downgrade`: going back to an older version.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use quorate_client::etcd::etcdserverpb::downgrade_request::DowngradeAction;
use quorate_client::etcd::etcdserverpb::{DowngradeRequest, DowngradeResponse};

use super::failure::Failure;
use super::global::Global;
use super::json::{self, Object};
use super::output::{Format, Output};

/// The commands below `downgrade`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Validate downgrade capability before starting downgrade
    #[command(after_help = "Example:
  quorate downgrade validate 3.6.0")]
    Validate(Target),
    /// Start a downgrade action to cluster
    #[command(after_help = "Example:
  quorate downgrade enable 3.6.0")]
    Enable(Target),
    /// Cancel the ongoing downgrade action to cluster
    #[command(after_help = "Example:
  quorate downgrade cancel")]
    Cancel,
}

/// The version to go to.
#[derive(Debug, Args)]
pub struct Target {
    /// The version to go to
    #[arg(value_name = "TARGET_VERSION")]
    version: Vec<OsString>,
}

impl Target {
    fn version(self) -> Result<String, Failure> {
        match &self.version[..] {
            [] => Err(Failure::arguments("TARGET_VERSION not provided")),
            [version] if version.is_empty() => {
                Err(Failure::arguments("target version not provided"))
            }
            [version] => Ok(version.to_string_lossy().into_owned()),
            [_, _, ..] => Err(Failure::arguments("too many arguments")),
        }
    }
}

/// Runs the command.
pub async fn run(command: Command, global: &Global) -> Result<(), Failure> {
    let (action, name, version) = match command {
        Command::Validate(target) => (DowngradeAction::Validate, "validate", target.version()?),
        Command::Enable(target) => (DowngradeAction::Enable, "enable", target.version()?),
        Command::Cancel => (DowngradeAction::Cancel, "cancel", String::new()),
    };
    let mut output = global.output()?;
    let request = DowngradeRequest { action: action as i32, version };
    let answer = global.client()?.downgrade(request).await?;
    print(&mut output, name, &answer)?;
    output.flush()
}

fn print(output: &mut Output, name: &str, answer: &DowngradeResponse) -> Result<(), Failure> {
    let version = &answer.version;
    match output.format {
        Format::Simple => {
            output.line(format!("Downgrade {name} success, cluster version {version}"));
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            output.quoted("Version", version);
        }
        Format::Json => {
            let object = Object::new().optional("header", json::header(answer.header.as_ref()));
            output.line(object.some_string("version", version).end());
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
    fn one_version_is_taken() {
        let target = |words: &[&str]| {
            let version = words.iter().map(OsString::from).collect();
            Target { version }.version().map_err(|failure| failure.message.expect("said"))
        };
        assert_eq!(target(&["3.6.0"]), Ok("3.6.0".to_owned()));
        assert_eq!(target(&[]), Err("TARGET_VERSION not provided".to_owned()));
        assert_eq!(target(&["a", "b"]), Err("too many arguments".to_owned()));
    }

    #[test]
    fn the_answer_names_the_version() {
        let answer = DowngradeResponse { header: None, version: "3.7.0".to_owned() };
        let mut output = Output::new(Format::Simple, false);
        print(&mut output, "validate", &answer).expect("format exists");
        assert_eq!(output.text(), "Downgrade validate success, cluster version 3.7.0\n");
    }
}
