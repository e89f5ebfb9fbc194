//! One watcher against the log: a walk over its lines with a finger on what is due next.

use crate::watch::format::{Change, Line, Log, Logged, Told, Watcher};

/// A breach of a guarantee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub guarantee: &'static str,
    pub sentence: String,
    /// The line, as a place in the history.
    pub place: usize,
}

/// What became of an event that a watcher is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Owed,
    Told,
    /// It was missed, and complained about. It may still come, late.
    Missed,
}

pub(crate) struct Judge<'a> {
    log: &'a Log,
    watcher: &'a Watcher,
    broken: &'a mut Vec<Broken>,
    /// Places in the log of what this watcher is to be told, in order.
    due: Vec<usize>,
    /// What became of each of them.
    told: Vec<Due>,
    /// Everything in `due` before this one was told or was complained about.
    next: usize,
    /// Whether anything was told.
    heard: bool,
    /// The highest revision told, and whether the response that told it can be followed by more of that revision.
    highest: i64,
    fragment: bool,
    bookmark: i64,
    ended: bool,
    place: usize,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        log: &'a Log,
        watcher: &'a Watcher,
        broken: &'a mut Vec<Broken>,
    ) -> Judge<'a> {
        let asked = &watcher.asked;
        let wanted = |place: &usize| {
            let event = &log.events[*place];
            event.revision >= asked.start && asked.wants(&event.key, event.change)
        };
        let due: Vec<usize> = match (&asked.range_end, log.keys.get(&asked.key)) {
            (None, Some(places)) => places.iter().copied().filter(wanted).collect(),
            (None, None) => Vec::new(),
            (Some(_), _) => (0..log.events.len()).filter(wanted).collect(),
        };
        let told = vec![Due::Owed; due.len()];
        Judge {
            log,
            watcher,
            broken,
            due,
            told,
            next: 0,
            heard: false,
            highest: 0,
            fragment: false,
            bookmark: 0,
            ended: false,
            place: watcher.opened,
        }
    }

    pub(crate) fn run(mut self) {
        for (place, line) in &self.watcher.lines {
            self.place = *place;
            // What the client does after the end, waiting in vain, is nothing that it was told.
            if self.ended && matches!(line, Line::Drained(_)) {
                continue;
            }
            if self.ended {
                self.breach("ordered", "was told something after its watch had ended".to_string());
                return;
            }
            match line {
                Line::Events { events, fragment } => self.response(events, *fragment),
                Line::Progress(revision) => {
                    self.owed(*revision, "bookmarkable", "got a bookmark at");
                    self.bookmark = self.bookmark.max(*revision);
                }
                Line::Drained(revision) => self.owed(*revision, "reliable", "had waited up to"),
                Line::Cancelled => self.ended = true,
            }
        }
    }

    fn breach(&mut self, guarantee: &'static str, what: String) {
        let sentence = format!("watcher {} {what}", self.watcher.process);
        self.broken.push(Broken { guarantee, sentence, place: self.place });
    }

    fn response(&mut self, events: &[Told], fragment: bool) {
        let before = (self.highest, self.fragment);
        for event in events {
            self.event(event, before);
        }
        if events.is_empty() {
            return;
        }
        self.fragment = fragment;
        let revision = self.highest;
        if !fragment {
            self.rest_of(revision);
        }
    }

    /// A response that is no fragment tells all of its last revision.
    fn rest_of(&mut self, revision: i64) {
        let first = self.due.partition_point(|place| self.log.events[*place].revision < revision);
        for at in first..self.due.len() {
            let logged = &self.log.events[self.due[at]];
            if logged.revision != revision {
                break;
            }
            if self.told[at] == Due::Owed {
                let key = logged.key.clone();
                self.breach(
                    "atomic",
                    format!("was told a part of revision {revision}, without {key}"),
                );
                self.told[at] = Due::Missed;
            }
        }
    }

    fn event(&mut self, event: &Told, (highest, fragment): (i64, bool)) {
        let (key, revision) = (&event.key, event.revision);
        if !self.watcher.asked.wants(key, event.change) || revision < self.watcher.asked.start {
            self.breach(
                "filter",
                format!("was told of {key} at revision {revision}, which it did not ask for"),
            );
            return;
        }
        if revision < self.highest {
            let highest = self.highest;
            self.breach("ordered", format!("was told revision {revision} after {highest}"));
        }
        if revision <= self.bookmark {
            let bookmark = self.bookmark;
            self.breach(
                "bookmarkable",
                format!("was told revision {revision} after the bookmark at {bookmark}"),
            );
        }
        let Some(at) = self.find(event) else {
            self.breach(
                "reliable",
                format!("was told of {key} at revision {revision}, which is not in the log"),
            );
            return;
        };
        if self.told[at] == Due::Told {
            self.breach("unique", format!("was told of {key} at revision {revision} twice"));
            return;
        }
        if revision == highest && !fragment {
            self.breach("atomic", format!("was told revision {revision} in two responses"));
        }
        self.told[at] = Due::Told;
        self.left_out(at);
        self.heard = true;
        self.highest = self.highest.max(revision);
        let logged = self.log.events[self.due[at]].clone();
        self.content(event, &logged);
    }

    /// Its place among what is due.
    fn find(&self, event: &Told) -> Option<usize> {
        let revision_at = |at: usize| self.log.events[self.due[at]].revision;
        let first =
            self.due.partition_point(|place| self.log.events[*place].revision < event.revision);
        (first..self.due.len()).take_while(|at| revision_at(*at) == event.revision).find(|at| {
            let logged = &self.log.events[self.due[*at]];
            let same_value = event.change == Change::Delete || logged.value == event.value;
            logged.key == event.key && logged.change == event.change && same_value
        })
    }

    /// What should have been told before the event at this place.
    fn left_out(&mut self, at: usize) {
        while self.next < at {
            let logged = &self.log.events[self.due[self.next]];
            let same = logged.revision == self.log.events[self.due[at]].revision;
            if same && self.told[self.next] == Due::Owed {
                // The rest of a revision may come in another place of the response, or in its next fragment.
                return;
            }
            if self.told[self.next] == Due::Owed {
                let (key, revision) = (logged.key.clone(), logged.revision);
                let guarantee = if self.heard { "reliable" } else { "resumable" };
                let then = self.log.events[self.due[at]].revision;
                self.breach(
                    guarantee,
                    format!("was not told of {key} at revision {revision}, but of revision {then}"),
                );
                // Complain once.
                self.told[self.next] = Due::Missed;
            }
            self.next += 1;
        }
    }

    /// Everything up to this revision should have been told.
    fn owed(&mut self, revision: i64, guarantee: &'static str, why: &str) {
        for at in self.next..self.due.len() {
            let logged = &self.log.events[self.due[at]];
            if logged.revision > revision {
                break;
            }
            if self.told[at] == Due::Owed {
                let (key, missing) = (logged.key.clone(), logged.revision);
                self.breach(
                    guarantee,
                    format!("{why} revision {revision} and was not told of {key} at {missing}"),
                );
                self.told[at] = Due::Missed;
            }
        }
    }

    fn content(&mut self, event: &Told, logged: &Logged) {
        let (key, revision) = (&event.key, event.revision);
        if let Some(created) = event.created.filter(|created| *created != logged.created) {
            let right = logged.created;
            self.breach(
                "is-create",
                format!("was told that {key} at revision {revision} was created at {created}, not {right}"),
            );
        }
        let asked = self.watcher.asked.prev;
        let right = match (&event.before, &logged.before) {
            (None, None) => true,
            (None, Some(_)) => !asked || revision - 1 < self.log.compacted,
            (Some(_), None) => false,
            (Some((value, modified)), Some((old, at))) => {
                asked && value == old && modified.is_none_or(|modified| modified == *at)
            }
        };
        if !right {
            let show = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_string());
            let told = show(event.before.as_ref().map(|(value, _)| value.to_string()));
            let was = show(logged.before.as_ref().map(|(value, _)| value.to_string()));
            self.breach(
                "prev-kv",
                format!(
                    "was told that {key} held {told} before revision {revision}; it held {was}"
                ),
            );
        }
    }
}
