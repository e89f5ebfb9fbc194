//! `get`: reading keys.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use bytes::Bytes;
use clap::Args;
use quorate_client::etcd::etcdserverpb::RangeRequest;
use quorate_client::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_client::{FROM_KEY, prefix_end};

use super::answers;
use super::failure::{BAD_FEATURE, Failure};
use super::global::Global;
use super::output::Format;

/// Gets the key or a range of keys
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate get foo                      the key foo and its value
  quorate get --prefix config/ -w json every key under config/, as JSON
  quorate get a m --limit 10           the first ten keys from a up to, not including, m
  quorate get foo --rev 5              foo as it was at revision 5
  quorate get --prefix '' --keys-only  all keys")]
pub struct Arguments {
    /// The key, and optionally the end of a range (not included)
    #[arg(value_name = "KEY")]
    keys: Vec<OsString>,
    /// Linearizable (l) or serializable (s, answered by one member at once, may be stale)
    #[arg(long, default_value = "l")]
    consistency: String,
    /// Order of results: ASCEND or DESCEND
    #[arg(long, default_value = "")]
    order: String,
    /// What to sort by: CREATE, KEY, MODIFY, VALUE or VERSION
    #[arg(long, default_value = "")]
    sort_by: String,
    /// Most results, 0 for all
    #[arg(long, default_value_t = 0)]
    limit: i64,
    /// Every key that starts with KEY
    #[arg(long)]
    prefix: bool,
    /// Every key from KEY on, in byte order
    #[arg(long)]
    from_key: bool,
    /// The revision to read at, 0 for the newest
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// Leave the values out
    #[arg(long)]
    keys_only: bool,
    /// Only the number of keys; needs --write-out=fields
    #[arg(long)]
    count_only: bool,
    /// Only the values; needs --write-out=simple
    #[arg(long)]
    print_value_only: bool,
    /// Fetch the answer in pieces, where the server can
    #[arg(long)]
    stream: bool,
    /// Only keys created at this revision or later
    #[arg(long, default_value_t = 0)]
    min_create_rev: i64,
    /// Only keys created at this revision or earlier
    #[arg(long, default_value_t = 0)]
    max_create_rev: i64,
    /// Only keys changed at this revision or later
    #[arg(long, default_value_t = 0)]
    min_mod_rev: i64,
    /// Only keys changed at this revision or earlier
    #[arg(long, default_value_t = 0)]
    max_mod_rev: i64,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let (print_value_only, count_only) = (arguments.print_value_only, arguments.count_only);
    let in_pieces = arguments.stream;
    let request = arguments.request()?;
    let mut output = global.output()?;
    if count_only && output.format != Format::Fields {
        return Err(Failure::arguments("--count-only is only for `--write-out=fields`"));
    }
    if print_value_only && output.format != Format::Simple {
        return Err(Failure::arguments("print-value-only is only for `--write-out=simple`"));
    }
    output.value_only = print_value_only;
    let client = global.client()?;
    let answer = match in_pieces {
        true => client.range_stream(request).await?,
        false => client.range(request).await?,
    };
    answers::range(&mut output, &answer)?;
    output.flush()
}

impl Arguments {
    /// The request that the arguments describe.
    ///
    /// # Errors
    /// Arguments that are missing, contradict each other, or have values that do not exist.
    pub fn request(self) -> Result<RangeRequest, Failure> {
        if self.keys.is_empty() {
            let message =
                "get command needs one argument as key and an optional argument as range_end";
            return Err(Failure::arguments(message));
        }
        if self.keys_only && self.count_only {
            let message =
                "`--keys-only` and `--count-only` cannot be set at the same time, choose one";
            return Err(Failure::arguments(message));
        }
        let (sort_order, sort_target) = self.sort()?;
        self.check_revisions()?;
        let serializable = serializable(&self.consistency)?;
        let (key, range_end) = interval(self.keys, self.prefix, self.from_key)?;
        Ok(RangeRequest {
            key,
            range_end,
            limit: self.limit,
            revision: self.rev.max(0),
            sort_order: sort_order as i32,
            sort_target: sort_target as i32,
            serializable,
            keys_only: self.keys_only,
            count_only: self.count_only,
            min_mod_revision: self.min_mod_rev.max(0),
            max_mod_revision: self.max_mod_rev.max(0),
            min_create_revision: self.min_create_rev.max(0),
            max_create_revision: self.max_create_rev.max(0),
        })
    }

