//! How two members begin to talk: who they are, and whether they may.
//!
//! Both sides are sure of the cluster, the member and the *incarnation* (one life of a data
//! directory) of the other before a message counts. An acceptor remembers each peer's incarnation
//! on disk before it welcomes it, so a member that comes back with an empty directory is recognised
//! by every quorum that it was ever part of, and cannot vote a second time (trap B29).

use crate::binary::{Malformed, Read, finish, get_bool, get_bytes, get_text, get_u8, get_u64};
use crate::binary::{put_bytes, put_u64};
use crate::member::{get_members, get_texts, put_members, put_texts};
use bytes::{BufMut, Bytes, BytesMut};
use quorate_base::NodeId;
use quorate_store::Member;

/// What this connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Consensus and forwarding.
    Messages,
    /// Snapshot chunks, so that bulk never delays a heartbeat.
    Bulk,
    /// Only to ask whether the acceptor knows this member: nothing follows.
    Probe,
    /// Only to ask which cluster the acceptor belongs to and who its members are: whoever was added
    /// knows no ids yet, so `cluster`, `from` and `to` are zero. Nothing follows.
    Learn,
    /// One question about the acceptor's state, see [`crate::compare`].
    Compare,
}

/// The first frame of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The version of the peer protocol.
    pub protocol: u32,
    /// The release, for messages to people.
    pub release: String,
    /// Derived from the initial configuration.
    pub cluster: u64,
    /// Who opens the connection.
    pub from: NodeId,
    /// Whom it wants to reach.
    pub to: NodeId,
    /// Which life of its data directory it lives.
    pub incarnation: u64,
    /// Why.
    pub purpose: Purpose,
    /// Its name.
    pub name: String,
    /// Where its clients reach it.
    pub client_urls: Vec<String>,
    /// Where its peers reach it, when the cluster's members have changed since it began: the
    /// acceptor may not have heard of this one yet, and must be able to answer. Releases before
    /// that belong to clusters that have not changed.
    pub peer_urls: Vec<String>,
}

/// The answer to a [`Hello`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Go on. `known` tells, to a probe, that the acceptor remembers another incarnation.
    Welcome { incarnation: u64, known: Option<u64>, name: String, client_urls: Vec<String> },
    /// No; the text says why and what to do.
    Refused { why: String },
    /// To [`Purpose::Learn`]: the cluster and its members.
    Cluster { cluster: u64, members: Vec<Member> },
    /// No, and for ever: this member was removed from the cluster.
    Removed { why: String },
}

/// Writes a hello as the body of a frame. The protocol version comes first in every release.
pub fn put_hello(out: &mut BytesMut, hello: &Hello) {
    out.put_slice(b"quorate!");
    put_u64(out, u64::from(hello.protocol));
    put_bytes(out, hello.release.as_bytes());
    [hello.cluster, hello.from.0, hello.to.0, hello.incarnation]
        .into_iter()
        .for_each(|number| put_u64(out, number));
    out.put_u8(match hello.purpose {
        Purpose::Messages => 0,
        Purpose::Bulk => 1,
        Purpose::Probe => 2,
        Purpose::Learn => 3,
        Purpose::Compare => 4,
    });
    put_bytes(out, hello.name.as_bytes());
    put_texts(out, &hello.client_urls);
    if !hello.peer_urls.is_empty() {
        put_texts(out, &hello.peer_urls);
    }
}

/// Reads a hello. Of another version only `protocol` and `release` are read, the rest stays empty:
/// enough to refuse it by name.
pub fn get_hello(mut input: Bytes) -> Read<Hello> {
    if input.len() < 8 || input.split_to(8) != b"quorate!"[..] {
        return Err(Malformed { what: "hello: not a Quorate member" });
    }
    let protocol = get_u64(&mut input, "protocol version")? as u32;
    let release = get_text(&mut input, "release")?;
    let mut hello = Hello {
        protocol,
        release,
        cluster: 0,
        from: NodeId(0),
        to: NodeId(0),
        incarnation: 0,
        purpose: Purpose::Probe,
        name: String::new(),
        client_urls: Vec::new(),
        peer_urls: Vec::new(),
    };
    if protocol != crate::peer::PROTOCOL {
        return Ok(hello);
    }
    hello.cluster = get_u64(&mut input, "cluster id")?;
    hello.from = NodeId(get_u64(&mut input, "member id")?);
    hello.to = NodeId(get_u64(&mut input, "member id")?);
    hello.incarnation = get_u64(&mut input, "incarnation")?;
    hello.purpose = match get_u8(&mut input, "purpose")? {
        0 => Purpose::Messages,
        1 => Purpose::Bulk,
        2 => Purpose::Probe,
        3 => Purpose::Learn,
        4 => Purpose::Compare,
        _ => return Err(Malformed { what: "purpose" }),
    };
    hello.name = get_text(&mut input, "member name")?;
    hello.client_urls = get_texts(&mut input, "client urls")?;
    if !input.is_empty() {
        hello.peer_urls = get_texts(&mut input, "peer urls")?;
    }
    finish(&input, "hello: bytes after its end")?;
    Ok(hello)
}

/// Writes an answer as the body of a frame.
pub fn put_answer(out: &mut BytesMut, answer: &Answer) {
    match answer {
        Answer::Welcome { incarnation, known, name, client_urls } => {
            out.put_u8(1);
            put_u64(out, *incarnation);
            out.put_u8(u8::from(known.is_some()));
            put_u64(out, known.unwrap_or(0));
            put_bytes(out, name.as_bytes());
            put_texts(out, client_urls);
        }
        Answer::Refused { why } => {
            out.put_u8(0);
            put_bytes(out, why.as_bytes());
        }
        Answer::Cluster { cluster, members } => {
            out.put_u8(2);
            put_u64(out, *cluster);
            put_members(out, members);
        }
        Answer::Removed { why } => {
            out.put_u8(3);
            put_bytes(out, why.as_bytes());
        }
    }
}

/// Reads an answer.
pub fn get_answer(mut input: Bytes) -> Read<Answer> {
    let kind = get_u8(&mut input, "answer")?;
    if kind == 2 {
        let cluster = get_u64(&mut input, "cluster id")?;
        return Ok(Answer::Cluster { cluster, members: get_members(&mut input)? });
    }
    if kind != 1 {
        let why = String::from_utf8_lossy(&get_bytes(&mut input, "reason")?).into_owned();
        return match kind {
            0 => Ok(Answer::Refused { why }),
            3 => Ok(Answer::Removed { why }),
            _ => Err(Malformed { what: "answer" }),
        };
    }
    let incarnation = get_u64(&mut input, "incarnation")?;
    let is_known = get_bool(&mut input, "known")?;
    let known = get_u64(&mut input, "known incarnation")?;
    let name = get_text(&mut input, "member name")?;
    let client_urls = get_texts(&mut input, "client urls")?;
    Ok(Answer::Welcome { incarnation, known: is_known.then_some(known), name, client_urls })
}
