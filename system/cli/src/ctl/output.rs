//! What a command prints, in the format that was asked for.
//!
//! Everything goes through one buffer of bytes, because keys and values need not be text, and is written at once. A
//! reader that went away ends the command quietly.

use std::fmt::Display;
use std::io::Write as _;

use prost::Message;
use quorate_client::etcd::etcdserverpb::ResponseHeader;
use quorate_client::etcd::mvccpb::KeyValue;

use super::failure::{BAD_FEATURE, Failure};
use super::quote::{hex, quote};

/// A format of `--write-out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people and simple scripts.
    Simple,
    /// One `"Name" : value` per line.
    Fields,
    /// One JSON object per answer.
    Json,
    /// The answer as it came, undelimited.
    Protobuf,
    /// A table, for the few commands that have one.
    Table,
}

impl Format {
    /// Reads the value of the flag.
    ///
    /// # Errors
    /// There is no such format.
    pub fn parse(name: &str) -> Result<Self, Failure> {
        match name {
            "simple" => Ok(Self::Simple),
            "fields" => Ok(Self::Fields),
            "json" => Ok(Self::Json),
            "protobuf" => Ok(Self::Protobuf),
            "table" => Ok(Self::Table),
            _ => Err(Failure::new(BAD_FEATURE, "unsupported output format")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Fields => "fields",
            Self::Json => "json",
            Self::Protobuf => "protobuf",
            Self::Table => "table",
        }
    }
}

/// The output of one command.
#[derive(Debug, Clone)]
pub struct Output {
    /// The format asked for.
    pub format: Format,
    /// `--hex`: bytes and ids in hexadecimal.
    pub hex: bool,
    /// `--print-value-only`.
    pub value_only: bool,
    buffer: Vec<u8>,
}

impl Output {
    /// Nothing printed yet.
    pub fn new(format: Format, hex: bool) -> Self {
        Self { format, hex, value_only: false, buffer: Vec::new() }
    }

    /// Adds a line.
    pub fn line(&mut self, text: impl AsRef<[u8]>) {
        self.buffer.extend_from_slice(text.as_ref());
        self.buffer.push(b'\n');
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: impl Display) {
        self.line(format!("\"{name}\" : {value}"));
    }

    /// Adds a field whose value is quoted.
    pub fn quoted(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.field(name, quote(value.as_ref()));
    }

    /// Adds a field that is the id of a cluster or member.
    pub fn id(&mut self, name: &str, id: u64) {
        if self.hex { self.field(name, format!("{id:x}")) } else { self.field(name, id) }
    }

    /// Adds a field that is the id of a lease.
    pub fn lease_id(&mut self, name: &str, id: i64) {
        if self.hex { self.field(name, format!("{id:016x}")) } else { self.field(name, id) }
    }

    /// Adds the fields of a header.
    pub fn header(&mut self, header: Option<&ResponseHeader>) {
        let header = header.copied().unwrap_or_default();
        self.id("ClusterID", header.cluster_id);
        self.id("MemberID", header.member_id);
        if header.revision > 0 {
            self.field("Revision", header.revision);
        }
        self.field("RaftTerm", header.raft_term);
    }

    /// Adds the fields of a pair.
    pub fn pair_fields(&mut self, prefix: &str, pair: &KeyValue) {
        self.quoted(&format!("{prefix}Key"), &pair.key);
        self.field(&format!("{prefix}CreateRevision"), pair.create_revision);
        self.field(&format!("{prefix}ModRevision"), pair.mod_revision);
        self.field(&format!("{prefix}Version"), pair.version);
        self.quoted(&format!("{prefix}Value"), &pair.value);
        self.lease_id(&format!("{prefix}Lease"), pair.lease);
    }

