//! Small random histories of registers on replicas that hear of each other's writes late.

use std::collections::BTreeMap;

use quorate_base::Dice;
use quorate_check::history::{Event, History, Kind, Value};

/// What the replicas do wrong, or do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// One copy.
    Atomic,
    /// Causal delivery and last-writer-wins: convergent.
    Convergent,
    /// Causal delivery, what arrives last wins: causal memory.
    Memory,
    /// Any order of delivery, last-writer-wins.
    Eventual,
    /// Any order of delivery, and sessions change replicas.
    Roaming,
    /// Answers are drawn from all that was written.
    Dice,
}

/// A write on its way: stamp, key, value, and what its origin had received before.
#[derive(Clone)]
struct Message {
    stamp: (u64, usize),
    key: i64,
    value: i64,
    past: BTreeMap<usize, u64>,
    origin: usize,
    number: u64,
}

#[derive(Clone, Default)]
struct Replica {
    state: BTreeMap<i64, (i64, (u64, usize))>,
    clock: u64,
    received: BTreeMap<usize, u64>,
    waiting: Vec<Message>,
}

/// A history of `count` operations.
pub fn history(dice: &mut Dice, store: Store, count: usize) -> History {
    let sessions = 1 + dice.below(4) as usize;
    let keys = 1 + dice.below(3);
    let copies = if store == Store::Atomic { 1 } else { sessions };
    let mut replicas = vec![Replica::default(); copies];
    let mut events = Vec::new();
    let mut next = 0;
    let mut names: Vec<i64> = (0..sessions as i64).collect();
    for _ in 0..count {
        for replica in &mut replicas {
            replica.deliver(dice, store);
        }
        let session = dice.below(sessions as u64) as usize;
        let home = match store {
            Store::Roaming => dice.below(copies as u64) as usize,
            Store::Atomic | Store::Convergent | Store::Memory | Store::Eventual | Store::Dice => {
                session % copies
            }
        };
        let key = dice.below(keys) as i64;
        let mut push = |kind, f: &str, value: Value| {
            let mut event = Event::new(names[session], kind, f, value);
            event.key = Value::Int(key);
            events.push(event);
        };
        if dice.below(2) == 0 {
            push(Kind::Invoke, "read", Value::Nil);
            let drawn = (store == Store::Dice).then(|| dice.below(next as u64 + 1) as i64);
            let value = match drawn {
                Some(0) => None,
                Some(value) => Some(value),
                None => replicas[home].state.get(&key).map(|(value, _)| *value),
            };
            push(Kind::Ok, "read", value.map_or(Value::Nil, Value::Int));
            continue;
        }
        next += 1;
        push(Kind::Invoke, "write", Value::Int(next));
        let outcome = dice.below(12);
        if outcome > 1 || dice.below(2) == 0 && outcome == 1 {
            write(&mut replicas, home, key, next);
        }
        match outcome {
            0 => push(Kind::Fail, "write", Value::Int(next)),
            1 => push(Kind::Info, "write", Value::Int(next)),
            _ => push(Kind::Ok, "write", Value::Int(next)),
        }
        if outcome == 1 {
            names[session] += 10;
        }
    }
    History::new(events)
}

fn write(replicas: &mut [Replica], home: usize, key: i64, value: i64) {
    let replica = &mut replicas[home];
    replica.clock += 1;
    let stamp = (replica.clock, home);
    let number = replica.received.get(&home).copied().unwrap_or(0);
    let past = replica.received.clone();
    let message = Message { stamp, key, value, past, origin: home, number };
    replica.state.insert(key, (value, stamp));
    replica.received.insert(home, number + 1);
    for (place, other) in replicas.iter_mut().enumerate() {
        if place != home {
            other.waiting.push(message.clone());
        }
    }
}

impl Replica {
    /// Takes in some of what is on its way.
    fn deliver(&mut self, dice: &mut Dice, store: Store) {
        for _ in 0..dice.below(3) {
            if self.waiting.is_empty() {
                return;
            }
            let place = dice.below(self.waiting.len() as u64) as usize;
            let causal = matches!(store, Store::Convergent | Store::Memory);
            if causal && !self.is_next(&self.waiting[place]) {
                continue;
            }
            let message = self.waiting.remove(place);
            self.clock = self.clock.max(message.stamp.0);
            *self.received.entry(message.origin).or_default() += 1;
            let known = self.state.get(&message.key).map(|(_, stamp)| *stamp);
            if store == Store::Memory || known.is_none_or(|known| known < message.stamp) {
                self.state.insert(message.key, (message.value, message.stamp));
            }
        }
    }

    fn is_next(&self, message: &Message) -> bool {
        let received = |replica: usize| self.received.get(&replica).copied().unwrap_or(0);
        received(message.origin) == message.number
            && message.past.iter().all(|(replica, count)| received(*replica) >= *count)
    }
}
