//! What lasts: who led, who was down, who stood still, who was cut off. A picture shows these as bands
//! behind the events.

use quorate_base::{Instant, NodeId};
use quorate_sim::trace::{ClockFault, DiskFault, Event, What};
use std::collections::{BTreeMap, BTreeSet};

/// What a band on a node's line is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sort {
    /// The node leads, for all that it knows.
    Leads,
    /// It is down.
    Down,
    /// It stands still.
    Paused,
    /// It or its disk works slower.
    Slow,
    /// Its clock goes wrong.
    Clock,
    /// Its disk has no space.
    Full,
    /// It is not joined with a majority.
    Apart,
}

impl Sort {
    /// All of them.
    pub const ALL: [Sort; 7] =
        [Sort::Leads, Sort::Down, Sort::Paused, Sort::Slow, Sort::Clock, Sort::Full, Sort::Apart];

    /// Its name in legends.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Leads => "leads",
            Sort::Down => "down",
            Sort::Paused => "paused",
            Sort::Slow => "slow",
            Sort::Clock => "clock",
            Sort::Full => "full",
            Sort::Apart => "apart",
        }
    }
}

/// Something that lasted at one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Band {
    /// Where.
    pub node: NodeId,
    /// What.
    pub sort: Sort,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// A few words.
    pub label: String,
}

/// A time in which the wires stayed as they were, some of them cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split {
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// The nodes that can talk with each other in both directions, largest group first.
    pub groups: Vec<Vec<NodeId>>,
    /// Directions that are cut within a group.
    pub inside: Vec<(NodeId, NodeId)>,
}

impl Split {
    /// The groups in words: `n1 n2 | n3 n4 n5`.
    pub fn label(&self) -> String {
        let group = |group: &Vec<NodeId>| {
            group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let mut label = self.groups.iter().map(group).collect::<Vec<_>>().join(" | ");
        for (from, to) in &self.inside {
            label.push_str(&format!(", {from} -x {to}"));
        }
        label
    }
}

/// Everything that lasted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bands {
    /// At nodes, by when they began.
    pub bands: Vec<Band>,
    /// On the wires.
    pub splits: Vec<Split>,
}

/// Reads bands out of events.
struct Reader {
    nodes: u64,
    open: BTreeMap<(NodeId, Sort), (Instant, String)>,
    cut: BTreeSet<(NodeId, NodeId)>,
    cut_since: Instant,
    found: Bands,
}

impl Bands {
    /// The bands of a recording that ends at `end`.
    pub fn of(events: &[Event], nodes: u64, end: Instant) -> Bands {
        let mut reader = Reader {
            nodes,
            open: BTreeMap::new(),
            cut: BTreeSet::new(),
            cut_since: Instant(0),
            found: Bands::default(),
        };
        events.iter().for_each(|event| reader.read(event));
        reader.wires(end, |cut| cut.clear());
        let open: Vec<(NodeId, Sort)> = reader.open.keys().copied().collect();
        open.into_iter().for_each(|(node, sort)| reader.close(node, sort, end));
        reader.apart();
        reader.found.bands.sort_by_key(|band| (band.from, band.node, band.sort));
        reader.found
    }
}

impl Reader {
    fn open(&mut self, node: NodeId, sort: Sort, at: Instant, label: String) {
        self.close(node, sort, at);
        self.open.insert((node, sort), (at, label));
    }

    fn close(&mut self, node: NodeId, sort: Sort, to: Instant) {
        if let Some((from, label)) = self.open.remove(&(node, sort))
            && from < to
        {
            self.found.bands.push(Band { node, sort, from, to, label });
        }
    }

    fn close_all(&mut self, sort: Sort, at: Instant) {
        for node in (1..=self.nodes).map(NodeId) {
            self.close(node, sort, at);
        }
    }

    fn read(&mut self, event: &Event) {
        let at = event.at;
        let Some(node) = event.node else {
            if event.what == What::Peace {
                self.wires(at, |cut| cut.clear());
                let over = [Sort::Paused, Sort::Slow, Sort::Clock, Sort::Full];
                over.into_iter().for_each(|sort| self.close_all(sort, at));
            }
            return;
        };
        match event.what {
            What::Role { leads: true, term, .. } => {
                self.open(node, Sort::Leads, at, format!("leads in term {term}"));
            }
            What::Role { leads: false, .. } => self.close(node, Sort::Leads, at),
            What::Crash { power } => {
                self.close(node, Sort::Leads, at);
                self.close(node, Sort::Paused, at);
                let label = if power { "down, lost its power" } else { "down" };
                self.open(node, Sort::Down, at, label.to_owned());
            }
            What::Restart => self.close(node, Sort::Down, at),
            What::Pause => self.open(node, Sort::Paused, at, "paused".to_owned()),
            What::Resume => self.close(node, Sort::Paused, at),
            What::Slow { factor: 1 } | What::Disk(DiskFault::Slow(1)) => {
                self.close(node, Sort::Slow, at);
            }
            What::Slow { factor } => {
                self.open(node, Sort::Slow, at, format!("{factor} times slower"));
            }
            What::Disk(DiskFault::Slow(factor)) => {
                self.open(node, Sort::Slow, at, format!("disk {factor} times slower"));
            }
            What::Disk(DiskFault::Full(true)) => {
                self.open(node, Sort::Full, at, "disk full".to_owned());
            }
            What::Disk(DiskFault::Full(false)) => self.close(node, Sort::Full, at),
            What::Clock(ClockFault::Steady) => self.close(node, Sort::Clock, at),
            What::Clock(ClockFault::Drift(millionths)) => {
                let way = if millionths < 0 { "slow" } else { "fast" };
                let percent = millionths.unsigned_abs() as f64 / 10_000.0;
                self.open(node, Sort::Clock, at, format!("clock {percent}% {way}"));
            }
            What::Clock(ClockFault::Stop) => {
                self.open(node, Sort::Clock, at, "clock stands still".to_owned());
            }
            What::Clock(ClockFault::Late(micros)) => {
                let label = format!("timers {} ms late", micros / 1_000);
                self.open(node, Sort::Clock, at, label);
            }
            What::Cut { from, to } => self.wires(at, |cut| {
                cut.insert((from, to));
            }),
            What::Mend { from, to } => self.wires(at, |cut| {
                cut.remove(&(from, to));
            }),
            What::Send { .. }
            | What::Duplicate { .. }
            | What::Deliver { .. }
            | What::Lose { .. }
            | What::Clog { .. }
            | What::Commit { .. }
            | What::Apply { .. }
            | What::Install { .. }
            | What::Call { .. }
            | What::Return { .. }
            | What::Clock(ClockFault::Jump(_))
            | What::Disk(
                DiskFault::Torn
                | DiskFault::Eio
                | DiskFault::Rot
                | DiskFault::Misdirected
                | DiskFault::Wiped,
            )
            | What::Peace
            | What::Violation
            | What::Note => {}
        }
    }

