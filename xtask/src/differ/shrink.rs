//! From a difference after a thousand requests to the few that it takes.
//!
//! First whole stretches of requests are left out, halves before quarters before single ones (Zeller's delta debugging);
//! then each request that is left is made simpler. Any difference counts, not only the one that was found first: what
//! is wanted is something small to look at.

use std::time::{Duration, Instant};

use super::op::Request;
use super::play::{Difference, Pair};
use super::server::Failure;

/// Time for one difference. What is left then is printed as it is.
const LIMIT: Duration = Duration::from_secs(120);

/// So many requests are printed of a difference that no replay shows.
const LAST: usize = 20;

/// The smallest difference that could be made of one.
pub async fn smallest(pair: &mut Pair, found: Difference) -> Result<Difference, Failure> {
    let deadline = Instant::now() + LIMIT;
    let Some(again) = pair.replay(&found.ops, found.lockstep).await? else {
        // It depends on something that is not in the requests, such as time; better told as it is than not at all.
        println!(
            "a difference that a replay of {} requests does not show; the last of them",
            found.ops.len()
        );
        let start = found.ops.len().saturating_sub(LAST);
        return Ok(Difference { ops: found.ops[start..].to_vec(), ..found });
    };
    let mut best = again;
    let mut stretch = best.ops.len().div_ceil(2);
    while Instant::now() < deadline {
        let before = best.ops.len();
        best = leave_out(pair, best, stretch, deadline).await?;
        if stretch > 1 {
            stretch = stretch.div_ceil(2);
        } else if best.ops.len() == before {
            break;
        }
    }
    simplify(pair, best, deadline).await
}

/// Leaves out every stretch of this length that is not needed, from the end: what is near the difference goes last.
async fn leave_out(
    pair: &mut Pair,
    mut best: Difference,
    stretch: usize,
    deadline: Instant,
) -> Result<Difference, Failure> {
    let mut end = best.ops.len();
    while end > 0 && Instant::now() < deadline {
        let start = end.saturating_sub(stretch);
        let mut ops = best.ops.clone();
        ops.drain(start..end.min(best.ops.len()));
        if let Some(difference) = pair.replay(&ops, best.lockstep).await? {
            best = difference;
        }
        end = start.min(best.ops.len());
    }
    Ok(best)
}

/// Makes each request as simple as it can be.
async fn simplify(
    pair: &mut Pair,
    mut best: Difference,
    deadline: Instant,
) -> Result<Difference, Failure> {
    let mut index = 0;
    while index < best.ops.len() && Instant::now() < deadline {
        let mut simpler = None;
        for version in best.ops[index].op.simpler() {
            let mut ops: Vec<Request> = best.ops.clone();
            ops[index].op = version;
            if let Some(difference) = pair.replay(&ops, best.lockstep).await?
                && difference.ops.len() > index
            {
                simpler = Some(difference);
                break;
            }
        }
        match simpler {
            Some(difference) => best = difference,
            None => index += 1,
        }
    }
    Ok(best)
}
