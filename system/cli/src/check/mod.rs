//! `quorate check`: judges histories, of this or any other system.
//!
//! The judges, their names and what they understand are in the crate `quorate-check`; this module is their command
//! line. Several files are judged one after another, and the worst result is the exit code.

mod print;
mod progress;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use quorate_check::limits::{Gauge, Options};
use quorate_check::model::{MODELS, Model, find};
use quorate_check::read::{self, Format};
use quorate_check::txn::level::Level;
use quorate_check::verdict::{Report, Verdict};

use crate::check::print::Output;

/// Exit codes, the worst last.
const YES: u8 = 0;
const UNKNOWN: u8 = 2;
const NO: u8 = 1;
const BAD_INPUT: u8 = 3;

/// Judge histories that clients recorded
#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    after_long_help = format!("{FORMATS}\n\n{EXAMPLES}"),
)]
pub struct CheckArguments {
    /// What the system promises (see --list-models)
    #[arg(short, long, value_name = "MODEL", value_parser = model, required_unless_present = "list_models")]
    model: Option<&'static Model>,
    /// Files with histories; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "list_models")]
    files: Vec<PathBuf>,
    /// The format of the files; recognised from the content if not given
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// Write a page about the verdict
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// The isolation level that a model of transactions is held against [default: strict-serializable, or
    /// strong-session-serializable for formats that know no real time]
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// How long to think about one file (500ms, 30s, 10m, 2h; 0: without bound)
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    time_limit: Duration,
    /// How much memory the search may take (512M, 4G; 0: without bound)
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "2G")]
    memory_limit: usize,
    /// How to print
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Simple)]
    write_out: Output,
    /// Show the models with their operations, and exit
    #[arg(long)]
    list_models: bool,
}

const FORMATS: &str = "\
Formats:
  edn    Jepsen's histories (history.edn), and Porcupine's key-value files
  json   one JSON object per line: process, type (invoke, ok, fail, info), f,
         value; and where they apply key, time, error
  log    Jepsen's text logs, lines with jepsen.util
  awdit, plume, dbcop
         the sessions of those judges; they know no real time
The order of the events is the order of real time.";

