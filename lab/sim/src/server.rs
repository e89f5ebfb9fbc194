//! The whole member: router, group, leases and the store's applier, with clients in front.

pub mod members;
pub(crate) mod newcomers;
pub mod places;

use crate::client::{self, Clients};
use crate::host::Wake;
use crate::operator;
use crate::oracles::Violation;
use crate::raft_world::{describe, digest, raft_config};
use crate::replica::machine::{App, Machine, Told};
use crate::replica::{Job, Replica};
use crate::runner;
use crate::store_app::{News, Store};
use crate::swarm::{Plan, Sabotage};
use crate::trace::{Mixer, What};
use crate::world::World;
use quorate_base::{Dice, Input, Instant, NodeId};
use quorate_node::{Config, Event, GroupId, Message, Node, Request, Strong, Tagged};
use quorate_raft::{self as raft, Membership, Raft, Restored};
use quorate_store::{Command, OpId};
use std::collections::BTreeMap;
use std::time::Duration;

const GROUP: GroupId = GroupId(0);

/// After so long a member gives up on a proposal, a read or a lease question.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// A world of whole members.
pub type ServerWorld = World<Replica<Node>>;

/// Wraps a request for the only group.
pub fn ask(body: Request) -> Input<Node> {
    Input::Request(Tagged { group: GROUP, body })
}

/// The number under which a member keeps an operation until it is applied: the same on each.
pub fn number(id: OpId) -> u64 {
    id.origin << 32 | id.seq
}

impl Machine for Node {
    type App = Store;
    type Load = Clients;
    type Side = members::Side;
    const ASKS_WHEN_ADDED: bool = true;

    fn load(plan: &Plan, dice: &mut Dice) -> Clients {
        Clients::new(plan, dice)
    }

    fn app(plan: &Plan, load: &Clients) -> Store {
        Store::empty(load.commands.clone(), plan.sabotage == Sabotage::SkipDedup)
    }

    fn build(plan: &Plan, id: NodeId, restored: Restored, dice: Dice, now: Instant) -> Node {
        let config = Config {
            raft: raft_config(plan, id),
            catchup_entries: plan.catchup,
            patience: PATIENCE,
            promotes_learners: plan.promotes,
        };
        let strong = Strong::new(config, restored, dice, now);
        Node::new(BTreeMap::from([(GROUP, strong)]))
    }

    fn raft(&self) -> &Raft {
        self.group(GROUP).expect("the only group").raft()
    }

    fn write(write: Tagged<raft::Write>) -> raft::Write {
        write.body
    }

    fn consensus_write(write: &Tagged<raft::Write>) -> &raft::Write {
        &write.body
    }

    fn digest(message: &Tagged<Message>) -> u64 {
        match &message.body {
            Message::Raft(message) => digest(message),
            other @ (Message::Forward(_) | Message::Ask { .. } | Message::Told(_)) => {
                Mixer::of(other)
            }
        }
    }

    fn consensus(message: &Tagged<Message>) -> Option<&raft::Message> {
        match &message.body {
            Message::Raft(message) => Some(message),
            Message::Forward(_) | Message::Ask { .. } | Message::Told(_) => None,
        }
    }

    fn describe(message: &Tagged<Message>) -> String {
        match &message.body {
            Message::Raft(message) => describe(message),
            Message::Forward(payloads) => format!("forward {}", payloads.len()),
            message @ (Message::Ask { .. } | Message::Told(_)) => format!("{message:?}"),
        }
    }

    fn request(request: raft::Request) -> Tagged<Request> {
        Tagged { group: GROUP, body: Request::Raft(request) }
    }

    fn applied(index: u64, news: &mut News) -> Tagged<Request> {
        let ids = news.applied.iter().filter_map(|applied| Some(applied.command.as_ref()?.id));
        let answered = ids.filter(|id| id.seq > 0).map(number).collect();
        let leases = std::mem::take(&mut news.leases);
        Tagged { group: GROUP, body: Request::Applied { index, answered, leases } }
    }

    fn synced(_plan: &Plan, index: u64) -> Option<Tagged<Request>> {
        Some(Tagged { group: GROUP, body: Request::Synced { index } })
    }

    fn sort(event: Tagged<Event>) -> Told<Tagged<Event>> {
        match event.body {
            Event::Committed(entries) => Told::Committed(entries),
            Event::Raft(event) => Told::Serve(event),
            body @ (Event::ReadReady { .. }
            | Event::ReadFailed { .. }
            | Event::Told { .. }
            | Event::Leases { .. }
            | Event::AskFailed { .. }
            | Event::Act(_)
            | Event::Status { .. }) => Told::Other(Tagged { group: event.group, body }),
        }
    }

