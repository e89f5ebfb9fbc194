//! Backups with real processes: saved from a member that is being written to, looked into, refused
//! when damaged, and made into new clusters of one and of three.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a member may take to answer before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where one member is to be found.
#[derive(Clone)]
struct Place {
    name: String,
    client: String,
    peer: String,
}

/// So many members on ports that were free a moment ago.
fn places(count: usize) -> Vec<Place> {
    let listen = |_| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let sockets: Vec<_> = (0..2 * count).map(listen).collect();
    let address = |at: usize| sockets[at].local_addr().expect("bound").to_string();
    let place = |at: usize| Place {
        name: format!("n{}", at + 1),
        client: address(2 * at),
        peer: format!("http://{}", address(2 * at + 1)),
    };
    (0..count).map(place).collect()
}

fn quorate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(arguments).stdin(Stdio::null()).output().expect("the binary runs")
}

#[track_caller]
fn says(arguments: &[&str]) -> String {
    let output = quorate(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}: nothing but the answer in a pipe");
    String::from_utf8(output.stdout).expect("text")
}

/// The one line on standard error of a command that fails.
#[track_caller]
fn refuses(arguments: &[&str]) -> String {
    let output = quorate(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// Running members. They end with the test, however it ends.
struct Cluster {
    processes: Vec<Child>,
    places: Vec<Place>,
}

impl Cluster {
    fn start(directory: &Path, places: Vec<Place>, token: &str) -> Cluster {
        Cluster::start_as(directory, places, token, &[])
    }

    /// The same where one has to say who asks.
    fn start_as(directory: &Path, places: Vec<Place>, token: &str, who: &[&str]) -> Cluster {
        let initial = initial_cluster(&places);
        let spawn = |place: &Place| {
            let log = std::fs::File::create(directory.join(format!("{}.log", place.name)));
            let url = format!("http://{}", place.client);
            Command::new(env!("CARGO_BIN_EXE_quorate"))
                .args(["serve", "--exit-with-parent", "--name", &place.name, "--data-dir"])
                .arg(directory.join(&place.name))
                .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
                .args(["--listen-peer-urls", &place.peer])
                .args(["--initial-advertise-peer-urls", &place.peer])
                .args(["--initial-cluster", &initial, "--initial-cluster-token", token])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log.expect("create a log"))
                .spawn()
                .expect("the member starts")
        };
        let cluster = Cluster { processes: places.iter().map(spawn).collect(), places };
        let end = Instant::now() + PATIENCE;
        for place in &cluster.places {
            // The command waits for a leader by itself; the pause is for a socket not open yet.
            let health = [&["endpoint", "health", "--endpoints", &place.client], who].concat();
            while !quorate(&health).status.success() {
                assert!(Instant::now() < end, "{} does not answer", place.name);
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        cluster
    }

    fn says(&self, member: usize, arguments: &[&str]) -> String {
        says(&[arguments, &["--endpoints", &self.places[member].client]].concat())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn initial_cluster(places: &[Place]) -> String {
    let member = |place: &Place| format!("{}={}", place.name, place.peer);
    places.iter().map(member).collect::<Vec<_>>().join(",")
}

fn restore(file: &str, directory: &Path, place: &Place, all: &[Place], token: &str) -> String {
    let data = directory.join(&place.name);
    let (initial, data) = (initial_cluster(all), data.display().to_string());
    says(
        &[
            &["snapshot", "restore", file, "--data-dir", &data, "--name", &place.name][..],
            &["--initial-cluster", &initial, "--initial-cluster-token", token],
            &["--initial-advertise-peer-urls", &place.peer, "--bump-revision", "0"],
        ]
        .concat(),
    )
}

/// A directory with a backup of a member that held a known state and was written to meanwhile.
struct Saved {
    directory: TempDir,
    file: PathBuf,
    lease: String,
}

impl Saved {
    fn file(&self) -> &str {
        self.file.to_str().expect("text")
    }
}

fn save() -> Saved {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let cluster = Cluster::start(directory.path(), places(1), "first");
    for key in 0..20 {
        cluster.says(0, &["put", &format!("k/{key:02}"), &format!("old {key}")]);
        cluster.says(0, &["put", &format!("k/{key:02}"), &format!("value {key}")]);
    }
    cluster.says(0, &["del", "k/19"]);
    let granted = cluster.says(0, &["lease", "grant", "3600"]);
    let lease = granted.split(' ').nth(1).expect("an id").to_owned();
    cluster.says(0, &["put", "leased", "v", "--lease", &lease]);
    let file = directory.path().join("backup.db");
    let saved = Saved { directory, file, lease };
    let is_saved = AtomicBool::new(false);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let (cluster, is_saved) = (&cluster, &is_saved);
        let writer = scope.spawn(move || {
            let mut written = 0;
            while !is_saved.load(Ordering::Relaxed) {
                cluster.says(0, &["put", "busy", &written.to_string()]);
                written += 1;
                let _ = tell.send(());
            }
            written
        });
        told.recv_timeout(PATIENCE).expect("the writer is at it");
        let said = cluster.says(0, &["snapshot", "save", saved.file()]);
        is_saved.store(true, Ordering::Relaxed);
        assert!(said.starts_with(&format!("Snapshot saved at {}\n", saved.file())), "{said}");
        assert!(writer.join().expect("the writer ends") > 0, "nothing was written meanwhile");
    });
    assert!(!saved.file.with_extension("db.part").exists(), "the file has its name");
    saved
}

/// The revision and the number of keys in a backup.
fn status(file: &str) -> (i64, u64) {
    let text = says(&["snapshot", "status", file, "-w", "json"]);
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["totalSize"], std::fs::metadata(file).expect("there").len());
    let row = says(&["snapshot", "status", file]);
    let hash = format!("{:x}, ", status["hash"].as_u64().expect("a hash"));
    assert!(row.starts_with(&hash), "{row} does not begin with {hash}");
    let revision = status["revision"].as_i64().expect("a revision");
    (revision, status["totalKey"].as_u64().expect("a number of keys"))
}

fn serves_the_backup(cluster: &Cluster, saved: &Saved) {
    let (revision, keys) = status(saved.file());
    let hash = |member| {
        let text = cluster.says(member, &["endpoint", "hashkv", "--rev", &revision.to_string()]);
        text.split(", ").nth(1).map(str::to_owned)
    };
    for member in 0..cluster.places.len() {
        let text = cluster.says(member, &["get", "", "--prefix", "-w", "json"]);
        let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(all["header"]["revision"], revision, "the same revision as the backup");
        assert_eq!(all["count"], keys);
        for key in 0..19 {
            let name = format!("k/{key:02}");
            assert_eq!(cluster.says(member, &["get", &name]), format!("{name}\nvalue {key}\n"));
        }
        assert_eq!(cluster.says(member, &["get", "k/19"]), "", "deleted before the backup");
        // The first two revisions are k/00's: history came along.
        assert_eq!(cluster.says(member, &["get", "k/00", "--rev", "2"]), "k/00\nold 0\n");
        let lease = cluster.says(member, &["lease", "timetolive", &saved.lease, "--keys"]);
        assert!(lease.contains("granted with TTL(3600s)"), "{lease}");
        assert!(lease.ends_with("attached keys([leased])\n"), "{lease}");
        assert_eq!(hash(member), hash(0), "members agree");
    }
    assert_eq!(cluster.says(0, &["put", "after", "x"]), "OK\n");
    let last = cluster.places.len() - 1;
    assert_eq!(cluster.says(last, &["get", "after"]), "after\nx\n");
    assert!(cluster.says(last, &["lease", "revoke", &saved.lease]).contains("revoked"));
    assert_eq!(cluster.says(0, &["get", "leased"]), "", "its lease took it along");
}

#[test]
fn a_backup_becomes_a_cluster_of_one_and_a_cluster_of_three() {
    let saved = save();
    for count in [1, 3] {
        let directory = saved.directory.path().join(format!("of-{count}"));
        let places = places(count);
        for place in &places {
            let said = restore(saved.file(), &directory, place, &places, "second");
            let (revision, keys) = status(saved.file());
            let expected = format!("Restored {keys} keys at revision {revision} into ");
            assert!(said.starts_with(&expected), "{said}");
        }
        let names = std::fs::read_dir(&directory).expect("made").count();
        assert_eq!(names, count, "nothing but the data directories");
        let cluster = Cluster::start(&directory, places.clone(), "second");
        serves_the_backup(&cluster, &saved);
        drop(cluster);
        // What was written after the restore is durable like anything else.
        let again = Cluster::start(&directory, places, "second");
        assert_eq!(again.says(0, &["get", "after"]), "after\nx\n");
    }
}

#[test]
fn what_is_no_whole_backup_is_refused_and_leaves_nothing() {
    let saved = save();
    let whole = std::fs::read(&saved.file).expect("saved");
    let directory = saved.directory.path();
    let damaged = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).expect("write");
        path.display().to_string()
    };
    let mut flipped = whole.clone();
    flipped[700] ^= 1;
    let mut longer = whole.clone();
    longer.extend([0; 512]);
    let bolt = [&[0; 16][..], &0xED0C_DAEDu32.to_le_bytes(), &[0; 5000]].concat();
    let target = directory.join("target").display().to_string();
    for (file, part) in [
        (damaged("flipped", &flipped), "is damaged: its content has the SHA-256"),
        (damaged("cut", &whole[..whole.len() / 2]), "It was cut short or changed"),
        (damaged("short", &whole[..20]), "is damaged"),
        (damaged("longer", &longer), "is damaged"),
        (damaged("empty", b""), "is not a backup of Quorate: it is empty"),
        (damaged("etcd", &bolt), "neither of its two meta pages is whole"),
        (damaged("text", b"hello"), "its first bytes are not those of one"),
        (directory.display().to_string(), "it is not a regular file"),
        (directory.join("nosuch").display().to_string(), "No such file"),
    ] {
        for command in [
            &["snapshot", "status", &file][..],
            &["snapshot", "restore", &file, "--data-dir", &target],
            &["snapshot", "restore", &file, "--data-dir", &target, "--skip-hash-check"],
        ] {
            if file.ends_with("longer") && command.len() > 5 {
                // Without the checksum, zeros at the end are still more than there should be.
                let error = refuses(command);
                assert!(error.contains("more in it than the state"), "{error}");
                continue;
            }
            let error = refuses(command);
            let skipped = command.len() > 5 && error.contains("is damaged");
            assert!(error.contains(part) || skipped, "{command:?}: {error}");
            assert!(error.contains(&file) && error.lines().count() == 1, "{error}");
        }
    }
    assert!(!Path::new(&target).exists(), "a refused backup leaves no directory");
    assert!(!directory.join("target.restoring").exists(), "nor half of one");
}

