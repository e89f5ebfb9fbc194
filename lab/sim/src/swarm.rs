//! What goes wrong in one seed: each draws its own subset of the faults, and its own rates.
//!
//! With all faults on all the time, a bug that needs one of them to be absent hides for ever
//! (Groce et al., "Swarm Testing", ISSTA 2012): a leader that is always deposed never fills its
//! pipeline. So each fault is on in a part of the seeds, and small limits come in all sizes.

use crate::faults::{Draw, Fault, Strike};
use crate::latency::Latency;
use crate::network::{Rates, System};
use quorate_base::Dice;
use std::time::Duration;

/// A bug put into the world on purpose, to prove that the oracles are awake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// None: what is simulated is what ships.
    None,
    /// The host releases promises as soon as it has asked for the write.
    ReleaseEarly,
    /// The disk answers every sync and does none.
    IgnoreSyncs,
    /// The applier does not recognise an operation that it has applied.
    SkipDedup,
    /// Members answer linearizable reads without asking for a read index.
    SkipReadIndex,
    /// A member that comes back with an empty disk asks nobody and votes again.
    SkipAdmission,
    /// The second member applies some puts as others do not.
    Misapply,
}

/// Everything that is drawn before a world begins. Two worlds with equal plans tell one story.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Where everything comes from.
    pub seed: u64,
    /// A bug on purpose.
    pub sabotage: Sabotage,
    /// Members, numbered from 1.
    pub nodes: u64,
    /// How many of them the group begins with; the others join it later.
    pub founders: u64,
    /// Members come and go while everything else goes wrong.
    pub changes: bool,
    /// Changes of members pass the product's strict checks, or are refused.
    pub strict: bool,
    /// Leaders promote learners that have caught up; else the operator does, blindly.
    pub promotes: bool,
    /// Disks of members are lost for good, and the operator replaces those members.
    pub losses: bool,
    /// How long the chaos lasts.
    pub chaos: Duration,
    /// What happens to messages.
    pub rates: Rates,
    /// How long they take.
    pub latency: Latency,
    /// What may be assumed of that.
    pub system: System,
    /// Everything else that goes wrong, by time.
    pub schedule: Vec<Strike>,
    /// Chance, in a million, that a leader is struck soon after its election.
    pub churn: u32,
    /// Clocks differ by up to this much from the beginning.
    pub offset: Duration,
    /// Time between an input and the turn that takes it, in microseconds at most; 0 for at once.
    pub turn_us: u64,
    /// A factor on the time that disks take; drawn per member from 1 to this.
    pub slow_disk: u64,
    /// Time between a commit and its application, in microseconds.
    pub apply_us: u64,
    /// Entries between two syncs of the state.
    pub sync_every: u64,
    /// Entries kept in the log behind a synced state.
    pub catchup: u64,
    /// Bytes of one append.
    pub append_bytes: usize,
    /// Appends in flight.
    pub inflight: usize,
    /// Bytes of entries in memory.
    pub cached_bytes: usize,
    /// Bytes of one chunk of state.
    pub chunk_bytes: usize,
    /// Bytes of a log segment.
    pub segment_bytes: u64,
    /// Clients.
    pub clients: u64,
    /// Bytes of a payload, at most: long ones are torn by a crash, short ones fill pipelines.
    pub value_bytes: u64,
    /// Mean time between two operations of a client, in microseconds.
    pub think_us: u64,
    /// Proposals in one operation, at most.
    pub burst: u64,
    /// Clients hold leases, too.
    pub leases: bool,
    /// Some keys are guarded by a lock that clients take and lose, now and then.
    pub guards: bool,
}

/// Least time without a leader before a campaign.
pub const ELECTION_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Time between beacons.
pub const HEARTBEAT: Duration = Duration::from_millis(100);

impl Plan {
    /// The plan of a seed, with 6 to 20 seconds of chaos.
    pub fn draw(seed: u64, nodes: u64, sabotage: Sabotage) -> Plan {
        let mut dice = Dice::new(seed ^ 0x5eed_0000 ^ nodes << 56);
        let chaos = Duration::from_millis(dice.between(6_000, 20_000));
        Plan::draw_for(dice, seed, nodes, sabotage, chaos)
    }

    /// The plan of a seed whose chaos lasts for so long.
    pub fn lasting(seed: u64, nodes: u64, sabotage: Sabotage, chaos: Duration) -> Plan {
        let dice = Dice::new(seed ^ 0x5eed_0001 ^ nodes << 56);
        Plan::draw_for(dice, seed, nodes, sabotage, chaos)
    }

