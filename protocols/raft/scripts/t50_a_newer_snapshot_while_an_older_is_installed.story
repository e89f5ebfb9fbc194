# Trap 50: a newer snapshot arrives while the older one is being written, and the two mix.
(cluster nodes=3)
(campaign 1)
(stabilize)
(partition 3)
(propose 1 a b c)
(stabilize)
(compact 1)
(heal)
(run 300ms)
(partition 3)
expect 3 state="a b c"
---
as expected

(propose 1 d e f)
(stabilize)
(compact 1)
(heal)
# Its state machine stands still with the last chunk in its hands.
(advance 300ms)
(deliver kind=Heartbeat)
(deliver kind=HeartbeatReply)
(deliver kind=Append)
(deliver kind=AppendRefused)
(deliver kind=SnapshotChunk)
(deliver kind=SnapshotAck)
(deliver kind=SnapshotChunk)
(deliver kind=SnapshotAck)
(deliver kind=SnapshotChunk)
(app 3 hold)
(deliver kind=SnapshotAck)
deliver kind=SnapshotChunk
---
n3 ← n1 SnapshotChunk term=1 last=7@1 (6..7] done
n3 stores a chunk of 7@1 (6..7] done

# Meanwhile the leader goes on, compacts, and another leads: entries and newer states come.
(propose 1 g)
(stabilize)
(compact 1)
(transfer 1 2)
(stabilize)
(compact 2)
(run 2s)
expect 3 commit=4 state="a b c" leader=2
---
as expected

(app 3 release)
(run 5s)
status
expect 3 role=follower state="a b c d e f g" commit=9
---
7600ms
n1 follower term=2 vote=n2 leader=n2 commit=9 applied=9 last=9@2 base=7@1
n2 leader term=2 vote=n2 leader=n2 commit=9 applied=9 last=9@2 base=9@2
n3 follower term=2 vote=n2 leader=n2 commit=9 applied=9 last=9@2 base=9@2
as expected
