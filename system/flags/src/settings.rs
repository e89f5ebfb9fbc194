//! What a member was told, flag by flag, and by whom.
//!
//! A flag on the command line beats the environment, the environment beats the configuration file, and the file beats
//! the default. Within the environment `QUORATE_SOME_FLAG` beats `ETCD_SOME_FLAG`. Every value is checked against its
//! kind here, so whoever reads a setting later need not expect nonsense.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::arguments::CommandLine;
use crate::table::{self, Effect, Flag, Kind};
use crate::{FlagError, file, value};

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file of this path.
    File(String),
    /// The environment variable of this name.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => write!(formatter, "default"),
            Origin::File(path) => write!(formatter, "file {path}"),
            Origin::Environment(name) => write!(formatter, "environment {name}"),
            Origin::Flag => write!(formatter, "flag"),
        }
    }
}

/// The value of one flag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The flag.
    pub flag: &'static Flag,
    /// Its value.
    pub value: String,
    /// Who set it.
    pub origin: Origin,
}

/// The values of all flags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    by_name: BTreeMap<&'static str, Setting>,
}

impl Settings {
    /// Puts the four sources together. `variable` looks up the environment. The warnings are one line each.
    pub fn gather(
        line: CommandLine,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Settings, Vec<String>), FlagError> {
        let mut warnings = line.warnings;
        let defaults = table::all().map(|flag| {
            let value = flag.default.to_owned();
            (flag.name, Setting { flag, value, origin: Origin::Default })
        });
        let mut settings = Settings { by_name: defaults.collect() };
        let environment = from_environment(variable);
        let chosen = line.given.iter().rev().find(|given| given.flag.name == "config-file");
        let path = chosen.map(|given| given.value.clone()).or_else(|| {
            environment
                .iter()
                .find(|setting| setting.flag.name == "config-file")
                .map(|s| s.value.clone())
        });
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            for entry in file::read(&path, &mut warnings)? {
                settings.set(entry.flag, entry.value, Origin::File(path.clone()))?;
            }
        }
        for setting in environment {
            settings.set(setting.flag, setting.value, setting.origin)?;
        }
        for given in line.given {
            settings.set(given.flag, given.value, Origin::Flag)?;
        }
        settings.derive();
        warnings.extend(settings.all().filter_map(warning));
        Ok((settings, warnings))
    }

    fn set(&mut self, flag: &'static Flag, value: String, origin: Origin) -> Result<(), FlagError> {
        if let Err(expected) = value::check(flag.kind, &value) {
            let source = match &origin {
                Origin::Default | Origin::Flag => String::new(),
                Origin::File(_) | Origin::Environment(_) => format!(" ({origin})"),
            };
            return Err(FlagError(format!("--{} {value:?}{source}: {expected}", flag.name)));
        }
        let setting = self.by_name.get_mut(flag.name).expect("every flag has a setting");
        let adds_up = flag.is_repeatable() && setting.origin == origin && origin == Origin::Flag;
        setting.value = if adds_up { format!("{},{value}", setting.value) } else { value };
        setting.origin = origin;
        Ok(())
    }

    /// Fills in the defaults that depend on other settings.
    fn derive(&mut self) {
        let name = self.text("name").to_owned();
        let urls = value::urls(self.text("initial-advertise-peer-urls"));
        let alone = urls.map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",");
        for (flag, value) in [("data-dir", format!("{name}.quorate")), ("initial-cluster", alone)] {
            let setting = self.by_name.get_mut(flag).expect("every flag has a setting");
            if setting.value.is_empty() {
                setting.value = value;
            }
        }
    }

    /// All settings, in the order of the table.
    pub fn all(&self) -> impl Iterator<Item = &Setting> {
        table::all().map(|flag| &self.by_name[flag.name])
    }

    /// One setting. Panics on a name that is not in the table, which is an error of this program.
    pub fn get(&self, name: &str) -> &Setting {
        self.by_name.get(name).unwrap_or_else(|| panic!("there is no flag --{name}"))
    }

    /// Whether somebody set it.
    pub fn is_given(&self, name: &str) -> bool {
        self.get(name).origin != Origin::Default
    }

    /// Its value.
    pub fn text(&self, name: &str) -> &str {
        &self.get(name).value
    }

    /// Its value as a boolean.
    pub fn is(&self, name: &str) -> bool {
        value::boolean(self.text(name)).expect("checked when it was set")
    }

    /// Its value as a whole number.
    pub fn count(&self, name: &str) -> u64 {
        self.text(name).parse().expect("checked when it was set")
    }

    /// Its value as a whole number that a memory can hold.
    pub fn size(&self, name: &str) -> usize {
        usize::try_from(self.count(name)).expect("the bounds of sizes fit")
    }

    /// Its value as a time; milliseconds where the flag counts those.
    pub fn time(&self, name: &str) -> Duration {
        let setting = self.get(name);
        if setting.flag.kind == Kind::Milliseconds {
            return Duration::from_millis(self.count(name));
        }
        value::duration(&setting.value).expect("checked when it was set")
    }

    /// Its value as a list of URLs.
    pub fn urls(&self, name: &str) -> Vec<String> {
        value::urls(self.text(name)).map(str::to_owned).collect()
    }
}

