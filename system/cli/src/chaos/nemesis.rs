//! The one who breaks things: one fault at a time, until the rest has gone on without the victim.
//!
//! A fault lasts for a random time, and at least until the others have acknowledged new operations: with a minority gone,
//! a cluster that stops serving has failed. Then the fault is mended, and the next comes only when all members agree on a
//! leader again and have gone on. First every fault strikes the leader once, for that is where it hurts; then they come
//! as the dice fall, two times out of three to the leader.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_base::Dice;
use quorate_client::etcd::etcdserverpb::StatusRequest;
use tokio::time::sleep;

use super::crew::{Crew, Place};
use super::fault::Fault;
use super::journal::{Journal, map, text};
use super::watcher::Lives;
use crate::up::control::{self, Request};
use crate::up::directory::MemberEntry;
use crate::up::ready::client_of;

/// How many operations must be acknowledged while a fault lasts, and again after it.
const PROGRESS: u64 = 20;
/// How long the cluster may take for that once a quorum of it is well.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);
/// How long the members may take to agree on a leader.
const LEADER_LIMIT: Duration = Duration::from_secs(30);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(20);
/// Longest calm between two faults, in milliseconds.
const CALM: u64 = 1_000;

/// One fault that was there.
#[derive(Clone, Debug)]
pub struct Struck {
    /// Which one.
    pub fault: Fault,
    /// Its victim, counted from 0; `None` if that were all.
    pub victim: Option<usize>,
    /// Whether its victim led.
    pub led: bool,
    /// When it began and when it was mended, since the beginning.
    pub begun: Duration,
    /// See `begun`.
    pub ended: Duration,
}

/// Breaks things.
pub struct Nemesis<'a> {
    /// Where the supervisor is found.
    pub directory: PathBuf,
    /// Whom it looks after.
    pub members: Vec<MemberEntry>,
    /// What may happen.
    pub faults: Vec<Fault>,
    /// What the clients see.
    pub journal: Arc<Journal>,
    /// Which members were killed.
    pub lives: Arc<Lives>,
    /// Who is a member at the moment.
    pub crew: Arc<Crew>,
    /// By which the next is chosen.
    pub dice: Dice,
    /// Who wants to know what happens.
    pub tell: &'a (dyn Fn(&str) + Sync),
    /// What there was.
    pub struck: Vec<Struck>,
}

