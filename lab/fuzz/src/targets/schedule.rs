//! What happens to a small cluster, in an order that bytes choose: deliveries, losses, repetitions, crashes.

use quorate_model::{Bounds, walk};

use crate::Target;

/// Further than the model can search: four terms, four values, two crashes of each member.
const BOUNDS: Bounds = Bounds {
    members: 3,
    terms: 4,
    proposals: 4,
    crashes: 2,
    changes: 0,
    learners: 0,
    entries_at_once: true,
    states: 0,
};

/// Steps of three members of the shipped Raft, and every promise of the paper after each.
pub const RAFT_STEPS: Target = Target {
    name: "raft_steps",
    reads: "an order of deliveries, campaigns and crashes, against Raft's promises",
    words: &[],
    seeds: || {
        let spread = |step: usize| (0..240).map(|i| (i * step % 251) as u8).collect();
        // A campaign of the first member, and all letters in their order.
        let orderly = (0..80_u8).flat_map(|i| [i % 9 + 1, 0]).collect();
        vec![orderly, spread(3), spread(29), spread(83), spread(211)]
    },
    run: |input| {
        // Each step is judged in full, so a long walk costs more than it finds.
        let input = &input[..input.len().min(600)];
        for bounds in [BOUNDS, Bounds { members: 5, entries_at_once: false, ..BOUNDS }] {
            if let Err(story) = walk(&bounds, input) {
                panic!("{story}");
            }
        }
    },
};
