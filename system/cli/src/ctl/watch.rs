//! `watch`: following changes.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::{Command, Stdio};

use clap::{Args, CommandFactory as _, Parser};
use quorate_client::etcd::etcdserverpb::{WatchCreateRequest, WatchResponse};
use quorate_client::etcd::mvccpb::Event;
use quorate_client::{Client, Watcher};
use tokio::io::AsyncBufReadExt as _;
use tokio::sync::broadcast;

use super::answers;
use super::failure::{BAD_ARGUMENTS, Failure, INTERRUPTED, INVALID_INPUT, describe};
use super::get::interval;
use super::global::Global;
use super::output::Output;
use super::quote::{quote, split_words};

const BAD_NUMBER: &str = "bad number of arguments";

/// Watches events stream on keys or prefixes
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  quorate watch foo                         changes of foo from now on
  quorate watch --prefix config/ --prev-kv  changes under config/, with the pairs before
  quorate watch foo --rev 100               changes of foo since revision 100
  quorate watch foo -- sh -c 'echo $ETCD_WATCH_KEY is $ETCD_WATCH_VALUE'
                                            a command per change, told by ETCD_WATCH_REVISION,
                                            ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and ETCD_WATCH_VALUE
  quorate watch -i                          reads lines 'watch KEY ...' and 'progress'

ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END stand for KEY and RANGE_END.")]
pub struct Arguments {
    /// The key, and optionally the end of a range (not included)
    #[arg(value_name = "KEY")]
    keys: Vec<OsString>,
    /// A command to run for each event
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// Read what to watch from standard input
    #[arg(long, short)]
    interactive: bool,
    /// Every key that starts with KEY
    #[arg(long)]
    prefix: bool,
    /// The revision to start at, 0 for now
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// Print the pair before each event too
    #[arg(long)]
    prev_kv: bool,
    /// Let the server tell now and then how far it is
    #[arg(long)]
    progress_notify: bool,
}

/// What to watch, and what to run for each event.
#[derive(Debug, PartialEq)]
struct Plan {
    request: WatchCreateRequest,
    command: Vec<OsString>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let defaults = Defaults::of_environment()?;
    let output = global.output()?;
    // A watch lasts until it is ended: only the calls before it have a limit.
    if arguments.interactive {
        return run_interactive(&global.client()?, &defaults, output).await;
    }
    let ends_in_separator = std::env::args_os().next_back().is_some_and(|word| word == "--");
    let plan = arguments.plan(&defaults, ends_in_separator).map_err(Failure::arguments)?;
    let watcher = global.client()?.watch(plan.request).await?;
    let (_keep, progress) = broadcast::channel(1);
    follow(watcher, plan.command, output, progress).await?;
    Err(Failure::new(INTERRUPTED, "watch is canceled by the server"))
}

/// The key and the end that the environment names.
#[derive(Debug, Default)]
struct Defaults {
    keys: Vec<OsString>,
}

impl Defaults {
    fn of_environment() -> Result<Self, Failure> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let (key, end) = (variable("ETCDCTL_WATCH_KEY"), variable("ETCDCTL_WATCH_RANGE_END"));
        if let (None, Some(end)) = (&key, &end) {
            let end = quote(end.as_bytes());
            let message =
                format!("ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={end}");
            return Err(Failure::arguments(message));
        }
        Ok(Self { keys: key.into_iter().chain(end).collect() })
    }
}

impl Arguments {
    fn plan(self, defaults: &Defaults, ends_in_separator: bool) -> Result<Plan, String> {
        if ends_in_separator && self.command.is_empty() {
            return Err(format!("{BAD_NUMBER} (found separator --, but no commands)"));
        }
        if !defaults.keys.is_empty() && !self.keys.is_empty() {
            return Err(format!("{BAD_NUMBER} (found conflicting environment key)"));
        }
        let mut keys = if self.keys.is_empty() { defaults.keys.clone() } else { self.keys };
        if keys.is_empty() {
            return Err(BAD_NUMBER.to_owned());
        }
        if keys.len() == 2 && self.prefix {
            return Err("`range_end` and `--prefix` are mutually exclusive".to_owned());
        }
        keys.truncate(2);
        let (key, range_end) = interval(keys, self.prefix, false)
            .map_err(|failure| failure.message.unwrap_or_default())?;
        let request = WatchCreateRequest {
            key,
            range_end,
            start_revision: self.rev,
            prev_kv: self.prev_kv,
            progress_notify: self.progress_notify,
            ..WatchCreateRequest::default()
        };
        Ok(Plan { request, command: self.command })
    }
}

