//! Leases: what a revoke does to the state, and when the leader's clock lets it happen.

mod common;

use common::*;
use quorate_base::{Dice, Instant};
use quorate_store::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1_000)
}

fn lease(id: i64, ttl: i64, remaining: i64) -> Lease {
    Lease { id, ttl, remaining }
}

fn leader() -> Lessor {
    Lessor::rebuild(at(0), [], Duration::ZERO)
}

#[test]
fn item_59_a_revoke_deletes_its_keys_in_order_in_one_revision() {
    let mut store = fresh();
    done(&mut store, Action::LeaseGrant { id: 7, ttl: 10 });
    for key in ["c", "a\0", "b", "a"] {
        done(&mut store, put_leased(key, "v", 7));
    }
    done(&mut store, put("other", "v"));
    store.publish().unwrap();
    let outcome = apply(&mut store, Action::LeaseRevoke { id: 7, term: None });
    assert_eq!(outcome, Outcome { revision: 7, result: Ok(Answer::LeaseRevoke) });
    let published = store.publish().unwrap();
    let gone: Vec<_> = published.events.iter().map(|event| event.kv.key.clone()).collect();
    assert_eq!(gone, ["a", "a\0", "b", "c"]);
    assert!(published.events.iter().all(|event| event.delete && event.kv.mod_revision == 7));
    assert_eq!(shown(&published.view.range(&everything()).unwrap()), "other=v");
    assert_eq!(published.view.lease(7).unwrap(), None);
    assert!(published.view.lease_keys(7).unwrap().is_empty());
    // Unknown now; and one without keys does not raise the revision.
    let again = apply(&mut store, Action::LeaseRevoke { id: 7, term: None });
    assert_eq!(again.result, Err(StoreError::LeaseNotFound));
    done(&mut store, Action::LeaseGrant { id: 8, ttl: 10 });
    assert_eq!(apply(&mut store, Action::LeaseRevoke { id: 8, term: None }).revision, 7);
}

#[test]
fn item_55_a_used_id_is_refused_and_free_again_after_the_revoke() {
    let mut store = fresh();
    done(&mut store, Action::LeaseGrant { id: 7, ttl: 10 });
    let again = apply(&mut store, Action::LeaseGrant { id: 7, ttl: 20 });
    assert_eq!(again.result, Err(StoreError::LeaseExists));
    assert_eq!(view(&mut store).lease(7).unwrap(), Some(lease(7, 10, 0)));
    done(&mut store, Action::LeaseRevoke { id: 7, term: None });
    done(&mut store, Action::LeaseGrant { id: 7, ttl: 20 });
    let too_long = Action::LeaseGrant { id: 1, ttl: validate::MAX_LEASE_TTL + 1 };
    let refused = ValidationError::LeaseTtlTooLarge { asked: validate::MAX_LEASE_TTL + 1 };
    assert_eq!(validate::check(&too_long, 128), Err(refused));
}

#[test]
fn trap_b7_a_deposed_leaders_expiry_and_checkpoint_have_no_effect() {
    let mut store = fresh();
    done(&mut store, Action::LeaseGrant { id: 7, ttl: 600 });
    done(&mut store, put_leased("a", "v", 7));
    let mut entry = |term, action| {
        let index = store.applied().0 + 1;
        store.apply(index, term, Some(&command(action))).unwrap().unwrap().result.unwrap();
        view(&mut store)
    };
    let revoke = |term| Action::LeaseRevoke { id: 7, term: Some(term) };
    let checkpoint = |term| Action::LeaseCheckpoint { term, remaining: vec![(7, 50), (9, 1)] };
    let view = entry(5, revoke(4));
    assert_eq!(view.range(&everything()).unwrap().count, 1);
    let view = entry(5, checkpoint(4));
    assert_eq!(view.leases().unwrap(), [lease(7, 600, 0)]);
    let view = entry(5, checkpoint(5));
    assert_eq!(view.leases().unwrap(), [lease(7, 600, 50)]);
    let view = entry(6, revoke(6));
    assert_eq!((view.range(&everything()).unwrap().count, view.leases().unwrap()), (0, vec![]));
}

#[test]
fn item_57_an_expired_lease_cannot_be_renewed_even_before_a_poll_noticed() {
    let mut lessor = leader();
    lessor.granted(at(0), 1, 10);
    assert_eq!(lessor.renew(at(9), 1), Renewal::Renewed { ttl: 10 });
    assert_eq!(lessor.next_timeout(), Some(at(19)));
    assert_eq!(lessor.poll(at(18)), Due::default());
    assert_eq!(lessor.renew(at(19), 1), Renewal::Expiring);
    assert_eq!(lessor.poll(at(19)).expired, [1]);
    assert_eq!(lessor.renew(at(19), 1), Renewal::Expiring);
    assert_eq!(lessor.time_to_live(at(19), 1), Some((10, 0)));
    // The revoke got lost: it comes again, but not at once.
    assert_eq!(lessor.poll(at(20)).expired, [] as [i64; 0]);
    assert_eq!(lessor.poll(at(22)).expired, [1]);
    lessor.revoked(1);
    assert_eq!(lessor.renew(at(23), 1), Renewal::Unknown);
    assert_eq!((lessor.poll(at(99)), lessor.next_timeout()), (Due::default(), None));
}

