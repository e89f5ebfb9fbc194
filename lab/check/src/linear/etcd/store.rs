//! The sequential behaviour: requests, answers, and a state that they are applied to.

use std::collections::BTreeMap;

/// A version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The number of its value.
    pub value: u32,
    /// The revision of its creation.
    pub created: i64,
    /// The revision of its last write.
    pub modified: i64,
    /// How often it was written since its creation.
    pub version: i64,
}

/// The state of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The revision of the last write.
    pub revision: i64,
    /// The keys, by number.
    pub keys: BTreeMap<u32, Entry>,
}

/// A request about one key. Keys and values are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Action {
    Put { key: u32, value: u32 },
    Get { key: u32 },
    Delete { key: u32 },
}

impl Action {
    /// The key.
    pub fn key(self) -> u32 {
        match self {
            Action::Put { key, .. } | Action::Get { key } | Action::Delete { key } => key,
        }
    }
}

/// What a compare looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Target {
    Value,
    Created,
    Modified,
    Version,
}

/// How a compare compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Relation {
    Equal,
    NotEqual,
    Less,
    Greater,
}

/// What a compare compares with: a value by its number, or a revision or version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operand {
    Value(u32),
    Number(i64),
}

/// A condition of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Compare {
    pub key: u32,
    pub target: Target,
    pub relation: Relation,
    pub operand: Operand,
}

impl Compare {
    /// As etcd: the numbers of a key that is not there are 0, and its value compares false.
    fn holds(&self, keys: &BTreeMap<u32, Entry>) -> bool {
        let entry = keys.get(&self.key);
        let number = match self.target {
            Target::Value => {
                let value = entry.map(|entry| Operand::Value(entry.value));
                let is_equal = value == Some(self.operand);
                return match self.relation {
                    Relation::Equal => is_equal,
                    Relation::NotEqual => value.is_some() && !is_equal,
                    Relation::Less | Relation::Greater => false,
                };
            }
            Target::Created => entry.map_or(0, |entry| entry.created),
            Target::Modified => entry.map_or(0, |entry| entry.modified),
            Target::Version => entry.map_or(0, |entry| entry.version),
        };
        let Operand::Number(operand) = self.operand else { return false };
        match self.relation {
            Relation::Equal => number == operand,
            Relation::NotEqual => number != operand,
            Relation::Less => number < operand,
            Relation::Greater => number > operand,
        }
    }
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Request {
    One(Action),
    Txn { compare: Vec<Compare>, then: Vec<Action>, otherwise: Vec<Action> },
}

/// What was answered to one action; `None` where the history does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Reply {
    /// Nothing is said.
    Silent,
    /// A get found nothing.
    Absent,
    /// A get found this.
    Present {
        value: Option<u32>,
        created: Option<i64>,
        modified: Option<i64>,
        version: Option<i64>,
    },
    /// A delete removed so many keys.
    Deleted(i64),
}

impl Reply {
    /// Whether a get may answer this about a key.
    pub fn fits(&self, entry: Option<&Entry>) -> bool {
        fn is<T: PartialEq>(said: Option<T>, is: T) -> bool {
            said.is_none_or(|said| said == is)
        }
        match (self, entry) {
            (Reply::Silent, _) | (Reply::Absent, None) => true,
            (Reply::Present { value, created, modified, version }, Some(entry)) => {
                is(*value, entry.value)
                    && is(*created, entry.created)
                    && is(*modified, entry.modified)
                    && is(*version, entry.version)
            }
            (Reply::Absent, Some(_)) | (Reply::Present { .. }, None) | (Reply::Deleted(_), _) => {
                false
            }
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The revision in its header.
    pub revision: Option<i64>,
    /// Which branch a transaction took.
    pub succeeded: Option<bool>,
    /// What the actions answered; fewer if the history does not say.
    pub replies: Vec<Reply>,
}

/// A request with its answer, `None` if nobody knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Op {
    pub request: Request,
    pub answer: Option<Answer>,
}

impl Op {
    /// The actions that were answered, with their answers. Nothing for a transaction whose branch is not known.
    pub fn replies(&self) -> impl Iterator<Item = (&Action, &Reply)> {
        let replies = self.answer.as_ref().map_or(&[][..], |answer| &answer.replies);
        self.branch().unwrap_or_default().iter().zip(replies)
    }