/// A line of interactive mode.
#[derive(Debug, Parser)]
#[command(name = "watch", disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

/// Reads lines and starts a watcher for each, until standard input ends.
async fn run_interactive(
    client: &Client,
    defaults: &Defaults,
    output: Output,
) -> Result<(), Failure> {
    let (progress, _) = broadcast::channel(16);
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).split(b'\n');
    let end = |reason: String| {
        Failure::new(INVALID_INPUT, format!("error reading watch request line: {reason}"))
    };
    loop {
        let line = lines.next_segment().await.map_err(|error| end(error.to_string()))?;
        let Some(line) = line else {
            return Err(end("EOF".to_owned()));
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        let words = split_words(&line).map_err(|reason| Failure::new(INVALID_INPUT, reason))?;
        match words.first().map(Vec::as_slice) {
            None => eprintln!("Invalid command: {line} (watch and progress supported)"),
            // Nobody listens before the first watcher; then there is nothing to ask about.
            Some(b"progress") => drop(progress.send(())),
            Some(b"watch") => match plan_of_line(words, defaults)? {
                Ok(plan) => {
                    let watcher = client.watch(plan.request).await?;
                    let (output, listener) = (output.clone(), progress.subscribe());
                    tokio::spawn(async move {
                        if let Err(failure) = follow(watcher, plan.command, output, listener).await
                        {
                            let code = failure.code;
                            failure.report();
                            std::process::exit(i32::from(code));
                        }
                    });
                }
                Err(reason) => eprintln!("Invalid command {line} ({reason})"),
            },
            Some(_) => eprintln!("Invalid command {line} (only support watch)"),
        }
    }
}

/// What a line asks for. The outer failure ends the command, the inner one only skips the line.
fn plan_of_line(words: Vec<Vec<u8>>, defaults: &Defaults) -> Result<Result<Plan, String>, Failure> {
    if words.len() < 2 && defaults.keys.is_empty() {
        return Ok(Err("command type or key is not provided".to_owned()));
    }
    let ends_in_separator = words.last().is_some_and(|word| word == b"--");
    let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
    let words = super::without_values_of_switches(Line::command(), words);
    let line = Line::try_parse_from(words)
        .map_err(|error| Failure::new(BAD_ARGUMENTS, super::first_line(&error)))?;
    match line.arguments.plan(defaults, ends_in_separator) {
        Err(reason) if reason.starts_with(BAD_NUMBER) => Err(Failure::arguments(reason)),
        plan => Ok(plan),
    }
}

/// Prints what a watcher sees until it ends.
async fn follow(
    mut watcher: Watcher,
    command: Vec<OsString>,
    mut output: Output,
    mut progress: broadcast::Receiver<()>,
) -> Result<(), Failure> {
    let mut may_ask = true;
    loop {
        let answer = tokio::select! {
            answer = watcher.next() => answer,
            asked = progress.recv(), if may_ask => {
                match asked {
                    Ok(()) | Err(broadcast::error::RecvError::Lagged(_)) => watcher.request_progress().await,
                    Err(broadcast::error::RecvError::Closed) => may_ask = false,
                }
                continue;
            }
        };
        match answer {
            Ok(Some(answer)) => show(&answer, &command, &mut output)?,
            Ok(None) => return Ok(()),
            Err(error) => {
                eprintln!("watch was canceled ({})", describe(&error));
                return Ok(());
            }
        }
    }
}