    /// Adds a pair as key and value, a line each.
    pub fn pair(&mut self, pair: &KeyValue) {
        for (part, is_value) in [(&pair.key, false), (&pair.value, true)] {
            match (self.value_only && !is_value, self.hex) {
                (true, _) => {}
                (false, true) => self.line(hex(part)),
                (false, false) => self.line(part),
            }
        }
    }

    /// Adds the bytes of a message, with nothing after them.
    pub fn message(&mut self, message: &impl Message) {
        self.buffer.extend_from_slice(&message.encode_to_vec());
    }

    /// Adds a table: a header in capitals, centred, and right-aligned rows.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let header: Vec<String> =
            header.iter().map(|name| name.to_uppercase().replace('_', " ")).collect();
        let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let rule = |left: &str, middle: &str, right: &str| {
            let bars: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
            format!("{left}{}{right}", bars.join(middle))
        };
        let cells = |cells: Vec<String>| format!("│ {} │", cells.join(" │ "));
        self.line(rule("┌", "┬", "┐"));
        let centred = header.iter().zip(&widths).map(|(name, width)| format!("{name:^width$}"));
        self.line(cells(centred.collect()));
        self.line(rule("├", "┼", "┤"));
        for row in rows {
            let aligned = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
            self.line(cells(aligned.collect()));
        }
        self.line(rule("└", "┴", "┘"));
    }

    /// The failure of a command that has no such format.
    pub fn unsupported(&self) -> Failure {
        Failure::new(BAD_FEATURE, format!("{} not supported as output format", self.format.name()))
    }

    /// Writes what was added to standard output.
    ///
    /// # Errors
    /// Standard output cannot be written; if its reader is gone, silently.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&self.buffer)?;
        stdout.flush()?;
        self.buffer.clear();
        Ok(())
    }

    /// What was added and not written yet.
    #[cfg(test)]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_follow_the_flags() {
        let pair = KeyValue { key: "a".into(), value: "2".into(), ..KeyValue::default() };
        let mut output = Output::new(Format::Simple, false);
        output.pair(&pair);
        output.hex = true;
        output.pair(&pair);
        output.hex = false;
        output.value_only = true;
        output.pair(&pair);
        assert_eq!(output.text(), "a\n2\n\\x61\n\\x32\n2\n");
    }

    #[test]
    fn fields_are_quoted_and_ids_may_be_hexadecimal() {
        let pair =
            KeyValue { key: "a\"".into(), mod_revision: 3, lease: 10, ..KeyValue::default() };
        let mut output = Output::new(Format::Fields, true);
        output.header(Some(&ResponseHeader { cluster_id: 255, ..ResponseHeader::default() }));
        output.pair_fields("Prev", &pair);
        let expected = "\"ClusterID\" : ff\n\"MemberID\" : 0\n\"RaftTerm\" : 0\n\
            \"PrevKey\" : \"a\\\"\"\n\"PrevCreateRevision\" : 0\n\"PrevModRevision\" : 3\n\
            \"PrevVersion\" : 0\n\"PrevValue\" : \"\"\n\"PrevLease\" : 000000000000000a\n";
        assert_eq!(output.text(), expected);
    }

    #[test]
    fn a_table_is_as_wide_as_its_widest_cell() {
        let mut output = Output::new(Format::Table, false);
        output.table(&["endpoint", "hash_revision"], &[vec!["127.0.0.1:60125".into(), "5".into()]]);
        let expected = "\
┌─────────────────┬───────────────┐
│    ENDPOINT     │ HASH REVISION │
├─────────────────┼───────────────┤
│ 127.0.0.1:60125 │             5 │
└─────────────────┴───────────────┘
";
        assert_eq!(output.text(), expected);
    }

    #[test]
    fn unknown_formats_have_their_own_exit_code() {
        let failure = Format::parse("yaml").expect_err("no such format");
        assert_eq!(failure.code, BAD_FEATURE);
        let failure = Output::new(Format::Table, false).unsupported();
        assert_eq!(failure.message.as_deref(), Some("table not supported as output format"));
    }
}
