//! `quorate-mutants`: looks for every mutant and prints the table of what found them.

#[cfg(not(quorate_mutants))]
fn main() -> std::process::ExitCode {
    eprintln!("this build carries no mutants: see `cargo xtask mutants`");
    std::process::ExitCode::FAILURE
}

#[cfg(quorate_mutants)]
fn main() -> std::process::ExitCode {
    hunt::main()
}

#[cfg(quorate_mutants)]
mod hunt {
    use clap::Parser;
    use quorate_base::mutant;
    use quorate_mutants::hunt::{Budget, hunt};
    use quorate_mutants::table::table;
    use std::path::PathBuf;
    use std::process::ExitCode;

    /// Looks for every mutant and prints the table of what found them.
    #[derive(Parser)]
    struct Arguments {
        /// Numbers of the mutants; all when there is none.
        ids: Vec<u32>,
        /// Seeds of schedules for each mutant.
        #[arg(long, default_value_t = 2_000)]
        schedules: u64,
        /// Seeds of worlds for each mutant.
        #[arg(long, default_value_t = 2_000)]
        worlds: u64,
        /// Writes the table here too.
        #[arg(long)]
        write: Option<PathBuf>,
    }

    pub(super) fn main() -> ExitCode {
        let Arguments { ids, schedules, worlds, write } = Arguments::parse();
        // Mutants end many worlds in a panic of the product; that is no news here.
        std::panic::set_hook(Box::new(|_| {}));
        let budget = Budget { schedules, worlds };
        let mut found = Vec::new();
        let wanted = mutant::ALL.iter().filter(|m| ids.is_empty() || ids.contains(&m.id));
        for mutant in wanted {
            match hunt(mutant, budget) {
                Ok(catch) => {
                    eprintln!("{:3} {}: {catch:?}", mutant.id, mutant.name);
                    found.push((mutant, catch));
                }
                Err(error) => {
                    eprintln!("the stories cannot be read: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
        let text = table(&found, budget);
        println!("{text}");
        if let Some(path) = write
            && let Err(error) = std::fs::write(&path, &text)
        {
            eprintln!("{} cannot be written: {error}", path.display());
            return ExitCode::FAILURE;
        }
        let missed = found.iter().any(|(_, catch)| catch.is_none());
        if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
