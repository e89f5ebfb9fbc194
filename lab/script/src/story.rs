//! The verbs of golden stories.
//!
//! | verb | what happens |
//! |---|---|
//! | `cluster nodes=3 [election= heartbeat= inflight= append_bytes= cached_bytes= held_entries= seed=]` | members 1..=n start on empty disks |
//! | `add 4` | a machine that is not in the configuration, and knows it |
//! | `join 4` | a machine that knows of no configuration |
//! | `reconfigure 1 voters="1 2 4" [learners=5]` | a request to a leader |
//! | `campaign 1`, `transfer 1 2`, `read 2 7` | requests to a member |
//! | `unreachable 2 1` | the connection on which member 2 heard member 1 has ended |
//! | `propose 1 a b c`, `propose 1 count=20 size=100` | all in one turn |
//! | `deliver`, `drop`, `duplicate` `[from= to= kind= count=]` | matching letters of the wire, oldest first |
//! | `shelve name [from= to= kind= count=]`, `unshelve name` | letters that come very late |
//! | `stabilize` | deliver until the wires are empty; no time passes |
//! | `advance 100ms`, `run 3s` | time passes; `run` also delivers |
//! | `partition 1 2`, `cut 1 2`, `heal` | both ways around a group, one way, none |
//! | `disk 1 hold`, `disk 1 sync 1`, `disk 1 release` | writes wait, or reach the platter |
//! | `app 1 hold`, `app 1 release` | the state machine stands still |
//! | `crash 1 [survivors=0]`, `restart 1`, `wipe 1` | power, and another disk |
//! | `compact 1 [5]` | save the state, let the log forget |
//! | `inject from=1 to=2 kind=Heartbeat …` | a forged letter, delivered at once, cut or not |
//! | `status`, `log 1` | show |
//! | `expect …` | fails the story when false |
//!
//! A protocol may have verbs of its own, and shows a few of these in its own words: see
//! [`Player::request`], and `node.rs` for those of a node.

use crate::args::{Args, parse_time};
use crate::disk::Platter;
use crate::player::Player;
use crate::world::{Letter, World};
use crate::{Fallible, expect};
use goldenscript::{Command, Context};
use quorate_base::{Input, Instant, NodeId};
use quorate_raft::{Config, Membership, Raft, Request};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Runs one story of members that speak `P`.
#[derive(Debug)]
pub struct Story<P: Player = Raft> {
    world: Option<World<P>>,
    shelves: BTreeMap<String, Vec<Letter<P::Message>>>,
}

impl Default for Story {
    fn default() -> Story {
        Story::of()
    }
}

impl<P: Player> Story<P> {
    /// A story that has not begun.
    pub fn of() -> Story<P> {
        Story { world: None, shelves: BTreeMap::new() }
    }
}

impl<P: Player> goldenscript::Runner for Story<P> {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Fallible<String> {
        let args = Args { command };
        if command.name == "cluster" {
            self.world = Some(cluster(&args)?);
            return Ok(String::new());
        }
        let world = self.world.as_mut().ok_or("a story begins with `cluster`")?;
        world.trace.clear();
        let said = match command.name.as_str() {
            "shelve" => {
                let letters = pick(world, &args, true)?;
                let name = args.word(0)?;
                let said = format!("{} letters wait in {name}", letters.len());
                self.shelves.entry(name.to_string()).or_default().extend(letters);
                said
            }
            "unshelve" => {
                let name = args.word(0)?;
                let letters = self.shelves.remove(name).ok_or("no such shelf")?;
                world.wire.extend(letters);
                String::new()
            }
            "status" => expect::status(world),
            "log" => expect::log(world, args.node(0)?)?,
            "expect" => expect::check(world, command)?,
            _ => act(world, &args)?,
        };
        let mut lines = std::mem::take(&mut world.trace);
        lines.extend((!said.is_empty()).then_some(said));
        Ok(lines.join("\n"))
    }

    /// No story ends well when a judge found something, whatever it expected.
    fn end_script(&mut self) -> Fallible<()> {
        let world = self.world.as_ref().ok_or("a story begins with `cluster`")?;
        match world.oracle.violations.first() {
            None => Ok(()),
            Some(first) => Err(first.clone().into()),
        }
    }
}

fn cluster<P: Player>(args: &Args) -> Fallible<World<P>> {
    let config = Config {
        id: NodeId(0),
        election_timeout: args.time("election")?.unwrap_or(Duration::from_secs(1)),
        heartbeat_interval: args.time("heartbeat")?.unwrap_or(Duration::from_millis(100)),
        max_append_bytes: args.key("append_bytes")?.unwrap_or(1 << 20),
        max_inflight_appends: args.key("inflight")?.unwrap_or(16),
        max_cached_bytes: args.key("cached_bytes")?.unwrap_or(1 << 20),
        max_held_entries: args.key("held_entries")?.unwrap_or(1_000),
    };
    let nodes = args.key("nodes")?.ok_or("how many nodes?")?;
    let settings = P::settings(args)?;
    Ok(World::start(nodes, config, settings, args.key("seed")?.unwrap_or(1)))
}

