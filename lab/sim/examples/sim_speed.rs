//! Prints how fast worlds run on this machine: `sim_speed [SECONDS PER LINE [PART OF A NAME]]`.

use quorate_sim::bench;
use std::time::Duration;

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let only = std::env::args().nth(2).unwrap_or_default();
    match bench::figures(Duration::from_secs(seconds), &only) {
        Ok(figures) => {
            for figure in figures {
                println!(
                    "{:36} {:8.0} virtual s/s (wanted {:6.0}) {:10.0} events/s {:6.1} done/s",
                    figure.name, figure.virtual_seconds, figure.wanted, figure.events, figure.done
                );
            }
        }
        Err(failure) => println!("{failure}"),
    }
}
