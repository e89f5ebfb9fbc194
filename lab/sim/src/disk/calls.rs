//! What the storage asks of the simulated disk: each call pays its cost and may be the one that
//! fails.

use super::{ENOSPC, Inode, NameChange, SimDisk, SimFile, World, failure, path_of};
use quorate_storage::{Disk, DiskError, DiskOp};
use std::io;

/// What operations cost on an idle, ordinary SSD, in microseconds.
mod cost {
    pub const NAME: u64 = 5;
    pub const SYNC: u64 = 150;
    pub fn transfer(bytes: usize) -> u64 {
        2 + bytes as u64 / 2000
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn path(&self, name: &str) -> String {
        path_of(name)
    }

    fn create(&self, name: &str) -> Result<SimFile, DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::Create, name, cost::NAME)?;
        if world.names.contains_key(name) {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(DiskError::new(DiskOp::Create, path_of(name), source));
        }
        let inode = world.next_inode;
        world.next_inode += 1;
        world.inodes.insert(inode, Inode::default());
        world.change_name(NameChange::Link(name.to_owned(), inode), DiskOp::Create, name)?;
        Ok(SimFile { inode, boot: world.boot, name: name.into() })
    }

    fn open(&self, name: &str) -> Result<SimFile, DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::Open, name, cost::NAME)?;
        match world.names.get(name) {
            Some(&inode) => Ok(SimFile { inode, boot: world.boot, name: name.into() }),
            None => {
                let source = io::Error::from(io::ErrorKind::NotFound);
                Err(DiskError::new(DiskOp::Open, path_of(name), source))
            }
        }
    }

    fn len(&self, file: &SimFile) -> Result<u64, DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::Length, &file.name, 1)?;
        Ok(world.inode(file, DiskOp::Length)?.cache.len() as u64)
    }

    fn read_at(&self, file: &SimFile, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::Read, &file.name, cost::transfer(buffer.len()))?;
        let cache = &world.inode(file, DiskOp::Read)?.cache;
        let from = offset as usize;
        match cache.get(from..from + buffer.len()) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => {
                let source = io::Error::from(io::ErrorKind::UnexpectedEof);
                Err(DiskError::new(DiskOp::Read, path_of(&file.name), source))
            }
        }
    }

    fn write_at(&self, file: &SimFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::Write, &file.name, cost::transfer(bytes.len()))?;
        world.inode(file, DiskOp::Write)?;
        let interrupted = world.effect();
        let mut inode = file.inode;
        let mut at = offset as i64;
        if let Some((elsewhere, shift)) = world.faults.misdirect.take() {
            inode = elsewhere.and_then(|name| world.names.get(&name).copied()).unwrap_or(inode);
            at = (at + shift).max(0);
        }
        let at = at as usize;
        let wanted = (at + bytes.len()) as u64;
        let room = world.room_for(inode, wanted);
        let fits = bytes.len().min((room as usize).saturating_sub(at));
        let target = world.inodes.get_mut(&inode).expect("every name has its inode");
        target.write(at, &bytes[..fits]);
        if interrupted {
            return Err(World::interrupted(DiskOp::Write, &file.name));
        }
        if fits < bytes.len() { Err(failure(DiskOp::Write, &file.name, ENOSPC)) } else { Ok(()) }
    }

    fn sync(&self, file: &SimFile) -> Result<(), DiskError> {
        let mut world = self.world();
        world.inode(file, DiskOp::Sync)?;
        let mut dice = world.dice.fork(file.inode);
        if let Err(error) = world.begin(DiskOp::Sync, &file.name, cost::SYNC) {
            // A failed sync: some sectors made it, and every page is clean now, right or wrong.
            if world.powered {
                world.inode(file, DiskOp::Sync)?.settle_by_dice(&mut dice);
            }
            return Err(error);
        }
        if world.effect() {
            // Interrupted: what the platter got so far is decided at the crash.
            return Err(World::interrupted(DiskOp::Sync, &file.name));
        }
        if !std::mem::take(&mut world.faults.ignore_sync) {
            world.inode(file, DiskOp::Sync)?.sync();
        }
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::SyncDirectory, "", cost::SYNC)?;
        if world.effect() {
            return Err(World::interrupted(DiskOp::SyncDirectory, ""));
        }
        world.durable_names = world.names.clone();
        world.name_changes.clear();
        Ok(())
    }

    fn allocate(&self, file: &SimFile, length: u64) -> Result<(), DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::Allocate, &file.name, cost::transfer(length as usize) + cost::SYNC)?;
        let own = world.inode(file, DiskOp::Allocate)?.cache.len() as u64;
        if own >= length {
            return Ok(());
        }
        let room = world.room_for(file.inode, length);
        let interrupted = world.effect();
        let inode = world.inode(file, DiskOp::Allocate)?;
        if !interrupted && room == length {
            inode.sync();
            inode.cache.resize(length as usize, 0);
            inode.platter.resize(length as usize, 0);
            return Ok(());
        }
        inode.write(own as usize, &vec![0; (room - own) as usize]);
        if interrupted {
            return Err(World::interrupted(DiskOp::Allocate, &file.name));
        }
        Err(failure(DiskOp::Allocate, &file.name, ENOSPC))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::Rename, from, cost::NAME)?;
        let Some(&inode) = world.names.get(from) else {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(DiskError::new(DiskOp::Rename, path_of(from), source));
        };
        let (from, to) = (from.to_owned(), to.to_owned());
        let name = from.clone();
        world.change_name(NameChange::Rename { from, to, inode }, DiskOp::Rename, &name)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::Remove, name, cost::NAME)?;
        if !world.names.contains_key(name) {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(DiskError::new(DiskOp::Remove, path_of(name), source));
        }
        world.change_name(NameChange::Unlink(name.to_owned()), DiskOp::Remove, name)
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let mut world = self.world();
        world.begin(DiskOp::List, "", cost::NAME)?;
        Ok(world.names.keys().cloned().collect())
    }
}
