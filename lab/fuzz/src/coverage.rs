//! Which code an input reached, when the build counts it.
//!
//! `-C instrument-coverage` makes the compiler count how often each region of code runs, on stable Rust. The counters
//! lie in one piece in the memory of the process, between two addresses that the profiling runtime of the compiler
//! tells. So a driver can see whether an input reached code that none before it did, and keep it as a seed: that is
//! what lets mutations go deep. Without the feature `coverage` nothing is counted and nothing is ever new.

/// The regions that were reached so far.
#[derive(Default)]
pub struct Reached {
    /// One place for each counter.
    seen: Vec<bool>,
    count: usize,
}

impl Reached {
    /// How many regions were reached.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes all that was reached up to now for known.
    pub fn note(&mut self) {
        for region in self.news() {
            self.know(region);
        }
    }

    /// Finds which of some inputs, which were run a moment ago, reach something new. `again` runs one more time.
    pub fn news_of(&mut self, inputs: usize, mut again: impl FnMut(usize)) -> Vec<usize> {
        let mut news = self.news();
        let mut found = Vec::new();
        if news.is_empty() {
            return found;
        }
        counters::clear(&news);
        for input in 0..inputs {
            again(input);
            let before = news.len();
            news.retain(|region| {
                let is_reached = counters::get(*region) != 0;
                if is_reached {
                    self.know(*region);
                }
                !is_reached
            });
            if news.len() < before {
                found.push(input);
            }
        }
        // What happens once in a process, such as making a table, is nobody's.
        news.into_iter().for_each(|region| self.know(region));
        found
    }

    /// Regions that were reached since the last look.
    fn news(&mut self) -> Vec<usize> {
        self.seen.resize(counters::len(), false);
        let is_new = |region: &usize| !self.seen[*region] && counters::get(*region) != 0;
        (0..self.seen.len()).filter(is_new).collect()
    }

    fn know(&mut self, region: usize) {
        if !std::mem::replace(&mut self.seen[region], true) {
            self.count += 1;
        }
    }
}

#[cfg(feature = "coverage")]
mod counters {
    //! The counters of the profiling runtime.

    unsafe extern "C" {
        fn __llvm_profile_begin_counters() -> *mut u64;
        fn __llvm_profile_end_counters() -> *mut u64;
    }

    fn bounds() -> (*mut u64, usize) {
        // SAFETY: both functions only return an address, the ends of one array of 64-bit counters that the linker laid
        // out; it is there for as long as the process is.
        unsafe {
            let (begin, end) = (__llvm_profile_begin_counters(), __llvm_profile_end_counters());
            (begin, end.offset_from(begin) as usize)
        }
    }

    pub fn len() -> usize {
        bounds().1
    }

    pub fn get(region: usize) -> u64 {
        let (begin, len) = bounds();
        assert!(region < len);
        // SAFETY: inside of the array; instrumented code writes to it at any time, hence volatile.
        unsafe { begin.add(region).read_volatile() }
    }

    pub fn clear(regions: &[usize]) {
        let (begin, len) = bounds();
        for region in regions {
            assert!(*region < len);
            // SAFETY: as above.
            unsafe { begin.add(*region).write_volatile(0) };
        }
    }
}

#[cfg(not(feature = "coverage"))]
mod counters {
    //! Nobody counts.

    pub fn len() -> usize {
        0
    }

    pub fn get(_region: usize) -> u64 {
        0
    }

    pub fn clear(_regions: &[usize]) {}
}
