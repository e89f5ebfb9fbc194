//! `quorate check` as a process: verdicts, exit codes, messages about bad input, the page.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn check(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("check")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    // A command that does not read its input closes the pipe, which is no failure of the test.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn line(process: u32, kind: &str, f: &str, value: &str) -> String {
    format!("{{\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}}}\n")
}

fn read_of(value: &str) -> String {
    [
        line(0, "invoke", "write", "1"),
        line(0, "ok", "write", "1"),
        line(1, "invoke", "read", "null"),
        line(1, "ok", "read", value),
    ]
    .concat()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it prints text")
}

#[test]
fn the_exit_code_is_the_verdict() {
    let yes = check(&["--model", "register", "-"], &read_of("1"));
    assert_eq!(yes.status.code(), Some(0), "{yes:?}");
    assert!(text(&yes.stdout).starts_with("-: yes, register (2 operations"), "{yes:?}");
    assert!(yes.stderr.is_empty(), "no progress bar in a pipe: {yes:?}");

    let no = check(&["--model", "register", "-"], &read_of("2"));
    assert_eq!(no.status.code(), Some(1), "{no:?}");
    assert!(text(&no.stdout).contains("linearizability is broken"), "{no:?}");
    assert!(text(&no.stdout).contains("process 1, lines 3 to 4: read -> 2"), "{no:?}");

    // As hard as subset sum, and no time for it.
    let mut hard = String::new();
    for process in 0..40 {
        hard += &line(process, "invoke", "add", &(2_u64 << process).to_string());
    }
    hard += &(line(99, "invoke", "read", "null") + &line(99, "ok", "read", "1"));
    for process in 0..40 {
        hard += &line(process, "ok", "add", "null");
    }
    let unknown = check(&["--model", "counter", "--time-limit", "50ms", "-"], &hard);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(text(&unknown.stdout).contains("unknown, not decided within"), "{unknown:?}");
}

#[test]
fn bad_input_is_named_with_line_and_column() {
    let broken = read_of("1") + "{\"process\":2,\"type\":\"invoke\" \"f\":\"read\"}";
    let bad = check(&["--model", "register", "-"], &broken);
    assert_eq!(bad.status.code(), Some(3), "{bad:?}");
    assert!(text(&bad.stderr).contains("-:5:30: expected ',' or '}'"), "{bad:?}");

    let missing = check(&["--model", "register", "no/such/file"], "");
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    assert!(text(&missing.stderr).contains("no/such/file: "), "{missing:?}");

    let arguments = ["--model", "register", "--html", "no/such/directory/page.html", "-"];
    let page = check(&arguments, &read_of("2"));
    assert_eq!(page.status.code(), Some(3), "{page:?}");
    assert!(text(&page.stdout).contains("linearizability is broken"), "{page:?}");
    assert!(text(&page.stderr).contains("no/such/directory/page.html: "), "{page:?}");

    let model = check(&["--model", "quantum", "-"], "");
    assert_eq!(model.status.code(), Some(2), "{model:?}");
    assert!(text(&model.stderr).contains("the models are register, key-value"), "{model:?}");
}

#[test]
fn json_and_pages_carry_the_evidence() {
    let directory = tempfile::tempdir().expect("there is room");
    let page = directory.path().join("page.html");
    let page_name = page.to_str().expect("the path is text");
    let arguments = ["--model", "register", "-w", "json", "--html", page_name, "-"];
    let no = check(&arguments, &read_of("2"));
    assert_eq!(no.status.code(), Some(1), "{no:?}");
    let report: serde_json::Value = serde_json::from_slice(&no.stdout).expect("it prints JSON");
    assert_eq!(report["verdict"], "no");
    assert_eq!(report["property"], "linearizability");
    assert_eq!(report["events"], serde_json::json!([2]));
    let page = std::fs::read_to_string(page).expect("the page was written");
    assert!(page.contains("Not linearizable") && page.contains("</html>"));
}

/// The reader of a pipe may close it: the verdict is the exit code all the same.
#[test]
fn nobody_has_to_read_what_is_printed() {
    for (value, code) in [("1", 0), ("2", 1)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["check", "--model", "register", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().expect("it is a pipe");
        stdin.write_all(read_of(value).as_bytes()).expect("it reads its input");
        drop(stdin);
        let ended = child.wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        assert!(ended.stderr.is_empty(), "{ended:?}");
    }
}

#[test]
fn models_and_examples_are_shown() {
    let list = check(&["--list-models"], "");
    assert_eq!(list.status.code(), Some(0), "{list:?}");
    for model in ["register:", "key-value:", "etcd:", "list-append:"] {
        assert!(text(&list.stdout).contains(model), "{model} is missing");
    }
    let help = check(&["--help"], "");
    assert!(text(&help.stdout).contains("Examples:"), "{help:?}");
    assert!(text(&help.stdout).contains("Exit codes: 0 the promise is kept"), "{help:?}");
}
