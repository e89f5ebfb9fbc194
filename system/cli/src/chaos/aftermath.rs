//! When the storm is over: what the cluster holds, what its users saw, and the judges of both.

use super::crowd::Crowd;
use super::journal::{Journal, Log, Sample};
use super::last_revision;
use super::verdict::{self, Judged};
use crate::up::directory::MemberEntry;
use std::path::Path;
use std::sync::Arc;

/// What is left when the storm is over.
pub struct Aftermath {
    /// Who belongs to the cluster by now.
    pub present: Vec<MemberEntry>,
    pub prefix: String,
    pub begin: i64,
    pub journal: Arc<Journal>,
    pub crowd: Crowd,
    /// What is judged already.
    pub before: Vec<Judged>,
}

impl Aftermath {
    /// All judges, one after another.
    pub async fn judge(self, out: &Path) -> Result<(Vec<Judged>, Vec<Sample>), String> {
        let Aftermath { present, prefix, begin, journal, mut crowd, before } = self;
        let endpoints: Vec<String> =
            present.iter().map(|member| member.client_url.clone()).collect();
        let mut judged = before;
        let last = match last_revision(&endpoints).await {
            Ok(last) => last,
            Err(why) => {
                judged.push(Judged::unknown("agreed", format!("nobody serves any more: {why}")));
                let (_, samples) = journal.finish_all().map_err(|error| error.to_string())?;
                return Ok((judged, samples));
            }
        };
        crowd.target.send_replace(Some(last));
        let mut lost = Vec::new();
        while let Some(watcher) = crowd.watchers.join_next().await {
            lost.extend(watcher.map_err(|error| error.to_string())?.err());
        }
        let (log, agreed) = verdict::logs(&present, begin, last).await;
        judged.push(agreed);
        if let Some(log) = &log {
            journal.resolve(log);
        }
        let (history, samples) = journal.finish_all().map_err(|error| error.to_string())?;
        let Some(log) = log else { return Ok((judged, samples)) };
        if let Some(key) = foreign(&log, &prefix) {
            let why = format!(
                "somebody else wrote {key:?} meanwhile, so revisions tell nothing: use a cluster that nobody else uses"
            );
            judged.push(Judged::unknown("linearizable", why));
            return Ok((judged, samples));
        }
        judged.push(verdict::kept(&history, &log, begin, last));
        judged.push(verdict::judge("linearizable", "etcd", &history));
        drop(history);
        let file = out.join("watches.jsonl");
        let told = crowd.told.history(&log, &file).map_err(|error| error.to_string())?;
        judged.push(match lost.is_empty() {
            true => verdict::judge("watches", "watch", &told),
            false => Judged::of("watches", lost, String::new()),
        });
        Ok((judged, samples))
    }
}

/// A key in the log that is none of ours.
fn foreign(log: &Log, prefix: &str) -> Option<String> {
    let keys = log.values().flatten().map(|(key, _)| key);
    keys.into_iter().find(|key| !key.starts_with(prefix)).cloned()
}
