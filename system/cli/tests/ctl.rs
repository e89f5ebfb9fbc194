//! The client commands against a real member: what they print and how they end, pinned to what
//! etcdctl 3.7.3 printed for the same line (of an error: the last line, and the exit code).

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the member may take to answer before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member of its own, and where it listens.
struct Member {
    process: Child,
    endpoint: String,
    _directory: tempfile::TempDir,
}

/// How a command ended: exit code, standard output, last line of standard error.
type End = (i32, String, String);

impl Member {
    fn start() -> Member {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (client, peer) = (listen(), listen());
        let endpoint = client.local_addr().expect("bound").to_string();
        let peer_url = format!("http://{}", peer.local_addr().expect("bound"));
        drop((client, peer));
        let url = format!("http://{endpoint}");
        let directory =
            tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let process = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["serve", "--exit-with-parent", "--name", "n1", "--data-dir"])
            .arg(directory.path().join("data"))
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("n1={peer_url}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the member starts");
        let member = Member { process, endpoint, _directory: directory };
        let end = Instant::now() + PATIENCE;
        while member.run(&["endpoint", "health"], "").0 != 0 {
            assert!(Instant::now() < end, "the member does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        member
    }

    fn run(&self, words: &[&str], input: &str) -> End {
        end(&[&["--endpoints", &self.endpoint], words].concat(), input)
    }

    /// Runs a line without quotes that must succeed quietly, and returns what it prints.
    #[track_caller]
    fn prints(&self, line: &str, input: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let (code, output, error) = self.run(&words, input);
        assert_eq!((code, error.as_str()), (0, ""), "{line}");
        output
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn end(words: &[&str], input: &str) -> End {
    let mut process = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut pipe = process.stdin.take().expect("piped");
    // A command that needs no input may be gone already.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    let output = process.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let error = text(&output.stderr).lines().last().unwrap_or_default().to_owned();
    (output.status.code().expect("an exit code"), text(&output.stdout), error)
}

#[test]
fn keys_and_values_are_printed_as_etcdctl_prints_them() {
    let member = Member::start();
    for (line, input, expected) in [
        ("get nothing", "", ""),
        ("put a 1", "", "OK\n"),
        ("put a 2 --prev-kv", "", "OK\na\n1\n"),
        ("put b", " from stdin\n", "OK\n"),
        ("put -- -k -v", "", "OK\n"),
        ("get -- -k", "", "-k\n-v\n"),
        ("get a", "", "a\n2\n"),
        ("get a --print-value-only", "", "2\n"),
        ("get a --hex", "", "\\x61\n\\x32\n"),
        ("get a --rev 2", "", "a\n1\n"),
        ("get a b", "", "a\n2\n"),
        ("get a --from-key --limit 1", "", "a\n2\n"),
        ("get a --prefix --keys-only", "", "a\n\n"),
        ("get a --limit -1 --consistency s", "", "a\n2\n"),
        ("del a --prev-kv", "", "1\na\n2\n"),
        ("del a", "", "0\n"),
        ("put p/1 x", "", "OK\n"),
        ("put p/2 y", "", "OK\n"),
        ("get p/ --prefix --order DESCEND", "", "p/2\ny\np/1\nx\n"),
        (
            "txn",
            "mod(\"p/1\") > \"0\"\n\nput t 1\nget p/1\n\nput u 1\n\n",
            "SUCCESS\n\nOK\n\np/1\nx\n",
        ),
        ("txn", "value(\"p/1\") = \"zz\"\n\nput t 2\n\ndel t\n\n", "FAILURE\n\n1\n"),
        ("del p/ --prefix", "", "2\n"),
        ("compaction 5", "", "compacted revision 5\n"),
        ("alarm list", "", ""),
        ("lease list", "", "found 0 leases\n"),
        ("lease timetolive 1234", "", "lease 0000000000001234 already expired\n"),
    ] {
        assert_eq!(member.prints(line, input), expected, "{line}");
    }
    let json = member.prints("get -w json -- -k", "");
    let pair = "\"kvs\":[{\"key\":\"LWs=\",\"create_revision\":5,\"mod_revision\":5,\
                \"version\":1,\"value\":\"LXY=\"}],\"count\":1}\n";
    assert!(json.starts_with("{\"header\":{\"cluster_id\":") && json.ends_with(pair), "{json}");
    let fields = member.prints("get -w fields -- -k", "");
    assert!(fields.contains("\n\"Key\" : \"-k\"\n\"CreateRevision\" : 5\n"), "{fields}");
    assert!(fields.ends_with("\n\"Lease\" : 0\n\"More\" : false\n\"Count\" : 1\n"), "{fields}");
    let members = member.prints("member list", "");
    let expected = format!(", http://{}, false\n", member.endpoint);
    assert!(members.contains(", started, n1, http://") && members.ends_with(&expected));
    let health = member.prints("endpoint health", "");
    let expected =
        format!("{} is healthy: successfully committed proposal: took = ", member.endpoint);
    assert!(health.starts_with(&expected), "{health}");
}

#[test]
fn what_is_wrong_ends_with_etcdctls_code_and_words() {
    let member = Member::start();
    let lease = "(strconv.ParseInt: parsing \"zz\": invalid syntax), expecting ID in Hex";
    for (line, code, message) in [
        ("put", 128, "put command needs 1 argument and input from stdin or 2 arguments"),
        ("put a b --lease=zz", 128, &format!("bad lease ID {lease}")[..]),
        ("put a b --lease=1234", 1, "etcdserver: requested lease not found"),
        ("put nokey --ignore-value", 1, "etcdserver: key not found"),
        ("get", 128, "get command needs one argument as key and an optional argument as range_end"),
        ("get a --rev 9999", 1, "etcdserver: mvcc: required revision is a future revision"),
        ("get a -w nosuch", 4, "unsupported output format"),
        ("get a -w table", 4, "table not supported as output format"),
        ("get a --prefix --count-only", 128, "--count-only is only for `--write-out=fields`"),
        ("get a --order x", 4, "bad sort order x"),
        ("del", 128, "del command needs one argument as key and an optional argument as range_end"),
        ("lease grant", 128, "lease grant command needs TTL argument"),
        ("lease grant x", 128, "bad TTL (strconv.ParseInt: parsing \"x\": invalid syntax)"),
        ("lease revoke zz", 128, &format!("bad lease ID arg {lease}")),
        ("lease revoke 1234", 1, "failed to revoke lease (etcdserver: requested lease not found)"),
        ("lease keep-alive --once 1234", 2, "etcdserver: requested lease not found"),
        ("compaction", 128, "compaction command needs 1 argument"),
        ("compaction x", 1, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("compaction 9999", 1, "etcdserver: mvcc: required revision is a future revision"),
        ("watch", 128, "bad number of arguments"),
        ("watch a b --prefix", 128, "`range_end` and `--prefix` are mutually exclusive"),
        ("alarm list x", 128, "alarm list command accepts no arguments"),
        ("snapshot save", 128, "snapshot save expects one argument <filename>"),
        ("snapshot status", 128, "snapshot status requires exactly one argument <filename>"),
        ("snapshot restore", 128, "snapshot restore requires exactly one argument <filename>"),
        ("lock", 128, "lock takes a lock name argument and an optional command to execute"),
        ("lock l nosuchcommand", 1, "exec: \"nosuchcommand\": executable file not found in $PATH"),
        ("lock l -- false", 1, "exit status 1"),
        ("elect", 128, "elect takes one election name argument and an optional proposal argument"),
        ("elect e", 128, "no proposal argument but -l not set"),
        ("elect e p -l", 128, "proposal given but -l is set"),
        ("auth enable x", 128, "auth enable command does not accept any arguments"),
        ("auth disable x", 128, "auth disable command does not accept any arguments"),
        ("auth status x", 128, "auth status command does not accept any arguments"),
        ("user add", 128, "user add command requires user name as its argument"),
        ("user add :p", 128, "empty user name is not allowed"),
        ("user get", 128, "user get command requires user name as its argument"),
        ("user list x", 128, "user list command requires no arguments"),
        ("user delete", 128, "user delete command requires user name as its argument"),
        ("user passwd", 128, "user passwd command requires user name as its argument"),
        (
            "user grant-role u",
            128,
            "user grant command requires user name and role name as its argument",
        ),
        (
            "user revoke-role u",
            128,
            "user revoke-role requires user name and role name as its argument",
        ),
        ("role add", 128, "role add command requires role name as its argument"),
        ("role get", 128, "role get command requires role name as its argument"),
        ("role list x", 128, "role list command requires no arguments"),
        ("role delete", 128, "role delete command requires role name as its argument"),
        (
            "role grant-permission r read",
            128,
            "role grant command requires role name, permission type, and key [endkey] as its argument",
        ),
        ("role grant-permission r all k", 128, "invalid permission type: all"),
        (
            "role grant-permission r read k --prefix --from-key",
            128,
            "--from-key and --prefix flags are mutually exclusive",
        ),
        (
            "role grant-permission r read k m --prefix",
            128,
            "unexpected endkey argument with --prefix flag",
        ),
        (
            "role revoke-permission r",
            128,
            "role revoke-permission command requires role name and key [endkey] as its argument",
        ),
        ("downgrade validate", 128, "TARGET_VERSION not provided"),
        ("downgrade enable a b", 128, "too many arguments"),
        ("make-mirror", 128, "make-mirror takes one destination argument"),
        (
            "make-mirror x --dest-prefix a --no-dest-prefix",
            128,
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
        ),
        ("check perf --load=huge", 4, "unknown load option huge"),
        ("check datascale --load=huge", 4, "unknown load option huge"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let expected = (code, String::new(), format!("Error: {message}"));
        assert_eq!(member.run(&words, ""), expected, "{line}");
    }
    for line in ["nosuch", "get a --nosuch", "get a --rev x", "get a --command-timeout 5"] {
        let words: Vec<&str> = line.split(' ').collect();
        let (code, output, error) = member.run(&words, "");
        assert_eq!((code, output.as_str()), (1, ""), "{line}");
        assert!(error.contains("--help"), "{line} names no way out: {error}");
    }
}

/// A command that runs until it is interrupted, and the lines that it prints.
struct Running {
    process: Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(member: &Member, line: &str) -> Running {
        use std::io::BufRead as _;
        let mut process = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["--endpoints", &member.endpoint])
            .args(line.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = std::io::BufReader::new(process.stdout.take().expect("piped")).lines();
        Running { process, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    /// Interrupts it; how it ended.
    fn interrupt(mut self) -> Option<i32> {
        let id = self.process.id().cast_signed();
        let id = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
        self.process.wait().expect("it ends").code()
    }
}

#[test]
fn a_lock_is_held_while_a_command_runs_or_until_it_is_interrupted() {
    let member = Member::start();
    let key = member.prints("lock work printenv ETCD_LOCK_KEY", "");
    assert!(key.starts_with("work/") && key.trim_end().len() > "work/".len(), "{key}");
    assert_eq!(member.prints("get work/ --prefix --keys-only", ""), "", "given back");
    let mut holder = Running::start(&member, "lock work");
    let held = holder.line();
    assert!(held.starts_with("work/"), "{held}");
    assert_eq!(holder.line(), "", "the key has no value");
    let mut next = Running::start(&member, "lock work -- echo mine");
    let in_line = ["get", "work/", "--prefix", "--count-only", "-w", "fields"];
    let end = Instant::now() + PATIENCE;
    while !member.run(&in_line, "").1.contains("\"Count\" : 2\n") {
        assert!(Instant::now() < end, "the second does not stand in line");
    }
    assert_eq!(holder.interrupt(), Some(0));
    assert_eq!(next.line(), "mine");
    assert_eq!(next.process.wait().expect("it ends").code(), Some(0));
}

#[test]
fn guards_are_set_shown_and_kept_to() {
    let member = Member::start();
    let said = member.prints("lock guard g/ --by l", "");
    assert_eq!(said, "writes under g/ now need the token of lock l\n");
    assert_eq!(member.prints("lock guards", ""), "g/, l, nobody, \n");
    let (code, _, error) = member.run(&["put", "g/a", "x"], "");
    assert!(
        code == 1 && error.contains("fenced") && error.contains("take the lock first"),
        "{error}"
    );
    let put = format!(
        "lock l {} put g/a x --endpoints {}",
        env!("CARGO_BIN_EXE_quorate"),
        member.endpoint
    );
    // The flags of the command below belong to it.
    let put = put.replacen("lock l ", "lock l -- ", 1);
    assert_eq!(member.prints(&put, ""), "OK\n");
    assert_eq!(member.prints("get g/a --print-value-only", ""), "x\n");
    assert_eq!(member.prints("lock unguard g/", ""), "writes under g/ need no token any more\n");
    assert_eq!(member.prints("put g/a y", ""), "OK\n");
    let (code, _, error) = member.run(&["lock", "guard", "g/"], "");
    assert_eq!((code, error.as_str()), (128, "Error: write `quorate lock guard PREFIX --by LOCK`"));
    // A lock may still be called so.
    let key = member.prints("lock -- guard printenv ETCD_LOCK_KEY", "");
    assert!(key.starts_with("guard/"), "{key}");
}

#[test]
fn an_election_is_won_followed_and_given_up() {
    let member = Member::start();
    let mut observer = Running::start(&member, "elect office -l");
    let mut first = Running::start(&member, "elect office one");
    let key = first.line();
    assert!(key.starts_with("office/"), "{key}");
    assert_eq!(first.line(), "one");
    assert_eq!((observer.line(), observer.line()), (key, "one".to_owned()));
    let mut second = Running::start(&member, "elect office two");
    assert_eq!(first.interrupt(), Some(0));
    let key = second.line();
    assert_eq!((observer.line(), observer.line()), (key, "two".to_owned()));
    assert_eq!(second.interrupt(), Some(0));
    assert_eq!(observer.interrupt(), Some(0));
}

#[test]
fn a_mirror_copies_follows_and_goes_on_where_it_was() {
    let (source, destination) = (Member::start(), Member::start());
    for pair in ["app/1 a", "app/2 b", "other x"] {
        source.prints(&format!("put {pair}"), "");
    }
    let mirror = format!(
        "make-mirror {} --prefix app/ --dest-prefix copy/ --checkpoint-key mirror",
        destination.endpoint
    );
    let expect = |what: &str| {
        let end = Instant::now() + PATIENCE;
        while destination.prints("get copy/ --prefix", "") != what {
            assert!(Instant::now() < end, "{:?}", destination.prints("get copy/ --prefix", ""));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let running = Running::start(&source, &mirror);
    expect("copy/1\na\ncopy/2\nb\n");
    source.prints("put app/3 c", "");
    source.prints("del app/1", "");
    expect("copy/2\nb\ncopy/3\nc\n");
    assert_eq!(running.interrupt(), Some(1));
    // What happened while nobody mirrored, a delete too.
    source.prints("txn", "\nput app/4 d\ndel app/2\n\n\n");
    let running = Running::start(&source, &mirror);
    expect("copy/3\nc\ncopy/4\nd\n");
    running.interrupt();
    assert_eq!(destination.prints("get mirror --print-value-only", ""), "7\n");
    assert_eq!(destination.prints("get other", ""), "");
}

#[test]
fn called_as_etcdctl_it_is_the_clients_command_line_only() {
    let directory = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let link = directory.path().join("etcdctl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_quorate"), &link).expect("a link");
    let run = |words: &[&str]| {
        let output = Command::new(&link).args(words).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for name in
        ["get", "lock", "elect", "auth", "user", "role", "downgrade", "make-mirror", "check"]
    {
        assert!(help.contains(&format!("\n  {name} ")), "{name}: {help}");
    }
    for name in ["serve", "sim", "up "] {
        assert!(!help.contains(&format!("\n  {name} ")), "{name}: {help}");
    }
    let (_, version, _) = run(&["version"]);
    assert!(version.starts_with("etcdctl version: 3.7"), "{version}");
    assert_eq!(run(&["serve"]).0, Some(1));
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&["completion", shell]);
        assert!(
            code == Some(0) && script.contains("etcdctl") && script.contains("make-mirror"),
            "{shell}"
        );
    }
}

#[test]
fn where_nobody_listens_the_way_out_is_named() {
    let nobody = ["--endpoints", "127.0.0.1:1", "--command-timeout", "700ms"];
    for (words, code) in [
        (&["get", "a"][..], 1),
        (&["put", "a", "b"], 1),
        (&["del", "a"], 1),
        (&["member", "list"], 1),
        (&["lease", "list"], 2),
        (&["compaction", "3"], 1),
    ] {
        let (ended, output, error) = end(&[&nobody[..], words].concat(), "");
        assert_eq!((ended, output.as_str()), (code, ""), "{words:?}");
        assert!(error.contains("--endpoints"), "{words:?}: {error}");
    }
    let (code, _, error) = end(&["--endpoints", "", "get", "a"], "");
    assert_eq!(code, 2, "{error}");
}
