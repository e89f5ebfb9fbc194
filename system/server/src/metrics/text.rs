//! The text format of Prometheus, version 0.0.4.
//!
//! Written here and not by a library, because the names are etcd's: several of its counters do not
//! end in `_total`, and several of its gauges do.

use quorate_host::stats::{Counter, Observed};
use std::fmt::{Display, Write};
use std::time::Duration;

/// The type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

/// A page of metrics in the making.
#[derive(Default, Debug)]
pub struct Page {
    text: String,
}

impl Page {
    /// The finished page.
    pub fn finish(self) -> String {
        self.text
    }

    /// Begins a metric; its samples follow.
    pub fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // A page is written to memory: there is nothing that could fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the metric that was begun.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        self.labels(labels, None);
        let _ = writeln!(self.text, " {value}");
    }

    /// A metric with one sample and no labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A counter with one sample and no labels.
    pub fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.single(name, Kind::Counter, help, counter.get());
    }

    /// A histogram of seconds with no labels.
    pub fn seconds(&mut self, name: &str, help: &str, observed: &Observed) {
        self.metric(name, Kind::Histogram, help);
        self.buckets(name, &[], observed);
    }

    /// The samples of a histogram of seconds.
    pub fn buckets(&mut self, name: &str, labels: &[(&str, &str)], observed: &Observed) {
        let mut below = 0;
        let bounds = observed.bounds.iter().map(|bound| seconds(*bound));
        let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
        for (bound, bucket) in bounds.zip(&observed.buckets) {
            below += bucket;
            let _ = write!(self.text, "{name}_bucket");
            self.labels(labels, Some(&bound));
            let _ = writeln!(self.text, " {below}");
        }
        let _ = write!(self.text, "{name}_sum");
        self.labels(labels, None);
        let _ = writeln!(self.text, " {}", observed.sum.as_secs_f64());
        let _ = write!(self.text, "{name}_count");
        self.labels(labels, None);
        let _ = writeln!(self.text, " {below}");
    }

    fn labels(&mut self, labels: &[(&str, &str)], bound: Option<&str>) {
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        for (number, (name, value)) in all.enumerate() {
            self.text.push(if number == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() || bound.is_some() {
            self.text.push('}');
        }
    }
}

fn seconds(bound: Duration) -> String {
    bound.as_secs_f64().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_host::stats::Histogram;

    #[test]
    fn a_page_reads_as_prometheus_wants_it() {
        let histogram = Histogram::doubling(Duration::from_millis(1), 2);
        histogram.observe(Duration::from_micros(1_500));
        histogram.observe(Duration::from_secs(1));
        let mut page = Page::default();
        page.single("up", Kind::Gauge, "Whether it is.", 1);
        page.metric("took_seconds", Kind::Histogram, "How long.");
        page.buckets("took_seconds", &[("what", "a \"b\"\n")], &histogram.get());
        let expected = "# HELP up Whether it is.\n\
             # TYPE up gauge\n\
             up 1\n\
             # HELP took_seconds How long.\n\
             # TYPE took_seconds histogram\n\
             took_seconds_bucket{what=\"a \\\"b\\\"\\n\",le=\"0.001\"} 0\n\
             took_seconds_bucket{what=\"a \\\"b\\\"\\n\",le=\"0.002\"} 1\n\
             took_seconds_bucket{what=\"a \\\"b\\\"\\n\",le=\"+Inf\"} 2\n\
             took_seconds_sum{what=\"a \\\"b\\\"\\n\"} 1.0015\n\
             took_seconds_count{what=\"a \\\"b\\\"\\n\"} 2\n";
        assert_eq!(page.finish(), expected);
    }
}