#[test]
fn data_is_never_overwritten_and_a_sum_may_be_skipped() {
    let saved = save();
    let target = saved.directory.path().join("target");
    let text = target.display().to_string();
    let restore = ["snapshot", "restore", saved.file(), "--data-dir", &text];
    std::fs::create_dir(&target).expect("create");
    says(&restore);
    let error = refuses(&restore);
    assert!(error.contains("is not empty: nothing is overwritten"), "{error}");
    std::fs::remove_dir_all(&target).expect("remove");
    std::fs::write(&target, "a file").expect("write");
    assert!(refuses(&restore).contains("is a file"));
    std::fs::remove_file(&target).expect("remove");
    // A restore that was cut short: its directory is named, not used.
    let draft = target.with_file_name("target.restoring");
    std::fs::create_dir(&draft).expect("create");
    let error = refuses(&restore);
    assert!(error.contains("target.restoring exists") && error.contains("remove"), "{error}");
    std::fs::remove_dir(&draft).expect("remove");
    // Only the checksum is wrong: that is what the flag is for.
    let mut bytes = std::fs::read(&saved.file).expect("saved");
    *bytes.last_mut().expect("a byte") ^= 1;
    std::fs::write(&saved.file, bytes).expect("write");
    assert!(refuses(&restore).contains("SHA-256"));
    says(&[&restore[..], &["--skip-hash-check"]].concat());
    assert!(target.join("meta").exists());
}

