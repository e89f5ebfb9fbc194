//! What operations read and wrote: transactions out of events, with numbers instead of values and flat arrays instead of trees.
//!
//! A transaction is an operation `txn` whose value is a list of micro-operations, `[:append x 3]`, `[:r y [1 2]]`, `[:w x 3]`.
//! A single `read`, `write` or `cas` of a register is a transaction of its own; its key is the event's, or the first of a pair
//! where all values are pairs `[key value]` (Jepsen's independent keys). Values that are small integers stand for themselves, all others get numbers from a table, so that a list of ten thousand
//! elements is compared as memory. Of a transaction that failed or whose outcome is unknown the invocation is kept: what it would have written.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use crate::history::{Event, History, Operation, Outcome, Value};
use crate::pairs::{has_pairs, pair};
use crate::verdict::HistoryError;

/// No place, no transaction, no value.
pub(crate) const NONE: u32 = u32::MAX;

/// The first number of values that are not small integers.
const TABLE: u32 = 1 << 31;

/// A hasher for numbers that nobody chooses with bad intent: one multiplication (the golden ratio's bits) and a fold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl BuildHasher for Quick {
    type Hasher = Quick;

    fn build_hasher(&self) -> Quick {
        *self
    }
}

/// Numbers for values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    small: HashMap<i64, u32, Quick>,
    other: HashMap<Value, u32>,
    names: Vec<Value>,
}

impl Numbers {
    /// The number of a key: dense from 0, in order of first sight.
    pub(crate) fn key(&mut self, value: &Value) -> u32 {
        let next = self.names.len() as u32;
        let number = match value {
            Value::Int(small) => *self.small.entry(*small).or_insert(next),
            Value::Nil
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Str(_)
            | Value::Keyword(_)
            | Value::List(_)
            | Value::Map(_) => match self.other.get(value) {
                Some(number) => *number,
                None => *self.other.entry(value.clone()).or_insert(next),
            },
        };
        if number == next {
            self.names.push(value.clone());
        }
        number
    }

    /// The number of a value: a small integer is its own number, nil is [`NONE`].
    pub(crate) fn value(&mut self, value: &Value) -> u32 {
        match value {
            Value::Nil => NONE,
            Value::Int(small) if (0..i64::from(TABLE)).contains(small) => *small as u32,
            Value::Int(_)
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Str(_)
            | Value::Keyword(_)
            | Value::List(_)
            | Value::Map(_) => TABLE + self.key(value),
        }
    }

    /// The key of that number.
    pub(crate) fn name(&self, key: u32) -> &Value {
        &self.names[key as usize]
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The value of that number, as EDN.
    pub(crate) fn show(&self, value: u32) -> String {
        match value {
            NONE => "nil".to_string(),
            small if small < TABLE => small.to_string(),
            other => self.name(other - TABLE).to_string(),
        }
    }
}

/// One access of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Micro {
    /// The key's number.
    pub key: u32,
    /// What it does.
    pub kind: MicroKind,
}

/// What a micro-operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MicroKind {
    /// Adds this element to the end of a list.
    Append(u32),
    /// Read this list: a range of [`Txns::elements`].
    List(u32, u32),
    /// Writes this value to a register.
    Write(u32),
    /// Read this value of a register ([`NONE`]: nil).
    Value(u32),
    /// Found the register to hold something else than this value.
    Not(u32),
    /// A read whose answer is not known.
    Unknown,
}

/// One transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Txn {
    pub process: i64,
    /// The places of its events in the history; [`NONE`] for an end that never came.
    pub start: u32,
    pub end: u32,
    pub outcome: Outcome,
    first: u32,
    last: u32,
}

/// All transactions of a history, in the order of their invocations.
#[derive(Debug, Default)]
pub(crate) struct Txns {
    pub txns: Vec<Txn>,
    micros: Vec<Micro>,
    pub elements: Vec<u32>,
    pub keys: Numbers,
    pub values: Numbers,
    /// How many events the history has: places are below.
    pub events: usize,
}

