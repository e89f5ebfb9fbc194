//! What `quorate serve` prints of itself: its help, and its settings with their origins.

use serde_json::json;

use super::settings::Settings;
use super::table::{self, Effect, Group};
use crate::columns;

const INTRODUCTION: &str = "\
Run one member of a cluster.

Usage:
  quorate serve [flags]

Every flag is also an environment variable, --some-flag as QUORATE_SOME_FLAG or ETCD_SOME_FLAG, and a key of
--config-file. A flag beats the environment, the environment beats the file.

Examples:
  # A member of its own, with its data in ./default.quorate
  quorate serve

  # The first of three members
  quorate serve --name n1 --data-dir /var/lib/quorate \\
    --listen-peer-urls http://10.0.0.1:2380 --initial-advertise-peer-urls http://10.0.0.1:2380 \\
    --listen-client-urls http://10.0.0.1:2379 --advertise-client-urls http://10.0.0.1:2379 \\
    --initial-cluster n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://10.0.0.3:2380

  # Where does each setting come from?
  quorate serve --config-file /etc/etcd/etcd.conf.yml --print-config
";

const EXITS: &str = "
Exit codes: 0 it ended as asked with process id 1, 1 an error, 2 an error in the flags; after SIGTERM or SIGINT it
drains, then ends by that signal (143 or 130 in a shell). A second signal ends it at once.
";

/// Longest line of the help.
const WIDTH: usize = 110;

/// The help text.
pub fn help() -> String {
    let mut text = INTRODUCTION.to_owned();
    for group in table::GROUPS {
        text.push_str(&section(group));
    }
    let named = |wanted: fn(&Effect) -> bool| {
        let flags = table::all().filter(|flag| wanted(&flag.effect));
        flags.map(|flag| format!("--{}", flag.name)).collect::<Vec<_>>().join(" ")
    };
    let lists = [
        (
            "No effect; setting one is a warning",
            named(|effect| matches!(effect, Effect::Nothing(_))),
        ),
        ("Not supported yet; setting one is an error", named(|e| *e == Effect::Security)),
        ("Not supported; setting one is an error", named(|e| matches!(e, Effect::Refused(_)))),
    ];
    for (title, names) in lists {
        text.push_str(&format!("\n{title}:\n"));
        wrapped(&names, 2, &mut text);
    }
    text.push_str(EXITS);
    text
}

/// A group's heading and its flags that work; nothing if it has none.
fn section(group: &Group) -> String {
    let mut text = String::new();
    for flag in group.flags.iter().filter(|flag| flag.effect == Effect::Works) {
        if text.is_empty() {
            text = format!("\n{}:\n", group.title);
        }
        match flag.default {
            "" => text.push_str(&format!("  --{}\n", flag.name)),
            default => text.push_str(&format!("  --{}={default}\n", flag.name)),
        }
        wrapped(flag.help, 6, &mut text);
    }
    text
}

/// Appends words in lines of at most [`WIDTH`] characters.
fn wrapped(words: &str, indent: usize, text: &mut String) {
    let mut column = 0;
    for word in words.split_whitespace() {
        if column > 0 && column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
        }
        let gap = if column == 0 { indent } else { 1 };
        text.push_str(&" ".repeat(gap));
        text.push_str(word);
        column += gap + word.len();
    }
    text.push('\n');
}

/// Every setting with its origin, as a table or as JSON.
pub fn config(settings: &Settings) -> String {
    let shown = |setting: &super::settings::Setting| {
        let is_hidden = setting.flag.is_secret() && !setting.value.is_empty();
        if is_hidden { "(hidden)".to_owned() } else { setting.value.clone() }
    };
    if settings.text("write-out") == "json" {
        let map = settings.all().map(|setting| {
            let entry = json!({
                "value": shown(setting),
                "origin": setting.origin.to_string(),
                "effect": effect(&setting.flag.effect),
            });
            (setting.flag.name.to_owned(), entry)
        });
        return format!("{}\n", serde_json::Value::Object(map.collect()));
    }
    let rows = settings.all().map(|setting| {
        let effect = effect(&setting.flag.effect).to_owned();
        vec![setting.flag.name.to_owned(), setting.origin.to_string(), effect, shown(setting)]
    });
    // The values come last: some are long.
    columns::table(&["SETTING", "FROM", "EFFECT", "VALUE"], rows)
}

fn effect(effect: &Effect) -> &'static str {
    match effect {
        Effect::Works => "yes",
        Effect::Nothing(_) => "none",
        Effect::Security => "not supported yet",
        Effect::Refused(_) => "not supported",
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::CommandLine;
    use super::*;

    #[test]
    fn the_help_names_every_flag_in_lines_that_fit() {
        let help = help();
        for flag in table::all() {
            assert!(
                help.contains(&format!("--{}", flag.name)),
                "--{} is not in the help",
                flag.name
            );
        }
        for line in help.lines() {
            assert!(line.chars().count() <= WIDTH + 10, "{line}");
        }
    }

    #[test]
    fn the_configuration_is_printed_with_its_origins() {
        let environment = |name: &str| (name == "ETCD_NAME").then(|| "n7".to_owned());
        let (settings, _) = Settings::gather(CommandLine::default(), &environment).unwrap();
        let table = config(&settings);
        let line = table.lines().find(|line| line.starts_with("name ")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["name", "environment", "ETCD_NAME", "yes", "n7"]);
    }

    #[test]
    fn json_has_an_entry_per_flag() {
        let environment = |name: &str| (name == "QUORATE_WRITE_OUT").then(|| "json".to_owned());
        let (settings, _) = Settings::gather(CommandLine::default(), &environment).unwrap();
        let tree: serde_json::Value = serde_json::from_str(&config(&settings)).unwrap();
        assert_eq!(tree["heartbeat-interval"]["value"], "100");
        assert_eq!(tree["heartbeat-interval"]["origin"], "default");
        assert_eq!(tree.as_object().unwrap().len(), table::all().count());
    }
}
