//! Commands of the store from the words of a story.

use crate::Fallible;
use crate::args::Args;
use quorate_store::{
    Action, AlarmKind, Allows, AuthChange, Caller, Compare, CompareResult, CompareTarget, Delete,
    Fence, Grant, GuardChange, KeyRange, Put, Range, SortOrder, SortTarget, Txn, TxnOp, User,
};

fn bytes(word: &str) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(word.as_bytes())
}

/// `a` is one key, `a z` a range, `all` every key.
fn key_range(words: &[&str]) -> Fallible<KeyRange> {
    match words {
        ["all"] => Ok(KeyRange::all()),
        [key] => Ok(KeyRange::single(bytes(key))),
        [key, end] => Ok(KeyRange { key: bytes(key), end: bytes(end) }),
        _ => Err(format!("{words:?} are no keys: write `a`, `a z` or `all`").into()),
    }
}

/// The keys that the words from a place on name.
pub(super) fn keys(args: &Args, from: usize) -> Fallible<KeyRange> {
    let words: Vec<&str> = args.words().skip(from).collect();
    key_range(&words)
}

/// What a writing verb does.
pub(super) fn action(args: &Args) -> Fallible<Action> {
    let flag = |name: &str| args.key::<bool>(name).map(Option::unwrap_or_default);
    Ok(match args.command.name.as_str() {
        "put" => Action::Put(Put {
            key: bytes(args.word(0)?),
            value: bytes(args.word(1).unwrap_or("")),
            lease: args.key("lease")?.unwrap_or(0),
            prev_kv: flag("prev")?,
            ignore_value: flag("ignore_value")?,
            ignore_lease: flag("ignore_lease")?,
        }),
        "del" => Action::Delete(Delete { range: keys(args, 0)?, prev_kv: flag("prev")? }),
        "txn" => Action::Txn(txn(args)?),
        "compact" => Action::Compact { revision: args.number(0)? },
        "grant" => Action::LeaseGrant { id: args.number(0)?, ttl: args.number(1)? },
        "revoke" => Action::LeaseRevoke { id: args.number(0)?, term: args.key("by")? },
        "alarm" => {
            let raise = args.word(0)? == "on";
            Action::Alarm { raise, member: 1, kind: AlarmKind::NoSpace }
        }
        "auth" => Action::Auth(auth(args)?),
        "guard" => Action::Guard(GuardChange::Set {
            prefix: bytes(args.word(0)?),
            lock: bytes(&args.key::<String>("by")?.ok_or("by which lock?")?),
        }),
        "unguard" => Action::Guard(GuardChange::Remove { prefix: bytes(args.word(0)?) }),
        other => return Err(format!("`{other}` writes nothing").into()),
    })
}

/// `auth on`, `auth login USER TOKEN`, `auth user USER`, `auth grant USER ROLE`, `auth role ROLE`,
/// `auth allow ROLE read|write|readwrite KEYS` and their opposites.
fn auth(args: &Args) -> Fallible<AuthChange> {
    let words: Vec<&str> = args.words().collect();
    Ok(match words.as_slice() {
        ["on"] => AuthChange::Enable,
        ["off"] => AuthChange::Disable,
        ["login", user, token] => {
            AuthChange::Authenticate { user: bytes(user), token: Some(bytes(token)) }
        }
        ["user", user] => AuthChange::UserAdd { user: bytes(user), password: Some(bytes("hash")) },
        ["nouser", user] => AuthChange::UserDelete { user: bytes(user) },
        ["grant", user, role] => AuthChange::UserGrantRole { user: bytes(user), role: bytes(role) },
        ["ungrant", user, role] => {
            AuthChange::UserRevokeRole { user: bytes(user), role: bytes(role) }
        }
        ["role", role] => AuthChange::RoleAdd { role: bytes(role) },
        ["norole", role] => AuthChange::RoleDelete { role: bytes(role) },
        ["allow", role, allows, keys @ ..] => {
            let allows = match *allows {
                "read" => Allows::Read,
                "write" => Allows::Write,
                "readwrite" => Allows::ReadWrite,
                other => return Err(format!("`{other}` is no permission").into()),
            };
            let grant = Grant { range: key_range(keys)?, allows };
            AuthChange::RoleGrant { role: bytes(role), grant }
        }
        ["disallow", role, keys @ ..] => {
            AuthChange::RoleRevoke { role: bytes(role), range: key_range(keys)? }
        }
        _ => return Err(format!("{words:?} changes no users and no roles").into()),
    })
}

/// Who a command names: `as=user@revision` or `as=user`, which is at the newest auth revision.
pub(super) fn caller(args: &Args, newest: u64) -> Fallible<Caller> {
    let fences = fences(args)?;
    let Some(name) = args.key::<String>("as")? else {
        return Ok(Caller { fences, ..Caller::default() });
    };
    let (name, auth_revision) = match name.split_once('@') {
        Some((name, revision)) => (name.to_owned(), revision.parse()?),
        None => (name, newest),
    };
    Ok(Caller { user: User::Named(name.into()), auth_revision, fences })
}

