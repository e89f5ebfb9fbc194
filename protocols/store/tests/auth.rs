//! Rights against a naive evaluator that knows keys, not ranges.
//!
//! The universe of keys is small and every role is a set of keys in it, computed key by key; a
//! request is allowed when every key that it could touch is in the right set. The store under test
//! knows only ranges. Whatever they disagree about is a hole or a wall. The ordinary run is
//! 40,000 requests; `QUORATE_RBAC_REQUESTS=1000000` makes it a million.

mod common;

use bytes::Bytes;
use common::*;
use quorate_base::Dice;
use quorate_store::*;
use std::collections::{BTreeMap, BTreeSet};

/// Every key that a request of these tests can name, and one beyond each end.
fn universe() -> Vec<Bytes> {
    let letters = [0, b'a', b'b', b'c', 0xff];
    let mut all: Vec<Bytes> = letters.iter().map(|letter| Bytes::from(vec![*letter])).collect();
    for first in letters {
        all.extend(letters.iter().map(|second| Bytes::from(vec![first, *second])));
        all.push(Bytes::from(vec![first, b'a', b'a']));
        all.push(Bytes::from(vec![first, b'a', 0]));
        all.push(Bytes::from(vec![first, 0, 0]));
        all.push(Bytes::from(vec![first, b'b', 0]));
        all.push(Bytes::from(vec![first, b'c', 0]));
        all.push(Bytes::from(vec![first, 0xff, 0]));
    }
    all.sort();
    all.dedup();
    all
}

fn key(dice: &mut Dice) -> Bytes {
    let letters = [0, b'a', b'b', b'c', 0xff];
    let len = 1 + dice.below(2);
    (0..len).map(|_| letters[dice.below(5) as usize]).collect()
}

fn span(dice: &mut Dice) -> KeyRange {
    let first = key(dice);
    let end = match dice.below(6) {
        0 => Bytes::from_static(&[0]),
        1 | 2 => Bytes::new(),
        _ => key(dice),
    };
    KeyRange { key: first, end }
}

/// What a user may do, key by key; the last entry of each is "beyond every key".
#[derive(Clone, Default)]
struct Naive {
    root: bool,
    read: BTreeSet<Bytes>,
    write: BTreeSet<Bytes>,
    read_tail: bool,
    write_tail: bool,
}

/// The naive evaluator: roles as they were granted, nothing merged.
struct World {
    universe: Vec<Bytes>,
    users: BTreeMap<Bytes, BTreeSet<Bytes>>,
    roles: BTreeMap<Bytes, BTreeMap<KeyRange, Allows>>,
    leases: BTreeMap<i64, BTreeSet<Bytes>>,
    revision: u64,
}

impl World {
    fn rights(&self, user: &Bytes) -> Option<Naive> {
        let roles = self.users.get(user)?;
        let mut all = Naive { root: roles.contains(ROOT), ..Naive::default() };
        let granted = roles.iter().filter_map(|role| self.roles.get(role)).flatten();
        for (range, allows) in granted {
            let keys = self.universe.iter().filter(|key| range.contains(key)).cloned();
            if matches!(allows, Allows::Read | Allows::ReadWrite) {
                all.read.extend(keys.clone());
                all.read_tail |= range.is_unbounded();
            }
            if matches!(allows, Allows::Write | Allows::ReadWrite) {
                all.write.extend(keys);
                all.write_tail |= range.is_unbounded();
            }
        }
        Some(all)
    }

    fn allows(
        &self,
        user: &Bytes,
        revision: u64,
        range: &KeyRange,
        write: bool,
    ) -> Result<(), AuthError> {
        if revision < self.revision {
            return Err(AuthError::OldRevision);
        }
        let rights = self.rights(user).ok_or(AuthError::PermissionDenied)?;
        let (held, tail) = if write {
            (&rights.write, rights.write_tail)
        } else {
            (&rights.read, rights.read_tail)
        };
        let mut touched: Vec<&Bytes> =
            self.universe.iter().filter(|key| range.contains(key)).collect();
        if touched.is_empty() {
            // A range without keys counts as its first key.
            touched.push(&range.key);
        }
        let covered =
            touched.iter().all(|key| held.contains(*key)) && (!range.is_unbounded() || tail);
        if rights.root || covered { Ok(()) } else { Err(AuthError::PermissionDenied) }
    }