    fn heard(world: &mut ServerWorld, node: NodeId, event: Tagged<Event>) {
        match event.body {
            Event::Status { role, term, leader } => {
                if role == raft::Role::Leader {
                    world.count("elections");
                    world.elected(node);
                    for number in world.load.release_acts(node) {
                        let wait = Duration::from_micros(world.dice.below(20_000));
                        world.plan_job(node, wait, Job::Own(number));
                    }
                }
                client::note_leaders(world);
                world.log(node, What::Role { leads: role == raft::Role::Leader, term, leader });
            }
            Event::Act(action) => {
                world.count("acts of leaders");
                let payload = world.load.commands.encode(Command::new(OpId::default(), action), 0);
                // Between what a leader wants and its proposal lies a host that may be slow: by
                // then another may lead, or the same one in a later term (traps.md B7).
                let number = world.load.plan_act(payload);
                if world.peace.is_none() && world.dice.below(3) == 0 {
                    return world.load.hold_act(node, number);
                }
                let wait = world.dice.below(100);
                world.plan_job(node, Duration::from_micros(wait), Job::Own(number));
            }
            Event::ReadReady { tokens, index } => {
                newcomers::admitted(world, node, &tokens, index);
                client::admitted(world, node, &tokens, index);
            }
            Event::ReadFailed { tokens } => {
                newcomers::refused(world, node, &tokens);
                client::refused(world, &tokens);
            }
            Event::Told { token, seconds } => client::renewed(world, token, seconds),
            Event::AskFailed { token } => client::refused(world, &[token]),
            Event::Leases { .. } => unreachable!("no client asks for it"),
            Event::Committed(_) | Event::Raft(_) => unreachable!("sorted elsewhere"),
        }
    }

    fn published(world: &mut ServerWorld, node: NodeId, news: News) {
        client::published(world, node, news);
        members::tell(world, node);
    }

    fn started(world: &mut ServerWorld, node: NodeId) {
        let app = &world.host(node).app;
        let (index, leases) = (app.applied().0, app.all_leases());
        world.feed(node, ask(Request::Applied { index, answered: Vec::new(), leases }));
        members::started(world, node);
    }

    fn come_up(world: &mut ServerWorld, node: NodeId) -> Result<Membership, Wake<Node>> {
        members::come_up(world, node)
    }

    fn contacts(world: &ServerWorld, node: NodeId) -> Vec<NodeId> {
        members::electors(world, node)
    }

    fn answers(world: &ServerWorld, node: NodeId) -> bool {
        members::answers(world, node)
    }

    fn turned(world: &mut ServerWorld, node: NodeId) {
        members::follow(world, node);
    }

    fn speaks_to(world: &ServerWorld, from: NodeId, to: NodeId) -> bool {
        members::speaks_to(world, from, to)
    }

    fn hears(world: &mut ServerWorld, node: NodeId, from: NodeId) -> bool {
        members::hears(world, node, from)
    }

    fn belongs(world: &ServerWorld, node: NodeId) -> bool {
        members::belongs(world, node)
    }

    fn stand_in(world: &ServerWorld, node: NodeId) -> NodeId {
        members::stand_in(world, node)
    }

    fn ended(world: &mut ServerWorld, node: NodeId) {
        client::disconnected(world, node);
    }

    fn due(world: &mut ServerWorld, node: NodeId, number: u64) {
        if number == members::END {
            return members::end(world, node);
        }
        let payload = world.load.take_act(number);
        world.feed(node, ask(Request::Propose { seq: 0, payload }));
    }

    fn tick(world: &mut ServerWorld, client: u64) {
        client::tick(world, client);
    }

    fn finished(world: &ServerWorld) -> bool {
        world.load.is_finished() && operator::is_done(world)
    }

    fn scan(world: &mut ServerWorld) {
        client::scan(world);
    }
}

/// Runs a plan without leases and hands out what its clients saw (see [`crate::journal`]), and the
/// first broken promise.
pub fn history(plan: Plan) -> (String, Option<Violation>) {
    let mut world = ServerWorld::new(Plan { leases: false, ..plan });
    world.load.journal.open();
    runner::run_world(&mut world);
    (world.load.journal.history(), world.broken)
}
