//! `xtask differ`: the same random requests to a real etcd and to Quorate, and no answer may differ.
//!
//! The contract tests hold what we know that clients lean on. This holds what nobody thought of: requests are drawn at
//! random, valid and invalid ones, go to both servers at the same time, and the answers are compared field by field,
//! error codes and texts included. Etcd is the only judge; there is no model of it here that could share our mistakes.
//!
//! * **Episodes.** A run is split into episodes, each of which begins with an empty store on both sides: every lease
//!   revoked, every key deleted, everything compacted. Revisions are numbered from there ([`op::BASE`]), so an episode
//!   means the same whatever went before, and can be replayed on its own.
//! * **Users.** In some episodes authentication is on: four users with roles that change call with the tokens that they
//!   were given, and somebody calls without one or with one of their own making.
//! * **Masks.** What must differ is replaced: ids of clusters and terms by zero; ids of members by names, with the
//!   addresses of the one that answers; revisions by their distance from the episode's beginning; ids of leases that a
//!   server chose by the number of the request; the seconds that are left of a lease by those granted, when they are
//!   near; tokens. Lists that are in no order are sorted: keys of a lease, members, alarms. Of a member's status only
//!   the leader, the learner and the errors are compared. Nothing else is masked.
//! * **Watches** are compared event for event and watcher for watcher. How events are packed into answers is left to the
//!   server. In some episodes both sides get time to tell everything before the next request goes out: there the revision
//!   in the header of an answer with events has one right value, and is compared; elsewhere it must not be before that of
//!   an event. Before a compaction or a cancel both sides get time to deliver, because which of the two wins is a race in
//!   etcd. A change of users or roles ends all streams here: ours ends watchers who lose their right, etcd's goes on.
//! * **Waiting.** A lock, a candidate and an observer may have to wait. When both sides have taken their place in line and
//!   say nothing for a while, they wait; they are called back, and both must leave the line.
//! * **Shrinking.** A difference is replayed with fewer and simpler requests until nothing can be left out, and printed
//!   as lines that look like etcdctl's.
//!
//! Where a difference is meant, the sentence that says so is in `docs/etcd-differences.md`. Some are passed over where the
//! answers are compared ([`play`]: who calls is looked at first, a waiter's key under authentication); from the others the
//! generator stays away: keys beyond 32,000 bytes, a put and a delete of one key in sibling transactions and puts into a
//! deleted tail ([`siblings`]), unknown relations of a compare and empty intervals with users ([`generate`]), ties in sorts of
//! more keys than Go's sort keeps stable, permissions of one role that begin with the same key ([`people`]).

mod access;
mod counts;
mod execute;
mod generate;
mod lines;
mod op;
mod people;
mod play;
mod server;
mod shrink;
mod siblings;
mod translate;
mod watching;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use quorate_base::Dice;

use self::play::{Difference, Pair};
use self::server::Server;

/// Differences after which a run ends: they are mostly the same one, and somebody has to read them.
const ENOUGH: usize = 5;

/// Options of `xtask differ`.
#[derive(Args)]
pub struct Arguments {
    /// The etcd to compare with. Without one, nothing is compared, which is said and is no failure.
    #[arg(long, env = "QUORATE_ETCD_BIN")]
    etcd_bin: Option<PathBuf>,
    /// The quorate to compare.
    #[arg(long, env = "QUORATE_BIN", default_value = "target/debug/quorate")]
    quorate_bin: PathBuf,
    /// Seeds to run, separated by commas; without one, a random seed, which is printed.
    #[arg(long, value_delimiter = ',')]
    seed: Vec<u64>,
    /// Requests for each seed.
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Where the servers keep their data, below a directory of their own [default: the system's temporary directory].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Print every request before it is sent.
    #[arg(long)]
    trace: bool,
}

/// Compares, and fails if something differs.
pub fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let Some(etcd) = &arguments.etcd_bin else {
        println!("skipped: no etcd to compare with; QUORATE_ETCD_BIN or --etcd-bin names one");
        return Ok(());
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(compare(arguments, etcd))
}

async fn compare(arguments: &Arguments, etcd: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let parent = arguments.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new().prefix("differ-").tempdir_in(parent)?;
    let (etcd, quorate) = tokio::try_join!(
        Server::start(etcd, "etcd", directory.path()),
        Server::start(&arguments.quorate_bin, "quorate", directory.path()),
    )?;
    println!("etcd {} and quorate {}", etcd.version, quorate.version);
    let generation = generate::Limits { minor: etcd.minor() };
    let mut pair = Pair::new(etcd, quorate, arguments.trace);
    let mut seeds = arguments.seed.clone();
    if seeds.is_empty() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        seeds.push(u64::try_from(now.as_nanos() & 0xffff_ffff)?);
    }
    let mut found: Vec<String> = Vec::new();
    for seed in seeds {
        let began = Instant::now();
        println!("seed {seed}: {} requests", arguments.requests);
        let (sent, refused) =
            one_seed(&mut pair, generation, seed, arguments.requests, &mut found).await?;
        let seconds = began.elapsed().as_secs_f64();
        println!("seed {seed}: {sent} sent, {refused} of them refused by etcd, {seconds:.0} s");
        if found.len() >= ENOUGH {
            break;
        }
    }
    print!("{}", pair.counts);
    if found.is_empty() {
        println!("no difference");
        return Ok(());
    }
    Err(format!(
        "{} differences; each is fixed, or stands in docs/etcd-differences.md",
        found.len()
    )
    .into())
}

/// Plays one seed's episodes; says how many requests were sent and how many of them etcd refused.
async fn one_seed(
    pair: &mut Pair,
    limits: generate::Limits,
    seed: u64,
    requests: usize,
    found: &mut Vec<String>,
) -> Result<(usize, usize), Box<dyn Error>> {
    let mut dice = Dice::new(seed);
    let (mut sent, mut refused) = (0, 0);
    while sent < requests && found.len() < ENOUGH {
        let length = [50, 200, 500, 1500][dice.below(4) as usize].min(requests - sent);
        let mut dice = dice.fork(sent as u64);
        let style = generate::Style::draw(&mut dice);
        let mut source = generate::Source::new(dice, limits, style);
        let outcome = pair.episode(length, style.lockstep, &mut source).await?;
        sent += outcome.sent;
        refused += outcome.refused;
        let Some(difference) = outcome.difference else { continue };
        let difference = shrink::smallest(pair, difference).await?;
        let story = tell(&difference);
        if !found.contains(&story) {
            println!("\nseed {seed}: a difference\n{story}");
            found.push(story);
        }
    }
    Ok((sent, refused))
}

/// A difference as something to read, and to type.
fn tell(difference: &Difference) -> String {
    let mut story = String::new();
    for op in &difference.ops {
        story.push_str(&lines::line(op));
        story.push('\n');
    }
    story.push_str(&play::compare_texts(&difference.etcd, &difference.quorate));
    story
}
