//! How other processes talk to the supervisor of a local cluster: one JSON object per line over a unix socket, one
//! request and one answer per connection.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::directory::ClusterFile;

/// Longest path of a unix socket that every kernel takes.
const MAX_SOCKET_PATH: usize = 100;
/// Most bytes of a request; a name of a member and a verb need few.
const MAX_REQUEST_BYTES: u64 = 4096;
/// Longest time that a client waits for an answer: a restart drains first and then waits until the member answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// What to do to a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// SIGTERM, and SIGKILL if it takes too long.
    Stop,
    /// SIGKILL.
    Kill,
    /// Stop, if it runs, and start.
    Restart,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// Let nothing through on its links.
    Cut,
    /// Let everything through again.
    Heal,
    /// Make its disk late, let it hang, or let it be as it is.
    Disk,
    /// Start it as a new member of the running cluster, with an empty data directory; do not wait for it.
    Join,
    /// It is being removed: its end will be no surprise.
    Leave,
    /// Answer whether it runs; refused while it does.
    Ended,
}

/// Stands for every member where links are healed.
pub const EVERYBODY: &str = "*";

/// One request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// To which member; links may be healed for [`EVERYBODY`].
    pub node: String,
    /// Cut or heal only what it sends to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Cut or heal only what it receives from this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The members that one that joins is told of, as `--initial-cluster` takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// How its disk is from now on: milliseconds that every sync takes longer, `hang`, or `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
}

impl Request {
    /// A request about a member, without a direction.
    pub fn of(action: Action, node: &str) -> Request {
        let (to, from, disk, cluster) = (None, None, None, None);
        Request { action, node: node.to_owned(), to, from, disk, cluster }
    }
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// What was done, or why not: one line.
    pub text: String,
}

/// A request that waits for its answer.
pub struct Pending {
    /// The request.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// A path for the socket that is short enough: through the open directory if its own is too long. The file must stay
/// open while the path is used.
fn short(directory: &Path, name: &str) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    let plain = directory.join(name);
    if plain.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok((plain, None));
    }
    let file = std::fs::File::open(directory)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&file);
    Ok((PathBuf::from(format!("/proc/self/fd/{number}/{name}")), Some(file)))
}

/// Listens on the socket, after removing what a supervisor left behind that was killed. Call it with the directory
/// locked, inside a runtime.
pub fn listen(directory: &Path, name: &str) -> io::Result<mpsc::Receiver<Pending>> {
    let (path, _open) = short(directory, name)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, sender.clone()));
        }
    });
    Ok(receiver)
}

async fn serve(stream: tokio::net::UnixStream, sender: mpsc::Sender<Pending>) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(MAX_REQUEST_BYTES));
    if reader.read_line(&mut line).await.is_err() || line.is_empty() {
        return;
    }
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let (answer, receiver) = oneshot::channel();
            let sent = sender.send(Pending { request, answer }).await;
            let stopping = || Answer { ok: false, text: "the cluster is being stopped".to_owned() };
            if sent.is_err() { stopping() } else { receiver.await.unwrap_or_else(|_| stopping()) }
        }
        Err(error) => {
            Answer { ok: false, text: format!("this request is not understood: {error}") }
        }
    };
    if let Ok(mut text) = serde_json::to_vec(&answer) {
        text.push(b'\n');
        // Whoever asked may have gone.
        let _ = writer.write_all(&text).await;
    }
}

/// Asks the supervisor of a directory. The errors are one line each.
pub fn ask(directory: &Path, request: &Request) -> Result<Answer, String> {
    let (_, mut stream) = connect(directory)?;
    let mut line = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    line.push(b'\n');
    let mut exchange = || -> io::Result<String> {
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(&line)?;
        let mut text = String::new();
        BufReader::new(&stream).read_line(&mut text)?;
        Ok(text)
    };
    let text = exchange().map_err(|error| format!("the supervisor does not answer: {error}"))?;
    serde_json::from_str(&text).map_err(|_| "the supervisor ended before it answered".to_owned())
}

/// The same, for whoever must not block; what is not done is an error.
pub async fn request(directory: &Path, request: Request) -> Result<(), String> {
    let directory = directory.to_owned();
    let asked = tokio::task::spawn_blocking(move || ask(&directory, &request));
    match asked.await.map_err(|error| error.to_string())?? {
        Answer { ok: true, .. } => Ok(()),
        Answer { ok: false, text } => Err(text),
    }
}

