//! The JSON gateway: the same calls as POSTs.

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::http::{begin, look, post, send};
use crate::harness::*;

/// One call that is answered well; the header is checked and taken away.
async fn call(url: &str, path: &str, request: Value) -> Value {
    let answer = post(url, path, &request.to_string()).await;
    assert_eq!(answer.status, 200, "{path} {request}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut told = answer.json();
    let header = told["header"].take();
    assert!(header["cluster_id"].is_string() && header["member_id"].is_string(), "{header}");
    told.as_object_mut().expect("an object").remove("header");
    told
}

/// One call that is refused.
async fn refuse(url: &str, path: &str, request: &str) -> (u16, Value, String) {
    let answer = post(url, path, request).await;
    let told = answer.json();
    let message = told["message"].as_str().expect("a message").to_owned();
    if Kind::current() == Kind::Quorate {
        assert_eq!(told["error"], told["message"], "clients of older releases look for it");
    }
    (answer.status, told["code"].clone(), message)
}

#[tokio::test]
async fn pairs_are_put_read_and_deleted() {
    let cluster = Cluster::single(&[]).await;
    let url = cluster.endpoint(0);
    assert_eq!(call(url, "/v3/kv/put", json!({"key":"Zm9v","value":"YmFy"})).await, json!({}));
    let put = json!({"key":"Zm9v","value":"YmF6","prevKv":true,"lease":"0"});
    let before = json!({"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1",
                        "value":"YmFy"});
    assert_eq!(call(url, "/v3/kv/put", put).await, json!({ "prev_kv": before }));
    let range = json!({"key":"Zm8=","range_end":"Zm9w","sortOrder":"DESCEND","limit":1});
    let now = json!({"key":"Zm9v","create_revision":"2","mod_revision":"3","version":"2",
                     "value":"YmF6"});
    assert_eq!(call(url, "/v3/kv/range", range).await, json!({ "kvs": [now], "count": "1" }));
    let txn = json!({
        "compare": [{"key":"Zm9v","target":"MOD","result":"EQUAL","mod_revision":"3"}],
        "success": [{"request_delete_range":{"key":"Zm9v"}}, {"requestRange":{"key":"Zm9v"}}],
    });
    let inner = json!({"revision":"4"});
    let told = call(url, "/v3/kv/txn", txn).await;
    let responses = json!([
        {"response_delete_range":{"header":inner,"deleted":"1"}},
        {"response_range":{"header":inner}},
    ]);
    assert_eq!(told, json!({ "succeeded": true, "responses": responses }));
    assert_eq!(call(url, "/v3/kv/compaction", json!({"revision":"3"})).await, json!({}));
    let old = r#"{"key":"Zm9v","revision":"2"}"#;
    let compacted = "etcdserver: mvcc: required revision has been compacted".to_owned();
    assert_eq!(refuse(url, "/v3/kv/range", old).await, (400, json!(11), compacted));
}

#[tokio::test]
async fn refusals_have_the_status_of_their_code() {
    let url = shared_endpoint().await;
    for (path, request, status, code, message) in [
        ("/v3/kv/range", "", 400, 3, "etcdserver: key is not provided"),
        ("/v3/kv/range", r#"{"key":"#, 400, 3, "unexpected EOF"),
        ("/v3/lease/revoke", r#"{"ID":"12345"}"#, 404, 5, "etcdserver: requested lease not found"),
        ("/v3/nope", "{}", 404, 5, "Not Found"),
        ("/v3/kv/range/", "{}", 404, 5, "Not Found"),
    ] {
        let expected = (status, json!(code), message.to_owned());
        assert_eq!(refuse(url, path, request).await, expected, "{path} {request}");
    }
    for nonsense in ["[]", r#"{"key":"!"}"#, r#"{"limit":"x"}"#] {
        let (status, code, _) = refuse(url, "/v3/kv/range", nonsense).await;
        assert_eq!((status, code), (400, json!(3)), "{nonsense}");
    }
    let answer = look(url, "/v3/kv/range").await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (501, json!(12)));
    let value = "A".repeat(4 << 20);
    let large = format!(r#"{{"key":"Zm9v","value":"{value}"}}"#);
    let (status, code, _) = refuse(url, "/v3/kv/put", &large).await;
    assert_eq!((status, code), (429, json!(8)));
}

#[tokio::test]
async fn leases_have_two_paths_and_are_kept_alive_line_by_line() {
    let url = shared_endpoint().await;
    let granted = call(url, "/v3/lease/grant", json!({"TTL":"100","ID":"771"})).await;
    assert_eq!(granted, json!({"ID":"771","TTL":"100"}));
    for path in ["/v3/lease/timetolive", "/v3/kv/lease/timetolive"] {
        let told = call(url, path, json!({"ID":"771"})).await;
        assert_eq!((&told["ID"], &told["grantedTTL"]), (&json!("771"), &json!("100")));
    }
    let all = call(url, "/v3/kv/lease/leases", json!({})).await;
    assert!(all["leases"].as_array().is_some_and(|list| list.contains(&json!({"ID":"771"}))));
    let answer = post(url, "/v3/lease/keepalive", r#"{"ID":"771"}{"ID":"772"}"#).await;
    assert_eq!(answer.status, 200);
    let lines: Vec<Value> =
        answer.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{answer:?}");
    assert_eq!(
        (&lines[0]["result"]["ID"], &lines[0]["result"]["TTL"]),
        (&json!("771"), &json!("100"))
    );
    assert_eq!(lines[1]["result"]["ID"], "772");
    assert!(lines[1]["result"].get("TTL").is_none(), "a lease that is not there has no time");
    assert_eq!(call(url, "/v3/kv/lease/revoke", json!({"ID":"771"})).await, json!({}));
}

#[tokio::test]
async fn a_watch_is_a_line_an_answer_and_outlives_its_request() {
    let url = shared_endpoint().await;
    let address = url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let request = r#"{"create_request":{"key":"Z2F0ZXdheQ==","prev_kv":true}}"#;
    let mut answers = begin(stream, "POST", "/v3/watch", &[], request).await;
    let created = answers.line().await.expect("an answer");
    assert_eq!((answers.status, &created["result"]["created"]), (200, &json!(true)), "{created}");
    call(url, "/v3/kv/put", json!({"key":"Z2F0ZXdheQ==","value":"MQ=="})).await;
    let put = answers.line().await.expect("an event");
    let event = &put["result"]["events"][0];
    assert_eq!((&event["kv"]["value"], event.get("type")), (&json!("MQ=="), None), "{put}");
    call(url, "/v3/kv/deleterange", json!({"key":"Z2F0ZXdheQ=="})).await;
    let delete = answers.line().await.expect("an event");
    let event = &delete["result"]["events"][0];
    assert_eq!((&event["type"], &event["prev_kv"]["value"]), (&json!("DELETE"), &json!("MQ==")));
}

#[tokio::test]
async fn a_snapshot_is_lines_until_its_end() {
    let cluster = Cluster::single(&[]).await;
    let answer = post(cluster.endpoint(0), "/v3/maintenance/snapshot", "{}").await;
    assert_eq!(answer.status, 200);
    let lines: Vec<Value> =
        answer.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() >= 2 && lines.iter().all(|line| line["result"]["blob"].is_string()));
    let last = lines.last().unwrap();
    assert!(last["result"].get("remaining_bytes").is_none(), "nothing remains: {last}");
}

#[tokio::test]
async fn maintenance_and_members_are_under_their_paths() {
    let url = shared_endpoint().await;
    let status = call(url, "/v3/maintenance/status", json!({})).await;
    assert!(status["version"].as_str().unwrap().starts_with("3.7"), "{status}");
    assert!(status["raftTerm"].is_string() && status["dbSize"].is_string());
    let members = call(url, "/v3/cluster/member/list", json!({})).await;
    assert_eq!(members["members"][0]["clientURLs"], json!([url]));
    // The hash of nothing is 0, which proto3's JSON leaves out.
    call(url, "/v3/kv/put", json!({"key": "bWFpbnQ=", "value": "dg=="})).await;
    let hash = call(url, "/v3/maintenance/hashkv", json!({})).await;
    assert!(hash["hash"].is_number() && hash["hash_revision"].is_string(), "{hash}");
    let alarms =
        call(url, "/v3/maintenance/alarm", json!({"action":"GET","alarm":"NOSPACE"})).await;
    assert_eq!(alarms, json!({}));
}

#[tokio::test]
async fn pages_of_other_origins_may_call_where_they_are_allowed() {
    let url = shared_endpoint().await;
    let answer = send(url, "OPTIONS", "/v3/kv/range", &[("Origin", "http://a.example")], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"));
    let flags =
        ["--cors", "http://a.example:80,http://b.example:80", "--host-whitelist", "127.0.0.1"];
    let cluster = Cluster::single(&flags).await;
    let url = cluster.endpoint(0);
    let origin = async |origin: &str| {
        let headers = [("Host", "127.0.0.1:1"), ("Origin", origin)];
        let answer = send(url, "GET", "/health", &headers, "").await;
        assert_eq!(answer.status, 200);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(origin("http://b.example:80").await.as_deref(), Some("http://b.example:80"));
    assert_eq!(origin("http://evil.example").await, None);
    let answer = send(url, "GET", "/health", &[("Host", "evil.example")], "").await;
    assert_eq!(answer.status, 421, "a name bent to this address (CVE-2018-5702)");
}

#[tokio::test]
async fn the_gateway_can_be_left_out() {
    let cluster = Cluster::single(&["--enable-grpc-gateway=false"]).await;
    let answer = post(cluster.endpoint(0), "/v3/kv/range", r#"{"key":"Zm9v"}"#).await;
    assert_eq!(answer.status, 404);
    assert_eq!(look(cluster.endpoint(0), "/health").await.status, 200);
}
