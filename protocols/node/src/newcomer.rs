//! What a member that comes up must know of itself before it speaks: pure rules for the host.
//!
//! - *Its state has a table*: that says who it is, or that it was removed. Only when consensus does not
//!   count it any more either must it stay down: until then the majority that lets it go may need it.
//! - *It has none*: the flags name the cluster's first members. Whoever was added later asks those
//!   who are there, and finds itself by its addresses ([`find`]); neither the cluster's id nor its own
//!   can be computed.
//! - *Its directory is empty*: it may have promised its vote or a copy of an entry to any quorum, with
//!   a directory that is lost. Every such quorum less itself must still contain a member that
//!   remembers it, so it waits for [`answers_needed`] answers before it votes (traps.md B29).

use quorate_base::{NodeId, mutant};
use quorate_raft::Membership;
use quorate_store::{Member, Members};

/// What the table in a member's own state says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// There is no table, or one from before it was added: others, or the flags, must tell.
    Untold,
    /// It belongs to the cluster, or is needed until its removal is agreed upon.
    Member {
        /// Its row; of one that leaves, what is left of it.
        me: Member,
        /// All rows.
        members: Vec<Member>,
        /// Who voted before any change.
        founders: Membership,
    },
    /// It was removed: it must not come up.
    Removed,
}

/// What the table says of the member with this id; `config` is the newest configuration that its state
/// has applied, if there was any.
pub fn standing(id: u64, table: &Members, config: Option<&Membership>) -> Standing {
    let counts = match config {
        Some(config) => config.contains(NodeId(id)),
        None => table.founders().contains(&id),
    };
    let mut removed = table.removed().filter(|(gone, _)| *gone == id);
    let me = match (table.get(id), removed.next()) {
        (Some(me), _) => me.clone(),
        (None, None) => return Standing::Untold,
        (None, Some((_, urls))) if counts || mutant!(NODE_341_REMOVED_COMES_UP) => {
            let (name, client_urls, learner) = (String::new(), Vec::new(), false);
            Member { id, name, peer_urls: urls.to_vec(), client_urls, learner }
        }
        (None, Some(_)) => return Standing::Removed,
    };
    let founders = Membership::of(table.founders().iter().copied().map(NodeId));
    Standing::Member { me, members: table.present().cloned().collect(), founders }
}

/// The member with these addresses, as `host:port`: a removed one is not listed any more.
pub fn find<'a>(addresses: &[String], members: &'a [Member]) -> Option<&'a Member> {
    let bare = |urls: &[String]| {
        let mut urls: Vec<String> = urls.iter().map(|url| address_of(url)).collect();
        urls.sort();
        urls
    };
    let mine = bare(addresses);
    members.iter().find(|member| bare(&member.peer_urls) == mine)
}

/// How many others must say that they do not remember a member, in a cluster that has, with itself, so
/// many voters with quorum `q`: `n - q + 1`, a set that meets every quorum. Learners are not asked:
/// no quorum is made of them, and one that was added and never started would be waited for.
pub fn answers_needed(voters: usize) -> usize {
    let quorum = voters / 2 + 1;
    if voters < 2 { 0 } else { voters - quorum + 1 }
}

/// `host:port` of a URL; the command line has checked its form.
pub fn address_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_answers_meet_every_quorum() {
        let needed = [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (7, 4)];
        for (members, answers) in needed {
            assert_eq!(answers_needed(members), answers, "of {members}");
        }
    }

    #[test]
    fn a_member_finds_itself_by_all_of_its_addresses() {
        let of = |id, urls: &[&str]| Member {
            id,
            name: String::new(),
            peer_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            client_urls: Vec::new(),
            learner: false,
        };
        let members = [of(1, &["http://a:1"]), of(2, &["https://c:2/", "http://b:1"])];
        let mine = ["http://b:1".to_owned(), "https://c:2".to_owned()];
        assert_eq!(find(&mine, &members).map(|member| member.id), Some(2));
        assert_eq!(find(&mine[..1], &members), None);
    }
}
