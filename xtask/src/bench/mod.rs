//! `xtask bench etcd`: Quorate and a real etcd, side by side, in one run.
//!
//! A number from one day compared with a number from another day compares two days. So both systems run here, in the
//! same minutes, on the same disk, and take turns: each line of the report is measured A B A B, and the medians over the
//! rounds are what is compared. The absolute rates say something about the machine; the ratios say something about the
//! systems.
//!
//! What keeps the comparison honest:
//! * Three members each, over loopback, with data directories next to each other on one file system, the same heartbeat
//!   and election timeouts, and synced writes. Every line starts from fresh clusters and the same preloaded keys.
//! * Only one cluster is under load at a time, and processor time is read from `/proc` for exactly its processes, so
//!   what the idle cluster burns is charged to nobody.
//! * The load generator runs on the same cores, as the issue wants it, and costs something: its own time per operation
//!   is printed, and the `null` lines show the ceiling, a server that answers at once and does nothing.
//! * A system that acknowledges writes before they are on disk would win every write line. Before any of them is
//!   measured, each system must show, under strace, a sync on a quorum of members for each lone write ([`durability`]);
//!   and after each put line all three members are killed with SIGKILL in the middle of the load, restarted, and every
//!   acknowledged write is looked for.
//!
//! What is left out: the disk itself is not made to fail (a SIGKILL leaves the page cache alone; the sync count covers
//! that side), and io_uring, through which a sync would be invisible to strace, would be taken for no sync at all.

mod access;
mod binaries;
mod cluster;
mod connection;
mod cpu;
mod dataset;
mod durability;
mod failure;
mod lines;
mod load;
mod null_server;
mod profile;
mod progress;
mod report;
mod run;
mod syncs;
mod testbed;
mod writes;

use std::error::Error;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Options of `xtask bench`.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    rival: Rival,
}

#[derive(Subcommand)]
enum Rival {
    /// Measure Quorate against a real etcd.
    Etcd(Box<EtcdArguments>),
    /// Answer every call of the key-value service with an empty message (the `null` lines start this themselves).
    #[command(hide = true)]
    NullServer,
}

/// One of the two systems compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Debug)]
pub enum Side {
    /// The reference.
    Etcd,
    /// This project.
    Quorate,
}

/// Options of `xtask bench etcd`.
#[derive(Args)]
pub struct EtcdArguments {
    /// Lines to measure, separated by commas; all of them without this flag.
    #[arg(long, value_delimiter = ',')]
    lines: Vec<String>,
    /// Seconds of measured load per round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds per line; the report shows the medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Measure one system alone.
    #[arg(long)]
    only: Option<Side>,
    /// Also write everything measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// One round of two seconds, a tenth of the preloaded keys, five leader kills: to see that everything works.
    #[arg(long)]
    quick: bool,
    /// The etcd to compare with; without it one is built, downloaded or found.
    #[arg(long, env = "QUORATE_ETCD_BIN")]
    etcd_bin: Option<PathBuf>,
    /// The quorate to measure [default: target/release/quorate].
    #[arg(long, env = "QUORATE_BIN")]
    quorate_bin: Option<PathBuf>,
    /// Directory for the data of both systems, on a real disk [default: bench-data in the target directory].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Take a sampling profile of the members per line (in a window that does not count) into this directory, with perf.
    #[arg(long)]
    profile: Option<PathBuf>,
    /// Self-check: start with sync switched off, and succeed only if the bench rejects that.
    #[arg(long)]
    expect_reject: bool,
    /// Clients and members speak TLS, members show certificates, and calls carry a user's token; without the null and
    /// failover lines.
    #[arg(long)]
    secure: bool,
    /// List the lines and their targets.
    #[arg(long)]
    list: bool,
}

/// Runs the bench. An error is one line: what was attempted, and what came back.
pub fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    match &arguments.rival {
        Rival::Etcd(arguments) => run::run(arguments)?,
        Rival::NullServer => null_server::serve()?,
    }
    Ok(())
}