#[test]
fn etcdctl_saves_our_backups() {
    let version = Command::new("etcdctl").env("ETCDCTL_API", "3").arg("version").output();
    let Ok(version) = version else {
        println!("skipped: there is no etcdctl on this machine");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).replace('\n', ", ");
    println!("with {version}");
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let cluster = Cluster::start(directory.path(), places(1), "first");
    cluster.says(0, &["put", "k", "v"]);
    let file = directory.path().join("theirs.db").display().to_string();
    let saved = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &cluster.places[0].client, "snapshot", "save", &file])
        .output()
        .expect("it runs");
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    assert_eq!(status(&file), (2, 1));
}

/// The way in from etcd: its snapshot becomes a member; revisions jump, so that nobody who watched
/// the old cluster takes the new one's future for its past.
#[test]
fn a_snapshot_of_etcd_becomes_a_member() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/tests/fixtures/etcd-3.7.db");
    let file = path.display().to_string();
    assert_eq!(status(&file).0, 205);
    let places = places(1);
    let data = directory.path().join("n1").display().to_string();
    let text = says(
        &[
            &["snapshot", "restore", &file, "--data-dir", &data, "--name", "n1"][..],
            &["--initial-cluster", &initial_cluster(&places), "--initial-cluster-token", "new"],
            &["--initial-advertise-peer-urls", &places[0].peer],
        ]
        .concat(),
    );
    assert!(text.starts_with("Restored 46 keys at revision 1000000205 into "), "{text}");
    let cluster = Cluster::start(directory.path(), places, "new");
    assert_eq!(cluster.says(0, &["get", "k"]), "k\nfour\n");
    assert_eq!(cluster.says(0, &["lease", "list"]).lines().next(), Some("found 1 leases"));
    let old = ["get", "k", "--rev", "205", "--endpoints", &cluster.places[0].client];
    assert!(refuses(&old).contains("required revision has been compacted"));
    let put = cluster.says(0, &["put", "k", "five", "-w", "json"]);
    assert!(put.contains("\"revision\":1000000206"), "{put}");
    assert_eq!(cluster.says(0, &["get", "k", "--rev", "1000000205"]), "k\nfour\n");
}

