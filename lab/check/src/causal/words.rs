//! Bad patterns in words.

use crate::access::NONE;
use crate::causal::patterns::Conflict;
use crate::causal::search::{Case, Link, Pattern};
use crate::history::History;
use crate::registers::{Flaw, Flawed, INITIAL, Registers};
use crate::verdict::Refusal;

/// A read that no order can explain.
pub(crate) fn flaw(
    promise: &str,
    history: &History,
    registers: &Registers,
    flawed: &Flawed,
) -> Refusal {
    let pattern = match flawed.flaw {
        Flaw::Phantom | Flaw::Aborted(_) => "ThinAirRead",
        Flaw::Replaced(_) => "intermediate read",
        Flaw::Internal => "internal",
    };
    let mut words = Words::new(history, registers);
    if let Flaw::Aborted(writer) | Flaw::Replaced(writer) = flawed.flaw {
        words.mention(writer);
    }
    words.mention(flawed.txn);
    words.refusal(promise, pattern, registers.tell(flawed))
}

/// A bad pattern.
pub(crate) fn pattern(
    promise: &str,
    history: &History,
    registers: &Registers,
    case: Option<&Case>,
    pattern: &Pattern,
) -> Refusal {
    let mut words = Words::new(history, registers);
    match pattern {
        Pattern::CyclicCo(steps) => {
            words.steps(steps);
            words.refusal(promise, "CyclicCO", "operations precede each other in a circle")
        }
        Pattern::CyclicCf(steps) => {
            words.steps_of(case, steps);
            words.refusal(promise, "CyclicCF", "readers disagree on the order of writes")
        }
        Pattern::CyclicHb(process, steps) => {
            words.steps(steps);
            let summary = format!("process {process} cannot put what it saw into one order");
            words.refusal(promise, "CyclicHB", summary)
        }
        Pattern::WriteCoInitRead(conflict) | Pattern::WriteCoRead(conflict) => {
            let summary = words.conflict(conflict);
            if let Some(case) = case {
                let write = |write: u32| registers.writes[write as usize].txn;
                if conflict.read != INITIAL {
                    words.steps(&case.path(write(conflict.read), write(conflict.other)));
                }
                words.steps(&case.path(write(conflict.other), conflict.reader));
            }
            let name = if conflict.read == INITIAL { "WriteCOInitRead" } else { "WriteCORead" };
            words.refusal(promise, name, summary)
        }
        Pattern::WriteHbInitRead(process, conflict) => {
            let sentence = words.conflict(conflict);
            let summary = format!("in the order of process {process}, {sentence}");
            words.refusal(promise, "WriteHBInitRead", summary)
        }
    }
}