    fn draw_for(
        mut dice: Dice,
        seed: u64,
        nodes: u64,
        sabotage: Sabotage,
        chaos: Duration,
    ) -> Plan {
        let power = dice.below(4) > 0;
        let schedule = Draw { dice: &mut dice, nodes, chaos, power }.schedule();
        let dice = &mut dice;
        let churn = if dice.below(3) == 0 { dice.between(100_000, 900_000) as u32 } else { 0 };
        // Young leaders that say one thing at a time are where old entries are alone on the way.
        let slowly = churn > 0 && dice.below(2) == 0;
        let skewed = dice.below(3) == 0;
        Plan {
            seed,
            sabotage,
            nodes,
            founders: nodes,
            changes: false,
            strict: false,
            promotes: true,
            losses: false,
            chaos,
            rates: Rates {
                loss: rate(dice, 150_000),
                doubled: rate(dice, 100_000),
                late: rate(dice, 30_000),
                corrupt: rate(dice, 20_000),
                capacity: if dice.below(6) == 0 { dice.between(4, 60) as u32 } else { 0 },
            },
            latency: latency(dice),
            system: System::Asynchronous,
            schedule,
            churn,
            offset: Duration::from_micros(if skewed { dice.below(5_000_000) } else { 0 }),
            turn_us: [0, 0, 50, 300][dice.below(4) as usize],
            slow_disk: [1, 1, 5, 50][dice.below(4) as usize],
            apply_us: [50, 500, 5_000, 60_000][dice.below(4) as usize],
            sync_every: small(dice, 60),
            catchup: small(dice, 40),
            append_bytes: if slowly { 64 } else { dice.between(64, 4_000) as usize },
            inflight: if slowly { 1 } else { dice.between(1, 8) as usize },
            cached_bytes: dice.between(1_000, 60_000) as usize,
            chunk_bytes: dice.between(100, 3_000) as usize,
            segment_bytes: 4_096 * dice.between(1, 6),
            clients: dice.between(2, 5),
            value_bytes: [100, 1_000, 4_000][dice.below(3) as usize],
            think_us: [50_000, 150_000, 400_000][dice.below(3) as usize],
            burst: 5,
            leases: true,
            guards: false,
        }
    }

    /// The same world, in which members also come and go. Disks that forget are left out of the schedule:
    /// which members may lose theirs depends on who counts, and that changes all the time. (An operator
    /// of servers knows who counts, and takes disks away itself.)
    pub fn changing(mut self) -> Plan {
        let mut dice = Dice::new(self.seed ^ 0x5eed_0002);
        self.founders = dice.between(1, self.nodes);
        self.changes = true;
        self.strict = dice.below(2) == 0;
        self.promotes = dice.below(3) > 0;
        self.losses = dice.below(4) > 0;
        self.schedule.retain(|strike| {
            !matches!(
                strike.fault,
                Fault::Rot { .. } | Fault::Misdirect { .. } | Fault::Wipe { .. }
            )
        });
        self
    }

    /// The plan of a seed for whole servers that come and go: so many machines, of which one to five are
    /// members at first, and each is a member once at most.
    pub fn moving(seed: u64, machines: u64) -> Plan {
        let plan = Plan::draw(seed, machines, Sabotage::None).changing();
        let founders = 1 + (plan.founders - 1) % (machines / 2).clamp(1, 5);
        Plan { founders, ..plan }.young()
    }

    /// The same world, in which members are young when they fall: in some worlds their state is not synced for as
    /// long as they live, and in some the power fails everywhere, a few times.
    fn young(mut self) -> Plan {
        let mut dice = Dice::new(self.seed ^ 0x5eed_0003);
        if dice.below(3) == 0 {
            self.sync_every = 200;
        }
        if dice.below(2) == 0 {
            for _ in 0..dice.between(1, 4) {
                let at = Duration::from_micros(dice.below(self.chaos.as_micros() as u64));
                let (lasts, fault) = (Duration::ZERO, Fault::CrashAll { power: true });
                self.schedule.push(Strike { at, lasts, fault });
            }
            self.schedule.sort_by_key(|strike| strike.at);
        }
        self
    }

    /// A world in which nothing goes wrong: for measuring, and for stories that bring their own
    /// faults.
    pub fn calm(seed: u64, nodes: u64, lasts: Duration) -> Plan {
        Plan {
            rates: Rates::NONE,
            latency: Latency::Triangle { half: 250 },
            schedule: Vec::new(),
            churn: 0,
            offset: Duration::ZERO,
            turn_us: 0,
            slow_disk: 1,
            apply_us: 100,
            sync_every: 1_000,
            catchup: 5_000,
            append_bytes: 64 << 10,
            inflight: 16,
            cached_bytes: 8 << 20,
            chunk_bytes: 32 << 10,
            segment_bytes: 128 << 10,
            clients: 0,
            value_bytes: 100,
            ..Plan::lasting(seed, nodes, Sabotage::None, lasts)
        }
    }
}

fn latency(dice: &mut Dice) -> Latency {
    let typical = [100, 500, 2_000, 20_000][dice.below(4) as usize];
    match dice.below(8) {
        0 => Latency::Fixed(typical),
        1 => Latency::Uniform(typical / 2, typical * 2),
        2 => Latency::Exponential { mean: typical },
        3 => Latency::LogNormal { median: typical, sigma: dice.between(300, 1_500) as u32 },
        _ => Latency::Triangle { half: typical },
    }
}

/// Up to `most`, and near the smallest in most of the seeds: small limits are reached often.
fn small(dice: &mut Dice, most: u64) -> u64 {
    let most = if dice.below(3) > 0 { 4 } else { most };
    dice.between(1, most)
}

/// Off in half of the seeds; else up to `most`, small ones as likely as large ones.
fn rate(dice: &mut Dice, most: u32) -> u32 {
    if dice.below(2) == 0 {
        return 0;
    }
    let most = most >> dice.below(4);
    dice.between(1, u64::from(most)) as u32
}
