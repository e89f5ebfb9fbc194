//! A directory about one failing world: what was broken, how to see it again, its story and pages.

use crate::film::{self, Film};
use crate::hunt::Found;
use crate::page::{self, Window};
use crate::property;
use crate::recipe::Recipe;
use crate::shrink::Shrunk;
use crate::story;
use quorate_sim::swarm::Plan;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// Lines of the story that the report itself holds.
const TAIL: usize = 60;

/// Writes `report.md`, `story.txt` (of the shrunk world), `shrunk.html` and `found.html` into a directory,
/// which is made if needed.
///
/// # Errors
/// What the file system says.
pub fn write(directory: &Path, found: &Found, shrunk: &Shrunk) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let whole = play(&found.recipe);
    let small = play(&shrunk.found.recipe);
    fs::write(directory.join("report.md"), text(found, shrunk, &small))?;
    fs::write(directory.join("story.txt"), lines(&small))?;
    let pages = [("found.html", &whole, found), ("shrunk.html", &small, &shrunk.found)];
    for (name, film, found) in pages {
        let page = page::page(film, &found.recipe.to_string(), &Window::default());
        fs::write(directory.join(name), page.html)?;
    }
    Ok(())
}

fn play(recipe: &Recipe) -> Film {
    film::record(recipe.kind, recipe.plan().expect("it ran before"))
}

fn lines(film: &Film) -> String {
    format!("{}{}\n", story::tail(film, film.events.len()), story::end(film))
}

/// The report in Markdown.
pub fn text(found: &Found, shrunk: &Shrunk, small: &Film) -> String {
    let violation = &shrunk.found.violation;
    let mut text = String::new();
    let out = &mut text;
    let _ = writeln!(out, "# {} is broken\n", violation.property);
    let _ = writeln!(out, "{}\n", violation.detail);
    let _ = writeln!(out, "The property: {}.\n", property::explain(violation.property));
    let _ = writeln!(out, "## How to see it\n");
    let _ = writeln!(out, "Found as `{}`, which broke it after", found.recipe);
    let _ = writeln!(out, "{} virtual seconds.", story::seconds(found.at));
    let (before, after) = shrunk.strikes;
    let _ = write!(out, "Shrunk from {before} strikes to {after} in {} runs", shrunk.runs);
    let end =
        if shrunk.finished { "; nothing more could go" } else { "; there was no time for more" };
    let _ = writeln!(out, "{end}:\n");
    let _ = writeln!(out, "```");
    let _ = writeln!(out, "quorate sim replay '{}'", shrunk.found.recipe);
    let _ = writeln!(out, "quorate sim show '{}' --html shrunk.html", shrunk.found.recipe);
    let _ = writeln!(out, "```\n");
    let _ =
        writeln!(out, "`shrunk.html` and `found.html` are pictures of both, `story.txt` is the");
    let _ =
        writeln!(out, "shrunk one in words. Seeds mean this only to the release that wrote this:");
    let _ = writeln!(out, "{} {}.\n", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let _ = writeln!(out, "## What goes wrong in it\n");
    plan(out, &small.plan);
    let _ = writeln!(out, "## Its last events\n\n```");
    out.push_str(&story::tail(small, TAIL));
    let _ = writeln!(out, "{}\n```\n", story::end(small));
    let _ = writeln!(out, "## What went wrong in the whole seed\n");
    plan(out, &found.recipe.plan().expect("it ran before"));
    text
}

fn plan(out: &mut String, plan: &Plan) {
    if plan.schedule.is_empty() {
        let _ = writeln!(out, "No strikes.\n");
    }
    for strike in &plan.schedule {
        let (at, lasts) = (story::seconds(strike.at), strike.lasts.as_millis());
        let _ = writeln!(out, "- at {at} for {lasts} ms: {:?}", strike.fault);
    }
    let rest = Plan { schedule: Vec::new(), ..plan.clone() };
    let _ = writeln!(out, "\n```\n{rest:#?}\n```\n");
}
