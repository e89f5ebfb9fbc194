//! What is told at the end: a verdict for people, the same for scripts, and the page.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::fault::Fault;
use super::journal::{Ending, Sample};
use super::nemesis::Struck;
use super::page::{self, Story, quantile};
use super::verdict::{self, Finding, Judged};
use super::{count, strikes};

/// Everything that is told.
pub struct Report {
    /// Which order of faults it was.
    pub seed: u64,
    /// How many members there are.
    pub members: usize,
    /// How many places for members.
    pub places: usize,
    /// How many clients there were.
    pub clients: u16,
    /// How long it went on.
    pub lasted: Duration,
    /// What was done.
    pub struck: Vec<Struck>,
    /// What the clients felt.
    pub samples: Vec<Sample>,
    /// What the judges say.
    pub judged: Vec<Judged>,
    /// Where the files are.
    pub out: PathBuf,
}

impl Report {
    /// The exit code.
    pub fn code(&self) -> u8 {
        verdict::code(&self.judged)
    }

    fn headline(&self) -> &'static str {
        match self.code() {
            0 => "every promise was kept",
            1 => "a promise is broken",
            _ => "not decided",
        }
    }

    /// Half and 99 of 100 answers came within so many milliseconds.
    fn latencies(&self) -> [f64; 2] {
        let answered = self.samples.iter().filter(|sample| sample.ending == Ending::Answered);
        let mut took: Vec<u32> = answered.map(|sample| sample.took).collect();
        took.sort_unstable();
        [500, 990].map(|part| f64::from(quantile(&took, part)) / 1_000.0)
    }

    fn faults(&self) -> Vec<(Fault, usize)> {
        let all = Fault::ALL.map(|fault| (fault, strikes(&self.struck, fault)));
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// For people.
    pub fn text(&self) -> String {
        let samples = &self.samples;
        let seconds = self.lasted.as_secs_f64();
        let faults = self.faults().into_iter().map(|(fault, count)| format!("{count} {fault}"));
        let [half, most] = self.latencies();
        let mut text = format!(
            "\n{} operations in {seconds:.1} s ({:.0}/s): {} answered, {} refused, {} unknown; half within {half:.1} ms, \
             99 of 100 within {most:.1} ms\n{} faults: {}\n\n",
            samples.len(),
            samples.len() as f64 / seconds,
            count(samples, Ending::Answered),
            count(samples, Ending::Refused),
            count(samples, Ending::Unknown),
            self.struck.len(),
            faults.collect::<Vec<_>>().join(", "),
        );
        for Judged { name, finding } in &self.judged {
            let _ = match finding {
                Finding::Fine(what) => writeln!(text, "  {name:<13} kept         {what}"),
                Finding::Unknown(why) => writeln!(text, "  {name:<13} not decided  {why}"),
                Finding::Broken(said) => {
                    writeln!(text, "  {name:<13} BROKEN       {}", said.join("\n    "))
                }
            };
        }
        let out = self.out.display();
        let _ = writeln!(
            text,
            "\n{}: {out}/chaos.html, {out}/history.jsonl, {out}/watches.jsonl",
            self.headline()
        );
        text
    }

    /// For scripts.
    pub fn json(&self) -> String {
        let finding = |judged: &Judged| match &judged.finding {
            Finding::Fine(what) => json!({"judge": judged.name, "verdict": "yes", "about": what}),
            Finding::Unknown(why) => {
                json!({"judge": judged.name, "verdict": "unknown", "about": why})
            }
            Finding::Broken(said) => {
                json!({"judge": judged.name, "verdict": "no", "evidence": said})
            }
        };
        let faults = self
            .faults()
            .into_iter()
            .map(|(fault, count)| (fault.name().to_owned(), serde_json::Value::from(count)));
        let [half, most] = self.latencies();
        json!({
            "verdict": self.headline(),
            "code": self.code(),
            "seed": self.seed,
            "members": self.members,
            "clients": self.clients,
            "seconds": self.lasted.as_secs_f64(),
            "answered": count(&self.samples, Ending::Answered),
            "refused": count(&self.samples, Ending::Refused),
            "unknown": count(&self.samples, Ending::Unknown),
            "median_ms": half,
            "p99_ms": most,
            "faults": faults.collect::<serde_json::Map<_, _>>(),
            "judges": self.judged.iter().map(finding).collect::<Vec<_>>(),
            "page": self.out.join("chaos.html"),
            "history": self.out.join("history.jsonl"),
            "watches": self.out.join("watches.jsonl"),
        })
        .to_string()
    }

    /// The picture.
    pub fn page(&self) -> String {
        let subtitle = format!(
            "{} members, {} clients, seed {}: {} operations and {} faults in {:.0} s",
            self.members,
            self.clients,
            self.seed,
            self.samples.len(),
            self.struck.len(),
            self.lasted.as_secs_f64()
        );
        page::draw(&Story {
            subtitle,
            headline: self.headline(),
            members: self.places,
            lasted: self.lasted,
            struck: &self.struck,
            samples: &self.samples,
            judged: &self.judged,
        })
    }
}
