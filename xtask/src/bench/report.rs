//! Figures, ratios and verdicts.
//!
//! A line yields a handful of named figures per round. The report shows the median of each over the rounds, the ratio of
//! the two sides, and how that stands to the target. Every round is kept for the JSON file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::Side;
use super::load::Window;

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Operations per second.
    Rate,
    /// Median latency.
    LatencyP50,
    /// Latency that 99 of 100 operations stay below.
    LatencyP99,
    /// Latency that 999 of 1000 operations stay below.
    LatencyP999,
    /// Processor time of all members per operation.
    ServerTime,
    /// The first member's share of it.
    ServerTime1,
    /// The second member's share of it.
    ServerTime2,
    /// The third member's share of it.
    ServerTime3,
    /// Processor time of the load generator per operation.
    GeneratorTime,
    /// Calls of fsync and its kin by all members per operation.
    SyncsPerOperation,
    /// Events delivered to all watchers.
    Events,
    /// Share of the events owed that arrived in time.
    Delivered,
    /// Puts per second under the watchers.
    PutRate,
    /// Median time from sending a put to its event.
    LagP50,
    /// Time from sending a put to its event that 99 of 100 events stay below.
    LagP99,
    /// Processor time of all members per event.
    ServerTimePerEvent,
    /// Processor time of the load generator per event.
    GeneratorTimePerEvent,
    /// Resident memory without files, mean over the members.
    RssAnonMember,
    /// Resident memory, mean over the members.
    RssMember,
    /// Median time from exec to the first answer.
    RestartMedian,
    /// Longest time from exec to the first answer.
    RestartLongest,
    /// Median time without writes.
    MedianOutage,
    /// Longest time without writes.
    LongestOutage,
    /// Operations per second before the flood.
    CalmRate,
    /// Share of it that is left under the flood.
    Kept,
    /// What the largest member's resident memory grew by, at its peak.
    RssGrowth,
}

impl Figure {
    /// Heading and unit.
    fn label(self) -> (&'static str, &'static str) {
        match self {
            Self::Rate => ("rate", "/s"),
            Self::LatencyP50 => ("p50", "ms"),
            Self::LatencyP99 => ("p99", "ms"),
            Self::LatencyP999 => ("p99.9", "ms"),
            Self::ServerTime => ("server CPU", "us/op"),
            Self::ServerTime1 => ("n1", "us"),
            Self::ServerTime2 => ("n2", "us"),
            Self::ServerTime3 => ("n3", "us"),
            Self::GeneratorTime => ("generator", "us/op"),
            Self::SyncsPerOperation => ("syncs", "/op"),
            Self::Events => ("events", ""),
            Self::Delivered => ("delivered", "%"),
            Self::PutRate => ("puts", "/s"),
            Self::LagP50 => ("lag p50", "ms"),
            Self::LagP99 => ("lag p99", "ms"),
            Self::ServerTimePerEvent => ("server CPU", "us/event"),
            Self::GeneratorTimePerEvent => ("generator", "us/event"),
            Self::RssAnonMember => ("RssAnon", "MiB"),
            Self::RssMember => ("Rss", "MiB"),
            Self::RestartMedian | Self::MedianOutage => ("median", "ms"),
            Self::RestartLongest | Self::LongestOutage => ("max", "ms"),
            Self::CalmRate => ("without the flood", "/s"),
            Self::Kept => ("kept", "%"),
            Self::RssGrowth => ("Rss grew by", "MiB"),
        }
    }
}

/// Figures of one round, or the medians of several.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures(BTreeMap<Figure, f64>);

impl Figures {
    /// Notes a figure.
    pub fn set(&mut self, figure: Figure, value: f64) {
        self.0.insert(figure, value);
    }

    /// What was noted.
    pub fn get(&self, figure: Figure) -> Option<f64> {
        self.0.get(&figure).copied()
    }

    /// Adds the figures of another kind of run of the same line.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The figures of a closed loop.
    pub fn of_window(window: &Window) -> Self {
        let operations = (window.operations as f64).max(1.0);
        let milliseconds = |quantile| window.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let mut figures = Self::default();
        figures.set(Figure::Rate, window.operations as f64 / window.elapsed.as_secs_f64());
        figures.set(Figure::LatencyP50, milliseconds(0.5));
        figures.set(Figure::LatencyP99, milliseconds(0.99));
        figures.set(Figure::LatencyP999, milliseconds(0.999));
        let per_operation = |time: Duration| time.as_secs_f64() * 1e6 / operations;
        figures.set(Figure::ServerTime, per_operation(window.server_time()));
        let members = [Figure::ServerTime1, Figure::ServerTime2, Figure::ServerTime3];
        if window.server_times.len() == members.len() {
            for (figure, time) in members.into_iter().zip(&window.server_times) {
                figures.set(figure, per_operation(*time));
            }
        }
        figures.set(Figure::GeneratorTime, per_operation(window.generator_time));
        figures
    }