/// The description of a cluster that runs, which its supervisor proves by taking a call.
pub fn running(directory: &Path) -> Result<ClusterFile, String> {
    connect(directory).map(|(cluster, _)| cluster)
}

fn connect(directory: &Path) -> Result<(ClusterFile, UnixStream), String> {
    let shown = directory.display();
    let cluster = ClusterFile::read(directory)?.ok_or_else(|| {
        format!("no cluster in {shown}: start one with `quorate up`, or name its --data-dir")
    })?;
    let Some(pid) = cluster.supervisor_pid else {
        return Err(format!("the cluster of {shown} does not run: start it with `quorate up`"));
    };
    let connected =
        short(directory, &cluster.control).and_then(|(path, _open)| UnixStream::connect(path));
    match connected {
        Ok(stream) => Ok((cluster, stream)),
        Err(error) => Err(format!(
            "the cluster of {shown} does not run any more, its supervisor (process {pid}) does not answer ({error}): \
             start it with `quorate up`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory whose supervisor repeats what it was asked.
    async fn parrot(directory: &Path) {
        let cluster = ClusterFile::new(directory, 3, 2379);
        ClusterFile { supervisor_pid: Some(1), ..cluster }.write(directory).unwrap();
        let mut requests = listen(directory, "control.sock").unwrap();
        tokio::spawn(async move {
            while let Some(Pending { request, answer }) = requests.recv().await {
                let text = format!("{:?} {}", request.action, request.node);
                answer.send(Answer { ok: true, text }).unwrap();
            }
        });
    }

    async fn asked(directory: &Path, request: Request) -> Result<Answer, String> {
        let directory = directory.to_owned();
        tokio::task::spawn_blocking(move || ask(&directory, &request)).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_finds_its_answer() {
        let temporary = tempfile::tempdir().unwrap();
        parrot(temporary.path()).await;
        let answer = asked(temporary.path(), Request::of(Action::Pause, "n2")).await.unwrap();
        assert_eq!(answer, Answer { ok: true, text: "Pause n2".to_owned() });
    }

    #[tokio::test]
    async fn a_long_path_and_what_a_killed_supervisor_left_are_no_obstacle() {
        let temporary = tempfile::tempdir().unwrap();
        let long = temporary.path().join("x".repeat(90)).join("y".repeat(90));
        std::fs::create_dir_all(&long).unwrap();
        std::fs::write(long.join("control.sock"), "").unwrap();
        parrot(&long).await;
        assert_eq!(asked(&long, Request::of(Action::Heal, "n1")).await.unwrap().text, "Heal n1");
    }

    #[tokio::test]
    async fn nonsense_is_answered_too() {
        let temporary = tempfile::tempdir().unwrap();
        parrot(temporary.path()).await;
        let path = temporary.path().join("control.sock");
        let text = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(b"{\"action\":\"explode\",\"node\":\"n1\"}\n").unwrap();
            let mut text = String::new();
            BufReader::new(stream).read_line(&mut text).unwrap();
            text
        });
        let answer: Answer = serde_json::from_str(&text.await.unwrap()).unwrap();
        assert!(!answer.ok && answer.text.contains("explode"), "{answer:?}");
    }

    #[tokio::test]
    async fn a_cluster_that_does_not_run_is_said_to() {
        let temporary = tempfile::tempdir().unwrap();
        let error = asked(temporary.path(), Request::of(Action::Stop, "n1")).await.unwrap_err();
        assert!(error.starts_with("no cluster in "), "{error}");
        let cluster = ClusterFile::new(temporary.path(), 3, 2379);
        cluster.write(temporary.path()).unwrap();
        let error = asked(temporary.path(), Request::of(Action::Stop, "n1")).await.unwrap_err();
        assert!(error.contains("does not run: start it with `quorate up`"), "{error}");
        ClusterFile { supervisor_pid: Some(7), ..cluster }.write(temporary.path()).unwrap();
        let error = asked(temporary.path(), Request::of(Action::Stop, "n1")).await.unwrap_err();
        assert!(error.contains("(process 7) does not answer"), "{error}");
    }
}