/// Everything that changes the world.
fn act<P: Player>(world: &mut World<P>, args: &Args) -> Fallible<String> {
    match args.command.name.as_str() {
        "deliver" => pick(world, args, true)?.into_iter().for_each(|letter| world.deliver(letter)),
        "drop" => {
            let lost = pick(world, args, true)?;
            let lines = lost.iter().map(|Letter { from, to, message }| {
                format!("{from} → {to} {} (dropped)", P::message(message))
            });
            return Ok(lines.collect::<Vec<_>>().join("\n"));
        }
        "duplicate" => {
            let copies = pick(world, args, false)?;
            world.wire.extend(copies);
        }
        "stabilize" => world.settle_wire(),
        "advance" | "run" => {
            let until = world.now + parse_time(args.word(0)?)?;
            world.advance(until, args.command.name == "run");
        }
        "partition" | "cut" | "heal" => links(world, args)?,
        "inject" => {
            let (from, to) = (args.key("from")?, args.key("to")?);
            let (from, to) = (from.ok_or("from whom?")?, to.ok_or("to whom?")?);
            let message = P::forge(args)?;
            world.hand_over(Letter { from: NodeId(from), to: NodeId(to), message });
        }
        "add" => {
            let first = world.machines.values().next().expect("a cluster has members");
            let membership = first.disk.platter.membership.clone();
            world.add(args.node(0)?, Platter::new(membership));
        }
        "join" => world.add(args.node(0)?, Platter::new(Membership::default())),
        "disk" | "app" | "crash" | "restart" | "wipe" | "compact" => machine(world, args)?,
        "campaign" | "transfer" | "unreachable" | "reconfigure" => consensus(world, args)?,
        _ => request(world, args)?,
    }
    Ok(String::new())
}

fn links<P: Player>(world: &mut World<P>, args: &Args) -> Fallible<()> {
    match args.command.name.as_str() {
        "heal" => world.cut.clear(),
        "cut" => {
            world.cut.insert((args.node(0)?, args.node(1)?));
        }
        _ => {
            let group: Vec<NodeId> =
                (0..args.words().count()).map(|at| args.node(at)).collect::<Fallible<_>>()?;
            let all: Vec<NodeId> = world.machines.keys().copied().collect();
            for a in &all {
                for b in &all {
                    if group.contains(a) != group.contains(b) {
                        world.cut.insert((*a, *b));
                    }
                }
            }
        }
    }
    Ok(())
}

fn machine<P: Player>(world: &mut World<P>, args: &Args) -> Fallible<()> {
    let id = args.node(0)?;
    match (args.command.name.as_str(), args.word(1).unwrap_or("")) {
        ("disk", "hold") => world.hold_disk(id, true),
        ("disk", "release") => world.hold_disk(id, false),
        ("disk", "sync") => world.sync(id, args.word(2).map_or(Ok(1), str::parse)?),
        ("app", "hold") => world.hold_app(id, true),
        ("app", "release") => world.hold_app(id, false),
        ("crash", _) => world.crash(id, args.key("survivors")?.unwrap_or(0)),
        ("restart", _) => world.restart(id),
        ("wipe", _) => {
            let membership = world.machine(id).disk.platter.membership.clone();
            world.add(id, Platter::new(membership));
        }
        ("compact", index) => {
            let applied = world.machine(id).app.applied();
            let index = if index.is_empty() { applied } else { index.parse()? };
            world.compact(id, index);
        }
        (verb, how) => return Err(format!("`{verb} {how}`?").into()),
    }
    Ok(())
}

/// Requests that every protocol passes on to its consensus.
fn consensus<P: Player>(world: &mut World<P>, args: &Args) -> Fallible<()> {
    let request = match args.command.name.as_str() {
        "campaign" => Request::Campaign,
        "transfer" => Request::Transfer { to: args.node(1)? },
        "reconfigure" => Request::Reconfigure(target(args)?),
        _ => Request::Unreachable { peer: args.node(1)? },
    };
    world.feed(args.node(0)?, vec![Input::Request(P::ask(request))]);
    Ok(())
}

/// `reconfigure 1 voters="1 2 4" [learners=5]`.
fn target(args: &Args) -> Fallible<Membership> {
    let set = |name: &str| -> Fallible<BTreeSet<NodeId>> {
        let words = args.key::<String>(name)?.unwrap_or_default();
        let words = words.split_whitespace();
        words.map(|word| Ok(NodeId(word.parse()?))).collect()
    };
    let (voters, learners) = (set("voters")?, set("learners")?);
    Ok(Membership { voters, learners, ..Membership::default() })
}

/// A protocol's own verbs; what they ask for comes in one turn.
fn request<P: Player>(world: &mut World<P>, args: &Args) -> Fallible<()> {
    let verb = args.command.name.as_str();
    let first = args.word(0).ok().and_then(|word| word.parse().ok()).map(NodeId);
    let machine = first.and_then(|id| world.machines.get_mut(&id));
    let requests = match machine {
        Some(machine) => P::request(&mut machine.desk, verb, args)?,
        None => return Err(format!("`{verb}` is no verb, or no member is named").into()),
    };
    let requests = requests.ok_or_else(|| format!("unknown verb `{verb}`"))?;
    world.feed(args.node(0)?, requests.into_iter().map(Input::Request).collect());
    Ok(())
}

/// The matching letters of the wire, oldest first; taken from it, or copied.
fn pick<P: Player>(
    world: &mut World<P>,
    args: &Args,
    take: bool,
) -> Fallible<Vec<Letter<P::Message>>> {
    let from = args.key("from")?.map(NodeId);
    let to = args.key("to")?.map(NodeId);
    let kind = args.key::<String>("kind")?;
    let count = args.key("count")?.unwrap_or(usize::MAX);
    let mut picked = Vec::new();
    let mut rest = VecDeque::new();
    for letter in world.wire.drain(..) {
        let fits = from.is_none_or(|from| from == letter.from)
            && to.is_none_or(|to| to == letter.to)
            && kind.as_ref().is_none_or(|kind| kind == P::kind(&letter.message))
            && picked.len() < count;
        if fits {
            picked.push(letter.clone());
        }
        if !fits || !take {
            rest.push_back(letter);
        }
    }
    world.wire = rest;
    Ok(picked)
}

/// The clock in milliseconds, for `status`.
pub(crate) fn millis(now: Instant) -> u64 {
    now.0 / 1_000_000
}
