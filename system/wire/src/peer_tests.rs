//! Every peer message survives the wire; nothing that is not one makes a reader panic.

use crate::hello::{Answer, Hello, Purpose, get_answer, get_hello, put_answer, put_hello};
use crate::peer::{FRAME_HEADER, get_frame, get_tagged, put_frame};
use bytes::{Bytes, BytesMut};
use quorate_base::{Dice, NodeId};
use quorate_node::{Ask, GroupId, Message, Tagged};
use quorate_raft::{Entry, LogId, Membership, Message as Raft, SnapshotMeta};
use quorate_store::Member;

fn samples() -> Vec<Message> {
    let last = LogId { term: 3, index: 900 };
    let bytes = Bytes::from_static(b"some bytes");
    let membership = Membership::of([NodeId(1), NodeId(u64::MAX)]);
    let changing = Membership {
        outgoing: [NodeId(1), NodeId(7)].into(),
        learners: [NodeId(7)].into(),
        ..membership.clone()
    };
    let entries = vec![
        Entry { index: 901, term: 3, payload: Bytes::new() },
        Entry { index: 902, term: 4, payload: bytes.clone() },
    ];
    let raft = vec![
        Raft::PreVote { term: 1, last },
        Raft::PreVoteReply { term: 1, granted: true },
        Raft::Vote { term: 2, last, transfer: true },
        Raft::VoteReply { term: 2, granted: false },
        Raft::Append { term: 4, prev: last, entries, commit: 899 },
        Raft::Append { term: 4, prev: LogId::default(), entries: vec![], commit: 0 },
        Raft::Appended { term: 4, matched: 902 },
        Raft::AppendRefused { term: 4, prev_index: 900, hint: last },
        Raft::Heartbeat { term: u64::MAX, round: 7, commit: 3 },
        Raft::HeartbeatReply { term: 4, round: 7 },
        Raft::ReadIndex { term: 4, token: 77 },
        Raft::ReadIndexReply { term: 4, token: 77, index: 902 },
        Raft::SnapshotChunk {
            term: 4,
            meta: SnapshotMeta { last, membership },
            after: Bytes::new(),
            next: bytes.clone(),
            data: bytes.clone(),
            done: true,
        },
        Raft::SnapshotChunk {
            term: 4,
            meta: SnapshotMeta { last, membership: changing },
            after: bytes.clone(),
            next: bytes.clone(),
            data: bytes.clone(),
            done: false,
        },
        Raft::SnapshotAck { term: 4, last, cursor: bytes.clone() },
        Raft::TimeoutNow { term: 4 },
    ];
    let mut all: Vec<Message> = raft.into_iter().map(Message::Raft).collect();
    all.push(Message::Forward(vec![bytes.clone(), bytes]));
    all.push(Message::Ask { applied: 9, asks: vec![(1, Ask::Renew(-4)), (2, Ask::Remaining(4))] });
    all.push(Message::Told(vec![(1, 60), (2, -1)]));
    all
}

#[test]
fn every_message_round_trips_through_a_stream_of_frames() {
    let mut stream = BytesMut::new();
    for body in samples() {
        put_frame(&mut stream, &Tagged { group: GroupId(5), body });
    }
    for body in samples() {
        let frame = get_frame(&mut stream).unwrap().expect("a whole frame");
        assert_eq!(get_tagged(frame).unwrap(), Tagged { group: GroupId(5), body });
    }
    assert!(get_frame(&mut stream).unwrap().is_none());
}

#[test]
fn a_flipped_bit_anywhere_in_a_body_ends_the_connection() {
    let mut whole = BytesMut::new();
    put_frame(&mut whole, &Tagged { group: GroupId(0), body: samples().remove(4) });
    for at in FRAME_HEADER..whole.len() {
        let mut flipped = BytesMut::from(&whole[..]);
        flipped[at] ^= 0x10;
        assert!(get_frame(&mut flipped).is_err(), "byte {at}");
    }
}

#[test]
fn cut_and_random_bodies_never_panic() {
    let mut dice = Dice::new(9);
    for message in samples() {
        let mut out = BytesMut::new();
        put_frame(&mut out, &Tagged { group: GroupId(0), body: message });
        let body = out.freeze().slice(FRAME_HEADER..);
        for cut in 0..body.len() {
            assert!(get_tagged(body.slice(..cut)).is_err());
        }
        for _ in 0..200 {
            let mut flipped = body.to_vec();
            let at = dice.below(flipped.len() as u64) as usize;
            flipped[at] = dice.next_u64() as u8;
            let _ = get_tagged(Bytes::from(flipped));
        }
    }
}

#[test]
fn hellos_and_answers_round_trip_and_other_versions_are_still_readable() {
    let hello = Hello {
        protocol: crate::peer::PROTOCOL,
        release: "0.1.0".into(),
        cluster: 0xfeed,
        from: NodeId(1),
        to: NodeId(2),
        incarnation: 99,
        purpose: Purpose::Bulk,
        name: "n1".into(),
        peer_urls: Vec::new(),
        client_urls: vec!["http://127.0.0.1:2379".into()],
    };
    let mut out = BytesMut::new();
    put_hello(&mut out, &hello);
    assert_eq!(get_hello(out.freeze()).unwrap(), hello);

    let newcomer = Hello { peer_urls: vec!["http://h:2380".into()], ..hello.clone() };
    let mut out = BytesMut::new();
    put_hello(&mut out, &newcomer);
    assert_eq!(get_hello(out.freeze()).unwrap(), newcomer);

    let newer = Hello { protocol: 9, release: "9.0.0".into(), ..hello };
    let mut out = BytesMut::new();
    put_hello(&mut out, &newer);
    let read = get_hello(out.freeze()).unwrap();
    assert_eq!((read.protocol, read.release.as_str()), (9, "9.0.0"));

    for answer in [
        Answer::Refused { why: "another cluster".into() },
        Answer::Removed { why: "long ago".into() },
        Answer::Cluster {
            cluster: 7,
            members: vec![Member {
                id: 9,
                name: "n9".into(),
                peer_urls: vec!["http://a:1".into(), "http://b:1".into()],
                client_urls: vec![],
                learner: true,
            }],
        },
        Answer::Welcome { incarnation: 5, known: Some(4), name: "n2".into(), client_urls: vec![] },
    ] {
        let mut out = BytesMut::new();
        put_answer(&mut out, &answer);
        assert_eq!(get_answer(out.freeze()).unwrap(), answer);
    }
}
