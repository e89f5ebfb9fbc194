//! Randomness as a field: seeded, owned, replayable.

/// A small deterministic generator (SplitMix64: Steele, Lea, Flood, OOPSLA 2014).
///
/// It is for jitter and for simulated faults, never for secrets. Two dice with the same seed say
/// the same numbers for ever, on every machine and every release.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Dice that always tell the same story for the same seed.
    pub fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`.
    ///
    /// # Panics
    /// When `bound` is zero: there is no such number.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number lies below zero");
        // Multiply-shift (Lemire 2019). Its bias is under bound/2^64, which no jitter can notice.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    ///
    /// # Panics
    /// When `low > high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "empty range {low}..={high}");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }

    /// True with a probability of `per_million` in a million.
    pub fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }

    /// Dice of its own for a part of the world, so that adding a roll in one part does not change
    /// the story of another.
    pub fn fork(&mut self, label: u64) -> Dice {
        Dice::new(self.next_u64() ^ label.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_story_and_forks_differ() {
        let (mut a, mut b) = (Dice::new(7), Dice::new(7));
        let first: Vec<u64> = (0..100).map(|_| a.next_u64()).collect();
        let second: Vec<u64> = (0..100).map(|_| b.next_u64()).collect();
        assert_eq!(first, second);
        assert_ne!(a.fork(1).next_u64(), b.fork(2).next_u64());
    }

    #[test]
    fn ranges_hold_and_reach_both_ends() {
        let mut dice = Dice::new(1);
        let rolls: Vec<u64> = (0..1000).map(|_| dice.between(3, 6)).collect();
        assert!(rolls.iter().all(|roll| (3..=6).contains(roll)));
        assert!((3..=6).all(|want| rolls.contains(&want)));
        assert_eq!(dice.between(9, 9), 9);
        dice.between(0, u64::MAX);
    }
}