/// Every file of a directory but its lock.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("list").map(|entry| entry.expect("entry")) {
        if entry.file_type().expect("type").is_dir() {
            found.extend(contents(&entry.path()));
        } else if entry.file_name() != "lock" {
            found.push((entry.path(), std::fs::read(entry.path()).expect("read")));
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_left_of_a_cluster_without_a_quorum_becomes_a_new_one() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = |name: &str| directory.path().join(name).display().to_string();
    let mut cluster = Cluster::start(directory.path(), places(3), "t");
    for key in 0..20 {
        cluster.says(0, &["put", &format!("k{key:02}"), "acknowledged"]);
    }
    let (saved, data) = (file("s.db"), file("n1"));
    let refused = refuses(&["snapshot", "save", &saved, "--data-dir", &data]);
    assert!(refused.contains("is in use by process"), "{refused}");
    // The third one has all of it by now. It falls behind, and the first two are lost in the middle of everything.
    cluster.says(2, &["get", "k19"]);
    for victim in [2, 0, 1] {
        cluster.processes[victim].kill().expect("kill");
        cluster.processes[victim].wait().expect("ended");
        if victim == 2 {
            // It may have led.
            cluster.says(0, &["put", "late", "acknowledged", "--command-timeout", "30s"]);
        }
    }
    let before = contents(Path::new(&data));
    let told = says(&["snapshot", "save", &saved, "--data-dir", &data]);
    assert!(told.contains("21 keys at revision 22"), "{told}");
    assert!(told.contains("the log of n1 ends at term"), "{told}");
    assert_eq!(contents(Path::new(&data)), before, "nothing was changed");
    let behind = says(&["snapshot", "save", &file("b.db"), "--data-dir", &file("n3")]);
    assert!(behind.contains("20 keys at revision 21"), "{behind}");
    for left in [".rescuing", ".part"] {
        assert!(!Path::new(&(saved.clone() + left)).exists(), "{left} is left");
    }

    let others = tempfile::tempdir().expect("temporary directory");
    let alone = places(1);
    restore(&saved, others.path(), &alone[0], &alone, "new");
    let alone = Cluster::start(others.path(), alone, "new");
    assert_eq!(alone.says(0, &["get", "late", "--print-value-only"]).trim(), "acknowledged");
    assert_eq!(
        alone
            .says(0, &["get", "k", "--prefix", "--count-only", "-w", "fields"])
            .lines()
            .find(|line| line.contains("Count")),
        Some("\"Count\" : 20")
    );
    assert_eq!(alone.says(0, &["put", "more", "1"]).trim(), "OK");
    drop(alone);
    // The lost machines are found after all: the old cluster is as it was.
    let again = Cluster::start(directory.path(), cluster.places.clone(), "t");
    assert_eq!(again.says(2, &["get", "late", "--print-value-only"]).trim(), "acknowledged");
}