/// Which kind of objects the transactions work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objects {
    Lists,
    Registers,
}

impl Txns {
    /// Reads the transactions of a history.
    ///
    /// # Errors
    ///
    /// At the event: an operation that is not `txn`, a value that is no list of micro-operations of this kind of objects, a history that is too
    /// long for numbers of 32 bits.
    pub(crate) fn read(history: &History, objects: Objects) -> Result<Txns, HistoryError> {
        let operations = history.operations()?;
        let mut txns = Txns { events: history.events.len(), ..Txns::default() };
        txns.txns.reserve(operations.len());
        let has_pairs =
            objects == Objects::Registers && has_pairs(history, &operations, &["read", "get"]);
        for operation in &operations {
            let first = txns.micros.len() as u32;
            if matches!(&*history.events[operation.start].f, "txn" | "transaction") {
                txns.add(history, operation, objects)?;
            } else {
                txns.add_single(history, operation, objects, has_pairs)?;
            }
            txns.close(history, operation, first)?;
        }
        Ok(txns)
    }

    /// Every micro-operation as a transaction of its own, for judges that know no transactions. Of transactions that did not commit for
    /// certain the writes alone are kept: each may have happened.
    pub(crate) fn flattened(&self) -> Txns {
        let mut flat = Txns { txns: Vec::with_capacity(self.micros.len()), ..Txns::default() };
        flat.micros = self.micros.clone();
        flat.elements = self.elements.clone();
        flat.keys = self.keys.clone();
        flat.values = self.values.clone();
        flat.events = self.events;
        for txn in &self.txns {
            for place in txn.first..txn.last {
                flat.txns.push(Txn { first: place, last: place + 1, ..*txn });
            }
        }
        flat
    }

    fn add(
        &mut self,
        history: &History,
        operation: &Operation,
        objects: Objects,
    ) -> Result<(), HistoryError> {
        let invoke = &history.events[operation.start];
        let ok = operation.outcome == Outcome::Ok;
        let event = match operation.end {
            Some(end) if ok => &history.events[end],
            Some(_) | None => invoke,
        };
        let Some(micros) = event.value.as_list() else {
            let message =
                format!("a transaction is a list of micro-operations, not {}", event.value);
            return Err(HistoryError::at(event, message));
        };
        for micro in micros {
            let micro = self.micro(event, micro, objects, ok)?;
            self.micros.push(micro);
        }
        Ok(())
    }

    /// A single operation on a register.
    fn add_single(
        &mut self,
        history: &History,
        operation: &Operation,
        objects: Objects,
        has_pairs: bool,
    ) -> Result<(), HistoryError> {
        let invoke = &history.events[operation.start];
        let f = &*invoke.f;
        if objects == Objects::Lists {
            let message = format!("this judge understands txn, not {f}");
            return Err(HistoryError::at(invoke, message));
        }
        let answer = operation.end.map(|end| &history.events[end]);
        let (key, argument) = if has_pairs { pair(invoke)? } else { (&invoke.key, &invoke.value) };
        let key = self.keys.key(key);
        let ok = operation.outcome == Outcome::Ok;
        match f {
            "read" | "get" => {
                let kind = match answer.filter(|_| ok) {
                    Some(event) if has_pairs => MicroKind::Value(self.values.value(pair(event)?.1)),
                    Some(event) => MicroKind::Value(self.values.value(&event.value)),
                    None => MicroKind::Unknown,
                };
                self.micros.push(Micro { key, kind });
            }
            "write" | "put" if argument.is_nil() => {
                return Err(HistoryError::at(
                    invoke,
                    "a write of nil, which stands for never written",
                ));
            }
            "write" | "put" => {
                let kind = MicroKind::Write(self.values.value(argument));
                self.micros.push(Micro { key, kind });
            }
            "cas" => {
                let Some([expected, new]) = argument.as_list() else {
                    return Err(HistoryError::at(invoke, "cas is invoked with [expected new]"));
                };
                let refused = operation.outcome == Outcome::Fail
                    && answer.is_some_and(|event| event.error.is_nil());
                let expected = self.values.value(expected);
                if refused {
                    self.micros.push(Micro { key, kind: MicroKind::Not(expected) });
                    return Ok(());
                }
                let write = MicroKind::Write(self.values.value(new));
                self.micros.push(Micro { key, kind: MicroKind::Value(expected) });
                self.micros.push(Micro { key, kind: write });
            }
            f => {
                let message = format!("this judge understands read, write, cas and txn, not {f}");
                return Err(HistoryError::at(invoke, message));
            }
        }
        Ok(())
    }

