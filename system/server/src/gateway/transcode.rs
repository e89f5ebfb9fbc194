//! JSON to protobuf and back, by proto3's rules: the part of the gateway that reads what people write.
//!
//! No sockets and no calls, so that it can be tested, and fuzzed, by itself.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, SerializeOptions,
};
use quorate_wire::etcd::DESCRIPTOR_SET;
use std::collections::HashMap;
use tonic::{Code, Status};

use super::paths::PATHS;

/// The calls of the API, by the path below `/v3/`.
pub fn calls() -> HashMap<&'static str, MethodDescriptor> {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).expect("committed, and read by a test");
    let call = |(path, service, method): &(&'static str, &str, &str)| {
        let service = pool.get_service_by_name(service).expect("the table names real services");
        let method = service.methods().find(|known| known.name() == *method);
        (*path, method.expect("the table names real methods"))
    };
    PATHS.iter().map(call).collect()
}

/// One JSON object as one message of a gRPC body: five bytes of prefix, then protobuf.
///
/// # Errors
/// As [`parse`].
pub fn framed(input: &MessageDescriptor, json: &[u8]) -> Result<Bytes, Status> {
    let message = parse(input, json)?;
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).map_err(|_| Status::resource_exhausted("too large"))?);
    message.encode_raw(&mut frame);
    Ok(frame.freeze())
}

/// Reads one object. Unknown fields are passed over, as etcd does.
///
/// # Errors
/// `InvalidArgument`, with what was not understood.
pub fn parse(input: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, Status> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(input.clone()));
    }
    let options = prost_reflect::DeserializeOptions::new().deny_unknown_fields(false);
    let mut reader = serde_json::Deserializer::from_slice(json);
    DynamicMessage::deserialize_with_options(input.clone(), &mut reader, &options).map_err(
        |error| match error.classify() {
            serde_json::error::Category::Eof => Status::invalid_argument("unexpected EOF"),
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Data => {
                Status::new(Code::InvalidArgument, format!("proto: {error}"))
            }
        },
    )
}

/// One message by proto3's rules, under the names that its definition gives to its fields.
///
/// # Errors
/// `Internal`, when the bytes are no such message.
pub fn json(output: &MessageDescriptor, message: Bytes) -> Result<Vec<u8>, Status> {
    let message = DynamicMessage::decode(output.clone(), message).map_err(|e| lost(&e))?;
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(true)
        .use_proto_field_name(true)
        .skip_default_fields(true);
    let mut out = Vec::new();
    let mut writer = serde_json::Serializer::new(&mut out);
    message.serialize_with_options(&mut writer, &options).map_err(|e| lost(&e))?;
    Ok(out)
}

fn lost(error: &dyn std::fmt::Display) -> Status {
    Status::internal(format!("the answer cannot be read: {error}"))
}

/// Finds where an object of a stream ends, however its bytes are cut.
#[derive(Default, Debug)]
pub struct Splitter {
    /// Bytes that were looked at.
    seen: usize,
    depth: usize,
    in_text: bool,
    after_backslash: bool,
}

impl Splitter {
    /// Takes the next whole object off the front of `buffer`; `None` when there is none yet.
    ///
    /// # Errors
    /// `InvalidArgument`, when what comes next is no object.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Status> {
        if self.depth == 0 {
            let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            buffer.advance(blank);
            self.seen = 0;
            match buffer.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(other) => {
                    let other = char::from(*other);
                    let why = format!("proto: syntax error: unexpected token {other:?}");
                    return Err(Status::invalid_argument(why));
                }
            }
        }
        while let Some(byte) = buffer.get(self.seen) {
            self.seen += 1;
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' if self.in_text => self.after_backslash = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                return Ok(Some(buffer.split_to(std::mem::take(&mut self.seen)).freeze()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_however_they_are_cut() {
        let text = br#" {"a":"}\"{"}{"b":[{}, {"c":1}]}
            {}"#;
        for size in 1..text.len() {
            let (mut splitter, mut buffer, mut found) =
                (Splitter::default(), BytesMut::new(), Vec::new());
            for piece in text.chunks(size) {
                buffer.extend_from_slice(piece);
                while let Some(object) = splitter.next(&mut buffer).expect("well-formed") {
                    found.push(object);
                }
            }
            assert_eq!(found, [&br#"{"a":"}\"{"}"#[..], br#"{"b":[{}, {"c":1}]}"#, b"{}"]);
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn anything_but_an_object_is_refused_at_once() {
        for text in ["x", "[]", "1", "{} x"] {
            let (mut splitter, mut buffer) = (Splitter::default(), BytesMut::from(text));
            let mut outcome = splitter.next(&mut buffer);
            if text.starts_with('{') {
                outcome = splitter.next(&mut buffer);
            }
            assert!(outcome.is_err(), "{text}");
        }
    }
}
