//! The monotonic clock of this process, in the words of protocols.

use quorate_base::Instant;

/// Tells the time since this process began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock { origin: std::time::Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        Instant(self.origin.elapsed().as_nanos() as u64)
    }

    /// The same point in time as tokio knows it.
    pub fn to_tokio(self, at: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.origin + std::time::Duration::from_nanos(at.0))
    }
}