    /// Ends the transaction whose micro-operations begin at `first`.
    fn close(
        &mut self,
        history: &History,
        operation: &Operation,
        first: u32,
    ) -> Result<(), HistoryError> {
        let event = &history.events[operation.start];
        if self.micros.len() >= TABLE as usize || self.elements.len() >= TABLE as usize {
            return Err(HistoryError::at(event, "more than 2^31 micro-operations or elements"));
        }
        // A refused compare-and-set is an answer like any other.
        let refused = matches!(self.micros.last(), Some(Micro { kind: MicroKind::Not(_), .. }));
        let outcome = if refused { Outcome::Ok } else { operation.outcome };
        self.txns.push(Txn {
            process: event.process,
            start: operation.start as u32,
            end: operation.end.map_or(NONE, |end| end as u32),
            outcome,
            first,
            last: self.micros.len() as u32,
        });
        Ok(())
    }

    fn micro(
        &mut self,
        event: &Event,
        micro: &Value,
        objects: Objects,
        ok: bool,
    ) -> Result<Micro, HistoryError> {
        let parts = micro.as_list().unwrap_or(&[]);
        let wrong = || {
            let form = match objects {
                Objects::Lists => "[:append key value] or [:r key [values]]",
                Objects::Registers => "[:w key value] or [:r key value]",
            };
            HistoryError::at(event, format!("a micro-operation is {form}, not {micro}"))
        };
        let [name, key, value] = parts else { return Err(wrong()) };
        let key = self.keys.key(key);
        let kind = match (name.as_name(), objects) {
            (Some("r" | "read"), _) if !ok => MicroKind::Unknown,
            (Some("append"), Objects::Lists) if !value.is_nil() => {
                MicroKind::Append(self.values.value(value))
            }
            (Some("w" | "write"), Objects::Registers) if !value.is_nil() => {
                MicroKind::Write(self.values.value(value))
            }
            (Some("r" | "read"), Objects::Lists) => {
                let items: &[Value] =
                    if value.is_nil() { &[] } else { value.as_list().ok_or_else(wrong)? };
                let first = self.elements.len() as u32;
                for item in items {
                    let number = self.values.value(item);
                    self.elements.push(number);
                }
                MicroKind::List(first, self.elements.len() as u32)
            }
            (Some("r" | "read"), Objects::Registers) => MicroKind::Value(self.values.value(value)),
            (Some(_) | None, Objects::Lists | Objects::Registers) => return Err(wrong()),
        };
        Ok(Micro { key, kind })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.txns.len()
    }

    /// The micro-operations of a transaction.
    pub(crate) fn micros(&self, txn: u32) -> &[Micro] {
        &self.micros[self.places(txn)]
    }

    /// Their places among all.
    fn places(&self, txn: u32) -> Range<usize> {
        let txn = &self.txns[txn as usize];
        txn.first as usize..txn.last as usize
    }

    /// How many micro-operations there are.
    pub(crate) fn micro_count(&self) -> usize {
        self.micros.len()
    }

    /// The elements of a list that was read.
    pub(crate) fn list(&self, (first, last): (u32, u32)) -> &[u32] {
        &self.elements[first as usize..last as usize]
    }

    /// Whether a transaction committed for certain.
    pub(crate) fn is_ok(&self, txn: u32) -> bool {
        self.txns[txn as usize].outcome == Outcome::Ok
    }
}
