//! `quorate chaos`: break a running cluster on purpose while it is used, and judge what its clients saw.
//!
//! ```text
//! clients   journal ──┐                 ┌─▶ judges ─▶ verdict, exit code
//! watchers  told   ───┼─▶ history ──────┤
//! nemesis   struck ───┤   on disk       └─▶ page
//! changer   changed ──┘
//! ```
//!
//! The cluster is one of `quorate up`, this command's own ([`crate::up::within`]) or one that runs already, and everything
//! that is done to it is what `quorate node` does, or `quorate member`. The clients use the public API. Nothing that is judged comes from
//! inside of a member.

mod aftermath;
mod changer;
mod client;
mod crew;
mod crowd;
mod fault;
mod journal;
mod nemesis;
mod page;
mod report;
mod verdict;
mod watcher;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use quorate_base::Dice;
use quorate_client::FROM_KEY;
use quorate_client::etcd::etcdserverpb::RangeRequest;

use crate::check::duration;
use crate::sim::progress::Line;
use crate::up::control;
use crate::up::directory::{ClusterFile, MemberEntry};
use crate::up::within::Within;
use aftermath::Aftermath;
use changer::Changer;
use client::{connect, revision};
use crew::{Crew, Place};
use crowd::Crowd;
use fault::Fault;
use journal::{Ending, Journal, Sample};
use nemesis::{Nemesis, Struck};
use report::Report;
use verdict::Judged;
use watcher::Told;

/// How long the last revision may take to be told, after the storm.
const LAST_LIMIT: Duration = Duration::from_secs(30);
/// Places for members, of a cluster whose members come and go.
const PLACES: u16 = 5;
/// The pause between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(500);

/// Break a cluster on purpose while it is used, and judge what its clients saw
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  # Ten minutes of everything against three members of its own
  quorate chaos --for 10m

  # Only cut links and slow disks, five members, more load, reproducible order of faults
  quorate chaos --for 2m --nodes 5 --faults cut,slow-disk --clients 16 --rate 2000 --seed 7

  # Against the cluster that `quorate up` runs in this directory, which nobody else uses meanwhile
  quorate chaos --running ./quorate-data --for 1m

Faults: kill, stop, pause, isolate, mute, deafen, unlink (together: cut), slow-disk, hung-disk
(together: disk), blackout (everybody is killed), add, remove, replace (together: members). First each strikes
the leader once. Members come and go while the others go on: the cluster grows to five, shrinks to three, and a
dead member is replaced by two commands, again and again; with --keep-members it stays as it is, as does a
cluster that runs already, or one of a single member.

It writes chaos.html (a picture), history.jsonl (quorate check --model etcd) and watches.jsonl
(quorate check --model watch). Ctrl-C ends the faults and judges what there was so far.

Exit codes: 0 every promise was kept, 1 one was broken, 2 that could not be decided.")]
pub struct ChaosArguments {
    /// How long faults go on (30s, 10m, 1h)
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "1m")]
    lasting: Duration,
    /// Chooses the order of faults and of operations; real processes still differ [default: the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// What may happen, separated by commas
    #[arg(long, value_name = "LIST", value_parser = Fault::parse, value_delimiter = ',', default_value = "all")]
    faults: Vec<Vec<Fault>>,
    /// Leave the members as they are: nobody is added, removed or replaced
    #[arg(long)]
    keep_members: bool,
    /// How many members: 1, 3 or 5
    #[arg(long, value_name = "N", value_parser = crate::up::nodes, default_value = "3", conflicts_with = "running")]
    nodes: u16,
    /// How many clients
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), default_value = "8")]
    clients: u16,
    /// Operations a second that all clients together try to make
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000), default_value = "500")]
    rate: u32,
    /// Where the cluster's data goes, and stays [default: in the directory of --out, until all is well]
    #[arg(long, value_name = "DIR", conflicts_with = "running")]
    data_dir: Option<PathBuf>,
    /// Use the cluster of `quorate up` in this directory instead of one of its own
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = crate::up::DATA_DIR)]
    running: Option<PathBuf>,
    /// Where the page and the histories go
    #[arg(long, value_name = "DIR", default_value = "./quorate-chaos")]
    out: PathBuf,
    /// How to print the verdict
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Simple)]
    write_out: Output,
    /// Additional flags for every member of its own cluster; see `quorate serve --help`
    #[arg(last = true, value_name = "SERVE FLAGS", conflicts_with = "running")]
    flags: Vec<String>,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Output {
    Simple,
    Json,
}

/// Runs the command.
pub fn main(arguments: &ChaosArguments) -> ExitCode {
    match run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("quorate chaos: {why}");
            ExitCode::from(2)
        }
    }
}

/// The cluster that is broken.
enum Subject {
    Own { within: Within, directory: PathBuf },
    Running { cluster: ClusterFile, directory: PathBuf },
}

