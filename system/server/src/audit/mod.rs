//! The audit log: who did what, on which keys, allowed or not, at which revision.
//!
//! Every call of the API leaves a record in the file of the member that took it ([`writer`]), in a
//! chain of hashes ([`chain`]) whose end all members know by checkpoints that go through the log of
//! consensus. What only an administrator does leaves a second record *before* it is done, on disk:
//! when that cannot be written, it is not done. A call on keys is served even then, and counted.
//!
//! What a call touches is noted on its way ([`note`], [`note_span`]) in the task that serves it, and in
//! those that it starts and waits for ([`carried`]). A call whose caller goes away before it is
//! answered has its record too, which says so.

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
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};
use writer::{Entry, Order, Place, Writer};

/// Records that wait for the writer; then calls wait as well.
const QUEUE: usize = 4_096;
/// A record lists so many key ranges and counts the rest.
const MAX_TOUCHES: usize = 32;
/// How often records are synced when nobody waits for them, and checkpoints are looked for.
const TICK: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Notes {
    touches: Vec<Value>,
    more: u64,
    subject: Option<String>,
}

tokio::task_local! {
    static NOTES: Arc<Mutex<Notes>>;
}

fn take(notes: &Mutex<Notes>) -> Notes {
    std::mem::take(&mut *notes.lock().expect("no holder of this lock panics"))
}

/// The audit log of a running member.
pub struct Audit {
    orders: mpsc::Sender<Order>,
    /// What is on disk for certain.
    place: watch::Receiver<Place>,
    calls: AtomicU64,
    /// Records for which there was no room: the writer tells of them in the next one.
    lost: Arc<AtomicU64>,
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
        let lost = Arc::default();
        let writer = Writer::open(options, member, Arc::clone(&lost))?;
        let (orders, queue) = mpsc::channel(QUEUE);
        let (sender, place) = watch::channel(writer.place());
        let run = move || writer.run(queue, sender);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(run);
        thread.map_err(|error| error.to_string())?;
        Ok(Audit { orders, place, calls: AtomicU64::new(0), every, lost })
    }

    /// Writes a record when there is room for it at once; otherwise it is lost, and counted.
    fn put_now(&self, fields: String) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.orders.try_send(Order::Write(Entry { fields, durable: None })).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the audit log is too slow: a record is lost");
        }
    }

    async fn put_durably(&self, fields: String) -> Result<(), String> {
        let (sender, done) = oneshot::channel();
        let order = Order::Write(Entry { fields, durable: Some(sender) });
        let gone = || "its thread has ended".to_owned();
        self.orders.send(order).await.map_err(|_| gone())?;
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

    /// Carries a call out and says what came of it; also when its caller does not wait for that.
    pub async fn witness<T>(
        &self,
        service: &Service,
        call: Call,
        work: impl Future<Output = T>,
        came_to: impl FnOnce(&T) -> (i32, bool),
    ) -> T {
        let notes = Arc::default();
        let mut witness =
            Witness { audit: self, service, call, notes, came_to: None, is_done: false };
        let done = NOTES.scope(Arc::clone(&witness.notes), work).await;
        witness.came_to = Some(came_to(&done));
        // There is always room in the end; who does not wait for it leaves the record to `drop`.
        if let Ok(room) = self.orders.reserve().await {
            let fields = witness.testify();
            room.send(Order::Write(Entry { fields, durable: None }));
            witness.is_done = true;
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    /// Says that a watcher was created on an open stream, or why not.
    pub fn watcher(&self, user: Option<Bytes>, span: Span<'_>, allowed: bool, revision: i64) {
        let mut notes = Notes::default();
        notes.add(span, Right::Read);
        let call = Call { rpc: Rpc::WatchWatch, user, peer: None };
        let rest = [("allowed", json!(allowed)), ("revision", json!(revision))];
        self.put_now(call.fields(notes, &rest));
    }

    /// Syncs every second what was written meanwhile. Never returns.
    async fn keep_synced(&self) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            // When there is no room the writer is busy, and asked again a second later.
            let _ = self.orders.try_send(Order::Sync { done: None });
        }
    }

    /// Syncs everything that was written before, and tells how far the log is then.
    async fn synced(&self) -> Place {
        let (sender, done) = oneshot::channel();
        if self.orders.send(Order::Sync { done: Some(sender) }).await.is_ok() {
            let _ = done.await;
        }
        *self.place.borrow()
    }
}

