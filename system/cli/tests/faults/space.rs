//! A full disk stops the member that has it, and nothing else.
//!
//! The member runs in a mount namespace of its own, where its data directory is a small file system
//! in memory. A *keeper* holds the namespace: a shell that waits for the end of a pipe, so that
//! everything is gone with the test, however it ends. Where namespaces are not allowed, the stories
//! are skipped with a printed line.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::story::{NO_SPACE, Story, disarm};
use crate::support::*;

/// The size of the member's file system in MiB: more than its log and the space that a member keeps
/// in reserve.
const MEBIBYTES: usize = 300;
/// How long a member may take to notice what happens to its disk.
const LIMIT: Duration = Duration::from_secs(20);

/// A mount namespace in which `directory` lies on a small file system.
struct Keeper {
    shell: Child,
    directory: PathBuf,
}

/// Mounts a file system of `$2` MiB, moves what is in directory `$1` onto it, and puts it there.
const PREPARE: &str = "mkdir -p \"$1.small\" && mount -t tmpfs -o size=\"$2\"m tmpfs \"$1.small\" \
    && cp -a --sparse=\"$3\" \"$1/.\" \"$1.small/\" && mount --bind \"$1.small\" \"$1\" \
    && echo ready && read -r _";

impl Keeper {
    /// Makes the namespace; nothing where that is not allowed.
    fn start(directory: &Path, mebibytes: usize, sparse: &str) -> Option<Keeper> {
        let mut shell = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", PREPARE, "keeper"])
            .arg(directory)
            .args([&mebibytes.to_string(), sparse])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("read from the keeper");
        let keeper = Keeper { shell, directory: directory.to_owned() };
        (line == "ready\n").then_some(keeper)
    }

    /// The command that runs another one inside.
    fn enter(&self) -> Vec<String> {
        let target = self.shell.id().to_string();
        let words = ["nsenter", "--target", &target, "--user", "--mount", "--preserve-credentials"];
        words.map(str::to_owned).to_vec()
    }

    fn run(&self, script: &str) {
        let words = self.enter();
        let status = Command::new(&words[0])
            .args(&words[1..])
            .args(["sh", "-c", script, "inside"])
            .arg(&self.directory)
            .status()
            .expect("run nsenter");
        assert!(status.success(), "{script}: {status}");
    }

    /// Uses up all space but this many KiB.
    fn fill(&self, left: usize) {
        // dd ends with an error when nothing is left, which is what it is for.
        let dd = "dd if=/dev/zero of=\"$1/filler\" bs=4k oflag=append conv=notrunc 2>/dev/null";
        self.run(&format!("{dd}; test -s \"$1/filler\""));
        self.run(&format!("truncate -s -{left}K \"$1/filler\""));
    }

    fn free(&self) {
        self.run("rm \"$1/filler\"");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// A member with data on a file system of its own, well and serving; nothing where that is not
/// allowed. `sparse` says how its log is copied there: `never` keeps the room prepared for it.
async fn on_small_disk(sparse: &str) -> Option<(Story, Keeper)> {
    let mut story = Story::begin().await;
    let Some(keeper) = Keeper::start(&story.directory(), MEBIBYTES, sparse) else {
        println!("skipped: mount namespaces are not allowed here");
        return None;
    };
    story.cluster.run_inside(story.victim, &keeper.enter());
    story.recovers().await;
    Some((story, keeper))
}

#[tokio::test]
async fn space_that_becomes_short_raises_the_alarm() {
    let Some((mut story, keeper)) = on_small_disk("always").await else { return };
    keeper.fill(50 << 10);
    let client = story.cluster.client_of(story.others().next().unwrap()).await;
    eventually("the alarm is on", LIMIT, async || {
        client.put(put("short", "v")).await.is_err_and(|status| status.message() == NO_SPACE)
    })
    .await;
    // The others may know of the alarm before the member that raised it has heard that they do.
    eventually("its log says why", LIMIT, async || {
        story.cluster.log(story.victim).contains("the NOSPACE alarm is on; free some space")
    })
    .await;
    // Nothing is lost, everybody reads, and what gives space back is allowed.
    for member in 0..story.cluster.size() {
        story.has_everything(member).await;
    }
    client.delete(delete("short")).await.unwrap();
    client.compact(client.revision().await, true).await.unwrap();
    keeper.free();
    // The alarm stays until an operator clears it; then it stays off.
    refused(client.put(put("short", "v")).await, Code::ResourceExhausted, NO_SPACE);
    disarm(&client).await;
    client.write("short", "v").await;
    story.others_serve().await;
}

/// The disk becomes full at once, while the cluster works: the member stops and says so, the others
/// go on, and with space it comes back and has everything.
async fn full_at_once(sparse: &str, left: usize, padding: usize) {
    let Some((mut story, keeper)) = on_small_disk(sparse).await else { return };
    // A member whose disk fills up gives back what it only had prepared: that goes too.
    for turn in 0..400 {
        if turn % 10 == 0 {
            keeper.fill(left);
        }
        story.write(padding).await;
        if story.cluster.ended(story.victim).is_some() {
            break;
        }
    }
    story.ends_saying(&["disk is full", "free some space and start again"]).await;
    story.others_serve().await;
    keeper.free();
    story.recovers().await;
}

#[tokio::test]
async fn space_for_the_log_is_gone() {
    // The copy of the log is sparse: its next block is not there yet.
    full_at_once("always", 0, 2000).await;
}

#[tokio::test]
async fn space_for_the_state_is_gone() {
    // The log has all the room that it needs; what is missing is space for the first table.
    full_at_once("never", 256, 100_000).await;
}
