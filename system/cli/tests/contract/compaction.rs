//! Behaviours 32, 33, 36 and 37: compaction, the quota, and the alarms.

use std::time::Duration;

use crate::harness::api::alarm_request::AlarmAction;
use crate::harness::api::*;
use crate::harness::*;

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const FUTURE: &str = "etcdserver: mvcc: required revision is a future revision";
const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";
const CORRUPT: &str = "etcdserver: corrupt cluster";

/// A server with four versions of `k`, at revisions 2 to 5.
async fn four_versions() -> (Cluster, Client) {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for value in ["2", "3", "4", "5"] {
        client.write("k", value).await;
    }
    (cluster, client)
}

#[tokio::test]
async fn c32_a_compaction_must_lie_between_the_last_one_and_now() {
    let (_cluster, client) = four_versions().await;
    refused(client.compact(6, false).await, Code::OutOfRange, FUTURE);
    let answer = client.compact(3, false).await.unwrap();
    assert_eq!(revision(&answer.header), 5);
    for earlier in [3, 2, 1] {
        refused(client.compact(earlier, false).await, Code::OutOfRange, COMPACTED);
    }
    client.compact(5, false).await.unwrap();
    refused(client.compact(5, false).await, Code::OutOfRange, COMPACTED);
    assert_eq!(client.revision().await, 5, "compactions make no revision");
}

#[tokio::test]
async fn c32_a_physical_compaction_survives_a_crash_right_after_its_answer() {
    let (mut cluster, client) = four_versions().await;
    client.compact(4, true).await.unwrap();
    cluster.kill(0);
    cluster.restart(0).await;
    let client = cluster.client().await;
    let at = async |revision| client.range(RangeRequest { revision, ..get("k") }).await;
    refused(at(3).await, Code::OutOfRange, COMPACTED);
    assert_eq!(pairs(&at(4).await.unwrap().kvs), ["k=4"]);
    assert_eq!(pairs(&at(0).await.unwrap().kvs), ["k=5"]);
    assert_eq!(client.hash_kv(0).await.unwrap().compact_revision, 4);
}

#[tokio::test]
async fn the_past_is_compacted_by_itself_but_not_what_is_younger_than_was_asked_for() {
    let cluster = Cluster::single(&["--auto-compaction-retention=1s"]).await;
    let client = cluster.client().await;
    let first = client.write("k", "old").await;
    let until = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let begun = std::time::Instant::now();
        client.write("k", "new").await;
        let at = |revision| client.range(RangeRequest { revision, ..get("k") });
        let newest = client.revision().await;
        let previous = at(newest - 1).await;
        // The version before this one is some milliseconds old.
        assert!(previous.is_ok() || begun.elapsed() > Duration::from_secs(1), "{previous:?}");
        if let Err(status) = at(first).await {
            refused::<()>(Err(status), Code::OutOfRange, COMPACTED);
            break;
        }
        assert!(std::time::Instant::now() < until, "nothing is compacted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn c33_compaction_keeps_what_a_read_at_or_after_it_can_see() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    // Revisions 2 to 9; the compaction is at 7.
    client.write("often", "2").await;
    client.write("once", "3").await;
    client.write("gone", "4").await;
    client.delete(delete("gone")).await.unwrap();
    client.write("often", "6").await;
    client.write("often", "7").await;
    client.delete(delete("once")).await.unwrap();
    client.write("often", "9").await;
    let at = async |revision| {
        pairs(&client.range(RangeRequest { revision, ..range("\0", "\0") }).await.unwrap().kvs)
    };
    let seen = [at(7).await, at(8).await, at(9).await];
    assert_eq!(seen[0], ["often=7", "once=3"]);
    assert_eq!(seen[1], ["often=7"]);
    assert_eq!(seen[2], ["often=9"]);
    client.compact(7, true).await.unwrap();
    assert_eq!([at(7).await, at(8).await, at(9).await], seen, "compaction changes no answer");

    // A key that vanished is new when it comes back.
    client.write("gone", "10").await;
    let kv = client.read("gone").await.unwrap();
    assert_eq!((kv.version, kv.create_revision), (1, 10));
    // One that was kept goes on counting.
    client.write("often", "11").await;
    let kv = client.read("often").await.unwrap();
    assert_eq!((kv.version, kv.create_revision), (5, 2));
}

#[tokio::test]
async fn c33_the_hash_of_a_revision_is_the_same_whether_a_tombstone_there_is_kept_or_not() {
    // Two members of one history: one compacts exactly on a deletion, which keeps its tombstone for
    // watchers; the other compacts there too and once more later, which drops it.
    let cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    client.write("a", "2").await;
    client.write("k", "3").await;
    client.delete(delete("k")).await.unwrap();
    client.write("a", "5").await;
    client.compact(4, true).await.unwrap();
    let mut hashes = vec![];
    for i in 0..cluster.size() {
        let member = cluster.client_of(i).await;
        assert_eq!(member.read("k").await, None);
        let answer = member.hash_kv(5).await.unwrap();
        assert_eq!((answer.hash_revision, answer.compact_revision), (5, 4));
        hashes.push(answer.hash);
    }
    assert_eq!(hashes, [hashes[0]; 3]);
}

/// Writes until the quota refuses, and returns how many values were taken.
async fn fill(client: &Client) -> usize {
    for i in 0..2000 {
        match client.put(put(format!("fill/{i:04}"), vec![b'x'; 32 * 1024])).await {
            Ok(_) => {}
            Err(status) => {
                assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, NO_SPACE));
                return i;
            }
        }
    }
    panic!("62 MiB fit into a quota of 4 MiB");
}

