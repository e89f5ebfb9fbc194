//! `--feature-gates`, and the flags that say when members compare their states.
//!
//! etcd switches experiments with `--feature-gates=Name=true,Other=false`. Two of them are about
//! comparing members and mean here what they mean there; the others switch the insides of etcd, and
//! one that is named is worth a warning.

use std::time::Duration;

use quorate_server::CorruptionChecks;

use super::FlagError;
use super::settings::Settings;
use super::value;

/// Compare a member with the others before it serves anybody.
const AT_START: &str = "InitialCorruptCheck";
/// Compare members after every compaction.
const COMPACTIONS: &str = "CompactHashCheck";

/// The gates of etcd 3.6 and 3.7 that switch nothing here.
const OTHERS: [&str; 10] = [
    "AllAlpha",
    "AllBeta",
    "StopGRPCServiceOnDefrag",
    "TxnModeWriteWithSharedBuffer",
    "LeaseCheckpoint",
    "LeaseCheckpointPersist",
    "SetMemberLocalAddr",
    "DistributedTracing",
    "MemoryMlock",
    "FastLeaseKeepAlive",
];

/// What a list of gates switches, and which of its names switch nothing.
#[derive(Default)]
struct Gates<'a> {
    at_start: Option<bool>,
    compactions: Option<bool>,
    idle: Vec<&'a str>,
}

fn parse(list: &str) -> Result<Gates<'_>, FlagError> {
    let mut gates = Gates::default();
    for gate in list.split(',').map(str::trim).filter(|gate| !gate.is_empty()) {
        let Some((name, value)) = gate.split_once('=') else {
            let text = format!("--feature-gates: missing bool value for {gate}: write {gate}=true");
            return Err(FlagError(text));
        };
        let Some(value) = value::boolean(value.trim()) else {
            let text =
                format!("--feature-gates: {name}={value:?} is not a boolean: write {name}=true");
            return Err(FlagError(text));
        };
        match name.trim() {
            AT_START => gates.at_start = Some(value),
            COMPACTIONS => gates.compactions = Some(value),
            other if OTHERS.contains(&other) => gates.idle.push(other),
            other => {
                let text = format!(
                    "--feature-gates: unrecognized feature gate: {other}; there are {AT_START} and \
                     {COMPACTIONS}, and those of etcd that have no effect"
                );
                return Err(FlagError(text));
            }
        }
    }
    Ok(gates)
}

/// A sentence for each gate that switches nothing.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let idle = parse(settings.text("feature-gates")).unwrap_or_default().idle;
    let say = |name| format!("--feature-gates {name} has no effect: it switches etcd's insides");
    idle.into_iter().map(say).collect()
}

/// When to compare what.
///
/// # Errors
/// When a gate is misspelt.
pub fn corruption(settings: &Settings) -> Result<CorruptionChecks, FlagError> {
    let gates = parse(settings.text("feature-gates"))?;
    let is = |name: &str, gate: Option<bool>| {
        // A flag of its own says it more clearly than a word in a list.
        if settings.is_given(name) { settings.is(name) } else { gate.unwrap_or(false) }
    };
    let compactions = is("compact-hash-check-enabled", gates.compactions);
    let every = settings.time("compact-hash-check-time");
    Ok(CorruptionChecks {
        fingerprints: settings.time("fingerprint-check-time"),
        hashes: settings.time("corrupt-check-time"),
        compactions: if compactions { every } else { Duration::ZERO },
        at_start: is("initial-corrupt-check", gates.at_start),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_switch_what_they_name_and_misspelt_ones_are_refused() {
        let gates = parse("CompactHashCheck=true, LeaseCheckpoint=false").ok().unwrap();
        assert_eq!((gates.compactions, gates.at_start), (Some(true), None));
        assert_eq!(gates.idle, ["LeaseCheckpoint"]);
        for (list, says) in [
            ("CompactHashChek=true", "unrecognized feature gate: CompactHashChek"),
            ("CompactHashCheck", "missing bool value"),
            ("CompactHashCheck=maybe", "is not a boolean"),
        ] {
            let error = parse(list).err().unwrap();
            assert!(error.0.contains(says), "{}", error.0);
        }
    }
}
