//! Histories that other people's tools recorded, in each notation.

use quorate_check::read::{Format, read_bytes};

use crate::Target;

/// EDN, as Jepsen and Elle write it.
pub const EDN: Target = Target {
    name: "history_edn",
    reads: "histories in EDN",
    words: WORDS,
    seeds: || {
        vec![
            b"{:index 0 :time 1 :type :invoke :process 0 :f :write :value 3}\n\
              {:index 1 :time 2 :type :ok :process 0 :f :write :value 3}\n"
                .to_vec(),
            b"[{:type :invoke, :process 1, :f :txn, :value [[:append 1 2] [:r 1 nil]]}\n \
              {:type :fail, :process 1, :f :txn, :value [[:append 1 2] [:r 1 [\"\\u00e9\" 4.5e3]]]}]"
                .to_vec(),
            b"#jepsen.history.Op{:type :info :process :nemesis #_ignored :f :kill :value #{1 2}}".to_vec(),
        ]
    },
    run: |input| attempt(input, Some(Format::Edn)),
};

/// Our own JSON lines.
pub const JSON: Target = Target {
    name: "history_json",
    reads: "histories in JSON",
    words: WORDS,
    seeds: || {
        vec![
            b"{\"type\":\"invoke\",\"process\":0,\"f\":\"write\",\"value\":3,\"time\":1}\n\
              {\"type\":\"ok\",\"process\":0,\"f\":\"write\",\"value\":3,\"time\":2}\n"
                .to_vec(),
            b"[{\"type\":\"invoke\",\"process\":1,\"f\":\"txn\",\"value\":[[\"append\",\"\\ud83d\\ude00\",-1.5e9]]}]"
                .to_vec(),
        ]
    },
    run: |input| attempt(input, Some(Format::Json)),
};

/// Jepsen's text logs; or whatever the bytes look like.
pub const LOG: Target = Target {
    name: "history_log",
    reads: "histories in text logs, and what is recognised from its content",
    words: WORDS,
    seeds: || {
        vec![
            b"INFO  jepsen.util - 0\t:invoke\t:write\t3\nINFO  jepsen.util - 0\t:ok\t:write\t3\n"
                .to_vec(),
            b"INFO [2026-01-01 00:00:00] jepsen worker 1 - jepsen.util 1 :invoke :cas [1 2]\n"
                .to_vec(),
        ]
    },
    run: |input| {
        attempt(input, Some(Format::Log));
        attempt(input, None);
    },
};

/// Sessions of transactions, in three notations.
pub const SESSIONS: Target = Target {
    name: "history_sessions",
    reads: "sessions of AWDIT, Plume and dbcop",
    words: WORDS,
    seeds: || {
        vec![
            b"w 1 2 0 1\nr 1 2 1 2\n".to_vec(),
            b"w(1,2,0,1)\nr(1,2,1,2)\n".to_vec(),
            b"[[{\"events\":[{\"Write\":{\"variable\":1,\"version\":2}}],\"committed\":true}]]"
                .to_vec(),
        ]
    },
    run: |input| {
        for format in [Format::Awdit, Format::Plume, Format::Dbcop] {
            attempt(input, Some(format));
        }
    },
};

/// What the notations are made of.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "#{",
    "#_",
    "#",
    "\"",
    "\\u00",
    "\\",
    ":",
    ",",
    ";",
    "\n",
    "\t",
    " ",
    "nil",
    "null",
    "true",
    ":type",
    ":invoke",
    ":ok",
    ":fail",
    ":info",
    ":process",
    ":f",
    ":value",
    ":txn",
    ":append",
    ":r",
    ":w",
    ":cas",
    "\"type\":",
    "\"process\":",
    "\"value\":",
    "\"events\":",
    "{\"Write\":",
    "INFO ",
    "1N",
    "1M",
    "4.5e3",
    "-",
    "w(",
    "r(",
];

/// Reads bytes as a history; a refusal must say where.
fn attempt(input: &[u8], format: Option<Format>) {
    if let Err(error) = read_bytes(input, format) {
        assert!(!error.to_string().is_empty());
    }
}