    /// The median of each figure over the rounds that have it.
    pub fn medians(rounds: &[Self]) -> Self {
        let mut collected: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
        for (figure, value) in rounds.iter().flat_map(|round| &round.0) {
            collected.entry(*figure).or_default().push(*value);
        }
        Self(collected.into_iter().map(|(figure, values)| (figure, median(values))).collect())
    }
}

/// The middle value, or the mean of the two in the middle; the values must not be empty.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

/// What Quorate is to reach: a bound on its figure divided by etcd's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Target {
    /// Which figure.
    pub figure: Figure,
    /// Which side of the bound is good.
    pub bound: Bound,
}

/// A bound on a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

/// A target for a figure of which more is better.
pub const fn at_least(figure: Figure, ratio: f64) -> Target {
    Target { figure, bound: Bound::AtLeast(ratio) }
}

/// A target for a figure of which less is better.
pub const fn at_most(figure: Figure, ratio: f64) -> Target {
    Target { figure, bound: Bound::AtMost(ratio) }
}

/// How a target came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The target.
    pub target: Target,
    /// Quorate's figure divided by etcd's.
    pub ratio: f64,
    /// Whether the ratio is within the bound.
    pub reached: bool,
    /// The factor by which the ratio must still improve to meet the bound; 1 or less if it does.
    pub missing_factor: f64,
}

impl Verdict {
    /// Compares two medians; `None` if either is missing or etcd's is zero.
    fn of(target: Target, etcd: &Figures, quorate: &Figures) -> Option<Self> {
        let (theirs, ours) = (etcd.get(target.figure)?, quorate.get(target.figure)?);
        if theirs <= 0.0 {
            return None;
        }
        let ratio = ours / theirs;
        let missing_factor = match target.bound {
            // A rate of zero lacks every factor; JSON knows no infinity.
            Bound::AtLeast(bound) => (bound / ratio).min(f64::MAX),
            Bound::AtMost(bound) => ratio / bound,
        };
        Some(Self { target, ratio, reached: missing_factor <= 1.0, missing_factor })
    }

    fn sentence(&self) -> String {
        let (name, unit) = self.target.figure.label();
        let (words, bound) = match self.target.bound {
            Bound::AtLeast(bound) => ("at least", bound),
            Bound::AtMost(bound) => ("at most", bound),
        };
        let outcome = if self.reached {
            "reached".to_owned()
        } else {
            format!("SHORT by a factor of {:.2}", self.missing_factor.max(1.01))
        };
        let unit =
            if unit.contains('/') && unit != "/s" { format!(" {unit}") } else { String::new() };
        format!("{name}{unit} {:.3}x, target {words} {bound:.3}x: {outcome}", self.ratio)
    }
}

/// One line, measured.
#[derive(Debug, Default, Serialize)]
pub struct LineReport {
    /// Its name.
    pub name: &'static str,
    /// Its headline.
    pub title: &'static str,
    /// The figures of each round, by side; those of the null line are under `null`.
    pub rounds: BTreeMap<String, Vec<Figures>>,
    /// The medians, by side.
    pub medians: BTreeMap<String, Figures>,
    /// How the targets came out.
    pub verdicts: Vec<Verdict>,
    /// Sentences about what was verified.
    pub notes: Vec<String>,
}

impl LineReport {
    /// Computes medians and verdicts from the rounds.
    pub fn conclude(&mut self, targets: &[Target]) {
        self.medians = self
            .rounds
            .iter()
            .map(|(side, rounds)| (side.clone(), Figures::medians(rounds)))
            .collect();
        let (etcd, quorate) =
            (self.medians.get(side_name(Side::Etcd)), self.medians.get(side_name(Side::Quorate)));
        if let (Some(etcd), Some(quorate)) = (etcd, quorate) {
            self.verdicts =
                targets.iter().filter_map(|target| Verdict::of(*target, etcd, quorate)).collect();
        }
    }