#[test]
fn what_is_no_members_directory_is_not_rescued() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = |name: &str| directory.path().join(name).display().to_string();
    let refused = refuses(&["snapshot", "save", &file("s.db"), "--data-dir", &file("nosuch")]);
    assert!(refused.contains("nosuch is no data directory of a member"), "{refused}");
    std::fs::create_dir(file("empty")).expect("create");
    let refused = refuses(&["snapshot", "save", &file("s.db"), "--data-dir", &file("empty")]);
    assert!(refused.contains("it has no file"), "{refused}");
    assert_eq!(std::fs::read_dir(directory.path()).expect("list").count(), 1, "nothing was made");
}

/// Who could do what in etcd can do it here: users log in with their passwords, and roles allow what
/// they allowed.
#[test]
fn users_and_roles_of_etcd_come_along() {
    for version in ["3.4", "3.7"] {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let path = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = path.join(format!("../host/tests/fixtures/etcd-{version}-auth.db"));
        let places = places(1);
        let file = path.display().to_string();
        let said = restore(&file, directory.path(), &places[0], &places, "new");
        assert!(said.contains("\nUsers: 4, roles: 2; access control is on\n"), "{said}");
        let root = ["--user", "root:rootpw"];
        let cluster = Cluster::start_as(directory.path(), places, "new", &root);
        let as_user =
            |who: &str, words: &[&str]| cluster.says(0, &[words, &["--user", who]].concat());
        let refused = |who: &str, words: &[&str]| {
            let endpoint = ["--endpoints", &cluster.places[0].client];
            let who: &[&str] = if who.is_empty() { &[] } else { &["--user", who] };
            refuses(&[words, &endpoint, who].concat())
        };
        let status = as_user(root[1], &["auth", "status"]);
        assert_eq!(status, "Authentication Status: true\nAuthRevision: 18\n", "{version}");
        assert_eq!(as_user(root[1], &["user", "list"]), "alice\nbob\ncarol\nroot\n");
        assert_eq!(as_user(root[1], &["role", "list"]), "app\nidle\n");
        assert_eq!(as_user(root[1], &["user", "get", "alice"]), "User: alice\nRoles: app idle\n");
        let role = as_user(root[1], &["role", "get", "app"]);
        for part in ["[app/, app0) (prefix app/)", "cfg/x", "[drop/, drop0) (prefix drop/)"] {
            assert!(role.contains(part), "{role}");
        }
        let alice = "alice:alicepw";
        assert_eq!(as_user(alice, &["get", "app/a"]), "app/a\n1\n");
        assert_eq!(as_user(alice, &["put", "app/b", "2"]), "OK\n");
        assert_eq!(as_user(alice, &["get", "zoo", "--from-key"]), "", "her other role");
        let denied = "permission denied";
        assert!(refused(alice, &["put", "cfg/x", "3"]).contains(denied));
        assert!(refused(alice, &["get", "app0"]).contains(denied), "the end of a range is outside");
        assert!(refused(alice, &["user", "list"]).contains(denied));
        assert!(refused("carol:carolpw", &["get", "app/a"]).contains(denied), "she has no role");
        for (who, why) in [
            ("carol:oldpw", "invalid user ID or password"),
            ("gone:pw", "invalid user ID or password"),
            ("bob:any", "password was given for no password user"),
        ] {
            let words = ["get", "app/a", "--endpoints", &cluster.places[0].client, "--user", who];
            let output = quorate(&words);
            let said = String::from_utf8_lossy(&output.stderr);
            // Who cannot log in has no connection.
            assert_eq!(output.status.code(), Some(2), "{who}: {said}");
            assert!(said.contains(why), "{who}: {said}");
        }
        assert!(refused("", &["get", "app/a"]).contains("user name is empty"));
        // What comes later is ours, and lasts.
        as_user(root[1], &["role", "grant-permission", "idle", "readwrite", "new"]);
        assert_eq!(as_user(alice, &["put", "new", "1"]), "OK\n");
    }
}
