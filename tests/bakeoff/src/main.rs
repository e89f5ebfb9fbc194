//! Which engine lies under the state of a keyspace? The trial behind docs/decisions/0001.
//!
//! `bakeoff cuts <engine|all> <directory> [cuts]` is pass or fail: crash images torn after the last
//! sync. `bakeoff measure <engine> <directory>` prints the numbers. The directory must lie on the
//! kind of disk that a member would use.

mod candidate;
mod cuts;
mod fjall_engine;
mod lsm;
mod measure;
#[cfg(feature = "ours")]
mod ours;
mod redb_engine;
mod work;

use std::path::Path;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[1..] {
        ["cuts", "all", dir] => {
            candidate::NAMES.iter().for_each(|name| cuts::run(name, Path::new(dir), 40));
        }
        ["cuts", name, dir] => cuts::run(name, Path::new(dir), 40),
        ["cuts", name, dir, count] => {
            cuts::run(name, Path::new(dir), count.parse().expect("a number of cuts"));
        }
        ["child", name, dir, seed] => {
            cuts::child(name, Path::new(dir), seed.parse().expect("a seed"));
        }
        ["measure", name, dir] => measure::run(name, Path::new(dir)),
        _ => {
            eprintln!("bakeoff cuts <engine|all> <dir> [cuts] | bakeoff measure <engine> <dir>");
            std::process::exit(2);
        }
    }
}
