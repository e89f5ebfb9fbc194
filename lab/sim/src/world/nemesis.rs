//! How the world carries out what its plan says will go wrong, and takes it back.

use super::{Event, World};
use crate::faults::{Fault, Handover, Target};
use crate::host::Host;
use crate::swarm::ELECTION_TIMEOUT;
use crate::trace::{ClockFault, DiskFault, What};
use quorate_base::NodeId;
use std::time::Duration;

/// After so long a strike that found nobody to strike is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// How far the members of a side and the others are apart.
type Links = Vec<(NodeId, NodeId)>;

impl<H: Host> World<H> {
    fn aim(&mut self, target: Target) -> NodeId {
        match target {
            Target::Node(node) => H::stand_in(self, node),
            Target::Leader(otherwise) => {
                H::leader(self).unwrap_or_else(|| H::stand_in(self, otherwise))
            }
        }
    }

    /// The strike with this number happens.
    pub(super) fn strike(&mut self, at: usize) {
        if self.peace.is_some() {
            return;
        }
        let strike = self.plan.schedule[at].clone();
        let node = match strike.fault {
            Fault::Partition { side, one_way } => {
                self.count(if one_way { "one-way partitions" } else { "partitions" });
                self.cut(&self.across(side, one_way));
                None
            }
            Fault::Isolate { target, hears, speaks } => {
                let node = self.aim(target);
                self.count("isolations");
                self.cut(&self.around(node, !hears, !speaks));
                Some(node)
            }
            Fault::Clog { target } => {
                let node = self.aim(target);
                self.count("clogs");
                self.clog(&self.around(node, true, false), true);
                Some(node)
            }
            Fault::SlowLinks { target, factor } => {
                let node = self.aim(target);
                self.count("slow links");
                self.set_links(node, factor);
                Some(node)
            }
            Fault::CrashAll { power } => {
                self.count("crashes of all");
                let nodes: Vec<NodeId> = self.nodes().collect();
                nodes.into_iter().for_each(|node| self.crash(node, power, "all at once"));
                None
            }
            Fault::Transfer { to, how } => match H::leader(self) {
                Some(leader) => self.hand_over(leader, to, how),
                // There is nothing to hand over: later.
                None => return self.queue.push(self.now + AGAIN, Event::Strike(at)),
            },
            fault => self.strike_one(fault, strike.lasts),
        };
        self.queue.push(self.now + strike.lasts, Event::Over(at, node));
    }

    /// Troubles of one process.
    fn strike_one(&mut self, fault: Fault, lasts: Duration) -> Option<NodeId> {
        match fault {
            Fault::Crash { target, power, again } => {
                let node = self.aim(target);
                self.member_mut(node).crashes_again = again;
                self.crash(node, power, "struck");
                Some(node)
            }
            Fault::CrashSoon { target, effects } => {
                let node = self.aim(target);
                self.member_mut(node).effects_left = Some(effects);
                Some(node)
            }
            Fault::Pause { target } => {
                let node = self.aim(target);
                if self.is_up(node) {
                    let until = self.now + lasts;
                    self.member_mut(node).paused_until = Some(until);
                    self.count("pauses");
                    self.log(node, What::Pause);
                }
                Some(node)
            }
            Fault::Slow { target, factor } => {
                let node = self.aim(target);
                self.count("slow nodes");
                self.member_mut(node).slowness = factor;
                self.log(node, What::Slow { factor });
                Some(node)
            }
            Fault::Jump { target, micros } => {
                let node = self.aim(target);
                let now = self.now;
                self.member_mut(node).clock.jump(now, micros);
                self.clock(node, ClockFault::Jump(micros))
            }
            Fault::Drift { target, millionths } => {
                let node = self.aim(target);
                let now = self.now;
                self.member_mut(node).clock.drift(now, millionths);
                self.clock(node, ClockFault::Drift(millionths))
            }
            Fault::Stop { target } => {
                let node = self.aim(target);
                let now = self.now;
                self.member_mut(node).clock.stop(now);
                self.clock(node, ClockFault::Stop)
            }
            Fault::LateTimers { target, late } => {
                let node = self.aim(target);
                self.member_mut(node).clock.delay_timers(late);
                self.clock(node, ClockFault::Late(late.as_micros() as u64))
            }
            fault => self.strike_disk(fault),
        }
    }