impl Subject {
    fn open(arguments: &ChaosArguments) -> Result<Subject, String> {
        if let Some(directory) = &arguments.running {
            let (cluster, directory) = (control::running(directory)?, directory.clone());
            return Ok(Subject::Running { cluster, directory });
        }
        let directory = arguments.data_dir.clone().unwrap_or_else(|| arguments.out.join("data"));
        let spares = if arguments.nodes == 1 { 0 } else { PLACES.saturating_sub(arguments.nodes) };
        let within = Within::start(&directory, arguments.nodes, spares, &arguments.flags)?;
        Ok(Subject::Own { within, directory })
    }

    fn members(&self) -> &[MemberEntry] {
        match self {
            Subject::Own { within, .. } => &within.cluster.members,
            Subject::Running { cluster, .. } => &cluster.members,
        }
    }

    fn directory(&self) -> &Path {
        let (Subject::Own { directory, .. } | Subject::Running { directory, .. }) = self;
        directory
    }

    /// What the members did by themselves that they should not have done.
    fn ended(&self) -> Vec<String> {
        match self {
            Subject::Own { within, .. } => within.ended(),
            Subject::Running { .. } => vec![],
        }
    }

    /// Ends a cluster of its own. Its data is of use only if something was found.
    fn close(self, arguments: &ChaosArguments, code: u8) -> Result<(), String> {
        let Subject::Own { within, directory } = self else { return Ok(()) };
        within.stop()?;
        if code == 0 && arguments.data_dir.is_none() {
            std::fs::remove_dir_all(&directory)
                .map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        Ok(())
    }
}

fn run(arguments: &ChaosArguments) -> Result<u8, String> {
    let out = &arguments.out;
    std::fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let subject = Subject::open(arguments)?;
    let report = runtime.block_on(storm(arguments, &subject));
    let report = match report {
        Ok(report) => report,
        Err(why) => {
            // Why it failed matters more than how it ended.
            let _ = subject.close(arguments, 2);
            return Err(why);
        }
    };
    match arguments.write_out {
        Output::Simple => print!("{}", report.text()),
        Output::Json => println!("{}", report.json()),
    }
    let code = report.code();
    subject.close(arguments, code)?;
    Ok(code)
}

/// The storm and what comes after it.
async fn storm(arguments: &ChaosArguments, subject: &Subject) -> Result<Report, String> {
    let url = |member: &MemberEntry| member.client_url.clone();
    let endpoints: Vec<String> = subject.members().iter().map(url).collect();
    let first = subject.members().iter().filter(|member| !member.spare);
    let first: Vec<String> = first.map(url).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = arguments.seed.unwrap_or(now.as_secs());
    let prefix = format!("chaos/{}/", now.as_millis());
    let begin = last_revision(&first).await?;
    let file = arguments.out.join("history.jsonl");
    let journal = Journal::new(&file, begin).map_err(|e| format!("{}: {e}", file.display()))?;
    let journal = Arc::new(journal);
    let mut dice = Dice::new(seed);
    let mut crowd =
        Crowd::start(arguments, &first, &endpoints, &journal, &prefix, begin, &mut dice)?;

    let line = Line::new();
    let json = arguments.write_out == Output::Json;
    let tell = |words: &str| if json { line.above_err(words) } else { line.above(words) };
    tell(&format!("seed {seed}, {} members, for {:?}", first.len(), arguments.lasting));
    let faults = arguments.faults.concat();
    let alone = first.len() == 1;
    let fixed = arguments.keep_members || alone || arguments.running.is_some();
    let crew = Arc::new(Crew::new(first.len(), endpoints.len()));
    let changes: Vec<Fault> = faults.iter().copied().filter(|f| f.is_change() && !fixed).collect();
    let mut changer = Changer {
        directory: subject.directory().to_owned(),
        places: subject.members().to_vec(),
        changes,
        journal: journal.clone(),
        lives: crowd.lives.clone(),
        crew: crew.clone(),
        dice: dice.fork(u64::MAX),
        tell: &tell,
        struck: Vec::new(),
    };
    let mut nemesis = Nemesis {
        directory: subject.directory().to_owned(),
        members: subject.members().to_vec(),
        faults: faults
            .into_iter()
            .filter(|fault| !(fault.is_change() || alone && fault.needs_others()))
            .collect(),
        journal: journal.clone(),
        lives: crowd.lives.clone(),
        crew: crew.clone(),
        dice,
        tell: &tell,
        struck: Vec::new(),
    };
    if nemesis.faults.is_empty() && changer.changes.is_empty() {
        return Err("none of these faults can strike this cluster: one member alone has no links to cut, and \
                    members are changed in a cluster of chaos's own, of three or five: choose other --faults"
            .to_owned());
    }
    let (raged, changed) = tokio::select! {
        both = rage_and_change(&mut nemesis, &mut changer, arguments.lasting) => both,
        () = show_progress(&line, &journal, &crowd.told) => unreachable!("it never ends"),
    };
    let mut struck = std::mem::take(&mut nemesis.struck);
    struck.append(&mut changer.struck);
    struck.sort_by_key(|struck| struck.begun);
    drop(nemesis);
    journal.stop();
    let lasted = journal.begun().elapsed();

    line.say("everybody ends what they are doing".to_owned());
    while crowd.workers.join_next().await.is_some() {}
    let mut complaints: Vec<String> = raged.err().into_iter().collect();
    complaints.extend(subject.ended());
    let mut reads = 0;
    while let Some(reader) = crowd.readers.join_next().await {
        match reader.map_err(|error| error.to_string())? {
            Ok(answers) => reads += answers,
            Err(why) => complaints.push(why),
        }
    }
    line.say("the judges think".to_owned());
    let fine = format!("{} faults survived, {reads} serializable reads", struck.len());
    let mut before = vec![Judged::of("served", complaints, fine)];
    if !changer.changes.is_empty() {
        let mut complaints: Vec<String> = changed.err().into_iter().collect();
        complaints.extend(changer.settled().await);
        before.push(Judged::of("members", complaints, changes_told(&struck, &crew)));
    }
    drop(changer);
    let voters = crew.at(Place::Voter).into_iter();
    let present = voters.map(|at| subject.members()[at].clone()).collect();
    let after = Aftermath { present, prefix, begin, journal, crowd, before };
    let (judged, samples) = after.judge(&arguments.out).await?;
    let report = Report {
        seed,
        members: first.len(),
        places: subject.members().len(),
        clients: arguments.clients,
        lasted,
        struck,
        samples,
        judged,
        out: arguments.out.clone(),
    };
    let page = arguments.out.join("chaos.html");
    std::fs::write(&page, report.page()).map_err(|e| format!("{}: {e}", page.display()))?;
    Ok(report)
}

/// What was done to the members, in a few words.
fn changes_told(struck: &[Struck], crew: &Crew) -> String {
    let [added, removed, replaced] =
        [Fault::Add, Fault::Remove, Fault::Replace].map(|fault| strikes(struck, fault));
    let left = crew.at(Place::Voter).len();
    format!(
        "{added} added, {removed} removed, {replaced} replaced; {left} at the end, all of them voters"
    )
}

/// Faults and changes of members until their time is over, or somebody presses Ctrl-C: then what is broken is still
/// mended and what is begun is finished. A second Ctrl-C ends the process, and with it the members.
async fn rage_and_change(
    nemesis: &mut Nemesis<'_>,
    changer: &mut Changer<'_>,
    lasting: Duration,
) -> (Result<(), String>, Result<(), String>) {
    let changes = !changer.changes.is_empty();
    let journal = nemesis.journal.clone();
    let clock = async {
        tokio::select! {
            () = tokio::time::sleep(lasting) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        journal.stop();
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    };
    // Who fails ends the storm for both.
    let rage = async {
        let raged = nemesis.rage().await;
        journal.stop();
        raged
    };
    let change = async {
        let changed = if changes { changer.work().await } else { Ok(()) };
        if changed.is_err() {
            journal.stop();
        }
        changed
    };
    tokio::select! {
        both = async { tokio::join!(rage, change) } => both,
        () = clock => unreachable!("it never ends"),
    }
}

async fn show_progress(line: &Line, journal: &Journal, told: &Told) {
    let (mut before, mut last) = (0, Instant::now());
    loop {
        tokio::time::sleep(PROGRESS).await;
        let [answered, refused, unknown] = journal.counts();
        let rate = (answered - before) as f64 / last.elapsed().as_secs_f64();
        line.say(format!(
            "{rate:.0} operations/s  {answered} answered, {refused} refused, {unknown} unknown, {} watched",
            told.count()
        ));
        (before, last) = (answered, Instant::now());
    }
}

/// The newest revision, by a linearizable read.
async fn last_revision(endpoints: &[String]) -> Result<i64, String> {
    let client = connect(endpoints, LAST_LIMIT)?;
    let read = RangeRequest { key: FROM_KEY, ..RangeRequest::default() };
    let answer = client.range(read).await;
    answer.map(|answer| revision(&answer.header)).map_err(|error| error.to_string())
}

/// How many samples ended so.
fn count(samples: &[Sample], ending: Ending) -> usize {
    samples.iter().filter(|sample| sample.ending == ending).count()
}

/// How often a fault struck.
fn strikes(struck: &[Struck], fault: Fault) -> usize {
    struck.iter().filter(|struck| struck.fault == fault).count()
}
