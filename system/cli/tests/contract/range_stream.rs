//! Behaviour 12: a range in pieces, all of one revision.

use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::harness::api::*;
use crate::harness::client::CALL_LIMIT;
use crate::harness::*;

async fn open(
    client: &Client,
    request: RangeRequest,
) -> Result<Streaming<RangeStreamResponse>, Status> {
    client.kv().range_stream(request).await.map(tonic::Response::into_inner)
}

async fn next(
    stream: &mut Streaming<RangeStreamResponse>,
) -> Result<Option<RangeResponse>, Status> {
    let piece = timeout(CALL_LIMIT, stream.message()).await.expect("a piece in time")?;
    Ok(piece.map(|piece| piece.range_response.expect("a piece holds an answer")))
}

async fn pieces(client: &Client, request: RangeRequest) -> Result<Vec<RangeResponse>, Status> {
    let mut stream = open(client, request).await?;
    let mut pieces = Vec::new();
    while let Some(piece) = next(&mut stream).await? {
        pieces.push(piece);
    }
    Ok(pieces)
}

/// Only the last piece says anything but pairs; the pairs of all of them.
fn whole(pieces: Vec<RangeResponse>) -> RangeResponse {
    let last = pieces.len() - 1;
    let mut whole = RangeResponse::default();
    for (at, piece) in pieces.into_iter().enumerate() {
        if at < last {
            assert_eq!((&piece.header, piece.more, piece.count), (&None, false, 0), "piece {at}");
            assert!(!piece.kvs.is_empty(), "piece {at} says nothing");
        }
        whole.kvs.extend(piece.kvs);
        (whole.header, whole.more, whole.count) = (piece.header, piece.more, piece.count);
    }
    assert!(whole.header.is_some(), "the last piece carries the header");
    whole
}

async fn fill(client: &Client, prefix: &str, count: usize, bytes: usize) {
    let value = "v".repeat(bytes);
    for first in (0..count).step_by(100) {
        let puts = first..count.min(first + 100);
        let puts: Vec<_> = puts.map(|i| put(format!("{prefix}{i:05}"), &value).op()).collect();
        client.kv().txn(always(puts)).await.unwrap();
    }
}

#[tokio::test]
async fn c12_the_pieces_together_are_the_range() {
    let client = shared().await;
    fill(&client, "c12/whole/", 250, 10).await;
    for request in [
        prefix("c12/whole/"),
        RangeRequest { limit: 35, ..prefix("c12/whole/") },
        RangeRequest { limit: 10, ..prefix("c12/whole/") },
        RangeRequest { limit: 250, ..prefix("c12/whole/") },
        RangeRequest { keys_only: true, ..prefix("c12/whole/") },
        RangeRequest { serializable: true, limit: 3, ..prefix("c12/whole/") },
        RangeRequest { sort_order: 1, ..prefix("c12/whole/") },
        get("c12/whole/00007"),
        get("c12/nothing"),
        prefix("c12/nothing/"),
    ] {
        let plain = client.range(request.clone()).await.unwrap();
        let streamed = whole(pieces(&client, request.clone()).await.unwrap());
        assert_eq!(streamed.kvs, plain.kvs, "{request:?}");
        assert_eq!((streamed.more, streamed.count), (plain.more, plain.count), "{request:?}");
        assert!(revision(&streamed.header) > 0);
    }
}

#[tokio::test]
async fn c12_the_first_piece_is_small_and_the_next_ones_grow() {
    let client = shared().await;
    fill(&client, "c12/grow/", 200, 10).await;
    let sizes = pieces(&client, prefix("c12/grow/")).await.unwrap();
    let sizes: Vec<_> = sizes.iter().map(|piece| piece.kvs.len()).collect();
    assert_eq!(sizes, [10, 20, 40, 80, 50]);
}