    fn clock(&mut self, node: NodeId, fault: ClockFault) -> Option<NodeId> {
        self.count("clock faults");
        self.log(node, What::Clock(fault));
        self.rearm(node);
        Some(node)
    }

    fn strike_disk(&mut self, fault: Fault) -> Option<NodeId> {
        match fault {
            Fault::Torn { target, effects } => self.disk(target, DiskFault::Torn, |disk| {
                disk.crash_after(effects);
            }),
            Fault::Eio { target, op, after } => {
                self.disk(target, DiskFault::Eio, |disk| disk.fail_next(op, after))
            }
            Fault::Full { target } => self.disk(target, DiskFault::Full(true), |disk| {
                disk.set_space(Some(disk.used_bytes()));
            }),
            Fault::SlowDisk { target, factor } => {
                self.disk(target, DiskFault::Slow(factor), |disk| disk.set_slowness(factor))
            }
            Fault::Rot { target } => {
                let node = self.aim(target);
                if self.may_lose(node) && H::rot(self, node) {
                    self.count("rotten bytes");
                    self.log(node, What::Disk(DiskFault::Rot));
                }
                Some(node)
            }
            Fault::Misdirect { target } => {
                let node = self.aim(target);
                let shift = self.dice.between(1, 4) as i64 * 512;
                if self.may_lose(node)
                    && let Some(disk) = self.host(node).disk()
                {
                    disk.misdirect_next(None, shift);
                    self.member_mut(node).damaged = true;
                    self.count("misdirected writes");
                    self.log(node, What::Disk(DiskFault::Misdirected));
                }
                Some(node)
            }
            Fault::Wipe { target } => {
                let node = self.aim(target);
                if self.may_lose(node) {
                    self.member_mut(node).damaged = true;
                    self.crash(node, true, "its disk is replaced");
                    H::wipe(self, node);
                    self.count("wiped disks");
                    self.log(node, What::Disk(DiskFault::Wiped));
                }
                Some(node)
            }
            other => unreachable!("sorted elsewhere: {other:?}"),
        }
    }

    fn disk(
        &mut self,
        target: Target,
        fault: DiskFault,
        act: impl FnOnce(&crate::disk::SimDisk),
    ) -> Option<NodeId> {
        let node = self.aim(target);
        if let Some(disk) = self.host(node).disk() {
            act(disk);
            self.count("disk faults");
            self.log(node, What::Disk(fault));
        }
        Some(node)
    }

    /// True when this member may lose what it holds without more being lost than a minority can
    /// bear: beyond that nobody promises anything.
    pub(crate) fn may_lose(&self, node: NodeId) -> bool {
        let others = self.nodes().filter(|other| *other != node);
        let damaged = others.filter(|other| self.member(*other).damaged).count();
        damaged < (self.members.len() - 1) / 2
    }

    /// Who leads already hands over to the next one.
    fn heir(&self, leader: NodeId, to: NodeId) -> NodeId {
        if leader == to { NodeId(to.0 % self.members.len() as u64 + 1) } else { to }
    }

    fn hand_over(&mut self, leader: NodeId, to: NodeId, how: Handover) -> Option<NodeId> {
        let to = self.heir(leader, to);
        self.count("transfers");
        self.successor = Some((to, self.now));
        H::transfer(self, leader, to);
        match how {
            Handover::Plain => {}
            Handover::Deaf => self.cut(&self.around(leader, true, false)),
            Handover::Held => self.clog(&vec![(leader, to)], true),
        }
        Some(leader)
    }

