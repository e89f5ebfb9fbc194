//! A disk in memory that loses, tears, lies and rots on purpose, from one seed.
//!
//! It keeps two truths per file: what a read sees (the page cache) and what survives a crash (the
//! platter). Writes change the first; a sync copies sectors to the second. [`SimDisk::crash`]
//! throws the cache away after deciding, sector by sector and with the seed's dice, which unsynced
//! version of each 512-byte sector made it: none, the newest, or one in between. Names live in a
//! directory of their own with the same two truths, so a rename without a directory sync may be
//! undone, on its own or together with others.
//!
//! The faults follow what has been seen in the field:
//!
//! | fault | how | model |
//! |---|---|---|
//! | unsynced writes lost, reordered, torn | `crash` | any subset of sectors |
//! | power lost in the middle of an operation | `crash_after` | the operation may be half done |
//! | names not durable | `crash` | any subset of pending directory changes |
//! | the process alone dies | `restart` | the cache stays, and is as little durable as before |
//! | failed sync | `fail_next(Sync, _)` | pages become clean and stay visible, lost at the crash (Rebello et al., ATC 2020) |
//! | EIO once | `fail_next(op, n)` | the n-th next operation of that kind |
//! | full disk | `set_space` | a budget of bytes over all files; allocation stops half-way |
//! | bit rot | `flip` | both truths change |
//! | misdirected write | `misdirect_next` | the bytes land elsewhere, the caller hears `Ok` |
//! | lying cache | `ignore_next_sync` | `Ok` without effect |
//! | slow disk | `set_slowness`, `take_latency_us` | a number; nobody sleeps |
//!
//! Clones are handles on the same disk; [`SimDisk::fork`] copies a whole disk, to try two futures
//! of one past. Handles opened before a crash are dead after it, as file descriptors are.

mod calls;

use quorate_base::Dice;
use quorate_storage::{DiskError, DiskOp};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes that are written to the platter all or nothing.
pub const SECTOR: usize = 512;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A handle on a simulated disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

/// An open file of a [`SimDisk`]. Dead after the next crash.
#[derive(Clone, Debug)]
pub struct SimFile {
    inode: u64,
    boot: u64,
    name: Arc<str>,
}

#[derive(Clone, Debug)]
struct World {
    dice: Dice,
    /// Rises with every crash: handles of an earlier boot are dead.
    boot: u64,
    powered: bool,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    faults: Faults,
    /// Operations so far that changed something or made it durable.
    effects: u64,
    latency_us: u64,
    /// Failures that were asked for and have struck.
    struck: u64,
}

