//! From events to requests and answers.

use super::super::keyed::item;
use super::{
    Action, Answer, Compare, Etcd, Op, Operand, Part, REVISION_EMPTY, Relation, Reply, Request,
    Target,
};
use crate::history::{Event, History, NEMESIS, Operation, Outcome, Value};
use crate::verdict::HistoryError;

/// The largest revision to begin at: what is written afterwards must not overflow.
const REVISION_BEGIN_MAX: i64 = i64::MAX / 2;

/// Reads a history as one part.
pub fn read(history: &History, operations: &[Operation]) -> Result<Part<Etcd>, HistoryError> {
    let mut etcd = Etcd { begin: begin(history)?, ..Etcd::default() };
    let mut items = Vec::with_capacity(operations.len());
    for (number, operation) in operations.iter().enumerate() {
        let invoke = &history.events[operation.start];
        let request = Reader { etcd: &mut etcd, event: invoke }.request()?;
        let is_silent = match operation.outcome {
            Outcome::Fail => true,
            Outcome::Unknown => matches!(request, Request::One(Action::Get { .. })),
            Outcome::Ok => false,
        };
        if is_silent {
            continue;
        }
        let completion = operation.end.filter(|_| operation.outcome == Outcome::Ok);
        let mut answer = None;
        if let Some(completion) = completion {
            let event = &history.events[completion];
            answer = Some(Reader { etcd: &mut etcd, event }.answer(&request)?);
        }
        items.push(item(Op { request, answer }, number, operation));
    }
    Ok(Part { key: Value::Nil, spec: etcd, items })
}

fn begin(history: &History) -> Result<i64, HistoryError> {
    let is_start = |event: &&Event| event.process == NEMESIS && &*event.f == "start";
    let Some(event) = history.events.iter().find(is_start) else { return Ok(REVISION_EMPTY) };
    let revision = event.value.get("revision").and_then(Value::as_int);
    let revision = revision.filter(|revision| (0..=REVISION_BEGIN_MAX).contains(revision));
    revision.ok_or_else(|| {
        HistoryError::at(event, format!("start needs a revision from 0 to {REVISION_BEGIN_MAX}"))
    })
}

struct Reader<'a> {
    etcd: &'a mut Etcd,
    event: &'a Event,
}

