//! One way through the states, chosen by bytes: for whoever looks for odd ways with other means than visiting all.
//!
//! [`explore`](crate::explore()) is complete and shallow, a walk is neither. It goes on for as long as the bytes do,
//! beyond any bounds that a search can finish, and a fuzzer may breed walks that reach new places.

use crate::act::{Act, Cause, causes};
use crate::explore::attempt;
use crate::world::{Bounds, World};

/// More letters on the wire than this, and a walk ends.
const LETTERS: usize = 200;

/// Walks from the first state: of every two bytes, the first chooses what happens, and the second whether the member
/// that it happens to crashes meanwhile. Says how many steps there were.
///
/// # Errors
/// The broken promise and the way to it, in words.
pub fn walk(bounds: &Bounds, choices: &[u8]) -> Result<usize, String> {
    let mut world = World::new(bounds);
    let (mut possible, mut way) = (Vec::new(), Vec::new());
    for choice in choices.chunks(2) {
        causes(&world, bounds, &mut possible);
        if possible.is_empty() || world.letters() > LETTERS {
            break;
        }
        let cause = possible[usize::from(choice[0]) % possible.len()];
        let crash = choice.get(1).copied().unwrap_or_default();
        let act = Act { cause, crash: crashes(&world, bounds, cause, crash) };
        way.push(format!("{:3}  {}", way.len() + 1, act.tell(&world)));
        if let Err(broken) = attempt(&mut world, act) {
            return Err(format!("{broken}\n{}\n{}", way.join("\n"), world.tell()));
        }
    }
    Ok(way.len())
}

/// How many writes survive the crash that comes with a step, if one does: every eighth byte asks for one.
fn crashes(world: &World, bounds: &Bounds, cause: Cause, byte: u8) -> Option<u8> {
    if matches!(cause, Cause::Idle(_)) {
        return Some(0);
    }
    if world.subject(cause).crashes == bounds.crashes || byte % 8 != 7 {
        return None;
    }
    // A crash comes before the last write, or it is none; what the step breaks without it, it breaks again below.
    let writes = attempt(&mut world.clone(), Act { cause, crash: None }).unwrap_or_default();
    (writes > 0).then(|| (byte / 8) % writes)
}
