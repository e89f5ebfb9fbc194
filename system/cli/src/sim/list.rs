//! `quorate sim list` and `quorate sim run`: ready scenarios.

use super::show::Pictures;
use super::subject::Played;
use super::{FOUND, NOTHING, Output};
use clap::Args;
use quorate_hunt::page::Window;
use quorate_hunt::scenario::{SCENARIOS, Scenario, find};
use quorate_hunt::story;
use serde_json::json;

#[derive(Args, Debug)]
pub struct ListArguments {
    /// How to print
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Simple)]
    write_out: Output,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 all that was to be seen was seen, 1 something was not, 2 bad input."
)]
pub struct RunArguments {
    /// The scenario (see `quorate sim list`)
    #[arg(value_name = "NAME", value_parser = scenario)]
    scenario: &'static Scenario,
    #[command(flatten)]
    pictures: Pictures,
    /// How to print
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Simple)]
    write_out: Output,
}

fn scenario(name: &str) -> Result<&'static Scenario, String> {
    find(name).ok_or_else(|| {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!("the scenarios are {}", names.join(", "))
    })
}

pub fn main(arguments: &ListArguments) -> Result<u8, String> {
    for scenario in SCENARIOS {
        let Scenario { name, title, about, .. } = scenario;
        match arguments.write_out {
            Output::Simple => println!("{name}: {title}\n{}\n", wrapped(about)),
            Output::Json => println!("{}", json!({"name": name, "title": title, "about": about})),
        }
    }
    Ok(NOTHING)
}

/// A paragraph in lines of at most 96 characters, indented.
fn wrapped(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let line = lines.last_mut().expect("there is one from the beginning");
        if !line.is_empty() && line.chars().count() + word.chars().count() > 91 {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

pub fn run(arguments: &RunArguments) -> Result<u8, String> {
    let Scenario { name, title, about, .. } = arguments.scenario;
    let focus = arguments.scenario.focus();
    let played = arguments.scenario.play();
    let all = played.seen.iter().all(|(_, seen)| seen.is_some());
    match arguments.write_out {
        Output::Json => {
            let seen = played.seen.iter().map(|(what, seen)| json!({"what": what, "seen": seen}));
            let seen: Vec<_> = seen.collect();
            println!("{}", json!({"name": name, "seen": seen, "all": all}));
        }
        Output::Simple => {
            println!("{name}: {title}\n{}\n", wrapped(about));
            for (what, seen) in &played.seen {
                let (mark, seen) = match seen {
                    Some(seen) => ("seen    ", seen.as_str()),
                    None => ("NOT SEEN", "-"),
                };
                println!("{mark}  {what}\n          {seen}");
            }
            played.film.iter().for_each(|film| println!("\n{}", story::end(film)));
        }
    }
    match played.film {
        Some(film) => {
            let played = Played { film, title: format!("{name}: {title}"), focus };
            arguments.pictures.draw(&played, &Window { focus, ..Window::default() })?;
        }
        None if arguments.pictures.html.is_some() || arguments.pictures.shiviz.is_some() => {
            return Err(format!("{name} is a theorem and leaves no film to draw"));
        }
        None => {}
    }
    Ok(if all { NOTHING } else { FOUND })
}