/// What is going to go wrong.
#[derive(Clone, Debug, Default)]
struct Faults {
    /// The power fails at the operation that brings `effects` to this number.
    power_off_at: Option<u64>,
    /// Operations that will fail: kind, and how many of that kind succeed before.
    failing: Vec<(DiskOp, u64)>,
    space: Option<u64>,
    misdirect: Option<(Option<String>, i64)>,
    ignore_sync: bool,
    slowness: Option<u64>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, u64),
    Unlink(String),
    Rename { from: String, to: String, inode: u64 },
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What reads see.
    cache: Vec<u8>,
    /// What survives.
    platter: Vec<u8>,
    /// Unsynced versions of each dirty sector, oldest first.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl SimDisk {
    /// An empty disk whose faults follow from `seed`.
    pub fn new(seed: u64) -> SimDisk {
        let world = World {
            dice: Dice::new(seed),
            boot: 0,
            powered: true,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            faults: Faults::default(),
            effects: 0,
            latency_us: 0,
            struck: 0,
        };
        SimDisk { world: Arc::new(Mutex::new(world)) }
    }

    /// A copy of the whole disk, with all its pending faults, that lives on its own.
    pub fn fork(&self) -> SimDisk {
        SimDisk { world: Arc::new(Mutex::new(self.world().clone())) }
    }

    /// Loses power and comes back: decides the fate of everything unsynced.
    pub fn crash(&self) {
        self.world().crash();
    }

    /// The process dies and comes back; the machine, and with it the cache, lives on. What was
    /// written is visible, and no more durable than before. Open files are dead.
    pub fn restart(&self) {
        let mut world = self.world();
        world.boot += 1;
        world.powered = true;
        world.faults.power_off_at = None;
    }

    /// The disk as a power failure right now would leave it if nothing unsynced made it, as a disk
    /// of its own: whoever must know what is durable can open it and look.
    pub fn platter(&self) -> SimDisk {
        let mut world = self.world().clone();
        world.faults = Faults::default();
        world.name_changes.clear();
        world.names = world.durable_names.clone();
        for inode in world.inodes.values_mut() {
            inode.dirty.clear();
            inode.cache = inode.platter.clone();
        }
        world.boot += 1;
        world.powered = true;
        SimDisk { world: Arc::new(Mutex::new(world)) }
    }

    /// Takes back every fault that has not struck yet; power that is off stays off.
    pub fn heal(&self) {
        let slowness = self.world().faults.slowness;
        self.world().faults = Faults { slowness, ..Faults::default() };
    }

    /// Lets the power fail during the `effects`-th next operation that changes anything (one
    /// means the next). Until [`SimDisk::crash`] or [`SimDisk::restart`], every operation fails.
    pub fn crash_after(&self, effects: u64) {
        assert!(effects > 0, "the past cannot fail");
        let mut world = self.world();
        world.faults.power_off_at = Some(world.effects + effects);
    }

    /// False between a power failure and the crash or restart that ends it.
    pub fn powered(&self) -> bool {
        self.world().powered
    }

    /// Operations so far that changed something or made it durable.
    pub fn effects(&self) -> u64 {
        self.world().effects
    }

    /// Lets one operation of this kind fail with EIO, after `successes` more that succeed.
    pub fn fail_next(&self, op: DiskOp, successes: u64) {
        self.world().faults.failing.push((op, successes));
    }

    /// How many failures of [`SimDisk::fail_next`] have struck.
    pub fn struck(&self) -> u64 {
        self.world().struck
    }

    /// Limits the bytes of all files together; `None` lifts the limit.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.world().faults.space = bytes;
    }

    /// The bytes of all files together.
    pub fn used_bytes(&self) -> u64 {
        self.world().used()
    }

    /// Sends the next write elsewhere: into `file` if named, shifted by `shift` bytes. The caller
    /// hears `Ok`.
    pub fn misdirect_next(&self, file: Option<&str>, shift: i64) {
        self.world().faults.misdirect = Some((file.map(str::to_owned), shift));
    }

    /// Lets the next sync of a file say `Ok` and do nothing.
    pub fn ignore_next_sync(&self) {
        self.world().faults.ignore_sync = true;
    }

    /// Multiplies the cost of every operation from now on.
    pub fn set_slowness(&self, factor: u64) {
        self.world().faults.slowness = Some(factor);
    }

    /// The factor on the cost of every operation.
    pub fn slowness(&self) -> u64 {
        self.world().faults.slowness.unwrap_or(1)
    }

    /// True while the space is limited.
    pub fn is_limited(&self) -> bool {
        self.world().faults.space.is_some()
    }

    /// Some byte at rest, as a file's name and an offset, picked by `pick`; nothing when there is none.
    pub fn any_byte(&self, pick: u64) -> Option<(String, u64)> {
        let world = self.world();
        let sizes = world.names.iter().map(|(name, inode)| (name, world.inodes[inode].cache.len()));
        let total: usize = sizes.clone().map(|(_, size)| size).sum();
        let mut at = (pick % total.max(1) as u64) as usize;
        for (name, size) in sizes {
            if at < size {
                return Some((name.clone(), at as u64));
            }
            at -= size;
        }
        None
    }

    /// The bytes of a file as a read would see them; 0 when there is no such file.
    pub fn file_len(&self, name: &str) -> u64 {
        let world = self.world();
        world.names.get(name).map_or(0, |inode| world.inodes[inode].cache.len() as u64)
    }

    /// What the operations since the last call would have taken, in microseconds.
    pub fn take_latency_us(&self) -> u64 {
        std::mem::take(&mut self.world().latency_us)
    }

    /// Flips the bits of `mask` in one byte at rest.
    ///
    /// # Panics
    /// When there is no such byte.
    pub fn flip(&self, name: &str, offset: u64, mask: u8) {
        let mut world = self.world();
        let inode = world.named(name);
        let at = offset as usize;
        inode.cache[at] ^= mask;
        if let Some(byte) = inode.platter.get_mut(at) {
            *byte ^= mask;
        }
    }

    /// The bytes that a read of the whole file would see.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        self.world().named(name).cache.clone()
    }

    /// Puts a file there, durably, as if by magic. Replaces what had the name.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let mut world = self.world();
        let inode = world.next_inode;
        world.next_inode += 1;
        let (cache, platter) = (bytes.to_vec(), bytes.to_vec());
        world.inodes.insert(inode, Inode { cache, platter, dirty: BTreeMap::new() });
        world.names.insert(name.to_owned(), inode);
        world.durable_names.insert(name.to_owned(), inode);
    }

    /// Takes a file away, durably, as if by an operator's mistake.
    pub fn vanish(&self, name: &str) {
        let mut world = self.world();
        world.names.remove(name);
        world.durable_names.remove(name);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no thread panics while it holds the simulated disk")
    }
}

