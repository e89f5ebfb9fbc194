//! The page: what was done to whom, and what the clients felt of it, on one axis of time. It stands alone: no script, no
//! file beside it, and it follows the reader's light or dark.

use std::fmt::Write as _;
use std::time::Duration;

use super::fault::Fault;
use super::journal::{Ending, Sample};
use super::nemesis::Struck;
use super::verdict::{Finding, Judged};

/// What a page shows.
pub struct Story<'a> {
    /// How it is introduced: nodes, clients, seed.
    pub subtitle: String,
    /// The verdict in a few words.
    pub headline: &'a str,
    /// How many members there are, or places for them.
    pub members: usize,
    /// How long it went on.
    pub lasted: Duration,
    /// What was done.
    pub struck: &'a [Struck],
    /// What the clients felt.
    pub samples: &'a [Sample],
    /// What the judges say.
    pub judged: &'a [Judged],
}

/// Width of the picture and of its left margin, and heights of its parts, in pixels.
const WIDTH: f64 = 1180.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 12.0;
const LANE: f64 = 26.0;
const CHART: f64 = 170.0;
const GAP: f64 = 34.0;
/// Most columns of a chart.
const COLUMNS: f64 = 550.0;
/// Latencies from 0.1 ms to 10 s, on a logarithmic axis.
const LATENCY_LOG10_MS: (f64, f64) = (-1.0, 4.0);

/// The figures of one column.
#[derive(Clone, Default)]
struct Column {
    answered: u32,
    others: u32,
    took: Vec<u32>,
}

/// The axis of time.
struct Axis {
    seconds: f64,
    column: f64,
}

impl Axis {
    fn new(lasted: Duration) -> Axis {
        let seconds = lasted.as_secs_f64().max(1.0);
        // Columns of whole tenths of seconds, so that rates are of something.
        let column = ((seconds / COLUMNS * 10.0).ceil() / 10.0).max(0.5);
        Axis { seconds, column }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (seconds / self.seconds).min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn columns(&self, samples: &[Sample]) -> Vec<Column> {
        let count = (self.seconds / self.column).ceil() as usize;
        let mut columns = vec![Column::default(); count.max(1)];
        for sample in samples {
            let at = (f64::from(sample.at) / 1_000.0 / self.column) as usize;
            let at = at.min(columns.len() - 1);
            match sample.ending {
                Ending::Answered => {
                    columns[at].answered += 1;
                    columns[at].took.push(sample.took);
                }
                Ending::Refused | Ending::Unknown => columns[at].others += 1,
            }
        }
        columns.iter_mut().for_each(|column| column.took.sort_unstable());
        columns
    }
}

/// The value below which so many of a thousand lie.
pub fn quantile(sorted: &[u32], thousandths: usize) -> u32 {
    let at = (sorted.len() * thousandths / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0)
}

/// Draws the page.
pub fn draw(story: &Story) -> String {
    let axis = Axis::new(story.lasted);
    let columns = axis.columns(story.samples);
    let lanes = LANE * story.members as f64;
    let (top, height) = (22.0, 22.0 + lanes + GAP + CHART + GAP + CHART + 34.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"faults, throughput and latency over time\">"
    );
    let charts = top + lanes + GAP;
    bands(&mut svg, story, &axis, top, height - 34.0);
    members(&mut svg, story, &axis, top);
    throughput(&mut svg, &axis, &columns, charts);
    latency(&mut svg, &axis, &columns, charts + CHART + GAP);
    time(&mut svg, &axis, charts + 2.0 * CHART + GAP);
    svg.push_str("</svg>");
    page(story, &svg)
}

fn class(fault: Fault) -> &'static str {
    match fault {
        Fault::Stop | Fault::Kill | Fault::Blackout => "kill",
        Fault::Pause => "pause",
        Fault::Isolate | Fault::Mute | Fault::Deafen | Fault::Unlink => "cut",
        Fault::SlowDisk | Fault::HungDisk => "disk",
        Fault::Add | Fault::Remove | Fault::Replace => "change",
    }
}