    fn lease(&self, user: &Bytes, revision: u64, id: i64) -> Result<(), AuthError> {
        if self.rights(user).is_some_and(|rights| rights.root) {
            return Ok(());
        }
        let mut keys = self.leases.get(&id).into_iter().flatten();
        keys.try_for_each(|key| self.allows(user, revision, &KeyRange::single(key.clone()), true))
    }

    fn put(&self, user: &Bytes, revision: u64, put: &Put) -> Result<(), AuthError> {
        let one = KeyRange::single(put.key.clone());
        self.allows(user, revision, &one, true)?;
        self.lease(user, revision, put.lease)?;
        if put.prev_kv { self.allows(user, revision, &one, false) } else { Ok(()) }
    }

    fn txn(&self, user: &Bytes, revision: u64, txn: &Txn) -> Result<(), AuthError> {
        for compare in &txn.compares {
            self.allows(user, revision, &compare.range, false)?;
        }
        for branch in [&txn.success, &txn.failure] {
            for op in branch {
                match op {
                    TxnOp::Range(range) => self.allows(user, revision, &range.range, false)?,
                    TxnOp::Put(put) => self.put(user, revision, put)?,
                    TxnOp::Delete(delete) => self.delete(user, revision, delete)?,
                    TxnOp::Txn(nested) => self.txn(user, revision, nested)?,
                }
            }
        }
        Ok(())
    }

    fn delete(&self, user: &Bytes, revision: u64, delete: &Delete) -> Result<(), AuthError> {
        self.allows(user, revision, &delete.range, true)?;
        if delete.prev_kv { self.allows(user, revision, &delete.range, false) } else { Ok(()) }
    }

    fn judge(&self, user: &Bytes, revision: u64, action: &Action) -> Result<(), AuthError> {
        match action {
            Action::Put(put) => self.put(user, revision, put),
            Action::Delete(delete) => self.delete(user, revision, delete),
            Action::Txn(txn) => self.txn(user, revision, txn),
            Action::LeaseRevoke { id, .. } => self.lease(user, revision, *id),
            other => panic!("not in these tests: {other:?}"),
        }
    }
}

fn some_put(dice: &mut Dice) -> Put {
    let lease = if dice.below(3) == 0 { 1 + dice.below(3) as i64 } else { 0 };
    Put { key: key(dice), lease, prev_kv: dice.below(3) == 0, ..Put::default() }
}

fn some_txn(dice: &mut Dice, depth: u64) -> Txn {
    let compare = |dice: &mut Dice| Compare {
        range: span(dice),
        result: CompareResult::NotEqual,
        target: CompareTarget::Version(dice.below(3) as i64),
    };
    let op = |dice: &mut Dice| match dice.below(if depth == 0 { 3 } else { 4 }) {
        0 => TxnOp::Put(some_put(dice)),
        1 => TxnOp::Range(Range { range: span(dice), ..Range::default() }),
        2 => TxnOp::Delete(Delete { range: span(dice), prev_kv: dice.below(3) == 0 }),
        _ => TxnOp::Txn(some_txn(dice, depth - 1)),
    };
    Txn {
        compares: (0..dice.below(2)).map(|_| compare(dice)).collect(),
        success: (0..dice.below(3)).map(|_| op(dice)).collect(),
        failure: (0..dice.below(2)).map(|_| op(dice)).collect(),
    }
}

fn request(dice: &mut Dice) -> Action {
    match dice.below(8) {
        0..=2 => Action::Put(some_put(dice)),
        3 | 4 => Action::Delete(Delete { range: span(dice), prev_kv: dice.below(2) == 0 }),
        5 => Action::LeaseRevoke { id: 1 + dice.below(3) as i64, term: None },
        _ => Action::Txn(some_txn(dice, 2)),
    }
}

