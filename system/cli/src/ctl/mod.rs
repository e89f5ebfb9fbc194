//! The commands of a client, with etcdctl's names, flags, output and exit codes.
//!
//! One file per command: its arguments, what it asks the cluster, and how it prints the answer. Shared are the flags of
//! all commands ([`global`]), the five output formats ([`output`], [`json`], [`quote`], [`units`]), and the way to fail
//! ([`failure`]). What standard output says is meant to be byte for byte what etcdctl says; standard error is meant for
//! people, and says what to do next.
//!
//! Differences from etcdctl 3.7 on purpose: a flag wins over its environment variable (etcdctl refuses both at once);
//! short commands keep to `--command-timeout` even where etcdctl waits for ever; conditions of a transaction that etcdctl
//! answers with a Go panic are errors; and without `--endpoints` the cluster described in `quorate-data` is used.

mod access;
mod alarm;
mod answers;
mod auth;
mod check;
mod compaction;
mod compare;
mod defrag;
mod del;
mod downgrade;
mod elect;
mod endpoint;
mod endpoint_print;
mod failure;
mod get;
mod global;
mod guard;
mod info;
mod json;
mod lease;
mod lock;
mod make_mirror;
mod member;
mod move_leader;
mod output;
mod password;
mod put;
mod quote;
mod role;
mod snapshot;
mod txn;
mod units;
mod user;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use failure::{ERROR, Failure};
use global::Global;

#[derive(Debug, Parser)]
#[command(name = "quorate", disable_version_flag = true, infer_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Get(Box<get::Arguments>),
    Put(put::Arguments),
    Del(del::Arguments),
    Txn(txn::Arguments),
    Watch(Box<watch::Arguments>),
    /// Grants, revokes, lists and renews leases
    #[command(subcommand)]
    Lease(lease::Command),
    Compaction(compaction::Arguments),
    /// Lists, adds, removes and replaces members
    #[command(subcommand)]
    Member(member::Command),
    MoveLeader(move_leader::Arguments),
    /// Health, status and hash of each member
    Endpoint(endpoint::Arguments),
    /// Saves, checks and restores a copy of the whole store
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    /// Lists and disarms alarms
    #[command(subcommand)]
    Alarm(alarm::Command),
    Defrag(defrag::Arguments),
    /// Validates, begins or cancels going back to an older version
    #[command(subcommand)]
    Downgrade(downgrade::Command),
    Lock(lock::Arguments),
    Elect(elect::Arguments),
    /// Enable or disable authentication
    #[command(subcommand)]
    Auth(auth::Command),
    /// Adds, lists and changes users
    #[command(subcommand)]
    User(user::Command),
    /// Adds, lists and changes roles
    #[command(subcommand)]
    Role(role::Command),
    /// Measures what a cluster bears: perf, datascale
    #[command(subcommand)]
    Check(check::Command),
    MakeMirror(Box<make_mirror::Arguments>),
    /// Shows the flags that every command takes
    Options,
    Completion(info::Completion),
    /// Prints the version
    Version,
}

/// Runs the command that the arguments name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let is_etcdctl = crate::is_etcdctl(&arguments);
    let command = command_line(is_etcdctl);
    let arguments = without_values_of_switches(command.clone(), arguments);
    let matches = command.clone().try_get_matches_from(&arguments);
    let parsed = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed {
        Ok(arguments) => run(arguments, is_etcdctl),
        // A command that only groups others explains them.
        Err(error) if error.kind() == ErrorKind::MissingSubcommand => {
            print!("{}", help_of(command, &arguments));
            ExitCode::SUCCESS
        }
        Err(error) => report_usage(&error),
    }
}

fn run(arguments: Arguments, is_etcdctl: bool) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(ERROR, format!("cannot start: {error}")).report(),
    };
    let result = runtime.block_on(dispatch(arguments.command, &arguments.global, is_etcdctl));
    // A thread that still reads standard input must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn dispatch(command: Command, global: &Global, is_etcdctl: bool) -> Result<(), Failure> {
    match command {
        Command::Get(arguments) => get::run(*arguments, global).await,
        Command::Put(arguments) => put::run(arguments, global).await,
        Command::Del(arguments) => del::run(arguments, global).await,
        Command::Txn(arguments) => txn::run(arguments, global).await,
        Command::Watch(arguments) => watch::run(*arguments, global).await,
        Command::Lease(command) => lease::run(command, global).await,
        Command::Compaction(arguments) => compaction::run(arguments, global).await,
        Command::Member(command) => member::run(command, global).await,
        Command::MoveLeader(arguments) => move_leader::run(arguments, global).await,
        Command::Endpoint(arguments) => endpoint::run(arguments, global).await,
        Command::Snapshot(command) => snapshot::run(command, global).await,
        Command::Alarm(command) => alarm::run(command, global).await,
        Command::Defrag(arguments) => defrag::run(arguments, global).await,
        Command::Downgrade(command) => downgrade::run(command, global).await,
        Command::Lock(arguments) => lock::run(arguments, global, is_etcdctl).await,
        Command::Elect(arguments) => elect::run(arguments, global).await,
        Command::Auth(command) => auth::run(command, global).await,
        Command::User(command) => user::run(command, global).await,
        Command::Role(command) => role::run(command, global).await,
        Command::Check(command) => check::run(command, global).await,
        Command::MakeMirror(arguments) => make_mirror::run(*arguments, global).await,
        Command::Options => info::options(command_line(is_etcdctl)),
        Command::Completion(arguments) => info::completion(&arguments, command_line(is_etcdctl)),
        Command::Version => info::version(is_etcdctl),
    }
}

