//! How fast the judges of transactions and of causal promises are: `cargo run --release -p quorate-check --example judges`.
//!
//! Histories are made here, mostly by a database that is right, so that every judge has to look at everything. Times are of the
//! judge alone, from events in memory to the verdict; parsing is timed apart. The arguments are operations in millions and a
//! part of a judge's name: `judges 1 causal`.

use std::time::Instant;

use quorate_base::Dice;
use quorate_check::history::{Event, History, Kind, Value};
use quorate_check::limits::Options;
use quorate_check::model::find;
use quorate_check::read;
use quorate_check::verdict::Verdict;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let millions: f64 = arguments.next().map_or(1.0, |text| text.parse().expect("a number"));
    let wanted = arguments.next().unwrap_or_default();
    let count = (millions * 1e6) as usize;
    let runs: [(&str, fn(usize) -> History); 12] = [
        ("list-append", |count| transactions(count, true, 0)),
        // One read in ten thousand, and in a hundred, is old.
        ("list-append", |count| transactions(count, true, 10_000)),
        ("list-append", |count| transactions(count, true, 100)),
        ("rw-register", |count| transactions(count, false, 0)),
        ("rw-register", |count| transactions(count, false, 10_000)),
        ("causal", replicated),
        ("causal-convergence", replicated),
        ("causal-memory", |count| replicated(count / 10)),
        ("read-your-writes", replicated),
        ("monotonic-reads", replicated),
        ("monotonic-writes", replicated),
        ("sequential", replicated_once),
    ];
    for (name, make) in runs {
        let Some(model) = find(name).filter(|_| name.contains(&wanted)) else { continue };
        let history = make(count);
        let (started, busy) = (Instant::now(), processor_time());
        let report = (model.check)(&history, &Options::default()).expect("a history of that model");
        let took = started.elapsed().as_secs_f64();
        let busy = busy.zip(processor_time()).map_or(took, |(before, after)| after - before);
        let figures: Vec<_> =
            report.figures.iter().map(|(label, figure)| format!("{figure} {label}")).collect();
        let verdict = match &report.verdict {
            Verdict::Yes => "yes".to_string(),
            Verdict::No(refusal) => format!("no: {}", refusal.summary),
            Verdict::Unknown(reason) => format!("unknown: {reason}"),
        };
        let rate = figures_of_rate(&report.figures) / busy / 1e6;
        println!(
            "{name}: {took:.2} s, {busy:.2} s of processor, {rate:.2} M/s of it, {verdict} ({})",
            figures.join(", ")
        );
        if name == "list-append" && report.verdict == Verdict::Yes {
            parse(&history);
        }
    }
}

/// Seconds that the main thread has run, which is what counts on a machine that does other things too. `None` where the system does not say.
fn processor_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// Micro-operations where a judge counts them.
fn figures_of_rate(figures: &[(&str, u64)]) -> f64 {
    let find = |wanted: &str| figures.iter().find(|(label, _)| *label == wanted);
    find("micro-operations").or(find("reads and writes")).map_or(0.0, |(_, figure)| *figure as f64)
}

fn parse(history: &History) {
    let mut text = String::new();
    for event in &history.events {
        let kind = format!("{:?}", event.kind).to_lowercase();
        let (process, value) = (event.process, &event.value);
        text += &format!("{{:process {process}, :type :{kind}, :f :txn, :value {value}}}\n");
    }
    let started = Instant::now();
    let again = read::read(&text, None).expect("a history");
    let took = started.elapsed().as_secs_f64();
    assert_eq!(again.events.len(), history.events.len());
    let megabytes = text.len() as f64 / 1e6;
    println!(
        "  parsing it from EDN: {megabytes:.0} MB in {took:.2} s, {:.0} MB/s",
        megabytes / took
    );
}

