//! Small histories with known verdicts: the table in `histories/README.md` is the test.

use std::path::Path;

use quorate_check::limits::Options;
use quorate_check::model::find;
use quorate_check::read;
use quorate_check::txn::level::Level;
use quorate_check::verdict::{Report, Verdict};

/// The table below this heading has the columns file, model, level, verdict, reason.
const HEADING: &str = "## Transactions, causality, watches, counters";

#[test]
fn verdicts_are_those_of_the_table() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let table = std::fs::read_to_string(home.join("README.md")).expect("the table");
    let (_, table) = table.split_once(HEADING).expect("the heading");
    let mut count = 0;
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [file, model, level, verdict, reason, ..] = cells[..] else { panic!("{line}") };
        if file == "file" {
            continue;
        }
        count += 1;
        let text = std::fs::read_to_string(home.join(file)).expect(file);
        let history = read::read(&text, None).expect(file);
        let mut options = Options::default();
        if !level.is_empty() {
            options.level = level.parse::<Level>().expect(line);
        }
        let report = (find(model).expect(line).check)(&history, &options).expect(file);
        let (word, told) = words(&report);
        assert_eq!(word, verdict, "{line}: {told}");
        assert!(told.contains(reason), "{line}: {told}");
    }
    assert!(count >= 80, "{count} rows");
}

fn words(report: &Report) -> (&'static str, String) {
    match &report.verdict {
        Verdict::Yes => ("yes", String::new()),
        Verdict::No(refusal) => {
            assert!(!refusal.evidence.is_empty(), "a refusal has evidence");
            ("no", refusal.property.clone())
        }
        Verdict::Unknown(reason) => ("unknown", reason.to_string()),
    }
}
