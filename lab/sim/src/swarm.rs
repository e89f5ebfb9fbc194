//! What goes wrong in one seed: each draws its own subset of the faults, and its own rates.
//!
//! With all faults on all the time, a bug that needs one of them to be absent hides for ever
//! (Groce et al., "Swarm Testing", ISSTA 2012): a leader that is always deposed never fills its
//! pipeline. So each fault is on in about half of the seeds, and small limits come in all sizes.

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
}

/// Everything that is drawn before a world begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Where everything comes from.
    pub seed: u64,
    /// A bug on purpose.
    pub sabotage: Sabotage,
    /// Members, numbered from 1.
    pub nodes: u64,
    /// How long the chaos lasts.
    pub chaos: Duration,
    /// Messages lost, in a million.
    pub loss: u32,
    /// Messages doubled, in a million.
    pub doubled: u32,
    /// Messages that are very late, in a million.
    pub late: u32,
    /// The mean delay of a message, in microseconds.
    pub delay_us: u64,
    /// Chance of a cut at each look of the nemesis, in a million.
    pub cuts: u32,
    /// Cuts may go one way only.
    pub one_way: bool,
    /// Chance of a member's end at each look, in a million.
    pub crashes: u32,
    /// Crashes may take the power, and with it what was not synced.
    pub power: bool,
    /// Power may fail in the middle of a disk's operation.
    pub torn: bool,
    /// Syncs may fail.
    pub failing_syncs: bool,
    /// Chance of a leader handing over at each look, in a million.
    pub transfers: u32,
    /// A factor on the time that disks take; drawn per member from 1 to this.
    pub slow_disk: u64,
    /// Time between a commit and its application, in microseconds.
    pub apply_us: u64,
    /// Entries between two syncs of the state.
    pub sync_every: u64,
    /// Entries kept in the log behind a synced state.
    pub catchup: u64,
    /// Bytes of one append, of memory, of a chunk, of a log segment.
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
    /// Time between two operations of a client, in microseconds.
    pub think_us: u64,
}

/// Least time without a leader before a campaign.
pub const ELECTION_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Time between beacons.
pub const HEARTBEAT: Duration = Duration::from_millis(100);

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, nodes: u64, sabotage: Sabotage) -> Plan {
        let mut dice = Dice::new(seed ^ 0x5eed_0000 ^ nodes << 56);
        let chaos = Duration::from_millis(dice.between(6_000, 20_000));
        Plan {
            seed,
            sabotage,
            nodes,
            chaos,
            loss: rate(&mut dice, 150_000),
            doubled: rate(&mut dice, 100_000),
            late: rate(&mut dice, 30_000),
            delay_us: [100, 500, 2_000, 20_000][dice.below(4) as usize],
            cuts: rate(&mut dice, 150_000),
            one_way: dice.below(2) == 0,
            crashes: rate(&mut dice, 400_000),
            power: dice.below(4) > 0,
            torn: dice.below(4) > 0,
            failing_syncs: dice.below(4) == 0,
            transfers: rate(&mut dice, 100_000),
            slow_disk: [1, 1, 5, 50][dice.below(4) as usize],
            apply_us: [50, 500, 5_000, 60_000][dice.below(4) as usize],
            sync_every: small(&mut dice, 60),
            catchup: small(&mut dice, 40),
            append_bytes: dice.between(64, 4_000) as usize,
            inflight: dice.between(1, 8) as usize,
            cached_bytes: dice.between(1_000, 60_000) as usize,
            chunk_bytes: dice.between(100, 3_000) as usize,
            segment_bytes: 4_096 * dice.between(1, 6),
            clients: dice.between(2, 5),
            value_bytes: [100, 1_000, 4_000][dice.below(3) as usize],
            think_us: [50_000, 150_000, 400_000][dice.below(3) as usize],
        }
    }
}

/// Up to `most`, and near the smallest in half of the seeds: small limits are reached often.
fn small(dice: &mut Dice, most: u64) -> u64 {
    let most = if dice.below(2) == 0 { 4 } else { most };
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