#[tokio::test]
async fn c36_a_full_quota_raises_an_alarm_that_stops_growth_and_nothing_else() {
    let cluster = Cluster::single(&["--quota-backend-bytes", "4194304"]).await;
    let client = cluster.client().await;
    let lease = client.grant(600).await;
    client.put(PutRequest { lease, ..put("leased", "v") }).await.unwrap();
    assert!(fill(&client).await > 0);
    let member_id = client.status().await.unwrap().header.unwrap().member_id;
    let alarms = client.alarm(AlarmAction::Get, 0, AlarmType::None).await.unwrap();
    assert_eq!(alarms, [AlarmMember { member_id, alarm: AlarmType::Nospace as i32 }]);
    if Kind::current() == Kind::Quorate {
        eventually("the log of the member names the alarm", Duration::from_secs(20), async || {
            cluster.log(0).contains("the NOSPACE alarm is on: no puts are taken")
        })
        .await;
    }

    // Whatever could grow the store is refused, however small, on whichever branch it stands.
    let small = || put("small", "v");
    let exhausted = Code::ResourceExhausted;
    refused(client.put(small()).await, exhausted, NO_SPACE);
    refused(client.txn(always([small().op()])).await, exhausted, NO_SPACE);
    let unused = txn([mod_revision_is("small", 0)], [get("small").op()], [small().op()]);
    refused(client.txn(unused).await, exhausted, NO_SPACE);
    refused(client.txn(always([always([small().op()]).op()])).await, exhausted, NO_SPACE);
    refused(client.grant_with(600, 0).await, exhausted, NO_SPACE);

    // Reading, deleting, revoking and compacting go on.
    assert!(client.range(prefix("fill/")).await.unwrap().count > 0);
    client.txn(always([get("leased").op()])).await.unwrap();
    client.revoke(lease).await.unwrap();
    assert_eq!(client.read("leased").await, None);
    client.txn(always([delete("fill/0000").op()])).await.unwrap();
    client.delete(delete_prefix("fill/")).await.unwrap();
    let now = client.revision().await;
    client.compact(now, true).await.unwrap();

    // Room alone does not clear the alarm; only the request to does.
    refused(client.put(small()).await, exhausted, NO_SPACE);
    client.maintenance().defragment(DefragmentRequest {}).await.unwrap();
    refused(client.put(small()).await, exhausted, NO_SPACE);
    eventually("there is room again", Duration::from_secs(20), async || {
        client.alarm(AlarmAction::Deactivate, member_id, AlarmType::Nospace).await.unwrap();
        client.put(small()).await.is_ok()
    })
    .await;
    assert_eq!(client.alarm(AlarmAction::Get, 0, AlarmType::None).await.unwrap(), []);
}