/// A state with random roles and the same in the naive world.
fn world(dice: &mut Dice) -> (Store, World) {
    let mut store = fresh();
    let auth = |store: &mut Store, change| drop(done(store, Action::Auth(change)));
    let name = |prefix: &str, number: u64| Bytes::from(format!("{prefix}{number}"));
    let mut world = World {
        universe: universe(),
        users: BTreeMap::new(),
        roles: BTreeMap::new(),
        leases: BTreeMap::new(),
        revision: 0,
    };
    for number in 0..3 {
        let role = name("r", number);
        auth(&mut store, AuthChange::RoleAdd { role: role.clone() });
        let permissions = world.roles.entry(role.clone()).or_default();
        for _ in 0..dice.below(5) {
            let range = span(dice);
            if !range.is_single() && !range.is_unbounded() && range.key >= range.end {
                continue;
            }
            let allows = [Allows::Read, Allows::Write, Allows::ReadWrite][dice.below(3) as usize];
            permissions.insert(range.clone(), allows);
            let grant = Grant { range, allows };
            auth(&mut store, AuthChange::RoleGrant { role: role.clone(), grant });
        }
    }
    for number in 0..3 {
        let user = name("u", number);
        auth(&mut store, AuthChange::UserAdd { user: user.clone(), password: None });
        world.users.entry(user.clone()).or_default();
        for role in 0..3 {
            if dice.below(2) == 0 {
                let role = name("r", role);
                world.users.get_mut(&user).expect("just added").insert(role.clone());
                auth(&mut store, AuthChange::UserGrantRole { user: user.clone(), role });
            }
        }
    }
    let root = Bytes::from_static(ROOT);
    auth(&mut store, AuthChange::UserAdd { user: root.clone(), password: None });
    auth(&mut store, AuthChange::UserGrantRole { user: root.clone(), role: root.clone() });
    world.users.insert(root.clone(), BTreeSet::from([root]));
    for id in 1..=2 {
        done(&mut store, Action::LeaseGrant { id, ttl: 60 });
        for _ in 0..dice.below(3) {
            let key = key(dice);
            done(&mut store, Action::Put(Put { key: key.clone(), lease: id, ..Put::default() }));
            for keys in world.leases.values_mut() {
                keys.remove(&key);
            }
            world.leases.entry(id).or_default().insert(key);
        }
    }
    auth(&mut store, AuthChange::Enable);
    world.revision = view(&mut store).auth().revision();
    (store, world)
}

fn random_caller(dice: &mut Dice, world: &World) -> (Bytes, u64) {
    let user = match dice.below(12) {
        0 => Bytes::from_static(b"stranger"),
        1 => Bytes::from_static(ROOT),
        _ => Bytes::from(format!("u{}", dice.below(3))),
    };
    let revision = world.revision - u64::from(dice.below(20) == 0);
    (user, revision)
}

#[test]
fn rights_are_those_of_a_naive_evaluator() {
    let wanted: u64 = std::env::var("QUORATE_RBAC_REQUESTS")
        .map_or(40_000, |count| count.parse().expect("a number of requests"));
    let mut dice = Dice::new(14_571);
    let (mut asked, mut allowed, mut old, mut denied, mut alarmed) = (0, 0, 0, 0, 0);
    while asked < wanted {
        let (store, mut naive) = world(&mut dice);
        let mut store = store;
        let alarm = match dice.below(4) {
            0 => Some(AlarmKind::NoSpace),
            1 => Some(AlarmKind::Corrupt),
            _ => None,
        };
        if let Some(kind) = alarm {
            let raise = Action::Alarm { raise: true, member: 1, kind };
            let command =
                Command { caller: Caller::member(), ..Command::new(OpId::default(), raise) };
            let (index, term) = store.applied();
            store.apply(index + 1, term.max(1), Some(&command)).unwrap();
        }
        for _ in 0..60 {
            asked += 1;
            let (user, auth_revision) = random_caller(&mut dice, &naive);
            let action = request(&mut dice);
            let expected = naive.judge(&user, auth_revision, &action);
            let before = store.revision();
            let caller = Caller { user: User::Named(user), auth_revision, fences: Vec::new() };
            let command = Command { caller, ..Command::new(OpId::default(), action) };
            let (index, term) = store.applied();
            let outcome = store.apply(index + 1, term.max(1), Some(&command)).unwrap().unwrap();
            let takes_space = touch::puts(&command.action);
            let stopped = match alarm {
                Some(AlarmKind::Corrupt) => Some(StoreError::Corrupt),
                Some(AlarmKind::NoSpace) if takes_space => Some(StoreError::NoSpace),
                Some(AlarmKind::NoSpace) | None => None,
            };
            match (stopped, expected) {
                (Some(stopped), _) => {
                    assert_eq!(outcome.result, Err(stopped), "{command:?}");
                    alarmed += 1;
                }
                (None, Err(error)) => {
                    assert_eq!(outcome.result, Err(StoreError::Auth(error)), "{command:?}");
                    if error == AuthError::OldRevision { old += 1 } else { denied += 1 }
                }
                (None, Ok(())) => {
                    let by_auth = matches!(outcome.result, Err(StoreError::Auth(_)));
                    assert!(!by_auth, "{command:?}: {:?}", outcome.result);
                    allowed += 1;
                }
            }
            if matches!(outcome.result, Err(StoreError::Auth(_) | StoreError::Corrupt)) {
                assert_eq!(store.revision(), before, "what is refused changes nothing");
            } else {
                // What was done moved keys between leases: the naive world looks.
                let view = view(&mut store);
                for id in 1..=3 {
                    let keys = view.lease_keys(id).unwrap().into_iter().collect();
                    naive.leases.insert(id, keys);
                }
            }
        }
    }
    println!(
        "{asked} requests: {allowed} allowed, {denied} denied, {old} old, {alarmed} under alarms"
    );
    for count in [allowed, denied, old, alarmed] {
        assert!(count > wanted / 200, "every kind of answer is met often: {count} of {wanted}");
    }
}

