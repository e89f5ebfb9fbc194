//! JSON as etcdctl prints it.
//!
//! Scripts parse this, and some of them compare it, so the order of fields, which of them are left out when zero, base64
//! for bytes and Go's escapes in strings are etcdctl's. A small writer gives that control without a second set of types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_client::etcd::etcdserverpb::ResponseHeader;
use quorate_client::etcd::mvccpb::{Event, KeyValue};

/// An object being written; `end` closes it.
#[derive(Debug, Default)]
pub struct Object {
    text: String,
}

impl Object {
    /// An empty object.
    pub fn new() -> Self {
        Self { text: String::from("{") }
    }

    /// A field whose value is JSON already.
    pub fn raw(mut self, name: &str, value: &str) -> Self {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        self.text.push_str(value);
        self
    }

    /// A number, a truth value, or anything that JSON writes as it is displayed.
    pub fn value(self, name: &str, value: impl ToString) -> Self {
        self.raw(name, &value.to_string())
    }

    /// The same, left out if it is the default.
    pub fn some<T: ToString + Default + PartialEq>(self, name: &str, value: T) -> Self {
        if value == T::default() { self } else { self.value(name, value) }
    }

    /// A string.
    pub fn string(self, name: &str, value: &str) -> Self {
        self.raw(name, &string(value))
    }

    /// A string, left out if it is empty.
    pub fn some_string(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.string(name, value) }
    }

    /// Bytes in base64, left out if there are none.
    pub fn some_bytes(self, name: &str, value: &[u8]) -> Self {
        if value.is_empty() { self } else { self.raw(name, &base64(value)) }
    }

    /// A value that may be missing.
    pub fn optional(self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.raw(name, &value),
            None => self,
        }
    }

    /// A list, left out if it is empty.
    pub fn some_list(self, name: &str, values: impl IntoIterator<Item = String>) -> Self {
        let text = list(values);
        if text == "[]" { self } else { self.raw(name, &text) }
    }

    /// The object as text.
    pub fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// A list of values that are JSON already.
pub fn list(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(","))
}

/// A string with Go's escapes, which keep the text safe inside HTML too.
pub fn string(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", character as u32));
            }
            _ if (character as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", character as u32)),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// Bytes as a base64 string.
pub fn base64(bytes: &[u8]) -> String {
    format!("\"{}\"", STANDARD.encode(bytes))
}

/// The fields of a header, in the object given: some answers have them at their own top level.
pub fn header_fields(object: Object, header: &ResponseHeader) -> Object {
    object
        .some("cluster_id", header.cluster_id)
        .some("member_id", header.member_id)
        .some("revision", header.revision)
        .some("raft_term", header.raft_term)
}

/// A header as an object of its own; missing if the answer has none.
pub fn header(header: Option<&ResponseHeader>) -> Option<String> {
    header.map(|header| header_fields(Object::new(), header).end())
}

/// A pair.
pub fn key_value(pair: &KeyValue) -> String {
    Object::new()
        .some_bytes("key", &pair.key)
        .some("create_revision", pair.create_revision)
        .some("mod_revision", pair.mod_revision)
        .some("version", pair.version)
        .some_bytes("value", &pair.value)
        .some("lease", pair.lease)
        .end()
}

/// An event.
pub fn event(event: &Event) -> String {
    Object::new()
        .some("type", event.r#type)
        .optional("kv", event.kv.as_ref().map(key_value))
        .optional("prev_kv", event.prev_kv.as_ref().map(key_value))
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_fields_are_left_out_and_bytes_are_base64() {
        let pair = KeyValue { key: "a".into(), mod_revision: 3, ..KeyValue::default() };
        assert_eq!(key_value(&pair), r#"{"key":"YQ==","mod_revision":3}"#);
        assert_eq!(key_value(&KeyValue::default()), "{}");
        let deleted = Event { r#type: 1, kv: Some(pair), prev_kv: None };
        assert_eq!(event(&deleted), r#"{"type":1,"kv":{"key":"YQ==","mod_revision":3}}"#);
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        assert_eq!(
            string("a\"\\<&>\n\u{1}\u{2028}é"),
            "\"a\\\"\\\\\\u003c\\u0026\\u003e\\n\\u0001\\u2028é\""
        );
    }

    #[test]
    fn headers_stand_alone_or_at_the_top() {
        let known = ResponseHeader { cluster_id: 7, member_id: 0, revision: 2, raft_term: 1 };
        assert_eq!(
            header(Some(&known)).expect("there"),
            r#"{"cluster_id":7,"revision":2,"raft_term":1}"#
        );
        assert_eq!(header(None), None);
        let top = header_fields(Object::new(), &known).value("ID", 5).string("Error", "").end();
        assert_eq!(top, r#"{"cluster_id":7,"revision":2,"raft_term":1,"ID":5,"Error":""}"#);
    }
}
