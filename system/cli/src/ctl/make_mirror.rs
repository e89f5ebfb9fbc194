//! `make-mirror`: copying keys to another cluster, and every change after that.
//!
//! First the pairs as they are at one revision, in pages; then every later revision, each as one transaction (in parts
//! where it is larger than the destination takes). The source may be any etcd or Quorate, so this is a way from one to the
//! other while clients go on writing.
//!
//! # Going on after an interruption
//!
//! `--rev N` begins with the changes of revision N. The last line on standard error names the N to go on with. With
//! `--checkpoint-key KEY` the mirror keeps that itself: each transaction puts the revision that it mirrors into KEY of the
//! destination, and a mirror that finds the key goes on from there. What was written twice in between is the same.
//!
//! Leases and revisions stay behind: a mirrored pair has the value only. Keys that the destination has besides are left
//! alone, also those that were deleted at the source while nobody mirrored.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::{ArgAction, Args};
use quorate_client::etcd::etcdserverpb::request_op::Request;
use quorate_client::etcd::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
};
use quorate_client::etcd::mvccpb::Event;
use quorate_client::etcd::mvccpb::event::EventType;
use quorate_client::{Client, Credentials, FROM_KEY, Options, Tls, prefix_end};

use super::failure::{BAD_ARGUMENTS, ERROR, Failure};
use super::global::Global;
use super::lock::interrupted;
use super::password;

/// Pairs of one page of the source.
const PAGE: i64 = 1_000;

/// Bytes of pairs in one transaction while all of them are copied: well below what a request may have.
const BATCH_BYTES: usize = 512 << 10;

/// Between two lines that tell how many keys were mirrored.
const TELL: Duration = Duration::from_secs(30);

/// Makes a mirror at the destination etcd cluster
#[derive(Debug, Args)]
#[command(
    after_help = "Prints every 30 s how many keys it has mirrored, and runs until it is interrupted.

Examples:
  quorate make-mirror 10.0.0.9:2379 --endpoints old-etcd:2379
  quorate make-mirror 10.0.0.9:2379 --prefix app/ --dest-prefix copy/app/
  quorate make-mirror 10.0.0.9:2379 --checkpoint-key /mirror/position    goes on where it was"
)]
pub struct Arguments {
    /// Where the destination listens for clients
    #[arg(value_name = "DESTINATION")]
    destination: Vec<String>,
    /// Key-value prefix to mirror
    #[arg(long, default_value = "")]
    prefix: String,
    /// Specify the kv revision to start to mirror
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// Maximum number of operations permitted in a transaction during syncing updates
    #[arg(long, default_value_t = 128)]
    max_txn_ops: usize,
    /// destination prefix to mirror a prefix to a different prefix in the destination cluster
    #[arg(long, default_value = "")]
    dest_prefix: String,
    /// mirror key-values to the root of the destination cluster
    #[arg(long)]
    no_dest_prefix: bool,
    /// Keep the position of the mirror in this key of the destination, and go on from there
    #[arg(long, default_value = "")]
    checkpoint_key: String,
    /// Destination username[:password] for authentication (prompt if password is not supplied)
    #[arg(long, default_value = "")]
    dest_user: String,
    /// Destination password for authentication
    #[arg(long, default_value = "")]
    dest_password: String,
    /// Who may vouch for the destination: a bundle of authorities in PEM [default: the system's]
    #[arg(long, default_value = "")]
    dest_cacert: String,
    /// The client's certificate for the destination, in PEM
    #[arg(long, default_value = "")]
    dest_cert: String,
    /// The key of that certificate
    #[arg(long, default_value = "")]
    dest_key: String,
    /// Connect without TLS to a destination without a scheme, unless another flag is about TLS
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true")]
    dest_insecure_transport: bool,
}

/// A mirror under way.
struct Mirror {
    source: Client,
    destination: Client,
    prefix: Bytes,
    replacement: Bytes,
    max_ops: usize,
    checkpoint: Option<Bytes>,
    /// Keys mirrored.
    total: Arc<AtomicI64>,
    /// The last revision of the source that the destination has.
    done: i64,
}

/// Runs the command.
pub async fn run(arguments: Arguments, global: &Global) -> Result<(), Failure> {
    let mut mirror = Mirror::new(&arguments, global)?;
    mirror.done = mirror.position(arguments.rev).await?;
    let total = mirror.total.clone();
    let telling = tokio::spawn(async move {
        loop {
            tokio::time::sleep(TELL).await;
            println!("{}", total.load(Ordering::Relaxed));
        }
    });
    let ended = tokio::select! {
        ended = mirror.run() => ended,
        () = interrupted() => Err(Failure::new(ERROR, "interrupted")),
    };
    telling.abort();
    if mirror.done > 0 {
        eprintln!("mirrored up to revision {}: go on with --rev {}", mirror.done, mirror.done + 1);
    }
    ended
}

