//! From `.proto` files to committed Rust code.
//!
//! The generated code is part of the repository: a build needs neither `protoc` nor a build script, a change of the wire
//! shows up in review, and a test here regenerates everything and compares, so that the two cannot drift apart.
//!
//! `protox` parses the files (it is a compiler of protobuf written in Rust), `prost` writes the messages and `tonic` the
//! clients and servers. Three choices matter at run time. Every `bytes` field becomes `bytes::Bytes`, so that decoding a
//! request shares the received buffer instead of copying keys and values. The codec is
//! `quorate_wire::codec::EtcdCodec`, which sizes its buffers to the message. And the descriptor set is written beside the
//! code, with comments left out, for server reflection.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

/// The `.proto` files compiled, relative to the proto directory; what they import comes along.
const ROOTS: [&str; 11] = [
    "mvccpb/kv.proto",
    "authpb/auth.proto",
    "etcdserverpb/kv.proto",
    "etcdserverpb/watch.proto",
    "etcdserverpb/lease.proto",
    "etcdserverpb/cluster.proto",
    "etcdserverpb/maintenance.proto",
    "etcdserverpb/auth.proto",
    "v3lockpb/v3lock.proto",
    "v3electionpb/v3election.proto",
    "quorate/v1/guard.proto",
];

/// Options of `xtask codegen`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Compare with the committed files instead of writing them.
    #[arg(long)]
    check: bool,
}

/// Generates the files and writes them, or compares them with the committed ones. An error names the file concerned.
pub fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let directory = wire_directory().join("src/gen");
    let generated = generate()?;
    if arguments.check {
        return compare(&directory, &generated);
    }
    fs::create_dir_all(&directory)?;
    for (name, content) in &generated {
        fs::write(directory.join(name), content)?;
    }
    println!("wrote {} files to system/wire/src/gen", generated.len());
    Ok(())
}

/// The crate that the code is generated for.
fn wire_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../system/wire")
}

/// Every generated file by name, in memory.
fn generate() -> Result<BTreeMap<String, Vec<u8>>, Box<dyn Error>> {
    let protos = wire_directory().join("proto");
    let mut compiler = protox::Compiler::new([&protos])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(ROOTS.iter().map(|root| protos.join(root)))?;
    let descriptors = compiler.file_descriptor_set();

    let output = tempfile::tempdir()?;
    let mut config = prost_build::Config::new();
    config.out_dir(output.path());
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::codec::EtcdCodec")
        .out_dir(output.path())
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(descriptors.clone(), config)?;

    let mut files = BTreeMap::new();
    for entry in fs::read_dir(output.path())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, fs::read(entry.path())?);
    }
    files.insert("rpcs.rs".to_owned(), rpcs(&descriptors).into_bytes());
    let mut plain = descriptors;
    plain.file.iter_mut().for_each(|file| file.source_code_info = None);
    files.insert("descriptor.bin".to_owned(), plain.encode_to_vec());
    Ok(files)
}

/// An enum of all calls: whoever has to decide something for each of them matches on it, and a call that comes with a new
/// version of the API does not compile until it is decided.
fn rpcs(descriptors: &prost_types::FileDescriptorSet) -> String {
    let mut rows = Vec::new();
    for root in ROOTS {
        let file = descriptors.file.iter().find(|file| file.name() == root);
        let file = file.expect("every root was compiled");
        for service in &file.service {
            let prefix = if service.name() == "KV" { "Kv" } else { service.name() };
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                rows.push((format!("{prefix}{}", method.name()), path));
            }
        }
    }
    let list = |row: &dyn Fn(&str, &str) -> String| -> String {
        rows.iter().map(|(name, path)| row(name, path)).collect()
    };
    let variants = list(&|name, path| format!("    /// `{path}`\n    {name},\n"));
    let all = list(&|name, _| format!("        Rpc::{name},\n"));
    let of_path = list(&|name, path| format!("            \"{path}\" => Some(Rpc::{name}),\n"));
    let paths = list(&|name, path| format!("            Rpc::{name} => \"{path}\",\n"));
    let count = rows.len();
    format!(
        "/// Every call of the API.\n#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\npub enum Rpc {{\n\
         {variants}}}\n\nimpl Rpc {{\n    /// All of them, in the order of their files.\n    pub const ALL: [Rpc; {count}] = \
         [\n{all}    ];\n\n    /// The call under a path.\n    pub fn of_path(path: &str) -> Option<Rpc> {{\n        \
         match path {{\n{of_path}            _ => None,\n        }}\n    }}\n\n    /// Its path.\n    pub fn path(self) -> \
         &'static str {{\n        match self {{\n{paths}        }}\n    }}\n}}\n"
    )
}

/// Fails on the first file that differs from its generated content, is missing, or is not generated at all.
fn compare(directory: &Path, generated: &BTreeMap<String, Vec<u8>>) -> Result<(), Box<dyn Error>> {
    let way_out = "run `cargo xtask codegen` and commit the result";
    for (name, content) in generated {
        let committed = fs::read(directory.join(name))
            .map_err(|error| format!("system/wire/src/gen/{name}: {error}; {way_out}"))?;
        if committed != *content {
            return Err(format!("system/wire/src/gen/{name} is out of date; {way_out}").into());
        }
    }
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !generated.contains_key(&name) {
            return Err(format!("system/wire/src/gen/{name} is not generated; delete it").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_code_is_what_the_proto_files_say() {
        run(&Arguments { check: true }).expect("generated code is current");
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let generated = BTreeMap::from([("a.rs".to_owned(), b"one".to_vec())]);
        fs::write(directory.path().join("a.rs"), "two").expect("write");
        let error = compare(directory.path(), &generated).expect_err("content differs");
        assert!(error.to_string().contains("a.rs is out of date"), "{error}");
        fs::write(directory.path().join("a.rs"), "one").expect("write");
        compare(directory.path(), &generated).expect("content is equal");
        fs::write(directory.path().join("b.rs"), "").expect("write");
        let error = compare(directory.path(), &generated).expect_err("b.rs is left over");
        assert!(error.to_string().contains("b.rs is not generated"), "{error}");
    }
}
