//! The readers: what they read, where they find errors, and that nothing in a file can make them panic or loop.

use std::path::Path;

use quorate_base::Dice;
use quorate_check::history::{History, Kind, NEMESIS, Value};
use quorate_check::limits::Options;
use quorate_check::model::MODELS;
use quorate_check::read::{Format, edn, read, read_bytes};

/// Mutated histories per run.
const MUTATIONS: u64 = 30_000;

fn ok(text: &str) -> History {
    read(text, None).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn fails(text: &str, line: u32, column: u32, message: &str) {
    let error = read(text, None).expect_err("it should not be readable");
    let place = (error.position.line, error.position.column);
    assert_eq!(place, (line, column), "{error}");
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn the_three_formats_tell_the_same_history() {
    let from_json = ok(concat!(
        "{\"process\":0,\"type\":\"invoke\",\"f\":\"cas\",\"value\":[1,2]}\n",
        "{\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"start\",\"value\":null}\n",
        "{\"process\":0,\"type\":\"fail\",\"f\":\"cas\",\"value\":[1,2]}\n",
    ));
    let from_edn = ok(concat!(
        "{:process 0, :type :invoke, :f :cas, :value [1 2]}\n",
        "{:process :nemesis, :type :info, :f :start, :value nil}\n",
        "{:process 0, :type :fail, :f :cas, :value [1 2]}\n",
    ));
    let from_log = ok(concat!(
        "INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\r\n",
        "INFO  jepsen.util - :nemesis\t:info\t:start\tnil\r\n",
        "WARN  jepsen.core - nothing to see\r\n",
        "INFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\r\n",
    ));
    let strip = |mut history: History| {
        for event in &mut history.events {
            event.position = Default::default();
        }
        history
    };
    let expected = strip(from_json);
    assert_eq!(strip(from_edn), expected);
    assert_eq!(strip(from_log), expected);
    assert_eq!(expected.events[1].process, NEMESIS);
    assert_eq!(expected.events[2].kind, Kind::Fail);
}

#[test]
fn jepsens_own_notation_is_read() {
    let history = ok(concat!(
        "#jepsen.history.Op{:index 0, :time -3, :type :invoke, :process 12, :f :txn,\n",
        " :value [[:append 5 1] [:r 5 nil]], :error nil} #_{:a :form} ; a comment\n",
        "{:index 1 :time 77 :type :info :process 12 :f :txn :error [:timeout \"a \\\"b\\\"\"]}",
    ));
    let [first, second] = history.events.as_slice() else { panic!("two events: {history:?}") };
    assert_eq!(first.value, edn("[[:append 5 1] [:r 5 nil]]").expect("it is EDN"));
    assert_eq!((first.time, second.time), (Some(0), Some(77)));
    assert_eq!(second.error.to_string(), "[:timeout \"a \\\"b\\\"\"]");
    assert_eq!((second.position.line, second.position.column), (3, 1));
}

#[test]
fn values_are_read_as_they_are_written() {
    let cases = [
        ("nil", Value::Nil),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("+7", Value::Int(7)),
        ("7N", Value::Int(7)),
        ("9223372036854775808", Value::Number("9223372036854775808".into())),
        ("1.5e3", Value::Number("1.5e3".into())),
        ("22/7", Value::Number("22/7".into())),
        ("##Inf", Value::Number("##Inf".into())),
        ("\\a", Value::Str("a".into())),
        ("\\newline", Value::Str("\n".into())),
        ("\"\\u00e9\\t\"", Value::Str("é\t".into())),
        (":a/b", Value::Keyword("a/b".into())),
        ("sym-bol", Value::Keyword("sym-bol".into())),
        ("#inst \"2026\"", Value::Str("2026".into())),
        ("#{1}", Value::List(vec![Value::Int(1)])),
        ("(1, true)", Value::List(vec![Value::Int(1), Value::Bool(true)])),
        ("^{:a 1} [2]", Value::List(vec![Value::Int(2)])),
        ("{}", Value::Map(Vec::new())),
    ];
    for (text, value) in cases {
        assert_eq!(edn(text), Ok(value), "{text}");
    }
    let json =
        ok(r#"{"process":1,"type":"ok","f":"r","value":"\u00e9\ud83d\ude00\/","x":[1.0e2,-0,{}]}"#);
    assert_eq!(json.events[0].value, Value::Str("é😀/".into()));
}

#[test]
fn errors_have_line_and_column() {
    fails("what is this", 1, 1, "none of the formats");
    fails("{\"process\":0,\"type\":\"invoke\"}", 1, 1, "no function");
    fails("\n {\"type\":\"invoke\",\"f\":\"r\"}", 2, 2, "no process");
    fails("{\"process\":-4,\"type\":\"ok\",\"f\":\"r\"}", 1, 1, "from 0");
    fails("{\"process\":0,\"type\":\"done\",\"f\":\"r\"}", 1, 1, "\"done\" is not one of");
    fails("{\"process\":0,\n\"f\":\"é\" \"g\"}", 2, 9, "expected ',' or '}'");
    fails("{\"a\":1,\"a\":2}", 1, 8, "occurs twice");
    fails("{\"a\":01}", 1, 6, "begins with a digit");
    fails("{\"a\":1.}", 1, 6, "ends without a digit");
    fails("{\"a\":\"\\ud800x\"}", 1, 7, "surrogate");
    fails("{\"a\":\"\n\"}", 1, 7, "the end of the string");
    fails("{\"a\":\"\\x\"}", 1, 7, "not one of JSON's");
    fails("[{\"a\":nul}]", 1, 7, "a JSON value");
    fails("{:process 0 :type}", 1, 18, "has no value");
    fails("{:process 0 :type :ok", 1, 22, "found the end of the file");
    fails("[{:process 0 :type :ok :f :r}\n 7]", 2, 2, "an event, which is a map");
    fails("[] {}", 1, 4, "the end of the file");
    fails("{:a 1x}", 1, 5, "is not a number");
    fails(&"{:a [".repeat(80), 1, 161, "deeper than 64");
    fails("INFO  jepsen.util - 0\t:invoke\n", 1, 30, "a function");
    fails("x\nINFO jepsen.util - 0\t:invoke\t:read\t\"\n\"", 2, 36, "must end with the line");
    let error = read_bytes(b"{\"process\":0,\n\"\xff\"}", None).expect_err("it is not UTF-8");
    assert_eq!((error.position.line, error.position.column), (2, 2), "{error}");
}

/// With the wrong `--format` nothing would be read, and nothing is always in order.
#[test]
fn a_text_without_events_is_no_log() {
    let error = read("{\"process\":0}\n", Some(Format::Log)).expect_err("it is JSON");
    assert!(error.message.contains("no line has jepsen.util"), "{error}");
    assert_eq!(read(" \n", Some(Format::Log)).expect("it is empty"), History::default());
}

#[test]
fn events_that_do_not_pair_are_errors() {
    let error = |text: &str| ok(text).operations().expect_err("it should not pair").to_string();
    let line = |process: u32, kind: &str, f: &str| {
        format!("{{:process {process} :type :{kind} :f :{f} :value nil}}\n")
    };
    let twice = line(3, "invoke", "read") + &line(3, "invoke", "read");
    assert!(error(&twice).starts_with("2:1: process 3 invokes while its operation of 1:1 is open"));
    let other = line(3, "invoke", "read") + &line(3, "ok", "write");
    assert!(error(&other).starts_with("2:1: process 3 completes write but invoked read"));
    let returns = line(3, "invoke", "read") + &line(3, "info", "read") + &line(3, "invoke", "read");
    assert!(error(&returns).starts_with("3:1: process 3 invokes after its outcome became unknown"));
    assert!(error(&line(3, "ok", "read")).starts_with("1:1: process 3 completes what it did not"));
}

#[test]
fn the_formats_are_recognised() {
    let cases = [
        ("", Some(Format::Json)),
        ("\u{feff} \n{\"a\"", Some(Format::Json)),
        ("[ { \"a\"", Some(Format::Json)),
        ("{:a", Some(Format::Edn)),
        ("[{:a", Some(Format::Edn)),
        ("; a comment", Some(Format::Edn)),
        ("#jepsen.history.Op{", Some(Format::Edn)),
        ("2026 INFO jepsen.util - 1", Some(Format::Log)),
        ("hello", None),
    ];
    for (text, format) in cases {
        assert_eq!(Format::detect(text), format, "{text}");
    }
}

/// A random value, for writing and reading back.
fn random_value(dice: &mut Dice, depth: u32) -> Value {
    match dice.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Nil,
        1 => Value::Bool(dice.chance(500_000)),
        2 => Value::Int(dice.next_u64() as i64),
        3 => Value::Number("1.25".into()),
        4 => {
            let letters = ['a', '"', '\\', '\n', 'é', '{', ';', ' ', '\t', '😀'];
            let text = (0..dice.below(6)).map(|_| letters[dice.below(10) as usize]);
            Value::Str(text.collect::<String>().into())
        }
        5 => Value::Keyword(["r", "append", "a/b", "nemesis"][dice.below(4) as usize].into()),
        6 => Value::List((0..dice.below(4)).map(|_| random_value(dice, depth - 1)).collect()),
        _ => {
            let entry =
                |key: u64, dice: &mut Dice| (Value::Int(key as i64), random_value(dice, depth - 1));
            Value::Map((0..dice.below(20)).map(|key| entry(key, dice)).collect())
        }
    }
}

#[test]
fn what_is_written_is_read_back() {
    for seed in 0..2_000 {
        let value = random_value(&mut Dice::new(seed), 4);
        assert_eq!(edn(&value.to_string()).as_ref(), Ok(&value), "seed {seed}");
    }
}

/// All histories of the crate, the other judges' as well.
fn collect(directory: &Path, seeds: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(directory).expect("the directory is readable") {
        let path = entry.expect("the directory is readable").path();
        if path.is_dir() {
            collect(&path, seeds);
        } else if path.extension().is_some_and(|extension| extension != "md") {
            let bytes = std::fs::read(&path).expect("histories are readable");
            // Long ones would only make fewer mutations.
            seeds.push(bytes[..bytes.len().min(2_000)].to_vec());
        }
    }
}

fn mutate(dice: &mut Dice, text: &mut Vec<u8>) {
    const WORDS: [&str; 20] = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "#",
        ";",
        ":",
        "\n",
        "\t",
        "#_",
        "#{",
        "\\u",
        "^",
        "nil",
        ":info",
        "jepsen.util - ",
        "99999999999999999999",
        "\u{feff}é",
    ];
    for _ in 0..dice.between(1, 6) {
        let at = dice.below(text.len() as u64 + 1) as usize;
        let end = (at + dice.below(12) as usize).min(text.len());
        match dice.below(4) {
            0 => drop(text.drain(at..end)),
            1 if at < text.len() => text[at] = dice.next_u64() as u8,
            2 => {
                let copy = text[at..end].to_vec();
                text.splice(at..at, copy);
            }
            _ => {
                let word = WORDS[dice.below(WORDS.len() as u64) as usize];
                text.splice(at..at, word.bytes());
            }
        }
    }
}

/// No reader and no judge panics or loops, whatever the text. Whoever reads it as a history must be able to judge it
/// or say why not.
#[test]
fn mutated_histories_are_read_or_refused() {
    let mut seeds = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories"), &mut seeds);
    assert!(seeds.len() > 20, "histories are missing");
    let options = Options { memory: Some(1 << 20), explain: false, ..Options::default() };
    let mut read_count = 0_u64;
    for number in 0..MUTATIONS {
        let mut dice = Dice::new(number);
        let mut text = seeds[dice.below(seeds.len() as u64) as usize].clone();
        mutate(&mut dice, &mut text);
        let text = String::from_utf8_lossy(&text);
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            let Ok(history) = read(&text, format) else { continue };
            read_count += 1;
            let model = MODELS[dice.below(MODELS.len() as u64) as usize];
            drop((model.check)(&history, &options));
        }
    }
    assert!(read_count > MUTATIONS / 10, "mutations leave too little to read: {read_count}");
}
