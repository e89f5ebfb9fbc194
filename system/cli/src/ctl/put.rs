//! `put`: writing one key.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;

use clap::Args;
use quorate_client::etcd::etcdserverpb::PutRequest;

use super::answers;
use super::failure::Failure;
use super::global::Global;
use super::units::parse_number;

const USAGE: &str = "put command needs 1 argument and input from stdin or 2 arguments";

/// Puts the given key into the store
#[derive(Debug, Args)]
#[command(after_help = "A value that begins with '-' is read as a flag: put '--' in front of it.
Without a value it is read from standard input.

Examples:
  quorate put foo bar
  quorate put foo -- -bar
  cat file | quorate put foo
  quorate put foo bar --lease 694d5765fc71500b
  quorate put foo new --prev-kv")]
pub struct Arguments {
    /// The key and its value
    #[arg(value_name = "KEY [VALUE]")]
    words: Vec<OsString>,
    /// The lease (in hexadecimal) to bind the key to
    #[arg(long, default_value = "0")]
    lease: String,
    /// Print the pair as it was before
    #[arg(long)]
    prev_kv: bool,
    /// Keep the value, change only the lease
    #[arg(long)]
    ignore_value: bool,
    /// Keep the lease, change only the value
    #[arg(long)]
    ignore_lease: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let request = arguments.request(read_stdin)?;
    let mut output = global.output()?;
    let answer = global.client()?.put(request).await?;
    answers::put(&mut output, &answer)?;
    output.flush()
}

/// All of standard input; `None` if there is nothing.
fn read_stdin() -> Option<Vec<u8>> {
    let mut value = Vec::new();
    std::io::stdin().read_to_end(&mut value).ok()?;
    (!value.is_empty()).then_some(value)
}

impl Arguments {
    /// The request that the arguments describe; a value that is missing is asked from `input`.
    ///
    /// # Errors
    /// Arguments that are missing or contradict each other.
    pub fn request(self, input: impl FnOnce() -> Option<Vec<u8>>) -> Result<PutRequest, Failure> {
        let mut words = self.words.into_iter().map(OsString::into_vec);
        let key = words.next().ok_or_else(|| Failure::arguments(USAGE))?;
        let value = match words.next() {
            Some(_) if self.ignore_value => {
                let message = "put command needs only 1 argument when 'ignore-value' is set";
                return Err(Failure::arguments(message));
            }
            Some(value) => value,
            None if self.ignore_value => Vec::new(),
            None => input().ok_or_else(|| Failure::arguments(USAGE))?,
        };
        let lease = parse_number(&self.lease, 16).map_err(|reason| {
            Failure::arguments(format!("bad lease ID ({reason}), expecting ID in Hex"))
        })?;
        Ok(PutRequest {
            key: key.into(),
            value: value.into(),
            lease,
            prev_kv: self.prev_kv,
            ignore_value: self.ignore_value,
            ignore_lease: self.ignore_lease,
        })
    }
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

    fn request(words: &[&str], input: Option<&str>) -> Result<PutRequest, Failure> {
        let line = ["put"].iter().chain(words);
        let arguments = Line::try_parse_from(line).expect("flags exist").arguments;
        arguments.request(|| input.map(|text| text.as_bytes().to_vec()))
    }

    #[test]
    fn the_value_comes_from_the_line_or_from_standard_input() {
        assert_eq!(request(&["k", "v"], None).expect("fine").value, "v");
        assert_eq!(request(&["k", ""], None).expect("an empty value is a value").value, "");
        assert_eq!(request(&["k", "--", "-v"], None).expect("fine").value, "-v");
        assert_eq!(request(&["k"], Some("in\n")).expect("fine").value, "in\n");
        assert_eq!(request(&["k", "--ignore-value"], None).expect("fine").value, "");
        assert_eq!(request(&["k", "v", "--lease", "1f"], None).expect("fine").lease, 31);
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        for words in [&[][..], &["k"], &["k", "v", "--ignore-value"], &["k", "v", "--lease", "zz"]]
        {
            assert_eq!(request(words, None).expect_err("wrong").code, 128, "{words:?}");
        }
    }
}
