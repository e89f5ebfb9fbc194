//! The project's own chores, as a program instead of shell scripts: `cargo xtask <chore>`.
//!
//! Each chore is a module with one entry function; this file only names them. What a chore needs (a parser of `.proto`
//! files, a load generator) is a dependency of this crate alone, so that building the product never compiles it.

#[cfg(feature = "bench")]
mod bench;
mod codegen;
#[cfg(feature = "bench")]
mod differ;
mod fuzz;
mod mutants;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the Quorate repository.
#[derive(Parser)]
#[command(name = "xtask", version)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Generate the Rust code of the etcd API from system/wire/proto into system/wire/src/gen.
    Codegen(codegen::Arguments),
    /// Put bugs of others back, one at a time, and demand that the laboratory finds each.
    Mutants(mutants::Arguments),
    /// Feed what reads bytes with bytes that nobody wrote on purpose.
    Fuzz(fuzz::Arguments),
    /// Measure Quorate against another system.
    #[cfg(feature = "bench")]
    Bench(bench::Arguments),
    /// Send the same random requests to a real etcd and to Quorate, and demand the same answers.
    #[cfg(feature = "bench")]
    Differ(differ::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Codegen(arguments) => codegen::run(&arguments),
        Chore::Mutants(arguments) => mutants::run(&arguments),
        Chore::Fuzz(arguments) => fuzz::run(&arguments),
        #[cfg(feature = "bench")]
        Chore::Bench(arguments) => bench::run(&arguments),
        #[cfg(feature = "bench")]
        Chore::Differ(arguments) => differ::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
