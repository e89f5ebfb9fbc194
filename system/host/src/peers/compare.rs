//! Asking the others about their states, and telling them about ours.
//!
//! The conversation is in `quorate_wire::compare`. Fingerprints are a few numbers and cost nothing; a
//! hash reads everything, on a thread of its own, and a member computes one at a time.

use super::link::greet;
use super::{GREETING_TIMEOUT, Identity, Peer, PeerStream, malformed, read_frame};
use crate::View;
use arc_swap::ArcSwap;
use bytes::BytesMut;
use quorate_store::{FINGERPRINT, Fingerprints, Members};
use quorate_wire::compare::{Question, Told, get_question, get_told, put_question, put_told};
use quorate_wire::hello::{Answer, Purpose};
use quorate_wire::peer::put_framed;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

/// How long a member that has not come to a revision yet is waited for.
const BEHIND: Duration = Duration::from_secs(2);

/// How long an answer may take: a hash reads the whole state.
const PATIENCE: Duration = Duration::from_secs(300);

/// What this member can say about its state. Cheap to clone.
#[derive(Clone)]
pub struct Evidence {
    view: Arc<ArcSwap<View>>,
    fingerprints: Arc<Mutex<Fingerprints>>,
    /// One hash at a time.
    turn: Arc<Semaphore>,
}

impl Evidence {
    /// Says what the state and the fingerprints say.
    pub fn new(view: Arc<ArcSwap<View>>, fingerprints: Arc<Mutex<Fingerprints>>) -> Evidence {
        Evidence { view, fingerprints, turn: Arc::new(Semaphore::new(1)) }
    }

    /// The newest table of members.
    pub fn members(&self) -> Arc<Members> {
        self.view.load().members().clone()
    }

    /// Answers a question. Call it from a tokio runtime.
    pub async fn tell(&self, question: Question) -> Told {
        match question {
            Question::Fingerprints => {
                let kept = self.fingerprints.lock().expect("no holder of this lock panics").all();
                Told::Fingerprints {
                    version: u64::from(FINGERPRINT),
                    all: kept.into_iter().collect(),
                }
            }
            Question::Hash { revision } => match self.hash(revision).await {
                Ok(told) => told,
                Err(why) => Told::Nothing { why },
            },
        }
    }

    async fn hash(&self, revision: i64) -> Result<Told, String> {
        let _turn = self.turn.acquire().await.map_err(|error| error.to_string())?;
        let asked = Instant::now();
        while self.view.load().revision() < revision && asked.elapsed() < BEHIND {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let view = self.view.load_full();
        let scan = tokio::task::spawn_blocking(move || {
            let hash = view.hash_kv(revision).map_err(|error| format!("{error:?}"))?;
            let sound = view.is_sound().map_err(|error| error.to_string())?;
            Ok::<_, String>((hash, sound))
        });
        let (hash, sound) = scan.await.map_err(|error| error.to_string())??;
        Ok(Told::Hash {
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.hash_revision,
            sound,
        })
    }
}

/// Answers the one question of a connection.
pub async fn answer(
    evidence: &Evidence,
    mut stream: PeerStream,
    mut buffer: BytesMut,
) -> io::Result<()> {
    let body = tokio::time::timeout(GREETING_TIMEOUT, read_frame(&mut stream, &mut buffer)).await?;
    let question = get_question(body?).map_err(malformed)?;
    let told = evidence.tell(question).await;
    let mut out = BytesMut::new();
    put_framed(&mut out, |out| put_told(out, &told));
    stream.write_all(&out).await?;
    stream.flush().await
}

/// Asks another member.
///
/// # Errors
/// Why there is no answer; nothing follows from that.
pub async fn ask(peer: &Peer, identity: &Identity, question: Question) -> Result<Told, String> {
    let say = |error: io::Error| error.to_string();
    let greeting = greet(peer, identity, Purpose::Compare);
    let greeted = tokio::time::timeout(GREETING_TIMEOUT, greeting).await;
    let (mut stream, answer) = greeted.map_err(|_| "no answer".to_owned())?.map_err(say)?;
    match answer {
        Answer::Welcome { .. } => {}
        Answer::Refused { why } | Answer::Removed { why } => return Err(why),
        Answer::Cluster { .. } => return Err("an answer to another question".to_owned()),
    }
    let mut out = BytesMut::new();
    put_framed(&mut out, |out| put_question(out, question));
    stream.write_all(&out).await.map_err(say)?;
    stream.flush().await.map_err(say)?;
    let mut buffer = BytesMut::new();
    let read = tokio::time::timeout(PATIENCE, read_frame(&mut stream, &mut buffer)).await;
    let body = read.map_err(|_| "no answer".to_owned())?.map_err(say)?;
    match get_told(body).map_err(|error| error.to_string())? {
        Told::Nothing { why } => Err(why),
        told @ (Told::Fingerprints { .. } | Told::Hash { .. }) => Ok(told),
    }
}
