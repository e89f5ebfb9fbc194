//! What sights are made of: who led when, what was committed, who asked for votes.

use crate::bands::Sort;
use crate::film::Film;
use crate::story;
use quorate_base::{Instant, NodeId};
use quorate_sim::trace::{Event, What};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A time in which a node led, for all that it knew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lead {
    /// Who.
    pub node: NodeId,
    /// In which term.
    pub term: u64,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
}

/// An instant by its milliseconds.
pub const fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// An instant in words.
pub fn when(at: Instant) -> String {
    format!("{} s", story::seconds(Duration::from_nanos(at.0)))
}

/// Everybody who led, by time.
pub fn leads(film: &Film) -> Vec<Lead> {
    let bands = film.bands.bands.iter().filter(|band| band.sort == Sort::Leads);
    let term = |node, from| {
        let here = film.events.iter().filter(|e| e.at == from && e.node == Some(node));
        here.rev().find_map(|event| {
            let What::Role { leads: true, term, .. } = event.what else { return None };
            Some(term)
        })
    };
    bands
        .filter_map(|band| {
            let term = term(band.node, band.from)?;
            Some(Lead { node: band.node, term, from: band.from, to: band.to })
        })
        .collect()
}

/// Who led at a moment; of two the one in the later term.
pub fn leader_at(film: &Film, at: Instant) -> Option<Lead> {
    leads(film).into_iter().filter(|l| l.from <= at && at < l.to).max_by_key(|lead| lead.term)
}

/// Commits: when, who knew first, and the term of the entry.
pub fn commits(film: &Film) -> Vec<(Instant, NodeId, u64)> {
    let commits = film.events.iter().filter_map(|event| {
        let What::Commit { term, .. } = event.what else { return None };
        Some((event.at, event.node?, term))
    });
    commits.collect()
}

/// Commits within a time.
pub fn commits_in(film: &Film, from: Instant, to: Instant) -> usize {
    commits(film).iter().filter(|(at, _, _)| (from..to).contains(at)).count()
}

/// Everything that was applied at a node by the end.
pub fn applied(film: &Film, node: NodeId) -> u64 {
    let own = film.events.iter().rev().filter(|event| event.node == Some(node));
    let last = own.map(|event| event.what).find_map(|what| {
        let (What::Apply { index } | What::Install { index }) = what else { return None };
        Some(index)
    });
    last.unwrap_or(0)
}

/// Messages of a type that a node sent or received: `kind` is an event's kind, `name` the first word of
/// its label.
pub fn messages<'a>(
    film: &'a Film,
    kind: &'a str,
    name: &'a str,
) -> impl Iterator<Item = &'a Event> {
    film.events.iter().filter(move |event| {
        event.what.kind() == kind && event.label.split([' ', '{']).next() == Some(name)
    })
}

/// The number after `term: ` in a label.
pub fn term(event: &Event) -> Option<u64> {
    let rest = event.label.split("term: ").nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Who asked for votes in each term.
pub fn candidates(film: &Film) -> BTreeMap<u64, BTreeSet<NodeId>> {
    let mut found: BTreeMap<u64, BTreeSet<NodeId>> = BTreeMap::new();
    for event in messages(film, "send", "Vote") {
        if let (Some(term), Some(node)) = (term(event), event.node) {
            found.entry(term).or_default().insert(node);
        }
    }
    found
}

/// Nodes in words.
pub fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    nodes.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
