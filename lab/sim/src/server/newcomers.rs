//! Machines that were added later, and must learn who they are: the product's rules ([`quorate_node::learning`]),
//! with questions that take their time and files on a disk that loses and tears.
//!
//! | in the product | here |
//! |---|---|
//! | a newcomer asks whoever listens at an address that it was told | the same, one at a time, every 100 ms |
//! | who is asked makes a linearizable read before it answers | the same; the question is lost when either goes down |
//! | the list is kept in the directory, then the label is written | the same files on the simulated disk, but for the list's encoding: it is a number, as commands are |
//! | `peers` says that the member was admitted | the log was opened once |
//!
//! A machine's number is the id that was drawn for it. One that finds another id has taken what is not its own, and the
//! world ends there (*an-id-is-lived-once*): it would be two directories under one id, of which one may have
//! voted.

use super::places::{holder, place, urls};
use super::{PATIENCE, ServerWorld, ask};
use crate::host::Wake;
use crate::oracles::expect;
use crate::replica;
use crate::replica::machine::App;
use crate::server::members::{listed, row};
use quorate_base::{Instant, NodeId};
use quorate_node::learning::{Found, Inquiry, Learned, Listing, Start, Step, Teaching, teaches};
use quorate_node::{Node, Request};
use quorate_storage::{Meta, aside};
use std::time::Duration;

/// Every world is one cluster.
const CLUSTER: u64 = 0x51;
/// After so long a newcomer that nobody could tell who it is asks again.
const AGAIN: Duration = Duration::from_millis(100);
/// It looks so often for the answer to a question.
const LOOK: Duration = Duration::from_millis(20);
/// The file that keeps the list, as in the product.
const FILE: &str = "learned";
/// More sectors than one, so that a crash can tear it.
const FILE_BYTES: usize = 1_500;

/// What a newcomer that does not know yet who it is has under way.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    inquiry: Option<Inquiry>,
    question: Option<Question>,
}

/// Somebody was asked who the members are.
#[derive(Clone, Debug)]
struct Question {
    other: NodeId,
    /// In this life of it.
    life: u64,
    /// The read that must come first, and its index when that is known.
    read: u64,
    index: Option<u64>,
    since: Instant,
}

/// Who a machine is that no state names, or how long it must wait for that.
pub(super) fn learn(world: &mut ServerWorld, node: NodeId) -> Result<Learned, Wake<Node>> {
    let Some(told) = world.load.operator.told(node).map(<[NodeId]>::to_vec) else {
        return Err(Wake::Later(AGAIN));
    };
    if world.host(node).side.asking.inquiry.is_none() {
        let found = found(world, node)?;
        let flags = row(node, false, urls(world, node).into());
        match Start::new(flags, told.len(), found) {
            Start::Knows(learned) => {
                world.count("newcomers that kept a list");
                return Ok(learned);
            }
            Start::Asks(inquiry) => world.host_mut(node).side.asking.inquiry = Some(inquiry),
        }
    }
    let Some(members) = answer(world, node, &told) else {
        let waits = world.host(node).side.asking.question.is_some();
        return Err(Wake::Later(if waits { LOOK } else { AGAIN }));
    };
    let inquiry = world.host_mut(node).side.asking.inquiry.as_mut().expect("it has asked");
    match inquiry.answered(Listing { cluster: CLUSTER, members }) {
        Step::Learned(unkept) => {
            keep(world, node, &unkept.listing())?;
            let learned = unkept.kept();
            judge(world, node, &learned);
            label(world, node, &learned)?;
            world.host_mut(node).side.asking = Asking::default();
            world.count("newcomers");
            Ok(learned)
        }
        Step::AskOn | Step::OtherCluster(_) => Err(Wake::Later(AGAIN)),
        Step::Unknown => {
            world.count("newcomers that nobody knew");
            world.host_mut(node).side.asking = Asking::default();
            Err(Wake::Later(AGAIN))
        }
        Step::Removed => {
            world.count("removed members kept down");
            world.note(Some(node), "it was removed before it took part");
            world.load.operator.say_farewell(node);
            Err(Wake::Never)
        }
    }
}

/// True for a machine whose directory does not say who it is.
pub(crate) fn is_blank(world: &ServerWorld, node: NodeId) -> bool {
    let platter = world.host(node).disk.platter();
    !world.is_up(node) && !Meta::load(&platter).is_ok_and(|label| label.is_some())
}

fn judge(world: &mut ServerWorld, node: NodeId, learned: &Learned) {
    let verdict = expect(learned.me.id == node.0, "an-id-is-lived-once", || {
        format!("{node} takes the id of m{}, whose address it has", learned.me.id)
    });
    world.judge(verdict);
}