/// Transactions of four micro-operations, 20 clients, one copy. A key is used for about 64 writes.
fn transactions(micros: usize, lists: bool, old: u64) -> History {
    let mut dice = Dice::new(1);
    let count = micros / 4;
    let mut events = Vec::with_capacity(count * 2);
    let mut state: Vec<Vec<Value>> = Vec::new();
    let mut open: Vec<Option<Event>> = vec![None; 20];
    let mut begun = 0;
    while begun < count || open.iter().any(Option::is_some) {
        let process = dice.below(20) as usize;
        if let Some(answer) = open[process].take() {
            events.push(answer);
            continue;
        }
        if begun == count {
            continue;
        }
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            // Ten keys are in use at a time.
            let key = (begun / 320 * 10) as u64 + dice.below(10);
            state.resize(state.len().max(key as usize + 1), Vec::new());
            let versions = &mut state[key as usize];
            let name = |name: &str| Value::Keyword(name.into());
            let key = Value::Int(key as i64);
            if dice.below(2) == 0 {
                let is_old = old > 0 && dice.below(old) == 0 && !versions.is_empty();
                let seen = &versions[..versions.len() - usize::from(is_old)];
                let last = seen.last().cloned().unwrap_or_default();
                let seen = if lists { Value::List(seen.to_vec()) } else { last };
                asked.push(Value::List(vec![name("r"), key.clone(), Value::Nil]));
                answered.push(Value::List(vec![name("r"), key, seen]));
            } else {
                let value = Value::Int(versions.len() as i64 + 1);
                versions.push(value.clone());
                let write = Value::List(vec![name(if lists { "append" } else { "w" }), key, value]);
                asked.push(write.clone());
                answered.push(write);
            }
        }
        begun += 1;
        events.push(Event::new(process as i64, Kind::Invoke, "txn", Value::List(asked)));
        open[process] = Some(Event::new(process as i64, Kind::Ok, "txn", Value::List(answered)));
    }
    History::new(events)
}

/// A write on its way between copies: stamp, key, value, and how much of every log its origin had.
struct Message {
    stamp: (u64, usize),
    key: usize,
    value: i64,
    past: Vec<usize>,
}

/// Reads and writes, half and half, of 50 sessions on 10 copies with causal delivery and last-writer-wins, 1,000 keys.
fn replicated(count: usize) -> History {
    copies(count, 10)
}

/// The same on one copy.
fn replicated_once(count: usize) -> History {
    copies(count, 1)
}

fn copies(count: usize, copies: usize) -> History {
    const KEYS: u64 = 1_000;
    let mut dice = Dice::new(2);
    let mut events = Vec::with_capacity(count * 2);
    let mut logs: Vec<Vec<Message>> = (0..copies).map(|_| Vec::new()).collect();
    let mut states = vec![vec![(0i64, (0u64, 0usize)); KEYS as usize]; copies];
    let mut clocks = vec![0u64; copies];
    let mut had = vec![vec![0usize; copies]; copies];
    let mut next = 0;
    for _ in 0..count {
        let session = dice.below(50) as usize;
        let home = session % copies;
        let key = dice.below(KEYS) as usize;
        let mut push = |kind, f: &str, value: Value| {
            let mut event = Event::new(session as i64, kind, f, value);
            event.key = Value::Int(key as i64);
            events.push(event);
        };
        if dice.below(2) == 0 {
            // Hear of some other copy's writes, as far as their causes are known.
            let from = dice.below(copies as u64) as usize;
            while let Some(message) = logs[from].get(had[home][from]) {
                let ready = message.past.iter().zip(&had[home]).all(|(past, here)| past <= here);
                if !ready || from == home || dice.below(100) == 0 {
                    break;
                }
                had[home][from] += 1;
                clocks[home] = clocks[home].max(message.stamp.0);
                let known = &mut states[home][message.key];
                if known.1 < message.stamp {
                    *known = (message.value, message.stamp);
                }
            }
            let (value, _) = states[home][key];
            push(Kind::Invoke, "read", Value::Nil);
            push(Kind::Ok, "read", if value == 0 { Value::Nil } else { Value::Int(value) });
            continue;
        }
        next += 1;
        clocks[home] += 1;
        let stamp = (clocks[home], home);
        states[home][key] = (next, stamp);
        logs[home].push(Message { stamp, key, value: next, past: had[home].clone() });
        had[home][home] += 1;
        push(Kind::Invoke, "write", Value::Int(next));
        push(Kind::Ok, "write", Value::Int(next));
    }
    History::new(events)
}