const EXAMPLES: &str = "\
Examples:
  quorate check --model register history.edn
  quorate check --model key-value --html refused.html history.jsonl
  quorate check --model etcd --time-limit 10m -w json store/*/history.edn
  quorate check --list-models

Exit codes: 0 the promise is kept, 1 it is broken, 2 not decided within the limits,
3 a file cannot be read or is not a history of such a model.
A wrong command line exits with 2 as well.";

fn model(name: &str) -> Result<&'static Model, String> {
    find(name).ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        format!("the models are {}", names.join(", "))
    })
}

fn format(name: &str) -> Result<Format, String> {
    Format::ALL
        .into_iter()
        .find(|format| format.name() == name)
        .ok_or_else(|| format!("the formats are {}", Format::ALL.map(Format::name).join(", ")))
}

/// A time such as 30s, 500ms, 10m or 2h.
pub fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
    let (digits, factor) = split(text, &units);
    let seconds: f64 = digits.parse().map_err(|_| "expected a time such as 30s".to_owned())?;
    Duration::try_from_secs_f64(seconds * factor).map_err(|error| error.to_string())
}

fn size(text: &str) -> Result<usize, String> {
    let units = [("K", 1024.0), ("M", 1024.0 * 1024.0), ("G", 1024.0 * 1024.0 * 1024.0), ("", 1.0)];
    let (digits, factor) = split(text.strip_suffix("iB").unwrap_or(text), &units);
    let number: f64 = digits.parse().map_err(|_| "expected a size such as 512M".to_owned())?;
    let bytes = number * factor;
    if !(0.0..=1e15).contains(&bytes) {
        return Err("expected a size from 0 to 1e15 bytes".to_owned());
    }
    Ok(bytes as usize)
}

fn split<'a>(text: &'a str, units: &[(&str, f64)]) -> (&'a str, f64) {
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    found.expect("the last unit is the empty one, which ends every text")
}

/// What became of one file.
pub struct Judged {
    file: String,
    model: &'static str,
    result: Result<Report, String>,
    took: Duration,
}

impl Judged {
    fn code(&self) -> u8 {
        match &self.result {
            Ok(Report { verdict: Verdict::Yes, .. }) => YES,
            Ok(Report { verdict: Verdict::No(_), .. }) => NO,
            Ok(Report { verdict: Verdict::Unknown(_), .. }) => UNKNOWN,
            Err(_) => BAD_INPUT,
        }
    }
}

/// Runs the command.
pub fn main(arguments: &CheckArguments) -> ExitCode {
    if arguments.list_models {
        print!("{}", list());
        return ExitCode::SUCCESS;
    }
    let model = arguments.model.expect("clap requires a model unless models are listed");
    if arguments.html.is_some() && arguments.files.len() > 1 {
        eprintln!("quorate check: --html takes one FILE, a page being about one history");
        return ExitCode::from(BAD_INPUT);
    }
    let mut worst = YES;
    for file in &arguments.files {
        let judged = judge(arguments, model, file);
        // The verdict first: a page that cannot be written must not cost what took minutes to find.
        print::print(arguments.write_out, &judged);
        if let (Some(out), Ok(report)) = (&arguments.html, &judged.result)
            && let Err(message) = write_page(out, report)
        {
            eprintln!("quorate check: {message}");
            // A verdict without a picture is a verdict; a page that was asked for and lost is not.
            if report.page.is_some() {
                worst = BAD_INPUT;
            }
        }
        worst = [BAD_INPUT, NO, UNKNOWN, YES]
            .into_iter()
            .find(|code| *code == worst || *code == judged.code())
            .expect("both are among them");
    }
    ExitCode::from(worst)
}

fn judge(arguments: &CheckArguments, model: &'static Model, file: &Path) -> Judged {
    let name = file.display().to_string();
    let started = Instant::now();
    let result = (|| {
        let bytes = bytes(file).map_err(|error| format!("{name}: {error}"))?;
        let history = read::read_bytes(&bytes, arguments.format);
        let history = history.map_err(|error| format!("{name}:{error}"))?;
        drop(bytes);
        let gauge = std::sync::Arc::new(Gauge::default());
        let options = Options {
            time: Some(arguments.time_limit).filter(|limit| !limit.is_zero()),
            memory: Some(arguments.memory_limit).filter(|limit| *limit != 0),
            explain: true,
            page: arguments.html.is_some(),
            gauge: gauge.clone(),
            level: arguments.level.unwrap_or(match history.timeless {
                true => Level::StrongSessionSerializable,
                false => Level::default(),
            }),
        };
        let _bar = progress::Bar::new(&name, gauge);
        (model.check)(&history, &options).map_err(|error| format!("{name}:{error}"))
    })();
    Judged { file: name, model: model.name, result, took: started.elapsed() }
}

fn bytes(file: &Path) -> std::io::Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_page(out: &Path, report: &Report) -> Result<(), String> {
    let Some(page) = &report.page else {
        return Err(format!("{}: this model draws no page about this verdict", out.display()));
    };
    std::fs::write(out, page).map_err(|error| format!("{}: {error}", out.display()))
}

/// The models with what they understand.
fn list() -> String {
    let mut text = String::new();
    for model in MODELS {
        let _ = writeln!(text, "{}: {}", model.name, model.about);
        for line in model.operations.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("soon").is_err());
        assert!(duration("-1s").is_err());
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("0"), Ok(0));
        assert!(size("-1").is_err());
        assert!(size("many").is_err());
    }

    #[test]
    fn every_model_is_found_and_listed() {
        for known in MODELS {
            assert_eq!(model(known.name).map(|model| model.name), Ok(known.name));
            assert!(list().contains(known.about));
        }
        assert!(model("quantum").is_err());
    }
}