#[tokio::test]
async fn c36_the_alarm_of_one_member_stops_all_members_and_survives_a_restart() {
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    client.write("k", "v").await;
    let member_id = client.status().await.unwrap().header.unwrap().member_id;
    let alarms = client.alarm(AlarmAction::Activate, member_id, AlarmType::Nospace).await.unwrap();
    assert_eq!(alarms, [AlarmMember { member_id, alarm: AlarmType::Nospace as i32 }]);
    for i in 0..cluster.size() {
        let member = cluster.client_of(i).await;
        refused(member.put(put("k", "w")).await, Code::ResourceExhausted, NO_SPACE);
    }
    cluster.kill(1);
    cluster.restart(1).await;
    let client = cluster.client_of(1).await;
    refused(client.put(put("k", "w")).await, Code::ResourceExhausted, NO_SPACE);
    assert_eq!(client.alarm(AlarmAction::Get, 0, AlarmType::None).await.unwrap().len(), 1);
    // The answer to a deactivation names what was cleared.
    let cleared =
        client.alarm(AlarmAction::Deactivate, member_id, AlarmType::Nospace).await.unwrap();
    assert_eq!(cleared, [AlarmMember { member_id, alarm: AlarmType::Nospace as i32 }]);
    client.write("k", "w").await;
}

#[tokio::test]
async fn c37_the_corrupt_alarm_refuses_everything_that_is_applied() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let lease = client.grant(600).await;
    client.write("k", "v").await;
    client.write("k", "w").await;
    let member_id = client.status().await.unwrap().header.unwrap().member_id;
    client.alarm(AlarmAction::Activate, member_id, AlarmType::Corrupt).await.unwrap();

    refused(client.put(put("k", "x")).await, Code::DataLoss, CORRUPT);
    refused(client.delete(delete("k")).await, Code::DataLoss, CORRUPT);
    refused(client.txn(always([put("k", "x").op()])).await, Code::DataLoss, CORRUPT);
    refused(client.compact(2, false).await, Code::DataLoss, CORRUPT);
    refused(client.grant_with(600, 0).await, Code::DataLoss, CORRUPT);
    // The alarm comes before what is wrong with the lease, which is looked at when it is applied.
    refused(client.grant_with(9_000_000_001, 0).await, Code::DataLoss, CORRUPT);
    refused(client.revoke(lease).await, Code::DataLoss, CORRUPT);
    // Reads are not applied and still answer.
    assert_eq!(text(&client.read("k").await.unwrap().value), "w");
    let answer = client.txn(txn([value_is("k", "w")], [get("k").op()], [])).await.unwrap();
    assert!(answer.succeeded);

    client.alarm(AlarmAction::Deactivate, member_id, AlarmType::Corrupt).await.unwrap();
    client.write("k", "x").await;
    assert_eq!(client.revision().await, 4, "what was refused made no revision");
}

#[tokio::test]
async fn c37_alarms_are_listed_by_kind_and_cleared_by_member_and_kind() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let (one, two) = (1111, 2222);
    for (member, alarm) in
        [(one, AlarmType::Nospace), (two, AlarmType::Nospace), (one, AlarmType::Corrupt)]
    {
        client.alarm(AlarmAction::Activate, member, alarm).await.unwrap();
    }
    let errors = client.status().await.unwrap().errors;
    assert_eq!(errors.len(), 3, "{errors:?}");
    let list = async |alarm| {
        let mut alarms = client.alarm(AlarmAction::Get, 0, alarm).await.unwrap();
        alarms.sort_by_key(|alarm| (alarm.alarm, alarm.member_id));
        alarms.iter().map(|alarm| (alarm.member_id, alarm.alarm)).collect::<Vec<_>>()
    };
    let (nospace, corrupt) = (AlarmType::Nospace as i32, AlarmType::Corrupt as i32);
    assert_eq!(list(AlarmType::None).await, [(one, nospace), (two, nospace), (one, corrupt)]);
    assert_eq!(list(AlarmType::Nospace).await, [(one, nospace), (two, nospace)]);
    assert_eq!(list(AlarmType::Corrupt).await, [(one, corrupt)]);

    // Raising it twice is the same as once.
    client.alarm(AlarmAction::Activate, one, AlarmType::Nospace).await.unwrap();
    assert_eq!(list(AlarmType::None).await.len(), 3);
    // Another member, or another kind, is another alarm.
    assert_eq!(client.alarm(AlarmAction::Deactivate, 3333, AlarmType::Nospace).await.unwrap(), []);
    assert_eq!(client.alarm(AlarmAction::Deactivate, two, AlarmType::Corrupt).await.unwrap(), []);
    assert_eq!(list(AlarmType::None).await.len(), 3);
    for (member, alarm) in
        [(one, AlarmType::Nospace), (two, AlarmType::Nospace), (one, AlarmType::Corrupt)]
    {
        client.alarm(AlarmAction::Deactivate, member, alarm).await.unwrap();
    }
    assert_eq!(list(AlarmType::None).await, []);
    client.write("k", "v").await;
}