    /// What a strike did ends, where it lasts.
    pub(super) fn over(&mut self, at: usize, node: Option<NodeId>) {
        let fault = self.plan.schedule[at].fault.clone();
        let now = self.now;
        match (fault, node) {
            (Fault::Partition { side, one_way }, _) => self.mend(&self.across(side, one_way)),
            (Fault::Isolate { hears, speaks, .. }, Some(node)) => {
                self.mend(&self.around(node, !hears, !speaks));
            }
            (Fault::Clog { .. }, Some(node)) => self.clog(&self.around(node, true, false), false),
            (Fault::SlowLinks { .. }, Some(node)) => self.set_links(node, 1),
            (Fault::Transfer { how: Handover::Deaf, .. }, Some(node)) => {
                self.mend(&self.around(node, true, false));
            }
            (Fault::Transfer { to, how: Handover::Held }, Some(node)) => {
                self.clog(&vec![(node, self.heir(node, to))], false);
            }
            (Fault::Pause { .. }, Some(node)) => self.log(node, What::Resume),
            (Fault::Slow { .. }, Some(node)) => {
                self.member_mut(node).slowness = 1;
                self.log(node, What::Slow { factor: 1 });
            }
            (Fault::Drift { .. } | Fault::Stop { .. } | Fault::LateTimers { .. }, Some(node)) => {
                self.member_mut(node).clock.steady(now);
                self.log(node, What::Clock(ClockFault::Steady));
                self.rearm(node);
            }
            (Fault::Full { .. }, Some(node)) => {
                if let Some(disk) = self.host(node).disk() {
                    disk.set_space(None);
                    self.log(node, What::Disk(DiskFault::Full(false)));
                }
            }
            (Fault::SlowDisk { .. }, Some(node)) => {
                if let Some(disk) = self.host(node).disk() {
                    disk.set_slowness(1);
                    self.log(node, What::Disk(DiskFault::Slow(1)));
                }
            }
            (_, _) => {}
        }
    }

    /// A leader was elected: in some worlds it is struck before it has settled, which is where
    /// entries of old terms come to be committed by nobody knows whom (paper 5.4.2, Figure 8).
    pub fn elected(&mut self, node: NodeId) {
        if let Some((to, since)) = self.successor.take()
            && to == node
            && self.now.since(since) < ELECTION_TIMEOUT
        {
            self.count("transfers done");
        }
        if self.peace.is_none() && self.plan.churn > 0 && self.dice.chance(self.plan.churn) {
            let after = Duration::from_micros(self.dice.below(60_000));
            let life = self.member(node).life;
            self.queue.push(self.now + after, Event::Churn { node, life });
        }
    }

    pub(super) fn churn(&mut self, node: NodeId) {
        match self.dice.below(3) {
            0 => {
                let power = self.dice.below(2) == 0;
                self.crash(node, power, "a young leader");
            }
            1 => self.member_mut(node).effects_left = Some(self.dice.below(12)),
            _ => {
                let lasts = Duration::from_millis(self.dice.between(200, 3_000));
                let links = self.around(node, true, true);
                self.cut(&links);
                self.queue.push(self.now + lasts, Event::Rejoin(node));
            }
        }
    }

    pub(super) fn rejoin(&mut self, node: NodeId) {
        self.mend(&self.around(node, true, true));
    }

    fn across(&self, side: u64, one_way: bool) -> Links {
        let mut links = Links::new();
        for a in self.nodes() {
            for b in self.nodes() {
                if side >> (a.0 % 64) & 1 < side >> (b.0 % 64) & 1 {
                    links.push((a, b));
                    if !one_way {
                        links.push((b, a));
                    }
                }
            }
        }
        links
    }

    fn around(&self, node: NodeId, hearing: bool, speaking: bool) -> Links {
        let others = self.nodes().filter(|other| *other != node);
        let both = others.flat_map(|other| [(other, node, hearing), (node, other, speaking)]);
        both.filter(|(_, _, on)| *on).map(|(from, to, _)| (from, to)).collect()
    }

    fn cut(&mut self, links: &Links) {
        for (from, to) in links {
            if self.network.cut(*from, *to) {
                self.log(*from, What::Cut { from: *from, to: *to });
            }
        }
    }

    fn mend(&mut self, links: &Links) {
        for (from, to) in links {
            if self.network.mend(*from, *to) {
                self.log(*from, What::Mend { from: *from, to: *to });
            }
        }
    }

    fn clog(&mut self, links: &Links, on: bool) {
        for (from, to) in links {
            if self.network.clog(*from, *to, on) {
                self.log(*from, What::Clog { from: *from, to: *to, on });
            }
        }
        if !on {
            self.release_held();
        }
    }

    fn set_links(&mut self, node: NodeId, factor: u32) {
        for (from, to) in self.around(node, false, true) {
            self.network.slow(from, to, factor);
        }
    }
}
