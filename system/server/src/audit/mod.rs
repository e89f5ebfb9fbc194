//! The audit log: who did what, on which keys, allowed or not, at which revision.
//!
//! Every call of the API leaves a record in the file of the member that took it ([`writer`]), in a
//! chain of hashes ([`chain`]) whose end all members know by checkpoints that go through the log of
//! consensus. What only an administrator does leaves a second record *before* it is done, on disk:
//! when that cannot be written, it is not done. A call on keys is served even then, and counted.
//!
//! What a call touches is noted on its way ([`note`], [`note_span`]) in the task that serves it.

pub mod chain;
mod writer;

pub use writer::{AuditOptions, files};

use crate::rights::Needs;
use crate::service::Service;
use bytes::Bytes;
use quorate_store::touch::{Right, Span, Touch};
use quorate_store::{Action, AuthChange};
use quorate_wire::etcd::rpcs::Rpc;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};
use writer::{Entry, Place, Writer};

/// Records that wait for the writer; then calls wait as well.
const QUEUE: usize = 4_096;
/// A record lists so many key ranges and counts the rest.
const MAX_TOUCHES: usize = 32;
/// How often records reach the disk when nobody waits for them, and checkpoints are looked for.
const TICK: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Notes {
    touches: Vec<Value>,
    more: u64,
    subject: Option<String>,
}

tokio::task_local! {
    static NOTES: RefCell<Notes>;
}

/// The audit log of a running member.
pub struct Audit {
    entries: mpsc::Sender<Entry>,
    place: watch::Receiver<Place>,
    calls: AtomicU64,
    every: Duration,
}

/// Who calls what, from where.
pub struct Call {
    /// The call.
    pub rpc: Rpc,
    /// The user, if one is known.
    pub user: Option<Bytes>,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
}

impl Call {
    fn fields(&self, notes: Notes, rest: &[(&str, Value)]) -> String {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let user = self.user.as_ref().map(|user| String::from_utf8_lossy(user).into_owned());
        let mut fields = vec![
            ("time", json!(millis as u64)),
            ("user", json!(user)),
            ("peer", json!(self.peer.map(|peer| peer.to_string()))),
            ("call", json!(self.rpc.path())),
        ];
        if let Some(subject) = notes.subject {
            fields.push(("subject", json!(subject)));
        }
        if !notes.touches.is_empty() {
            fields.push(("touches", Value::Array(notes.touches)));
        }
        if notes.more > 0 {
            fields.push(("more", json!(notes.more)));
        }
        fields.extend(rest.iter().cloned());
        let fields = fields.iter().map(|(name, value)| format!("\"{name}\":{value}"));
        fields.collect::<Vec<_>>().join(",")
    }
}

impl Audit {
    /// Opens the log and starts its thread.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn start(options: AuditOptions, member: u64, every: Duration) -> Result<Audit, String> {
        let writer = Writer::open(options, member)?;
        let (entries, queue) = mpsc::channel(QUEUE);
        let (sender, place) = watch::channel(writer.place());
        let run = move || writer.run(queue, sender);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(run);
        thread.map_err(|error| error.to_string())?;
        Ok(Audit { entries, place, calls: AtomicU64::new(0), every })
    }

    async fn put(&self, fields: String) {
        // It fails only when the thread has ended with the process.
        let _ = self.entries.send(Entry { fields, durable: None }).await;
    }

    async fn put_durably(&self, fields: String) -> Result<(), String> {
        let (sender, done) = oneshot::channel();
        let entry = Entry { fields, durable: Some(sender) };
        let gone = || "its thread has ended".to_owned();
        self.entries.send(entry).await.map_err(|_| gone())?;
        done.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Says on disk what is going to be done, if it is an administrator's work.
    ///
    /// # Errors
    /// Why it could not be written: then it must not be done.
    pub async fn announce(&self, call: &Call, needs: Needs) -> Result<(), String> {
        if !needs.is_admin() {
            return Ok(());
        }
        self.put_durably(call.fields(Notes::default(), &[("intent", json!(true))])).await
    }

    /// Carries a call out and says what came of it.
    pub async fn witness<T>(
        &self,
        service: &Service,
        call: Call,
        work: impl Future<Output = T>,
        came_to: impl FnOnce(&T) -> (i32, bool),
    ) -> T {
        let (done, notes) = NOTES
            .scope(RefCell::default(), async {
                let done = work.await;
                (done, NOTES.with(RefCell::take))
            })
            .await;
        let (code, allowed) = came_to(&done);
        let revision = service.view().revision();
        let rest =
            [("allowed", json!(allowed)), ("code", json!(code)), ("revision", json!(revision))];
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.put(call.fields(notes, &rest)).await;
        done
    }

    /// Says that a watcher was created on an open stream, or why not.
    pub fn watcher(&self, user: Option<Bytes>, span: Span<'_>, allowed: bool, revision: i64) {
        let mut notes = Notes::default();
        notes.add(span, Right::Read);
        let call = Call { rpc: Rpc::WatchWatch, user, peer: None };
        let rest = [("allowed", json!(allowed)), ("revision", json!(revision))];
        self.calls.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { fields: call.fields(notes, &rest), durable: None };
        if self.entries.try_send(entry).is_err() {
            tracing::error!("the audit log is too slow: the record of a watcher is lost");
        }
    }
}

