//! Behaviours 64 and 65 over the JSON gateway: the token travels in `Authorization`, and what is
//! refused is refused as over gRPC.

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::auth_rights::{Realm, realm};
use crate::harness::Kind;
use crate::harness::http::{Answer, begin, send};

async fn call(url: &str, token: &str, path: &str, request: &Value) -> Answer {
    let headers = [("Authorization", token)];
    let headers = if token.is_empty() { &headers[..0] } else { &headers[..] };
    send(url, "POST", path, headers, &request.to_string()).await
}

/// A lock or an election: etcd has the right text under another code.
#[track_caller]
fn denied_in_line(answer: &Answer) {
    let (status, code) = match Kind::current() {
        Kind::Quorate => (403, 7),
        Kind::Etcd => (500, 2),
    };
    refused_with(answer, status, code, "etcdserver: permission denied");
}

#[track_caller]
fn refused_with(answer: &Answer, status: u16, code: i64, text: &str) {
    let told = answer.json();
    let found = (answer.status, told["code"].as_i64(), told["message"].as_str());
    assert_eq!(found, (status, Some(code), Some(text)));
}

#[tokio::test]
async fn c64_a_token_opens_the_gateway() {
    let Realm { cluster, .. } = &realm().await;
    let url = cluster.endpoint(0);
    let login = json!({"name": "rw", "password": "pw"});
    let answer = call(url, "", "/v3/auth/authenticate", &login).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["token"].as_str().expect("a token").to_owned();
    let wrong = json!({"name": "rw", "password": "other"});
    let failed = "etcdserver: authentication failed, invalid user ID or password";
    refused_with(&call(url, "", "/v3/auth/authenticate", &wrong).await, 400, 3, failed);

    // "a/k" and "z".
    let (inside, outside) = ("YS9r", "eg==");
    let put = |key: &str| json!({"key": key, "value": "dg=="});
    let empty = "etcdserver: user name is empty";
    refused_with(&call(url, "", "/v3/kv/put", &put(inside)).await, 400, 3, empty);
    let invalid = "etcdserver: invalid auth token";
    refused_with(&call(url, "nobody.1", "/v3/kv/put", &put(inside)).await, 401, 16, invalid);
    let denied = "etcdserver: permission denied";
    refused_with(&call(url, &token, "/v3/kv/put", &put(outside)).await, 403, 7, denied);
    assert_eq!(call(url, &token, "/v3/kv/put", &put(inside)).await.status, 200);
    let bearer = format!("Bearer {token}");
    let range = json!({"key": inside});
    let read = call(url, &bearer, "/v3/kv/range", &range).await;
    assert_eq!(read.json()["kvs"][0]["value"], "dg==", "{read:?}");
    refused_with(&call(url, &token, "/v3/auth/user/list", &json!({})).await, 403, 7, denied);
    let own = call(url, &token, "/v3/auth/user/get", &json!({"name": "rw"})).await;
    assert_eq!(own.json()["roles"], json!(["rw"]), "{own:?}");
    assert_eq!(call(url, "", "/v3/auth/status", &json!({})).await.json()["enabled"], true);
    refused_with(
        &call(url, &token, "/v3/maintenance/defragment", &json!({})).await,
        403,
        7,
        denied,
    );
    assert_eq!(call(url, &token, "/v3/maintenance/status", &json!({})).await.status, 200);

    // "a/l" and "z": a lock, an election, and their ends.
    let lease = call(url, &token, "/v3/lease/grant", &json!({"TTL": "600"})).await;
    let lease = lease.json()["ID"].as_str().expect("an id").to_owned();
    let lock = |name: &str| json!({"name": name, "lease": lease});
    denied_in_line(&call(url, &token, "/v3/lock/lock", &lock("eg==")).await);
    let held = call(url, &token, "/v3/lock/lock", &lock("YS9s")).await;
    assert_eq!(held.status, 200, "{held:?}");
    let key = held.json()["key"].clone();
    assert_ne!(call(url, "", "/v3/lock/unlock", &json!({"key": key})).await.status, 200);
    assert_eq!(call(url, &token, "/v3/lock/unlock", &json!({"key": key})).await.status, 200);
    let campaign = |name: &str| json!({"name": name, "lease": lease, "value": "dg=="});
    denied_in_line(&call(url, &token, "/v3/election/campaign", &campaign("eg==")).await);
    assert_eq!(call(url, &token, "/v3/election/campaign", &campaign("YS9l")).await.status, 200);
    let leader = call(url, &token, "/v3/election/leader", &json!({"name": "YS9l"})).await;
    assert_eq!(leader.json()["kv"]["value"], "dg==", "{leader:?}");
}

#[tokio::test]
async fn c44_a_watch_over_the_gateway_is_refused_inside_of_the_stream() {
    let Realm { cluster, client, .. } = &realm().await;
    let url = cluster.endpoint(0);
    let token = client.login("r", "pw").await.unwrap();
    let first = async |token: &str, key: &str| {
        let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        let request = json!({"create_request": {"key": key}}).to_string();
        let headers = [("Authorization", token)];
        let mut answers = begin(stream, "POST", "/v3/watch", &headers, &request).await;
        assert_eq!(answers.status, 200);
        answers.line().await.expect("an answer")["result"].take()
    };
    let answer = first(&token, "YS9r").await;
    assert_eq!((&answer["created"], &answer["canceled"]), (&json!(true), &Value::Null));
    let answer = first(&token, "eg==").await;
    let reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    assert_eq!((&answer["canceled"], &answer["cancel_reason"]), (&json!(true), &json!(reason)));
}