    /// The actions that ran, if that is known.
    fn branch(&self) -> Option<&[Action]> {
        match &self.request {
            Request::One(action) => Some(std::slice::from_ref(action)),
            Request::Txn { then, otherwise, .. } => {
                match self.answer.as_ref().and_then(|answer| answer.succeeded) {
                    Some(true) => Some(then),
                    Some(false) => Some(otherwise),
                    None => None,
                }
            }
        }
    }

    /// Whether it made a revision for sure: it put something.
    pub fn surely_writes(&self) -> bool {
        let branch = self.branch().unwrap_or_default();
        branch.iter().any(|action| matches!(action, Action::Put { .. }))
            || self.replies().any(|(_, reply)| matches!(reply, Reply::Deleted(count) if *count > 0))
    }

    /// Whether it made no revision for sure: all it did was to read, or to delete nothing.
    pub fn never_writes(&self) -> bool {
        let is_reading =
            |actions: &[Action]| actions.iter().all(|action| matches!(action, Action::Get { .. }));
        match (&self.request, self.branch()) {
            (Request::Txn { then, otherwise, .. }, None) => {
                is_reading(then) && is_reading(otherwise)
            }
            (Request::One(Action::Delete { .. }), _) => {
                self.replies().any(|(_, reply)| *reply == Reply::Deleted(0))
            }
            (Request::One(_) | Request::Txn { .. }, branch) => {
                is_reading(branch.unwrap_or_default())
            }
        }
    }

    /// Whether its answer's revision allows it to come after a state of that revision. Cheap: it spares most steps a
    /// copy of the state.
    pub fn can_follow(&self, revision: i64) -> bool {
        let answered = self.answer.as_ref().and_then(|answer| answer.revision);
        answered.is_none_or(|answered| {
            if self.surely_writes() {
                answered == revision + 1
            } else if self.never_writes() {
                answered == revision
            } else {
                answered == revision || answered == revision + 1
            }
        })
    }
}

impl State {
    /// Applies a request. False: its answer is impossible, and the state is of no use any more.
    pub fn apply(&mut self, op: &Op) -> bool {
        let answer = op.answer.as_ref();
        let actions = match &op.request {
            Request::One(action) => std::slice::from_ref(action),
            Request::Txn { compare, then, otherwise } => {
                let succeeded = compare.iter().all(|compare| compare.holds(&self.keys));
                let answered = answer.and_then(|answer| answer.succeeded);
                if answered.is_some_and(|answered| answered != succeeded) {
                    return false;
                }
                if succeeded { then } else { otherwise }
            }
        };
        let revision = self.revision + 1;
        let mut has_written = false;
        for (place, action) in actions.iter().enumerate() {
            let reply = answer.and_then(|answer| answer.replies.get(place));
            let reply = reply.copied().unwrap_or(Reply::Silent);
            if !self.act(action, reply, revision, &mut has_written) {
                return false;
            }
        }
        if has_written {
            self.revision = revision;
        }
        answer.and_then(|answer| answer.revision).is_none_or(|answered| answered == self.revision)
    }

    fn act(
        &mut self,
        action: &Action,
        reply: Reply,
        revision: i64,
        has_written: &mut bool,
    ) -> bool {
        match *action {
            Action::Get { key } => return reply.fits(self.keys.get(&key)),
            Action::Put { key, value } => {
                let fresh = Entry { value, created: revision, modified: revision, version: 0 };
                let entry = self.keys.entry(key).or_insert(fresh);
                *entry = Entry { value, modified: revision, version: entry.version + 1, ..*entry };
                *has_written = true;
            }
            Action::Delete { key } => {
                let count = i64::from(self.keys.remove(&key).is_some());
                *has_written |= count > 0;
                return reply == Reply::Silent || reply == Reply::Deleted(count);
            }
        }
        reply == Reply::Silent
    }
}
