//! `quorate sim bench`: how fast worlds run on this machine.

use super::{NOTHING, Output};
use clap::Args;
use quorate_sim::bench;
use serde_json::json;
use std::time::Duration;

use crate::columns::table;

#[derive(Args, Debug)]
pub struct BenchArguments {
    /// Seconds for each line
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Only worlds whose name holds this (raft, server, idle)
    #[arg(long, value_name = "WORDS", default_value = "")]
    only: String,
    /// How to print
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Simple)]
    write_out: Output,
}

pub fn main(arguments: &BenchArguments) -> Result<u8, String> {
    let figures = bench::figures(Duration::from_secs(arguments.seconds), &arguments.only)?;
    if figures.is_empty() {
        return Err(format!(
            "no world's name holds {:?}: try raft, server or idle",
            arguments.only
        ));
    }
    match arguments.write_out {
        Output::Json => {
            for figure in figures {
                let line = json!({
                    "world": figure.name,
                    "virtual_seconds_per_second": figure.virtual_seconds,
                    "wanted": figure.wanted,
                    "events_per_second": figure.events,
                    "done_per_virtual_second": figure.done,
                });
                println!("{line}");
            }
        }
        Output::Simple => {
            let rows = figures.iter().map(|figure| {
                vec![
                    figure.name.to_owned(),
                    format!("{:.0}", figure.virtual_seconds),
                    format!("{:.0}", figure.wanted),
                    format!("{:.0}", figure.events),
                    format!("{:.1}", figure.done),
                ]
            });
            let heading = ["WORLD", "VIRTUAL S/S", "WANTED", "EVENTS/S", "DONE PER VIRTUAL S"];
            print!("{}", table(&heading, rows));
        }
    }
    Ok(NOTHING)
}
