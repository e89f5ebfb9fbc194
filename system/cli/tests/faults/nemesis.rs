//! The one who breaks things: one fault at a time, until the rest has gone on without the victim.
//!
//! A fault lasts for a random time, and at least until the others have acknowledged new writes:
//! with one of three members gone, a cluster that stops serving has failed. Then the fault is
//! healed, and the next comes only when all three agree on a leader again.

use std::time::{Duration, Instant};

use quorate_base::Dice;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::history::History;
use crate::links::{Linked, MEMBERS};

/// How many writes must be acknowledged while a fault lasts, and again after it.
const PROGRESS: u64 = 20;

/// What can happen to one member.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// SIGKILL, and a new start.
    Kill,
    /// SIGSTOP and SIGCONT: the clock goes on, the member does not.
    Pause,
    /// Nothing comes in or out.
    Isolate,
    /// It hears the others, but they do not hear it.
    Mute,
    /// The others hear it, but it does not hear them.
    Deafen,
    /// One of its two links is gone, so that each of the others sees something else.
    Unlink,
}

/// All of them.
pub const FAULTS: [Fault; 6] =
    [Fault::Kill, Fault::Pause, Fault::Isolate, Fault::Mute, Fault::Deafen, Fault::Unlink];

/// Breaks things.
pub struct Nemesis<'a> {
    pub linked: &'a mut Linked,
    pub history: &'a History,
    pub dice: Dice,
    pub begun: Instant,
}

impl Nemesis<'_> {
    /// One fault of the leader.
    pub async fn strike_leader(&mut self, fault: Fault) {
        let leader = self.linked.cluster.leader().await;
        self.strike(fault, leader, "the leader").await;
    }

    /// A random fault, two times out of three of the leader.
    pub async fn strike_somebody(&mut self) {
        let fault = FAULTS[self.dice.below(FAULTS.len() as u64) as usize];
        let leader = self.linked.cluster.leader().await;
        match self.dice.below(6) {
            0 => self.strike(fault, (leader + 1) % MEMBERS, "a follower").await,
            1 => self.strike(fault, (leader + 2) % MEMBERS, "a follower").await,
            _ => self.strike(fault, leader, "the leader").await,
        }
    }

    async fn strike(&mut self, fault: Fault, victim: usize, role: &str) {
        let lasting = Duration::from_millis(self.dice.between(400, 2000));
        let told = format!("{fault:?} n{}, {role}", victim + 1);
        println!("{:6.1} s  {told}", self.begun.elapsed().as_secs_f64());
        let other = (victim + 1 + self.dice.below(2) as usize) % MEMBERS;
        self.set(fault, victim, other, true);
        let before = self.history.acknowledged();
        // How long a fault lasts is part of the fault, and not a wait for something to happen.
        sleep(lasting).await;
        let rest = format!("{told}: the others must go on");
        self.history.until_acknowledged(before, PROGRESS, &rest).await;
        self.set(fault, victim, other, false);
        self.linked.cluster.leader().await;
        let before = self.history.acknowledged();
        let healed = format!("{told}: healed");
        self.history.until_acknowledged(before, PROGRESS, &healed).await;
    }

    /// Kills all members at the same moment and starts them again.
    pub async fn kill_everybody(&mut self) {
        println!("{:6.1} s  Kill everybody", self.begun.elapsed().as_secs_f64());
        let cluster = &mut self.linked.cluster;
        for i in 0..MEMBERS {
            self.history.dies(i);
            cluster.signal(i, Signal::KILL);
        }
        for i in 0..MEMBERS {
            // It is dead already; this waits until the kernel has put it away.
            cluster.kill(i);
            self.history.is_dead(i);
            cluster.start_again(i);
        }
        if let Err(log) = cluster.until_ready().await {
            panic!("a member did not come back; its log:\n{log}");
        }
        let before = self.history.acknowledged();
        self.history.until_acknowledged(before, PROGRESS, "everybody was killed").await;
    }

    fn set(&mut self, fault: Fault, victim: usize, other: usize, broken: bool) {
        let cluster = &mut self.linked.cluster;
        match fault {
            Fault::Kill if broken => {
                self.history.dies(victim);
                cluster.kill(victim);
                self.history.is_dead(victim);
            }
            Fault::Kill => cluster.start_again(victim),
            Fault::Pause if broken => cluster.signal(victim, Signal::STOP),
            Fault::Pause => cluster.signal(victim, Signal::CONT),
            Fault::Isolate | Fault::Mute | Fault::Deafen | Fault::Unlink => {
                self.cut(fault, victim, other, broken);
            }
        }
    }

    fn cut(&self, fault: Fault, victim: usize, other: usize, broken: bool) {
        for peer in (0..MEMBERS).filter(|&peer| peer != victim) {
            let (out, inwards) = match fault {
                Fault::Kill | Fault::Pause => (false, false),
                Fault::Isolate => (true, true),
                Fault::Mute => (true, false),
                Fault::Deafen => (false, true),
                Fault::Unlink => (peer == other, peer == other),
            };
            if out {
                self.linked.set_cut(victim, peer, broken);
            }
            if inwards {
                self.linked.set_cut(peer, victim, broken);
            }
        }
    }
}
