//! Causal memory (CM): each session can put all that it knows of into one order.
//!
//! For each session the judge starts from the causal order in the past of its last operation, and adds what its own reads say:
//! whatever wrote the same key and comes before a read comes before the write that was read. New edges reach further writes, so this
//! goes on until nothing is new (Bouajjani and others, POPL 2017: *WriteHBInitRead*, *CyclicHB*). One round costs as much as
//! weak causal consistency, and each session needs its own rounds: this is the dearest of the three promises.

use crate::causal::frame::{Clocks, Extra};
use crate::causal::patterns::Conflict;
use crate::causal::search::{Case, Pattern, cycle, order_edges};
use crate::limits::Meter;
use crate::registers::INITIAL;
use crate::verdict::Reason;

impl Case<'_> {
    /// CC, then every session's own order.
    pub(crate) fn memory(&self, meter: &Meter) -> Result<Option<Pattern>, Reason> {
        if let Some(pattern) = self.weak(None, meter)? {
            return Ok(Some(pattern));
        }
        for session in &self.frame.chains {
            if let Some(pattern) = self.session(session, meter)? {
                return Ok(Some(pattern));
            }
        }
        Ok(None)
    }

    fn session(&self, nodes: &[u32], meter: &Meter) -> Result<Option<Pattern>, Reason> {
        let process = self.registers.txns.txns[nodes[0] as usize].process;
        let mut extra = Extra::default();
        let mut newer: Option<Clocks> = None;
        loop {
            let clocks = newer.as_ref().unwrap_or(&self.clocks);
            match self.round(nodes, clocks, &mut extra) {
                Err(conflict) => return Ok(Some(Pattern::WriteHbInitRead(process, conflict))),
                Ok(false) => return Ok(None),
                Ok(true) => {}
            }
            extra.seal(self.registers.txns.len());
            newer = Clocks::compute(self.registers, &self.frame, &extra, meter)?;
            if newer.is_none() {
                let steps = cycle(
                    self.registers.txns.len(),
                    &order_edges(self.registers, &self.frame, &extra),
                );
                return Ok(Some(Pattern::CyclicHb(process, steps.expect("there is one"))));
            }
        }
    }

    /// Adds what the reads of a session say. Whether anything was new.
    fn round(&self, nodes: &[u32], clocks: &Clocks, extra: &mut Extra) -> Result<bool, Conflict> {
        let (registers, frame) = (self.registers, &self.frame);
        let mut maxima = vec![0; frame.chains.len()];
        let mut is_new = false;
        for &reader in nodes {
            for read in registers.reads_of(reader) {
                let value = (read.write, read.key);
                let mut bad = None;
                self.index.conflicts(
                    registers,
                    frame,
                    clocks,
                    value,
                    &[reader],
                    &mut maxima,
                    |other| {
                        if read.write == INITIAL {
                            bad = Some(Conflict { other, read: INITIAL, reader });
                            return false;
                        }
                        let node = registers.writes[other as usize].txn;
                        let writer = registers.writes[read.write as usize].txn;
                        if !clocks.precedes(frame, node, writer) {
                            is_new |= extra.add(node, writer);
                        }
                        true
                    },
                );
                if let Some(conflict) = bad {
                    return Err(conflict);
                }
            }
        }
        Ok(is_new)
    }
}