/// The tokens that a command carries: `fence=lock:5,other:7`.
fn fences(args: &Args) -> Fallible<Vec<Fence>> {
    let text = args.key::<String>("fence")?.unwrap_or_default();
    let mut fences = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let (lock, token) = word.rsplit_once(':').ok_or("write fence=LOCK:TOKEN")?;
        fences.push(Fence { lock: bytes(lock), token: token.parse()? });
    }
    Ok(fences)
}

fn txn(args: &Args) -> Fallible<Txn> {
    let mut txn = Txn::default();
    let mut part = "if";
    for word in args.words() {
        match (word, part) {
            ("then" | "else", _) => part = word,
            (_, "if") => txn.compares.push(compare(word)?),
            (_, "then") => txn.success.push(operation(word)?),
            _ => txn.failure.push(operation(word)?),
        }
    }
    Ok(txn)
}

fn compare(text: &str) -> Fallible<Compare> {
    let words: Vec<&str> = text.split(' ').collect();
    let [field, key, relation, operand] = words.as_slice() else {
        return Err(format!("`{text}` is no comparison: write `mod a = 2`").into());
    };
    let result = match *relation {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        other => return Err(format!("`{other}` is no relation").into()),
    };
    let target = match *field {
        "mod" => CompareTarget::Mod(operand.parse()?),
        "create" => CompareTarget::Create(operand.parse()?),
        "version" => CompareTarget::Version(operand.parse()?),
        "lease" => CompareTarget::Lease(operand.parse()?),
        "value" => CompareTarget::Value(bytes(operand)),
        other => return Err(format!("a key has no `{other}`").into()),
    };
    Ok(Compare { range: key_range(&[key])?, result, target })
}

fn operation(text: &str) -> Fallible<TxnOp> {
    let words: Vec<&str> = text.split(' ').collect();
    Ok(match words.as_slice() {
        ["put", key, value] => {
            TxnOp::Put(Put { key: bytes(key), value: bytes(value), ..Put::default() })
        }
        ["put", key, value, "lease", lease] => TxnOp::Put(Put {
            key: bytes(key),
            value: bytes(value),
            lease: lease.parse()?,
            ..Put::default()
        }),
        // One operation in a transaction of its own, which may hold another one in turn.
        ["txn", ..] => {
            let inner = operation(text.trim_start_matches("txn").trim_start())?;
            TxnOp::Txn(Txn { success: vec![inner], ..Txn::default() })
        }
        ["del", keys @ ..] => TxnOp::Delete(Delete { range: key_range(keys)?, prev_kv: false }),
        ["get", keys @ .., at] if at.starts_with("rev=") => {
            let revision = at.trim_start_matches("rev=").parse()?;
            TxnOp::Range(Range { range: key_range(keys)?, revision, ..Range::default() })
        }
        ["get", keys @ ..] => TxnOp::Range(Range { range: key_range(keys)?, ..Range::default() }),
        _ => return Err(format!("`{text}` is no operation").into()),
    })
}

/// What `range` asks.
pub(super) fn range(args: &Args) -> Fallible<Range> {
    let number = |name: &str| args.key::<i64>(name).map(Option::unwrap_or_default);
    let flag = |name: &str| args.key::<bool>(name).map(Option::unwrap_or_default);
    let (target, order) = match args.key::<String>("sort")? {
        None => (SortTarget::Key, SortOrder::None),
        Some(text) => sort(&text)?,
    };
    Ok(Range {
        range: keys(args, 0)?,
        limit: number("limit")?,
        revision: number("rev")?,
        order,
        target,
        keys_only: flag("keys_only")?,
        count_only: flag("count_only")?,
        min_mod_revision: number("min_mod")?,
        max_mod_revision: number("max_mod")?,
        min_create_revision: 0,
        max_create_revision: 0,
    })
}

/// `mod/descend`; `mod` alone leaves the order open (contract item 4).
fn sort(text: &str) -> Fallible<(SortTarget, SortOrder)> {
    let (target, order) = text.split_once('/').unwrap_or((text, ""));
    let target = match target {
        "key" => SortTarget::Key,
        "version" => SortTarget::Version,
        "create" => SortTarget::Create,
        "mod" => SortTarget::Mod,
        "value" => SortTarget::Value,
        other => return Err(format!("nothing is sorted by `{other}`").into()),
    };
    let order = match order {
        "" => SortOrder::None,
        "ascend" => SortOrder::Ascend,
        "descend" => SortOrder::Descend,
        other => return Err(format!("`{other}` is no order").into()),
    };
    Ok((target, order))
}
