//! The frame of every story about one member's data directory.
//!
//! Three members have data; one of them, the leader, is killed; something happens to its directory;
//! it is started again and must end by itself, with one sentence that says what is wrong and what to
//! do. Meanwhile, and afterwards, the other two serve everything that was ever acknowledged.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::support::*;

/// How many members there are.
const MEMBERS: usize = 3;
/// How many pairs there are before the story begins.
const PAIRS: usize = 120;
/// How long a member may take to find out that it must not start, or that it is well.
const LIMIT: Duration = Duration::from_secs(30);

/// Three members, one of which is in trouble.
pub struct Story {
    pub cluster: Cluster,
    pub victim: usize,
    /// How many keys were acknowledged: `k0`, `k1` and so on, each with its number.
    keys: usize,
    /// The length of the victim's log when it was last started.
    told: usize,
}

impl Story {
    /// Three members with data, of which the leader was killed.
    pub async fn begin() -> Story {
        Story::begin_with(&[]).await
    }

    /// The same with flags for all members.
    pub async fn begin_with(flags: &[&str]) -> Story {
        let mut cluster = Cluster::three(flags).await;
        let victim = cluster.leader().await;
        let client = cluster.client_of(victim).await;
        for number in 0..PAIRS {
            client.write(&format!("k{number}"), &number.to_string()).await;
        }
        cluster.kill(victim);
        let told = cluster.log(victim).len();
        Story { cluster, victim, keys: PAIRS, told }
    }

    /// The victim's data directory.
    pub fn directory(&self) -> PathBuf {
        self.cluster.data_dir(self.victim)
    }

    /// The others.
    pub fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let victim = self.victim;
        (0..MEMBERS).filter(move |&i| i != victim)
    }

    /// Starts the victim.
    pub fn start(&mut self) {
        self.told = self.cluster.log(self.victim).len();
        self.cluster.start_again(self.victim);
    }

    /// The victim ends by itself, and its last words contain all of `sentence`.
    pub async fn ends_saying(&mut self, sentence: &[&str]) {
        let begun = Instant::now();
        let status = loop {
            match self.cluster.ended(self.victim) {
                Some(status) => break status,
                None => assert!(
                    begun.elapsed() < LIMIT,
                    "it still runs; its log:\n{}",
                    self.cluster.log(self.victim)
                ),
            }
            sleep(Duration::from_millis(20)).await;
        };
        self.cluster.kill(self.victim);
        let log = self.cluster.log(self.victim);
        let fresh = &log[self.told..];
        assert_eq!(status.code(), Some(1), "{status}; its log:\n{fresh}");
        let last = fresh.lines().rfind(|line| line.starts_with("quorate serve: "));
        let last = last.unwrap_or_else(|| panic!("no last words:\n{fresh}"));
        println!("{last}");
        for part in sentence {
            assert!(last.contains(part), "{part:?} is not in {last:?}");
        }
    }

    /// Starts the victim, which must refuse.
    pub async fn refuses_saying(&mut self, sentence: &[&str]) {
        self.start();
        self.ends_saying(sentence).await;
        self.others_serve().await;
    }

    /// One more key, through the others.
    pub async fn write(&mut self, padding: usize) {
        let other = self.others().next().expect("there are two others");
        let client = self.cluster.client_of(other).await;
        let (key, value) = (format!("k{}", self.keys), self.keys.to_string());
        let request = put(key, format!("{value}{}", " ".repeat(padding)));
        let begun = Instant::now();
        while let Err(status) = client.put(request.clone()).await {
            if status.message() == NO_SPACE {
                disarm(&client).await;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "no write is acknowledged: {status:?}; the victim's log:\n{}",
                &self.cluster.log(self.victim)[self.told..]
            );
            sleep(Duration::from_millis(20)).await;
        }
        self.keys += 1;
    }

    /// The other two acknowledge a new write, and each of them has everything.
    pub async fn others_serve(&mut self) {
        self.write(0).await;
        for other in self.others() {
            self.has_everything(other).await;
        }
    }

    /// A member has every key with its value, read linearizably.
    pub async fn has_everything(&self, member: usize) {
        let client = self.cluster.client_of(member).await;
        let all = client.range(prefix("k")).await.expect("all keys");
        assert_eq!(all.count, self.keys as i64, "on member {}", member + 1);
        for number in 0..self.keys {
            let pair = client.read(&format!("k{number}")).await;
            let pair = pair.unwrap_or_else(|| panic!("member {} lost k{number}", member + 1));
            assert_eq!(text(&pair.value).trim_end(), number.to_string());
        }
    }

    /// The victim is well again: it starts, and has everything too.
    pub async fn recovers(&mut self) {
        self.start();
        if let Err(log) = self.cluster.until_ready().await {
            panic!("it did not come back; its log:\n{log}");
        }
        self.has_everything(self.victim).await;
        self.others_serve().await;
    }
}

/// What a write hears under the alarm that space is short.
pub const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

/// Clears the alarms that there are, as an operator does. A member that is still short of space
/// raises its own again, and a member that ends meanwhile cannot answer.
pub async fn disarm(client: &Client) {
    use api::alarm_request::AlarmAction;
    let all = client.alarm(AlarmAction::Get, 0, api::AlarmType::None).await;
    for alarm in all.unwrap_or_default() {
        let _ = client.alarm(AlarmAction::Deactivate, alarm.member_id, alarm.alarm()).await;
    }
}

/// The newest segment of a data directory's log.
pub fn newest_segment(directory: &Path) -> PathBuf {
    let entries = std::fs::read_dir(directory.join("log")).expect("the log");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let segments = paths.filter(|path| path.extension().is_some_and(|end| end == "seg"));
    segments.max().expect("a log has a segment")
}

/// Copies a data directory, with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create a directory");
    for entry in std::fs::read_dir(from).expect("list a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy a file");
        }
    }
}
