//! Draws pages without building the command line: a workbench for whoever changes them or looks for the
//! seed of a scenario. `look seed RECIPE OUT.html`, `look scenario NAME OUT.html`, `look seeds NAME`.

use quorate_hunt::page::{Window, page};
use quorate_hunt::recipe::Recipe;
use quorate_hunt::scenario::Stage;
use quorate_hunt::{film, scenario};
use quorate_sim::swarm::Plan;
use std::fs;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["seed", recipe, out] => {
            let recipe: Recipe = recipe.parse().expect("a recipe");
            let film = film::record(recipe.kind, recipe.plan().expect("its strikes"));
            write(out, &page(&film, &recipe.to_string(), &Window::default()).html);
        }
        ["scenario", name, out] => {
            let scenario = scenario::find(name).expect("a scenario");
            let played = scenario.play();
            played.seen.iter().for_each(|(what, seen)| println!("{what}: {seen:?}"));
            let Some(film) = played.film else { return };
            let window = Window { focus: scenario.focus(), ..Window::default() };
            write(out, &page(&film, scenario.title, &window).html);
        }
        ["seeds", name] => {
            let stage = scenario::find(name).expect("a scenario").stage;
            let Stage::World { kind, plan, sights, .. } = stage else { return };
            for seed in 1..=30 {
                let film = film::record(kind, Plan { seed, ..plan() });
                let sights = sights.iter().map(|sight| (sight.look)(&film));
                println!("{seed}: {:?}", sights.collect::<Vec<_>>());
            }
        }
        _ => eprintln!("usage: look seed RECIPE OUT | scenario NAME OUT | seeds NAME"),
    }
}

fn write(out: &str, page: &str) {
    fs::write(out, page).expect("the page is written");
}
