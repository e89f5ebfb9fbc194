//! Who is a member right now, for everybody who breaks something: two of them work at the same time, one on
//! processes, links and disks, the other on who belongs to the cluster.
//!
//! A place is one machine with its addresses; whoever joins, leaves or is replaced there is a member of its own. Nobody
//! takes a place that the other one holds, and what is broken at a time leaves a majority wherever that is promised.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

/// What is at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Nobody.
    Empty,
    /// A member that votes.
    Voter,
    /// A member that was added and does not vote yet.
    Joining,
    /// A member that is being removed and is still about.
    Leaving,
    /// A member that is gone for good and not replaced yet.
    Dead,
}

struct Inner {
    places: Vec<Place>,
    /// Members that are broken at the moment.
    struck: BTreeSet<usize>,
}

/// See the module's essay.
pub struct Crew(Mutex<Inner>);

impl Crew {
    /// So many voters, and so many places beside them.
    pub fn new(voters: usize, places: usize) -> Crew {
        let place = |at| if at < voters { Place::Voter } else { Place::Empty };
        let places = (0..places).map(place).collect();
        Crew(Mutex::new(Inner { places, struck: BTreeSet::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// The places where this is.
    pub fn at(&self, wanted: Place) -> Vec<usize> {
        let inner = self.lock();
        let found = inner.places.iter().enumerate().filter(|(_, place)| **place == wanted);
        found.map(|(at, _)| at).collect()
    }

    /// Members that answer when nothing is broken and that know who leads. One that leaves need not: it may be
    /// cut off, or gone already.
    pub fn serving(&self) -> Vec<usize> {
        self.at(Place::Voter)
    }

    /// Something else is at a place now.
    pub fn set(&self, at: usize, place: Place) {
        self.lock().places[at] = place;
    }

    /// Breaks these, as far as they are voters; tells whom, and whether a majority is left, whatever becomes of a change
    /// that is under way.
    pub fn strike(&self, victims: &[usize]) -> (Vec<usize>, bool) {
        let mut inner = self.lock();
        let votes = |at: &usize| inner.places[*at] == Place::Voter;
        let victims: Vec<usize> = victims.iter().copied().filter(votes).collect();
        inner.struck = victims.iter().copied().collect();
        let survives = inner.has_majority();
        (victims, survives)
    }

    /// Nothing is broken any more.
    pub fn mend(&self) {
        self.lock().struck.clear();
    }

    /// Takes a voter away, if nobody holds it and those who are well are a majority without it.
    pub fn take(&self, at: usize, as_what: Place) -> bool {
        let mut inner = self.lock();
        if inner.places[at] != Place::Voter || inner.struck.contains(&at) {
            return false;
        }
        inner.places[at] = as_what;
        let fine = inner.has_majority() || inner.struck.is_empty() && inner.voters() > 1;
        if !fine {
            inner.places[at] = Place::Voter;
        }
        fine
    }
}

impl Inner {
    fn voters(&self) -> usize {
        self.places.iter().filter(|place| **place == Place::Voter).count()
    }

    /// Before and after every change that is under way.
    fn has_majority(&self) -> bool {
        let (voters, well) = (self.voters(), self.voters() - self.struck.len());
        let gone = self.places.iter().filter(|p| matches!(p, Place::Leaving | Place::Dead)).count();
        2 * well > voters + gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_who_break_things_leave_a_majority() {
        let crew = Crew::new(3, 5);
        assert_eq!(crew.at(Place::Empty), [3, 4]);
        assert_eq!(crew.strike(&[0]), (vec![0], true));
        assert!(!crew.take(0, Place::Dead), "it is broken already");
        assert!(!crew.take(1, Place::Dead), "one of three would be left");
        crew.mend();
        assert!(crew.take(1, Place::Dead), "two of three are left");
        assert_eq!(crew.strike(&[0, 1]), (vec![0], false), "nobody strikes the dead");
        crew.mend();
        crew.set(1, Place::Voter);
        [3, 4].into_iter().for_each(|at| crew.set(at, Place::Voter));
        assert_eq!(crew.strike(&[4]), (vec![4], true));
        assert!(crew.take(3, Place::Leaving), "three of five are well");
        assert_eq!(crew.serving(), [0, 1, 2, 4]);
    }
}
