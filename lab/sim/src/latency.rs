//! How long a message takes over one hop.

use quorate_base::Dice;
use std::time::Duration;

/// A distribution of delays. All numbers are microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Latency {
    /// Always the same.
    Fixed(u64),
    /// Anything between two bounds, both included.
    Uniform(u64, u64),
    /// The sum of two uniform ones up to `half` each: mostly near the mean, so that reordering is
    /// common and not the rule.
    Triangle {
        /// Half of the longest delay.
        half: u64,
    },
    /// Exponential with a mean: memoryless, as queues are.
    Exponential {
        /// The mean.
        mean: u64,
    },
    /// Log-normal: what wide-area networks look like, with a long tail.
    LogNormal {
        /// The median.
        median: u64,
        /// The standard deviation of the logarithm, in thousandths: 500 is a calm link, 1500 a
        /// wild one.
        sigma: u32,
    },
}

impl Latency {
    /// The next delay.
    pub fn draw(&self, dice: &mut Dice) -> Duration {
        let micros = match *self {
            Latency::Fixed(micros) => micros,
            Latency::Uniform(low, high) => dice.between(low, high),
            Latency::Triangle { half } => 20 + dice.below(half.max(1)) + dice.below(half.max(1)),
            Latency::Exponential { mean } => (-(unit(dice).ln()) * mean as f64) as u64,
            Latency::LogNormal { median, sigma } => {
                (median as f64 * (f64::from(sigma) / 1_000.0 * normal(dice)).exp()) as u64
            }
        };
        Duration::from_micros(micros)
    }

    /// The greatest delay there can be; nothing when there is no bound.
    pub fn bound(&self) -> Option<Duration> {
        match *self {
            Latency::Fixed(micros) | Latency::Uniform(_, micros) => {
                Some(Duration::from_micros(micros))
            }
            Latency::Triangle { half } => Some(Duration::from_micros(20 + 2 * half)),
            Latency::Exponential { .. } | Latency::LogNormal { .. } => None,
        }
    }
}

/// In (0, 1]: its logarithm is finite.
fn unit(dice: &mut Dice) -> f64 {
    ((dice.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Standard normal: the sum of twelve uniform numbers less six (central limit; the tails end at six
/// standard deviations). Only sums and products, so that it is the same number in every build.
fn normal(dice: &mut Dice) -> f64 {
    (0..12).map(|_| unit(dice)).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(latency: Latency) -> f64 {
        let mut dice = Dice::new(3);
        let draws = 20_000;
        let sum: f64 = (0..draws).map(|_| latency.draw(&mut dice).as_micros() as f64).sum();
        sum / f64::from(draws)
    }

    #[test]
    fn means_are_what_the_books_say() {
        let near = |latency, wanted: f64| {
            let mean = mean(latency);
            assert!((mean / wanted - 1.0).abs() < 0.05, "{latency:?} has mean {mean}");
        };
        near(Latency::Fixed(500), 500.0);
        near(Latency::Uniform(100, 300), 200.0);
        near(Latency::Triangle { half: 1_000 }, 1_019.0);
        near(Latency::Exponential { mean: 1_000 }, 1_000.0);
        // The mean of a log-normal is the median times e^(sigma^2 / 2).
        near(Latency::LogNormal { median: 1_000, sigma: 500 }, 1_133.0);
    }

    #[test]
    fn bounds_are_kept() {
        let mut dice = Dice::new(4);
        for latency in [Latency::Fixed(9), Latency::Uniform(2, 8), Latency::Triangle { half: 50 }] {
            let bound = latency.bound().unwrap();
            assert!((0..2_000).all(|_| latency.draw(&mut dice) <= bound), "{latency:?}");
        }
        assert_eq!(Latency::Exponential { mean: 1 }.bound(), None);
    }
}
