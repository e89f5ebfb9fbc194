//! What comes over the network: from peers, through the log, and from clients.

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use quorate_base::NodeId;
use quorate_node::{GroupId, Message, Tagged};
use quorate_raft::{Entry, LogId, Membership, Message as Raft, SnapshotMeta};
use quorate_server::convert;
use quorate_store::validate::{self, MAX_TXN_OPS};
use quorate_store::{
    Action, Command, Compare, CompareResult, CompareTarget, Delete, KeyRange, OpId, Put, Range,
    Txn, TxnOp,
};
use quorate_wire::command;
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::hello::{Answer, Hello, Purpose, get_answer, get_hello, put_answer, put_hello};
use quorate_wire::peer::{get_frame, get_tagged, put_frame};

use crate::Target;

/// Frames of peers, one after the other, as they come off a socket.
pub const PEER_FRAMES: Target = Target {
    name: "peer_frames",
    reads: "the byte stream between members",
    words: &[],
    seeds: || vec![messages().iter().flat_map(framed).collect(), framed(&messages()[0])],
    run: |input| {
        // However the bytes are cut into pieces, the frames are the same.
        let (whole, cut) = (frames(input, input.len()), frames(input, 3));
        assert_eq!(whole, cut, "frames depend on how the bytes arrive");
    },
};

/// One message of a peer, its checksum being right.
pub const PEER_MESSAGE: Target = Target {
    name: "peer_message",
    reads: "the body of a peer's frame",
    words: &[],
    seeds: || messages().iter().map(|message| framed(message)[8..].to_vec()).collect(),
    run: |input| {
        let Ok(message) = get_tagged(Bytes::copy_from_slice(input)) else { return };
        let mut frame = BytesMut::new();
        put_frame(&mut frame, &message);
        let body = get_frame(&mut frame).expect("a frame").expect("all of it");
        assert_eq!(get_tagged(body).expect("our own message"), message);
    },
};

/// The first frames of a connection, of either side.
pub const HELLO: Target = Target {
    name: "hello",
    reads: "the hello of a peer, and the answer to it",
    words: &[],
    seeds: || {
        let mut out = BytesMut::new();
        put_hello(&mut out, &a_hello());
        let mut answer = BytesMut::new();
        put_answer(&mut answer, &Answer::Refused { why: "a reason".into() });
        vec![out.to_vec(), answer.to_vec()]
    },
    run: |input| {
        let input = Bytes::copy_from_slice(input);
        if let Ok(hello) = get_hello(input.clone()) {
            let mut out = BytesMut::new();
            put_hello(&mut out, &hello);
            assert_eq!(get_hello(out.freeze()).expect("our own hello"), hello);
        }
        if let Ok(answer) = get_answer(input) {
            let mut out = BytesMut::new();
            put_answer(&mut out, &answer);
            assert_eq!(get_answer(out.freeze()).expect("our own answer"), answer);
        }
    },
};

/// A command in the log.
pub const COMMAND: Target = Target {
    name: "command",
    reads: "the payload of a log entry",
    words: &[],
    seeds: || commands().iter().map(|command| command::encode(command).to_vec()).collect(),
    run: |input| {
        let payload = Bytes::copy_from_slice(input);
        let Ok(read) = command::decode(&payload) else { return };
        assert_eq!(command::peek_id(&payload).expect("it was read"), read.id);
        assert_eq!(command::decode(&command::encode(&read)).expect("our own command"), read);
    },
};

/// A request of a client: its first byte says to which call.
pub const CLIENT_REQUEST: Target = Target {
    name: "client_request",
    reads: "requests of clients, up to their translation into commands",
    words: &[],
    seeds: requests,
    run: |input| {
        let Some((call, body)) = input.split_first() else { return };
        match call % 6 {
            0 => drop(pb::RangeRequest::decode(body).map(convert::range)),
            1 => drop(pb::PutRequest::decode(body).map(convert::put)),
            2 => drop(pb::DeleteRangeRequest::decode(body).map(convert::delete)),
            3 => {
                let Ok(request) = pb::TxnRequest::decode(body) else { return };
                convert::all_serializable(&request);
                if let Ok(txn) = convert::txn(request, MAX_TXN_OPS) {
                    let action = Action::Txn(txn);
                    let _ = validate::check(&action, MAX_TXN_OPS);
                    let command = Command::new(OpId::default(), action);
                    let read = command::decode(&command::encode(&command));
                    assert_eq!(read.expect("what the API takes, the log takes"), command);
                }
            }
            4 => drop(pb::WatchRequest::decode(body)),
            _ => drop(pb::AuthRoleGrantPermissionRequest::decode(body)),
        }
    },
};

