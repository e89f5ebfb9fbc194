//! Pages: whole, self-contained, and honest about what they leave out.

use super::{CALM, play};
use quorate_hunt::page::{Page, Window, page};
use serde_json::Value;
use std::time::Duration;

/// The events that a page holds.
fn data(page: &Page) -> Value {
    let start = page.html.find(r#"id="film">"#).unwrap() + r#"id="film">"#.len();
    let end = start + page.html[start..].find("</script>").unwrap();
    serde_json::from_str(&page.html[start..end]).unwrap()
}

#[test]
fn a_page_holds_every_event_of_its_window() {
    let film = play("raft/5/17");
    let whole = page(&film, "raft/5/17", &Window::default());
    let rows = data(&whole)["events"].as_array().unwrap().clone();
    assert_eq!((rows.len(), whole.shown, whole.note), (film.events.len(), rows.len(), None));
    for (row, (event, clock)) in rows.iter().zip(film.events.iter().zip(&film.clocks)) {
        assert_eq!(row[0], event.at.0 / 1_000);
        assert_eq!(row[1], event.node.map_or(0, |node| node.0));
        assert_eq!(row[7], quorate_hunt::story::tell(event));
        let clock = clock.as_ref().map(|clock| serde_json::to_value(clock.as_ref()).unwrap());
        assert_eq!(row[8], clock.unwrap_or(0.into()));
    }
    let (from, to) = (Duration::from_secs(3), Duration::from_secs(6));
    let window = Window { from: Some(from), to: Some(to), ..Window::default() };
    let part = page(&film, "raft/5/17", &window);
    let times = film.events.iter().map(|event| Duration::from_nanos(event.at.0));
    assert_eq!(part.shown, times.filter(|at| (from..=to).contains(at)).count());
    assert!(part.note.unwrap().contains(&format!("{} of {}", part.shown, film.events.len())));
}

#[test]
fn too_many_events_are_cut_around_the_broken_promise() {
    let film = play("raft/3/0 sabotage=release-early");
    let broken = film.violation().expect("it is broken");
    let cut = page(&film, "x", &Window { most: 10, ..Window::default() });
    let rows = data(&cut)["events"].as_array().unwrap().clone();
    assert!(cut.shown <= 10 && cut.total == film.events.len());
    let words = quorate_hunt::story::tell(&film.events[broken]);
    assert!(rows.iter().any(|row| row[7] == words), "the violation is among them");
    assert_eq!(data(&cut)["violation"]["property"], "committed-on-quorum");
}

#[test]
fn a_page_asks_no_network_and_cannot_be_broken_by_a_title() {
    let film = play(CALM);
    let page = page(&film, "</script><b>&", &Window::default());
    assert_eq!(data(&page)["title"], "</script><b>&");
    assert!(page.html.contains("<title>&lt;/script&gt;&lt;b&gt;&amp;</title>"));
    assert_eq!(page.html.matches("</script>").count(), 2, "the data's and the script's own");
    for word in ["http:", "https:", " src=", "<link", "@import", "fetch(", "{data}", "{script}"] {
        assert!(!page.html.contains(word), "{word}");
    }
}