/// The command line as clap knows it. Like pflag, an option takes the next word whatever it looks like (`--rev -1`). The
/// flags of all commands are hidden from the help of each, which `options` makes up for.
fn command_line(is_etcdctl: bool) -> clap::Command {
    let hide_shared = |argument: clap::Arg| {
        let is_shared = argument.is_global_set();
        argument.hide(is_shared)
    };
    let command = take_any_value(Arguments::command()).mut_args(hide_shared);
    let name = if is_etcdctl { "etcdctl" } else { "quorate" };
    let command = command.after_help(format!(
        "Use \"{name} options\" for a list of the options of all commands, such as --endpoints and --write-out."
    ));
    if is_etcdctl {
        command.name("etcdctl").about("A simple command line client for etcd3, by Quorate.")
    } else {
        command.override_help(include_str!("help.txt"))
    }
}

fn take_any_value(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let takes_a_word = !argument.is_positional() && takes_next_word(&argument);
        if takes_a_word { argument.allow_hyphen_values(true) } else { argument }
    });
    let names: Vec<String> =
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, take_any_value))
}

/// Rewrites `--hex=true` to `--hex` and drops `--hex=false`: Go's switches take a value, clap's do not. What is a switch
/// of one command may take a value in another (`--prefix`), so the command that the words lead to decides.
fn without_values_of_switches(mut command: clap::Command, words: Vec<OsString>) -> Vec<OsString> {
    command.build();
    let flags = led_to(&command, &words).get_arguments();
    let flags = flags.filter(|argument| matches!(argument.get_action(), ArgAction::SetTrue));
    let switches: Vec<String> =
        flags.filter_map(|argument| argument.get_long().map(str::to_owned)).collect();
    let separator = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut words = words;
    let rest = words.split_off(separator);
    let rewrite = |word: OsString| {
        let parts = word.to_str().and_then(|word| word.strip_prefix("--")?.split_once('='));
        match parts {
            Some((name, value)) if switches.iter().any(|switch| switch == name) => match value {
                "true" | "1" | "t" | "T" | "TRUE" | "True" => Some(format!("--{name}").into()),
                "false" | "0" | "f" | "F" | "FALSE" | "False" => None,
                _ => Some(word),
            },
            _ => Some(word),
        }
    };
    words.into_iter().filter_map(rewrite).chain(rest).collect()
}

/// The command that the words lead to, as far as they are names of commands and not the values of flags. The command must
/// have been built.
fn led_to<'a>(command: &'a clap::Command, words: &[OsString]) -> &'a clap::Command {
    let mut current = command;
    let program = usize::from(!command.is_no_binary_name_set());
    let mut words = words.iter().skip(program).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let Some(word) = word.to_str() else { continue };
        if word.starts_with('-') {
            let flag = current.get_arguments().find(|flag| is_flag(flag, word));
            if flag.is_some_and(takes_next_word) {
                words.next();
            }
            continue;
        }
        let below = current.get_subcommands();
        let short: Vec<_> = below.filter(|below| below.get_name().starts_with(word)).collect();
        current = match (current.find_subcommand(word), &short[..]) {
            (Some(exact), _) => exact,
            (None, [only]) => only,
            // The first word of the command itself.
            (None, _) => break,
        };
    }
    current
}

fn is_flag(flag: &clap::Arg, word: &str) -> bool {
    let long = word.strip_prefix("--").is_some_and(|name| flag.get_long() == Some(name));
    let mut letters = word.chars().skip(1);
    long || flag.get_short().is_some()
        && letters.next() == flag.get_short()
        && letters.next().is_none()
}

fn takes_next_word(flag: &clap::Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Set | ArgAction::Append) && !flag.is_require_equals_set()
}

/// The help of the command that the words lead to.
fn help_of(mut command: clap::Command, words: &[OsString]) -> String {
    command.build();
    led_to(&command, words).clone().render_help().to_string()
}

