//! The JSON gateway: objects as people write them, and messages as the services answer them.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor};
use quorate_server::transcode::{self, Splitter, framed, json, parse};

use crate::Target;

/// JSON as the request of a call, which the first byte names, and back.
pub const GATEWAY_REQUEST: Target = Target {
    name: "gateway_request",
    reads: "JSON as the request of any call, to protobuf and back",
    words: WORDS,
    seeds: || {
        let calls = (0_u8..).zip(calls());
        let seed = |(at, call): (u8, &MethodDescriptor)| {
            [&[at][..], sample(&call.input(), 3).as_bytes()].concat()
        };
        let mut seeds: Vec<Vec<u8>> = calls.map(seed).collect();
        let put = at("kv/put");
        for text in ["", " ", "{}", r#"{"key":"-_8=","nope":[{"a":1}],"value":null}"#] {
            seeds.push([&[put][..], text.as_bytes()].concat());
        }
        seeds
    },
    run: |input| {
        let Some((call, text)) = input.split_first() else { return };
        let input = calls()[usize::from(*call) % calls().len()].input();
        let Ok(message) = parse(&input, text) else {
            assert!(framed(&input, text).is_err());
            return;
        };
        let bytes = message.encode_to_vec();
        let frame = framed(&input, text).expect("it was read before");
        assert_eq!(frame[..5], [&[0][..], &(bytes.len() as u32).to_be_bytes()].concat());
        assert_eq!(frame[5..], bytes);
        let written = json(&input, bytes.clone().into()).expect("what was read can be written");
        let again = parse(&input, &written).expect("what was written can be read");
        assert_eq!(again.encode_to_vec(), bytes, "{}", String::from_utf8_lossy(&written));
    },
};

/// Protobuf as the answer of a call, which the first byte names, as JSON and back.
pub const GATEWAY_ANSWER: Target = Target {
    name: "gateway_answer",
    reads: "protobuf as the answer of any call, to JSON and back",
    words: &[],
    seeds: || {
        let calls = (0_u8..).zip(calls());
        let seed = |(at, call): (u8, &MethodDescriptor)| {
            let text = sample(&call.output(), 4);
            let message = parse(&call.output(), text.as_bytes()).expect("a sample");
            [&[at][..], &message.encode_to_vec()].concat()
        };
        calls.map(seed).collect()
    },
    run: |input| {
        let Some((call, bytes)) = input.split_first() else { return };
        let output = calls()[usize::from(*call) % calls().len()].output();
        let Ok(written) = json(&output, Bytes::copy_from_slice(bytes)) else { return };
        match parse(&output, &written) {
            Ok(message) => {
                let again = json(&output, message.encode_to_vec().into()).expect("once more");
                assert_eq!(again, written);
            }
            // An answer is no deeper than the transaction that asked for it, whose depth is bounded.
            Err(error) => assert!(error.message().contains("recursion limit"), "{error}"),
        }
    },
};

/// A stream of objects, in pieces of any size.
pub const GATEWAY_STREAM: Target = Target {
    name: "gateway_stream",
    reads: "a stream of JSON objects, however it is cut",
    words: WORDS,
    seeds: || {
        let watch = sample(&calls()[usize::from(at("watch"))].input(), 3);
        vec![
            format!("{watch}\n{watch} {{}}").into_bytes(),
            br#" {"a":"}\"{"}{"b":[{}, {"c":1}]}  {}"#.to_vec(),
            b"{} x".to_vec(),
        ]
    },
    run: |input| {
        let whole = objects(input, input.len().max(1));
        for size in [1, 2, 7] {
            assert_eq!(objects(input, size), whole, "in pieces of {size}");
        }
        // Where somebody else's reader finds nothing but objects, the same ones are found.
        let mut stream = serde_json::Deserializer::from_slice(input).into_iter();
        let (mut theirs, mut before) = (Vec::new(), 0);
        while let Some(value) = stream.next() {
            let Ok(serde_json::Value::Object(_)) = value else { return };
            let text = input[before..stream.byte_offset()].trim_ascii_start();
            theirs.push(text.to_vec());
            before = stream.byte_offset();
        }
        assert_eq!(whole, (theirs, false));
    },
};

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "{\"",
    "\":",
    "null",
    "true",
    "\\u0000",
    "\\ud800",
    "\\\"",
    "\"AA==\"",
    "\"-_8\"",
    "\"NaN\"",
    "1e3",
    "\"9223372036854775808\"",
    "\"key\":",
    "\"range_end\":",
    "\"rangeEnd\":",
    "\"limit\":",
    "\"compare\":[",
    "\"success\":[",
    "{\"request_txn\":",
    "{\"requestPut\":",
    "\"sort_order\":",
    "\"DESCEND\"",
    "\"create_request\":",
    "\"ID\":",
];

/// All calls, in the order of their paths.
fn calls() -> &'static [MethodDescriptor] {
    static CALLS: OnceLock<Vec<MethodDescriptor>> = OnceLock::new();
    CALLS.get_or_init(|| by_path().into_iter().map(|(_, call)| call).collect())
}

fn by_path() -> Vec<(&'static str, MethodDescriptor)> {
    let mut calls: Vec<_> = transcode::calls().into_iter().collect();
    calls.sort_by_key(|(path, _)| *path);
    calls
}

/// The byte that stands for a call.
fn at(path: &str) -> u8 {
    by_path().iter().position(|(known, _)| *known == path).expect("a path of the API") as u8
}

/// An object with something in every field, in JSON; `depth` bounds messages inside of messages.
fn sample(message: &MessageDescriptor, depth: usize) -> String {
    let value = |kind: Kind| match kind {
        Kind::Bool => Some("true".to_owned()),
        Kind::Bytes => Some("\"Zm9v\"".to_owned()),
        Kind::String => Some("\"a text\"".to_owned()),
        Kind::Double | Kind::Float => Some("0.5".to_owned()),
        Kind::Message(_) if depth == 0 => None,
        Kind::Message(inner) => Some(sample(&inner, depth - 1)),
        Kind::Enum(names) => names.values().last().map(|value| format!("\"{}\"", value.name())),
        Kind::Int32 | Kind::Sint32 | Kind::Uint32 | Kind::Fixed32 | Kind::Sfixed32 => {
            Some("7".to_owned())
        }
        Kind::Int64 | Kind::Sint64 | Kind::Uint64 | Kind::Fixed64 | Kind::Sfixed64 => {
            Some("\"9007199254740993\"".to_owned())
        }
    };
    // Of fields that exclude each other, the first.
    let is_first = |field: &prost_reflect::FieldDescriptor| {
        let first = field.containing_oneof().and_then(|one| one.fields().next());
        first.is_none_or(|first| first == *field)
    };
    let fields = message.fields().filter(is_first).filter_map(|field| {
        let value = value(field.kind())?;
        let value = if field.is_list() { format!("[{value},{value}]") } else { value };
        Some(format!("\"{}\":{value}", field.name()))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// The objects of a stream that arrives in pieces, and whether something else than an object came.
fn objects(input: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut splitter, mut buffer, mut found) = (Splitter::default(), BytesMut::new(), Vec::new());
    for piece in input.chunks(size) {
        buffer.extend_from_slice(piece);
        loop {
            match splitter.next(&mut buffer) {
                Ok(Some(object)) => found.push(object.to_vec()),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}
