//! Who read from whom: registers whose written values are unique.
//!
//! Where no value is written twice to a key, a read tells which write it saw (*reads-from*), and judging becomes a matter of
//! orders instead of a search (Gibbons and Korach 1997; Bouajjani and others, POPL 2017, call such histories differentiated).
//! This module resolves every read, and finds what is wrong whatever the promise: values out of thin air, of aborted and of
//! half-done transactions, and transactions that contradict themselves.

use std::collections::HashMap;

use crate::access::{MicroKind, NONE, Quick, Txns};
use crate::history::Outcome;
use crate::limits::Meter;
use crate::verdict::Reason;

/// The writer of the value that every register holds at first.
pub(crate) const INITIAL: u32 = u32::MAX;

/// A read of a value that another transaction wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub txn: u32,
    pub key: u32,
    /// A place in [`Registers::writes`], or [`INITIAL`].
    pub write: u32,
}

/// A value that a transaction left in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub txn: u32,
    pub key: u32,
    pub value: u32,
}

/// What is wrong with a read in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nobody wrote the value.
    Phantom,
    /// The transaction that wrote it aborted.
    Aborted(u32),
    /// The transaction that wrote it wrote another value before it committed.
    Replaced(u32),
    /// The transaction itself had written or read another value, or writes this one later.
    Internal,
}

/// A read with a flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flawed {
    pub txn: u32,
    pub key: u32,
    pub value: u32,
    pub flaw: Flaw,
}

/// Reads and writes by transaction, resolved.
#[derive(Debug)]
pub(crate) struct Registers<'a> {
    pub txns: &'a Txns,
    /// External reads, sorted by transaction.
    pub reads: Vec<Read>,
    /// Last writes of each transaction to each key, sorted by transaction. Of aborted ones too.
    pub writes: Vec<Write>,
    pub flawed: Vec<Flawed>,
    /// The transactions that took part: committed, or of unknown outcome and read by a committed one.
    pub present: Vec<bool>,
    read_starts: Vec<u32>,
    write_starts: Vec<u32>,
}

/// Where a value comes from.
#[derive(Clone, Copy)]
struct Origin {
    txn: u32,
    /// The place among the last writes; [`NONE`] if the transaction replaced the value itself.
    write: u32,
}

