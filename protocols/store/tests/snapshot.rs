//! Chunks: a copy of the state that goes on exactly like the original, and refuses what is not one.

mod common;

use bytes::Bytes;
use common::dice::Maker;
use common::*;
use quorate_store::*;

fn busy(seed: u64, entries: u64) -> Store {
    let mut maker = Maker::new(seed);
    let mut store = fresh();
    for index in 1..=entries {
        let command = maker.command(store.revision(), 1);
        store.apply(index, 1, Some(&command)).unwrap();
        if maker.dice.chance(50_000) {
            store.compact_step(3).unwrap();
        }
    }
    store
}

fn chunks(view: &View<MemView>, max_bytes: usize) -> Vec<Bytes> {
    let (mut all, mut after) = (Vec::new(), None::<Bytes>);
    loop {
        let chunk = view.chunk(after.as_deref(), max_bytes).unwrap();
        all.push(chunk.data);
        if chunk.done {
            return all;
        }
        after = Some(chunk.cursor);
    }
}

fn install(chunks: &[Bytes]) -> Result<Store, InstallError> {
    let mut installer = Installer::new(MemEngine::new())?;
    for chunk in chunks {
        installer.push(chunk)?;
    }
    installer.finish(Options::default())
}

#[test]
fn a_copy_goes_on_exactly_like_the_original() {
    for (seed, max_bytes) in [(1, 1), (2, 100), (3, 4_000), (4, 1 << 20)] {
        let mut store = busy(seed, 400);
        let view = view(&mut store);
        let chunks = chunks(&view, max_bytes);
        assert!(max_bytes > 4_000 || chunks.len() > 1);
        let mut copy = install(&chunks).unwrap();
        assert_eq!(copy.applied(), store.applied());
        assert_eq!(copy.engine().published(), store.applied().0);
        // The same commands, retried operations among them, give the same answers.
        let mut maker = Maker::new(seed);
        for index in 401..=700 {
            let command = maker.command(store.revision(), 1);
            let want = store.apply(index, 1, Some(&command)).unwrap();
            assert_eq!(copy.apply(index, 1, Some(&command)).unwrap(), want);
        }
        let (a, b) = (store.publish().unwrap(), copy.publish().unwrap());
        assert_eq!(a.events, b.events);
        assert_eq!(a.view.hash().unwrap(), b.view.hash().unwrap());
        assert_eq!(a.view.size(), b.view.size());
        assert_eq!(self::chunks(&a.view, 999), self::chunks(&b.view, 999), "byte for byte");
    }
}

#[test]
fn a_survey_tells_what_the_copy_would_hold() {
    let mut store = busy(8, 400);
    let view = view(&mut store);
    let all = chunks(&view, 700);
    let mut survey = Survey::default();
    let ends: Vec<bool> = all.iter().map(|chunk| survey.push(chunk).unwrap()).collect();
    assert_eq!(ends.iter().position(|end| *end), Some(all.len() - 1));
    let summary = survey.finish().unwrap();
    assert!(summary.keys > 0 && summary.leases > 0, "{summary:?} tells nothing");
    assert_eq!(summary.revision, view.revision());
    assert_eq!(summary.compacted, view.compacted());
    assert_eq!(summary.applied, view.applied());
    assert_eq!(summary.keys, view.keys());
    assert_eq!(summary.leases, view.leases().unwrap().len() as u64);
    let mut cut = Survey::default();
    cut.push(&all[0]).unwrap();
    assert_eq!(cut.push(&all[2]), Err(InstallError::OutOfOrder));
    assert_eq!(cut.finish(), Err(InstallError::Incomplete));
}

#[test]
fn a_broken_transfer_goes_on_from_the_last_chunk_that_arrived() {
    let view = view(&mut busy(5, 300));
    let mut installer = Installer::new(MemEngine::new()).unwrap();
    let mut max_bytes = 50;
    loop {
        // Every time another sender's idea of a good size.
        max_bytes = max_bytes * 3 % 1_001;
        let after = installer.cursor().cloned();
        let chunk = view.chunk(after.as_deref(), max_bytes).unwrap();
        if installer.push(&chunk.data).unwrap() {
            break;
        }
        assert_eq!(installer.cursor(), Some(&chunk.cursor));
    }
    let mut copy = installer.finish(Options::default()).unwrap();
    assert_eq!(self::view(&mut copy).hash().unwrap(), view.hash().unwrap());
}

#[test]
fn what_is_not_the_whole_state_in_order_is_refused() {
    let view = view(&mut busy(6, 300));
    let all = chunks(&view, 500);
    assert!(all.len() > 5);
    let without = |at: usize| [&all[..at], &all[at + 1..]].concat();
    for lost in 0..all.len() - 1 {
        assert_eq!(install(&without(lost)).unwrap_err(), InstallError::OutOfOrder);
    }
    assert_eq!(install(&without(all.len() - 1)).unwrap_err(), InstallError::Incomplete);
    let repeated = [&all[..2], &all[1..]].concat();
    assert_eq!(install(&repeated).unwrap_err(), InstallError::OutOfOrder);
    let mut swapped = all.clone();
    swapped.swap(1, 2);
    assert_eq!(install(&swapped).unwrap_err(), InstallError::OutOfOrder);
    let longer = [&all[..], &all[..1]].concat();
    assert_eq!(install(&longer).unwrap_err(), InstallError::Incomplete);
    assert!(matches!(Installer::new(busy(7, 9).into_engine()), Err(InstallError::Engine(_))));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let mut store = fresh();
    done(&mut store, put("key", "value"));
    let chunk = view(&mut store).chunk(None, 1 << 20).unwrap();
    assert!(chunk.done);
    for bit in 0..chunk.data.len() * 8 {
        let mut data = chunk.data.to_vec();
        data[bit / 8] ^= 1 << (bit % 8);
        assert!(install(&[data.into()]).is_err(), "bit {bit}");
    }
    for cut in 0..chunk.data.len() {
        assert!(install(&[chunk.data.slice(..cut)]).is_err(), "cut at {cut}");
    }
    assert!(install(&[chunk.data]).is_ok());
}
