//! One run of the bench, from the flags to the report.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::EtcdArguments;
use super::binaries::{self, System, target_directory};
use super::dataset::Shape;
use super::durability::{self, LONE_PUTS};
use super::failure::{Failure, Result, file_failure, io_failure};
use super::lines::{Effort, LINES, Line, Work};
use super::profile::Profiler;
use super::progress::Progress;
use super::report::{Bound, LineReport, Report, number, side_name};
use super::testbed::Testbed;

/// Keys of the clusters that only have to show that they sync.
const TRIAL: Shape = Shape { keys: 100, key_bytes: 16, value_bytes: 128 };

/// Switches synced writes off, on both systems.
const NO_SYNC: &str = "--unsafe-no-fsync=true";

/// Runs the bench on a single-threaded runtime, which is all that the load generator may use of the machine.
pub fn run(arguments: &EtcdArguments) -> Result<()> {
    if arguments.list {
        list();
        return Ok(());
    }
    let lines = select(&arguments.lines, arguments.secure)?;
    let directory = data_directory(arguments)?;
    let progress = Progress::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io_failure("start a runtime"))?;
    let outcome = runtime.block_on(async {
        // Dropping the run on Ctrl-C drops its clusters, which stops the members and removes their data.
        tokio::select! {
            outcome = run_in(arguments, &lines, directory.path(), &progress) => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    });
    progress.finish();
    let has_logs =
        std::fs::read_dir(directory.path()).is_ok_and(|mut entries| entries.next().is_some());
    if outcome.is_err() && has_logs {
        // The members' logs stay for whoever looks for the reason.
        eprintln!("logs of the members: {}", directory.keep().display());
    }
    outcome
}

async fn run_in(
    arguments: &EtcdArguments,
    lines: &[&Line],
    directory: &Path,
    progress: &Progress,
) -> Result<()> {
    let needs_systems = arguments.expect_reject || lines.iter().any(|line| line.work != Work::Null);
    progress.step("looking for the programs");
    let systems = if needs_systems { binaries::find(arguments)? } else { Vec::new() };
    if arguments.expect_reject {
        return expect_reject(&systems, directory, arguments.secure, progress).await;
    }
    let mut bench = Bench {
        systems,
        effort: effort(arguments),
        secure: arguments.secure,
        directory: directory.to_path_buf(),
        profiles: arguments.profile.clone(),
        progress: progress.clone(),
        report: Report::default(),
    };
    bench.report.seconds = bench.effort.measured.as_secs();
    bench.report.rounds = bench.effort.rounds;
    bench.report.secure = bench.secure;
    let outcome = bench.measure(lines).await;
    // What was measured before a failure is worth keeping too.
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&bench.report)
            .map_err(|error| Failure::Wrong(format!("the report is no JSON: {error}")))?;
        std::fs::write(path, text).map_err(file_failure("write", path))?;
    }
    outcome
}

/// Succeeds only if each system is rejected when it runs with sync switched off.
async fn expect_reject(
    systems: &[System],
    directory: &Path,
    secure: bool,
    progress: &Progress,
) -> Result<()> {
    for system in systems {
        let testbed =
            Testbed::prepare(system, TRIAL, directory, &[NO_SYNC], secure, progress).await?;
        progress.step(format!("counting the syncs of {}", system.name()));
        match durability::prove_synced(&testbed).await {
            Err(Failure::Rejected { system, reason }) => {
                progress.print(&format!(
                    "{system} with {NO_SYNC} is rejected, as it must be: {reason}"
                ));
            }
            Err(other) => return Err(other),
            Ok(counts) => {
                let counts: Vec<u64> = counts.iter().map(|count| count.durable).collect();
                return Err(Failure::Wrong(format!(
                    "{} with {NO_SYNC} was not rejected: syncs per member {counts:?}",
                    system.name()
                )));
            }
        }
    }
    Ok(())
}

/// A run in progress.
struct Bench {
    systems: Vec<System>,
    effort: Effort,
    secure: bool,
    directory: PathBuf,
    profiles: Option<PathBuf>,
    progress: Progress,
    report: Report,
}