/// Help goes to standard output and is no error; a line that cannot be read is etcdctl's exit code 1, not clap's 2.
fn report_usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            print!("{}", error.render());
            ExitCode::SUCCESS
        }
        _ => {
            let text = error.render().to_string();
            eprint!("Error: {}", text.strip_prefix("error: ").unwrap_or(&text));
            ExitCode::from(ERROR)
        }
    }
}

/// What clap has to say, without the usage below it.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
        let command = command_line(true);
        let words = line.iter().map(OsString::from).collect();
        let words = without_values_of_switches(command.clone(), words);
        Arguments::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    #[test]
    fn the_command_line_is_consistent() {
        command_line(true).debug_assert();
        command_line(false).debug_assert();
    }

    #[test]
    fn flags_stand_where_they_like() {
        for line in [
            &["etcdctl", "--endpoints", "a:1", "-wjson", "get", "k"][..],
            &["etcdctl", "get", "k", "--endpoints=a:1", "-w", "json"],
            &["etcdctl", "get", "--write-out=json", "--hex=true", "k", "--endpoints", "a:1"],
        ] {
            let arguments = parse(line).expect("fine");
            assert_eq!(arguments.global.endpoints().expect("given"), ["a:1"]);
            assert_eq!(arguments.global.output().expect("exists").format, output::Format::Json);
            assert!(matches!(arguments.command, Command::Get(_)));
        }
    }

    #[test]
    fn gos_ways_of_writing_flags_are_understood() {
        assert!(parse(&["etcdctl", "get", "k", "--rev", "-1"]).is_ok());
        assert!(parse(&["etcdctl", "memb", "list"]).is_ok(), "commands may be shortened");
        let hex = |word: &str| {
            parse(&["etcdctl", "get", "k", word])
                .expect("fine")
                .global
                .output()
                .expect("simple")
                .hex
        };
        assert!(hex("--hex") && hex("--hex=true") && hex("--hex=1"));
        assert!(!hex("--hex=false"));
        assert!(parse(&["etcdctl", "get", "k", "--hex=maybe"]).is_err());
        let kept = [
            "etcdctl watch k -- tool --hex=false",
            // A switch of other commands, and a value here.
            "etcdctl make-mirror there --prefix=0",
            "etcdctl --user get check perf --prefix=true",
            "etcdctl user add alice --interactive=false",
        ];
        let without = |line: &str| {
            let words = line.split(' ').map(OsString::from).collect();
            let words = without_values_of_switches(command_line(true), words);
            words
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        for line in kept {
            assert_eq!(without(line), line);
        }
        assert_eq!(without("etcdctl --user lock get k --prefix=0"), "etcdctl --user lock get k");
        assert_eq!(without("etcdctl -w json wat k --prefix=t"), "etcdctl -w json wat k --prefix");
    }

    #[test]
    fn what_is_no_command_or_flag_is_an_error() {
        assert!(parse(&["etcdctl", "nosuch"]).is_err());
        assert!(parse(&["etcdctl", "get", "--nosuch"]).is_err());
        assert!(parse(&["etcdctl", "get", "k", "--rev", "x"]).is_err());
        assert!(parse(&["etcdctl", "get", "k", "--command-timeout", "5"]).is_err());
    }

    #[test]
    fn a_group_of_commands_explains_itself() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let help = help_of(command_line(true), &words("etcdctl --hex lease"));
        assert!(help.contains("timetolive") && !help.contains("compaction"), "{help}");
        assert!(!help.contains("--endpoints"), "shared flags are listed by `options`: {help}");
        assert!(help_of(command_line(false), &words("quorate")).contains("compaction"));
        let error = parse(&["etcdctl", "lease", "--hex"]).expect_err("no command");
        assert_eq!(error.kind(), ErrorKind::MissingSubcommand);
    }

    #[test]
    fn every_command_has_an_example() {
        fn look(path: &str, command: &clap::Command) {
            for below in command.get_subcommands() {
                look(&format!("{path} {}", below.get_name()), below);
            }
            let name = path.trim();
            let explains_itself = ["options", "version"].contains(&name);
            if !name.is_empty() && !command.has_subcommands() && !explains_itself {
                let help = command.clone().render_help().to_string();
                assert!(help.contains("Example"), "{name} --help has no example:\n{help}");
            }
        }
        look("", &Arguments::command());
    }

    #[test]
    fn the_help_names_every_command() {
        let help = include_str!("help.txt");
        for command in Arguments::command().get_subcommands() {
            assert!(
                help.contains(&format!("\n  {} ", command.get_name())),
                "{}",
                command.get_name()
            );
        }
        for name in crate::local::NAMES {
            assert!(help.contains(&format!("\n  {name} ")), "{name}");
        }
    }
}