/// The shade of every fault, over all that lies below it.
fn bands(svg: &mut String, story: &Story, axis: &Axis, top: f64, bottom: f64) {
    // Changes of members go on beside the faults, and cover nothing.
    for struck in story.struck.iter().filter(|struck| !struck.fault.is_change()) {
        let (x, end) = (axis.x(struck.begun.as_secs_f64()), axis.x(struck.ended.as_secs_f64()));
        let (width, height) = ((end - x).max(0.8), bottom - top);
        let _ = write!(
            svg,
            "<rect class=\"band {}\" x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"/>",
            class(struck.fault)
        );
    }
}

/// A lane for each member, with what was done to it.
fn members(svg: &mut String, story: &Story, axis: &Axis, top: f64) {
    for member in 0..story.members {
        let y = top + LANE * member as f64;
        let (middle, end) = (y + LANE / 2.0, WIDTH - RIGHT);
        let _ = write!(
            svg,
            "<line class=\"lane\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{middle}\" y2=\"{middle}\"/>\
             <text class=\"name\" x=\"{}\" y=\"{}\">n{}</text>",
            LEFT - 10.0,
            middle + 4.0,
            member + 1
        );
        for struck in story.struck {
            if struck.victim.is_some_and(|victim| victim != member) {
                continue;
            }
            let (begin, end) = (struck.begun.as_secs_f64(), struck.ended.as_secs_f64());
            let (x, width) = (axis.x(begin), (axis.x(end) - axis.x(begin)).max(2.0));
            let led = if struck.led && struck.victim.is_some() { ", the leader" } else { "" };
            let _ = write!(
                svg,
                "<rect class=\"fault {}\" x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" rx=\"2\">\
                 <title>{} n{}{led}: {begin:.1} s to {end:.1} s</title></rect>",
                class(struck.fault),
                y + 4.0,
                LANE - 8.0,
                struck.fault,
                member + 1
            );
        }
    }
}

fn frame(svg: &mut String, top: f64, title: &str) {
    let _ = write!(
        svg,
        "<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{title}</text>\
         <line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>",
        top - 8.0,
        WIDTH - RIGHT,
        top + CHART,
        top + CHART
    );
}

fn mark(svg: &mut String, y: f64, label: &str) {
    let _ = write!(
        svg,
        "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <text class=\"name\" x=\"{}\" y=\"{:.1}\">{label}</text>",
        WIDTH - RIGHT,
        LEFT - 10.0,
        y + 4.0
    );
}