impl Bench {
    async fn measure(&mut self, lines: &[&Line]) -> Result<()> {
        for system in &self.systems {
            self.progress.print(&format!(
                "{} {} ({})",
                system.name(),
                system.version,
                system.binary.display()
            ));
            self.report.versions.insert(system.name().into(), system.version.clone());
        }
        if lines.iter().any(|line| line.is_durable()) {
            self.examine().await?;
        }
        let mut testbeds: Vec<Testbed> = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let report = if line.work == Work::Null {
                self.measure_null(line).await?
            } else {
                if testbeds.is_empty() {
                    testbeds = self.prepare(line).await?;
                }
                self.measure_line(line, &mut testbeds).await?
            };
            let next = lines.get(index + 1);
            if !line.shares_testbed() || !next.is_some_and(|next| next.shares_testbed()) {
                self.progress.step("stopping the members");
                testbeds.clear();
            }
            self.progress.print(&report.render());
            self.report.lines.push(report);
        }
        Ok(())
    }

    /// Rejects a system that acknowledges lone puts before they are on disk.
    async fn examine(&mut self) -> Result<()> {
        for system in &self.systems {
            let testbed =
                Testbed::prepare(system, TRIAL, &self.directory, &[], self.secure, &self.progress)
                    .await?;
            self.progress.step(format!("counting the syncs of {}", system.name()));
            let counts = durability::prove_synced(&testbed).await?;
            let counts: Vec<u64> = counts.iter().map(|count| count.durable).collect();
            self.progress.print(&format!(
                "{} syncs before it answers: {LONE_PUTS} lone puts, syncs per member {counts:?}",
                system.name()
            ));
            self.report.lone_put_syncs.insert(system.name().into(), counts);
        }
        Ok(())
    }

    async fn prepare(&self, line: &Line) -> Result<Vec<Testbed>> {
        let mut testbeds = Vec::with_capacity(self.systems.len());
        let shape = line.shape(&self.effort);
        for system in &self.systems {
            let (directory, progress) = (&self.directory, &self.progress);
            let testbed =
                Testbed::prepare(system, shape, directory, &[], self.secure, progress).await?;
            testbeds.push(testbed);
        }
        Ok(testbeds)
    }

    /// Rounds A B A B, then syncs and what else is verified, one side after the other.
    async fn measure_line(&self, line: &Line, testbeds: &mut [Testbed]) -> Result<LineReport> {
        let mut report = LineReport { name: line.name, title: line.title, ..LineReport::default() };
        let (planned, loaded) = (line.shape, line.shape(&self.effort));
        if loaded != planned {
            report.notes.push(format!("with {} keys only (--quick)", number(loaded.keys as f64)));
        }
        let rounds = line.rounds(&self.effort);
        for round in 1..=rounds {
            for testbed in testbeds.iter_mut() {
                let side = testbed.cluster.system.side;
                self.progress.step(format!(
                    "{}: {}, round {round} of {rounds}",
                    line.title,
                    side_name(side)
                ));
                Testbed::settle(&self.directory).await?;
                let figures = line.measure(testbed, &self.effort).await?;
                report.rounds.entry(side_name(side).into()).or_default().push(figures);
            }
        }
        for testbed in testbeds.iter_mut() {
            let side = side_name(testbed.cluster.system.side);
            if line.clients > 0 {
                let leader = testbed.cluster.leader().await?;
                let leader = &testbed.cluster.members[leader].name;
                report.notes.push(format!("{side}: the leader is {leader}"));
            }
            self.progress.step(format!("{}: counting the syncs of {side}", line.title));
            let syncs = line.count_syncs(testbed).await?;
            if let Some(last) = report.rounds.get_mut(side).and_then(|rounds| rounds.last_mut()) {
                last.merge(syncs);
            }
            if let Some(profiles) = &self.profiles
                && line.clients > 0
            {
                self.progress.step(format!("{}: profiling {side}", line.title));
                self.profile(line, testbed, profiles).await?;
            }
            if line.work == Work::Put {
                self.progress.step(format!("{}: killing all members of {side}", line.title));
                let survival = durability::survive_kill(testbed, line.clients).await?;
                report.notes.push(format!(
                    "{side}: after SIGKILL of all members all {} acknowledged puts are there, {} of them from the load cut off",
                    number(survival.acknowledged as f64),
                    number(survival.in_burst as f64),
                ));
            }
        }
        report.conclude(line.targets);
        Ok(report)
    }

    /// Measures the line once more under perf and drops the figures.
    async fn profile(&self, line: &Line, testbed: &mut Testbed, profiles: &Path) -> Result<()> {
        std::fs::create_dir_all(profiles).map_err(file_failure("create", profiles))?;
        let name = format!("{}-{}.txt", line.name, side_name(testbed.cluster.system.side));
        let profiler = Profiler::attach(&testbed.cluster.pids(), &self.directory)?;
        line.measure(testbed, &self.effort).await?;
        profiler.finish(&profiles.join(name)).await
    }

    async fn measure_null(&self, line: &Line) -> Result<LineReport> {
        let mut report = LineReport { name: line.name, title: line.title, ..LineReport::default() };
        for round in 1..=self.effort.rounds {
            self.progress.step(format!("{}, round {round}", line.title));
            let figures = line.measure_null(&self.effort).await?;
            report.rounds.entry("null".into()).or_default().push(figures);
        }
        report.conclude(line.targets);
        Ok(report)
    }
}

