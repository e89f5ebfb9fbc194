//! Membership under fire: a cluster grows from three to five, shrinks to three and has a dead member replaced
//! by two commands, while its members are killed, held and cut off, and a checked workload runs.
//!
//! It is `quorate chaos` with those faults; the history that it records goes through the laboratory's judges,
//! here once more through `quorate check`.

use crate::storm::{page, rage};

/// How long the storm goes on, in seconds: the five changes take about half of it.
const DEFAULT_SECONDS: u64 = 60;

#[test]
fn members_come_and_go_in_the_storm_and_nothing_is_lost() {
    let judges = ["served", "members", "agreed", "kept", "linearizable", "watches"];
    let arguments = ["--faults", "kill,pause,cut,members"];
    let (directory, told) = rage("moving-", DEFAULT_SECONDS, &arguments, &judges);
    let faults = |name: &str| told["faults"][name].as_u64().unwrap_or_default();
    for (change, least) in [("add", 2), ("remove", 2), ("replace", 1)] {
        assert!(faults(change) >= least, "{} of {change}: {told}", faults(change));
    }
    let struck = ["kill", "pause", "isolate", "mute", "deafen", "unlink"];
    let kinds = struck.iter().filter(|fault| faults(fault) > 0).count();
    assert!(kinds >= 3, "hardly anything was broken meanwhile: {told}");
    let page = page(&directory);
    assert!(page.contains("every promise was kept") && page.contains("replace n"));
}
