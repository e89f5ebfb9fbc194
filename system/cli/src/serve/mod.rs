//! `quorate serve`: one member, told what to do as etcd is told.
//!
//! The way from words to a running member: `quorate-flags` reads the command line, the environment and a configuration
//! file and puts them together, [`build`] checks that it makes sense and makes the configuration, [`logging`] and
//! [`process`] prepare the process, and the server takes over. The table of flags lists every one; nothing else knows
//! their names by heart except `build`.

mod build;
mod edge;
mod gates;
mod logging;
mod print;
mod process;
mod tokens;

use std::io::Write;
use std::process::ExitCode;

pub use quorate_flags::FlagError;
use quorate_flags::{arguments, settings, table, value};
use tracing::{error, warn};

use settings::{Settings, unrecognized};

/// The exit code of an error in the flags.
const BAD_FLAGS: u8 = 2;

/// Runs a member. The arguments are those after `serve`.
pub fn main(arguments: &[String]) -> ExitCode {
    match prepare(arguments) {
        Ok(Prepared::Print(text)) => {
            // Whoever reads this may have enough of it (`| head`).
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Prepared::Run(told)) => {
            let (settings, config, warnings) = *told;
            run(&settings, config, &warnings)
        }
        Err(FlagError(text)) => {
            eprintln!("quorate serve: {text}");
            ExitCode::from(BAD_FLAGS)
        }
    }
}

/// What the flags ask for.
enum Prepared {
    Print(String),
    Run(Box<(Settings, quorate_server::Config, Vec<String>)>),
}

fn prepare(arguments: &[String]) -> Result<Prepared, FlagError> {
    let line = arguments::parse(arguments)?;
    if line.help {
        return Ok(Prepared::Print(print::help()));
    }
    if line.version {
        return Ok(Prepared::Print(format!("quorate {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let environment = |name: &str| std::env::var(name).ok();
    let (settings, mut warnings) = Settings::gather(line, &environment)?;
    if settings.is("print-config") {
        return Ok(Prepared::Print(print::config(&settings)));
    }
    let config = build::config(&settings)?;
    warnings.extend(gates::warnings(&settings));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = unrecognized(names).into_iter();
    warnings.extend(unknown.map(|name| format!("unrecognized environment variable {name}")));
    Ok(Prepared::Run(Box::new((settings, config, warnings))))
}

/// The member that these flags alone describe: neither environment nor file has a say.
///
/// # Errors
/// As `quorate serve` would say it.
pub fn described_by(flags: &[String]) -> Result<quorate_server::Config, FlagError> {
    let (settings, _) = Settings::gather(arguments::parse(flags)?, &|_| None)?;
    build::config(&settings)
}

fn run(settings: &Settings, mut config: quorate_server::Config, warnings: &[String]) -> ExitCode {
    if let Err(FlagError(text)) = logging::start(settings) {
        eprintln!("quorate serve: {text}");
        return ExitCode::from(BAD_FLAGS);
    }
    let failed = |text: &str| failed(text, settings);
    for text in warnings {
        warn!("{text}");
    }
    if let Err(error) = process::raise_open_files() {
        warn!("the limit of open files stays as it is: {error}");
    }
    let room = process::room_for_connections();
    if config.edge.max_connections > room {
        if settings.is_given("max-connections") {
            warn!(
                "at most {room} connections, not {}: more would leave no open files for tables (see ulimit -n)",
                config.edge.max_connections
            );
        }
        config.edge.max_connections = room;
    }
    if settings.is("exit-with-parent") {
        match process::exit_with_parent() {
            Ok(true) => {}
            Ok(false) => return failed("the process that started this one is gone"),
            Err(error) => return failed(&format!("--exit-with-parent: {error}")),
        }
    }
    let mut signals = match process::Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot listen for signals: {error}")),
    };
    match quorate_server::run(config, signals.first()) {
        Ok(()) => signals.number().map_or(ExitCode::SUCCESS, process::end_by_signal),
        Err(error) => failed(&error.to_string()),
    }
}

/// Ends with one line on stderr, and in the log when that is somewhere else.
fn failed(text: &str, settings: &Settings) -> ExitCode {
    let text = text.replace('\n', " ");
    if !logging::reaches_stderr(settings) {
        error!("{text}");
    }
    eprintln!("quorate serve: {text}");
    ExitCode::FAILURE
}