fn show(answer: &WatchResponse, command: &[OsString], output: &mut Output) -> Result<(), Failure> {
    let revision = answer.header.as_ref().map_or(0, |header| header.revision);
    if answer.canceled {
        eprintln!("watch was canceled ({})", reason_of_end(answer));
    } else if answer.events.is_empty() && revision != 0 {
        output.line(format!("progress notify: {revision}"));
    }
    answers::watch(output, answer)?;
    output.flush()?;
    if command.is_empty() {
        return Ok(());
    }
    answer.events.iter().try_for_each(|event| run_for(event, revision, command))
}

fn reason_of_end(answer: &WatchResponse) -> &str {
    if answer.compact_revision != 0 {
        "etcdserver: mvcc: required revision has been compacted"
    } else if answer.cancel_reason.is_empty() {
        "etcdserver: mvcc: required revision is a future revision"
    } else {
        &answer.cancel_reason
    }
}

/// Runs the command for one event; one that fails ends the watch.
fn run_for(event: &Event, revision: i64, command: &[OsString]) -> Result<(), Failure> {
    let pair = event.kv.clone().unwrap_or_default();
    let status = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .env("ETCD_WATCH_REVISION", revision.to_string())
        .env("ETCD_WATCH_EVENT_TYPE", quote(answers::event_name(event.r#type()).as_bytes()))
        .env("ETCD_WATCH_KEY", quote(&pair.key))
        .env("ETCD_WATCH_VALUE", quote(&pair.value))
        .status();
    let reason = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => match status.code() {
            Some(code) => format!("exit status {code}"),
            None => status.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let words: Vec<String> = command.iter().map(|word| quote(word.as_bytes())).collect();
    eprintln!("command [{}] error ({reason})", words.join(" "));
    Err(Failure::silent(super::failure::ERROR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str, defaults: &[&str]) -> Result<Plan, String> {
        let defaults = Defaults { keys: defaults.iter().map(OsString::from).collect() };
        let words = split_words(line).expect("words");
        match plan_of_line(words, &defaults) {
            Ok(plan) => plan,
            Err(failure) => Err(failure.message.unwrap_or_default()),
        }
    }

    #[test]
    fn lines_say_what_to_watch_and_what_to_run() {
        let watch = plan("watch a b --rev 5 --prev-kv -- echo -n hi", &[]).expect("fine");
        assert_eq!(
            (watch.request.key.as_ref(), watch.request.range_end.as_ref()),
            (&b"a"[..], &b"b"[..])
        );
        assert_eq!((watch.request.start_revision, watch.request.prev_kv), (5, true));
        assert_eq!(watch.command, ["echo", "-n", "hi"]);
        assert_eq!(plan("watch a --prefix", &[]).expect("fine").request.range_end, "b");
        let all = plan("watch '' --prefix", &[]).map(|plan| plan.request);
        assert_eq!(all.expect("an empty prefix is everything").key, "\0");
    }

    #[test]
    fn the_environment_may_name_the_key() {
        let watch = plan("watch --rev 3 -- echo", &["k", "m"]).expect("fine");
        assert_eq!(
            (watch.request.key.as_ref(), watch.request.range_end.as_ref()),
            (&b"k"[..], &b"m"[..])
        );
        let conflict = plan("watch other", &["k"]).expect_err("two keys");
        assert_eq!(conflict, "bad number of arguments (found conflicting environment key)");
    }

    #[test]
    fn what_is_wrong_is_said_in_etcdctls_words() {
        assert_eq!(plan("watch", &[]), Err("command type or key is not provided".to_owned()));
        assert_eq!(plan("watch --rev 3", &[]), Err("bad number of arguments".to_owned()));
        assert_eq!(
            plan("watch a --", &[]),
            Err("bad number of arguments (found separator --, but no commands)".to_owned())
        );
        assert_eq!(
            plan("watch a b --prefix", &[]),
            Err("`range_end` and `--prefix` are mutually exclusive".to_owned())
        );
    }

    #[test]
    fn the_end_has_a_reason() {
        let mut end = WatchResponse { canceled: true, ..WatchResponse::default() };
        assert!(reason_of_end(&end).contains("future"));
        end.cancel_reason = "mvcc: watcher range is empty".to_owned();
        assert_eq!(reason_of_end(&end), "mvcc: watcher range is empty");
        end.compact_revision = 5;
        assert!(reason_of_end(&end).contains("compacted"));
    }
}