impl<'a> Registers<'a> {
    /// Resolves all reads.
    ///
    /// # Errors
    ///
    /// Two transactions that did not abort write the same value to a key. The limits.
    pub(crate) fn resolve(txns: &'a Txns, meter: &Meter) -> Result<Registers<'a>, Reason> {
        let count = txns.len();
        let present: Vec<bool> = txns.txns.iter().map(|txn| txn.outcome == Outcome::Ok).collect();
        let mut registers = Registers {
            txns,
            reads: Vec::with_capacity(txns.micro_count() / 2),
            writes: Vec::with_capacity(txns.micro_count() / 2),
            flawed: Vec::new(),
            present,
            read_starts: Vec::with_capacity(count + 1),
            write_starts: Vec::with_capacity(count + 1),
        };
        let origins = registers.collect_writes(meter)?;
        let mut steps = 0;
        registers.find_present(&origins);
        for txn in 0..count as u32 {
            registers.read_starts.push(registers.reads.len() as u32);
            if registers.present[txn as usize] {
                registers.collect_reads(txn, &origins, (meter, &mut steps))?;
            }
        }
        registers.read_starts.push(registers.reads.len() as u32);
        Ok(registers)
    }

    fn collect_writes(
        &mut self,
        meter: &Meter,
    ) -> Result<HashMap<(u32, u32), Origin, Quick>, Reason> {
        let (txns, mut steps) = (self.txns, 0);
        let mut origins: HashMap<(u32, u32), Origin, Quick> =
            HashMap::with_capacity_and_hasher(txns.micro_count() / 2, Quick::default());
        for txn in 0..txns.len() as u32 {
            self.write_starts.push(self.writes.len() as u32);
            let micros = txns.micros(txn);
            for (place, micro) in micros.iter().enumerate() {
                let MicroKind::Write(value) = micro.kind else { continue };
                // The accesses of a transaction are looked through for each of them: most have few.
                meter.step(&mut steps, micros.len())?;
                let replaced = micros[place + 1..].iter().any(|later| {
                    later.key == micro.key && matches!(later.kind, MicroKind::Write(_))
                });
                let write = if replaced { NONE } else { self.writes.len() as u32 };
                if !replaced {
                    self.writes.push(Write { txn, key: micro.key, value });
                }
                let origin = Origin { txn, write };
                let aborted = |txn: u32| txns.txns[txn as usize].outcome == Outcome::Fail;
                match origins.get(&(micro.key, value)) {
                    Some(_) if aborted(txn) => {}
                    Some(other) if !aborted(other.txn) => {
                        return Err(Reason::Undecidable(format!(
                            "{} is written to {} twice, and its readers cannot be told apart",
                            txns.values.show(value),
                            txns.keys.name(micro.key)
                        )));
                    }
                    Some(_) | None => drop(origins.insert((micro.key, value), origin)),
                }
            }
        }
        self.write_starts.push(self.writes.len() as u32);
        Ok(origins)
    }

    /// Transactions of unknown outcome happened if somebody read from them who happened. (The reads of an unknown one are known where they
    /// are the condition of a compare-and-set.)
    fn find_present(&mut self, origins: &HashMap<(u32, u32), Origin, Quick>) {
        let count = self.txns.len() as u32;
        let mut open: Vec<u32> = (0..count).filter(|txn| self.txns.is_ok(*txn)).collect();
        while let Some(txn) = open.pop() {
            for micro in self.txns.micros(txn) {
                let MicroKind::Value(value) = micro.kind else { continue };
                let Some(origin) = origins.get(&(micro.key, value)) else { continue };
                let is_unknown = self.txns.txns[origin.txn as usize].outcome == Outcome::Unknown;
                if is_unknown && !self.present[origin.txn as usize] {
                    self.present[origin.txn as usize] = true;
                    open.push(origin.txn);
                }
            }
        }
    }

    fn collect_reads(
        &mut self,
        txn: u32,
        origins: &HashMap<(u32, u32), Origin, Quick>,
        (meter, steps): (&Meter, &mut u64),
    ) -> Result<(), Reason> {
        let micros = self.txns.micros(txn);
        for (place, micro) in micros.iter().enumerate() {
            let (key, MicroKind::Value(value)) = (micro.key, micro.kind) else { continue };
            meter.step(steps, place)?;
            let mut flaw = |flaw| self.flawed.push(Flawed { txn, key, value, flaw });
            let earlier = micros[..place].iter().rev().filter(|earlier| earlier.key == key);
            let known = earlier.clone().find_map(|earlier| match earlier.kind {
                MicroKind::Write(value) | MicroKind::Value(value) => Some(value),
                MicroKind::Append(_)
                | MicroKind::List(_, _)
                | MicroKind::Not(_)
                | MicroKind::Unknown => None,
            });
            if known.is_some_and(|known| known != value) {
                flaw(Flaw::Internal);
            }
            if earlier.clone().any(|earlier| matches!(earlier.kind, MicroKind::Write(_))) {
                continue;
            }
            if value == NONE {
                self.reads.push(Read { txn, key, write: INITIAL });
                continue;
            }
            match origins.get(&(key, value)).copied() {
                None => flaw(Flaw::Phantom),
                Some(origin) if origin.txn == txn => flaw(Flaw::Internal),
                Some(origin) => match self.txns.txns[origin.txn as usize].outcome {
                    Outcome::Fail => flaw(Flaw::Aborted(origin.txn)),
                    Outcome::Ok | Outcome::Unknown if origin.write == NONE => {
                        flaw(Flaw::Replaced(origin.txn));
                    }
                    Outcome::Ok | Outcome::Unknown => {
                        self.reads.push(Read { txn, key, write: origin.write });
                    }
                },
            }
        }
        Ok(())
    }

    /// The external reads of a transaction.
    pub(crate) fn reads_of(&self, txn: u32) -> &[Read] {
        let txn = txn as usize;
        &self.reads[self.read_starts[txn] as usize..self.read_starts[txn + 1] as usize]
    }

    /// The places of the writes of a transaction.
    pub(crate) fn writes_of(&self, txn: u32) -> std::ops::Range<u32> {
        let txn = txn as usize;
        self.write_starts[txn]..self.write_starts[txn + 1]
    }

    /// `x = 3`.
    pub(crate) fn show(&self, key: u32, value: u32) -> String {
        let value = self.txns.values.show(value);
        if self.txns.keys.name(key).is_nil() {
            return value;
        }
        format!("{} = {value}", self.txns.keys.name(key))
    }

    /// A flaw in one sentence.
    pub(crate) fn tell(&self, flawed: &Flawed) -> String {
        let what = self.show(flawed.key, flawed.value);
        let reader = flawed.txn;
        match flawed.flaw {
            Flaw::Phantom => format!("T{reader} read {what}, which nobody wrote"),
            Flaw::Aborted(writer) => {
                format!("T{reader} read {what}, which T{writer} wrote, and aborted")
            }
            Flaw::Replaced(writer) => {
                format!("T{reader} read {what}, which T{writer} wrote, then wrote another value")
            }
            Flaw::Internal => format!("T{reader} read {what}, against its own writes and reads"),
        }
    }
}
