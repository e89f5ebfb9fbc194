//! The command line, read as Go's flag package reads it: `--flag value`, `--flag=value`, one dash or two, and booleans
//! whose value can only follow an equals sign.

use crate::FlagError;
use crate::table::{self, Flag, Kind};

/// A value that somebody gave to a flag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// The flag.
    pub flag: &'static Flag,
    /// The value as it was written.
    pub value: String,
}

/// What a command line asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandLine {
    /// The flags in the order given.
    pub given: Vec<Given>,
    /// Flags of another age that were accepted for the sake of old unit files, and what they became.
    pub warnings: Vec<String>,
    /// `--help` was asked for.
    pub help: bool,
    /// `--version` was asked for.
    pub version: bool,
}

/// Reads a command line, without the name of the program and the subcommand.
pub fn parse(arguments: &[String]) -> Result<CommandLine, FlagError> {
    let mut line = CommandLine::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(text) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            return Err(stray(argument, line.given.last()));
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        match name {
            "help" | "h" => line.help = true,
            "version" => line.version = true,
            "" => return Err(stray(argument, line.given.last())),
            _ if table::is_fossil(name) || table::is_experimental_feature(name) => {
                line.warnings.push(format!("--{name} has no effect: it is of another age"));
                // Whether it took a value can only be guessed: what follows and is no flag, belonged to it.
                let next_is_value =
                    rest.as_slice().first().is_some_and(|next| !next.starts_with('-'));
                if value.is_none() && next_is_value {
                    rest.next();
                }
            }
            _ => {
                let flag = lookup(name, &mut line.warnings)?;
                let value = match value {
                    Some(value) => value,
                    None if flag.kind == Kind::Bool => "true".to_owned(),
                    None => rest.next().cloned().ok_or_else(|| missing_value(flag))?,
                };
                line.given.push(Given { flag, value });
            }
        }
    }
    Ok(line)
}

/// The flag that a name stands for, with a warning when the name is out of date.
pub fn lookup(name: &str, warnings: &mut Vec<String>) -> Result<&'static Flag, FlagError> {
    let name = if name == "w" { "write-out" } else { name };
    if let Some(flag) = table::find(name) {
        return Ok(flag);
    }
    if let Some(flag) = table::find_experimental(name) {
        warnings.push(format!("--{name} is deprecated: it is called --{} now", flag.name));
        return Ok(flag);
    }
    let hint = match nearest(name) {
        Some(near) => format!("did you mean --{near}? "),
        None => String::new(),
    };
    Err(FlagError(format!("unknown flag --{name}: {hint}`quorate serve --help` lists all flags")))
}

fn missing_value(flag: &Flag) -> FlagError {
    FlagError(format!("--{} needs a value: {}", flag.name, crate::value::expectation(flag.kind)))
}

/// A word where a flag was expected; most often the value of a boolean.
fn stray(argument: &str, previous: Option<&Given>) -> FlagError {
    let advice = match previous {
        Some(given) if given.flag.kind == Kind::Bool => {
            format!("write --{}={argument}", given.flag.name)
        }
        Some(_) | None => "expected --flag=value".to_owned(),
    };
    FlagError(format!("{argument:?} is not a valid flag: {advice}"))
}

/// The known name that is at most two slips of the pen away.
fn nearest(name: &str) -> Option<&'static str> {
    // What is longer or shorter by more than that need not be looked at, however long it is.
    let length = name.chars().count();
    let like = table::all().filter(|flag| length.abs_diff(flag.name.len()) <= 2);
    let distances = like.map(|flag| (distance(name, flag.name), flag.name));
    distances.min().filter(|(distance, _)| *distance <= 2).map(|(_, near)| near)
}

/// Levenshtein's distance: insertions, deletions and replacements from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, left) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Vec<(String, String)>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let line = parse(&words).map_err(|error| error.0)?;
        Ok(line.given.into_iter().map(|g| (g.flag.name.to_owned(), g.value)).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn values_follow_an_equals_sign_or_a_space_and_dashes_are_one_or_two() {
        assert_eq!(read("--name=a").unwrap(), [pair("name", "a")]);
        assert_eq!(read("-name a").unwrap(), [pair("name", "a")]);
        assert_eq!(read("--name a=b").unwrap(), [pair("name", "a=b")]);
        assert_eq!(read("--name --data-dir").unwrap(), [pair("name", "--data-dir")]);
        assert_eq!(read("--name=").unwrap(), [pair("name", "")]);
        assert_eq!(read("-w json").unwrap(), [pair("write-out", "json")]);
    }

    #[test]
    fn booleans_take_no_second_word() {
        let expected = [pair("pre-vote", "true"), pair("name", "a")];
        assert_eq!(read("--pre-vote --name a").unwrap(), expected);
        assert_eq!(read("--pre-vote=false").unwrap(), [pair("pre-vote", "false")]);
        let error = read("--pre-vote false").unwrap_err();
        assert_eq!(error, "\"false\" is not a valid flag: write --pre-vote=false");
    }

    #[test]
    fn slips_of_the_pen_are_named() {
        let error = read("--heartbeat-intervall=1").unwrap_err();
        assert!(
            error.starts_with(
                "unknown flag --heartbeat-intervall: did you mean --heartbeat-interval?"
            )
        );
        let endless = read(&format!("--{}", "x".repeat(1 << 20))).unwrap_err();
        assert!(endless.starts_with("unknown flag --xxx"), "at once, and with no near name");
        let error = read("--nothing-like-it").unwrap_err();
        assert_eq!(error, "unknown flag --nothing-like-it: `quorate serve --help` lists all flags");
        let error = read("--name").unwrap_err();
        assert!(error.starts_with("--name needs a value"), "{error}");
    }

    #[test]
    fn names_of_another_age_are_understood() {
        let words = ["--experimental-watch-progress-notify-interval=5s", "--snapshot", "x", "--v"];
        let line = parse(&words.map(str::to_owned)).unwrap();
        assert_eq!(line.given[0].flag.name, "watch-progress-notify-interval");
        assert_eq!(line.given.len(), 1);
        assert_eq!(line.warnings.len(), 3, "{:?}", line.warnings);
    }
}