fn effort(arguments: &EtcdArguments) -> Effort {
    if arguments.quick {
        return Effort {
            warm_up: Duration::from_millis(500),
            measured: Duration::from_secs(2),
            rounds: 1,
            shrink: 10,
            restarts: 2,
            kills: 5,
        };
    }
    Effort {
        warm_up: Duration::from_secs(1),
        measured: Duration::from_secs(arguments.seconds),
        rounds: arguments.rounds,
        shrink: 1,
        restarts: 3,
        kills: 30,
    }
}

/// The lines named, in the order of the table; all without a name.
fn select(names: &[String], secure: bool) -> Result<Vec<&'static Line>> {
    for name in names {
        let known = |line: &Line| matches(line, name);
        if !LINES.iter().any(known) {
            let all: Vec<&str> = LINES.iter().map(|line| line.name).collect();
            let all = all.join(", ");
            return Err(Failure::Setup(format!("there is no line {name}; there are {all}")));
        }
    }
    let in_the_clear = |line: &Line| matches!(line.work, Work::Null | Work::Failover);
    let open =
        LINES.iter().find(|line| in_the_clear(line) && names.iter().any(|name| line.name == name));
    if let (true, Some(line)) = (secure, open) {
        return Err(Failure::Setup(format!("{} is not measured with --secure", line.name)));
    }
    let left_out = |line: &Line| secure && in_the_clear(line);
    let wanted = |line: &&Line| {
        !left_out(line) && (names.is_empty() || names.iter().any(|name| matches(line, name)))
    };
    Ok(LINES.iter().filter(wanted).collect())
}

/// A line is meant by its name, or by its name without the number of clients, which may mean several.
fn matches(line: &Line, name: &str) -> bool {
    line.name == name || line.name.trim_end_matches(|digit: char| digit.is_ascii_digit()) == name
}

/// A fresh directory on a real disk.
fn data_directory(arguments: &EtcdArguments) -> Result<TempDir> {
    /// What statfs calls a file system in memory.
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    let default = || target_directory().join("bench-data");
    let parent = arguments.data_dir.clone().unwrap_or_else(default);
    std::fs::create_dir_all(&parent).map_err(file_failure("create", &parent))?;
    let statistics = rustix::fs::statfs(&parent)
        .map_err(|error| file_failure("look at", &parent)(error.into()))?;
    if statistics.f_type == TMPFS {
        return Err(Failure::Setup(format!(
            "{} is in memory, where a sync costs nothing: name a directory on a disk with --data-dir",
            parent.display()
        )));
    }
    tempfile::Builder::new()
        .prefix("run-")
        .tempdir_in(&parent)
        .map_err(file_failure("create a directory in", &parent))
}

/// The table as text; a reader that stops early, like `head`, is no error.
fn list() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for line in LINES {
        let _ = writeln!(text, "{:<12} {}", line.name, line.title);
        for target in line.targets {
            let (words, ratio) = match target.bound {
                Bound::AtLeast(ratio) => ("at least", ratio),
                Bound::AtMost(ratio) => ("at most", ratio),
            };
            let _ = writeln!(text, "{:<12}   {:?} {words} {ratio:.3} of etcd's", "", target.figure);
        }
    }
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_name_or_family_in_the_order_of_the_table() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
            select(&names, false)
                .map(|lines| lines.iter().map(|line| line.name).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&["watch", "put64"]).expect("known"), ["put64", "watch"]);
        assert_eq!(chosen(&["put"]).expect("known"), ["put1", "put64", "put256"]);
        assert_eq!(chosen(&[]).expect("all").len(), LINES.len());
        assert!(chosen(&["nothing-like-it"]).is_err());
        let secure = select(&[], true).expect("all that can be");
        assert!(secure.iter().all(|line| !["null", "failover"].iter().any(|n| matches(line, n))));
        assert!(select(&["failover".to_owned()], true).is_err());
    }
}
