//! The table of members: what a change is checked against, and that it is found again.

use quorate_store::{
    Action, Answer, Applier, Command, MemEngine, Member, MemberAction, MemberChange, OpId, Options,
    StoreError,
};

fn member(id: u64) -> Member {
    Member {
        id,
        name: format!("m{id}"),
        peer_urls: vec![format!("http://h{id}:2380")],
        client_urls: Vec::new(),
        learner: false,
    }
}

fn learner(id: u64) -> Member {
    Member { learner: true, name: String::new(), ..member(id) }
}

struct Store {
    applier: Applier<MemEngine>,
}

impl Store {
    fn new() -> Store {
        Store { applier: Applier::open(MemEngine::new(), Options::default()).unwrap() }
    }

    fn change(&mut self, change: MemberChange) -> Result<Vec<u64>, StoreError> {
        let index = self.applier.applied().0 + 1;
        let initial = [1, 2, 3].map(member).into();
        let action = Action::Member(MemberAction { change, initial, max_learners: 1 });
        let command = Command::new(OpId::default(), action);
        let outcome = self.applier.apply(index, 1, Some(&command)).unwrap().unwrap();
        self.applier.publish().unwrap();
        match outcome.result? {
            Answer::Members(members) => Ok(members.iter().map(|member| member.id).collect()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_first_change_begins_with_the_members_that_the_cluster_began_with() {
    let mut store = Store::new();
    assert!(store.applier.publish().unwrap().view.members().is_empty());
    assert_eq!(store.change(MemberChange::Add(learner(4))), Ok(vec![1, 2, 3, 4]));
    assert_eq!(store.change(MemberChange::Remove { id: 2 }), Ok(vec![1, 3, 4]));
}

#[test]
fn a_refused_first_change_leaves_no_table() {
    let mut store = Store::new();
    let refused = store.change(MemberChange::Remove { id: 9 });
    assert_eq!(refused, Err(StoreError::MemberNotFound { id: 9 }));
    assert!(store.applier.publish().unwrap().view.members().is_empty());
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut store = Store::new();
    let twin = Member { peer_urls: member(2).peer_urls, ..learner(4) };
    assert_eq!(store.change(MemberChange::Add(twin)), Err(StoreError::PeerUrlExists));
    let exists = Err(StoreError::MemberExists { id: 3 });
    assert_eq!(store.change(MemberChange::Add(learner(3))), exists);
    store.change(MemberChange::Add(learner(4))).unwrap();
    let many = Err(StoreError::TooManyLearners { limit: 1 });
    assert_eq!(store.change(MemberChange::Add(learner(5))), many);
    let voter = Err(StoreError::NotALearner { id: 1 });
    assert_eq!(store.change(MemberChange::Promote { id: 1 }), voter);
    let urls = MemberChange::Update { id: 4, peer_urls: member(1).peer_urls };
    assert_eq!(store.change(urls), Err(StoreError::PeerUrlExists));
    for id in [1, 2] {
        store.change(MemberChange::Remove { id }).unwrap();
    }
    let last = Err(StoreError::LastMember { id: 3 });
    assert_eq!(store.change(MemberChange::Remove { id: 3 }), last);
}

#[test]
fn a_removed_id_never_comes_back_and_its_address_may() {
    let mut store = Store::new();
    store.change(MemberChange::Remove { id: 3 }).unwrap();
    let again = store.change(MemberChange::Add(learner(3)));
    assert_eq!(again, Err(StoreError::MemberExists { id: 3 }));
    let heir = Member { peer_urls: member(3).peer_urls, ..learner(4) };
    assert_eq!(store.change(MemberChange::Add(heir)), Ok(vec![1, 2, 4]));
}

#[test]
fn the_table_and_the_configuration_are_found_again() {
    let mut store = Store::new();
    store.change(MemberChange::Add(learner(4))).unwrap();
    store.change(MemberChange::Promote { id: 4 }).unwrap();
    store.change(MemberChange::Remove { id: 1 }).unwrap();
    let (name, client_urls) = ("north".to_owned(), vec!["http://c:1".to_owned()]);
    let publish = MemberChange::Publish { id: 4, name, client_urls };
    store.change(publish).unwrap();
    let index = store.applier.applied().0 + 1;
    store.applier.configure(index, 1, b"who votes").unwrap();
    let before = store.applier.publish().unwrap().view;
    let engine = store.applier.into_engine();

    let mut again = Applier::open(engine, Options::default()).unwrap();
    let view = again.publish().unwrap().view;
    assert_eq!(view.members(), before.members());
    assert_eq!(view.members().get(4).unwrap().name, "north");
    assert_eq!(view.members().founders(), &[1, 2, 3].into());
    assert!(view.members().is_removed(1) && !view.members().get(4).unwrap().learner);
    assert_eq!(view.config().as_deref(), Some(&b"who votes"[..]));
    assert_eq!(view.applied(), (index, 1));
    again.forget_members().unwrap();
    let view = again.publish().unwrap().view;
    assert!(view.members().is_empty() && view.config().is_none());
}
