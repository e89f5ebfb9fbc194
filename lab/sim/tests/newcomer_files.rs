//! What a newcomer keeps, with the power failing at every operation on the way: a label never stands beside a list that
//! is lost, and neither is ever half there.

use quorate_sim::disk::SimDisk;
use quorate_storage::{Disk, DiskError, Meta, MetaError, aside};

const FILE: &str = "learned";
const MOST: u64 = 8_000;

fn label() -> Meta {
    Meta {
        cluster_id: 7,
        member_id: 9,
        name: "new".to_owned(),
        created_by: "0.1.0".to_owned(),
        incarnation: 5,
    }
}

/// Several sectors, different in every answer.
fn list(answer: u8) -> Vec<u8> {
    (0..3_000u32).map(|at| (at % 251) as u8 ^ answer).collect()
}

/// One life, in the order of the host: the list, then the label if there is none.
fn live<D: Disk>(disk: &D, answer: u8) -> Result<(), MetaError> {
    aside::replace_checked(disk, FILE, &list(answer))?;
    match Meta::load(disk)? {
        Some(_) => Ok(()),
        None => label().store(disk),
    }
}

fn kept(disk: &SimDisk) -> Result<Option<Vec<u8>>, DiskError> {
    let read = aside::read_checked(disk, FILE, MOST)?;
    Ok(read.expect("the old list or the new one, whole"))
}

#[test]
fn a_label_never_stands_without_its_list_wherever_the_power_fails() {
    let (mut halves, mut whole) = (0, 0);
    for seed in 0..200 {
        for first in 1..16 {
            for second in 0..16 {
                let disk = SimDisk::new(seed * 1_000 + first * 16 + second);
                disk.crash_after(first);
                if live(&disk, 1).is_ok() {
                    // The power fails after all of it.
                    whole += 1;
                }
                disk.crash();
                if Meta::load(&disk).expect("readable").is_some() {
                    assert_eq!(
                        kept(&disk).expect("readable"),
                        Some(list(1)),
                        "seed {seed} {first}"
                    );
                }
                // It begins anew and asks again, and the power fails at another place, if at all.
                if second > 0 {
                    disk.crash_after(second);
                }
                let lived = live(&disk, 2).is_ok();
                disk.crash();
                let (found, labelled) = (kept(&disk).expect("readable"), Meta::load(&disk));
                let labelled = labelled.expect("readable");
                assert!(labelled.is_none() || labelled == Some(label()));
                assert!(labelled.is_none() || found.is_some(), "seed {seed} {first} {second}");
                assert!(found.is_none() || [1, 2].map(|at| Some(list(at))).contains(&found));
                assert!(!lived || labelled.is_some() && found == Some(list(2)), "it was durable");
                halves += u32::from(found.is_some() && labelled.is_none());
            }
        }
    }
    assert!(halves > 1_000 && whole > 1_000, "too tame: {halves} halves, {whole} whole");
}

/// Damage at rest is told from a list that was never kept.
#[test]
fn a_list_that_rots_is_no_list() {
    let disk = SimDisk::new(3);
    assert_eq!(kept(&disk).expect("readable"), None);
    live(&disk, 1).expect("a disk that works");
    for at in [0, 1_700, 2_999, 3_003] {
        let rotten = disk.fork();
        rotten.flip(FILE, at, 4);
        let read = aside::read_checked(&rotten, FILE, MOST).expect("readable");
        assert!(read.is_err(), "byte {at}");
    }
    let longer = aside::read_checked(&disk, FILE, 100).expect("readable");
    assert!(longer.is_err(), "more than anybody writes");
}
