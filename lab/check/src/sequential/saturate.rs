//! What every legal order must have in it, as far as two rules tell.
//!
//! For a read *r* of a value that *w* wrote, and another write *o* to the same key: if *o* comes before *r*, it comes before *w*; if *w*
//! comes before *o*, then *r* does. Starting from sessions and reads-from, the rules are applied until nothing is new (Gibbons and
//! Korach 1997). A cycle refuses the history; without one, the search has a map. Clocks over the sessions find all of it
//! in rounds of n × k look-ups.

use crate::causal::frame::{Clocks, Extra, Frame, Order};
use crate::causal::patterns::Index;
use crate::causal::search::{Link, cycle, order_edges};
use crate::graph::Edge;
use crate::limits::Meter;
use crate::registers::{INITIAL, Registers};
use crate::verdict::Reason;

/// Edges beyond which saturation stops: it is a help to the search, and must not cost more than that.
const MOST: usize = 4_000_000;

/// A cycle, as steps between transactions.
pub(crate) type Cycle = Vec<(u32, Link, u32)>;

/// The edges of sessions, of reads-from, and of the rules; or a cycle of them.
///
/// # Errors
///
/// The limits.
pub(crate) fn saturate(
    registers: &Registers,
    meter: &Meter,
) -> Result<Result<Vec<Edge>, Cycle>, Reason> {
    let frame = Frame::new(registers, Order::Causal);
    let index = Index::new(registers, &frame);
    let nodes = registers.txns.len();
    let mut extra = Extra::default();
    loop {
        let Some(clocks) = Clocks::compute(registers, &frame, &extra, meter)? else {
            let steps = cycle(nodes, &order_edges(registers, &frame, &extra));
            return Ok(Err(steps.expect("there is one")));
        };
        let round = Round { registers, frame: &frame, index: &index, clocks: &clocks };
        if !round.apply(&mut extra, meter)? {
            return Ok(Ok(order_edges(registers, &frame, &extra)));
        }
        extra.seal(nodes);
    }
}

struct Round<'a> {
    registers: &'a Registers<'a>,
    frame: &'a Frame,
    index: &'a Index,
    clocks: &'a Clocks,
}

impl Round<'_> {
    /// Applies the rules once to every value that was read. Whether anything is new, and there is room for more.
    fn apply(&self, extra: &mut Extra, meter: &Meter) -> Result<bool, Reason> {
        let mut maxima = vec![0; self.frame.chains.len()];
        let mut is_new = false;
        let keys = self.registers.txns.keys.len() as u32;
        let initial = (0..keys).map(|key| (INITIAL, key));
        let written = (0u32..).zip(&self.registers.writes).map(|(place, write)| (place, write.key));
        for (at, (read, key)) in initial.chain(written).enumerate() {
            if at % 4096 == 0 {
                meter.check(extra.bytes())?;
            }
            let readers = self.index.readers(self.registers, read, key);
            if extra.bytes() / 40 > MOST {
                return Ok(false);
            }
            if !readers.is_empty() {
                is_new |= self.value((read, key), readers, extra, &mut maxima);
            }
        }
        Ok(is_new)
    }

    fn value(
        &self,
        value: (u32, u32),
        readers: &[u32],
        extra: &mut Extra,
        maxima: &mut [u32],
    ) -> bool {
        let (registers, frame, clocks) = (self.registers, self.frame, self.clocks);
        let (read, key) = value;
        let writer = registers.writes.get(read as usize).map(|write| write.txn);
        let mut is_new = false;
        if let Some(writer) = writer {
            self.index.conflicts(registers, frame, clocks, value, readers, maxima, |other| {
                let other = registers.writes[other as usize].txn;
                if !clocks.precedes(frame, other, writer) {
                    is_new |= extra.add(other, writer);
                }
                true
            });
        }
        self.index.followers(registers, frame, clocks, (writer, key), |other| {
            for reader in readers {
                if *reader != other && !clocks.precedes(frame, *reader, other) {
                    is_new |= extra.add(*reader, other);
                }
            }
        });
        is_new
    }
}
