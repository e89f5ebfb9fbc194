//! What an operator writes: the command line of a member, and its configuration file.

use std::collections::BTreeMap;

use quorate_flags::arguments::{self, CommandLine, Given};
use quorate_flags::file;
use quorate_flags::settings::Settings;
use quorate_flags::table::{self, Kind};

use crate::Target;

/// A command line, one word a line.
pub const COMMAND_LINE: Target = Target {
    name: "command_line",
    reads: "the flags of a member, against the same ones in other forms",
    words: &[
        "--",
        "-",
        "=",
        "\n",
        ",",
        "true",
        "false",
        "--name=",
        "--data-dir=",
        "--initial-cluster=",
        "--peer-route=",
        "a=http://h:1",
        "a=h:1",
        "http://[::1]:2379",
        "unix://x:1",
        "1h15m30.5s",
        "300ms",
        "+1m",
        "-1",
        "0",
        "--experimental-",
        "--auto-compaction-retention=",
        "--listen-client-urls",
        "--pre-vote",
        "--snapshot",
        "--election-timeout=",
        "--max-txn-ops=",
    ],
    seeds: || {
        let all = |value: fn(&table::Flag) -> String| {
            let lines: Vec<String> =
                table::all().filter(|flag| flag.name != "config-file").map(value).collect();
            lines.join("\n").into_bytes()
        };
        vec![
            all(|flag| format!("--{}={}", flag.name, flag.default)),
            all(|flag| format!("-{}={}", flag.name, example(flag.kind))),
            b"--name\na\n--pre-vote\n--peer-route=a=h:1\n--peer-route\nb=h:2\n-w\njson".to_vec(),
            b"--experimental-watch-progress-notify-interval=5s\n--snapshot\nx\n--v".to_vec(),
        ]
    },
    run: |input| {
        let Ok(text) = str::from_utf8(input) else { return };
        let words: Vec<String> = text.lines().map(str::to_owned).collect();
        let line = match arguments::parse(&words) {
            Ok(line) => line,
            Err(error) => return assert!(!error.0.is_empty()),
        };
        // However a flag is written, it says the same.
        let plain = |given: &Given| format!("--{}={}", given.flag.name, given.value);
        let rewritten: Vec<String> = line.given.iter().map(plain).collect();
        let again = arguments::parse(&rewritten).expect("the plain form of what was read");
        assert_eq!(again.given, line.given);
        if line.given.iter().any(|given| given.flag.name == "config-file") {
            return;
        }
        let Ok((settings, _)) = Settings::gather(line, &|_| None) else { return };
        read_all(&settings);
        // What was gathered, said again by flags or by the environment, is gathered again.
        let given = |setting: &quorate_flags::settings::Setting| {
            let (flag, value) = (setting.flag, setting.value.clone());
            (flag.name != "config-file").then_some(Given { flag, value })
        };
        let line = CommandLine {
            given: settings.all().filter_map(given).collect(),
            ..CommandLine::default()
        };
        let (by_flags, _) = Settings::gather(line, &|_| None).expect("they were good before");
        assert_eq!(values(&by_flags), values(&settings));
        let all = settings.all();
        let variables: BTreeMap<String, String> =
            all.map(|it| (it.flag.variable("QUORATE"), it.value.clone())).collect();
        let variable = |name: &str| variables.get(name).cloned();
        let (by_environment, _) =
            Settings::gather(CommandLine::default(), &variable).expect("they were good before");
        for setting in settings.all().filter(|setting| !setting.value.is_empty()) {
            assert_eq!(by_environment.text(setting.flag.name), setting.value);
        }
    },
};