    /// The wires change at `at`.
    fn wires(&mut self, at: Instant, change: impl FnOnce(&mut BTreeSet<(NodeId, NodeId)>)) {
        if self.cut_since < at && !self.cut.is_empty() {
            let groups = self.groups();
            let within = |(from, to): &(NodeId, NodeId)| {
                groups.iter().any(|group| group.contains(from) && group.contains(to))
            };
            let inside = self.cut.iter().copied().filter(within).collect();
            let (from, to) = (self.cut_since, at);
            self.found.splits.push(Split { from, to, groups, inside });
        }
        self.cut_since = at;
        change(&mut self.cut);
    }

    /// Who can talk with whom in both directions, over others too.
    fn groups(&self) -> Vec<Vec<NodeId>> {
        let mut left: BTreeSet<NodeId> = (1..=self.nodes).map(NodeId).collect();
        let mut groups: Vec<Vec<NodeId>> = Vec::new();
        while let Some(first) = left.pop_first() {
            let mut group = vec![first];
            let mut at = 0;
            while let Some(node) = group.get(at).copied() {
                let joined = |other: &NodeId| {
                    !self.cut.contains(&(node, *other)) && !self.cut.contains(&(*other, node))
                };
                let near: Vec<NodeId> = left.iter().copied().filter(joined).collect();
                left.retain(|node| !near.contains(node));
                group.extend(near);
                at += 1;
            }
            group.sort_unstable();
            groups.push(group);
        }
        groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
        groups
    }

    /// Bands for those that are not joined with a majority, adjoining times as one.
    fn apart(&mut self) {
        let most = self.nodes as usize / 2;
        let mut bands: Vec<Band> = Vec::new();
        for node in (1..=self.nodes).map(NodeId) {
            for split in &self.found.splits {
                let small = split.groups.iter().find(|group| group.contains(&node));
                if small.is_none_or(|group| group.len() > most) {
                    continue;
                }
                let (from, to) = (split.from, split.to);
                match bands.last_mut().filter(|band| band.node == node && band.to == from) {
                    Some(band) => band.to = to,
                    None => {
                        let label = "apart from the majority".to_owned();
                        bands.push(Band { node, sort: Sort::Apart, from, to, label });
                    }
                }
            }
        }
        self.found.bands.extend(bands);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, node: u64, what: What) -> Event {
        let node = (node > 0).then_some(NodeId(node));
        Event { at: Instant(at), node, what, label: String::new() }
    }

    #[test]
    fn what_begins_ends_once() {
        let role = |leads, term| What::Role { leads, term, leader: None };
        let events = [
            event(1, 1, role(true, 2)),
            event(5, 1, What::Crash { power: true }),
            event(7, 1, What::Restart),
            event(8, 2, role(true, 3)),
            event(9, 1, role(false, 3)),
        ];
        let bands = Bands::of(&events, 3, Instant(10)).bands;
        let plain: Vec<(u64, Sort, u64, u64)> =
            bands.iter().map(|band| (band.node.0, band.sort, band.from.0, band.to.0)).collect();
        assert_eq!(plain, [(1, Sort::Leads, 1, 5), (1, Sort::Down, 5, 7), (2, Sort::Leads, 8, 10)]);
        assert_eq!(bands[2].label, "leads in term 3");
    }

    #[test]
    fn groups_are_those_that_talk_both_ways() {
        let cut = |from, to| What::Cut { from: NodeId(from), to: NodeId(to) };
        let both = |at, a, b| [event(at, a, cut(a, b)), event(at, b, cut(b, a))];
        let mut events: Vec<Event> = Vec::new();
        for other in 2..=3 {
            events.extend(both(2, 1, other));
        }
        events.push(event(4, 2, cut(2, 3)));
        events.push(event(6, 0, What::Peace));
        let found = Bands::of(&events, 3, Instant(9));
        let labels: Vec<String> = found.splits.iter().map(Split::label).collect();
        assert_eq!(labels, ["n2 n3 | n1", "n1 | n2 | n3"]);
        let apart: Vec<(u64, u64, u64)> =
            found.bands.iter().map(|band| (band.node.0, band.from.0, band.to.0)).collect();
        assert_eq!(apart, [(1, 2, 6), (2, 4, 6), (3, 4, 6)], "one band where they adjoin");
    }
}
