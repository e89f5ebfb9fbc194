//! The one who changes who belongs to the cluster, while the nemesis breaks members and links: it grows, shrinks, and has
//! a dead member replaced.
//!
//! It works as an operator does: it asks whichever member answers, asks again when that failed, and looks at the list of
//! members to learn what became of a request without an answer. A member that was added must serve linearizable reads
//! before long; one that was removed must end by itself; what is begun is brought to an end also when the storm is over.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_base::Dice;
use quorate_client::etcd::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberRemoveRequest, RangeRequest,
};
use tokio::time::sleep;

use super::client::connect;
use super::crew::{Crew, Place};
use super::fault::Fault;
use super::journal::{Journal, map, text};
use super::nemesis::Struck;
use super::watcher::Lives;
use crate::up::control::{self, Action, Request};
use crate::up::directory::MemberEntry;
use crate::up::ready::client_of;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a step of a change may take altogether, faults included.
const LIMIT: Duration = Duration::from_secs(90);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(100);
/// Fewest and most voters.
const VOTERS: std::ops::RangeInclusive<usize> = 3..=5;
/// Longest calm between two changes, in milliseconds.
const CALM: u64 = 2_500;

/// See the module's essay.
pub struct Changer<'a> {
    /// Where the supervisor is found.
    pub directory: PathBuf,
    /// All places.
    pub places: Vec<MemberEntry>,
    /// What may be done.
    pub changes: Vec<Fault>,
    /// What the clients see.
    pub journal: Arc<Journal>,
    /// Which members were killed.
    pub lives: Arc<Lives>,
    /// Who is where.
    pub crew: Arc<Crew>,
    /// By which the next is chosen.
    pub dice: Dice,
    /// Who wants to know what happens.
    pub tell: &'a (dyn Fn(&str) + Sync),
    /// What there was.
    pub struck: Vec<Struck>,
}

