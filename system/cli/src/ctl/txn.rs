//! `txn`: a transaction from standard input.
//!
//! Three lists, each ended by an empty line: conditions, what to do if they all hold, what to do if not. With `-i` each
//! list is announced.

use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::ffi::OsStringExt as _;

use clap::{Args, Parser, Subcommand};
use quorate_client::etcd::etcdserverpb::request_op::Request;
use quorate_client::etcd::etcdserverpb::{RequestOp, TxnRequest};

use super::failure::{Failure, INVALID_INPUT};
use super::global::Global;
use super::output::Output;
use super::quote::split_words;
use super::{answers, compare, del, get, put};

/// Processes all the requests in one transaction
#[derive(Debug, Args)]
#[command(
    after_help = "Reads three lists from standard input, each ended by an empty line: conditions, requests
if all of them hold, requests if not.

  conditions   TARGET(\"KEY\") OPERATOR \"VALUE\"
               TARGET is ver, create, mod, value or lease; OPERATOR is =, !=, < or >
  requests     put, get and del, with their flags

Example:
  quorate txn <<'END'
  mod(\"key1\") > \"0\"

  put key1 \"overwrote key1\"

  put key1 \"created key1\"
  put key2 \"some extra key\"

  END"
)]
pub struct Arguments {
    /// Announce each list
    #[arg(long, short)]
    interactive: bool,
    #[arg(hide = true)]
    extra: Vec<OsString>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    if !arguments.extra.is_empty() {
        return Err(Failure::arguments("txn command does not accept argument"));
    }
    let mut output = global.output()?;
    let request = read(&mut std::io::stdin().lock(), arguments.interactive, &mut output)?;
    let answer = global.client()?.txn(request).await?;
    answers::txn(&mut output, &answer)?;
    output.flush()
}

/// Reads a whole transaction.
fn read(
    input: &mut impl BufRead,
    announce: bool,
    output: &mut Output,
) -> Result<TxnRequest, Failure> {
    let mut announce = |what: &str| {
        if announce {
            output.line(what);
            output.flush()?;
        }
        Ok::<(), Failure>(())
    };
    announce("compares:")?;
    let compare = read_list(input, |line| {
        compare::parse(line).map_err(|reason| Failure::new(INVALID_INPUT, reason))
    })?;
    announce("success requests (get, put, del):")?;
    let success = read_list(input, parse_request)?;
    announce("failure requests (get, put, del):")?;
    let failure = read_list(input, parse_request)?;
    Ok(TxnRequest { compare, success, failure })
}

/// Reads lines up to an empty one.
fn read_list<T>(
    input: &mut impl BufRead,
    parse: impl Fn(&str) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut list = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).map_err(|error| Failure::new(INVALID_INPUT, error))?;
        if !line.ends_with('\n') {
            return Err(Failure::new(INVALID_INPUT, "EOF"));
        }
        match line.trim() {
            "" => return Ok(list),
            line => list.push(parse(line)?),
        }
    }
}

/// A request line, read with the flags of the commands of the same names.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    request: Operation,
}

#[derive(Debug, Subcommand)]
enum Operation {
    Get(get::Arguments),
    Put(put::Arguments),
    Del(del::Arguments),
}

fn parse_request(line: &str) -> Result<RequestOp, Failure> {
    let words = split_words(line).map_err(|reason| Failure::new(INVALID_INPUT, reason))?;
    if words.len() < 2 {
        return Err(Failure::new(INVALID_INPUT, format!("invalid txn compare request: {line}")));
    }
    let words = super::without_values_of_switches(
        <Line as clap::CommandFactory>::command(),
        words.into_iter().map(OsString::from_vec).collect(),
    );
    let parsed = Line::try_parse_from(words)
        .map_err(|_| Failure::new(INVALID_INPUT, format!("invalid txn request: {line}")))?;
    let request = match parsed.request {
        Operation::Get(arguments) => Request::RequestRange(arguments.request()?),
        // The value must be on the line: standard input is where the next request comes from.
        Operation::Put(arguments) => Request::RequestPut(arguments.request(|| None)?),
        Operation::Del(arguments) => Request::RequestDeleteRange(arguments.request()?),
    };
    Ok(RequestOp { request: Some(request) })
}

#[cfg(test)]
mod tests {
    use super::super::output::Format;
    use super::*;

    fn kinds(requests: &[RequestOp]) -> Vec<&'static str> {
        let kind = |request: &RequestOp| match &request.request {
            Some(Request::RequestRange(_)) => "get",
            Some(Request::RequestPut(_)) => "put",
            Some(Request::RequestDeleteRange(_)) => "del",
            Some(Request::RequestTxn(_)) | None => "other",
        };
        requests.iter().map(kind).collect()
    }

    fn transaction(text: &str) -> Result<TxnRequest, Failure> {
        read(&mut text.as_bytes(), false, &mut Output::new(Format::Simple, false))
    }

    #[test]
    fn the_three_lists_are_read() {
        let text = "mod(\"k\") = \"0\"\nver(\"k\") < \"3\"\n\nput k \"a b\"\n  get k --limit 5 \n\ndel --prefix k\n\n";
        let request = transaction(text).expect("fine");
        assert_eq!(request.compare.len(), 2);
        assert_eq!(kinds(&request.success), ["put", "get"]);
        assert_eq!(kinds(&request.failure), ["del"]);
        let Some(Request::RequestPut(put)) = &request.success[0].request else { panic!("a put") };
        assert_eq!(put.value, "a b");
        let Some(Request::RequestRange(get)) = &request.success[1].request else { panic!("a get") };
        assert_eq!(get.limit, 5);
        let Some(Request::RequestDeleteRange(del)) = &request.failure[0].request else {
            panic!("a del")
        };
        assert_eq!(del.range_end, "l");
    }

    #[test]
    fn quoted_words_and_values_with_a_dash() {
        let request =
            transaction("\nput k -- -v\nput \"k\\x41\" 'one two'\nput k v --prev-kv=true\n\n\n")
                .expect("fine");
        let put = |op: &RequestOp| match &op.request {
            Some(Request::RequestPut(put)) => (put.key.clone(), put.value.clone(), put.prev_kv),
            other => panic!("not a put: {other:?}"),
        };
        let values: Vec<_> = request.success.iter().map(put).collect();
        assert_eq!(values[0], ("k".into(), "-v".into(), false));
        assert_eq!(values[1], ("kA".into(), "one two".into(), false));
        assert_eq!(values[2], ("k".into(), "v".into(), true));
    }

    #[test]
    fn what_cannot_be_read_ends_with_etcdctls_code_and_words() {
        for (text, code, message) in [
            ("\nfoo a\n\n\n", 3, "invalid txn request: foo a"),
            ("\nput\n\n\n", 3, "invalid txn compare request: put"),
            (
                "\nput a\n\n\n",
                128,
                "put command needs 1 argument and input from stdin or 2 arguments",
            ),
            ("\nput a b\n", 3, "EOF"),
            ("\nget a --bogus\n\n\n", 3, "invalid txn request: get a --bogus"),
            ("foo\n\n\n\n", 3, "malformed comparison: foo"),
        ] {
            let failure = transaction(text).expect_err(text);
            assert_eq!((failure.code, failure.message.as_deref()), (code, Some(message)));
        }
    }
}
