//! A film as a page: one file with its style, its script and its events, which asks no network.
//!
//! Each node has a line, time goes to the right. The page knows the vector clock of every event over
//! the whole film, also where it shows a part of it: what it paints as past and future of an event is
//! true, though some of it may be outside of the window.

mod data;

use crate::film::Film;
use crate::story;
use std::time::Duration;

/// Events that a page shows when nobody says otherwise: a browser draws them without waiting.
pub const MOST: usize = 20_000;

/// Which part of a film a page shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// From when; nothing for the beginning.
    pub from: Option<Duration>,
    /// Until when; nothing for the end.
    pub to: Option<Duration>,
    /// At most so many events.
    pub most: usize,
    /// What the page looks at first; nothing for the broken promise, or for all.
    pub focus: Option<(Duration, Duration)>,
}

impl Default for Window {
    fn default() -> Window {
        Window { from: None, to: None, most: MOST, focus: None }
    }
}

/// A page, and how much of the film is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The file.
    pub html: String,
    /// Events in it.
    pub shown: usize,
    /// Events of the film.
    pub total: usize,
    /// Said when not everything is shown.
    pub note: Option<String>,
}

/// Draws a film; `title` says how to see it again, and heads the page.
pub fn page(film: &Film, title: &str, window: &Window) -> Page {
    let (first, last) = range(film, window);
    let (shown, total) = (last - first, film.events.len());
    let time = |at: usize| story::seconds(Duration::from_nanos(film.events[at].at.0));
    let note = (shown < total && shown > 0).then(|| {
        let (from, to) = (time(first), time(last - 1));
        format!(
            "{shown} of {total} events are shown, from {from} s to {to} s; --from, --to and --most choose others"
        )
    });
    let data = data::data(film, title, first..last, window.focus, note.as_deref());
    // Within a script element only `<` could end it early.
    let data = data.to_string().replace('<', "\\u003c");
    let script = [include_str!("model.js"), include_str!("draw.js"), include_str!("ui.js")];
    let html = include_str!("page.html")
        .replace("{title}", &escape(title))
        .replace("{style}", include_str!("page.css"))
        .replace("{script}", &script.concat())
        .replace("{data}", &data);
    Page { html, shown, total, note }
}

/// The events of a window. When there are too many, those before the broken promise are the ones that
/// matter; without one, the first.
fn range(film: &Film, window: &Window) -> (usize, usize) {
    let at = |index: usize| Duration::from_nanos(film.events[index].at.0);
    let all = 0..film.events.len();
    let first = all.clone().find(|i| window.from.is_none_or(|from| at(*i) >= from));
    let first = first.unwrap_or(film.events.len());
    let last = all.rev().find(|i| window.to.is_none_or(|to| at(*i) <= to));
    let last = last.map_or(0, |last| last + 1).max(first);
    let most = window.most.max(1);
    if last - first <= most {
        return (first, last);
    }
    match film.violation().filter(|broken| (first..last).contains(broken)) {
        Some(broken) => {
            let last = (broken + 1 + most / 10).min(last);
            (last.saturating_sub(most).max(first), last)
        }
        None => (first, first + most),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