impl Changer<'_> {
    /// Changes members until everybody is to end: first each change in its turn, then as the dice fall.
    ///
    /// # Errors
    /// What the cluster did not do although it should have: one sentence.
    pub async fn work(&mut self) -> Result<(), String> {
        let first = [Fault::Add, Fault::Add, Fault::Remove, Fault::Remove, Fault::Replace];
        let mut first: Vec<Fault> = first.into_iter().rev().collect();
        while !self.journal.stopped() {
            let at = self.dice.below(self.changes.len() as u64) as usize;
            let change = first.pop().unwrap_or(self.changes[at]);
            if self.changes.contains(&change) {
                self.change(change).await?;
            }
            let calm = Duration::from_millis(self.dice.below(CALM) + 100);
            let _ = tokio::time::timeout(calm, self.journal.until_stopped()).await;
        }
        Ok(())
    }

    async fn change(&mut self, change: Fault) -> Result<(), String> {
        let voters = self.crew.at(Place::Voter);
        let place = match change {
            Fault::Add if voters.len() < *VOTERS.end() => {
                self.crew.at(Place::Empty).first().copied()
            }
            Fault::Remove if voters.len() > *VOTERS.start() => {
                self.take(&voters, Place::Leaving).await
            }
            Fault::Replace => self.take(&voters, Place::Dead).await,
            _ => None,
        };
        let Some(place) = place else { return Ok(()) };
        let name = self.places[place].name.clone();
        let told = format!("{change} {name}");
        let begun = self.journal.begun().elapsed();
        (self.tell)(&format!("{:7.1} s  {told}", begun.as_secs_f64()));
        self.journal.note("members", map([("begin", text(&*told))]));
        let done = match change {
            Fault::Add => self.add(place).await,
            Fault::Remove => self.remove(place).await,
            _ => self.replace(place).await,
        };
        let ended = self.journal.begun().elapsed();
        self.journal.note("members", map([("end", text(&*told))]));
        (self.tell)(&format!("{:7.1} s  {told}: done", ended.as_secs_f64()));
        self.struck.push(Struck { fault: change, victim: Some(place), led: false, begun, ended });
        done.map_err(|why| format!("{told}: {why}"))
    }

    /// Takes one of these, the leader as often as any; waits while too much is broken.
    async fn take(&mut self, voters: &[usize], as_what: Place) -> Option<usize> {
        let leader = match self.dice.below(3) {
            0 => self.leader(voters).await,
            _ => None,
        };
        let any = voters[self.dice.below(voters.len() as u64) as usize];
        let begun = Instant::now();
        while begun.elapsed() < LIMIT && !self.journal.stopped() {
            let found = leader.into_iter().chain([any]).find(|at| self.crew.take(*at, as_what));
            if found.is_some() {
                return found;
            }
            sleep(POLL).await;
        }
        None
    }

    async fn leader(&self, voters: &[usize]) -> Option<usize> {
        for at in voters {
            let client = client_of(&self.places[*at].client_url, Duration::from_secs(1)).ok()?;
            let Ok(status) = client.status(Default::default()).await else { continue };
            if status.header.is_some_and(|header| header.member_id == status.leader) {
                return Some(*at);
            }
        }
        None
    }

    async fn add(&mut self, place: usize) -> Result<(), String> {
        self.crew.set(place, Place::Joining);
        let there = self.until_added(place, true).await?;
        self.join(place, &there).await
    }

    async fn remove(&mut self, place: usize) -> Result<(), String> {
        let name = self.places[place].name.clone();
        let apart = self.dice.below(3) == 0;
        if apart {
            self.ask(Request::of(Action::Cut, &name)).await?;
        }
        self.ask(Request::of(Action::Leave, &name)).await?;
        let removed = self.until_removed(place).await;
        if apart {
            self.ask(Request::of(Action::Heal, &name)).await?;
        }
        self.lives.turn(place);
        removed?;
        let begun = Instant::now();
        while self.ask(Request::of(Action::Ended, &name)).await.is_err() {
            if begun.elapsed() > LIMIT {
                return Err(format!("it was removed and does not end in {} s", LIMIT.as_secs()));
            }
            sleep(POLL).await;
        }
        self.lives.turn(place);
        self.crew.set(place, Place::Empty);
        Ok(())
    }

    /// Its disk is lost: `quorate member replace`, and a start with what that prints.
    async fn replace(&mut self, place: usize) -> Result<(), String> {
        let MemberEntry { name, peer_url, .. } = self.places[place].clone();
        self.lives.turn(place);
        self.ask(Request::of(Action::Kill, &name)).await?;
        self.lives.turn(place);
        let gone = self.listed(place).await?;
        let id = gone.ok_or("it is not in the list of members")?.id;
        let printed = self.command(&format!("{id:x}"), &peer_url, &name).await;
        let cluster = match printed {
            Some(cluster) => cluster,
            // Without an answer it may be half done.
            None => {
                let replaced = |member: &Option<Member>| member.as_ref().is_none_or(|m| m.id != id);
                if !replaced(&self.listed(place).await?) {
                    self.until_removed(place).await?;
                }
                self.until_added(place, false).await?
            }
        };
        self.join(place, &cluster).await
    }

    /// Runs `quorate member replace`; the value of `--initial-cluster` that it prints.
    async fn command(&self, id: &str, peer_url: &str, name: &str) -> Option<String> {
        let program = std::env::current_exe().ok()?;
        let endpoints = self.endpoints().join(",");
        let run = tokio::process::Command::new(program)
            .args(["member", "replace", id, "--peer-urls", peer_url, "--name", name])
            .args(["--endpoints", &endpoints, "--command-timeout", "10s"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = run.await.ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("ETCD_INITIAL_CLUSTER="))?;
        let cluster = line.trim_matches('"');
        // A member that has not published its name yet is listed without one.
        let named = cluster.split(',').all(|pair| !pair.starts_with('='));
        (output.status.success() && named).then(|| cluster.to_owned())
    }

    /// Starts a member at a place where one was added, and waits until it votes: a learner serves no linearizable reads.
    async fn join(&mut self, place: usize, cluster: &str) -> Result<(), String> {
        let MemberEntry { name, client_url, .. } = self.places[place].clone();
        let request =
            Request { cluster: Some(cluster.to_owned()), ..Request::of(Action::Join, &name) };
        self.lives.turn(place);
        self.ask(request).await?;
        self.lives.turn(place);
        self.crew.set(place, Place::Joining);
        let begun = Instant::now();
        loop {
            let client = client_of(&client_url, Duration::from_secs(1))?;
            let read = RangeRequest { key: b"joined".to_vec().into(), ..RangeRequest::default() };
            if client.range(read).await.is_ok() {
                break;
            }
            if begun.elapsed() > LIMIT {
                return Err(format!("it does not serve after {} s", LIMIT.as_secs()));
            }
            sleep(POLL).await;
        }
        self.crew.set(place, Place::Voter);
        Ok(())
    }

    fn endpoints(&self) -> Vec<String> {
        let serving = self.crew.serving().into_iter();
        serving.map(|at| self.places[at].client_url.clone()).collect()
    }

    async fn list(&self) -> Result<Vec<Member>, String> {
        let client = connect(&self.endpoints(), PATIENCE)?;
        let answer = client.member_list(MemberListRequest { linearizable: true }).await;
        answer.map(|answer| answer.members).map_err(|error| error.to_string())
    }

    /// The member at a place, as soon as anybody tells.
    async fn listed(&self, place: usize) -> Result<Option<Member>, String> {
        let url = &self.places[place].peer_url;
        let begun = Instant::now();
        loop {
            match self.list().await {
                Ok(all) => return Ok(all.into_iter().find(|m| m.peer_ur_ls.contains(url))),
                Err(why) if begun.elapsed() > LIMIT => return Err(why),
                Err(_) => sleep(POLL).await,
            }
        }
    }

    /// Asks until the member at a place is in the list; tells the list, as `--initial-cluster` takes it.
    async fn until_added(&self, place: usize, learner: bool) -> Result<String, String> {
        let url = self.places[place].peer_url.clone();
        let begun = Instant::now();
        while self.listed(place).await?.is_none() {
            let client = connect(&self.endpoints(), PATIENCE)?;
            let request = MemberAddRequest { peer_ur_ls: vec![url.clone()], is_learner: learner };
            if let Err(error) = client.member_add(request).await
                && begun.elapsed() > LIMIT
            {
                return Err(format!("it cannot be added: {error}"));
            }
            sleep(POLL).await;
        }
        let all = self.list_surely().await?;
        let name = |url: &String| self.places.iter().find(|place| place.peer_url == *url);
        let pairs = all.iter().flat_map(|member| &member.peer_ur_ls);
        let pairs = pairs.filter_map(|url| Some(format!("{}={url}", name(url)?.name)));
        Ok(pairs.collect::<Vec<_>>().join(","))
    }

    async fn list_surely(&self) -> Result<Vec<Member>, String> {
        let begun = Instant::now();
        loop {
            match self.list().await {
                Ok(all) => return Ok(all),
                Err(why) if begun.elapsed() > LIMIT => return Err(why),
                Err(_) => sleep(POLL).await,
            }
        }
    }

    /// Asks until the member at a place is in the list no more.
    async fn until_removed(&self, place: usize) -> Result<(), String> {
        let begun = Instant::now();
        let Some(first) = self.listed(place).await? else { return Ok(()) };
        while self.listed(place).await?.is_some_and(|member| member.id == first.id) {
            let client = connect(&self.endpoints(), PATIENCE)?;
            let request = MemberRemoveRequest { id: first.id };
            if let Err(error) = client.member_remove(request).await
                && begun.elapsed() > LIMIT
            {
                return Err(format!("it cannot be removed: {error}"));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// At the end the list must name the voters of the crew, and nobody else.
    pub async fn settled(&self) -> Vec<String> {
        let listed = match self.list_surely().await {
            Ok(listed) => listed,
            Err(why) => return vec![format!("nobody lists the members: {why}")],
        };
        let voters = self.crew.at(Place::Voter);
        let wanted: Vec<&String> = voters.iter().map(|at| &self.places[*at].peer_url).collect();
        let mut complaints = Vec::new();
        for member in &listed {
            let known = member.peer_ur_ls.iter().any(|url| wanted.contains(&url));
            if !known || member.is_learner {
                complaints.push(format!("{member:?} is in the list of members"));
            }
        }
        if listed.len() != wanted.len() {
            complaints.push(format!("{} members are listed, not {}", listed.len(), wanted.len()));
        }
        complaints
    }

    async fn ask(&self, request: Request) -> Result<(), String> {
        control::request(&self.directory, request).await
    }
}