/// A round number at or above this one: 1, 2 or 5 times a power of ten.
fn round_up(most: f64) -> f64 {
    let power = 10f64.powf(most.max(1.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= most);
    step.unwrap_or(10.0) * power
}

fn throughput(svg: &mut String, axis: &Axis, columns: &[Column], top: f64) {
    frame(svg, top, "operations a second: answered, and refused or without an answer");
    let rate = |count: u32| f64::from(count) / axis.column;
    let most = columns.iter().map(|column| rate(column.answered + column.others));
    let most = round_up(most.fold(1.0, f64::max));
    for part in [0.5, 1.0] {
        mark(svg, top + CHART * (1.0 - part), &format!("{:.0}", most * part));
    }
    for (i, column) in columns.iter().enumerate() {
        let (from, to) = (axis.column * i as f64, axis.column * (i + 1) as f64);
        let (x, width) = (axis.x(from), (axis.x(to) - axis.x(from) - 0.4).max(0.4));
        let answered = CHART * rate(column.answered) / most;
        let others = CHART * rate(column.others) / most;
        let base = top + CHART;
        let _ = write!(
            svg,
            "<g><title>{from:.1} s: {:.0} answered, {:.0} not, a second</title>\
             <rect class=\"answered\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.2}\" height=\"{answered:.1}\"/>\
             <rect class=\"others\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.2}\" height=\"{others:.1}\"/></g>",
            rate(column.answered),
            rate(column.others),
            base - answered,
            base - answered - others,
        );
    }
}

fn latency(svg: &mut String, axis: &Axis, columns: &[Column], top: f64) {
    frame(
        svg,
        top,
        "time to the answer: half of them below the dark line, 99 of 100 below the light one",
    );
    let (low, high) = LATENCY_LOG10_MS;
    let y = |micros: u32| {
        let log = (f64::from(micros.max(1)) / 1_000.0).log10().clamp(low, high);
        top + CHART * (1.0 - (log - low) / (high - low))
    };
    for (micros, label) in [
        (1_000, "1 ms"),
        (10_000, "10 ms"),
        (100_000, "100 ms"),
        (1_000_000, "1 s"),
        (10_000_000, "10 s"),
    ] {
        mark(svg, y(micros), label);
    }
    for (class, thousandths) in [("p99", 990), ("p50", 500)] {
        let mut path = String::new();
        let mut pen_down = false;
        for (i, column) in columns.iter().enumerate() {
            if column.took.is_empty() {
                // Where nothing was answered there is no latency to draw.
                pen_down = false;
                continue;
            }
            let x = axis.x(axis.column * (i as f64 + 0.5));
            let verb = if pen_down { 'L' } else { 'M' };
            let _ = write!(path, "{verb}{x:.1} {:.1}", y(quantile(&column.took, thousandths)));
            pen_down = true;
        }
        let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

fn time(svg: &mut String, axis: &Axis, y: f64) {
    let step = round_up(axis.seconds / 12.0);
    let mut at = 0.0;
    while at <= axis.seconds {
        let label = match at {
            at if at >= 120.0 => format!("{:.0}:{:02.0}", (at / 60.0).floor(), at % 60.0),
            at => format!("{at:.0} s"),
        };
        let x = axis.x(at);
        let _ = write!(svg, "<text class=\"time\" x=\"{x:.1}\" y=\"{}\">{label}</text>", y + 20.0);
        at += step;
    }
}

/// For text and attributes alike.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(story: &Story, svg: &str) -> String {
    let mut judges = String::new();
    for Judged { name, finding } in story.judged {
        let (class, word, said) = match finding {
            Finding::Fine(what) => ("fine", "kept", escape(what)),
            Finding::Unknown(why) => ("unknown", "not decided", escape(why)),
            Finding::Broken(said) => {
                let lines = said.iter().map(|line| format!("<li>{}</li>", escape(line)));
                ("broken", "broken", format!("<ul>{}</ul>", lines.collect::<String>()))
            }
        };
        let _ = write!(
            judges,
            "<tr class=\"{class}\"><th>{name}</th><td>{word}</td><td>{said}</td></tr>"
        );
    }
    let mut counts = String::new();
    for fault in Fault::ALL {
        let count = story.struck.iter().filter(|struck| struck.fault == fault).count();
        if count > 0 {
            let _ = write!(counts, "<span class=\"key {}\">{count} {fault}</span>", class(fault));
        }
    }
    let (headline, subtitle) = (escape(story.headline), escape(&story.subtitle));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>quorate chaos: {headline}</title>\
         <style>{STYLE}</style><main><h1>{headline}</h1><p>{subtitle}</p>\
         <p class=\"keys\">{counts}</p>{svg}<h2>The judges</h2><table>{judges}</table></main></html>\n"
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5d6773;--line:#d8dde3;--paper:#fff;--blue:#2f6fb5;--pale:#9dc0e6;\
--red:#c0392b;--kill:#c0392b;--pause:#8e5bb5;--cut:#d08714;--disk:#2b8a6b;--change:#5b6bc4;--good:#23794a;--bad:#b32417;--doubt:#946200}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa5b1;--line:#353c45;--paper:#14171b;--blue:#6aa8ec;\
--pale:#34587f;--red:#ef6a5b;--kill:#ef6a5b;--pause:#b892dc;--cut:#e9ab4b;--disk:#55c29c;--change:#9aa7ee;--good:#5cc98c;--bad:#ff7a6b;\
--doubt:#e6b450}}\
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
main{max-width:1240px;margin:0 auto;padding:28px 24px}h1{font-size:26px;margin:0}h2{font-size:18px;margin:24px 0 8px}\
p{margin:4px 0 12px;color:var(--soft)}svg{width:100%;height:auto;display:block}\
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}.name{text-anchor:end}.time{text-anchor:middle}\
svg .title{fill:var(--ink)}.axis{stroke:var(--soft)}.grid,.lane{stroke:var(--line)}\
.answered{fill:var(--blue)}.others{fill:var(--red)}path{fill:none;stroke-width:1.4}\
.p50{stroke:var(--blue)}.p99{stroke:var(--pale)}.band{opacity:.10}\
rect.kill{fill:var(--kill)}rect.pause{fill:var(--pause)}rect.cut{fill:var(--cut)}rect.disk{fill:var(--disk)}rect.change{fill:var(--change);opacity:.75}\
.keys{display:flex;flex-wrap:wrap;gap:6px 16px}.key::before{content:'';display:inline-block;width:10px;height:10px;\
margin-right:6px;border-radius:2px;background:currentColor}.key.kill{color:var(--kill)}.key.pause{color:var(--pause)}\
.key.cut{color:var(--cut)}.key.disk{color:var(--disk)}.key.change{color:var(--change)}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:6px 12px 6px 0;\
border-top:1px solid var(--line)}ul{margin:0;padding-left:18px;overflow-wrap:anywhere}\
.fine td:nth-child(2){color:var(--good)}.broken td:nth-child(2){color:var(--bad)}.unknown td:nth-child(2){color:var(--doubt)}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_every_fault_and_finding_and_escapes_what_it_is_told() {
        let at = Duration::from_secs;
        let struck = [
            Struck { fault: Fault::Kill, victim: Some(1), led: true, begun: at(2), ended: at(4) },
            Struck { fault: Fault::Add, victim: Some(2), led: false, begun: at(3), ended: at(5) },
            Struck { fault: Fault::Blackout, victim: None, led: true, begun: at(6), ended: at(8) },
        ];
        let sample = |at, took, ending| Sample { at, took, ending };
        let samples =
            [sample(500, 900, Ending::Answered), sample(2_500, 3_000_000, Ending::Unknown)];
        let judged = [
            Judged::of("kept", vec!["<lost>".to_owned()], String::new()),
            Judged::unknown("watches", "no time"),
        ];
        let page = draw(&Story {
            subtitle: "seed 7".to_owned(),
            headline: "a promise is broken",
            members: 3,
            lasted: at(10),
            struck: &struck,
            samples: &samples,
            judged: &judged,
        });
        assert!(page.contains("kill n2, the leader: 2.0 s to 4.0 s"));
        assert!(page.contains("add n3: 3.0 s to 5.0 s"));
        assert_eq!(page.matches("blackout n").count(), 3, "a blackout is in every lane");
        assert!(page.contains("&lt;lost&gt;") && !page.contains("<lost>"));
        assert!(page.contains("no time") && page.contains("1 kill"));
        assert!(!page.contains("http"), "it needs nothing from elsewhere");
    }

    #[test]
    fn numbers_are_rounded_up_to_what_reads_well() {
        assert_eq!([0.3, 7.0, 12.0, 480.0, 500.0].map(round_up), [1.0, 10.0, 20.0, 500.0, 500.0]);
        assert_eq!(quantile(&[1, 2, 3, 4], 500), 3);
        assert_eq!(quantile(&[], 990), 0);
    }
}
