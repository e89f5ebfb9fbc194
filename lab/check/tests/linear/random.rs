//! Random histories: a few processes on an object that takes each operation at one moment, then perhaps a lie.

use quorate_base::Dice;
use quorate_check::linear::spec::{Item, NEVER, Spec};

/// How to make operations on an object.
pub trait Workload {
    /// The object.
    type S: Spec;

    /// The object for these items.
    fn spec(&self, items: &[Item<Op<Self>>]) -> Self::S;

    /// An operation that the object answers truthfully in this state. `fresh` is a number that no other call gets.
    fn truth(&self, dice: &mut Dice, process: i64, fresh: u32, state: &State<Self>) -> Op<Self>;

    /// The operation with another answer, if it has one.
    fn lie(&self, dice: &mut Dice, op: &Op<Self>) -> Option<Op<Self>>;

    /// The operation if nobody knows its answer; `None` if that says nothing.
    fn unknown(&self, op: &Op<Self>) -> Option<Op<Self>>;
}

/// The operations of a workload's object.
pub type Op<W> = <<W as Workload>::S as Spec>::Op;
/// Its states.
pub type State<W> = <<W as Workload>::S as Spec>::State;

enum Process<Op> {
    Idle,
    /// Invoked; the place of its item.
    Open(usize),
    /// Took effect.
    Done(usize),
    /// Never returns.
    Gone(std::marker::PhantomData<Op>),
}

/// A history of about so many operations.
pub fn history<W: Workload>(workload: &W, dice: &mut Dice, length: u64) -> Vec<Item<Op<W>>> {
    let spec = workload.spec(&[]);
    let mut state = spec.initial();
    let mut items: Vec<(Option<Op<W>>, u32, u32)> = Vec::new();
    let processes_count = dice.between(1, 4);
    let mut processes: Vec<Process<Op<W>>> = (0..processes_count).map(|_| Process::Idle).collect();
    let (length, loss) = (dice.between(1, length), dice.below(3) as u32 * 80_000);
    // Each operation takes three moments; the rest is patience with processes that are gone.
    for moment in 0..length as u32 * 6 {
        let number = dice.below(processes_count) as usize;
        let process = &mut processes[number];
        match *process {
            Process::Idle if items.len() < length as usize => {
                *process = Process::Open(items.len());
                items.push((None, moment, NEVER));
            }
            Process::Idle | Process::Gone(_) => {}
            Process::Open(place) if dice.chance(loss) => {
                let op = workload.truth(dice, number as i64, place as u32, &state);
                if dice.chance(500_000)
                    && let Some(next) = spec.step(&state, &op)
                {
                    state = next;
                }
                items[place].0 = workload.unknown(&op);
                *process = Process::Gone(std::marker::PhantomData);
            }
            Process::Open(place) => {
                let op = workload.truth(dice, number as i64, place as u32, &state);
                state = spec.step(&state, &op).expect("an object can do what it answers");
                items[place].0 = Some(op);
                *process = Process::Done(place);
            }
            Process::Done(place) => {
                items[place].2 = moment;
                *process = Process::Idle;
            }
        }
    }
    for (op, _, end) in &mut items {
        if *end == NEVER {
            *op = op.take().and_then(|op| workload.unknown(&op));
        }
    }
    let lies = dice.below(3);
    for _ in 0..lies {
        let place = dice.below(items.len() as u64) as usize;
        let (op, _, end) = &mut items[place];
        if let Some(known) = op.as_ref().filter(|_| *end != NEVER)
            && let Some(lie) = workload.lie(dice, known)
        {
            *op = Some(lie);
        }
    }
    let items = items.into_iter().enumerate();
    items
        .filter_map(|(operation, (op, start, end))| Some(Item { op: op?, start, end, operation }))
        .collect()
}
