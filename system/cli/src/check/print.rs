//! What `quorate check` prints: a line per file with the evidence below it, or a JSON object per file.

use clap::ValueEnum;
use quorate_check::verdict::Verdict;
use serde_json::{Map, Value, json};

use super::Judged;

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    Simple,
    Json,
}

/// Prints a result; messages about input that cannot be judged go to standard error.
pub fn print(output: Output, judged: &Judged) {
    match output {
        Output::Json => println!("{}", object(judged)),
        Output::Simple => match lines(judged) {
            Ok(lines) => print!("{lines}"),
            Err(message) => eprintln!("quorate check: {message}"),
        },
    }
}

fn lines(judged: &Judged) -> Result<String, &str> {
    let report = judged.result.as_ref().map_err(String::as_str)?;
    let Judged { file, model, .. } = judged;
    let figures: Vec<String> =
        report.figures.iter().map(|(label, figure)| format!("{figure} {label}")).collect();
    let took = judged.took.as_secs_f64() * 1e3;
    let tail = format!("({}, {took:.1} ms)\n", figures.join(", "));
    Ok(match &report.verdict {
        Verdict::Yes => format!("{file}: yes, {model} {tail}"),
        Verdict::Unknown(reason) => format!("{file}: unknown, {reason} {tail}"),
        Verdict::No(refusal) => {
            let mut text = format!(
                "{file}: NO, {model}: {} is broken: {} {tail}",
                refusal.property, refusal.summary
            );
            for line in &refusal.evidence {
                text.push_str("    ");
                text.push_str(line);
                text.push('\n');
            }
            text
        }
    })
}

fn object(judged: &Judged) -> Value {
    let mut object = Map::new();
    object.insert("file".to_owned(), json!(judged.file));
    object.insert("model".to_owned(), json!(judged.model));
    object.insert("milliseconds".to_owned(), json!(judged.took.as_secs_f64() * 1e3));
    let report = match &judged.result {
        Ok(report) => report,
        Err(message) => {
            object.insert("verdict".to_owned(), json!("error"));
            object.insert("message".to_owned(), json!(message));
            return Value::Object(object);
        }
    };
    match &report.verdict {
        Verdict::Yes => drop(object.insert("verdict".to_owned(), json!("yes"))),
        Verdict::Unknown(reason) => {
            object.insert("verdict".to_owned(), json!("unknown"));
            object.insert("reason".to_owned(), json!(reason.to_string()));
        }
        Verdict::No(refusal) => {
            object.insert("verdict".to_owned(), json!("no"));
            object.insert("property".to_owned(), json!(refusal.property));
            object.insert("summary".to_owned(), json!(refusal.summary));
            object.insert("evidence".to_owned(), json!(refusal.evidence));
            object.insert("events".to_owned(), json!(refusal.events));
        }
    }
    let figures: Map<String, Value> =
        report.figures.iter().map(|(label, figure)| ((*label).to_owned(), json!(figure))).collect();
    object.insert("figures".to_owned(), Value::Object(figures));
    Value::Object(object)
}
