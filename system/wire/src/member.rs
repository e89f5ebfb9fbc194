//! Members of the cluster as bytes: in commands of the log, and in what a newcomer is told.

use crate::binary::{
    Malformed, Read, get_bool, get_count, get_text, get_u8, get_u64, put_bytes, put_u64,
};
use bytes::{BufMut, Bytes, BytesMut};
use quorate_store::{Member, MemberAction, MemberChange};

pub(crate) fn put_texts(out: &mut BytesMut, texts: &[String]) {
    put_u64(out, texts.len() as u64);
    texts.iter().for_each(|text| put_bytes(out, text.as_bytes()));
}

pub(crate) fn get_texts(input: &mut Bytes, what: &'static str) -> Read<Vec<String>> {
    let count = get_count(input, what)?;
    (0..count).map(|_| get_text(input, what)).collect()
}

fn put_member(out: &mut BytesMut, member: &Member) {
    put_u64(out, member.id);
    put_bytes(out, member.name.as_bytes());
    put_texts(out, &member.peer_urls);
    put_texts(out, &member.client_urls);
    out.put_u8(u8::from(member.learner));
}

fn get_member(input: &mut Bytes) -> Read<Member> {
    Ok(Member {
        id: get_u64(input, "member id")?,
        name: get_text(input, "member name")?,
        peer_urls: get_texts(input, "peer urls")?,
        client_urls: get_texts(input, "client urls")?,
        learner: get_bool(input, "learner")?,
    })
}

pub(crate) fn put_members(out: &mut BytesMut, members: &[Member]) {
    put_u64(out, members.len() as u64);
    members.iter().for_each(|member| put_member(out, member));
}

pub(crate) fn get_members(input: &mut Bytes) -> Read<Vec<Member>> {
    let count = get_count(input, "member count")?;
    (0..count).map(|_| get_member(input)).collect()
}

pub(crate) fn put_action(out: &mut BytesMut, action: &MemberAction) {
    put_members(out, &action.initial);
    put_u64(out, action.max_learners);
    match &action.change {
        MemberChange::Add(member) => {
            out.put_u8(1);
            put_member(out, member);
        }
        MemberChange::Remove { id } => {
            out.put_u8(2);
            put_u64(out, *id);
        }
        MemberChange::Update { id, peer_urls } => {
            out.put_u8(3);
            put_u64(out, *id);
            put_texts(out, peer_urls);
        }
        MemberChange::Promote { id } => {
            out.put_u8(4);
            put_u64(out, *id);
        }
        MemberChange::Publish { id, name, client_urls } => {
            out.put_u8(5);
            put_u64(out, *id);
            put_bytes(out, name.as_bytes());
            put_texts(out, client_urls);
        }
    }
}

pub(crate) fn get_action(input: &mut Bytes) -> Read<MemberAction> {
    let initial = get_members(input)?;
    let max_learners = get_u64(input, "learner limit")?;
    let change = match get_u8(input, "member change")? {
        1 => MemberChange::Add(get_member(input)?),
        2 => MemberChange::Remove { id: get_u64(input, "member id")? },
        3 => MemberChange::Update {
            id: get_u64(input, "member id")?,
            peer_urls: get_texts(input, "peer urls")?,
        },
        4 => MemberChange::Promote { id: get_u64(input, "member id")? },
        5 => MemberChange::Publish {
            id: get_u64(input, "member id")?,
            name: get_text(input, "member name")?,
            client_urls: get_texts(input, "client urls")?,
        },
        _ => return Err(Malformed { what: "member change" }),
    };
    Ok(MemberAction { change, initial, max_learners })
}
