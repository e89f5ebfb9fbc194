//! Small random histories of transactions: from a database that is right, and from ones that are not.

use std::collections::BTreeMap;

use quorate_base::Dice;
use quorate_check::history::{Event, History, Kind, Value};

/// How a database goes wrong, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Transactions run at once, one after the other, between invocation and completion.
    None,
    /// Every read comes from a state of the past, any one.
    Stale,
    /// All reads of a transaction come from one state of the past.
    Snapshot,
    /// The commit is reported as an abort now and then, and takes place.
    Dirty,
    /// Writes are dropped now and then.
    Lost,
    /// A few answers are changed after the fact.
    Mutated,
}

/// All of them, the right one first.
pub const FAULTS: [Fault; 6] =
    [Fault::None, Fault::Stale, Fault::Snapshot, Fault::Dirty, Fault::Lost, Fault::Mutated];

/// What is written: elements of lists or values of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    Lists,
    Registers,
}

type State = BTreeMap<i64, Value>;

struct World<'a> {
    dice: &'a mut Dice,
    objects: Objects,
    fault: Fault,
    states: Vec<State>,
    next: i64,
    keys: u64,
}

/// A history of `count` transactions.
pub fn history(dice: &mut Dice, objects: Objects, fault: Fault, count: usize) -> History {
    let processes = 1 + dice.below(3) as i64;
    let keys = 1 + dice.below(3);
    let mut world = World { dice, objects, fault, states: vec![State::new()], next: 1, keys };
    let mut events = Vec::new();
    // What each process has under way: its invocation, and its completion once it ran.
    let mut open: BTreeMap<i64, (Value, Option<Event>)> = BTreeMap::new();
    let mut names: Vec<i64> = (0..processes).collect();
    let mut begun = 0;
    while begun < count || !open.is_empty() {
        let slot = world.dice.below(processes as u64) as usize;
        let process = names[slot];
        match open.remove(&process) {
            None if begun < count => {
                begun += 1;
                let ask = world.ask();
                events.push(Event::new(process, Kind::Invoke, "txn", ask.clone()));
                open.insert(process, (ask, None));
            }
            None => {}
            Some((ask, None)) => {
                let answer = world.run(process, &ask);
                open.insert(process, (ask, Some(answer)));
            }
            Some((_, Some(answer))) => {
                if answer.kind == Kind::Info {
                    names[slot] += 10;
                }
                events.push(answer);
            }
        }
    }
    if fault == Fault::Mutated {
        mutate(dice, objects, &mut events);
    }
    History::new(events)
}

impl World<'_> {
    fn ask(&mut self) -> Value {
        let count = 1 + self.dice.below(3);
        let micros = (0..count).map(|_| {
            let key = Value::Int(self.dice.below(self.keys) as i64);
            if self.dice.below(2) == 0 {
                return micro("r", key, Value::Nil);
            }
            let value = Value::Int(self.next);
            self.next += 1;
            match self.objects {
                Objects::Lists => micro("append", key, value),
                Objects::Registers => micro("w", key, value),
            }
        });
        Value::List(micros.collect())
    }

    fn run(&mut self, process: i64, ask: &Value) -> Event {
        let kind = match self.dice.below(10) {
            0 => Kind::Fail,
            1 => Kind::Info,
            _ => Kind::Ok,
        };
        let takes_place = match kind {
            Kind::Fail => self.fault == Fault::Dirty,
            Kind::Info => self.dice.below(2) == 0,
            Kind::Ok | Kind::Invoke => true,
        };
        let mut state = self.states.last().expect("there is a first one").clone();
        let mut own = State::new();
        let snapshot = self.past();
        let micros = ask.as_list().expect("made so").iter().map(|asked| {
            let parts = asked.as_list().expect("made so");
            let key = parts[1].as_int().expect("made so");
            if parts[0].as_name() == Some("r") {
                let source = match self.fault {
                    Fault::Stale => self.past(),
                    Fault::Snapshot => snapshot.clone(),
                    Fault::None | Fault::Dirty | Fault::Lost | Fault::Mutated => state.clone(),
                };
                let source = if own.contains_key(&key) { &state } else { &source };
                let value = source.get(&key).cloned().unwrap_or_default();
                return micro("r", parts[1].clone(), value);
            }
            let lost = self.fault == Fault::Lost && self.dice.below(4) == 0;
            if !lost {
                write(self.objects, &mut state, key, &parts[2]);
                write(self.objects, &mut own, key, &parts[2]);
            }
            asked.clone()
        });
        let answer = Value::List(micros.collect());
        if takes_place {
            self.states.push(state);
        }
        let value = if kind == Kind::Ok { answer } else { ask.clone() };
        Event::new(process, kind, "txn", value)
    }

    fn past(&mut self) -> State {
        let place = self.dice.below(self.states.len() as u64) as usize;
        self.states[place].clone()
    }
}

fn micro(name: &str, key: Value, value: Value) -> Value {
    Value::List(vec![Value::Keyword(name.into()), key, value])
}

fn write(objects: Objects, state: &mut State, key: i64, value: &Value) {
    let now = state.entry(key).or_default();
    match (objects, now) {
        (Objects::Lists, Value::List(items)) => items.push(value.clone()),
        (Objects::Lists, now) => *now = Value::List(vec![value.clone()]),
        (Objects::Registers, now) => *now = value.clone(),
    }
}

/// Changes the answers of one or two reads.
fn mutate(dice: &mut Dice, objects: Objects, events: &mut [Event]) {
    for _ in 0..1 + dice.below(2) {
        let place = dice.below(events.len() as u64) as usize;
        let event = &mut events[place];
        let Value::List(micros) = &mut event.value else { continue };
        if event.kind != Kind::Ok || micros.is_empty() {
            continue;
        }
        let chosen = dice.below(micros.len() as u64) as usize;
        let Value::List(parts) = &mut micros[chosen] else { continue };
        if parts[0].as_name() != Some("r") {
            continue;
        }
        match &mut parts[2] {
            Value::List(items) => match dice.below(4) {
                0 => drop(items.pop()),
                1 => items.reverse(),
                2 => items.push(Value::Int(dice.below(12) as i64)),
                _ => items.clear(),
            },
            value if objects == Objects::Lists => {
                *value = Value::List(vec![Value::Int(1 + dice.below(8) as i64)]);
            }
            value if dice.below(4) == 0 => *value = Value::Nil,
            value => *value = Value::Int(1 + dice.below(8) as i64),
        }
    }
}
