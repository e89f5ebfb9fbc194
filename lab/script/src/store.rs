//! Stories of the replicated state: commands in a log, one store, readers and watchers of it.
//!
//! The store is the real [`Applier`] over an engine in memory whose syncs are done when a story says
//! so. Every write is an entry of a log that outlives crashes; after one, `replay` applies what the
//! engine lost, and the answers must be those of the first time.
//!
//! | verb | what happens |
//! |---|---|
//! | `store [ring=1000]` | an empty store; recent changes are kept in a ring of so many bytes |
//! | `put a 1 [lease=5 prev=true ignore_value=true ignore_lease=true]` | sets a key |
//! | `del a [z] [prev=true]` | deletes a key or a range; the range `all` is every key |
//! | `txn "mod a = 2" … then "put a 2" "del b" else "get a"` | compares (mod, create, version, value, lease), then or else |
//! | `compact 5`, `sweep [2]` | forgets revisions; removes what nobody can see, in steps |
//! | `grant 5 60`, `revoke 5 [by=1]` | a lease; its end, decided by the leader of that term |
//! | `alarm on`, `alarm off` | NOSPACE |
//! | `auth on`, `auth user u`, `auth role r`, `auth grant u r`, `auth allow r read a z`, … | users and roles, see `words.rs` |
//! | any write with `as=u` or `as=u@3` | on this user's behalf, known at that auth revision |
//! | any write with `op=n2/1` | as that operation: a copy of one that was applied is passed over |
//! | `term 2` | what comes is of this term |
//! | `range a [z] [rev= limit= keys_only= count_only= sort=mod/descend min_mod= max_mod=]` | reads |
//! | `watch w a [z] [from=3 noput=true nodelete=true]`, `poll w [budget=1]` | a watcher, and what it gets |
//! | `sync`, `crash`, `replay` | what is applied becomes durable; the engine opens at the last synced mark; the rest of the log |
//! | `rev` | where the store stands |
//! | `expect …` | fails the story when false |
//!
//! | key of `expect` | value |
//! |---|---|
//! | `answer=` | of the last command: what it printed |
//! | `rev= compacted= applied= keys=` | of the newest view |
//! | `value.a= version.a= create.a= mod.a= lease.a=` | of a key, `none` when it is not there |
//! | `leases= attached.5=` | ids; keys |
//! | `got.w= next.w=` | all that a watcher got, `+a@2` for a put and `-a@3` for a delete; what it looks at next |

mod look;
mod words;

use crate::Fallible;
use crate::args::Args;
use goldenscript::{Command as Line, Context};
use quorate_base::Dice;
use quorate_store::{
    Applier, Command, Cursor, Engine, Event, MemEngine, MemView, Options, Polled, ReadError, Ring,
    View, Watch,
};
use std::collections::BTreeMap;

const MEMORY: &str = "memory does not fail";

/// A watcher and what it got.
#[derive(Clone, Debug)]
struct Watcher {
    cursor: Cursor<String>,
    got: Vec<String>,
}

/// Runs one story of the store. See the module's essay.
#[derive(Debug)]
pub struct StoreStory {
    applier: Applier<MemEngine>,
    view: View<MemView>,
    ring: Ring<String>,
    ring_bytes: usize,
    watchers: BTreeMap<String, Watcher>,
    /// All entries from index 1 on: the log of a member, which no crash takes.
    log: Vec<(u64, Command)>,
    term: u64,
    answer: String,
}

impl Default for StoreStory {
    fn default() -> StoreStory {
        StoreStory::new(1000)
    }
}

/// `+a@2` is a put of `a` in revision 2, `-a@3` its delete.
fn brief(event: &Event) -> String {
    let sign = if event.delete { '-' } else { '+' };
    format!("{sign}{}@{}", String::from_utf8_lossy(&event.kv.key), event.kv.mod_revision)
}

impl StoreStory {
    fn new(ring_bytes: usize) -> StoreStory {
        let mut applier =
            Applier::open(MemEngine::with_manual_sync(), Options::default()).expect(MEMORY);
        let view = applier.publish().expect(MEMORY).view;
        let ring = Ring::after(view.revision(), ring_bytes);
        StoreStory {
            applier,
            view,
            ring,
            ring_bytes,
            watchers: BTreeMap::new(),
            log: Vec::new(),
            term: 1,
            answer: String::new(),
        }
    }