/// A call that is under way, until it has its record.
struct Witness<'a> {
    audit: &'a Audit,
    service: &'a Service,
    call: Call,
    notes: Arc<Mutex<Notes>>,
    /// The code of its answer, and whether it was allowed; `None` while there is none.
    came_to: Option<(i32, bool)>,
    is_done: bool,
}

impl Witness<'_> {
    /// What its record says.
    fn testify(&self) -> String {
        let revision = ("revision", json!(self.service.view().revision()));
        let notes = take(&self.notes);
        match self.came_to {
            Some((code, allowed)) => {
                let rest = [("allowed", json!(allowed)), ("code", json!(code)), revision];
                self.call.fields(notes, &rest)
            }
            // Nobody knows what came of it: what is under way is not taken back.
            None => self.call.fields(notes, &[("abandoned", json!(true)), revision]),
        }
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.audit.put_now(self.testify());
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
    let _ = NOTES.try_with(|notes| {
        add(&mut notes.lock().expect("no holder of this lock panics"));
    });
}

/// Work for a task of its own that notes what it touches for the call that waits for it.
pub fn carried<W: Future>(work: W) -> impl Future<Output = W::Output> {
    let notes = NOTES.try_with(Arc::clone).ok();
    async move {
        match notes {
            Some(notes) => NOTES.scope(notes, work).await,
            None => work.await,
        }
    }
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

/// Syncs what nobody waits for, tells all members now and then how far this log is, and writes down
/// what they tell. Never returns.
pub async fn keep(service: Arc<Service>) {
    let Some(audit) = &service.audit else { return std::future::pending().await };
    // Apart from the checkpoints, which wait for a quorum.
    tokio::join!(audit.keep_synced(), keep_checkpoints(&service, audit));
}

async fn keep_checkpoints(service: &Service, audit: &Audit) {
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
            if let Err(why) = audit.put_durably(format!("\"checkpoint\":{told}")).await {
                tracing::error!("the audit log does not have its checkpoint: {why}");
            }
        }
        let calls = audit.calls.load(Ordering::Relaxed);
        if calls == told_calls || told_at.elapsed() < audit.every {
            continue;
        }
        let (records, hash) = audit.synced().await;
        let hash = Bytes::copy_from_slice(&hash);
        let member = service.host.member_id();
        let action = Action::AuditCheckpoint { member, records, hash };
        let limit = service.limits.max_request_bytes;
        if service.host.propose(service.host.myself(), action, limit).await.is_ok() {
            (told_calls, told_at) = (calls, tokio::time::Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(dir: &tempfile::TempDir) -> Audit {
        let path = dir.path().join("audit.log");
        let options = AuditOptions { path, max_bytes: 1 << 20, max_files: 1 };
        Audit::start(options, 7, Duration::from_secs(3_600)).expect("a new log")
    }

    #[tokio::test]
    async fn a_quiet_log_is_synced_within_seconds_without_any_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let audit = audit(&dir);
        let mut place = audit.place.clone();
        audit.put_now("\"user\":\"a\"".to_owned());
        let limit = Duration::from_secs(30);
        let until = async {
            tokio::select! {
                () = audit.keep_synced() => {}
                done = place.wait_for(|(records, _)| *records == 1) => drop(done.expect("it runs")),
            }
        };
        tokio::time::timeout(limit, until).await.expect("synced by itself");
    }

    #[tokio::test]
    async fn a_checkpoint_vouches_for_all_that_was_written_before() {
        let dir = tempfile::tempdir().unwrap();
        let audit = audit(&dir);
        for _ in 0..5 {
            audit.put_now("\"user\":\"a\"".to_owned());
        }
        assert_eq!(audit.synced().await.0, 5);
    }

    #[tokio::test]
    async fn what_a_task_of_its_own_touches_is_noted_for_its_call() {
        let notes: Arc<Mutex<Notes>> = Arc::default();
        let work = async {
            let key = Span::key(b"k");
            tokio::spawn(carried(async move { note_span(key, Right::Write) })).await.unwrap();
        };
        NOTES.scope(Arc::clone(&notes), work).await;
        assert_eq!(take(&notes).touches, [json!(["w", "k", ""])]);
    }
}