/// Words about operations, and which operations were mentioned.
pub(crate) struct Words<'a> {
    history: &'a History,
    registers: &'a Registers<'a>,
    lines: Vec<String>,
    mentioned: Vec<u32>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(history: &'a History, registers: &'a Registers) -> Words<'a> {
        Words { history, registers, lines: Vec::new(), mentioned: Vec::new() }
    }

    /// The operation will be listed under the evidence.
    pub(crate) fn mention(&mut self, txn: u32) {
        if !self.mentioned.contains(&txn) {
            self.mentioned.push(txn);
        }
    }

    /// A step each.
    pub(crate) fn steps(&mut self, steps: &[(u32, Link, u32)]) {
        self.steps_of(None, steps);
    }

    /// A step each; the case knows who had what in the past.
    fn steps_of(&mut self, case: Option<&Case>, steps: &[(u32, Link, u32)]) {
        for &(from, link, to) in steps {
            self.mention(from);
            self.mention(to);
            let witness = case.filter(|_| link == Link::Conflict).and_then(|case| {
                let reader = self.witness(case, from, to)?;
                self.mention(reader);
                Some(reader)
            });
            let line = self.step(from, link, to, witness);
            if !self.lines.contains(&line) {
                self.lines.push(line);
            }
        }
    }

    /// Who read what one wrote, knowing what the other wrote to the same key.
    fn witness(&self, case: &Case, known: u32, read: u32) -> Option<u32> {
        let registers = self.registers;
        registers.writes_of(known).find_map(|one| {
            let key = registers.writes[one as usize].key;
            let mut others = registers.writes_of(read);
            let other = others.find(|other| registers.writes[*other as usize].key == key)?;
            let readers = case.index.readers(registers, other, key);
            case.index.witness(&case.frame, &case.clocks, key, one, readers)
        })
    }

    /// A read before the write that replaced what it saw.
    fn overwritten(&self, from: u32, to: u32) -> String {
        let registers = self.registers;
        let read = registers.reads_of(from).iter().find(|read| {
            let mut writes = registers.writes_of(to);
            writes.any(|write| registers.writes[write as usize].key == read.key)
        });
        let Some(read) = read else { return format!("T{from} precedes T{to}") };
        let value = registers.writes.get(read.write as usize).map_or(NONE, |write| write.value);
        format!("T{from} read {}, before T{to} replaced it", registers.show(read.key, value))
    }

    fn step(&self, from: u32, link: Link, to: u32, witness: Option<u32>) -> String {
        let registers = self.registers;
        match link {
            Link::Session => {
                let process = registers.txns.txns[from as usize].process;
                format!("T{from} came before T{to} in process {process}")
            }
            Link::ReadFrom => {
                let read = registers.reads_of(to).iter().find(|read| {
                    read.write != INITIAL && registers.writes[read.write as usize].txn == from
                });
                let value = read.map_or_else(String::new, |read| {
                    registers.show(read.key, registers.writes[read.write as usize].value)
                });
                format!("T{to} read {value}, which T{from} wrote")
            }
            Link::Conflict => {
                let pair = registers.writes_of(from).find_map(|one| {
                    let one = registers.writes[one as usize];
                    let others =
                        registers.writes_of(to).map(|other| registers.writes[other as usize]);
                    others.into_iter().find(|other| other.key == one.key).map(|other| (one, other))
                });
                let Some((one, other)) = pair else { return self.overwritten(from, to) };
                let (one, other) =
                    (registers.show(one.key, one.value), registers.show(other.key, other.value));
                let who = match witness {
                    Some(reader) => format!("T{reader}, which knew of T{from}, read {other}"),
                    None => format!("somebody who knew of T{from} read {other}"),
                };
                format!("T{from} wrote {one} before T{to} wrote {other}, since {who}")
            }
        }
    }

    fn conflict(&mut self, conflict: &Conflict) -> String {
        let write = |place: u32| self.registers.writes[place as usize];
        let (other, reader) = (write(conflict.other), conflict.reader);
        let newer = self.registers.show(other.key, other.value);
        let older = match conflict.read {
            INITIAL => "the initial value".to_string(),
            read => self.registers.show(other.key, write(read).value),
        };
        self.mention(other.txn);
        self.mention(reader);
        format!("T{reader} read {older}, although T{} had written {newer} before", other.txn)
    }

    /// All operations that were mentioned, under the lines so far.
    pub(crate) fn refusal(
        mut self,
        promise: &str,
        pattern: &str,
        summary: impl Into<String>,
    ) -> Refusal {
        self.mentioned.sort_unstable();
        let mut events = Vec::new();
        for txn in &self.mentioned {
            let record = &self.registers.txns.txns[*txn as usize];
            let start = record.start as usize;
            let event = match record.end {
                end if (end as usize) < self.history.events.len() => {
                    &self.history.events[end as usize]
                }
                _ => &self.history.events[start],
            };
            let place = if event.position.line == 0 {
                String::new()
            } else {
                format!(", {}", event.position)
            };
            let key = if event.key.is_nil() { String::new() } else { format!(" {}", event.key) };
            let (process, f, value) = (record.process, &event.f, &event.value);
            self.lines.push(format!("T{txn} (process {process}{place}): {f}{key} {value}"));
            events.push(start);
        }
        events.dedup();
        Refusal {
            property: promise.to_string(),
            summary: format!("{pattern}: {}", summary.into()),
            evidence: self.lines,
            events,
        }
    }
}