impl Reader<'_> {
    fn error(&self, message: impl Into<String>) -> HistoryError {
        HistoryError::at(self.event, message)
    }

    fn number(&mut self, value: &Value) -> u32 {
        self.etcd.names.number(value)
    }

    fn request(&mut self) -> Result<Request, HistoryError> {
        let Event { f, key, value, .. } = self.event;
        let is_txn = &**f == "txn";
        if key.is_nil() != is_txn {
            return Err(self.error(match is_txn {
                true => "a transaction has no key of its own".to_owned(),
                false => format!("{f} needs a key"),
            }));
        }
        let key = self.number(key);
        Ok(match &**f {
            "put" => Request::One(Action::Put { key, value: self.number(value) }),
            "get" => Request::One(Action::Get { key }),
            "delete" => Request::One(Action::Delete { key }),
            "txn" => {
                let compare = self.list(value, "compare")?;
                let compare = compare.iter().map(|compare| self.compare(compare));
                let compare = compare.collect::<Result<_, _>>()?;
                let then = self.actions(value, "then")?;
                Request::Txn { compare, then, otherwise: self.actions(value, "else")? }
            }
            f => return Err(self.error(format!("a store has put, get, delete and txn, not {f}"))),
        })
    }

    fn list<'v>(&self, value: &'v Value, name: &str) -> Result<&'v [Value], HistoryError> {
        let list = value.get(name).filter(|list| !list.is_nil());
        let Some(list) = list else { return Ok(&[]) };
        list.as_list().ok_or_else(|| self.error(format!("{name} is a list, not {list}")))
    }

    fn compare(&mut self, value: &Value) -> Result<Compare, HistoryError> {
        let Some([key, target, relation, operand]) = value.as_list() else {
            return Err(
                self.error(format!("a compare is [key target relation operand], not {value}"))
            );
        };
        let target = match target.as_name() {
            Some("value") => Target::Value,
            Some("create") => Target::Created,
            Some("mod") => Target::Modified,
            Some("version") => Target::Version,
            Some(_) | None => {
                return Err(
                    self.error(format!("{target} is not one of value, create, mod and version"))
                );
            }
        };
        let relation = match relation.as_name() {
            Some("=") => Relation::Equal,
            Some("!=") => Relation::NotEqual,
            Some("<") => Relation::Less,
            Some(">") => Relation::Greater,
            Some(_) | None => {
                return Err(self.error(format!("{relation} is not one of =, !=, < and >")));
            }
        };
        let is_order = relation == Relation::Less || relation == Relation::Greater;
        if target == Target::Value && is_order {
            return Err(self.error("values are compared with = and != only"));
        }
        let operand = match (target, operand.as_int()) {
            (Target::Value, _) => Operand::Value(self.number(operand)),
            (Target::Created | Target::Modified | Target::Version, Some(number)) => {
                Operand::Number(number)
            }
            (Target::Created | Target::Modified | Target::Version, None) => {
                return Err(
                    self.error(format!("revisions and versions are integers, not {operand}"))
                );
            }
        };
        Ok(Compare { key: self.number(key), target, relation, operand })
    }

    fn actions(&mut self, value: &Value, name: &str) -> Result<Vec<Action>, HistoryError> {
        let list = self.list(value, name)?;
        list.iter().map(|action| self.action(action)).collect()
    }

    fn action(&mut self, action: &Value) -> Result<Action, HistoryError> {
        let words = action.as_list().unwrap_or_default();
        match (words.first().and_then(Value::as_name), words) {
            (Some("put"), [_, key, value]) => {
                Ok(Action::Put { key: self.number(key), value: self.number(value) })
            }
            (Some("get"), [_, key]) => Ok(Action::Get { key: self.number(key) }),
            (Some("delete"), [_, key]) => Ok(Action::Delete { key: self.number(key) }),
            _ => Err(self.error(format!(
                "an action is [put key value], [get key] or [delete key], not {action}"
            ))),
        }
    }

    fn answer(&mut self, request: &Request) -> Result<Answer, HistoryError> {
        let value = &self.event.value;
        let revision = self.integer(value, "revision")?;
        let Request::Txn { then, otherwise, .. } = request else {
            let Request::One(action) = request else { unreachable!("it is one or the other") };
            let replies = vec![self.reply(action, value)?];
            return Ok(Answer { revision, succeeded: None, replies });
        };
        let succeeded = match value.get("succeeded") {
            Some(Value::Bool(succeeded)) => Some(*succeeded),
            Some(Value::Nil) | None => None,
            Some(other) => {
                return Err(self.error(format!("succeeded is true or false, not {other}")));
            }
        };
        let answers = self.list(value, "answers")?;
        let Some(succeeded) = succeeded else {
            return Ok(Answer { revision, succeeded, replies: Vec::new() });
        };
        let branch = if succeeded { then } else { otherwise };
        if !answers.is_empty() && answers.len() != branch.len() {
            let (answers, actions) = (answers.len(), branch.len());
            return Err(self.error(format!("there are {answers} answers to {actions} actions")));
        }
        let replies = branch.iter().zip(answers).map(|(action, value)| self.reply(action, value));
        let replies = replies.collect::<Result<_, _>>()?;
        Ok(Answer { revision, succeeded: Some(succeeded), replies })
    }

    fn reply(&mut self, action: &Action, value: &Value) -> Result<Reply, HistoryError> {
        match action {
            Action::Put { .. } => Ok(Reply::Silent),
            Action::Delete { .. } => {
                let deleted = self.integer(value, "deleted")?;
                Ok(deleted.map_or(Reply::Silent, Reply::Deleted))
            }
            Action::Get { .. } => {
                let modified = self.integer(value, "mod_revision")?;
                let created = self.integer(value, "create_revision")?;
                let version = self.integer(value, "version")?;
                let is_said = modified.or(created).or(version).is_some();
                let read = match value.get("value") {
                    // An answer without a value that has revisions was read with keys only.
                    Some(Value::Nil) | None if is_said => None,
                    Some(Value::Nil) => return Ok(Reply::Absent),
                    None if value.is_nil() => return Ok(Reply::Absent),
                    None => return Ok(Reply::Silent),
                    Some(read) => Some(self.number(read)),
                };
                Ok(Reply::Present { value: read, created, modified, version })
            }
        }
    }

    fn integer(&self, value: &Value, name: &str) -> Result<Option<i64>, HistoryError> {
        match value.get(name) {
            None | Some(Value::Nil) => Ok(None),
            // Revisions count up by one: the last integer would have no successor.
            Some(Value::Int(number)) if *number >= 0 && *number < i64::MAX => Ok(Some(*number)),
            Some(other) => Err(self.error(format!("{name} is a number from 0, not {other}"))),
        }
    }
}
