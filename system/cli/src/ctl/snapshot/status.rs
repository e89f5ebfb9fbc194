//! `snapshot status`: whether a snapshot file is whole, and what is in it.
//!
//! The columns are those of `etcdutl snapshot status`. The hash is the first four bytes of the SHA-256 that ends the
//! file, so that two files with the same hash are the same file; etcd's is of another kind. Of a snapshot of etcd's, the keys
//! are all entries of its storage, old versions included, as etcdutl counts them; a copy of a member's db file, which has
//! no checksum, is read as well.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use quorate_host::backup::MAGIC;
use quorate_host::offline::Source;
use quorate_store::Summary;

use super::progress::Progress;
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::global::Global;
use crate::ctl::json::Object;
use crate::ctl::output::{Format, Output};
use crate::ctl::units::format_size;

/// Arguments of `snapshot status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints the hash, the revision, the number of keys and the size of the file.

Examples:
  quorate snapshot status backup.db
  quorate snapshot status backup.db -w table
  quorate snapshot status backup.db -w json"
)]
pub struct Arguments {
    /// The snapshot to look at
    #[arg(value_name = "FILE")]
    file: Vec<OsString>,
}

/// What there is to tell.
struct Status {
    hash: u32,
    size: u64,
    revision: i64,
    keys: u64,
    version: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global) -> Result<(), Failure> {
    let [path] = arguments.file.as_slice() else {
        return Err(Failure::arguments("snapshot status requires exactly one argument <filename>"));
    };
    let mut output = global.output()?;
    let status = read(Path::new(path)).map_err(|error| Failure::new(ERROR, error))?;
    print(&mut output, &status)?;
    output.flush()
}

fn read(path: &Path) -> Result<Status, quorate_host::backup::BackupError> {
    let mut source = Source::open(path)?;
    let mut progress = Progress::new();
    let mut show = |what: &str, done, all| {
        progress.show(what, done, all);
        true
    };
    let mut checking = |done, all| show("checking", done, all);
    let sum = match &mut source {
        // A copy of a member's db file: there is nothing to check it against.
        Source::Etcd(file) if !file.is_summed() => file.sum(&mut checking)?,
        Source::Backup(_) | Source::Etcd(_) => source.verify(&mut checking)?,
    };
    let hash = u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]]);
    let mut reading = |done, all| show("reading", done, all);
    Ok(match source {
        Source::Backup(mut file) => {
            let Summary { revision, keys, .. } = file.summary(&mut reading)?;
            let version = String::from_utf8_lossy(MAGIC).trim_end().to_owned();
            Status { hash, size: file.size(), revision, keys, version }
        }
        Source::Etcd(file) => {
            let found = file.contents(&mut reading)?;
            let (revision, keys) = (found.revision, found.entries);
            Status { hash, size: file.size(), revision, keys, version: "etcd".to_owned() }
        }
    })
}

fn print(output: &mut Output, status: &Status) -> Result<(), Failure> {
    let Status { hash, size, revision, keys, version } = status;
    let row = || {
        let (revision, keys) = (revision.to_string(), keys.to_string());
        vec![format!("{hash:x}"), revision, keys, format_size(*size), version.clone()]
    };
    match output.format {
        Format::Simple => output.line(row().join(", ")),
        Format::Table => {
            let header = ["hash", "revision", "total keys", "total size", "version"];
            output.table(&header, &[row()]);
        }
        Format::Fields => {
            output.field("Hash", hash);
            output.field("Revision", revision);
            output.field("Keys", keys);
            output.field("Size", size);
            output.quoted("Version", version);
        }
        Format::Json => output.line(
            Object::new()
                .value("hash", hash)
                .value("revision", revision)
                .value("totalKey", keys)
                .value("totalSize", size)
                .string("version", version)
                .end(),
        ),
        Format::Protobuf => return Err(output.unsupported()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_the_columns_of_etcdutl() {
        let version = "quorate-backup 1".to_owned();
        let status = Status { hash: 0x0a1b, size: 20_512, revision: 42, keys: 7, version };
        let printed = |format| {
            let mut output = Output::new(format, false);
            print(&mut output, &status).map(|()| output.text())
        };
        assert_eq!(printed(Format::Simple).expect("fine"), "a1b, 42, 7, 20 kB, quorate-backup 1\n");
        assert_eq!(
            printed(Format::Json).expect("fine"),
            "{\"hash\":2587,\"revision\":42,\"totalKey\":7,\"totalSize\":20512,\
             \"version\":\"quorate-backup 1\"}\n"
        );
        assert!(printed(Format::Fields).expect("fine").starts_with("\"Hash\" : 2587\n"));
        let table = printed(Format::Table).expect("fine");
        assert!(table.contains("│ HASH │ REVISION │ TOTAL KEYS │ TOTAL SIZE │"), "{table}");
        assert_eq!(printed(Format::Protobuf).expect_err("has no message").code, 4);
    }
}
