//! Draws requests about users and roles, locks and elections, members and alarms.
//!
//! Users and roles are few, so that requests meet. Left out, because the difference is meant: a role never has two
//! permissions that begin with the same key and end elsewhere ([`end_of`]). Left out, because nobody could clean up
//! after it: a user root without a password, a cluster without its only voter.

use bytes::Bytes;
use quorate_base::Dice;
use quorate_wire::etcd::authpb::{Permission, UserAddOptions};
use quorate_wire::etcd::etcdserverpb::{
    AlarmRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest, AuthUserAddRequest,
    AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest, AuthenticateRequest,
};
use quorate_wire::etcd::v3electionpb::{
    CampaignRequest, LeaderKey, LeaderRequest, ProclaimRequest, ResignRequest,
};
use quorate_wire::etcd::v3lockpb::{LockRequest, UnlockRequest};

use super::generate::prefix_end;
use super::op::{AuthOp, BASE, Caller, ClusterOp, LEASE, LineOp, MYSELF};

/// The user and the role that may do everything.
pub const ROOT: &str = "root";

/// Everybody who ever exists.
const USERS: [&str; 4] = [ROOT, "alice", "bob", "carol"];

const ROLES: [&str; 3] = [ROOT, "reader", "writer"];

/// Every password that is ever given.
pub const PASSWORDS: [&str; 3] = ["one", "two", ""];

/// Names of locks and of elections. One of them lies among other keys: whoever writes there stands in line.
const LINES: [&[u8]; 2] = [b"b", b"line"];

/// Leases that stand in line: few, because their keys count among those that sorts keep in order.
const STANDING: u64 = 2;

/// Kinds of alarms: none, no space, corrupt.
const ALARMS: u64 = 3;

/// What a permission is given or taken for: an interval that is the same for each role and key.
fn end_of(role: &str, key: &Bytes) -> Bytes {
    let sum: usize = role.bytes().chain(key.iter().copied()).map(usize::from).sum();
    match sum % 4 {
        0 => prefix_end(key),
        1 => Bytes::from_static(b"\0"),
        _ => Bytes::new(),
    }
}

fn one_of<'a, T: ?Sized>(dice: &mut Dice, list: &[&'a T]) -> &'a T {
    list[dice.below(list.len() as u64) as usize]
}