/// Which of these names of environment variables look like settings and are none: a word that is written wrongly would
/// otherwise leave its setting at the default without a sign.
pub fn unrecognized(names: impl Iterator<Item = String>) -> Vec<String> {
    const OTHERS: [&str; 3] = ["QUORATE_FENCE", "QUORATE_NODE_BINARY", "ETCD_UNSUPPORTED_ARCH"];
    let prefixes = ["QUORATE", "ETCD", "ETCD_EXPERIMENTAL"];
    let known = |name: &String| {
        OTHERS.contains(&name.as_str())
            || table::all().any(|flag| prefixes.iter().any(|prefix| flag.variable(prefix) == *name))
    };
    let ours = names.filter(|name| name.starts_with("QUORATE_") || name.starts_with("ETCD_"));
    ours.filter(|name| !known(name)).collect()
}

/// The settings that the environment makes. An empty variable sets nothing, as in etcd.
fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Vec<Setting> {
    let mut settings = Vec::new();
    for flag in table::all() {
        let names =
            [flag.variable("QUORATE"), flag.variable("ETCD"), flag.variable("ETCD_EXPERIMENTAL")];
        for name in names {
            if let Some(value) = variable(&name).filter(|value| !value.is_empty()) {
                settings.push(Setting { flag, value, origin: Origin::Environment(name) });
                break;
            }
        }
    }
    settings
}

/// The warning that a setting deserves, if any.
fn warning(setting: &Setting) -> Option<String> {
    let Effect::Nothing(reason) = setting.flag.effect else { return None };
    if setting.origin == Origin::Default || asks_for_nothing(setting) {
        return None;
    }
    Some(format!(
        "--{} {:?} ({}) has no effect: {reason}",
        setting.flag.name, setting.value, setting.origin
    ))
}

