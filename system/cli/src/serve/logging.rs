//! Where log lines go and what they look like.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Mutex;

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

use super::FlagError;
use super::settings::Settings;

/// Starts logging as the flags say. Called once.
pub fn start(settings: &Settings) -> Result<(), FlagError> {
    let outputs = Mutex::new(Outputs::open(settings.text("log-outputs"))?);
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from_level(level(settings.text("log-level"))))
        .with_ansi(false)
        .with_writer(outputs);
    match settings.text("log-format") {
        "json" => builder.json().flatten_event(true).init(),
        _ => builder.init(),
    }
    Ok(())
}

/// Whether log lines appear where error messages do.
pub fn reaches_stderr(settings: &Settings) -> bool {
    super::value::urls(settings.text("log-outputs"))
        .any(|name| matches!(name, "default" | "stderr"))
}

/// Least severity; what only ends a process in etcd is an error here.
fn level(name: &str) -> Level {
    match name {
        "debug" => Level::DEBUG,
        "info" => Level::INFO,
        "warn" => Level::WARN,
        _ => Level::ERROR,
    }
}

/// All the places that a line goes to.
struct Outputs {
    places: Vec<Box<dyn Write + Send>>,
}

impl Outputs {
    fn open(list: &str) -> Result<Outputs, FlagError> {
        let mut places: Vec<Box<dyn Write + Send>> = Vec::new();
        for name in super::value::urls(list) {
            places.push(match name {
                "default" | "stderr" => Box::new(io::stderr()),
                "stdout" => Box::new(io::stdout()),
                path => Box::new(File::options().create(true).append(true).open(path).map_err(
                    |error| {
                        FlagError(format!(
                            "--log-outputs {path:?}: {error}; expected stderr, stdout or a path that can be written"
                        ))
                    },
                )?),
            });
        }
        Ok(Outputs { places })
    }
}

/// One place that fails must not silence the others.
impl Write for Outputs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let results: Vec<_> = self.places.iter_mut().map(|place| place.write_all(bytes)).collect();
        results.into_iter().collect::<io::Result<()>>().map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.places.iter_mut().try_for_each(|place| place.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_to_every_place_and_is_appended() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name).display().to_string());
        std::fs::write(&paths[0], "before\n").unwrap();
        let mut outputs = Outputs::open(&paths.join(",")).unwrap();
        outputs.write_all(b"line\n").unwrap();
        assert_eq!(std::fs::read_to_string(&paths[0]).unwrap(), "before\nline\n");
        assert_eq!(std::fs::read_to_string(&paths[1]).unwrap(), "line\n");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let error = Outputs::open("/nonexistent/log").map(|_| ()).unwrap_err();
        assert!(error.0.contains("--log-outputs \"/nonexistent/log\""), "{}", error.0);
    }
}