impl Nemesis<'_> {
    /// Breaks things until everybody is to end.
    ///
    /// # Errors
    /// What the cluster did not do although it should have: one sentence.
    pub async fn rage(&mut self) -> Result<(), String> {
        for fault in self.faults.clone() {
            let leader = self.leader().await?;
            self.strike(fault, leader, true).await?;
            if self.journal.stopped() {
                return Ok(());
            }
        }
        if self.faults.is_empty() {
            self.journal.until_stopped().await;
        }
        while !self.journal.stopped() {
            let at = self.below(self.faults.len());
            let fault = self.faults[at];
            let leader = self.leader().await?;
            let mut others = self.crew.at(Place::Voter);
            others.retain(|other| *other != leader);
            let struck = match self.below(3) {
                0 if !others.is_empty() => others[self.below(others.len())],
                _ => leader,
            };
            self.strike(fault, struck, struck == leader).await?;
            let calm = Duration::from_millis(self.dice.below(CALM));
            // Who is in a hurry to end does not wait for the calm to be over.
            let _ = tokio::time::timeout(calm, self.journal.until_stopped()).await;
        }
        Ok(())
    }

    fn below(&mut self, bound: usize) -> usize {
        self.dice.below(bound as u64) as usize
    }

    async fn strike(&mut self, fault: Fault, victim: usize, led: bool) -> Result<(), String> {
        let lasting = Duration::from_millis(self.dice.between(400, 2500));
        let mut others = self.crew.serving();
        others.retain(|other| *other != victim);
        let other = if others.is_empty() { victim } else { others[self.below(others.len())] };
        let delay = self.dice.between(50, 400);
        let is_all = fault == Fault::Blackout;
        let victims = if is_all { self.crew.at(Place::Voter) } else { vec![victim] };
        let (victims, survives) = self.crew.strike(&victims);
        if victims.is_empty() {
            // It was a member a moment ago.
            return Ok(());
        }
        let role = if led { "the leader" } else { "a follower" };
        let told = match is_all {
            true => format!("{fault}: everybody"),
            false => format!("{fault} {}, {role}", self.members[victim].name),
        };
        let begun = self.journal.begun().elapsed();
        (self.tell)(&format!("{:7.1} s  {told}", begun.as_secs_f64()));
        self.journal.note("fault", map([("begin", text(&*told))]));
        let mended = self.hold(fault, &victims, other, delay, lasting, survives, &told).await;
        let healed = self.mend(fault, &victims).await;
        self.crew.mend();
        let ended = self.journal.begun().elapsed();
        self.journal.note("fault", map([("end", text(&*told))]));
        let victim = (!is_all).then_some(victim);
        self.struck.push(Struck { fault, victim, led, begun, ended });
        mended.and(healed)?;
        self.leader().await.map_err(|why| format!("{told}, mended: {why}"))?;
        self.until_more(&format!("{told}, mended")).await
    }

    /// Breaks it, and lets it be broken until its time is over and the others have gone on.
    #[allow(clippy::too_many_arguments, reason = "one fault, in all its particulars")]
    async fn hold(
        &mut self,
        fault: Fault,
        victims: &[usize],
        other: usize,
        delay: u64,
        lasting: Duration,
        survives: bool,
        told: &str,
    ) -> Result<(), String> {
        for victim in victims {
            if fault.kills() {
                self.lives.turn(*victim);
            }
        }
        for victim in victims {
            let others: Vec<usize> = match fault.is_one_way() {
                true => (0..self.members.len()).filter(|peer| peer != victim).collect(),
                false => vec![other],
            };
            for other in others {
                let (victim, other) = (&self.members[*victim].name, &self.members[other].name);
                for request in fault.begin(victim, other, delay) {
                    self.ask(request).await?;
                }
            }
        }
        for victim in victims {
            if fault.kills() {
                self.lives.turn(*victim);
            }
        }
        // How long a fault lasts is part of the fault, and not a wait for something to happen.
        let _ = tokio::time::timeout(lasting, self.journal.until_stopped()).await;
        if survives && !self.journal.stopped() {
            self.until_more(&format!("{told}: the others must go on")).await?;
        }
        Ok(())
    }

    /// Mends it, all victims at once: one of several that were killed is ready only when others are about.
    async fn mend(&self, fault: Fault, victims: &[usize]) -> Result<(), String> {
        let mut first = Ok(());
        for victim in victims {
            let done = self.ask(fault.end(&self.members[*victim].name)).await;
            first = first.and(done);
        }
        first
    }

    async fn ask(&self, request: Request) -> Result<(), String> {
        control::request(&self.directory, request).await
    }

    /// Waits until more operations are acknowledged.
    async fn until_more(&self, why: &str) -> Result<(), String> {
        let (begun, before) = (Instant::now(), self.journal.acknowledged());
        // At the end nobody asks any more.
        while self.journal.acknowledged() < before + PROGRESS && !self.journal.stopped() {
            if begun.elapsed() > PROGRESS_LIMIT {
                let seconds = PROGRESS_LIMIT.as_secs();
                return Err(format!(
                    "{why}, but {PROGRESS} operations were not done in {seconds} s"
                ));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Which member leads, counted from 0: the one that all members name.
    async fn leader(&self) -> Result<usize, String> {
        let begun = Instant::now();
        while begun.elapsed() < LEADER_LIMIT {
            if let Some(leader) = self.agreed_leader().await {
                return Ok(leader);
            }
            sleep(POLL).await;
        }
        Err(format!("the members did not agree on a leader in {} s", LEADER_LIMIT.as_secs()))
    }

    async fn agreed_leader(&self) -> Option<usize> {
        let (mut named, mut found) = (None, None);
        for i in self.crew.serving() {
            let member = &self.members[i];
            let client = client_of(&member.client_url, Duration::from_secs(1)).ok()?;
            let status = client.status(StatusRequest {}).await.ok()?;
            if status.leader == 0 || *named.get_or_insert(status.leader) != status.leader {
                return None;
            }
            if status.header?.member_id == status.leader {
                found = Some(i);
            }
        }
        found
    }
}
