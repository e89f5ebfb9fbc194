//! Printing the answers of the KV and Watch services, which also occur inside each other.

use quorate_client::etcd::etcdserverpb::response_op::Response;
use quorate_client::etcd::etcdserverpb::{
    DeleteRangeResponse, PutResponse, RangeResponse, ResponseOp, TxnResponse, WatchResponse,
};
use quorate_client::etcd::mvccpb::event::EventType;

use super::failure::Failure;
use super::json::{self, Object};
use super::output::{Format, Output};

/// Prints the answer to a get.
pub fn range(output: &mut Output, answer: &RangeResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => answer.kvs.iter().for_each(|pair| output.pair(pair)),
        Format::Fields => {
            output.header(answer.header.as_ref());
            answer.kvs.iter().for_each(|pair| output.pair_fields("", pair));
            output.field("More", answer.more);
            output.field("Count", answer.count);
        }
        Format::Json => output.line(range_json(answer)),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// Prints the answer to a put.
pub fn put(output: &mut Output, answer: &PutResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            output.line("OK");
            answer.prev_kv.iter().for_each(|pair| output.pair(pair));
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            answer.prev_kv.iter().for_each(|pair| output.pair_fields("Prev", pair));
        }
        Format::Json => output.line(put_json(answer)),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// Prints the answer to a del.
pub fn delete(output: &mut Output, answer: &DeleteRangeResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            output.line(answer.deleted.to_string());
            answer.prev_kvs.iter().for_each(|pair| output.pair(pair));
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            output.field("Deleted", answer.deleted);
            answer.prev_kvs.iter().for_each(|pair| output.pair_fields("Prev", pair));
        }
        Format::Json => output.line(delete_json(answer)),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// Prints the answer to a transaction.
pub fn txn(output: &mut Output, answer: &TxnResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            output.line(if answer.succeeded { "SUCCESS" } else { "FAILURE" });
            for operation in &answer.responses {
                output.line("");
                inner(output, operation)?;
            }
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            output.field("Succeeded", answer.succeeded);
            answer.responses.iter().try_for_each(|operation| inner(output, operation))?;
        }
        Format::Json => output.line(txn_json(answer)),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

fn inner(output: &mut Output, operation: &ResponseOp) -> Result<(), Failure> {
    match &operation.response {
        Some(Response::ResponseRange(answer)) => range(output, answer),
        Some(Response::ResponsePut(answer)) => put(output, answer),
        Some(Response::ResponseDeleteRange(answer)) => delete(output, answer),
        Some(Response::ResponseTxn(answer)) => txn(output, answer),
        None => Ok(()),
    }
}

/// Prints an answer on a watch stream.
pub fn watch(output: &mut Output, answer: &WatchResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            for event in &answer.events {
                output.line(event.r#type().as_str_name());
                event.prev_kv.iter().for_each(|pair| output.pair(pair));
                output.pair(&event.kv.clone().unwrap_or_default());
            }
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            for event in &answer.events {
                output.field("Type", event_name(event.r#type()));
                event.prev_kv.iter().for_each(|pair| output.pair_fields("Prev", pair));
                output.pair_fields("", &event.kv.clone().unwrap_or_default());
            }
        }
        Format::Json => output.line(watch_json(answer)),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// `PUT` or `DELETE`.
pub fn event_name(kind: EventType) -> &'static str {
    kind.as_str_name()
}

fn range_json(answer: &RangeResponse) -> String {
    Object::new()
        .optional("header", json::header(answer.header.as_ref()))
        .some_list("kvs", answer.kvs.iter().map(json::key_value))
        .some("more", answer.more)
        .some("count", answer.count)
        .end()
}

fn put_json(answer: &PutResponse) -> String {
    Object::new()
        .optional("header", json::header(answer.header.as_ref()))
        .optional("prev_kv", answer.prev_kv.as_ref().map(json::key_value))
        .end()
}

fn delete_json(answer: &DeleteRangeResponse) -> String {
    Object::new()
        .optional("header", json::header(answer.header.as_ref()))
        .some("deleted", answer.deleted)
        .some_list("prev_kvs", answer.prev_kvs.iter().map(json::key_value))
        .end()
}

fn txn_json(answer: &TxnResponse) -> String {
    let operation = |operation: &ResponseOp| {
        let inner = match &operation.response {
            Some(Response::ResponseRange(answer)) => ("response_range", range_json(answer)),
            Some(Response::ResponsePut(answer)) => ("response_put", put_json(answer)),
            Some(Response::ResponseDeleteRange(answer)) => {
                ("response_delete_range", delete_json(answer))
            }
            Some(Response::ResponseTxn(answer)) => ("response_txn", txn_json(answer)),
            None => return Object::new().raw("Response", "{}").end(),
        };
        let (name, text) = inner;
        Object::new().raw("Response", &Object::new().raw(name, &text).end()).end()
    };
    Object::new()
        .optional("header", json::header(answer.header.as_ref()))
        .some("succeeded", answer.succeeded)
        .some_list("responses", answer.responses.iter().map(operation))
        .end()
}

/// Capitalised names and no field left out, because etcdctl prints its client's own structure here.
fn watch_json(answer: &WatchResponse) -> String {
    let header = json::header(answer.header.as_ref());
    let events = if answer.events.is_empty() {
        "null".to_owned()
    } else {
        json::list(answer.events.iter().map(json::event))
    };
    Object::new()
        .raw("Header", &header.unwrap_or_else(|| "{}".to_owned()))
        .raw("Events", &events)
        .value("CompactRevision", answer.compact_revision)
        .value("Canceled", answer.canceled)
        .value("Created", answer.created)
        .string("CancelReason", &answer.cancel_reason)
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_client::etcd::etcdserverpb::ResponseHeader;
    use quorate_client::etcd::mvccpb::{Event, KeyValue};

    fn pair() -> KeyValue {
        let (key, value) = ("a".into(), "2".into());
        KeyValue { key, value, create_revision: 2, mod_revision: 3, version: 2, lease: 0 }
    }

    fn header() -> Option<ResponseHeader> {
        Some(ResponseHeader { cluster_id: 7, member_id: 8, revision: 3, raft_term: 2 })
    }

    fn printed<A>(
        format: Format,
        print: fn(&mut Output, &A) -> Result<(), Failure>,
        answer: &A,
    ) -> String {
        let mut output = Output::new(format, false);
        print(&mut output, answer).expect("format exists");
        output.text()
    }

    #[test]
    fn a_get_prints_what_etcdctl_prints() {
        let answer = RangeResponse { header: header(), kvs: vec![pair()], more: false, count: 1 };
        assert_eq!(printed(Format::Simple, range, &answer), "a\n2\n");
        assert_eq!(
            printed(Format::Json, range, &answer),
            "{\"header\":{\"cluster_id\":7,\"member_id\":8,\"revision\":3,\"raft_term\":2},\
             \"kvs\":[{\"key\":\"YQ==\",\"create_revision\":2,\"mod_revision\":3,\"version\":2,\
             \"value\":\"Mg==\"}],\"count\":1}\n"
        );
        assert!(
            printed(Format::Fields, range, &answer).ends_with("\"More\" : false\n\"Count\" : 1\n")
        );
        let mut output = Output::new(Format::Table, false);
        assert_eq!(range(&mut output, &answer).expect_err("no table").code, 4);
    }

    #[test]
    fn put_and_del_print_the_previous_pairs() {
        let answer = PutResponse { header: header(), prev_kv: Some(pair()) };
        assert_eq!(printed(Format::Simple, put, &answer), "OK\na\n2\n");
        let answer = DeleteRangeResponse { header: None, deleted: 1, prev_kvs: vec![pair()] };
        assert_eq!(printed(Format::Simple, delete, &answer), "1\na\n2\n");
        let nothing = DeleteRangeResponse::default();
        assert_eq!(printed(Format::Simple, delete, &nothing), "0\n");
        assert_eq!(printed(Format::Json, delete, &nothing), "{}\n");
    }

    #[test]
    fn a_transaction_prints_its_operations() {
        let operation = |response| ResponseOp { response: Some(response) };
        let nested = TxnResponse { succeeded: false, ..TxnResponse::default() };
        let answer = TxnResponse {
            header: None,
            succeeded: true,
            responses: vec![
                operation(Response::ResponsePut(PutResponse::default())),
                operation(Response::ResponseRange(RangeResponse {
                    kvs: vec![pair()],
                    ..RangeResponse::default()
                })),
                operation(Response::ResponseTxn(nested)),
            ],
        };
        assert_eq!(printed(Format::Simple, txn, &answer), "SUCCESS\n\nOK\n\na\n2\n\nFAILURE\n");
        let json = printed(Format::Json, txn, &answer);
        assert!(json.starts_with(
            "{\"succeeded\":true,\"responses\":[{\"Response\":{\"response_put\":{}}},"
        ));
        assert!(json.ends_with("{\"Response\":{\"response_txn\":{}}}]}\n"), "{json}");
    }

    #[test]
    fn events_print_their_kind_and_both_pairs() {
        let deleted = KeyValue { key: "a".into(), mod_revision: 4, ..KeyValue::default() };
        let event = Event { r#type: 1, kv: Some(deleted), prev_kv: Some(pair()) };
        let answer = WatchResponse { header: header(), events: vec![event], ..Default::default() };
        assert_eq!(printed(Format::Simple, watch, &answer), "DELETE\na\n2\na\n\n");
        assert!(printed(Format::Fields, watch, &answer).contains("\"Type\" : DELETE\n\"PrevKey\""));
        let progress = WatchResponse { header: header(), ..Default::default() };
        assert_eq!(
            printed(Format::Json, watch, &progress),
            "{\"Header\":{\"cluster_id\":7,\"member_id\":8,\"revision\":3,\"raft_term\":2},\
             \"Events\":null,\"CompactRevision\":0,\"Canceled\":false,\"Created\":false,\
             \"CancelReason\":\"\"}\n"
        );
    }
}