impl Mirror {
    fn new(arguments: &Arguments, global: &Global) -> Result<Mirror, Failure> {
        let [destination] = arguments.destination.as_slice() else {
            return Err(Failure::arguments("make-mirror takes one destination argument"));
        };
        if arguments.no_dest_prefix && !arguments.dest_prefix.is_empty() {
            return Err(Failure::arguments(
                "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
            ));
        }
        let replacement = match (arguments.no_dest_prefix, arguments.dest_prefix.as_str()) {
            (true, _) => "",
            (false, "") => &arguments.prefix,
            (false, other) => other,
        };
        let source = global.client()?;
        let destination = Options {
            endpoints: vec![destination.clone()],
            credentials: arguments.credentials()?,
            tls: arguments.tls()?,
            fences: Vec::new(),
            ..source.options().clone()
        };
        let destination =
            Client::new(destination).map_err(|error| Failure::call(BAD_ARGUMENTS, &error))?;
        let checkpoint = Some(&arguments.checkpoint_key).filter(|key| !key.is_empty());
        Ok(Mirror {
            source,
            destination,
            prefix: arguments.prefix.clone().into(),
            replacement: replacement.to_owned().into(),
            max_ops: arguments.max_txn_ops.max(2),
            checkpoint: checkpoint.map(|key| key.clone().into()),
            total: Arc::default(),
            done: 0,
        })
    }

    /// The last revision that the destination has already; 0 if it has to be copied whole.
    async fn position(&self, asked: i64) -> Result<i64, Failure> {
        let Some(key) = self.checkpoint.clone().filter(|_| asked <= 1) else {
            return Ok((asked - 1).max(0));
        };
        let request = RangeRequest { key, ..RangeRequest::default() };
        let answer = self.destination.range(request).await?;
        let Some(pair) = answer.kvs.first() else { return Ok(0) };
        let text = String::from_utf8_lossy(&pair.value);
        text.parse().map_err(|_| {
            let key = String::from_utf8_lossy(&pair.key);
            let message = format!("{key} of the destination holds {text:?}, not a revision");
            Failure::new(ERROR, message)
        })
    }

    async fn run(&mut self) -> Result<(), Failure> {
        if self.done == 0 {
            self.copy_all().await?;
        }
        let (key, range_end) = self.range();
        let start_revision = self.done + 1;
        let request = WatchCreateRequest { key, range_end, start_revision, ..Default::default() };
        let mut watcher = self.source.watch(request).await?;
        while let Some(answer) = watcher.next().await? {
            if answer.compact_revision != 0 {
                let message = "etcdserver: mvcc: required revision has been compacted";
                return Err(Failure::new(ERROR, message));
            }
            if answer.canceled {
                return Err(Failure::new(ERROR, answer.cancel_reason));
            }
            let revision = |event: &Event| event.kv.as_ref().map_or(0, |pair| pair.mod_revision);
            for change in answer.events.chunk_by(|a, b| revision(a) == revision(b)) {
                self.follow(change, revision(&change[0])).await?;
            }
        }
        Err(Failure::new(ERROR, "the watch of the source ended"))
    }

    /// The keys to mirror.
    fn range(&self) -> (Bytes, Bytes) {
        if self.prefix.is_empty() {
            return (FROM_KEY, FROM_KEY);
        }
        (self.prefix.clone(), prefix_end(&self.prefix))
    }

    /// Copies all pairs as they are at one revision.
    async fn copy_all(&mut self) -> Result<(), Failure> {
        let (mut key, range_end) = self.range();
        let mut revision = 0;
        loop {
            let (key_now, range_end) = (key.clone(), range_end.clone());
            let request = RangeRequest {
                key: key_now,
                range_end,
                revision,
                limit: PAGE,
                ..RangeRequest::default()
            };
            let answer = self.source.range(request).await?;
            if revision == 0 {
                revision = answer.header.as_ref().map_or(0, |header| header.revision);
            }
            let (mut ops, mut bytes) = (Vec::new(), 0);
            for pair in &answer.kvs {
                let size = pair.key.len() + pair.value.len();
                if ops.len() == self.max_ops || bytes + size > BATCH_BYTES && !ops.is_empty() {
                    self.commit(std::mem::take(&mut ops)).await?;
                    bytes = 0;
                }
                ops.push(self.put(&pair.key, &pair.value));
                bytes += size;
            }
            if !ops.is_empty() {
                self.commit(ops).await?;
            }
            match answer.kvs.last() {
                Some(last) if answer.more => key = [&last.key[..], &[0]].concat().into(),
                Some(_) | None => break,
            }
        }
        self.note(revision).await?;
        self.done = revision;
        Ok(())
    }