#[test]
fn item_59_a_new_leader_extends_and_honours_checkpoints() {
    let leases = [lease(1, 10, 0), lease(2, 1_000, 5), lease(3, 8, 0)];
    let mut lessor = Lessor::rebuild(at(100), leases, Duration::from_secs(2));
    assert_eq!(lessor.by_expiry().collect::<Vec<_>>(), [2, 3, 1]);
    assert_eq!(lessor.poll(at(106)), Due::default());
    assert_eq!(lessor.poll(at(107)).expired, [2]);
    assert_eq!(lessor.poll(at(112)).expired, [2, 3, 1], "2 again, since its revoke got lost");
}

#[test]
fn item_59_piled_up_expiries_are_spread_and_paced() {
    let leases = (0..5_000).map(|id| lease(id, 10, 0));
    let mut lessor = Lessor::rebuild(at(0), leases, Duration::from_secs(1));
    let mut expired: BTreeMap<u64, usize> = BTreeMap::new();
    let mut ids = Vec::new();
    let mut now = lessor.next_timeout().unwrap();
    assert_eq!(now, at(11));
    while ids.len() < 5_000 {
        for id in lessor.poll(now).expired {
            lessor.revoked(id);
            ids.push(id);
            *expired.entry(now.0 / 1_000_000_000).or_default() += 1;
        }
        let next = lessor.next_timeout().unwrap_or(now);
        assert!(next > now || ids.len() == 5_000, "a poll leaves nothing due at once");
        now = next;
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5_000);
    assert!(expired.values().all(|count| *count <= 1_100), "{expired:?}");
    assert!(now < at(20), "{now}");
}

#[test]
fn a_pause_does_not_let_a_burst_through() {
    let mut lessor = leader();
    for id in 1..=3_000 {
        lessor.granted(at(0), id, 5);
    }
    // Nobody polled for a minute.
    let first = lessor.poll(at(60)).expired.len();
    assert!((1..=100).contains(&first), "{first}");
    let mut within = first;
    for step in 1..=100 {
        within += lessor.poll(at(60) + Duration::from_millis(step * 10)).expired.len();
    }
    assert!((1_000..=1_100).contains(&within), "{within} in one second");
}

#[test]
fn trap_b8_long_leases_are_checkpointed_and_a_renewal_clears_that_first() {
    let mut lessor = leader();
    lessor.granted(at(0), 1, 1_000);
    lessor.granted(at(0), 2, 300);
    assert_eq!(lessor.next_timeout(), Some(at(300)));
    assert_eq!(lessor.renew(at(299), 2), Renewal::Renewed { ttl: 300 });
    let due = lessor.poll(at(300));
    assert_eq!(due, Due { expired: vec![], checkpoints: vec![(1, 700)] });
    // The checkpoint is on its way, not applied yet: the renewal must come after it all the same.
    assert_eq!(lessor.renew(at(301), 1), Renewal::Clear { ttl: 1_000 });
    lessor.checkpointed(1, 700);
    assert_eq!(lessor.renew(at(302), 1), Renewal::Clear { ttl: 1_000 });
    lessor.checkpointed(1, 0);
    assert_eq!(lessor.renew(at(303), 1), Renewal::Renewed { ttl: 1_000 });
    assert_eq!(lessor.time_to_live(at(403), 1), Some((1_000, 900)));
    // A new leader takes over from the state, where the checkpoint is cleared: all of its time.
    let mut next = Lessor::rebuild(at(0), [lease(1, 1_000, 0)], Duration::ZERO);
    assert_eq!(next.poll(at(999)).expired, [] as [i64; 0]);
    // With a checkpoint of 700 it has that, and a renewal clears it.
    let mut next = Lessor::rebuild(at(0), [lease(1, 1_000, 700)], Duration::ZERO);
    assert_eq!(next.renew(at(1), 1), Renewal::Clear { ttl: 1_000 });
}

#[test]
fn no_lease_expires_early_or_is_forgotten_whatever_happens() {
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let mut lessor = leader();
        // The earliest instant at which each may expire.
        let mut floor: BTreeMap<i64, Instant> = BTreeMap::new();
        let mut ttls: BTreeMap<i64, i64> = BTreeMap::new();
        let mut now = at(0);
        for step in 0..2_000 {
            now = now + Duration::from_millis(dice.below(400));
            let id = dice.between(1, 40) as i64;
            let span = |ttl: i64| Duration::from_secs(ttl as u64);
            match dice.below(4) {
                0 if !ttls.contains_key(&id) => {
                    let ttl = dice.between(2, 900) as i64;
                    lessor.granted(now, id, ttl);
                    floor.insert(id, now + span(ttl));
                    ttls.insert(id, ttl);
                }
                1 => match lessor.renew(now, id) {
                    Renewal::Renewed { ttl } | Renewal::Clear { ttl } => {
                        assert_eq!(Some(&ttl), ttls.get(&id));
                        floor.insert(id, now + span(ttl));
                    }
                    Renewal::Expiring => assert!(floor[&id] <= now, "seed {seed} step {step}"),
                    Renewal::Unknown => assert!(!ttls.contains_key(&id)),
                },
                _poll => {
                    for id in lessor.poll(now).expired {
                        assert!(floor[&id] <= now, "seed {seed} step {step}: lease {id} is early");
                        if dice.chance(700_000) {
                            lessor.revoked(id);
                            ttls.remove(&id);
                        }
                    }
                }
            }
        }
        // All expire in the end, if their revokes stop getting lost.
        for _ in 0..10_000 {
            now = now + Duration::from_millis(500);
            for id in lessor.poll(now).expired {
                lessor.revoked(id);
                ttls.remove(&id);
            }
        }
        assert!(ttls.is_empty(), "seed {seed}: {ttls:?} never expired");
    }
}
