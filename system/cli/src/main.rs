//! The `quorate` binary.
//!
//! Two families of commands share it. Those in [`local`] run and look after processes on this machine. Those in [`ctl`]
//! talk to a cluster as any client would, with etcdctl's names, flags, output and exit codes; called through a link named
//! `etcdctl` the binary offers only them.

#[cfg(quorate_mutants)]
compile_error!("mutants never ship: `quorate` is built without --cfg quorate_mutants");

#[macro_use]
mod out;

mod audit;
mod chaos;
mod check;
mod columns;
mod ctl;
mod local;
mod node;
mod serve;
mod sim;
mod status;
mod up;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.len() == 2 && (arguments[1] == "--version" || arguments[1] == "-V") {
        println!("quorate {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if is_local(&arguments) { local::main(arguments) } else { ctl::main(arguments) }
}

/// Whether the command line names a command of [`local`], directly or as `help <command>`.
fn is_local(arguments: &[OsString]) -> bool {
    // `check perf` measures a cluster as etcdctl does; `check FILE` judges a history.
    let next = |index: usize| arguments.get(index + 1).and_then(|word| word.to_str());
    let is_etcds_check = |index| matches!(next(index), Some("perf" | "datascale"));
    let is_named = |index: usize| {
        let name = arguments.get(index).and_then(|argument| argument.to_str());
        name.is_some_and(|name| {
            local::NAMES.contains(&name) && (name != "check" || !is_etcds_check(index))
        })
    };
    let asks_for_help = arguments.get(1).is_some_and(|argument| argument == "help");
    !is_etcdctl(arguments) && (is_named(1) || asks_for_help && is_named(2))
}

/// Whether the binary was called as `etcdctl`.
fn is_etcdctl(arguments: &[OsString]) -> bool {
    let name = arguments.first().and_then(|path| Path::new(path).file_stem());
    name.is_some_and(|name| name == "etcdctl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_name_of_the_binary_decides() {
        assert!(is_etcdctl(&words("/usr/bin/etcdctl get a")));
        assert!(!is_etcdctl(&words("/usr/bin/quorate get etcdctl")));
        assert!(!is_local(&words("quorate get serve")), "a key may be called as it likes");
        for name in local::NAMES {
            assert!(is_local(&words(&format!("quorate {name}"))));
            assert!(is_local(&words(&format!("quorate help {name}"))));
            assert!(!is_local(&words(&format!("etcdctl {name}"))));
        }
    }
}
