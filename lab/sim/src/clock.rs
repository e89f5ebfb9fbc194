//! A node's own clock: what it shows, and when it will show something.
//!
//! The world has one time; a node sees it through a clock that may be off, fast, slow, stopped, or
//! jump. Protocols get what the clock shows, and their timers fire when the clock shows the time
//! that they asked for (later, when the node is drowsy).
//!
//! [`Clock::elapsed`] adds up all ways forward that the clock ever went and leaves out its jumps
//! back. Whoever waits for a span on this clock cannot be through before that much has elapsed on
//! it, however it jumped: the lease oracle measures promises with it.

use quorate_base::Instant;
use std::time::Duration;

/// One millionth of the world's pace, in pieces per million.
const WHOLE: u64 = 1_000_000;

/// See the module's essay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clock {
    /// At this moment of the world the clock showed `shown`.
    anchor: Instant,
    shown: Instant,
    /// Its pace, in millionths of the world's; zero when it stands still.
    pace: u64,
    /// The way forward up to the anchor.
    elapsed: Duration,
    /// Timers fire so much later than asked for.
    late: Duration,
}

impl Clock {
    /// A clock that is right but for an offset.
    pub fn new(offset: Duration) -> Clock {
        let shown = Instant(0) + offset;
        let (elapsed, late) = (Duration::ZERO, Duration::ZERO);
        Clock { anchor: Instant(0), shown, pace: WHOLE, elapsed, late }
    }

    fn way(&self, now: Instant) -> Duration {
        let passed = now.since(self.anchor);
        if self.pace == WHOLE {
            return passed;
        }
        let way = u128::from(passed.as_nanos() as u64) * u128::from(self.pace) / u128::from(WHOLE);
        Duration::from_nanos(way as u64)
    }

    /// What it shows.
    pub fn show(&self, now: Instant) -> Instant {
        self.shown + self.way(now)
    }

    /// How far it went forward since the world began.
    pub fn elapsed(&self, now: Instant) -> Duration {
        self.elapsed + self.way(now)
    }

    /// When it will show `shown` and a timer for that fires, no earlier than `now`. Nothing while
    /// it stands still.
    pub fn when(&self, shown: Instant, now: Instant) -> Option<Instant> {
        let ahead = shown.since(self.show(now));
        if self.pace == WHOLE {
            return Some(now + ahead + self.late);
        }
        if ahead.is_zero() {
            return Some(now + self.late);
        }
        if self.pace == 0 {
            return None;
        }
        let nanos = u128::from(ahead.as_nanos() as u64) * u128::from(WHOLE) / u128::from(self.pace);
        // Rounded up: a timer never fires before its time.
        Some(now + Duration::from_nanos(nanos as u64 + 1) + self.late)
    }

    fn settle(&mut self, now: Instant) {
        let way = self.way(now);
        self.shown = self.shown + way;
        self.elapsed += way;
        self.anchor = now;
    }

    /// It jumps, by microseconds, forward or back (not before its origin).
    pub fn jump(&mut self, now: Instant, micros: i64) {
        self.settle(now);
        let far = Duration::from_micros(micros.unsigned_abs());
        if micros >= 0 {
            self.shown = self.shown + far;
            self.elapsed += far;
        } else {
            self.shown = self.shown - far;
        }
    }

    /// Its pace from now on: so many millionths more or less than the world's.
    pub fn drift(&mut self, now: Instant, millionths: i64) {
        self.settle(now);
        self.pace = WHOLE.saturating_add_signed(millionths);
    }

    /// It stands still.
    pub fn stop(&mut self, now: Instant) {
        self.settle(now);
        self.pace = 0;
    }

    /// Its timers fire late by so much.
    pub fn delay_timers(&mut self, late: Duration) {
        self.late = late;
    }

    /// Its pace is right and its timers are punctual from now on. What it shows stays.
    pub fn steady(&mut self, now: Instant) {
        self.settle(now);
        (self.pace, self.late) = (WHOLE, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn timers_fire_when_the_clock_shows_their_time_and_never_before() {
        for pace in [-900_000, -300, 0, 300, 77_777, 4_000_000] {
            let mut clock = Clock::new(Duration::from_millis(7));
            clock.drift(ms(10), pace);
            let asked = clock.show(ms(10)) + Duration::from_millis(1_234);
            let fires = clock.when(asked, ms(10)).unwrap();
            assert!(clock.show(fires) >= asked, "pace {pace}");
            assert!(clock.show(Instant(fires.0 - 10_000)) < asked, "pace {pace}");
        }
    }

    #[test]
    fn a_stopped_clock_fires_nothing_and_goes_on_from_where_it_stood() {
        let mut clock = Clock::new(Duration::ZERO);
        clock.stop(ms(5));
        assert_eq!(clock.show(ms(50)), ms(5));
        assert_eq!(clock.when(ms(6), ms(50)), None);
        assert_eq!(clock.when(ms(5), ms(50)), Some(ms(50)));
        clock.steady(ms(50));
        assert_eq!(clock.show(ms(60)), ms(15));
    }

    #[test]
    fn jumps_back_count_for_nothing_in_the_way_forward() {
        let mut clock = Clock::new(Duration::ZERO);
        clock.jump(ms(10), -4_000);
        clock.jump(ms(10), 3_000);
        assert_eq!(clock.show(ms(11)), ms(10));
        assert_eq!(clock.elapsed(ms(11)), Duration::from_millis(14));
    }

    #[test]
    fn late_timers_are_late_by_what_was_said() {
        let mut clock = Clock::new(Duration::ZERO);
        clock.delay_timers(Duration::from_millis(30));
        assert_eq!(clock.when(ms(20), ms(10)), Some(ms(50)));
    }
}