/// What the directory says.
fn found(world: &mut ServerWorld, node: NodeId) -> Result<Found, Wake<Node>> {
    let struck = world.host(node).disk.struck();
    let disk = world.host(node).disk.clone();
    let read = Meta::load(&disk).map_err(|error| error.to_string()).and_then(|label| {
        let most = FILE_BYTES as u64;
        let list = aside::read_checked(&disk, FILE, most).map_err(|error| error.to_string())?;
        Ok((label, list.map_err(|path| format!("{path} is damaged"))?))
    });
    let (label, list) = read.map_err(|error| replica::stay_down(world, node, struck, &error))?;
    let kept = list.map(|bytes| {
        let number = bytes[..8].try_into().expect("eight bytes");
        world.load.operator.listing(u64::from_be_bytes(number)).clone()
    });
    let label = label.map(|label| (label.cluster_id, NodeId(label.member_id)));
    Ok(Found { label, took_part: world.host(node).took_part(), kept })
}

/// Keeps the list. Now and then the power fails on the way, or a little later.
fn keep(world: &mut ServerWorld, node: NodeId, listing: &Listing) -> Result<(), Wake<Node>> {
    if world.peace.is_none() && world.dice.below(4) == 0 {
        let effects = 1 + world.dice.below(12);
        world.host(node).disk.crash_after(effects);
    }
    let number = world.load.operator.shelve(listing.clone());
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(FILE_BYTES, 0x77);
    let struck = world.host(node).disk.struck();
    let kept = aside::replace_checked(&world.host(node).disk, FILE, &bytes);
    kept.map_err(|error| give_up(world, node, struck, &error.to_string()))
}

/// The directory says who its member is, when it did not yet.
fn label(world: &mut ServerWorld, node: NodeId, learned: &Learned) -> Result<(), Wake<Node>> {
    let struck = world.host(node).disk.struck();
    let disk = world.host(node).disk.clone();
    let label = Meta {
        cluster_id: learned.cluster,
        member_id: learned.me.id,
        name: String::new(),
        created_by: String::new(),
        incarnation: world.host(node).incarnation(),
    };
    let stored = match Meta::load(&disk) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => label.store(&disk),
        Err(error) => Err(error),
    };
    stored.map_err(|error| give_up(world, node, struck, &error.to_string()))
}

/// The process ends with what it had under way.
fn give_up(world: &mut ServerWorld, node: NodeId, struck: u64, error: &str) -> Wake<Node> {
    world.host_mut(node).side.asking = Asking::default();
    world.count("newcomers that crashed while they learned");
    replica::stay_down(world, node, struck, error)
}

/// The answer to the question under way, if it is there; asks somebody when there is no question.
fn answer(
    world: &mut ServerWorld,
    node: NodeId,
    told: &[NodeId],
) -> Option<Vec<quorate_store::Member>> {
    let Some(question) = world.host_mut(node).side.asking.question.take() else {
        return ask_someone(world, node, told);
    };
    let Question { other, life, index, since, .. } = question;
    let lives = world.is_up(other) && world.member(other).life == life;
    if !lives || !reaches(world, node, other) || world.now.since(since) > PATIENCE {
        world.count("questions of newcomers lost");
        return None;
    }
    if index.is_some_and(|index| world.host(other).app.applied().0 >= index) {
        return Some(listed(world, other));
    }
    world.host_mut(node).side.asking.question = Some(question);
    None
}

fn ask_someone(
    world: &mut ServerWorld,
    node: NodeId,
    told: &[NodeId],
) -> Option<Vec<quorate_store::Member>> {
    let pick = world.dice.below(told.len().max(1) as u64) as usize;
    let place = place(&urls(world, *told.get(pick)?))?;
    let other = holder(world, place).filter(|other| *other != node)?;
    if !reaches(world, node, other) {
        return None;
    }
    let inquiry = world.host(node).side.asking.inquiry.as_ref().expect("it asks");
    match teaches(world.is_up(other), inquiry.asks_as()) {
        Teaching::Refuse => None,
        Teaching::AtOnce => Some(listed(world, other)),
        Teaching::AfterRead => {
            let read = world.load.token();
            let (life, since) = (world.member(other).life, world.now);
            let question = Question { other, life, read, index: None, since };
            world.host_mut(node).side.asking.question = Some(question);
            world.feed(other, ask(Request::Read { token: read }));
            None
        }
    }
}

fn reaches(world: &mut ServerWorld, node: NodeId, other: NodeId) -> bool {
    !world.stands_still(other) && world.is_joined(node, other) && world.is_joined(other, node)
}

/// The read index of some reads is known.
pub(super) fn admitted(world: &mut ServerWorld, other: NodeId, tokens: &[u64], index: u64) {
    for node in world.nodes() {
        let question = &mut world.host_mut(node).side.asking.question;
        let asked =
            question.as_mut().filter(|one| one.other == other && tokens.contains(&one.read));
        if let Some(asked) = asked {
            asked.index = Some(index);
        }
    }
}

/// Nobody could be asked for the index of these reads: the answer is a refusal.
pub(super) fn refused(world: &mut ServerWorld, other: NodeId, tokens: &[u64]) {
    for node in world.nodes() {
        let question = &mut world.host_mut(node).side.asking.question;
        question.take_if(|one| one.other == other && tokens.contains(&one.read));
    }
}