    /// The line as text: a heading, a row per side, then ratios and notes.
    pub fn render(&self) -> String {
        let mut text = format!("\n{}  [{}]\n", self.title, self.name);
        let mut columns: Vec<Figure> =
            self.medians.values().flat_map(|figures| figures.0.keys().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        let heading = |figure: Figure| {
            let (name, unit) = figure.label();
            if unit.is_empty() { name.to_owned() } else { format!("{name} {unit}") }
        };
        let widths: Vec<usize> =
            columns.iter().map(|figure| heading(*figure).len().max(7)).collect();
        let _ = write!(text, "  {:<9}", "");
        for (figure, width) in columns.iter().zip(&widths) {
            let _ = write!(text, "  {:>width$}", heading(*figure));
        }
        text.push('\n');
        for (side, figures) in &self.medians {
            let _ = write!(text, "  {side:<9}");
            for (figure, width) in columns.iter().zip(&widths) {
                let value = figures.get(*figure).map_or_else(|| "-".to_owned(), number);
                let _ = write!(text, "  {value:>width$}");
            }
            text.push('\n');
        }
        for verdict in &self.verdicts {
            let _ = writeln!(text, "  {}", verdict.sentence());
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// Name of a side in the report.
pub fn side_name(side: Side) -> &'static str {
    match side {
        Side::Etcd => "etcd",
        Side::Quorate => "quorate",
    }
}

/// Three significant digits or so, with separators in large numbers.
pub fn number(value: f64) -> String {
    if value < 0.0095 && value > 0.0 {
        return format!("{value:.4}");
    }
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 1000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Everything measured, for the JSON file.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Version of each system, by name.
    pub versions: BTreeMap<String, String>,
    /// Whether calls went over TLS and as a user.
    pub secure: bool,
    /// Seconds per window.
    pub seconds: u64,
    /// Rounds per line.
    pub rounds: u32,
    /// Syncs per member under lone puts, by side.
    pub lone_put_syncs: BTreeMap<String, Vec<u64>>,
    /// The lines.
    pub lines: Vec<LineReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rate: f64, time: f64) -> Figures {
        let mut figures = Figures::default();
        figures.set(Figure::Rate, rate);
        figures.set(Figure::ServerTime, time);
        figures
    }

    #[test]
    fn the_median_of_the_rounds_counts() {
        let medians =
            Figures::medians(&[figures(1.0, 9.0), figures(100.0, 8.0), figures(3.0, 7.0)]);
        assert_eq!(medians, figures(3.0, 8.0));
        assert_eq!(Figures::medians(&[figures(1.0, 2.0), figures(2.0, 4.0)]), figures(1.5, 3.0));
    }

    #[test]
    fn verdicts_point_the_right_way() {
        let etcd = figures(8000.0, 160.0);
        let faster = Verdict::of(at_least(Figure::Rate, 3.0), &etcd, &figures(24_000.0, 0.0));
        assert!(faster.expect("both sides").reached);
        let slower = Verdict::of(at_least(Figure::Rate, 3.0), &etcd, &figures(12_000.0, 0.0));
        let slower = slower.expect("both sides");
        assert!(!slower.reached);
        assert!((slower.missing_factor - 2.0).abs() < 1e-9);
        assert!(slower.sentence().ends_with("SHORT by a factor of 2.00"), "{}", slower.sentence());
        let hungry = Verdict::of(at_most(Figure::ServerTime, 0.25), &etcd, &figures(0.0, 80.0));
        let hungry = hungry.expect("both sides");
        assert!((hungry.missing_factor - 2.0).abs() < 1e-9);
        assert!(Verdict::of(at_least(Figure::Events, 3.0), &etcd, &etcd).is_none());
    }

    #[test]
    fn a_line_renders_its_sides_and_verdicts() {
        let mut line = LineReport { name: "put64", title: "put, 64 clients", ..Default::default() };
        line.rounds.insert("etcd".into(), vec![figures(8000.0, 160.0)]);
        line.rounds.insert("quorate".into(), vec![figures(24_000.0, 40.0)]);
        line.conclude(&[at_least(Figure::Rate, 3.0), at_most(Figure::ServerTime, 0.25)]);
        let text = line.render();
        assert!(text.contains("24,000"), "{text}");
        assert_eq!(text.matches("reached").count(), 2, "{text}");
    }

    #[test]
    fn numbers_keep_about_three_digits() {
        let cases =
            [(0.00423, "0.0042"), (0.5, "0.50"), (97.04, "97.0"), (1_234_567.0, "1,234,567")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