fn failure(op: DiskOp, name: &str, code: i32) -> DiskError {
    DiskError::new(op, path_of(name), io::Error::from_raw_os_error(code))
}

fn path_of(name: &str) -> String {
    format!("simulated/{name}")
}

fn sectors(from: usize, to: usize) -> std::ops::Range<usize> {
    from / SECTOR..to.div_ceil(SECTOR)
}

impl Inode {
    /// Changes the cache and remembers a version of every sector touched.
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        let old_end = self.cache.len();
        if end > old_end {
            self.cache.resize(end, 0);
        }
        self.cache[offset..end].copy_from_slice(bytes);
        // A write behind the end also dirties the gap, whose zeros are new.
        for sector in sectors(offset.min(old_end), end) {
            let version = self.sector(sector);
            self.dirty.entry(sector).or_default().push(version);
        }
    }

    fn sector(&self, sector: usize) -> Vec<u8> {
        let from = sector * SECTOR;
        self.cache[from..self.cache.len().min(from + SECTOR)].to_vec()
    }

    /// Puts one version of a sector on the platter, as far as the platter's length goes.
    fn settle(&mut self, sector: usize, version: &[u8]) {
        let from = sector * SECTOR;
        let to = self.platter.len().min(from + version.len());
        if from < to {
            self.platter[from..to].copy_from_slice(&version[..to - from]);
        }
    }

    fn sync(&mut self) {
        self.platter.resize(self.cache.len(), 0);
        for (sector, _) in std::mem::take(&mut self.dirty) {
            let version = self.sector(sector);
            self.settle(sector, &version);
        }
    }

    /// A crash, or the hidden half of a failed sync: each dirty sector gets any of its versions
    /// or none, and the length any value between the two truths.
    fn settle_by_dice(&mut self, dice: &mut Dice) {
        let (low, high) = (self.platter.len(), self.cache.len());
        let (low, high) = (low.min(high), low.max(high));
        let length = match dice.below(3) {
            0 => low,
            1 => high,
            _ => dice.between(low as u64, high as u64) as usize,
        };
        self.platter.resize(length, 0);
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            // Half of the sectors go to the newest version: else long writes never survive.
            if dice.below(2) == 0 {
                self.settle(sector, &versions[versions.len() - 1]);
            } else {
                let pick = dice.below(versions.len() as u64 + 1) as usize;
                if let Some(version) = versions.get(pick) {
                    self.settle(sector, version);
                }
            }
        }
    }
}

