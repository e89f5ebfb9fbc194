//! Every flag of `quorate serve`, in one place: its name, its default, what its value looks like and what it does.
//!
//! The names and defaults are those of etcd 3.7, so that a unit file or a manifest written for etcd starts a member of
//! Quorate. Each flag has one of four effects, and none is ignored without a word: it works; it has no effect, which is
//! one warning when somebody sets it; it protects something and is not supported yet, which is an error; or it would
//! make another cluster than the one that was asked for, which is an error too.
//!
//! A flag `--some-flag` is also the environment variable `QUORATE_SOME_FLAG` (or `ETCD_SOME_FLAG`) and the key
//! `some-flag` of a configuration file.

mod cluster;
mod member;
mod own;
mod security;
mod watching;

/// What setting a flag does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// What etcd's flag of that name does.
    Works,
    /// Nothing; the text says why. Setting it is worth a warning.
    Nothing(&'static str),
    /// It would protect something and does not yet. Setting it to anything but its default is an error.
    Security,
    /// It would found or find another cluster; the text says what to do instead. Setting it is an error.
    Refused(&'static str),
}

/// What the value of a flag looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Anything.
    Text,
    /// A member's name: what may stand before `=` in a list of members.
    Name,
    /// A path of the file system.
    Path,
    /// `true` or `false`; without a value, `true`.
    Bool,
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// A whole number that may be negative.
    Signed,
    /// A whole number of milliseconds, at least 1.
    Milliseconds,
    /// A Go duration, such as `1m30s`; a plain number in a configuration file counts nanoseconds.
    Duration,
    /// URLs with commas between them: `http://127.0.0.1:2379`.
    Urls,
    /// The same of members, who cannot use unix sockets.
    PeerUrls,
    /// URLs to listen on: their host must be an IP address or `localhost`.
    Listen,
    /// `name=url` pairs with commas between them.
    Members,
    /// `name=host:port`; may be repeated.
    Routes,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One flag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// Its value when nobody sets it.
    pub default: &'static str,
    /// What a value looks like.
    pub kind: Kind,
    /// What it does.
    pub effect: Effect,
    /// What it is for, with its unit.
    pub help: &'static str,
}

impl Flag {
    /// The environment variable `<prefix>_<NAME>`.
    pub fn variable(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Whether its value is a secret that is not printed.
    pub fn is_secret(&self) -> bool {
        self.name.ends_with("password")
    }

    /// Whether several values add up instead of the last one counting.
    pub fn is_repeatable(&self) -> bool {
        self.kind == Kind::Routes
    }
}

/// Flags that belong together, with the heading that `--help` shows.
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The flags, in the order in which they are shown.
    pub flags: &'static [Flag],
}

/// All flags.
pub const GROUPS: &[Group] = &[
    Group { title: "Member", flags: member::FLAGS },
    Group { title: "Cluster", flags: cluster::FLAGS },
    Group { title: "Security", flags: security::FLAGS },
    Group { title: "Logging and observation", flags: watching::FLAGS },
    Group { title: "Quorate's own", flags: own::FLAGS },
];

/// Flags that etcd itself accepts and ignores, kept for unit files of another age.
const FOSSILS: &[&str] = &[
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "retry-interval",
    "snapshot",
    "v",
    "vv",
    "test.coverprofile",
    "test.outputdir",
];

/// All flags, in the order of their groups.
pub fn all() -> impl Iterator<Item = &'static Flag> {
    GROUPS.iter().flat_map(|group| group.flags)
}

/// The flag of this name.
pub fn find(name: &str) -> Option<&'static Flag> {
    all().find(|flag| flag.name == name)
}

/// Whether etcd accepts the name and does nothing with it, since long ago.
pub fn is_fossil(name: &str) -> bool {
    FOSSILS.contains(&name)
}

/// The flag that a name from etcd 3.5 and before, `experimental-…`, stands for now.
pub fn find_experimental(name: &str) -> Option<&'static Flag> {
    find(name.strip_prefix("experimental-")?)
}

/// Features that etcd once switched by a flag of their own, now keys of `--feature-gates`.
pub fn is_experimental_feature(name: &str) -> bool {
    const FEATURES: &[&str] = &[
        "experimental-enable-lease-checkpoint",
        "experimental-enable-lease-checkpoint-persist",
        "experimental-txn-mode-write-with-shared-buffer",
        "experimental-stop-grpc-service-on-defrag",
        "experimental-set-member-localaddr",
        "experimental-memory-mlock",
        "experimental-enable-v2v3",
        "experimental-backend-bbolt-freelist-type",
    ];
    FEATURES.contains(&name)
}

const fn works(name: &'static str, default: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, default, kind, effect: Effect::Works, help }
}

/// A flag without effect; `reason` completes "--flag has no effect: …".
const fn idle(name: &'static str, default: &'static str, kind: Kind, reason: &'static str) -> Flag {
    Flag { name, default, kind, effect: Effect::Nothing(reason), help: reason }
}

const fn security(name: &'static str, default: &'static str, kind: Kind) -> Flag {
    Flag { name, default, kind, effect: Effect::Security, help: "not supported yet" }
}

const fn refused(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    instead: &'static str,
) -> Flag {
    Flag { name, default, kind, effect: Effect::Refused(instead), help: instead }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_no_fossil_lives() {
        let mut seen = BTreeSet::new();
        for flag in all() {
            assert!(seen.insert(flag.name), "--{} occurs twice", flag.name);
            assert!(!is_fossil(flag.name), "--{}", flag.name);
            assert!(!flag.help.is_empty(), "--{} says nothing", flag.name);
        }
    }

    #[test]
    fn variables_are_spelt_as_in_etcd() {
        let flag = find("initial-advertise-peer-urls").unwrap();
        assert_eq!(flag.variable("ETCD"), "ETCD_INITIAL_ADVERTISE_PEER_URLS");
        assert_eq!(flag.variable("QUORATE"), "QUORATE_INITIAL_ADVERTISE_PEER_URLS");
    }
}