/// The frames of a stream that arrives in pieces, and whether it ended in an error.
fn frames(input: &[u8], piece: usize) -> (Vec<Bytes>, bool) {
    let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
    for piece in input.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match get_frame(&mut buffer) {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

fn framed(message: &Tagged<Message>) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_frame(&mut out, message);
    out.to_vec()
}

fn messages() -> Vec<Tagged<Message>> {
    let last = LogId { term: 3, index: 900 };
    let payload = command::encode(&commands()[0]);
    let entries = vec![
        Entry { index: 901, term: 3, payload: Bytes::new() },
        Entry { index: 902, term: 4, payload },
    ];
    let membership = Membership {
        outgoing: [NodeId(1), NodeId(7)].into(),
        learners: [NodeId(9)].into(),
        ..Membership::of([NodeId(1), NodeId(2), NodeId(u64::MAX)])
    };
    let chunk = Raft::SnapshotChunk {
        term: 4,
        meta: SnapshotMeta { last, membership },
        after: Bytes::from_static(b"after"),
        next: Bytes::from_static(b"next"),
        data: Bytes::from_static(b"some data"),
        done: true,
    };
    let raft = [
        Raft::Append { term: 4, prev: last, entries, commit: 899 },
        Raft::Vote { term: 2, last, transfer: true },
        Raft::Heartbeat { term: u64::MAX, round: 7, commit: 3 },
        Raft::ReadIndex { term: 4, token: 77 },
        chunk,
    ];
    let tag = |message| Tagged { group: GroupId(1), body: Message::Raft(message) };
    raft.into_iter().map(tag).collect()
}

fn a_hello() -> Hello {
    Hello {
        protocol: 1,
        release: "0.1.0".into(),
        cluster: 7,
        from: NodeId(1),
        to: NodeId(2),
        incarnation: 99,
        purpose: Purpose::Messages,
        name: "n1".into(),
        client_urls: vec!["http://127.0.0.1:2379".into()],
        peer_urls: vec!["http://127.0.0.1:2380".into()],
    }
}

/// One command of most kinds.
pub fn commands() -> Vec<Command> {
    let put = Put { key: "key".into(), value: "value".into(), lease: 7, ..Put::default() };
    let range = KeyRange { key: "a".into(), end: "k".into() };
    let compare = Compare {
        range: range.clone(),
        result: CompareResult::NotEqual,
        target: CompareTarget::Value("value".into()),
    };
    let delete = Delete { range: range.clone(), prev_kv: true };
    let nested = Txn { failure: vec![TxnOp::Delete(delete.clone())], ..Txn::default() };
    let txn = Txn {
        compares: vec![compare],
        success: vec![
            TxnOp::Put(Put { lease: 0, ..put.clone() }),
            TxnOp::Range(Range { range, limit: 3, ..Range::default() }),
        ],
        failure: vec![TxnOp::Txn(nested)],
    };
    let actions = [
        Action::LeaseGrant { id: 7, ttl: 60 },
        Action::Put(put),
        Action::Txn(txn),
        Action::Delete(delete),
        Action::Compact { revision: 3 },
        Action::LeaseRevoke { id: 7, term: None },
        Action::LeaseCheckpoint { term: 1, remaining: vec![(7, 5)] },
    ];
    let id = |seq| OpId { origin: 5, seq, floor: 0 };
    actions.into_iter().zip(1..).map(|(action, seq)| Command::new(id(seq), action)).collect()
}

fn requests() -> Vec<Vec<u8>> {
    let put = pb::PutRequest { key: "a".into(), value: "v".into(), lease: 7, ..Default::default() };
    let range = pb::RangeRequest {
        key: "a".into(),
        range_end: "z".into(),
        limit: 5,
        revision: 9,
        sort_order: 2,
        sort_target: 4,
        min_mod_revision: 1,
        ..Default::default()
    };
    let delete = pb::DeleteRangeRequest { key: "b".into(), prev_kv: true, ..Default::default() };
    let compare = pb::Compare {
        result: 3,
        target: 2,
        key: "a".into(),
        range_end: "\0".into(),
        target_union: Some(pb::compare::TargetUnion::ModRevision(5)),
    };
    let op = |request| pb::RequestOp { request: Some(request) };
    use pb::request_op::Request as R;
    let inner = pb::TxnRequest {
        success: vec![op(R::RequestDeleteRange(delete.clone()))],
        ..Default::default()
    };
    let txn = pb::TxnRequest {
        compare: vec![compare],
        success: vec![op(R::RequestPut(put.clone())), op(R::RequestRange(range.clone()))],
        failure: vec![op(R::RequestTxn(inner))],
    };
    let bodies =
        [range.encode_to_vec(), put.encode_to_vec(), delete.encode_to_vec(), txn.encode_to_vec()];
    bodies.into_iter().zip(0u8..).map(|(body, call)| [&[call][..], &body].concat()).collect()
}