impl World {
    fn named(&mut self, name: &str) -> &mut Inode {
        let inode = self.names.get(name).unwrap_or_else(|| panic!("no file {name}"));
        self.inodes.get_mut(inode).expect("every name has its inode")
    }

    fn used(&self) -> u64 {
        let linked: BTreeSet<u64> = self.names.values().copied().collect();
        linked.iter().map(|inode| self.inodes[inode].cache.len() as u64).sum()
    }

    fn crash(&mut self) {
        for change in std::mem::take(&mut self.name_changes) {
            if self.dice.below(2) == 0 {
                change.apply(&mut self.durable_names);
            }
        }
        let all_or_none = self.dice.below(4);
        let mut dice = self.dice.fork(self.boot);
        for inode in self.inodes.values_mut() {
            match all_or_none {
                // Sometimes everything survives, as when only the process died ...
                0 => inode.sync(),
                // ... or nothing at all.
                1 => inode.dirty.clear(),
                _ => inode.settle_by_dice(&mut dice),
            }
            inode.dirty.clear();
            inode.cache = inode.platter.clone();
        }
        self.names = self.durable_names.clone();
        let linked: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| linked.contains(inode));
        self.boot += 1;
        self.powered = true;
        self.faults.power_off_at = None;
    }

    /// Every operation begins here: power, cost, and the fault that waits for it.
    fn begin(&mut self, op: DiskOp, name: &str, cost_us: u64) -> Result<(), DiskError> {
        if !self.powered {
            let source = io::Error::other("the simulated power is off");
            return Err(DiskError::new(op, path_of(name), source));
        }
        self.latency_us += cost_us * self.faults.slowness.unwrap_or(1);
        let waiting = self.faults.failing.iter().position(|(kind, _)| *kind == op);
        if let Some(position) = waiting {
            let (_, successes) = &mut self.faults.failing[position];
            if *successes == 0 {
                self.faults.failing.remove(position);
                self.struck += 1;
                return Err(failure(op, name, EIO));
            }
            *successes -= 1;
        }
        Ok(())
    }

    /// Counts an effect; true when the power fails right now, in the middle of it.
    fn effect(&mut self) -> bool {
        self.effects += 1;
        let off = self.faults.power_off_at.is_some_and(|at| self.effects >= at);
        if off {
            self.powered = false;
        }
        off
    }

    fn interrupted(op: DiskOp, name: &str) -> DiskError {
        let source = io::Error::other("the simulated power failed");
        DiskError::new(op, path_of(name), source)
    }

    fn inode(&mut self, file: &SimFile, op: DiskOp) -> Result<&mut Inode, DiskError> {
        let alive = file.boot == self.boot;
        match self.inodes.get_mut(&file.inode).filter(|_| alive) {
            Some(inode) => Ok(inode),
            None => {
                let source = io::Error::other("the file was opened before the last crash");
                Err(DiskError::new(op, path_of(&file.name), source))
            }
        }
    }

    /// Checks the budget for a file that grows to `length`; answers the length it can have.
    fn room_for(&self, inode: u64, length: u64) -> u64 {
        let Some(space) = self.faults.space else { return length };
        let own = self.inodes[&inode].cache.len() as u64;
        let others = self.used() - own;
        length.min(space.saturating_sub(others)).max(own)
    }

    fn change_name(&mut self, change: NameChange, op: DiskOp, name: &str) -> Result<(), DiskError> {
        let interrupted = self.effect();
        // Power that fails in the middle leaves the change pending, or not even begun.
        if !interrupted || self.dice.below(2) == 0 {
            change.clone().apply(&mut self.names);
            self.name_changes.push(change);
        }
        if interrupted { Err(World::interrupted(op, name)) } else { Ok(()) }
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Link(name, inode) => {
                names.insert(name, inode);
            }
            NameChange::Unlink(name) => {
                names.remove(&name);
            }
            NameChange::Rename { from, to, inode } => {
                if names.get(&from) == Some(&inode) {
                    names.remove(&from);
                }
                names.insert(to, inode);
            }
        }
    }
}
