//! JSON in and out, without sockets.

use super::transcode::{json, parse};
use super::*;
use prost_reflect::DescriptorPool;
use quorate_wire::etcd::DESCRIPTOR_SET;
use tonic::Code;

fn gateway() -> Gateway {
    Gateway::new(2 << 20)
}

fn round(path: &str, text: &str) -> String {
    let gateway = gateway();
    let input = gateway.methods[path].input();
    let frame = framed(&input, text.as_bytes()).expect(text);
    String::from_utf8(json(&input, frame.slice(5..)).expect(text)).expect("utf-8")
}

#[test]
fn every_call_but_range_stream_has_a_path() {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).expect("decodes");
    let known: Vec<String> =
        gateway().methods.values().map(|method| method.full_name().to_owned()).collect();
    // Our own calls are no part of etcd's gateway.
    for service in pool.services().filter(|it| !it.full_name().starts_with("quorate.")) {
        for method in service.methods() {
            let name = method.full_name().to_owned();
            assert_eq!(known.contains(&name), name != "etcdserverpb.KV.RangeStream", "{name}");
        }
    }
}

#[test]
fn fields_are_read_under_both_names_and_written_under_one() {
    let told =
        r#"{"key":"Zm9v","range_end":"Zm9w","limit":"5","sort_order":"DESCEND","keys_only":true}"#;
    assert_eq!(round("kv/range", told), told);
    let camel = r#"{"key":"Zm9v","rangeEnd":"Zm9w","limit":5,"sortOrder":2,"keysOnly":true}"#;
    assert_eq!(round("kv/range", camel), told);
    // As etcd: unknown fields and null mean nothing, an empty body is an empty message, both kinds
    // of base64 are read.
    assert_eq!(round("kv/range", r#"{"nope":1,"key":null}"#), "{}");
    assert_eq!(round("kv/range", "  "), "{}");
    assert_eq!(round("kv/range", r#"{"key":"-_8="}"#), r#"{"key":"+/8="}"#);
    assert_eq!(round("kv/range", r#"{"key":"Zm9v"} and more"#), r#"{"key":"Zm9v"}"#);
    assert_eq!(round("lease/grant", r#"{"ID":"7","TTL":100}"#), r#"{"TTL":"100","ID":"7"}"#);
}

#[test]
fn nonsense_is_an_invalid_argument() {
    let input = gateway().methods["kv/range"].input();
    for json in ["{", "[]", "x", r#"{"key":"!"}"#, r#"{"limit":"x"}"#, r#"{"serializable":"x"}"#] {
        let status = parse(&input, json.as_bytes()).expect_err(json);
        assert_eq!(status.code(), Code::InvalidArgument, "{json}: {status:?}");
    }
    assert_eq!(parse(&input, b"{\"key\":").expect_err("cut").message(), "unexpected EOF");
    // Deeper than anybody needs, and not a stack overflow.
    let deep = "{\"compare\":".repeat(100_000);
    assert!(parse(&gateway().methods["kv/txn"].input(), deep.as_bytes()).is_err());
}

#[test]
fn codes_become_the_statuses_of_grpc_gateway() {
    let cases = [
        (Code::OutOfRange, 400),
        (Code::NotFound, 404),
        (Code::Unauthenticated, 401),
        (Code::PermissionDenied, 403),
        (Code::ResourceExhausted, 429),
        (Code::Unknown, 500),
        (Code::Unavailable, 503),
        (Code::Cancelled, 499),
    ];
    for (code, number) in cases {
        assert_eq!(error::http_status(code).as_u16(), number, "{code:?}");
    }
    let said = error::said(&Status::not_found("etcdserver: requested lease not found"));
    assert_eq!(said["code"], 5);
    assert_eq!(said["message"], said["error"]);
}
