//! What can happen to a data directory, and what its member says.

use std::fs;
use std::process::{Command, Stdio};

use crate::story::{Story, copy, newest_segment};
use crate::support::*;

#[tokio::test]
async fn disk_of_another_cluster_is_refused() {
    let mut story = Story::begin().await;
    let mut stranger = Cluster::three(&[]).await;
    stranger.client().await.write("stranger", "data").await;
    stranger.kill(story.victim);
    fs::remove_dir_all(story.directory()).unwrap();
    copy(&stranger.data_dir(story.victim), &story.directory());
    story.refuses_saying(&["/meta belongs to cluster", "use another data directory"]).await;
}

#[tokio::test]
async fn disk_of_another_member_is_refused() {
    let mut story = Story::begin().await;
    let own = story.directory().with_extension("own");
    fs::rename(story.directory(), &own).unwrap();
    let other = story.others().next().unwrap();
    copy(&story.cluster.data_dir(other), &story.directory());
    let named = format!("(n{})", other + 1);
    story.refuses_saying(&["/meta belongs to member", &named, "must never share or swap"]).await;
    fs::remove_dir_all(story.directory()).unwrap();
    fs::rename(own, story.directory()).unwrap();
    story.recovers().await;
}

#[tokio::test]
async fn disk_with_a_truncated_log_is_refused() {
    let mut story = Story::begin().await;
    let segment = newest_segment(&story.directory());
    let written = written_bytes(&segment);
    fs::File::options().write(true).open(&segment).unwrap().set_len(written / 2).unwrap();
    story.refuses_saying(&["corruption in ", ".seg", "the others go on without this member"]).await;
}

#[tokio::test]
async fn disk_with_a_flipped_byte_in_the_log_is_refused() {
    let mut story = Story::begin().await;
    let segment = newest_segment(&story.directory());
    let mut bytes = fs::read(&segment).unwrap();
    let middle = written_bytes(&segment) as usize / 2;
    // Not a zero, which might be padding that nobody reads.
    let place = (middle..).find(|&i| bytes[i] != 0).unwrap();
    bytes[place] ^= 0x10;
    fs::write(&segment, &bytes).unwrap();
    story.refuses_saying(&["corruption in ", ".seg at offset", "synced once"]).await;
    // The same bytes as before are as good as before.
    bytes[place] ^= 0x10;
    fs::write(&segment, &bytes).unwrap();
    story.recovers().await;
}

#[tokio::test]
async fn disk_without_its_log_is_refused() {
    let mut story = Story::begin().await;
    let log = story.directory().join("log");
    let aside = story.directory().with_extension("aside");
    fs::rename(&log, &aside).unwrap();
    story.refuses_saying(&["the log in ", "is missing although", "put it back"]).await;
    fs::remove_dir_all(&log).unwrap();
    fs::rename(&aside, &log).unwrap();
    story.recovers().await;
}

#[tokio::test]
async fn disk_without_its_label_is_refused() {
    let mut story = Story::begin().await;
    let label = story.directory().join("meta");
    let aside = story.directory().with_extension("meta");
    fs::rename(&label, &aside).unwrap();
    story.refuses_saying(&["/meta is missing", "put the file back"]).await;
    // The refusal has not touched what is there.
    fs::rename(&aside, &label).unwrap();
    story.recovers().await;
}

#[tokio::test]
async fn disk_of_another_format_is_refused() {
    let mut story = Story::begin().await;
    let label = story.directory().join("meta");
    let original = fs::read_to_string(&label).unwrap();
    let (body, _) = original.rsplit_once("crc32c = ").unwrap();
    let body = body.replace("format = 1\n", "format = 2\n");
    let crc = crc32c::crc32c(body.as_bytes());
    fs::write(&label, format!("{body}crc32c = {crc:08x}\n")).unwrap();
    story.refuses_saying(&["data format 2", "reads format 1", "the release that wrote it"]).await;
    fs::write(&label, original).unwrap();
    story.recovers().await;
}

#[tokio::test]
async fn disk_emptied_makes_no_second_voter() {
    let mut story = Story::begin().await;
    let own = story.directory().with_extension("own");
    fs::rename(story.directory(), &own).unwrap();
    let sentence = [
        "already belonged to cluster",
        "its data directory is empty",
        "could vote twice",
        "Put the old data directory back; if it is lost, replace this member: `quorate member replace",
    ];
    // Not at the second try either: the first one has left a directory behind.
    for _ in 0..2 {
        story.refuses_saying(&sentence).await;
    }
    fs::remove_dir_all(story.directory()).unwrap();
    fs::rename(own, story.directory()).unwrap();
    story.recovers().await;
}

#[tokio::test]
async fn disk_in_use_is_refused() {
    let mut story = Story::begin().await;
    story.recovers().await;
    // The same member a second time, at addresses that nobody uses yet.
    let mut args = story.cluster.arguments(story.victim).clone();
    let ports = ports::free_ports(2);
    for (flag, port) in [("--listen-client-urls", ports[0]), ("--listen-peer-urls", ports[1])] {
        let at = args.iter().position(|arg| arg == flag).unwrap();
        args[at + 1] = format!("http://127.0.0.1:{port}");
    }
    let mut second = Command::new(Kind::Quorate.program());
    let output = second.args(&args).stdin(Stdio::null()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    let holder = story.cluster.process_id(story.victim);
    let sentence = format!("is in use by process {holder}: stop that process, or start with");
    assert!(words.lines().any(|line| line.contains(&sentence)), "{words}");
    // The first one has noticed nothing.
    story.has_everything(story.victim).await;
}

/// How far a segment is written: behind that it has only the zeros that it was prepared with.
fn written_bytes(segment: &std::path::Path) -> u64 {
    let bytes = fs::read(segment).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("a segment has an opening");
    last as u64 + 1
}