/// A configuration file: the first byte says whether its name ends in `.toml`.
pub const CONFIG_FILE: Target = Target {
    name: "config_file",
    reads: "a configuration file, against the same settings in the other notations",
    words: &[
        "\n",
        ": ",
        "- ",
        "#",
        " #",
        "'",
        "''",
        "\"",
        "\\\"",
        "[",
        "]",
        ",",
        "{",
        "}",
        "  ",
        "---",
        "null",
        "~",
        "True",
        "name: ",
        "client-transport-security:\n",
        "peer-transport-security:\n",
        "  cert-file: ",
        "heartbeat-interval",
        " = ",
        "\"\"\"",
        "[peer-transport-security]\n",
        "\\u00e9",
        "5000000000",
    ],
    seeds: || {
        let yaml = "# a member\nname: 'n 1'\ndata-dir: /var/lib # here\nlisten-client-urls: http://h:1,http://h:2\n\
                    initial-cluster: [a=http://h:1,\n  b=http://h:2]\nlog-outputs:\n  - stderr\n  - \"a \\\" #b\"\n\
                    client-transport-security:\n  cert-file: c\n  client-cert-auth: True\n\
                    grpc-keepalive-interval: 5000000000\nsnapshot_count: 10\nwal-dir:\n";
        let json = r#"{"name":"n1","snapshot-count":10,"pre-vote":true,"log-outputs":["a","b"],"wal-dir":null,
                       "peer-transport-security":{"cert-file":"c","allowed-cn":"x"}}"#;
        let toml = "name = \"n1\"\nsnapshot-count = 10\nlog-outputs = [\"a\"]\n[client-transport-security]\nkey-file = 'k'\n";
        [(0, yaml), (0, json), (1, toml)]
            .map(|(name, text)| [&[name][..], text.as_bytes()].concat())
            .to_vec()
    },
    run: |input| {
        let Some((name, text)) = input.split_first() else { return };
        let Ok(text) = str::from_utf8(text) else { return };
        let path = if name & 1 == 1 { "a.toml" } else { "a" };
        let mut read = match file::parse(path, text, &mut Vec::new()) {
            Ok(read) => read,
            Err(error) => return assert!(error.0.starts_with(path), "{}", error.0),
        };
        read.sort_by_key(|entry| entry.flag.name);
        if read.windows(2).any(|pair| pair[0].flag == pair[1].flag) {
            return;
        }
        let quoted = |value: &str| {
            let text = serde_json::Value::from(value).to_string();
            text.replace('\u{7f}', "\\u007f")
        };
        let written = |sign: &str, between: &str| {
            let line = |entry: &file::Entry| {
                let key = entry.flag.name;
                if sign == ": " && between == "," {
                    format!("\"{key}\"{sign}{}", quoted(&entry.value))
                } else {
                    format!("{key}{sign}{}", quoted(&entry.value))
                }
            };
            read.iter().map(line).collect::<Vec<_>>().join(between)
        };
        let notations = [
            ("a", format!("{{{}}}", written(": ", ","))),
            ("a", written(": ", "\n")),
            ("a.toml", written(" = ", "\n")),
        ];
        for (path, text) in notations {
            let mut again = file::parse(path, &text, &mut Vec::new())
                .unwrap_or_else(|error| panic!("{}: {text}", error.0));
            again.sort_by_key(|entry| entry.flag.name);
            assert_eq!(again, read, "{text}");
        }
    },
};

/// A value that a flag of this kind takes, and not its default.
fn example(kind: Kind) -> String {
    match kind {
        Kind::Name => "n-1",
        Kind::Text | Kind::Path => "a text, and = more",
        Kind::Bool => "T",
        Kind::Count(least, _) => return least.to_string(),
        Kind::Signed => "-3",
        Kind::Milliseconds => "250",
        Kind::Duration => "1m30s",
        Kind::PeerUrls => "http://h:1",
        Kind::Urls => "http://h:1,http://[::1]:2",
        Kind::Listen => "http://127.0.0.1:1,unix:///s",
        Kind::Members => "a=http://h:1,b=http://h:2",
        Kind::Routes => "a=h:1,b=127.0.0.1:2",
        Kind::Choice(words) => words.last().copied().unwrap_or_default(),
    }
    .to_owned()
}

/// Reads every setting as what it is: a value that was let in must be one.
fn read_all(settings: &Settings) {
    for setting in settings.all() {
        let name = setting.flag.name;
        match setting.flag.kind {
            Kind::Bool => drop(settings.is(name)),
            Kind::Count(..) => drop(settings.count(name)),
            Kind::Milliseconds | Kind::Duration => drop(settings.time(name)),
            Kind::Urls | Kind::PeerUrls | Kind::Listen => drop(settings.urls(name)),
            Kind::Text
            | Kind::Name
            | Kind::Path
            | Kind::Signed
            | Kind::Members
            | Kind::Routes
            | Kind::Choice(_) => drop(settings.text(name).to_owned()),
        }
    }
}

fn values(settings: &Settings) -> Vec<(&str, &str)> {
    settings.all().map(|setting| (setting.flag.name, &setting.value[..])).collect()
}