#[tokio::test]
async fn c12_pieces_of_large_values_stay_near_a_request() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    fill(&client, "small/", 300, 10).await;
    let value = "x".repeat(700_000);
    for i in 0..12 {
        client.write(&format!("small/9{i:04}"), &value).await;
    }
    let pieces = pieces(&client, prefix("small/")).await.unwrap();
    let weight = |piece: &RangeResponse| piece.kvs.iter().map(|kv| kv.value.len()).sum::<usize>();
    let heaviest = pieces.iter().map(weight).max().unwrap();
    assert_eq!(whole(pieces).kvs.len(), 312);
    if Kind::current() == Kind::Quorate {
        // etcd takes the number of pairs of the piece before, whatever they weigh now.
        assert!(heaviest < 3 << 20, "a piece of {heaviest} bytes");
    }
}

#[tokio::test]
async fn c12_the_whole_stream_is_of_the_revision_at_which_it_began() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    // More than the windows between the two take, so that the server has not sent all of it.
    fill(&client, "k/", 400, 12_000).await;
    let begun = client.revision().await;
    let mut stream = open(&client, prefix("k/")).await.unwrap();
    let first = next(&mut stream).await.unwrap().unwrap();
    assert_eq!(first.kvs.len(), 10);
    client.delete(delete_prefix("k/003")).await.unwrap();
    client.write("k/00399", "changed").await;
    client.write("k/99999", "new").await;
    let mut kvs = first.kvs;
    let mut last = None;
    while let Some(piece) = next(&mut stream).await.unwrap() {
        kvs.extend(piece.kvs.clone());
        last = Some(piece);
    }
    assert_eq!(kvs.len(), 400);
    assert!(kvs.iter().all(|kv| kv.mod_revision <= begun && kv.value.len() == 12_000));
    let last = last.unwrap();
    assert_eq!((revision(&last.header), last.count), (begun, 400));
}

#[tokio::test]
async fn c12_a_revision_may_be_asked_for() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    fill(&client, "k/", 30, 5).await;
    let old = client.revision().await;
    client.delete(delete_prefix("k/0001")).await.unwrap();
    let now = client.revision().await;
    let at = |revision| RangeRequest { revision, ..prefix("k/") };
    let then = whole(pieces(&client, at(old)).await.unwrap());
    assert_eq!((then.kvs.len(), then.count), (30, 30));
    assert_eq!(revision(&then.header), now, "the header tells the store's revision at the start");
    let limited = RangeRequest { limit: 12, ..at(old) };
    let limited = whole(pieces(&client, limited).await.unwrap());
    assert_eq!((limited.kvs.len(), limited.more, limited.count), (12, true, 30));
    let future = "etcdserver: mvcc: required revision is a future revision";
    refused(pieces(&client, at(now + 1)).await, Code::OutOfRange, future);
    client.compact(now, true).await.unwrap();
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    refused(pieces(&client, at(old)).await, Code::OutOfRange, compacted);
}

#[tokio::test]
async fn c12_a_count_is_one_message() {
    let client = shared().await;
    fill(&client, "c12/count/", 120, 5).await;
    let request = RangeRequest { count_only: true, ..prefix("c12/count/") };
    let pieces = pieces(&client, request).await.unwrap();
    assert_eq!(pieces.len(), 1);
    assert_eq!((pieces[0].kvs.len(), pieces[0].count, pieces[0].more), (0, 120, false));
    assert!(pieces[0].header.is_some());
}

#[tokio::test]
async fn c12_what_needs_all_of_it_first_is_unimplemented() {
    let client = shared().await;
    let order = "RangeStream does not support custom sort orders";
    let filter = "RangeStream does not support revision filters";
    for (request, text) in [
        (RangeRequest { sort_order: 2, ..prefix("c12/") }, order),
        (RangeRequest { sort_order: 1, sort_target: 3, ..prefix("c12/") }, order),
        (RangeRequest { min_mod_revision: 1, ..prefix("c12/") }, filter),
        (RangeRequest { max_create_revision: 9, ..prefix("c12/") }, filter),
    ] {
        refused(pieces(&client, request).await, Code::Unimplemented, text);
    }
    let empty = pieces(&client, RangeRequest::default()).await;
    refused(empty, Code::InvalidArgument, "etcdserver: key is not provided");
    let unknown = pieces(&client, RangeRequest { sort_order: 9, ..prefix("c12/") }).await;
    refused(unknown, Code::InvalidArgument, "etcdserver: invalid sort option");
}