fn change(store: &mut Store, change: AuthChange) -> Result<Answer, AuthError> {
    match apply(store, Action::Auth(change)).result {
        Ok(answer) => Ok(answer),
        Err(StoreError::Auth(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_odd_rules_of_users_and_roles() {
    let mut store = fresh();
    let (root, user, role) = (b("root"), b("u"), b("r"));
    let auth = |store: &mut Store, what| change(store, what).map(|_| ());
    assert_eq!(auth(&mut store, AuthChange::Enable), Err(AuthError::RootUserNotExist));
    let password = Some(b("hash"));
    let add = |user: &Bytes| AuthChange::UserAdd { user: user.clone(), password: password.clone() };
    assert_eq!(auth(&mut store, add(&root)), Ok(()));
    assert_eq!(auth(&mut store, add(&root)), Err(AuthError::UserExists));
    assert_eq!(auth(&mut store, add(&b(""))), Err(AuthError::UserEmpty));
    assert_eq!(auth(&mut store, AuthChange::Enable), Err(AuthError::RootRoleNotExist));
    let grant = |user: &Bytes, role: &Bytes| AuthChange::UserGrantRole {
        user: user.clone(),
        role: role.clone(),
    };
    // The role root can be granted before it exists.
    assert_eq!(auth(&mut store, grant(&root, &root)), Ok(()));
    assert_eq!(auth(&mut store, grant(&root, &role)), Err(AuthError::RoleNotFound));
    let before = view(&mut store).auth().revision();
    assert_eq!(auth(&mut store, grant(&root, &root)), Ok(()), "twice is fine");
    assert_eq!(auth(&mut store, AuthChange::Enable), Ok(()));
    assert_eq!(view(&mut store).auth().revision(), before, "neither of the two counts");
    // From here on nobody may do anything without being root.
    assert_eq!(auth(&mut store, add(&user)), Err(AuthError::UserEmpty));
    let as_root = |store: &mut Store, what| {
        let auth_revision = view(store).auth().revision();
        let caller = Caller { user: User::Named(b("root")), auth_revision, fences: Vec::new() };
        let command = Command { caller, ..Command::new(OpId::default(), Action::Auth(what)) };
        let (index, term) = store.applied();
        store.apply(index + 1, term.max(1), Some(&command)).unwrap().unwrap().result.map(|_| ())
    };
    let refused = |error| Err(StoreError::Auth(error));
    let mismanaged = refused(AuthError::InvalidManagement);
    assert_eq!(as_root(&mut store, AuthChange::UserDelete { user: root.clone() }), mismanaged);
    assert_eq!(as_root(&mut store, AuthChange::RoleDelete { role: root.clone() }), mismanaged);
    let ungrant = AuthChange::UserRevokeRole { user: root.clone(), role: root.clone() };
    assert_eq!(as_root(&mut store, ungrant), mismanaged);
    let bad = Grant { range: KeyRange { key: b("b"), end: b("a") }, allows: Allows::Read };
    as_root(&mut store, AuthChange::RoleAdd { role: role.clone() }).unwrap();
    let bad = AuthChange::RoleGrant { role: role.clone(), grant: bad };
    assert_eq!(as_root(&mut store, bad), mismanaged);
    let revoke = AuthChange::RoleRevoke { role: role.clone(), range: KeyRange::single(b("x")) };
    assert_eq!(as_root(&mut store, revoke), refused(AuthError::PermissionNotGranted));
    as_root(&mut store, AuthChange::UserAdd { user: user.clone(), password: None }).unwrap();
    as_root(&mut store, grant(&user, &role)).unwrap();
    as_root(&mut store, AuthChange::RoleDelete { role: role.clone() }).unwrap();
    assert!(view(&mut store).auth().user(b"u").unwrap().roles.is_empty(), "taken from its holders");
    let login = AuthChange::Authenticate { user, token: None };
    assert_eq!(as_root(&mut store, login), refused(AuthError::Failed), "it has no password");
}

#[test]
fn users_and_roles_travel_with_a_snapshot_and_are_part_of_the_fingerprint() {
    let mut dice = Dice::new(3);
    let (mut store, _) = world(&mut dice);
    let from = view(&mut store);
    let mut installer = Installer::new(MemEngine::new()).unwrap();
    let mut cursor = None;
    loop {
        let chunk = from.chunk(cursor.as_deref(), 300).unwrap();
        cursor = Some(chunk.cursor);
        if installer.push(&chunk.data).unwrap() {
            break;
        }
    }
    let mut copy = installer.finish(Options::default()).unwrap();
    let to = view(&mut copy);
    assert_eq!(to.auth(), from.auth());
    assert_eq!(to.hash().unwrap(), from.hash().unwrap());
    assert!(to.auth().enabled());
    let other = {
        let caller = Caller::member();
        let off = Action::Auth(AuthChange::Disable);
        let command = Command { caller, ..Command::new(OpId::default(), off) };
        let (index, term) = copy.applied();
        copy.apply(index + 1, term, Some(&command)).unwrap();
        view(&mut copy)
    };
    assert_ne!(other.hash().unwrap(), from.hash().unwrap());
}

#[test]
fn a_login_issues_a_token_named_after_its_place_and_a_stale_check_is_refused() {
    let mut dice = Dice::new(5);
    let (mut store, naive) = world(&mut dice);
    let login = |store: &mut Store, auth_revision| {
        let change = AuthChange::Authenticate { user: b("root"), token: Some(b("secret")) };
        let caller = Caller { auth_revision, ..Caller::default() };
        let command = Command { caller, ..Command::new(OpId::default(), Action::Auth(change)) };
        let (index, term) = store.applied();
        store.apply(index + 1, term, Some(&command)).unwrap().unwrap().result
    };
    assert_eq!(login(&mut store, naive.revision), Err(StoreError::Auth(AuthError::Failed)));
    let password = AuthChange::UserAdd { user: b("p"), password: Some(b("hash")) };
    let command = Command {
        caller: Caller::member(),
        ..Command::new(OpId::default(), Action::Auth(password))
    };
    let (index, term) = store.applied();
    store.apply(index + 1, term, Some(&command)).unwrap();
    let change = AuthChange::Authenticate { user: b("p"), token: Some(b("secret")) };
    let at = |auth_revision| Command {
        caller: Caller { auth_revision, ..Caller::default() },
        ..Command::new(OpId::default(), Action::Auth(change.clone()))
    };
    let stale = store.apply(index + 2, term, Some(&at(naive.revision))).unwrap().unwrap();
    assert_eq!(stale.result, Err(StoreError::Auth(AuthError::OldRevision)));
    let revision = naive.revision + 1;
    let good = store.apply(index + 3, term, Some(&at(revision))).unwrap().unwrap();
    let token = Bytes::from(format!("secret.{}", index + 3));
    let answer = Answer::Authenticate { token: Some(token.clone()), revision };
    assert_eq!(good.result, Ok(answer));
    let published = store.publish().unwrap();
    assert_eq!(published.tokens.last(), Some(&TokenChange::Issued { user: b("p"), token }));
}