    fn act(&mut self, args: &Args) -> Fallible<String> {
        Ok(match args.command.name.as_str() {
            "store" => {
                *self = StoreStory::new(args.key("ring")?.unwrap_or(1000));
                String::new()
            }
            "put" | "del" | "txn" | "compact" | "grant" | "revoke" | "alarm" | "auth" | "guard"
            | "unguard" => {
                let id = match args.key::<String>("op")? {
                    Some(id) => crate::node::parse_operation(&id)?,
                    None => quorate_store::OpId::default(),
                };
                let caller = words::caller(args, self.view.auth().revision())?;
                let command = Command { id, caller, action: words::action(args)? };
                self.log.push((self.term, command));
                self.apply_next()
            }
            "term" => {
                let term = args.number(0)?;
                if term < self.term {
                    return Err(format!("the term cannot go back to {term}").into());
                }
                self.term = term;
                String::new()
            }
            "sweep" => {
                let done = self.applier.compact_step(args.number(0).unwrap_or(usize::MAX))?;
                self.publish();
                if done { "nothing is left to remove" } else { "there is more" }.to_string()
            }
            "range" => match self.view.range(&words::range(args)?) {
                Ok(answer) => look::range(&answer),
                Err(ReadError::Store(error)) => format!("refused: {error:?}"),
                Err(ReadError::Engine(error)) => return Err(error.0.into()),
            },
            "watch" => self.watch(args)?,
            "poll" => self.poll(args)?,
            "sync" => {
                self.applier.engine_mut().request_sync();
                self.applier.engine_mut().finish_sync();
                format!("synced up to entry {}", self.applier.engine().synced())
            }
            "crash" => self.crash(),
            "replay" => {
                let mut lines = Vec::new();
                while self.applier.applied().0 < self.log.len() as u64 {
                    let answer = self.apply_next();
                    lines.push(format!("{}: {answer}", self.applier.applied().0));
                }
                lines.join("\n")
            }
            "rev" => look::position(&self.view),
            other => return Err(format!("unknown verb `{other}`").into()),
        })
    }

    /// Applies the next entry of the log as a batch of its own.
    fn apply_next(&mut self) -> String {
        let (index, _) = self.applier.applied();
        let (term, command) = self.log[index as usize].clone();
        let outcome = self.applier.apply(index + 1, term, Some(&command)).expect(MEMORY);
        self.publish();
        match outcome {
            None => "passed over".to_string(),
            Some(outcome) => look::outcome(&outcome),
        }
    }

    fn publish(&mut self) {
        let published = self.applier.publish().expect(MEMORY);
        self.ring.push(&published.events, &published.unlisted, brief);
        self.view = published.view;
    }

    fn watch(&mut self, args: &Args) -> Fallible<String> {
        let range = words::keys(args, 1)?;
        let watch = Watch {
            range,
            no_put: args.key("noput")?.unwrap_or(false),
            no_delete: args.key("nodelete")?.unwrap_or(false),
            prev_kv: false,
        };
        let from: i64 = args.key("from")?.unwrap_or(0);
        if from < 0 {
            return Err("a watch cannot start before 0".into());
        }
        let cursor = Cursor::new(watch, from, self.view.revision());
        let said = format!("looks at {} next", cursor.next());
        self.watchers.insert(args.word(0)?.to_string(), Watcher { cursor, got: Vec::new() });
        Ok(said)
    }

    fn poll(&mut self, args: &Args) -> Fallible<String> {
        let budget = args.key("budget")?.unwrap_or(usize::MAX);
        let watcher = self.watchers.get_mut(args.word(0)?).ok_or("no such watcher")?;
        let polled = watcher.cursor.poll(&self.view, &self.ring, &brief, budget)?;
        Ok(match polled {
            Polled::Compacted { revision } => format!("cancelled: compacted at {revision}"),
            Polled::Batch(batch) => {
                let events: Vec<String> =
                    batch.events.into_iter().map(|delivery| delivery.encoded).collect();
                let synced = if batch.synced { ", synced" } else { "" };
                let said = format!("[{}] next {}{synced}", events.join(" "), batch.next);
                watcher.got.extend(events);
                said
            }
        })
    }

    /// The power fails: the engine opens at its last synced mark, and nothing in memory is left.
    fn crash(&mut self) -> String {
        let engine = self.applier.engine();
        let synced = engine.synced();
        let mut opened = (0..10_000).map(|seed| engine.clone().crash(&mut Dice::new(seed)));
        let engine = opened.find(|engine| engine.synced() == synced);
        let engine = engine.expect("some crash loses everything that was not synced");
        self.applier = Applier::open(engine, Options::default()).expect(MEMORY);
        self.ring = Ring::after(self.applier.revision(), self.ring_bytes);
        self.watchers.clear();
        self.publish();
        format!("open at entry {} of {}", self.applier.applied().0, self.log.len())
    }
}

impl goldenscript::Runner for StoreStory {
    type Command = Line;

    fn run(&mut self, line: &Line, _context: &Context) -> Fallible<String> {
        if line.name == "expect" {
            return look::check(self, line);
        }
        self.answer = self.act(&Args { command: line })?;
        Ok(self.answer.clone())
    }
}
