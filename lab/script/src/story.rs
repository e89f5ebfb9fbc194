//! The verbs of golden stories.
//!
//! | verb | what happens |
//! |---|---|
//! | `cluster nodes=3 [election= heartbeat= inflight= append_bytes= cached_bytes= seed=]` | members 1..=n start on empty disks |
//! | `add 4` | a machine that is not in the configuration |
//! | `campaign 1`, `transfer 1 2`, `read 2 7` | requests to a member |
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

use crate::disk::Platter;
use crate::world::{Letter, World};
use crate::{expect, show};
use goldenscript::{Argument, Command, Context};
use quorate_base::{Input, Instant, NodeId};
use quorate_raft::{Config, Request};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Runs one story.
#[derive(Default)]
pub struct Story {
    world: Option<World>,
    shelves: BTreeMap<String, Vec<Letter>>,
}

impl goldenscript::Runner for Story {
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

fn cluster(args: &Args) -> Fallible<World> {
    let config = Config {
        id: NodeId(0),
        election_timeout: args.time("election")?.unwrap_or(Duration::from_secs(1)),
        heartbeat_interval: args.time("heartbeat")?.unwrap_or(Duration::from_millis(100)),
        max_append_bytes: args.key("append_bytes")?.unwrap_or(1 << 20),
        max_inflight_appends: args.key("inflight")?.unwrap_or(16),
        max_cached_bytes: args.key("cached_bytes")?.unwrap_or(1 << 20),
    };
    let nodes = args.key("nodes")?.ok_or("how many nodes?")?;
    Ok(World::new(nodes, config, args.key("seed")?.unwrap_or(1)))
}

/// Everything that changes the world.
fn act(world: &mut World, args: &Args) -> Fallible<String> {
    match args.command.name.as_str() {
        "deliver" => pick(world, args, true)?.into_iter().for_each(|letter| world.deliver(letter)),
        "drop" => {
            let lost = pick(world, args, true)?;
            let lines = lost.iter().map(|Letter { from, to, message }| {
                format!("{from} → {to} {} (dropped)", show::message(message))
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
            let message = crate::forge::message(args)?;
            world.hand_over(Letter { from: NodeId(from), to: NodeId(to), message });
        }
        "add" => {
            let first = world.machines.values().next().expect("a cluster has members");
            let platter = Platter::new(first.disk.platter.membership.clone());
            world.add(args.node(0)?, platter);
        }
        "disk" | "app" | "crash" | "restart" | "wipe" | "compact" => machine(world, args)?,
        "campaign" | "propose" | "read" | "transfer" => request(world, args)?,
        other => return Err(format!("unknown verb `{other}`").into()),
    }
    Ok(String::new())
}

fn links(world: &mut World, args: &Args) -> Fallible<()> {
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

fn machine(world: &mut World, args: &Args) -> Fallible<()> {
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

fn request(world: &mut World, args: &Args) -> Fallible<()> {
    let id = args.node(0)?;
    let requests = match args.command.name.as_str() {
        "campaign" => vec![Request::Campaign],
        "transfer" => vec![Request::Transfer { to: args.node(1)? }],
        "read" => {
            let tokens =
                args.words().skip(1).map(|token| Ok(Request::Read { token: token.parse()? }));
            tokens.collect::<Fallible<_>>()?
        }
        _ => {
            let count: usize = args.key("count")?.unwrap_or(0);
            let size: usize = args.key("size")?.unwrap_or(1);
            let words = args.words().skip(1).map(|word| word.as_bytes().to_vec());
            let many = (0..count).map(|_| vec![b'x'; size]);
            words.chain(many).map(|payload| Request::Propose(payload.into())).collect()
        }
    };
    world.feed(id, requests.into_iter().map(Input::Request).collect());
    Ok(())
}

/// The matching letters of the wire, oldest first; taken from it, or copied.
fn pick(world: &mut World, args: &Args, take: bool) -> Fallible<Vec<Letter>> {
    let from = args.key("from")?.map(NodeId);
    let to = args.key("to")?.map(NodeId);
    let kind = args.key::<String>("kind")?;
    let count = args.key("count")?.unwrap_or(usize::MAX);
    let mut picked = Vec::new();
    let mut rest = VecDeque::new();
    for letter in world.wire.drain(..) {
        let fits = from.is_none_or(|from| from == letter.from)
            && to.is_none_or(|to| to == letter.to)
            && kind.as_ref().is_none_or(|kind| kind == show::kind(&letter.message))
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

/// The arguments of a command, by place and by name.
pub(crate) struct Args<'a> {
    command: &'a Command,
}

impl Args<'_> {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.command.args.iter().filter_map(|arg| match arg {
            Argument::Positional(word) => Some(word.as_str()),
            _ => None,
        })
    }

    fn word(&self, at: usize) -> Fallible<&str> {
        self.words().nth(at).ok_or_else(|| format!("argument {at} is missing").into())
    }

    fn node(&self, at: usize) -> Fallible<NodeId> {
        Ok(NodeId(self.word(at)?.parse()?))
    }

    /// The value of `name=value`.
    pub(crate) fn key<T: FromStr<Err: Display>>(&self, name: &str) -> Fallible<Option<T>> {
        let value = self.command.args.iter().find_map(|arg| match arg {
            Argument::KeyValue(key, value) if key == name => Some(value),
            _ => None,
        });
        let parsed = value.map(|value| value.parse().map_err(|e: T::Err| format!("{name}: {e}")));
        Ok(parsed.transpose()?)
    }

    fn time(&self, name: &str) -> Fallible<Option<Duration>> {
        self.key::<String>(name)?.map(|text| parse_time(&text)).transpose()
    }
}

fn parse_time(text: &str) -> Fallible<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(0));
    let number = number.parse()?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(format!("`{text}` is no time: write 100ms or 3s").into()),
    }
}

/// The clock in milliseconds, for `status`.
pub(crate) fn millis(now: Instant) -> u64 {
    now.0 / 1_000_000
}
