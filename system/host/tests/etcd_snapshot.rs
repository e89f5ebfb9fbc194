//! Snapshots that real etcd saved, read back: what the fixtures hold is told in `fixtures/README.md`.

use quorate_base::Dice;
use quorate_host::backup::BackupError;
use quorate_host::etcd::{Contents, EtcdFile};
use quorate_host::offline::Source;
use quorate_store::{Allows, Applier, KeyRange, KeyValue, MemEngine, MemView, Range, View};
use std::io::Write;
use std::path::{Path, PathBuf};

const VERSIONS: [&str; 2] = ["3.4", "3.7"];

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/etcd-{version}.db"))
}

fn go_on(_done: u64, _all: u64) -> bool {
    true
}

fn imported(version: &str) -> (Applier<MemEngine>, View<MemView>) {
    let file = EtcdFile::open(&fixture(version)).expect("a snapshot");
    let mut applier = file.import(MemEngine::default(), &mut go_on).expect("whole");
    let view = applier.publish().expect("memory does not fail").view;
    (applier, view)
}

/// Key, value, and creation, modification and version of all pairs at a revision.
fn pairs(view: &View<MemView>, revision: i64) -> Vec<String> {
    let range = KeyRange { key: "\0".into(), end: "\0".into() };
    let answer = view.range(&Range { range, revision, ..Range::default() }).expect("readable");
    assert_eq!(answer.count as usize, answer.kvs.len(), "the count at {revision}");
    let text = |pair: &KeyValue| {
        let (key, value) =
            (String::from_utf8_lossy(&pair.key), String::from_utf8_lossy(&pair.value));
        let KeyValue { create_revision, mod_revision, version, .. } = pair;
        format!("{key}={value} {create_revision} {mod_revision} {version}")
    };
    answer.kvs.iter().map(text).collect()
}

#[test]
fn what_etcd_saved_is_there_at_every_revision_that_it_kept() {
    for version in VERSIONS {
        let (_, view) = imported(version);
        assert_eq!((view.revision(), view.compacted(), view.keys()), (205, 6, 46), "{version}");
        let at = |revision| pairs(&view, revision);
        assert_eq!(at(6), ["k=two 5 6 2", "old/1=v1 2 2 1", "old/2=v2 3 3 1", "old/3=v3 4 4 1"]);
        assert_eq!(at(8), ["k=three 5 8 3", "old/1=v1 2 2 1", "old/3=v3 4 4 1"]);
        assert_eq!(at(10), ["k=four 5 9 4", "old/3=v3 4 4 1"]);
        let after = ["k=four 5 9 4", "old/1=again 11 11 1", "t/a=1 12 12 1", "t/b=2 12 12 1"];
        assert_eq!(at(12), after);
        assert_eq!(at(164).len(), 6 + 150);
        assert_eq!(at(165).len(), 6);
        assert_eq!(at(205).len(), 46);
        let [lease] = view.leases().expect("readable")[..] else { panic!("one lease") };
        assert_eq!(lease.ttl, 3_600);
        let range = KeyRange { key: "leased/x".into(), end: "".into() };
        let answer = view.range(&Range { range, ..Range::default() }).expect("readable");
        assert_eq!(answer.kvs[0].lease, lease.id);
    }
}

#[test]
fn both_versions_come_to_the_same_pairs() {
    let (_, old) = imported("3.4");
    let (_, new) = imported("3.7");
    for revision in 6..=205 {
        assert_eq!(pairs(&old, revision), pairs(&new, revision), "revision {revision}");
    }
}

#[test]
fn the_checksum_and_the_contents_are_told() {
    for version in VERSIONS {
        let mut source = Source::open(&fixture(version)).expect("a snapshot");
        source.verify(&mut go_on).expect("whole");
        let Source::Etcd(file) = source else { panic!("it is etcd's") };
        let Contents { revision, compacted, users, roles, .. } =
            file.contents(&mut go_on).expect("whole");
        assert_eq!((revision, compacted, users, roles), (205, 6, 1, 1));
        let interrupted = file.contents(&mut |_, _| false);
        assert!(matches!(interrupted, Err(BackupError::Interrupted)), "{interrupted:?}");
    }
}

/// The users, roles and permissions that two versions of etcd wrote, read back.
#[test]
fn users_and_roles_are_read_as_they_were() {
    for version in VERSIONS {
        let file = EtcdFile::open(&fixture(&format!("{version}-auth"))).expect("a snapshot");
        let mut applier = file.import(MemEngine::default(), &mut go_on).expect("whole");
        let view = applier.publish().expect("memory does not fail").view;
        let auth = view.auth();
        assert!(auth.enabled(), "{version}");
        assert_eq!(auth.revision(), 18, "{version}");
        let names = auth.users().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(names.collect::<Vec<_>>(), ["alice", "bob", "carol", "root"]);
        let user = |name: &str| auth.user(name.as_bytes()).expect("a user");
        let roles =
            |name: &str| user(name).roles.iter().map(|role| role.to_vec()).collect::<Vec<_>>();
        assert_eq!(roles("alice"), [b"app".to_vec(), b"idle".to_vec()]);
        assert_eq!(roles("carol"), Vec::<Vec<u8>>::new());
        assert!(user("root").is_root());
        assert_eq!(user("bob").password, None, "a certificate speaks for him");
        let hash = user("carol").password.as_ref().expect("a hash");
        assert!(hash.starts_with(b"$2a$04$") && hash.len() == 60, "{hash:?}");
        let range =
            |key: &'static str, end: &'static str| KeyRange { key: key.into(), end: end.into() };
        let app = auth.role(b"app").expect("a role");
        let expected = [
            (range("app/", "app0"), Allows::ReadWrite),
            (range("cfg/x", ""), Allows::Read),
            (range("drop/", "drop0"), Allows::Write),
        ];
        assert_eq!(app, &expected.into_iter().collect());
        let idle = auth.role(b"idle").expect("a role");
        assert_eq!(idle, &[(range("from/", "\0"), Allows::Read)].into_iter().collect());
        let contents = file.contents(&mut go_on).expect("whole");
        assert_eq!((contents.users, contents.roles), (4, 2));
    }
}

/// Whatever the bytes are, the answer is a state or a sentence; and a file with its checksum is
/// never taken when it was changed.
#[test]
fn damaged_files_are_refused_or_read_but_never_panic() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("damaged.db");
    let mut dice = Dice::new(17);
    let mut refused = 0;
    for version in ["3.4", "3.7", "3.4-auth", "3.7-auth"] {
        let whole = std::fs::read(fixture(version)).expect("the fixture");
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..=dice.below(6) {
                let at = match dice.below(2) {
                    // Heads of pages are where structure lies.
                    0 => 4_096 * dice.below(bytes.len() as u64 / 4_096) + dice.below(96),
                    _ => dice.below(bytes.len() as u64),
                };
                bytes[at as usize] = dice.next_u64() as u8;
            }
            if dice.below(5) == 0 {
                bytes.truncate(dice.below(bytes.len() as u64) as usize);
            }
            let changed = bytes != whole;
            std::fs::File::create(&path).and_then(|mut f| f.write_all(&bytes)).expect("written");
            let Ok(mut source) = Source::open(&path) else {
                refused += 1;
                continue;
            };
            assert!(!changed || source.verify(&mut go_on).is_err(), "a changed file passes");
            if let Source::Etcd(file) = source {
                let contents = file.contents(&mut go_on).is_ok();
                let import = file.import(MemEngine::default(), &mut go_on);
                refused += u32::from(!contents || import.is_err());
            }
        }
    }
    assert!(refused > 100, "the damage is mostly seen: {refused}");
}