impl Notes {
    fn add(&mut self, span: Span<'_>, right: Right) {
        if self.touches.len() == MAX_TOUCHES {
            self.more += 1;
            return;
        }
        let right = match right {
            Right::Read => "r",
            Right::Write => "w",
        };
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        self.touches.push(json!([right, text(span.key), text(span.end)]));
    }
}

fn with_notes(add: impl FnOnce(&mut Notes)) {
    // Without an audit log, and for what a member does for itself, nobody takes notes.
    let _ = NOTES.try_with(|notes| add(&mut notes.borrow_mut()));
}

/// Notes what an action touches.
pub fn note(action: &Action) {
    with_notes(|notes| {
        let _ = quorate_store::touch::visit(action, &mut |touch| -> Result<(), ()> {
            match touch {
                Touch::Keys { span, right, .. } => notes.add(span, right),
                Touch::LeaseKeys { id } => {
                    notes.touches.push(json!(["w", format!("keys of lease {id:x}"), ""]));
                }
            }
            Ok(())
        });
        if let Action::Auth(change) = action {
            notes.subject = Some(subject(change));
        }
    });
}

/// Notes keys that are read.
pub fn note_span(span: Span<'_>, right: Right) {
    with_notes(|notes| notes.add(span, right));
}

/// What a change is about, without any password.
fn subject(change: &AuthChange) -> String {
    let text = |name: &Bytes| String::from_utf8_lossy(name).into_owned();
    match change {
        AuthChange::Enable | AuthChange::Disable => "authentication".to_owned(),
        AuthChange::Authenticate { user, .. }
        | AuthChange::UserAdd { user, .. }
        | AuthChange::UserDelete { user }
        | AuthChange::UserPassword { user, .. } => format!("user {}", text(user)),
        AuthChange::UserGrantRole { user, role } | AuthChange::UserRevokeRole { user, role } => {
            format!("user {}, role {}", text(user), text(role))
        }
        AuthChange::RoleAdd { role } | AuthChange::RoleDelete { role } => {
            format!("role {}", text(role))
        }
        AuthChange::RoleGrant { role, grant } => format!(
            "role {}, {:?} on {} to {}",
            text(role),
            grant.allows,
            grant.range.key.escape_ascii(),
            grant.range.end.escape_ascii()
        ),
        AuthChange::RoleRevoke { role, range } => format!(
            "role {}, {} to {}",
            text(role),
            range.key.escape_ascii(),
            range.end.escape_ascii()
        ),
    }
}

/// Tells all members now and then how far this log is, and writes down what they tell. Never
/// returns.
pub async fn keep_checkpoints(service: Arc<Service>) {
    let Some(audit) = &service.audit else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(TICK.min(audit.every));
    let (mut told_calls, mut told_at) = (0, tokio::time::Instant::now());
    loop {
        ticks.tick().await;
        for told in service.host.audit_checkpoints() {
            let told = json!({
                "member": told.member,
                "records": told.records,
                "hash": chain::hex(&told.hash),
                "index": told.index,
            });
            // Durable, and with it everything before: this is the sync of a quiet log, too.
            if let Err(why) = audit.put_durably(format!("\"checkpoint\":{told}")).await {
                tracing::error!("the audit log does not have its checkpoint: {why}");
            }
        }
        let calls = audit.calls.load(Ordering::Relaxed);
        if calls == told_calls || told_at.elapsed() < audit.every {
            continue;
        }
        let (records, hash) = *audit.place.borrow();
        let hash = Bytes::copy_from_slice(&hash);
        let member = service.host.member_id();
        let action = Action::AuditCheckpoint { member, records, hash };
        let limit = service.limits.max_request_bytes;
        if service.host.propose(service.host.myself(), action, limit).await.is_ok() {
            (told_calls, told_at) = (calls, tokio::time::Instant::now());
        }
    }
}
