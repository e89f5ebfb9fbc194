//! Whether the members' states are the same, as one of them finds out.
//!
//! Two questions can be asked. *Fingerprints* are kept up while commands are applied
//! ([`quorate_store::Fingerprint`]): to compare them costs a message a member, and finds apply that
//! differs. A *hash* reads everything that lies there, old versions included, and finds damage on a
//! disk as well. Members that do not answer, or not about the same thing (another compaction, another
//! definition), are not compared.

use crate::Host;
use crate::options::MemberInfo;
use crate::peers::{self, Peer};
use crate::roster::address_of;
use quorate_base::NodeId;
use quorate_store::{FINGERPRINT, Verdict, in_common, judge};
use quorate_wire::compare::{Question, Told};
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinSet;

/// The file that marks the data directory of a member in quarantine.
pub(crate) const QUARANTINE: &str = "quarantine";

/// What a comparison came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// Members that were compared with each other, this one included.
    pub compared: BTreeSet<u64>,
    /// True when more than half of the voters were.
    pub is_quorum: bool,
    /// Those whose state may be wrong.
    pub named: BTreeSet<u64>,
    /// Those of them whose state certainly is: a majority says otherwise, or they do themselves.
    pub certain: BTreeSet<u64>,
    /// At what they were compared, in words.
    pub at: String,
}

impl Host {
    /// Compares what the members keep up while they apply commands.
    pub async fn compare_fingerprints(&self) -> Comparison {
        let mut held = BTreeMap::new();
        for (member, told) in self.ask_all(Question::Fingerprints).await {
            if let Told::Fingerprints { version, all } = told
                && version == u64::from(FINGERPRINT)
            {
                held.insert(member, all.into_iter().collect::<BTreeMap<u64, u64>>());
            }
        }
        // Alone, or with nobody at hand, a member agrees with itself.
        let alone = || {
            let (index, value) = held.get(&self.inner.id.0)?.last_key_value()?;
            Some((*index, BTreeMap::from([(self.inner.id.0, *value)])))
        };
        let common = in_common(&held).or_else(alone);
        let (index, values) = common.unwrap_or_default();
        self.conclude(&values, BTreeSet::new(), format!("log index {index}"))
    }

    /// Compares everything that lies on the members' disks, at a revision; 0 is this member's newest.
    /// It reads the whole state of every member.
    pub async fn compare_hashes(&self, revision: i64) -> Comparison {
        let revision = if revision > 0 { revision } else { self.view().revision() };
        let mut hashes = BTreeMap::new();
        let mut damaged = BTreeSet::new();
        for (member, told) in self.ask_all(Question::Hash { revision }).await {
            if let Told::Hash { hash, compact_revision, hash_revision, sound } = told
                && hash_revision == revision
            {
                hashes.insert(member, (compact_revision, hash));
                if !sound {
                    damaged.insert(member);
                }
            }
        }
        // Compacted elsewhere, the same history has another hash: those are compared that agree on
        // where it begins, as most of them do.
        let mut begins: BTreeMap<i64, usize> = BTreeMap::new();
        hashes.values().for_each(|(compacted, _)| *begins.entry(*compacted).or_default() += 1);
        let most = begins.into_iter().max_by_key(|(compacted, count)| (*count, *compacted));
        let begin = most.map(|(compacted, _)| compacted);
        hashes.retain(|_, (compacted, _)| Some(*compacted) == begin);
        self.conclude(&hashes, damaged, format!("revision {revision}"))
    }

    fn conclude<T: Ord>(
        &self,
        values: &BTreeMap<u64, T>,
        damaged: BTreeSet<u64>,
        at: String,
    ) -> Comparison {
        let voters: BTreeSet<u64> = self
            .inner
            .board
            .with_membership(|now| now.voters.iter().map(|voter| voter.0).collect());
        let compared: BTreeSet<u64> = values.keys().copied().collect();
        let is_quorum = 2 * compared.intersection(&voters).count() > voters.len();
        let (mut named, mut certain) = (damaged.clone(), damaged);
        // Who is known to be damaged is right about nothing.
        let others = values.iter().filter(|(id, _)| !named.contains(id));
        let others = others.map(|(id, value)| (*id, value)).collect();
        if let Verdict::Differ { named: differ, certain: is_certain } = judge(&others, &voters) {
            named.extend(differ.iter().copied());
            if is_certain {
                certain.extend(differ);
            }
        }
        Comparison { compared, is_quorum, named, certain, at }
    }

    /// This member's answer and those of the others that answer.
    async fn ask_all(&self, question: Question) -> BTreeMap<u64, Told> {
        let mut asked = JoinSet::new();
        for member in self.members().into_iter().filter(|member| member.id != self.inner.id) {
            let (peer, identity) = (self.peer(member), self.inner.identity.clone());
            asked.spawn(async move { (peer.id, peers::ask(&peer, &identity, question).await) });
        }
        let mine = self.inner.evidence.tell(question).await;
        let mut told = BTreeMap::from([(self.inner.id.0, mine)]);
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((NodeId(id), Ok(answer))) => drop(told.insert(id, answer)),
                Ok((id, Err(why))) => tracing::debug!(peer = %id, "not compared: {why}"),
                Err(error) => tracing::debug!("not compared: {error}"),
            }
        }
        told
    }

    fn peer(&self, member: MemberInfo) -> Peer {
        let route = self.inner.routes.iter().find(|(name, _)| *name == member.name);
        let addresses = match route {
            Some((_, address)) => vec![address.clone()],
            None => member.peer_urls.iter().map(|url| address_of(url)).collect(),
        };
        Peer { id: member.id, name: member.name, addresses }
    }

    /// From now on this member sends nobody its state, because it is known to be wrong; `false`
    /// takes that back.
    ///
    /// The data directory remembers it: whoever starts the member again starts it in quarantine.
    pub fn set_quarantined(&self, quarantined: bool) {
        let path = self.inner.data_dir.join(QUARANTINE);
        let written = match quarantined {
            true => std::fs::write(&path, b"the state of this member is wrong: replace it\n")
                .and_then(|()| std::fs::File::open(&path)?.sync_all()),
            false if path.exists() => std::fs::remove_file(&path),
            false => Ok(()),
        };
        if let Err(error) = written {
            // The alarm and the next comparison say the same.
            tracing::warn!("{} cannot be kept: {error}", path.display());
        }
        self.inner
            .quarantine
            .send_if_modified(|now| std::mem::replace(now, quarantined) != quarantined);
    }

    /// Whether the state of this member is known, or must be feared, to be wrong.
    pub fn is_quarantined(&self) -> bool {
        *self.inner.quarantine.borrow()
    }

    /// Follows [`Host::is_quarantined`].
    pub fn quarantine(&self) -> tokio::sync::watch::Receiver<bool> {
        self.inner.quarantine.subscribe()
    }
}