    /// Does what one revision of the source did.
    async fn follow(&mut self, change: &[Event], revision: i64) -> Result<(), Failure> {
        let op = |event: &Event| {
            let pair = event.kv.clone().unwrap_or_default();
            match event.r#type() {
                EventType::Put => self.put(&pair.key, &pair.value),
                EventType::Delete => self.delete(&pair.key),
            }
        };
        let mut ops: Vec<RequestOp> = change.iter().map(op).collect();
        // The position goes with the last part, so that it never says more than was done.
        let room = self.max_ops - usize::from(self.checkpoint.is_some());
        while ops.len() > room {
            let rest = ops.split_off(room);
            self.commit(std::mem::replace(&mut ops, rest)).await?;
        }
        ops.extend(self.position_op(revision));
        self.commit(ops).await?;
        self.done = revision;
        Ok(())
    }

    async fn commit(&self, ops: Vec<RequestOp>) -> Result<(), Failure> {
        let keys = ops.iter().filter(|op| !self.is_position(op)).count();
        let txn = TxnRequest { success: ops, ..TxnRequest::default() };
        self.destination.txn(txn).await?;
        self.total.fetch_add(keys as i64, Ordering::Relaxed);
        Ok(())
    }

    async fn note(&self, revision: i64) -> Result<(), Failure> {
        match self.position_op(revision) {
            Some(op) => self.commit(vec![op]).await,
            None => Ok(()),
        }
    }

    fn position_op(&self, revision: i64) -> Option<RequestOp> {
        let (key, value) = (self.checkpoint.clone()?, revision.to_string().into());
        let put = PutRequest { key, value, ..PutRequest::default() };
        Some(RequestOp { request: Some(Request::RequestPut(put)) })
    }

    fn is_position(&self, op: &RequestOp) -> bool {
        matches!(&op.request, Some(Request::RequestPut(put)) if Some(&put.key) == self.checkpoint.as_ref())
    }

    fn put(&self, key: &[u8], value: &Bytes) -> RequestOp {
        let (key, value) = (self.renamed(key), value.clone());
        let put = PutRequest { key, value, ..PutRequest::default() };
        RequestOp { request: Some(Request::RequestPut(put)) }
    }

    fn delete(&self, key: &[u8]) -> RequestOp {
        let delete = DeleteRangeRequest { key: self.renamed(key), ..Default::default() };
        RequestOp { request: Some(Request::RequestDeleteRange(delete)) }
    }

    /// The key at the destination.
    fn renamed(&self, key: &[u8]) -> Bytes {
        let rest = key.strip_prefix(&self.prefix[..]).unwrap_or(key);
        [&self.replacement[..], rest].concat().into()
    }
}

impl Arguments {
    /// How to speak TLS to the destination, if any flag is about it.
    fn tls(&self) -> Result<Option<Tls>, Failure> {
        let given = |value: &String| (!value.is_empty()).then(|| PathBuf::from(value));
        let identity = match (given(&self.dest_cert), given(&self.dest_key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let why = "--dest-cert and --dest-key belong together: one of them is missing";
                return Err(Failure::arguments(why));
            }
        };
        let trusted = given(&self.dest_cacert);
        let is_asked = trusted.is_some() || identity.is_some() || !self.dest_insecure_transport;
        Ok(is_asked.then_some(Tls { trusted, identity, skip_verify: false }))
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        if self.dest_user.is_empty() {
            return Ok(None);
        }
        let (name, password) = match self.dest_user.split_once(':') {
            _ if !self.dest_password.is_empty() => {
                (self.dest_user.clone(), self.dest_password.clone())
            }
            Some((name, password)) => (name.to_owned(), password.to_owned()),
            None => {
                let password = password::ask("Destination Password: ");
                let password = password.map_err(|error| Failure::new(ERROR, error))?;
                (self.dest_user.clone(), password)
            }
        };
        Ok(Some(Credentials::Password { name, password }))
    }
}