/// Whether a setting says no more than "leave it as it is" or "leave it off".
fn asks_for_nothing(setting: &Setting) -> bool {
    let is_default = setting.value == setting.flag.default;
    let is_off = ["", "0", "0s", "false"].contains(&setting.value.as_str());
    match setting.flag.kind {
        Kind::Bool => value::boolean(&setting.value) == value::boolean(setting.flag.default),
        Kind::Text | Kind::Name | Kind::Path | Kind::Count(..) | Kind::Signed => {
            is_default && is_off
        }
        Kind::Milliseconds | Kind::Duration | Kind::Urls | Kind::PeerUrls => is_default && is_off,
        Kind::Listen | Kind::Members | Kind::Routes | Kind::Choice(_) => is_default && is_off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments;

    /// The real list of etcd 3.7.3's `--help`, and what it registers besides.
    const ETCD_FLAGS: &str = include_str!("../tests/fixtures/etcd-3.7-flags.txt");

    fn gather(
        flags: &str,
        environment: &[(&str, &str)],
    ) -> Result<(Settings, Vec<String>), String> {
        let words: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        let line = arguments::parse(&words).map_err(|error| error.0)?;
        let look_up = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        };
        Settings::gather(line, &look_up).map_err(|error| error.0)
    }

    #[test]
    fn every_flag_of_etcd_parses_with_its_default() {
        let names: Vec<&str> =
            ETCD_FLAGS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(names.len() >= 113, "only {} names", names.len());
        for name in names {
            if ["help", "version"].contains(&name) {
                continue;
            }
            let flag = table::find(name).unwrap_or_else(|| panic!("--{name} is missing"));
            let line = format!("--{name}={}", flag.default.replace(' ', ""));
            gather(&line, &[]).unwrap_or_else(|error| panic!("{line}: {error}"));
            let variable = flag.variable("ETCD");
            gather("", &[(&variable, flag.default)])
                .unwrap_or_else(|error| panic!("{variable}: {error}"));
        }
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.yml");
        std::fs::write(
            &path,
            "name: file\nheartbeat-interval: 1\nmax-txn-ops: 2\nmax-watchers: 3\n",
        )
        .unwrap();
        let path = path.display().to_string();
        let environment = [
            ("ETCD_NAME", "etcd"),
            ("QUORATE_NAME", "own"),
            ("ETCD_HEARTBEAT_INTERVAL", "10"),
            ("ETCD_MAX_TXN_OPS", "20"),
            ("ETCD_CONFIG_FILE", "/nowhere"),
            ("ETCD_WAL_DIR", ""),
        ];
        let flags = format!("--max-txn-ops 200 --config-file {path}");
        let (settings, warnings) = gather(&flags, &environment).unwrap();
        let seen = |name: &str| (settings.text(name).to_owned(), settings.get(name).origin.clone());
        let environment = |name: &str| Origin::Environment(name.to_owned());
        assert_eq!(seen("name"), ("own".to_owned(), environment("QUORATE_NAME")));
        assert_eq!(
            seen("heartbeat-interval"),
            ("10".to_owned(), environment("ETCD_HEARTBEAT_INTERVAL"))
        );
        assert_eq!(seen("max-txn-ops"), ("200".to_owned(), Origin::Flag));
        assert_eq!(seen("max-watchers"), ("3".to_owned(), Origin::File(path)));
        assert_eq!(seen("max-request-bytes"), ("1572864".to_owned(), Origin::Default));
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn nonsense_is_named_with_its_flag_and_its_source() {
        let error = gather("--heartbeat-interval 12x", &[]).unwrap_err();
        assert_eq!(
            error,
            "--heartbeat-interval \"12x\": expected a number of milliseconds, at least 1, such as 100"
        );
        let error = gather("", &[("ETCD_GRPC_KEEPALIVE_TIMEOUT", "5")]).unwrap_err();
        assert_eq!(
            error,
            "--grpc-keepalive-timeout \"5\" (environment ETCD_GRPC_KEEPALIVE_TIMEOUT): expected a duration \
             with its unit, such as 300ms, 10s, 5m or 2h"
        );
        // A flag without effect is checked all the same: a slip of the pen there is still one.
        assert!(gather("--snapshot-count many", &[]).is_err());
    }

    #[test]
    fn what_has_no_effect_is_said_in_one_line_each() {
        let flags = "--snapshot-count=10000 --enable-pprof=false --pre-vote=true --auto-compaction-retention=0 \
                     --pre-vote --metrics extensive --v2-deprecation=gone";
        let (_, warnings) = gather(flags, &[]).unwrap();
        // What asks for what is the case anyway is not worth a warning, nor what works.
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].starts_with("--snapshot-count \"10000\" (flag) has no effect: "),
            "{warnings:?}"
        );
        let (_, warnings) = gather("--pre-vote=false", &[]).unwrap();
        assert_eq!(warnings, ["--pre-vote \"false\" (flag) has no effect: it is always on"]);
    }

    #[test]
    fn a_variable_that_is_written_wrongly_is_named() {
        let names =
            ["ETCD_NAME", "ETCD_CLIENT_CERT_AHTU", "QUORATE_AUDT_LOG", "ETCDCTL_API", "HOME"];
        let found = unrecognized(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(found, ["ETCD_CLIENT_CERT_AHTU", "QUORATE_AUDT_LOG"]);
        let found = unrecognized(["QUORATE_FENCE".to_owned()].into_iter());
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_member_is_alone_and_lies_beside_its_name_unless_told_otherwise() {
        let (settings, _) =
            gather("--name a --initial-advertise-peer-urls http://h:1,http://h:2", &[]).unwrap();
        assert_eq!(settings.text("initial-cluster"), "a=http://h:1,a=http://h:2");
        assert_eq!(settings.text("data-dir"), "a.quorate");
        let (settings, _) = gather("--peer-route a=h:1 --peer-route b=h:2", &[]).unwrap();
        assert_eq!(settings.text("peer-route"), "a=h:1,b=h:2");
    }
}
