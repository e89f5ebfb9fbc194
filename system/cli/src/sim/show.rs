//! `quorate sim show`: a world as a page, or as a log for ShiViz.

use super::subject::{self, Played, Subject};
use super::{FOUND, NOTHING};
use clap::Args;
use quorate_hunt::page::{self, Window};
use quorate_hunt::shiviz;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args, Debug)]
pub struct ShowArguments {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    pictures: Pictures,
    /// Draw nothing before this time (3s, 3250ms)
    #[arg(long, value_name = "TIME", value_parser = subject::time)]
    from: Option<Duration>,
    /// Nothing after it
    #[arg(long, value_name = "TIME", value_parser = subject::time)]
    to: Option<Duration>,
    /// At most so many events
    #[arg(long, value_name = "N", default_value_t = page::MOST)]
    most: usize,
}

/// Where pictures go.
#[derive(Args, Debug)]
pub struct Pictures {
    /// Write a page that needs no network
    #[arg(long, value_name = "OUT")]
    pub html: Option<PathBuf>,
    /// Write a log that ShiViz draws
    #[arg(long, value_name = "OUT")]
    pub shiviz: Option<PathBuf>,
}

impl Pictures {
    /// Draws what was asked for; tells of each file on standard output.
    pub fn draw(&self, played: &Played, window: &Window) -> Result<(), String> {
        if let Some(out) = &self.html {
            let page = page::page(&played.film, &played.title, window);
            write(out, &page.html)?;
            println!("{}: {} of {} events", out.display(), page.shown, page.total);
            page.note.iter().for_each(|note| println!("{note}"));
        }
        if let Some(out) = &self.shiviz {
            write(out, &shiviz::log(&played.film))?;
            println!("{}: for ShiViz", out.display());
        }
        Ok(())
    }
}

fn write(out: &Path, text: &str) -> Result<(), String> {
    fs::write(out, text).map_err(|error| format!("{}: {error}", out.display()))
}

pub fn main(arguments: &ShowArguments) -> Result<u8, String> {
    if arguments.pictures.html.is_none() && arguments.pictures.shiviz.is_none() {
        return Err("show what? --html OUT draws a page, --shiviz OUT writes a log".to_owned());
    }
    let played = arguments.subject.play()?;
    let (from, to) = (arguments.from, arguments.to);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(format!("the window from {from:?} to {to:?} is empty"));
    }
    let focus = played.focus.filter(|_| from.is_none() && to.is_none());
    arguments.pictures.draw(&played, &Window { from, to, most: arguments.most, focus })?;
    Ok(if played.film.ending.violation.is_some() { FOUND } else { NOTHING })
}