/// A name from the list, or none, or one that does not exist.
fn name(dice: &mut Dice, list: &[&'static str]) -> String {
    match dice.below(40) {
        0 => String::new(),
        1 => "nobody".into(),
        _ => one_of(dice, list).into(),
    }
}

/// Who sends the next request, once authentication is on.
pub fn caller(dice: &mut Dice) -> Caller {
    match dice.below(20) {
        0 => Caller::Nobody,
        1 => Caller::Liar,
        2..8 => Caller::User(ROOT),
        _ => Caller::User(one_of(dice, &USERS[1..])),
    }
}

/// What an episode with authentication begins with, in order.
pub fn founding(dice: &mut Dice, keys: &[&'static [u8]]) -> Vec<AuthOp> {
    let mut ops = Vec::new();
    for user in USERS {
        ops.push(AuthOp::UserAdd(add_user(user.into(), PASSWORDS[0])));
    }
    for role in &ROLES[1..] {
        ops.push(AuthOp::RoleAdd(AuthRoleAddRequest { name: (*role).into() }));
        for _ in 0..3 {
            let key = Bytes::from_static(one_of(dice, keys));
            ops.push(grant(dice, role, key));
        }
    }
    ops.push(give(ROOT, ROOT));
    ops.push(give("alice", "reader"));
    ops.push(give("alice", "writer"));
    ops.push(give("bob", if dice.below(2) == 0 { "reader" } else { "writer" }));
    ops.push(AuthOp::Enable);
    ops.extend(USERS.map(|user| login(user.into(), PASSWORDS[0])));
    ops
}

fn give(user: &str, role: &str) -> AuthOp {
    AuthOp::UserGrant(AuthUserGrantRoleRequest { user: user.into(), role: role.into() })
}

fn login(name: String, password: &str) -> AuthOp {
    AuthOp::Login(AuthenticateRequest { name, password: password.into() })
}

fn add_user(name: String, password: &str) -> AuthUserAddRequest {
    AuthUserAddRequest { name, password: password.into(), ..AuthUserAddRequest::default() }
}

fn grant(dice: &mut Dice, role: &str, key: Bytes) -> AuthOp {
    let range_end = end_of(role, &key);
    let perm_type = dice.below(3) as i32;
    AuthOp::RoleGrant(AuthRoleGrantPermissionRequest {
        name: role.into(),
        perm: Some(Permission { perm_type, key, range_end }),
    })
}

/// A request about users and roles. Authentication is only turned on where that `may` be.
pub fn auth(dice: &mut Dice, may: bool, key: Bytes) -> AuthOp {
    let role = name(dice, &ROLES);
    match dice.below(40) {
        0 if may => AuthOp::Enable,
        1 if may && dice.below(4) == 0 => AuthOp::Disable,
        0..3 => AuthOp::Status,
        3..11 => login(name(dice, &USERS), one_of(dice, &PASSWORDS)),
        11..14 => {
            let user = name(dice, &USERS);
            let password = new_password(dice, &user);
            let mut request = add_user(user, password);
            if request.name != ROOT && dice.below(4) == 0 {
                request.options = Some(UserAddOptions { no_password: true });
            }
            AuthOp::UserAdd(request)
        }
        14..17 => AuthOp::UserGet(AuthUserGetRequest { name: name(dice, &USERS) }),
        17 => AuthOp::UserList,
        18 => AuthOp::UserDelete(AuthUserDeleteRequest { name: name(dice, &USERS) }),
        19 | 20 => {
            let name = name(dice, &USERS);
            let password = new_password(dice, &name).into();
            let rest = AuthUserChangePasswordRequest::default();
            AuthOp::UserPassword(AuthUserChangePasswordRequest { name, password, ..rest })
        }
        21..25 => give(&name(dice, &USERS), &role),
        25 | 26 => AuthOp::UserRevoke(AuthUserRevokeRoleRequest { name: name(dice, &USERS), role }),
        27 => AuthOp::RoleAdd(AuthRoleAddRequest { name: role }),
        28..31 => AuthOp::RoleGet(AuthRoleGetRequest { role }),
        31 => AuthOp::RoleList,
        32 if dice.below(3) == 0 => AuthOp::RoleDelete(AuthRoleDeleteRequest { role }),
        33 if dice.below(8) == 0 => {
            AuthOp::RoleGrant(AuthRoleGrantPermissionRequest { name: role, perm: None })
        }
        32..38 => grant(dice, &role, key),
        _ => {
            let range_end = end_of(&role, &key);
            AuthOp::RoleRevoke(AuthRoleRevokePermissionRequest { role, key, range_end })
        }
    }
}

/// With an empty password nobody can log in any more, which root has to.
fn new_password(dice: &mut Dice, user: &str) -> &'static str {
    if user == ROOT { one_of(dice, &PASSWORDS[..2]) } else { one_of(dice, &PASSWORDS) }
}

fn line_name(dice: &mut Dice) -> Bytes {
    if dice.below(60) == 0 { Bytes::new() } else { Bytes::from_static(one_of(dice, &LINES)) }
}

/// A lease that stands in line. Lease 0 is left out: the server grants one, and its id is in the key.
fn standing(dice: &mut Dice) -> i64 {
    if dice.below(12) == 0 { LEASE + 400_000 } else { LEASE + dice.below(STANDING) as i64 }
}

/// A request about locks and elections; `won` is the last election that somebody won.
pub fn line(dice: &mut Dice, won: Option<&LeaderKey>, key: Bytes, value: Bytes) -> LineOp {
    let name = line_name(dice);
    let lease = standing(dice);
    match dice.below(20) {
        0..5 => LineOp::Lock(LockRequest { name, lease }),
        5..8 => {
            let place = format!("{}/{lease:x}", name.escape_ascii());
            let key = if dice.below(6) == 0 { key } else { Bytes::from(place) };
            LineOp::Unlock(UnlockRequest { key })
        }
        8..12 => LineOp::Campaign(CampaignRequest { name, lease, value }),
        12..15 => {
            LineOp::Proclaim(ProclaimRequest { leader: proof(dice, won, name, lease), value })
        }
        15..17 => LineOp::Leader(LeaderRequest { name }),
        17 => LineOp::Resign(ResignRequest { leader: proof(dice, won, name, lease) }),
        _ => LineOp::Observe(LeaderRequest { name }),
    }
}

/// The proof of the last election, or one that somebody made up, or none.
fn proof(dice: &mut Dice, won: Option<&LeaderKey>, name: Bytes, lease: i64) -> Option<LeaderKey> {
    if dice.below(25) == 0 {
        return None;
    }
    let place = format!("{}/{lease:x}", name.escape_ascii());
    let made_up =
        LeaderKey { name, key: Bytes::from(place), rev: BASE + dice.below(30) as i64, lease };
    if dice.below(5) == 0 { Some(made_up) } else { Some(won.cloned().unwrap_or(made_up)) }
}

/// A request about members and alarms. `learners` were asked for so far; alarms are only raised where they `may` be.
pub fn cluster(
    dice: &mut Dice,
    learners: &mut u64,
    members_may: bool,
    alarms_may: bool,
) -> ClusterOp {
    let learner = |dice: &mut Dice, learners: u64| match dice.below(8) {
        0 => MYSELF + 1_000,
        _ => MYSELF + 1 + dice.below(learners.max(1)),
    };
    let url = |dice: &mut Dice| match dice.below(12) {
        0 => "not a url".to_owned(),
        1 => String::new(),
        number => format!("http://127.0.0.1:{}", 1 + number % 5),
    };
    match dice.below(12) {
        0 | 1 => ClusterOp::Members(dice.below(2) == 0),
        2 => ClusterOp::Status,
        3..7 if members_may => match dice.below(6) {
            0 | 1 => {
                *learners += 1;
                ClusterOp::AddLearner { url: url(dice), member: MYSELF + *learners }
            }
            // Etcd takes anything for an address here.
            2 => ClusterOp::Update {
                member: learner(dice, *learners),
                url: format!("http://127.0.0.1:{}", 1 + dice.below(5)),
            },
            3 if dice.below(2) == 0 => ClusterOp::Promote(MYSELF),
            3 => ClusterOp::Promote(learner(dice, *learners)),
            _ => ClusterOp::Remove(learner(dice, *learners)),
        },
        7..12 if alarms_may => {
            // An alarm is taken back about as often as it is raised, or nothing could be written any more.
            let action = [0, 1, 2, 2][dice.below(4) as usize];
            let member_id = [0, MYSELF, MYSELF, MYSELF, 77][dice.below(5) as usize];
            ClusterOp::Alarm(AlarmRequest { action, member_id, alarm: dice.below(ALARMS) as i32 })
        }
        _ => ClusterOp::Alarm(AlarmRequest::default()),
    }
}