    fn sort(&self) -> Result<(SortOrder, SortTarget), Failure> {
        let bad =
            |what: &str, value: &str| Failure::new(BAD_FEATURE, format!("bad sort {what} {value}"));
        let target = match self.sort_by.to_uppercase().as_str() {
            "" | "KEY" => SortTarget::Key,
            "CREATE" => SortTarget::Create,
            "MODIFY" => SortTarget::Mod,
            "VALUE" => SortTarget::Value,
            "VERSION" => SortTarget::Version,
            _ => return Err(bad("target", &self.sort_by)),
        };
        let order = match self.order.to_uppercase().as_str() {
            "" => SortOrder::None,
            // Keys ascend by themselves; asking for it would make the server fetch all of them before it applies a limit.
            "ASCEND" if target == SortTarget::Key => SortOrder::None,
            "ASCEND" => SortOrder::Ascend,
            "DESCEND" => SortOrder::Descend,
            _ => return Err(bad("order", &self.order)),
        };
        Ok((order, target))
    }

    fn check_revisions(&self) -> Result<(), Failure> {
        let bounds = [
            ("Create", self.min_create_rev, self.max_create_rev),
            ("Mod", self.min_mod_rev, self.max_mod_rev),
        ];
        for (what, min, max) in bounds {
            if max > 0 && min > max {
                let message = format!("getMin{what}Rev(={min}) > getMax{what}Rev(={max})");
                return Err(Failure::new(BAD_FEATURE, message));
            }
        }
        Ok(())
    }
}

/// Reads the value of `--consistency`.
///
/// # Errors
/// It is neither `l` nor `s`.
pub fn serializable(consistency: &str) -> Result<bool, Failure> {
    match consistency {
        "l" => Ok(false),
        "s" => Ok(true),
        _ => {
            let message = format!("unknown consistency flag {consistency:?}");
            Err(Failure::new(BAD_FEATURE, message))
        }
    }
}

/// The interval that a key, an optional end, `--prefix` and `--from-key` describe.
///
/// # Errors
/// They contradict each other.
pub fn interval(
    keys: Vec<OsString>,
    prefix: bool,
    from_key: bool,
) -> Result<(Bytes, Bytes), Failure> {
    if prefix && from_key {
        let message = "`--prefix` and `--from-key` cannot be set at the same time, choose one";
        return Err(Failure::arguments(message));
    }
    if keys.len() > 1 && (prefix || from_key) {
        let message =
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set";
        return Err(Failure::arguments(message));
    }
    let mut keys = keys.into_iter().map(|key| Bytes::from(key.into_vec()));
    let key = keys.next().unwrap_or_default();
    let range_end = keys.next();
    if (prefix || from_key) && key.is_empty() {
        // Every key there is: the API has no empty key, so the first one possible is written instead.
        return Ok((FROM_KEY, FROM_KEY));
    }
    let range_end = match range_end {
        Some(range_end) => range_end,
        None if prefix => prefix_end(&key),
        None if from_key => FROM_KEY,
        None => Bytes::new(),
    };
    Ok((key, range_end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn request(words: &[&str]) -> Result<RangeRequest, Failure> {
        let line = ["get"].iter().chain(words);
        Line::try_parse_from(line).expect("flags exist").arguments.request()
    }

    #[test]
    fn intervals_are_written_as_the_api_wants_them() {
        let interval = |words: &[&str]| {
            let request = request(words).expect("fine");
            (request.key.to_vec(), request.range_end.to_vec())
        };
        assert_eq!(interval(&["a"]), (b"a".to_vec(), vec![]));
        assert_eq!(interval(&["a", "m"]), (b"a".to_vec(), b"m".to_vec()));
        assert_eq!(interval(&["a", "--prefix"]), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(interval(&["", "--prefix"]), (vec![0], vec![0]));
        assert_eq!(interval(&["", "--from-key"]), (vec![0], vec![0]));
        assert_eq!(interval(&["k", "--from-key"]), (b"k".to_vec(), vec![0]));
    }

    #[test]
    fn sorting_by_key_upwards_is_no_sorting() {
        let request = |words: &[&str]| request(words).expect("fine");
        assert_eq!(request(&["a", "--order", "ASCEND"]).sort_order(), SortOrder::None);
        let sorted = request(&["a", "--order", "descend", "--sort-by", "modify"]);
        assert_eq!(
            (sorted.sort_order(), sorted.sort_target()),
            (SortOrder::Descend, SortTarget::Mod)
        );
        let unordered = request(&["a", "--sort-by", "VALUE"]);
        assert_eq!(
            (unordered.sort_order(), unordered.sort_target()),
            (SortOrder::None, SortTarget::Value)
        );
    }

    #[test]
    fn contradictions_have_etcdctls_exit_codes() {
        for (words, code) in [
            (&[][..], 128),
            (&["a", "--prefix", "--from-key"], 128),
            (&["a", "b", "--prefix"], 128),
            (&["a", "--keys-only", "--count-only"], 128),
            (&["a", "--consistency", "q"], 4),
            (&["a", "--order", "q"], 4),
            (&["a", "--sort-by", "q"], 4),
            (&["a", "--min-mod-rev", "5", "--max-mod-rev", "3"], 4),
        ] {
            assert_eq!(request(words).expect_err("contradiction").code, code, "{words:?}");
        }
    }
}
